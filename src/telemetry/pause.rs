//! Detects that the process has not run for a while: it was stopped (SIGSTOP, a frozen container), or the host was suspended.

use std::time::{Duration, Instant};

/// Shortest pause that is detected. A busy system wakes a thread up to a tenth of a second late.
const MIN_PAUSE: Duration = Duration::from_millis(250);

/// Shortest suspension that is detected; the monotonic clock does not count it, so it can't be mistaken for a busy system.
const MIN_SUSPENSION: Duration = Duration::from_millis(10);

/// Longest reading that is not taken for a pause in the middle of it. A driver may be busy for some tenths of a second.
const MAX_READING: Duration = Duration::from_secs(1);

/// Detects pauses between the ticks of one thread.
#[derive(Debug)]
pub struct PauseDetector {
    /// Time that the host had been suspended up to the last tick.
    suspended: Duration,
    /// When the last tick began.
    began: Option<Instant>,
}

impl PauseDetector {
    /// A detector before the first tick.
    pub fn new() -> Self {
        Self { suspended: suspended(), began: None }
    }

    /// A tick that was due at `due` begins at `now`, after a wait that began at `waited`. Returns how long the process has not
    /// run since the last tick, if that is a pause.
    pub fn tick(&mut self, waited: Instant, due: Instant, now: Instant, period: Duration) -> Option<Duration> {
        self.tick_after(suspended(), waited, due, now, period)
    }

    fn tick_after(
        &mut self,
        suspended: Duration,
        waited: Instant,
        due: Instant,
        now: Instant,
        period: Duration,
    ) -> Option<Duration> {
        let asleep = suspended.saturating_sub(std::mem::replace(&mut self.suspended, suspended));
        let last_reading =
            self.began.replace(now).map(|began| waited.saturating_duration_since(began)).unwrap_or_default();
        let late = now.saturating_duration_since(due.max(waited));
        let stopped = if late >= MIN_PAUSE.max(2 * period) { late } else { Duration::ZERO };
        let hung = if last_reading > MAX_READING { last_reading } else { Duration::ZERO };
        let asleep = if asleep >= MIN_SUSPENSION { asleep } else { Duration::ZERO };
        Some(stopped + hung + asleep).filter(|pause| !pause.is_zero())
    }
}

/// Time that the host has been suspended since it booted.
#[cfg(target_os = "linux")]
fn suspended() -> Duration {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` outlives the call. An unknown clock leaves it 0.
        unsafe { libc::clock_gettime(clock, &mut time) };
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    // A thread that is interrupted between the two clocks tries again, or else its delay would look like a suspension.
    let mut difference = Duration::ZERO;
    for _ in 0..4 {
        let before = read(libc::CLOCK_MONOTONIC);
        let boot = read(libc::CLOCK_BOOTTIME);
        let after = read(libc::CLOCK_MONOTONIC);
        difference = boot.saturating_sub(before);
        if after.saturating_sub(before) < Duration::from_millis(1) {
            break;
        }
    }
    difference
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
fn suspended() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_stopped_process_and_a_suspended_host_are_pauses_and_a_busy_system_is_none() {
        let start = Instant::now();
        let mut detector = PauseDetector { suspended: Duration::ZERO, began: None };
        let mut tick = |asleep: Duration, waited: u32, due: u32, now: u32| {
            detector.tick_after(asleep, start + waited * MS, start + due * MS, start + now * MS, 50 * MS)
        };
        assert_eq!(tick(Duration::ZERO, 0, 0, 0), None);
        assert_eq!(tick(Duration::ZERO, 2, 50, 51), None);
        assert_eq!(tick(Duration::ZERO, 52, 100, 290), None, "late on a busy system");
        assert_eq!(tick(Duration::ZERO, 700, 750, 750), None, "a slow driver");
        assert_eq!(tick(Duration::ZERO, 752, 800, 5800), Some(5000 * MS), "stopped while it waited");
        assert_eq!(tick(Duration::ZERO, 9800, 9850, 9850), Some(4000 * MS), "stopped while it read");
        assert_eq!(tick(3000 * MS, 9852, 9900, 9900), Some(3000 * MS), "suspended");
        assert_eq!(tick(3000 * MS, 9902, 9950, 9950), None);
    }
}
