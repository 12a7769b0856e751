//! Detects when this process stood still: stopped by a signal (Ctrl-Z), frozen by its control group (a paused container), or
//! suspended with its host. What was timed meanwhile was not the device's time.
//!
//! | what | how it is detected |
//! |---|---|
//! | a stop by a signal | the SIGCONT that ends it |
//! | a suspended host | the clock that goes on in a suspend is further ahead of the one that does not |
//! | a frozen control group | a thread that wakes every 100 ms is a second late, and did not wait for a processor meanwhile |

use crate::clock;
use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How often the thread wakes.
const TICK: Duration = Duration::from_millis(100);
/// How late it may be, apart from waiting for a processor, without being taken for frozen.
const LATE: u64 = 1_000_000_000;
/// Time asleep below which it is the rounding of two clocks that were read one after the other.
const ASLEEP: u64 = 10_000_000;

/// SIGCONTs that have arrived.
static CONTINUED: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_continue(_: libc::c_int) {
    CONTINUED.fetch_add(1, Ordering::Relaxed);
}

/// The pauses of this process.
#[derive(Clone, Debug)]
pub struct Pauses(Arc<(Mutex<Watch>, Condvar)>);

impl Pauses {
    /// Watches for them from now on.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn watch() -> io::Result<Self> {
        let handler = on_continue as extern "C" fn(libc::c_int);
        // SAFETY: the handler only adds to an atomic number. Calls that it interrupts are begun again by the system.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(libc::SIGCONT, &action, std::ptr::null_mut());
        }
        let watch = Watch { ticked: clock::monotonic(), asleep: clock::asleep(), queued: 0, pauses: 0 };
        let pauses = Self(Arc::new((Mutex::new(watch), Condvar::new())));
        let ticking = pauses.clone();
        thread::Builder::new().name("pauses".into()).spawn(move || {
            loop {
                ticking.lock().tick(clock::monotonic(), clock::asleep(), clock::waited());
                ticking.0.1.notify_all();
                thread::sleep(TICK);
            }
        })?;
        Ok(pauses)
    }

    /// How many there were so far; cheap enough to ask after every batch. Where the thread is late the call waits for it, since
    /// the thread alone can tell whether it was frozen or waits for a processor.
    pub fn count(&self) -> u64 {
        let mut watch = self.lock();
        while clock::monotonic().saturating_sub(watch.ticked) > LATE {
            watch = self.0.1.wait(watch).unwrap_or_else(PoisonError::into_inner);
        }
        watch.slept(clock::asleep());
        watch.pauses + CONTINUED.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Watch> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares clocks, all in nanoseconds.
#[derive(Debug)]
struct Watch {
    /// When the thread was awake last.
    ticked: u64,
    /// Time that the host was suspended for, since it was started.
    asleep: u64,
    /// Time that the thread waited for a processor in its life.
    queued: u64,
    pauses: u64,
}

impl Watch {
    /// The thread is awake.
    fn tick(&mut self, now: u64, asleep: u64, queued: u64) {
        let late = now.saturating_sub(self.ticked).saturating_sub(queued.saturating_sub(self.queued));
        if late > LATE {
            self.asleep = asleep;
            self.pauses += 1;
        }
        (self.ticked, self.queued) = (now, queued);
        self.slept(asleep);
    }

    /// Counts a suspend of the host that is just over.
    fn slept(&mut self, asleep: u64) {
        if asleep.saturating_sub(self.asleep) > ASLEEP {
            self.asleep = asleep;
            self.pauses += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_process_that_was_frozen_or_asleep_has_paused_once_and_a_busy_host_is_no_pause() {
        let mut watch = Watch { ticked: 0, asleep: 0, queued: 0, pauses: 0 };
        (1..50).for_each(|i| watch.tick(i * 100 * MS, 0, 0));
        watch.tick(5_800 * MS, 3 * MS, 0);
        assert_eq!(watch.pauses, 0, "late by what a busy host may take");
        watch.tick(15_800 * MS, 3 * MS, 9_500 * MS);
        assert_eq!(watch.pauses, 0, "other processes had the processors for ten seconds");
        watch.tick(19_000 * MS, 3 * MS, 9_500 * MS);
        assert_eq!(watch.pauses, 1, "frozen for three seconds");
        watch.tick(19_100 * MS, 7_200_000 * MS, 9_500 * MS);
        watch.slept(7_200_000 * MS);
        assert_eq!(watch.pauses, 2, "the host slept for two hours");
        watch.slept(7_300_000 * MS);
        assert_eq!(watch.pauses, 3, "the engine asked before the thread was awake");
    }

    #[test]
    fn a_process_that_was_told_to_continue_has_paused() {
        let pauses = Pauses::watch().unwrap();
        let before = pauses.count();
        // SAFETY: it is this very thread, and the handler is installed.
        unsafe { libc::raise(libc::SIGCONT) };
        assert_eq!(pauses.count(), before + 1);
    }
}
