//! How much may be on its way through a link: as much as arrives soon, whatever lies in between hoards.
//!
//! A pipe, ssh and the kernel together swallow megabytes, which a slow link takes minutes to deliver: what is measured now
//! would be seen then, and an answer to a ping would wait behind it. So the other side acknowledges what has arrived, and no
//! more is sent than what it takes a moment to.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Bytes that may be on their way at the most: what a link of 100 kB/s takes a quarter of a second for.
const MOST: usize = 24_000;

/// Bytes that may be on their way at the least.
const LEAST: usize = 2_000;

/// Time to an acknowledgement after which less is sent at once.
const LATE: Duration = Duration::from_secs(1);

/// What is on its way.
#[derive(Debug)]
pub struct Window {
    /// Length of each bundle that was not acknowledged yet, and when it was sent.
    on_its_way: VecDeque<(usize, Instant)>,
    acknowledged: u64,
    most: usize,
    /// When less was put into it the last time: what was sent before that says nothing of it.
    lowered: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self { on_its_way: VecDeque::new(), acknowledged: 0, most: MOST, lowered: None }
    }
}

impl Window {
    /// Whether more may be sent. One bundle may always be on its way, however long it is.
    pub fn has_room(&self) -> bool {
        self.on_its_way.is_empty() || self.on_its_way.iter().map(|(length, _)| length).sum::<usize>() < self.most
    }

    /// A bundle of `length` bytes was sent.
    pub fn sent(&mut self, length: usize, now: Instant) {
        self.on_its_way.push_back((length, now));
    }

    /// So many bundles have arrived since the beginning.
    pub fn arrived(&mut self, bundles: u64, now: Instant) {
        while self.acknowledged < bundles
            && let Some((_, sent)) = self.on_its_way.pop_front()
        {
            self.acknowledged += 1;
            if now.saturating_duration_since(sent) <= LATE {
                self.most = (self.most + LEAST / 8).min(MOST);
            } else if self.lowered.is_none_or(|lowered| sent > lowered) {
                (self.most, self.lowered) = ((self.most / 2).max(LEAST), Some(now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends 500 bytes whenever there is room, through a link of a rate in bytes/s and a delay, for two minutes; gives back the
    /// bytes a second that arrived in the second half, and the longest that anything was on its way then.
    fn through(rate: u64, delay_ms: u64) -> (f64, Duration) {
        let (mut window, start) = (Window::default(), Instant::now());
        let (mut free, mut acks) = (start, VecDeque::new());
        let (mut bundles, mut arrived, mut longest) = (0, 0.0, Duration::ZERO);
        for ms in 0..120_000 {
            let now = start + Duration::from_millis(ms);
            while acks.front().is_some_and(|(at, _)| *at <= now) {
                let Some((_, sent)) = acks.pop_front() else { break };
                bundles += 1;
                window.arrived(bundles, now);
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
        window.sent(10 * MOST, now);
        assert!(!window.has_room());
        window.arrived(99, now);
        assert!(window.has_room());
        window.arrived(0, now);
        window.sent(10 * MOST, now);
        window.arrived(2, now);
        assert!(window.has_room());
    }
}
