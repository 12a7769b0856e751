//! Convolutions and linear layers: direct convolution on blocked maps, no im2col. A linear layer is a convolution whose kernel
//! covers its whole input.
//!
//! # From weights to output
//!
//! 1. **Packing**, once per layer ([`Parameters`], `packing`): batch norm is folded into weights and bias, weights are rounded
//!    to their storage type and put into the order in which the micro-kernel reads them, in *panels* of NR channel blocks of
//!    filters (16 · NR filters): `[panel][K chunk][k][NR][16]`.
//! 2. **Tasks**: a task is one panel × a range of output rows, sized so that the rows' outputs stay in the L2 cache. Tasks
//!    of a layer are independent; workers take them one by one ([`crate::executor`]).
//! 3. **K blocks**: where a panel is larger than its share of the L2 cache, the reduction is cut, and the task's rows are
//!    computed once per K block, accumulating in the output.
//! 4. **Micro-kernel** ([`crate::micro_kernel`]): MR pixels × NR blocks of sums in registers over a K block.
//! 5. **Epilogue**: residual add and clamp while sums are in registers; other activations over the row while it is in L1.
//!
//! # The loop nest
//!
//! ```text
//! for panel                                   ┐ NR blocks of filters of one group       one task:
//!   for rows of the output, of all images     ┘ ≤ 128 KiB of outputs                    one worker
//!     for K block                               ≤ 192 KiB of packed weights             L2 cache
//!       for row
//!         for tile of MR pixels                                                         micro-kernel
//!           ┌───────────────────────────────────────────────────────────────────────┐
//!           │ sums[MR][NR] = bias, or the partial sums of the K block before        │  registers
//!           │ for K chunk            channel block × kernel row (× kernel column)   │
//!           │   prefetch the input of a chunk ahead                                 │  L1 cache
//!           │   for k in chunk       kernel width · 16 contiguous input elements    │
//!           │     w[NR]    = load packed weights, 16 filters each                   │
//!           │     for m in MR        broadcast input[m · stride + k]                │
//!           │       for n in NR      sums[m][n] += w[n] · broadcast                 │
//!           │ last K block: sums += residual; clamp                                 │  epilogue
//!           │ store sums                                                            │
//!           └───────────────────────────────────────────────────────────────────────┘
//!         last K block: PReLU, sigmoid or SiLU over the row                             L1 cache
//! ```
//!
//! The reduction K runs over input channels, kernel rows and kernel columns. A pixel's 16 channels are contiguous, and so are
//! neighbouring pixels: without horizontal dilation, a whole kernel row of a channel block is one chunk. The halo of zeros
//! around a map serves as padding: no loop has an edge case.
//!
//! Where the output is one pixel (a linear layer), the images of the batch take the place of the pixels of a row, so that
//! weights are read once per batch.
//!
//! # Variants
//!
//! - `direct`: f32. Tiles read the input map and write the output map.
//! - `low_precision`: f16 and bf16. Sums go to a scratch buffer in f32 and are rounded once, in the epilogue. Inputs are
//!   widened to f32 in a scratch buffer first, or multiplied as bf16 by VDPBF16PS or AMX.

mod direct;
mod k_loop;
mod low_precision;
mod operator;
mod packing;
mod scratch;
mod shape;
mod tile_size;
mod widen;

pub use operator::Conv;
pub use packing::{Parameters, bias_vectors};
pub use shape::Shape;

use crate::element::{DType, Element};
use crate::layout::Arena;
use crate::step::{Step, Traffic};

impl<E: Element> Step for Conv<E> {
    fn traffic(&self) -> Traffic {
        let weights = self.panels.iter().map(|panel| size_of_val(&*panel.weights)).sum();
        let residual = self.residual.map_or(0, |view| view.bytes());
        Traffic { weights, per_image: self.x.bytes() + residual + self.out.bytes() }
    }

    fn tasks(&self, images: usize, workers: usize) -> usize {
        self.panels.len() * self.rows(images).div_ceil(self.rows_per_task(images, workers))
    }

    unsafe fn run(&self, task: usize, workers: usize, arena: &Arena) {
        let task = self.task(task, workers, arena.images);
        // SAFETY: the panel's filters and the rows belong to the output's view.
        unsafe {
            if E::DTYPE == DType::F32 { self.run_direct(&task, arena) } else { self.run_low_precision(&task, arena) }
        }
    }
}
