//! Notices when this process stood still: stopped by a signal (Ctrl-Z), frozen by its control group (a paused container), or
//! suspended with its host. What was timed meanwhile was not the device's time.
//!
//! | what | how it is noticed |
//! |---|---|
//! | a stop by a signal | the SIGCONT that ends it |
//! | a suspended host | the clock that goes on in a suspend is further ahead of the one that does not |
//! | a frozen control group | a thread that wakes every 100 ms has not done so for a second |

use crate::clock;
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How often the thread wakes.
const TICK: Duration = Duration::from_millis(100);
/// How late it may be without being taken for frozen: a busy host delays it by tens of milliseconds.
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
pub struct Pauses(Arc<Mutex<Watch>>);

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
        let pauses = Self(Arc::new(Mutex::new(Watch::begin(clock::monotonic(), clock::asleep()))));
        let ticking = pauses.clone();
        thread::Builder::new().name("pauses".into()).spawn(move || {
            loop {
                thread::sleep(TICK);
                ticking.with(|watch| watch.tick(clock::monotonic(), clock::asleep()));
            }
        })?;
        Ok(pauses)
    }

    /// How many there were so far; cheap enough to ask after every batch.
    pub fn count(&self) -> u64 {
        self.with(|watch| watch.check(clock::monotonic(), clock::asleep())) + CONTINUED.load(Ordering::Relaxed)
    }

    fn with<T>(&self, work: impl FnOnce(&mut Watch) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Compares clocks.
#[derive(Debug)]
struct Watch {
    /// When the thread was awake last.
    ticked: u64,
    /// Time that the host was suspended for, since it was started.
    asleep: u64,
    pauses: u64,
}

impl Watch {
    const fn begin(now: u64, asleep: u64) -> Self {
        Self { ticked: now, asleep, pauses: 0 }
    }

    /// Counts a pause that is just over; gives how many there were.
    fn check(&mut self, now: u64, asleep: u64) -> u64 {
        let frozen = now.saturating_sub(self.ticked) > LATE;
        let suspended = asleep.saturating_sub(self.asleep) > ASLEEP;
        if frozen || suspended {
            (self.ticked, self.asleep) = (now, asleep);
            self.pauses += 1;
        }
        self.pauses
    }

    /// The thread is awake.
    fn tick(&mut self, now: u64, asleep: u64) {
        self.check(now, asleep);
        self.ticked = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_process_that_was_frozen_or_asleep_has_paused_once_whoever_asks_first() {
        let mut watch = Watch::begin(0, 0);
        (1..50).for_each(|i| watch.tick(i * 100 * MS, 0));
        assert_eq!(watch.check(5_800 * MS, 3 * MS), 0, "a busy host is no pause");
        assert_eq!(watch.check(9_000 * MS, 0), 1, "asked before the thread was awake again");
        watch.tick(9_001 * MS, 0);
        assert_eq!(watch.check(9_002 * MS, 0), 1);
        watch.tick(60_000 * MS, 0);
        assert_eq!(watch.check(60_001 * MS, 0), 2, "the thread was awake first");
        watch.tick(60_100 * MS, 7_200_000 * MS);
        assert_eq!(watch.check(60_150 * MS, 7_200_000 * MS), 3, "the host slept for two hours");
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
