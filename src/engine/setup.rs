//! What an engine's process sets up before it touches a device: its memory limit, and what it does about panics.

use crate::{backend::RunError, output};
use std::sync::{Mutex, PoisonError};

/// Limits the data segment: an allocation beyond it fails in this process, with the number of bytes it asked for, before
/// the kernel starts to kill processes of its own choice.
pub fn limit_memory(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: setrlimit reads the struct, which outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } != 0 {
        output::warn(&format!("no memory limit: {}", std::io::Error::last_os_error()));
    }
}

/// Panics of this process so far, and the message of the last one.
static PANICS: Mutex<(u64, String)> = Mutex::new((0, String::new()));

/// Prints a panic's message on one line of stderr, where the agent reads why its engine died, and counts it. Not every panic ends
/// the process: the autotuner catches those of candidates that do not run here, and CubeCL's thread logs those of a launch and
/// goes on.
pub fn print_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
        let place = panic.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        let line = text.unwrap_or("no message").split_whitespace().collect::<Vec<_>>().join(" ");
        let line = format!("{line}{place}");
        output::warn(&format!("panic: {line}"));
        let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        *panics = (panics.0 + 1, line);
    }));
}

/// The panics of this process up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panics(u64);

impl Panics {
    /// Those up to now: whatever panicked until now was caught, and what came of it was looked at.
    pub fn until_now() -> Self {
        Self(PANICS.lock().unwrap_or_else(PoisonError::into_inner).0)
    }

    /// # Errors
    /// If there was another one since, which may have been a launch: what the kernel should have written is what was there.
    pub fn no_more(self) -> Result<(), RunError> {
        let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
        if panics.0 == self.0 { Ok(()) } else { Err(RunError::Device(format!("a panic: {}", panics.1))) }
    }
}
