//! The session's clock: monotonic nanoseconds that the agent and its engine, two processes of one host, share.

use crate::event::Nanos;

/// A clock whose zero is the moment the session began. `Copy`, so that every thread can hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    epoch: u64,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { epoch: monotonic() }
    }

    /// The clock of the process that started this one, from [`Self::epoch`].
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

fn monotonic() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call, and CLOCK_MONOTONIC exists on every system that has clock_gettime.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
