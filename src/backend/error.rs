//! What can go wrong with a device, with a model on it, and with its layers.

use crate::{
    event::Precision,
    model::{capture::CaptureError, fold::FoldError, weights::checkpoint::CheckpointError},
};
use burn_backend::ExecutionError;
use thiserror::Error;

/// A device or precision that can't be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No such name.
    #[error("unknown device '{name}': {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A device of that kind could exist, but does not here.
    #[error("{name}: {reason}")]
    Absent {
        /// What was asked for.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The device does not compute in that precision.
    #[error("{device} has no {asked}: it has {has}{hint}")]
    Precision {
        /// The device.
        device: String,
        /// What was asked for.
        asked: Precision,
        /// What it has.
        has: String,
        /// What to ask for instead, where that is not obvious.
        hint: &'static str,
    },
    /// Burn does not find what the driver has.
    #[error("Burn finds no device {0}, though the driver does")]
    Hidden(String),
}

/// A model that could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The device could not be opened.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Its weights could not be loaded.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Its batch norms could not be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// What can go wrong with a batch.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RunError {
    /// The device had not enough memory.
    #[error("out of memory{}: {message}", requested_text(*.requested))]
    OutOfMemory {
        /// Bytes asked for, where the device said.
        requested: Option<u64>,
        /// What the device said.
        message: String,
    },
    /// The outputs are not finite, and the weights are the user's own: the device is sound.
    #[error("{0}")]
    Weights(String),
    /// Anything else; the device may be unusable from now on.
    #[error("{0}")]
    Device(String),
}

/// An error with its causes in one line, the innermost cause first: it says what happened, and those around it where.
fn in_one_line(text: &str) -> String {
    const CAUSED: &str = "Caused by:";
    /// Longest text that is shown of an error, characters.
    const LONGEST: usize = 600;
    let is_trace = |line: &str| {
        line.eq_ignore_ascii_case("stack backtrace:") || line.starts_with("[Source]") || line.starts_with("Backtrace")
    };
    let own: Vec<&str> = text.lines().map(str::trim).take_while(|line| !is_trace(line)).collect();
    let causes = own.split(|line| *line == CAUSED).map(|cause| {
        let lines = cause.iter().filter(|line| !line.is_empty()).flat_map(|line| line.split(CAUSED));
        lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    });
    let mut causes: Vec<String> = causes.filter(|cause| !cause.is_empty()).collect();
    causes.reverse();
    causes.dedup();
    // The outer ones repeat it in more general words.
    causes.truncate(3);
    causes.join(", in: ").chars().take(LONGEST).collect()
}

fn requested_text(requested: Option<u64>) -> String {
    requested.map_or_else(String::new, |bytes| format!(" allocating {bytes} bytes"))
}

impl RunError {
    /// Sorts an error of Burn or of the allocator by its text: neither passes the variant on.
    pub fn from_text(text: &str) -> Self {
        const SIGNS: [&str; 7] = [
            "cuda_error_out_of_memory",
            "out of memory",
            "out of device memory",
            "out-of-memory",
            "outofmemory",
            "memory allocation of",
            // CubeCL's word for a buffer larger than a page may be, a quarter of the card's memory.
            "can't allocate buffer of size",
        ];
        let lacks_memory = |line: &&str| SIGNS.iter().any(|sign| line.to_lowercase().contains(sign));
        if let Some(line) = text.lines().map(str::trim).find(lacks_memory) {
            return Self::OutOfMemory { requested: requested_bytes(&line.to_lowercase()), message: line.to_owned() };
        }
        Self::Device(in_one_line(text))
    }
}

impl RunError {
    /// An input was handed to a runner that it was not made for.
    pub fn other_input() -> Self {
        Self::Device("an input of another network".to_owned())
    }
}

impl From<ExecutionError> for RunError {
    fn from(error: ExecutionError) -> Self {
        Self::from_text(&error.to_string())
    }
}

/// The number in `allocating N bytes` or `buffer of size: N` (CubeCL), or `memory allocation of N bytes failed` (Rust).
fn requested_bytes(text: &str) -> Option<u64> {
    let after =
        ["allocating ", "memory allocation of ", "buffer of size: "].iter().find_map(|sign| text.split_once(sign))?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Why there are no times of layers.
#[derive(Debug, Error)]
pub enum LayersError {
    /// The network does something that is not known here.
    #[error("an operation that can't be run by itself: {0}")]
    Operation(String),
    /// What the layers compute is not what the network computes.
    #[error("run one by one, the layers end {0:.1} standard deviations from the network's logits")]
    Differs(f64),
    /// The network could not be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A pass failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_errors_with_what_was_asked_for() {
        let of = RunError::from_text;
        let card = of("An error happened\nCaused by:\n  out of device memory allocating 1073741824 bytes\n");
        assert!(matches!(card, RunError::OutOfMemory { requested: Some(1_073_741_824), .. }), "{card:?}");
        let host = of("memory allocation of 4096 bytes failed");
        assert!(matches!(host, RunError::OutOfMemory { requested: Some(4096), .. }), "{host:?}");
        let page = of("An IO error happened\nCaused by:\n  can't allocate buffer of size: 30000000000\n");
        assert!(matches!(page, RunError::OutOfMemory { requested: Some(30_000_000_000), .. }), "{page:?}");
        assert!(matches!(of("OutOfMemory"), RunError::OutOfMemory { requested: None, .. }));
        let code = of("Several failures at once\nCaused by:\n  cuMemAllocAsync failed: CUDA_ERROR_OUT_OF_MEMORY\n");
        assert!(matches!(code, RunError::OutOfMemory { requested: None, .. }), "{code:?}");
        assert!(matches!(of("illegal address"), RunError::Device(_)));
    }

    #[test]
    fn the_innermost_cause_is_said_first_and_no_backtrace() {
        let text = "The server failed\n\nCaused by:\n    Several failures at once\nCaused by:\n    cuLaunchKernel: \
                    CUDA_ERROR_ILLEGAL_ADDRESS\nstack backtrace:\n   0: main\n";
        let said = RunError::from_text(text).to_string();
        assert_eq!(
            said,
            "cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS, in: Several failures at once, in: The server failed"
        );
        assert_eq!(RunError::from_text("one line\nand another").to_string(), "one line and another");
    }
}
