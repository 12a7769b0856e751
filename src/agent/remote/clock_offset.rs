//! The remote clock in terms of this session's, by the NTP method: the ping with the shortest round trip decides, because
//! its answer was delayed least.

use crate::event::Nanos;
use std::collections::VecDeque;

/// Pings that are remembered. Over so many seconds two clocks drift apart by no more than some milliseconds.
const PINGS: usize = 16;

/// Pings over which the shown round trip is a median.
const SHOWN_PINGS: usize = 5;

/// The offset between the two clocks, estimated from pings.
#[derive(Debug, Default)]
pub struct ClockOffset {
    /// Round trip, and what to add to the remote clock, oldest first. ns.
    pings: VecDeque<(Nanos, i64)>,
    /// The latest timestamp that was converted, on the remote and on the local clock.
    latest: Option<(Nanos, Nanos)>,
}

impl ClockOffset {
    /// Takes a ping: sent and answered at these times of the local clock, answered at `remote` on the other one.
    pub fn ping(&mut self, sent: Nanos, received: Nanos, remote: Nanos) {
        let round_trip = received.saturating_sub(sent);
        // NTP's assumption: both directions take equally long.
        let offset = (sent + round_trip / 2) as i64 - remote as i64;
        if self.pings.len() == PINGS {
            self.pings.pop_front();
        }
        self.pings.push_back((round_trip, offset));
    }

    /// Whether timestamps can be converted.
    pub fn is_known(&self) -> bool {
        !self.pings.is_empty()
    }

    /// Median round trip of the last pings, ns.
    pub fn round_trip(&self) -> Option<Nanos> {
        let mut trips: Vec<Nanos> = self.pings.iter().rev().take(SHOWN_PINGS).map(|(trip, _)| *trip).collect();
        trips.sort_unstable();
        trips.get(trips.len() / 2).copied()
    }

    /// Converts a remote timestamp. The order of events is kept although the offset changes, and no event lies after `now`.
    pub fn localize(&mut self, remote: Nanos, now: Nanos) -> Nanos {
        let offset = self.pings.iter().min_by_key(|(trip, _)| *trip).map_or(0, |(_, offset)| *offset);
        let mut local = remote.saturating_add_signed(offset).min(now);
        match self.latest {
            Some((latest_remote, latest)) if remote >= latest_remote => local = local.max(latest),
            Some(_) => return local,
            None => {}
        }
        self.latest = Some((remote, local));
        local
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn the_fastest_ping_decides_and_the_median_is_shown() {
        let mut offset = ClockOffset::default();
        assert!(!offset.is_known() && offset.round_trip().is_none());
        // The remote clock is 100 ms behind; the way back takes 80 ms of the first round trip, and half of the second.
        offset.ping(200 * MS, 300 * MS, 120 * MS);
        assert_eq!(offset.localize(200 * MS, 900 * MS), 330 * MS);
        offset.ping(400 * MS, 420 * MS, 310 * MS);
        assert_eq!(offset.localize(320 * MS, 900 * MS), 420 * MS);
        assert_eq!(offset.localize(210 * MS, 900 * MS), 310 * MS, "an older event that arrives late");
        offset.ping(500 * MS, 560 * MS, 430 * MS);
        assert_eq!(offset.round_trip(), Some(60 * MS));
        assert_eq!(offset.localize(330 * MS, 425 * MS), 425 * MS, "no event lies in the future");
    }

    proptest! {
        #[test]
        fn the_order_of_remote_events_is_kept(steps in prop::collection::vec((0u64..50, 0u64..200, 0u64..200), 1..60)) {
            let (mut offset, mut remote, mut last) = (ClockOffset::default(), 0, 0);
            for (step, out, back) in steps {
                remote += step * MS;
                let sent = remote + 1000 * MS;
                offset.ping(sent, sent + (out + back) * MS, remote + out * MS);
                let here = offset.localize(remote, Nanos::MAX);
                prop_assert!(here >= last);
                last = here;
            }
        }
    }
}
