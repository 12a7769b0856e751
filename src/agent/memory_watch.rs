//! Whether an engine was killed because memory was out. The kernel does that with SIGKILL, so the engine can't say it itself.

use super::engine_process::EngineExit;
use crate::{format, host};

/// Share of the memory from which on an engine is said to have been near its end, where the kernel does not count its kills.
const NEAR: f64 = 0.8;

/// What is known of memory while an engine runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryWatch {
    /// Processes that the kernel had killed for memory when the engine was started.
    kills: Option<u64>,
    /// The engine's resident set as it reported it last, bytes.
    pub resident: Option<u64>,
}

impl MemoryWatch {
    /// To be called when an engine is started.
    pub fn begin() -> Self {
        Self { kills: host::killed_for_memory(), resident: None }
    }

    /// Says how memory ended the engine, if it did.
    pub fn explain(&self, exit: &EngineExit) -> Option<String> {
        let total = host::memory().map(|memory| memory.total);
        if !exit.killed || !self.was_out(host::killed_for_memory(), total) {
            return None;
        }
        let limit = host::limits().memory.map(|limit| format!(" ({} by {})", format::bytes(limit.to), limit.by));
        Some(format!("the kernel killed the engine because memory was out{}", limit.unwrap_or_default()))
    }

    /// Whether memory was out, given the kernel's count of kills now and the memory that there is.
    fn was_out(&self, kills: Option<u64>, total: Option<u64>) -> bool {
        match self.kills.zip(kills) {
            Some((before, now)) => now > before,
            None => self.resident.zip(total).is_some_and(|(used, total)| used as f64 >= NEAR * total as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_counts_as_out_of_memory_where_the_kernel_counted_it_or_memory_was_nearly_out() {
        let watch = |kills, resident| MemoryWatch { kills, resident };
        assert!(watch(Some(2), None).was_out(Some(3), None));
        assert!(!watch(Some(2), Some(1 << 30)).was_out(Some(2), Some(1 << 30)), "somebody else killed it");
        assert!(watch(None, Some(390 << 20)).was_out(Some(3), Some(400 << 20)));
        assert!(!watch(None, Some(90 << 20)).was_out(None, Some(400 << 20)));
        let exit = |killed| EngineExit { reason: String::new(), killed, stderr: String::new() };
        assert_eq!(watch(Some(0), Some(u64::MAX)).explain(&exit(false)), None, "it ended by itself");
    }
}
