//! The interface between operators and the executor.

use crate::layout::Arena;
use std::ops::Range;

/// Bytes that a step reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Weights, once per pass.
    pub weights: usize,
    /// Feature maps of one image.
    pub per_image: usize,
}

/// An operator between feature maps of an arena, divided into independent tasks.
pub trait Step: Send + Sync {
    /// What it reads and writes.
    fn traffic(&self) -> Traffic;

    /// Number of tasks for `images` images.
    fn tasks(&self, images: usize, workers: usize) -> usize;

    /// Runs one task, of those that `tasks` counts for `arena.images` images and as many workers.
    ///
    /// A task writes only to rows of the output that are its own, and reads only maps that no task of this step writes.
    ///
    /// # Safety
    /// The arena must be allocated for the plan that the step belongs to. Each task must run once, and no other step on the
    /// same arena at the same time.
    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena);
}

/// Tasks per worker at least, so that none waits long for the last one.
const TASKS_PER_WORKER: usize = 4;

/// The channel blocks of all images divided into tasks: each block is one, or is cut into bands of rows where there are fewer
/// blocks than the workers need.
#[derive(Clone, Copy, Debug)]
pub struct RowBands {
    height: usize,
    per_block: usize,
}

impl RowBands {
    /// Cuts `blocks` channel blocks, of all images together, of `height` rows each.
    pub fn new(blocks: usize, height: usize, workers: usize) -> Self {
        let per_block = (TASKS_PER_WORKER * workers).div_ceil(blocks.max(1)).clamp(1, height.max(1));
        Self { height, per_block }
    }

    /// Bands of a block.
    pub const fn per_block(self) -> usize {
        self.per_block
    }

    /// The block and the rows of a task.
    pub fn rows(self, task: usize) -> (usize, Range<usize>) {
        let (block, band) = (task / self.per_block, task % self.per_block);
        (block, band * self.height / self.per_block..(band + 1) * self.height / self.per_block)
    }
}
