//! What an engine's process sets up before it touches a device: its memory limit, and its last words.

use crate::output;

/// Limits the data segment: an allocation beyond it fails in this process, with the number of bytes it asked for, before
/// the kernel starts to kill processes of its own choice.
pub fn limit_memory(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: setrlimit reads the struct, which outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } != 0 {
        output::warn(&format!("no memory limit: {}", std::io::Error::last_os_error()));
    }
}

/// A panic's message on one line of stderr, where the agent reads why its engine died. Not every panic ends the process:
/// the autotuner catches those of candidates that do not run here.
pub fn die_in_words() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
        let place = panic.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        let line = text.unwrap_or("no message").split_whitespace().collect::<Vec<_>>().join(" ");
        output::warn(&format!("panic: {line}{place}"));
    }));
}
