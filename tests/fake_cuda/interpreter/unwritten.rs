//! Reads of global memory that nobody wrote.
//!
//! They are no fault: kernels read past what they need and mask it away, as every card lets them. But such memory is never
//! an answer. A lane that reads it gets ones in every bit, which are NaN in every float, so what depends on it is seen to
//! be wrong; and the first such read of a launch is kept, with its place.

use super::{
    block::Block,
    space::{Access, Found, Kind},
    warp::Warp,
};
use crate::{fault::code, memory::Range};

/// What stands for a byte that nobody wrote.
const POISON: u8 = 0xff;

impl Block<'_> {
    /// Gives a lane the memory that it reads, with [`POISON`] where nobody wrote.
    ///
    /// # Errors
    /// An atomic access would leave in memory what it made of it.
    #[cold]
    pub fn read_unwritten(&mut self, warp: &Warp, access: &Access, range: &Range, lane: usize, at: u64) -> Found<()> {
        let bytes = access.bytes as usize;
        if access.kind == Kind::Atomic {
            let what = format!(
                "an atomic access to {bytes} bytes of global memory that nobody wrote: offset {} of allocation {} ({} bytes)",
                at - range.start,
                range.id,
                range.bytes
            );
            return Err(self.fault(warp, code::LAUNCH_FAILED, lane, what));
        }
        self.note_unwritten(warp, range, lane, at, bytes as u64);
        let mut copy = [0; super::load_store::WIDEST];
        // SAFETY: the bytes lie in the range.
        unsafe { std::ptr::copy_nonoverlapping(at as *const u8, copy.as_mut_ptr(), bytes) };
        poison(range, at, &mut copy[..bytes]);
        self.poisoned[lane] = copy;
        Ok(())
    }

    /// Puts [`POISON`] into a copy of global memory where nobody wrote.
    pub fn poison_copy(&mut self, warp: &Warp, lane: usize, at: u64, copy: &mut [u8]) {
        let bytes = copy.len() as u64;
        if !self.unwritten {
            return;
        }
        let allocations = self.allocations;
        if let Ok(range) = allocations.find(at, bytes)
            && !range.is_written(at, bytes)
        {
            self.note_unwritten(warp, range, lane, at, bytes);
            poison(range, at, copy);
        }
    }

    fn note_unwritten(&mut self, warp: &Warp, range: &Range, lane: usize, at: u64, bytes: u64) {
        self.counts.unwritten_reads += 1;
        if self.counts.unwritten.is_none() {
            let what = format!(
                "a read of {bytes} bytes of global memory that nobody wrote: offset {} of allocation {} ({} bytes)",
                at - range.start,
                range.id,
                range.bytes
            );
            self.counts.unwritten = Some(self.fault(warp, code::LAUNCH_FAILED, lane, what));
        }
    }
}

fn poison(range: &Range, at: u64, copy: &mut [u8]) {
    for (byte, at) in copy.iter_mut().zip(at..) {
        if !range.is_written(at, 1) {
            *byte = POISON;
        }
    }
}
