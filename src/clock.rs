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
pub fn asleep() -> u64 {
    #[cfg(target_os = "linux")]
    let with_suspends = read(libc::CLOCK_BOOTTIME);
    #[cfg(not(target_os = "linux"))]
    let with_suspends = 0;
    with_suspends.saturating_sub(monotonic())
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
