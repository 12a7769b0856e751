//! When a warm-up is over: by convergence, not by a count (MEASURING.md, rule 6).

use crate::{analysis::stats::median, event::WarmUp};
use std::{collections::VecDeque, time::Duration};

/// Difference of the window's halves, relative, that is not taken for drift.
const DRIFT_BOUND: f64 = 0.01;
/// Batches below which nothing is judged.
const LEAST_BATCHES: usize = 8;
/// Time below which nothing is judged: clocks take about this long to rise under load.
const LEAST_TIME: Duration = Duration::from_millis(250);
/// Time after which measuring begins all the same, and says so.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Batches without which not even the timeout ends it.
const TIMEOUT_BATCHES: usize = 3;
/// Latencies that are remembered; more only make the judgement slower.
const MOST_BATCHES: usize = 4096;

/// Watches latencies until they have converged.
#[derive(Debug, Default)]
pub struct Convergence {
    latencies: VecDeque<f64>,
    batches: u64,
    elapsed: Duration,
    judged: u64,
}

impl Convergence {
    /// Adds a batch and tells how the warm-up ended, once it has.
    pub fn add(&mut self, latency: Duration) -> Option<WarmUp> {
        self.batches += 1;
        self.elapsed += latency;
        self.latencies.push_back(latency.as_secs_f64());
        if self.latencies.len() > MOST_BATCHES {
            self.latencies.pop_front();
        }
        if self.latencies.len() < LEAST_BATCHES.min(TIMEOUT_BATCHES) || !self.due() {
            return None;
        }
        let (error, still) = self.judge();
        let enough = self.latencies.len() >= LEAST_BATCHES && self.elapsed >= LEAST_TIME;
        let converged = enough && still && 100.0 * error <= WarmUp::CONVERGED_PERCENT;
        let timed_out = self.elapsed >= TIMEOUT && self.latencies.len() >= TIMEOUT_BATCHES;
        (converged || timed_out).then_some(WarmUp {
            seconds: self.elapsed.as_secs_f64(),
            batches: self.batches,
            error_percent: 100.0 * error,
            converged,
        })
    }

    /// Judging sorts the window: at thousands of batches a second not every batch needs it.
    fn due(&mut self) -> bool {
        let due = self.batches >= self.judged + self.batches / 16;
        if due {
            self.judged = self.batches;
        }
        due
    }

    /// Relative standard error of the median over the newer half of the warm-up, and whether the two halves of that
    /// agree: a latency that still drifts can have a small error.
    ///
    /// Robust: a batch that the scheduler interrupted says nothing about convergence. The spread is the interquartile
    /// range over 1.349, the standard error of a median 1.2533 times that of a mean (normal distribution). The median
    /// absolute deviation would call a latency steady that jumps between two values.
    fn judge(&self) -> (f64, bool) {
        let window: Vec<f64> = self.latencies.iter().skip(self.latencies.len() / 2).copied().collect();
        let mut sorted = window.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        let Some(middle) = median(window.iter().copied()).filter(|m| *m > 0.0) else { return (f64::INFINITY, false) };
        let spread = (at(0.75) - at(0.25)) / 1.349;
        let error = 1.2533 * spread / (window.len() as f64).sqrt() / middle;
        let (first, second) = window.split_at(window.len() / 2);
        let drift = match (median(first.iter().copied()), median(second.iter().copied())) {
            (Some(a), Some(b)) => (a - b).abs() / middle,
            _ => f64::INFINITY,
        };
        // Each half's median has √2 times the window's error, so their difference has twice that: more than chance explains
        // at one standard error is taken for drift, because drift itself widens the spread that the error comes from.
        (error, drift <= (2.0 * error).max(DRIFT_BOUND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latencies in ms with multiplicative noise of a fixed pattern.
    fn warm_up(latency_ms: impl Fn(usize) -> f64) -> WarmUp {
        let mut convergence = Convergence::default();
        (0..100_000).find_map(|i| convergence.add(Duration::from_secs_f64(latency_ms(i) / 1e3))).expect("it ends")
    }

    fn noise(i: usize) -> f64 {
        ((i * 7919 + 13) % 1000) as f64 / 1000.0 - 0.5
    }

    #[test]
    fn a_quiet_latency_converges_as_soon_as_may_be() {
        let end = warm_up(|i| 10.0 + 0.1 * noise(i));
        assert!(end.converged && end.seconds < 0.4 && end.error_percent < 1.0, "{end:?}");
    }

    #[test]
    fn noise_takes_longer_and_outliers_do_not_matter() {
        let quiet = warm_up(|i| 10.0 + 0.1 * noise(i));
        let noisy = warm_up(|i| 10.0 + 4.0 * noise(i));
        assert!(noisy.converged && noisy.batches > quiet.batches, "{noisy:?}");
        let spikes = warm_up(|i| if i % 10 == 3 { 200.0 } else { 10.0 + 0.1 * noise(i) });
        assert!(spikes.converged && spikes.batches < 60, "{spikes:?}");
    }

    #[test]
    fn a_latency_that_drifts_is_not_steady() {
        let settling = warm_up(|i| 10.0 + 20.0 * (-(i as f64) / 30.0).exp() + 0.05 * noise(i));
        assert!(settling.converged && settling.batches > 100, "{settling:?}");
        let wild = warm_up(|i| if (i / 3) % 2 == 0 { 10.0 } else { 90.0 });
        assert!(!wild.converged && (8.0..8.5).contains(&wild.seconds), "{wild:?}");
    }

    #[test]
    fn batches_of_minutes_end_it_after_three() {
        let end = warm_up(|_| 60_000.0);
        assert_eq!((end.batches, end.converged), (3, false));
    }
}
