//! Detects that the process has not run for a while: it was stopped (SIGSTOP, a frozen container), or the host was suspended.

use crate::clock;
use std::time::{Duration, Instant};

/// Shortest pause that is detected. A thread is woken up to a tenth of a second late where the system does not tell how long it
/// waited for a processor.
const MIN_PAUSE: Duration = Duration::from_millis(250);

/// Shortest suspension that is detected; the monotonic clock does not count it, so it can't be mistaken for a busy system.
const MIN_SUSPENSION: Duration = Duration::from_millis(10);

/// Longest reading that is not taken for a pause in the middle of it. A driver may be busy for some tenths of a second.
const MAX_READING: Duration = Duration::from_secs(1);

/// Detects pauses between the ticks of one thread.
#[derive(Debug)]
pub struct PauseDetector {
    /// The thread's totals at the last tick.
    totals: Totals,
    /// When the last tick began.
    began: Option<Instant>,
}

/// What a thread can be late by, in total up to now.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    /// Time that the host was suspended.
    suspended: Duration,
    /// Time that the thread waited for a processor on a busy system.
    queued: Duration,
}

impl Totals {
    /// Those of this thread.
    fn now() -> Self {
        Self { suspended: Duration::from_nanos(clock::asleep()), queued: Duration::from_nanos(clock::waited()) }
    }
}

/// When a tick was waited for, was due, and began.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// The wait for it began.
    pub waited: Instant,
    /// It was due.
    pub due: Instant,
    /// It begins.
    pub now: Instant,
}

impl PauseDetector {
    /// A detector before the first tick, for the thread that calls it.
    pub fn new() -> Self {
        Self { totals: Totals::now(), began: None }
    }

    /// Returns how long the process has not run since the last tick, if that is a pause. Ticks are `period` apart.
    pub fn tick(&mut self, tick: Tick, period: Duration) -> Option<Duration> {
        self.tick_at(Totals::now(), tick, period)
    }

    fn tick_at(&mut self, totals: Totals, tick: Tick, period: Duration) -> Option<Duration> {
        let before = std::mem::replace(&mut self.totals, totals);
        let queued = totals.queued.saturating_sub(before.queued);
        let asleep = totals.suspended.saturating_sub(before.suspended);
        let began = self.began.replace(tick.now).unwrap_or(tick.waited);
        let reading = tick.waited.saturating_duration_since(began).saturating_sub(queued);
        let late = tick.now.saturating_duration_since(tick.due.max(tick.waited)).saturating_sub(queued);
        let stopped = if late >= MIN_PAUSE.max(2 * period) { late } else { Duration::ZERO };
        let hung = if reading > MAX_READING { reading } else { Duration::ZERO };
        let asleep = if asleep >= MIN_SUSPENSION { asleep } else { Duration::ZERO };
        Some(stopped + hung + asleep).filter(|pause| !pause.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stopped_process_and_a_suspended_host_are_pauses_and_a_busy_system_is_none() {
        let start = Instant::now();
        let mut detector = PauseDetector { totals: Totals::default(), began: None };
        let mut tick = |suspended: u32, queued: u32, [waited, due, now]: [u32; 3]| {
            let totals = Totals { suspended: suspended * MS, queued: queued * MS };
            let tick = Tick { waited: start + waited * MS, due: start + due * MS, now: start + now * MS };
            detector.tick_at(totals, tick, 50 * MS)
        };
        assert_eq!(tick(0, 0, [0, 0, 0]), None);
        assert_eq!(tick(0, 0, [2, 50, 51]), None);
        assert_eq!(tick(0, 0, [52, 100, 290]), None, "late by what a busy system may take");
        assert_eq!(tick(0, 0, [700, 750, 750]), None, "a slow driver");
        assert_eq!(tick(0, 0, [752, 800, 5800]), Some(5000 * MS), "stopped while it waited");
        assert_eq!(tick(0, 0, [9800, 9850, 9850]), Some(4000 * MS), "stopped while it read");
        assert_eq!(tick(3000, 0, [9852, 9900, 9900]), Some(3000 * MS), "suspended");
        assert_eq!(tick(3000, 0, [9902, 9950, 9950]), None);
        assert_eq!(tick(3000, 2900, [9952, 10_000, 13_000]), None, "other processes had the processors");
    }
}
