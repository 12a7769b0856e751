//! What an engine's process sets up before it touches a device: its memory limit, its caches, its last words.

use crate::output;
use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
use etcetera::BaseStrategy;
use std::path::PathBuf;

/// Limits the data segment: an allocation beyond it fails in this process, with the number of bytes it asked for, before
/// the kernel starts to kill processes of its own choice.
pub fn limit_memory(bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: setrlimit reads the struct, which outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_DATA, &limit) } != 0 {
        output::note(&format!("no memory limit: {}", std::io::Error::last_os_error()));
    }
}

/// Keeps compiled kernels and autotune's choices in the user's cache folder: by default CubeCL keeps them below the
/// current directory where that is a Cargo project, and compiled kernels nowhere.
pub fn keep_caches() {
    // CubeCL's own variables hold as everywhere: CUBECL_AUTOTUNE_LEVEL, CUBECL_DEBUG_LOG.
    let mut config = CubeClRuntimeConfig::default().override_from_env();
    if let Some(folder) = cache_folder() {
        config.environment.path = CacheConfig::Directory(folder);
        config.compilation.cache = true;
    } else {
        config.autotune.disable_cache = true;
    }
    // Fails where something has read the configuration before: nothing has, this is the process's first act.
    CubeClRuntimeConfig::try_set(config);
}

/// The user's cache folder for wattscope, made where it is missing; none where that can't be done.
fn cache_folder() -> Option<PathBuf> {
    let folder = etcetera::choose_base_strategy().ok()?.cache_dir().join("wattscope");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder)
}

/// A panic's message on one line of stderr, where the agent reads why its engine died. Not every panic ends the process:
/// the autotuner catches those of candidates that do not run here.
pub fn die_in_words() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
        let place = panic.location().map(|l| format!(" ({}:{})", l.file(), l.line())).unwrap_or_default();
        let line = text.unwrap_or("no message").split_whitespace().collect::<Vec<_>>().join(" ");
        output::note(&format!("panic: {line}{place}"));
    }));
}
