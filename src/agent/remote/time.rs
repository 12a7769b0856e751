//! The far end's clock on this session's: the offset of the fastest of the last pings, whose answer waited least.

use crate::event::Nanos;
use std::collections::VecDeque;

/// Pings that are remembered: clocks drift apart by some milliseconds in the time that they take.
const PINGS: usize = 16;

/// Pings that the round trip is told of.
const RECENT: usize = 5;

/// What pings told.
#[derive(Debug, Default)]
pub struct Offset {
    /// Round trips and what to add to the far clock, oldest first. ns.
    pings: VecDeque<(Nanos, i64)>,
    /// The latest time that was mapped, on both clocks.
    latest: Option<(Nanos, Nanos)>,
}

impl Offset {
    /// A ping that was sent and answered at these times of this clock, answered at `far` on the other one.
    pub fn ping(&mut self, sent: Nanos, received: Nanos, far: Nanos) {
        let trip = received.saturating_sub(sent);
        // As NTP has it: the answer was given half-way.
        let offset = (sent + trip / 2) as i64 - far as i64;
        if self.pings.len() == PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((trip, offset));
    }

    /// Whether times can be mapped.
    pub fn is_known(&self) -> bool {
        !self.pings.is_empty()
    }

    /// Median round trip of the last pings, ns.
    pub fn round_trip(&self) -> Option<Nanos> {
        let mut trips: Vec<Nanos> = self.pings.iter().rev().take(RECENT).map(|(trip, _)| *trip).collect();
        trips.sort_unstable();
        trips.get(trips.len() / 2).copied()
    }

    /// A time of the far clock on this one. What was later there is not earlier here, though the offset changes; and nothing
    /// has happened after `now`.
    pub fn map(&mut self, far: Nanos, now: Nanos) -> Nanos {
        let offset = self.pings.iter().min_by_key(|(trip, _)| *trip).map_or(0, |(_, offset)| *offset);
        let mut here = far.saturating_add_signed(offset).min(now);
        match self.latest {
            Some((far_latest, latest)) if far >= far_latest => here = here.max(latest),
            Some(_) => return here,
            None => {}
        }
        self.latest = Some((far, here));
        here
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn the_fastest_ping_decides_and_the_median_is_shown() {
        let mut offset = Offset::default();
        assert!(!offset.is_known() && offset.round_trip().is_none());
        // The far clock is 100 ms behind; the way back takes 80 ms of the first round trip, and half of the second.
        offset.ping(200 * MS, 300 * MS, 120 * MS);
        assert_eq!(offset.map(200 * MS, 900 * MS), 330 * MS);
        offset.ping(400 * MS, 420 * MS, 310 * MS);
        assert_eq!(offset.map(320 * MS, 900 * MS), 420 * MS);
        assert_eq!(offset.map(210 * MS, 900 * MS), 310 * MS, "one that comes late is put where it belongs");
        offset.ping(500 * MS, 560 * MS, 430 * MS);
        assert_eq!(offset.round_trip(), Some(60 * MS));
        assert_eq!(offset.map(330 * MS, 425 * MS), 425 * MS, "nothing comes from the future");
    }

    proptest! {
        #[test]
        fn what_is_later_there_is_not_earlier_here(steps in prop::collection::vec((0u64..50, 0u64..200, 0u64..200), 1..60)) {
            let (mut offset, mut far, mut last) = (Offset::default(), 0, 0);
            for (step, out, back) in steps {
                far += step * MS;
                let sent = far + 1000 * MS;
                offset.ping(sent, sent + (out + back) * MS, far + out * MS);
                let here = offset.map(far, Nanos::MAX);
                prop_assert!(here >= last);
                last = here;
            }
        }
    }
}
