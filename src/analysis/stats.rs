//! Order statistics with their confidence, and running moments.

use super::distribution::{Interval, Z95};
use hdrhistogram::Histogram;

/// Mean and variance of a stream of values, in one pass and without cancellation (Welford 1962).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    n: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// The moments of `n` values with this mean and sample standard deviation.
    pub fn of(n: u64, mean: f64, deviation: f64) -> Self {
        Self { n, mean, squares: deviation * deviation * n.saturating_sub(1) as f64 }
    }

    /// Adds a value; one that is not finite is ignored.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.n += 1;
        let delta = value - self.mean;
        self.mean += delta / self.n as f64;
        self.squares += delta * (value - self.mean);
    }

    /// Number of values.
    pub const fn count(&self) -> u64 {
        self.n
    }

    /// Mean; none of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then_some(self.mean)
    }

    /// Sample standard deviation; none of fewer than two values.
    pub fn deviation(&self) -> Option<f64> {
        (self.n > 1).then(|| (self.squares / (self.n - 1) as f64).sqrt())
    }

    /// Standard error of the mean relative to the mean.
    pub fn relative_error(&self) -> Option<f64> {
        let error = self.deviation()? / (self.n as f64).sqrt();
        (self.mean != 0.0).then(|| error / self.mean.abs())
    }
}

impl FromIterator<f64> for Moments {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut moments = Self::default();
        values.into_iter().for_each(|v| moments.add(v));
        moments
    }
}

/// Wilson's interval (1927) of a probability with `right` successes in `of` trials, for quantile `z` of the normal
/// distribution; none of no trials. Unlike the normal approximation it is valid near 0 and 1, too.
pub fn wilson(right: u64, of: u64, z: f64) -> Option<(f64, f64)> {
    let (n, p) = (of as f64, right as f64 / of as f64);
    let centre = p + z * z / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (of > 0).then(|| (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)))
}

/// Least number of values for a 95 % interval of their median by order statistics: the chance that all of five values lie on
/// the same side of the median is 2 · 0.5⁵, which is more than 5 %.
pub const FEWEST: u64 = 6;

/// Why a median has no interval.
pub const TOO_FEW: &str = "of fewer than 6 batches the median has no 95 % interval";

/// Latency of a run: median and tails with the median's confidence, never a mean alone (MLPerf Inference rules).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 95 % interval of the median; none of fewer than [`FEWEST`] values.
    pub p50_interval: Option<Interval>,
}

impl Percentiles {
    /// Reads the percentiles off a histogram of nanoseconds, in milliseconds; none where it is empty.
    ///
    /// The median's interval is that of order statistics: ranks n/2 ± z·√n/2, whatever the distribution.
    pub fn of_nanos(histogram: &Histogram<u64>) -> Option<Self> {
        let n = histogram.len() as f64;
        if n == 0.0 {
            return None;
        }
        let at = |quantile: f64| histogram.value_at_quantile(quantile.clamp(0.0, 1.0)) as f64 / 1e6;
        let half = Z95 / (2.0 * n.sqrt());
        let interval = || Interval { low: at(0.5 - half), high: at(0.5 + half) };
        let p50_interval = (histogram.len() >= FEWEST).then(interval);
        Some(Self { p50: at(0.5), p90: at(0.9), p99: at(0.99), p50_interval })
    }

    /// Half the median's interval relative to the median; none where there is no interval.
    pub fn relative_confidence(&self) -> Option<f64> {
        let half = self.p50_interval?.half();
        (self.p50 > 0.0).then(|| half / self.p50)
    }
}

/// Median of values in any order; none of no finite values.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Spearman's ρ, ties sharing their mean rank; 0 where one side does not vary.
pub fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let ranks = |values: Vec<f64>| -> Vec<f64> {
        let below = |v: f64| values.iter().filter(|o| **o < v).count() as f64;
        let equal = |v: f64| values.iter().filter(|o| **o == v).count() as f64;
        values.iter().map(|v| below(*v) + (equal(*v) + 1.0) / 2.0).collect()
    };
    let finite: Vec<_> = pairs.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let x = ranks(finite.iter().map(|p| p.0).collect());
    let y = ranks(finite.iter().map(|p| p.1).collect());
    let middle = (finite.len() as f64 + 1.0) / 2.0;
    let sum = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(&y).map(|(x, y)| f(x - middle, y - middle)).sum::<f64>();
    let (xy, xx, yy) = (sum(&|x, y| x * y), sum(&|x, _| x * x), sum(&|_, y| y * y));
    if xx * yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_holds_at_the_ends_too() {
        // Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (right, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (found_low, found_high) = wilson(right, of, Z95).unwrap();
            assert!((found_low - low).abs() < 5e-5 && (found_high - high).abs() < 5e-5, "{right} of {of}");
        }
        assert_eq!(wilson(0, 0, Z95), None);
    }

    use proptest::prelude::*;

    #[test]
    fn ties_share_their_rank() {
        assert_eq!(rank_correlation(&[(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]), 1.0);
        assert_eq!(rank_correlation(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), -1.0);
        assert_eq!(rank_correlation(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), 0.0);
    }

    #[test]
    fn the_medians_interval_narrows_with_the_square_root_of_n() {
        let interval = |n: u64| {
            let mut h = Histogram::new(4).unwrap();
            (0..n).for_each(|i| h.record(1_000_000 + (i * 7919) % n * 1_000_000 / n).unwrap());
            Percentiles::of_nanos(&h).unwrap().relative_confidence().unwrap()
        };
        let ratio = interval(100) / interval(10_000);
        assert!((8.0..12.5).contains(&ratio), "{ratio}");
        assert!(Percentiles::of_nanos(&Histogram::new(3).unwrap()).is_none());
    }

    #[test]
    fn a_handful_of_batches_has_a_median_and_no_interval() {
        let of = |n: u64| {
            let mut h = Histogram::new(4).unwrap();
            (1..=n).for_each(|i| h.record(i * 1_000_000).unwrap());
            Percentiles::of_nanos(&h).unwrap()
        };
        assert_eq!((of(1).p50_interval, of(1).relative_confidence()), (None, None), "not ± 0 %");
        assert_eq!(of(FEWEST - 1).p50_interval, None);
        let six = of(FEWEST).p50_interval.unwrap();
        assert!((six.low - 1.0).abs() < 0.01 && (six.high - 6.0).abs() < 0.01, "all of six: {six:?}");
    }

    proptest! {
        #[test]
        fn moments_agree_with_two_passes(values in prop::collection::vec(-1e6..1e6f64, 2..200)) {
            let m: Moments = values.iter().copied().collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64;
            prop_assert!((m.mean().unwrap() - mean).abs() <= 1e-9 * (1.0 + mean.abs()));
            prop_assert!((m.deviation().unwrap() - variance.sqrt()).abs() <= 1e-6 * (1.0 + variance.sqrt()));
        }

        #[test]
        fn the_median_has_half_on_each_side(values in prop::collection::vec(prop::num::f64::ANY, 0..50)) {
            let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            match median(values) {
                None => prop_assert!(finite.is_empty()),
                Some(m) => {
                    let below = finite.iter().filter(|v| **v < m).count();
                    let above = finite.iter().filter(|v| **v > m).count();
                    prop_assert!(below <= finite.len() / 2 && above <= finite.len() / 2);
                }
            }
        }
    }
}
