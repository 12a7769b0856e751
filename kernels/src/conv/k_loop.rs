//! The loops around the micro-kernel: K blocks, rows, tiles of a row.

use super::operator::{Conv, Task};
use super::packing::Panel;
use crate::element::Element;
use crate::micro_kernel::{Clamp, TileArgs};
use crate::simd::LANES;

/// Bytes of packed weights of a K block at most: they stay in the L2 cache while a task's rows pass by.
const WEIGHT_BYTES: usize = 192 << 10;

/// Where a task's inputs are read, and where its sums go.
pub(super) struct Operands<X, O> {
    /// Offset of each K chunk from a pixel's first tap.
    pub k_chunks: Vec<usize>,
    /// Input stride from a pixel to the next.
    pub input_stride: usize,
    /// A row's first tap.
    pub input: X,
    /// Strides of the sums from a pixel, and from a channel block, to the next.
    pub out_pixel_stride: usize,
    pub out_block_stride: usize,
    /// A row's first sum.
    pub sums: O,
}

impl<E: Element> Conv<E> {
    /// Computes a task's sums. `prepare` adds the epilogue to the arguments of a row in the last K block; `finish` is called
    /// when a row is complete.
    pub(super) unsafe fn accumulate<X: Fn(usize) -> *const u8, O: Fn(usize) -> *mut f32>(
        &self,
        task: &Task,
        operands: &Operands<X, O>,
        prepare: impl Fn(usize, &mut TileArgs),
        finish: impl Fn(usize),
    ) {
        let panel = task.panel;
        let chunk_weights = self.k_chunk_len.next_multiple_of(self.mac.k_step()) * panel.blocks * LANES;
        let chunk_bytes = chunk_weights * self.mac.weight_bytes();
        let chunks_per_block = (WEIGHT_BYTES / chunk_bytes).max(1);
        let last_block_lanes = self.partial_lanes(panel.first_block + panel.blocks - 1);
        let mut done = 0;
        for k_chunks in operands.k_chunks.chunks(chunks_per_block) {
            let is_last = done + k_chunks.len() == operands.k_chunks.len();
            for row in task.rows.clone() {
                // SAFETY: the operands are those of the task's rows; weights and bias are the panel's.
                unsafe {
                    let bias = self.bias.as_ptr().cast::<f32>().add(panel.first_block * LANES);
                    let mut args = TileArgs {
                        input: (operands.input)(row),
                        input_stride: operands.input_stride,
                        k_chunks,
                        k_chunk_len: self.k_chunk_len,
                        weights_chunk_stride: chunk_weights,
                        weights: panel.weights.as_ptr().cast::<u8>().add(done * chunk_bytes),
                        bias: if done == 0 { bias } else { std::ptr::null() },
                        residual: std::ptr::null(),
                        residual_block_stride: 0,
                        out: (operands.sums)(row),
                        out_pixel_stride: operands.out_pixel_stride,
                        out_block_stride: operands.out_block_stride,
                        clamp: Clamp::NONE,
                        last_block_lanes: last_block_lanes.map_or(std::ptr::null(), std::ptr::from_ref),
                    };
                    if is_last {
                        prepare(row, &mut args);
                    }
                    self.tile_row(panel, args, task.width);
                    if is_last {
                        finish(row);
                    }
                }
            }
            done += k_chunks.len();
        }
    }

    /// A row in tiles of MR pixels; smaller ones at its end.
    unsafe fn tile_row(&self, panel: &Panel, mut args: TileArgs, width: usize) {
        let mut at = 0;
        while at < width {
            let Some((mr, kernel)) = self.kernels.largest(self.mr.min(width - at), panel.blocks) else { return };
            // SAFETY: the caller's obligation, for the next `mr` pixels.
            unsafe {
                kernel(&args);
                args.input = args.input.add(mr * args.input_stride * self.mac.input_bytes());
                args.out = args.out.add(mr * args.out_pixel_stride);
                if !args.residual.is_null() {
                    args.residual = args.residual.add(mr * args.out_pixel_stride);
                }
            }
            at += mr;
        }
    }
}
