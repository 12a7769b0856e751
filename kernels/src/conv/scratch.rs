//! Scratch memory of the workers.

use crate::layout::ChannelVector;
use crate::simd::LANES;
use std::cell::RefCell;

/// A worker's scratch buffers, kept from task to task.
#[derive(Default)]
pub(super) struct Scratch {
    /// Widened inputs.
    pub input: Vec<ChannelVector>,
    /// Sums of a task, `[row][block][pixel][16]`.
    pub sums: Vec<ChannelVector>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Calls `f` with this worker's scratch buffers.
pub(super) fn with<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(f)
}

/// Grows a buffer to `len` f32, whose contents are arbitrary.
pub(super) fn reserve(buffer: &mut Vec<ChannelVector>, len: usize) -> *mut f32 {
    let vectors = len.div_ceil(LANES);
    if buffer.len() < vectors {
        buffer.resize(vectors, ChannelVector::ZERO);
    }
    buffer.as_mut_ptr().cast()
}
