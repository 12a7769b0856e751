//! The congestion window of a link: how many bytes may be in flight.
//!
//! The buffers of a pipe, of ssh and of the kernel hold megabytes, which a slow link takes minutes to deliver; measurements
//! would arrive that late, and answers to pings behind them. So the receiver acknowledges bundles, and the window is adjusted
//! by additive increase and multiplicative decrease, as TCP does it, with the delay of acknowledgements in place of loss.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Largest window, bytes: what a link of 100 kB/s transfers in a quarter of a second.
const MAX: usize = 24_000;

/// Smallest window, bytes.
const MIN: usize = 2_000;

/// Delay of an acknowledgement beyond which the window shrinks.
const LATE: Duration = Duration::from_secs(1);

/// The window and the bundles in flight.
#[derive(Debug)]
pub struct Window {
    /// Length of each bundle without an acknowledgement, and when it was sent.
    in_flight: VecDeque<(usize, Instant)>,
    acknowledged: u64,
    size: usize,
    /// When the window was last shrunk: bundles sent before that were sent with the larger window.
    shrunk: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self { in_flight: VecDeque::new(), acknowledged: 0, size: MAX, shrunk: None }
    }
}

impl Window {
    /// Whether another bundle may be sent. One may always be in flight, however long it is.
    pub fn has_room(&self) -> bool {
        self.in_flight.is_empty() || self.in_flight.iter().map(|(length, _)| length).sum::<usize>() < self.size
    }

    /// Takes note that a bundle of `length` bytes was sent.
    pub fn sent(&mut self, length: usize, now: Instant) {
        self.in_flight.push_back((length, now));
    }

    /// Takes note that this many bundles have been acknowledged since the beginning.
    pub fn acknowledge(&mut self, bundles: u64, now: Instant) {
        while self.acknowledged < bundles
            && let Some((_, sent)) = self.in_flight.pop_front()
        {
            self.acknowledged += 1;
            if now.saturating_duration_since(sent) <= LATE {
                self.size = (self.size + MIN / 8).min(MAX);
            } else if self.shrunk.is_none_or(|shrunk| sent > shrunk) {
                (self.size, self.shrunk) = ((self.size / 2).max(MIN), Some(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 500 bytes whenever there is room, through a link of a rate in bytes/s and a delay, for two minutes; returns the
    /// bytes a second that arrived in the second half, and the longest time that anything was in flight then.
    fn through(rate: u64, delay_ms: u64) -> (f64, Duration) {
        let (mut window, start) = (Window::default(), Instant::now());
        let (mut free, mut acks) = (start, VecDeque::new());
        let (mut bundles, mut arrived, mut longest) = (0, 0.0, Duration::ZERO);
        for ms in 0..120_000 {
            let now = start + Duration::from_millis(ms);
            while acks.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, sent)) = acks.pop_front() else { break };
                bundles += 1;
                window.acknowledge(bundles, now);
                if ms > 60_000 {
                    arrived += 500.0 / 60.0;
                    longest = longest.max(now - sent);
                }
            }
            while window.has_room() {
                window.sent(500, now);
                free = free.max(now) + Duration::from_millis(500_000 / rate);
                acks.push_back((free + Duration::from_millis(delay_ms), now));
            }
        }
        (arrived, longest)
    }

    #[test]
    fn a_slow_link_is_full_and_nothing_in_it_is_old() {
        for (rate, delay) in [(2_000, 50), (10_000, 200), (100_000, 50)] {
            let (arrived, longest) = through(rate, delay);
            assert!(arrived > 0.9 * rate as f64, "{arrived} of {rate} bytes/s");
            assert!(longest < Duration::from_millis(2500), "{longest:?} through {rate} bytes/s");
        }
        let (arrived, _) = through(10_000_000, 100);
        assert!(arrived > 200_000.0, "a fast link is used: {arrived} bytes/s");
    }

    #[test]
    fn one_bundle_may_always_be_sent_and_an_odd_count_does_no_harm() {
        let (mut window, now) = (Window::default(), Instant::now());
        assert!(window.has_room());
        window.sent(10 * MAX, now);
        assert!(!window.has_room());
        window.acknowledge(99, now);
        assert!(window.has_room());
        window.acknowledge(0, now);
        window.sent(10 * MAX, now);
        window.acknowledge(2, now);
        assert!(window.has_room());
    }
}
