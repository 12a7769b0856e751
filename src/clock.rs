//! The session's clock: monotonic nanoseconds, shared by the agent and its engine, which are two processes of one host; and
//! the wall clock at a moment of a session.

use crate::event::Nanos;
use jiff::{SignedDuration, Timestamp};

/// A clock whose zero is the beginning of the session. It is `Copy`, so that every thread can hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    epoch: u64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { epoch: monotonic() }
    }

    /// The clock of another process of this host, from its [`Self::epoch`].
    pub const fn since(epoch: u64) -> Self {
        Self { epoch }
    }

    /// The host's monotonic nanoseconds at the session's zero; valid in every process of this host until it reboots.
    pub const fn epoch(self) -> u64 {
        self.epoch
    }

    /// Nanoseconds since the session began.
    pub fn now(self) -> Nanos {
        monotonic().saturating_sub(self.epoch)
    }
}

/// The host's monotonic nanoseconds. They stand still while the host is suspended.
pub fn monotonic() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Nanoseconds for which the host has been suspended since it was started; 0 where the system does not tell.
#[cfg(target_os = "linux")]
pub fn asleep() -> u64 {
    // A thread that is interrupted between the two clocks reads them again: its delay would look like a suspension.
    let mut asleep = 0;
    for _ in 0..4 {
        let before = monotonic();
        asleep = read(libc::CLOCK_BOOTTIME).saturating_sub(before);
        if monotonic() - before < 1_000_000 {
            break;
        }
    }
    asleep
}

/// Nanoseconds for which the host has been suspended since it was started; 0 where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub fn asleep() -> u64 {
    0
}

/// Nanoseconds for which this thread has waited for a processor although it could have run: other processes had it, or the
/// control group's time was used up. A thread that was stopped or frozen did not wait. 0 where the system does not tell.
///
/// Source: Documentation/scheduler/sched-stats.rst of Linux, `/proc/<pid>/schedstat`, second field.
pub fn waited() -> u64 {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    read.split_whitespace().nth(1).and_then(|waited| waited.parse().ok()).unwrap_or(0)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call. A clock that the system does not have leaves it at zero.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The wall clock `nanos` after `started`, to the millisecond; none if `started` is no RFC 3339 time.
pub fn wall(started: &str, nanos: u64) -> Option<String> {
    let started: Timestamp = started.parse().ok()?;
    let then = started.checked_add(SignedDuration::from_nanos(i64::try_from(nanos).ok()?)).ok()?;
    Some(format!("{then:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_dated_by_the_sessions_clock() {
        let at = |nanos| wall("2026-11-22T23:59:59.5Z", nanos);
        assert_eq!(at(750_000_000).as_deref(), Some("2026-11-23T00:00:00.250Z"));
        assert_eq!(wall("yesterday", 0), None);
    }
}
