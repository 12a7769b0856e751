//! The peaks of the processor, by every core of it together.

use super::dtype;
use crate::{backend::interface::Peak, event::Precision, format, host};
use std::time::Duration;
use wattscope_kernels::{isa::Isa, mac::MacOp, peak};

/// Time that a measurement of multiply-adds may take.
const PROBE_TIME: Duration = Duration::from_millis(60);
/// Caches that an array has to be larger than, so that copying it is copying memory.
const CACHES: u64 = 4;
/// Smallest and largest such array, bytes.
const ARRAY: (u64, u64) = (64 << 20, 1 << 30);
/// Time that each of two ways to move memory may take.
const MOVING_TIME: Duration = Duration::from_millis(30);

/// Operations a second in registers, by the instructions that the kernels use.
pub fn flops(precision: Precision) -> Peak {
    let (isa, dtype) = (Isa::detect(), dtype(precision));
    let what = match MacOp::select(isa, dtype) {
        MacOp::Fma(_) => "multiply-adds",
        MacOp::Dpbf16 => "products of pairs",
        MacOp::AmxBf16 => "products of tiles",
    };
    let per_second = peak::flops(isa, dtype, PROBE_TIME);
    Peak { per_second, how: format!("{what} in registers, on every core") }
}

/// Bytes a second of copying or reading an array that no cache holds; none where there is no memory for one.
pub fn bandwidth() -> Option<Peak> {
    let cache = host::largest_cache().unwrap_or(ARRAY.0 / CACHES);
    let spare = host::memory().map_or(u64::MAX, |memory| memory.available / 8);
    let bytes = (CACHES * cache).clamp(ARRAY.0, ARRAY.1).min(spare);
    let peak::Bandwidth { copy, read } = peak::bandwidth(usize::try_from(bytes).ok()?, MOVING_TIME)?;
    let what = if copy >= read { "copying" } else { "reading" };
    Some(Peak { per_second: copy.max(read), how: format!("{what} {} on every core", format::bytes(bytes)) })
}
