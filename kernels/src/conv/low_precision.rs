//! f16 and bf16: sums are made in f32, in a scratch buffer, and rounded once, when the epilogue is done. Inputs are widened to
//! f32 first (`widen`), unless the instruction multiplies bf16.

use super::k_loop::Operands;
use super::operator::{Conv, Task};
use super::scratch::{self, Scratch};
#[cfg(target_arch = "x86_64")]
use crate::amx;
use crate::element::Element;
#[cfg(target_arch = "x86_64")]
use crate::isa::Isa;
use crate::isa::dispatch::for_each_isa;
use crate::layout::{Arena, ChannelVector, FeatureMap};
use crate::mac::MacOp;
use crate::micro_kernel::Clamp;
use crate::simd::{F32x16, LANES, LaneMask};

/// Pixels of a row from which on AMX is faster than VDPBF16PS.
#[cfg(target_arch = "x86_64")]
const MIN_AMX_PIXELS: usize = 3;

impl<E: Element> Conv<E> {
    /// Computes a task of a convolution in a 16-bit type.
    pub(super) unsafe fn run_low_precision(&self, task: &Task, arena: &Arena) {
        let (x, out) = (arena.map(&self.x), arena.map(&self.out));
        let residual = self.residual.as_ref().map(|view| arena.map(view));
        scratch::with(|Scratch { input, sums }| {
            let row_len = task.panel.blocks * task.width * LANES;
            let sums = scratch::reserve(sums, task.rows.len() * row_len);
            // SAFETY: rows, blocks and chunks belong to the views, and `sums` has room for the task's rows.
            unsafe {
                let sums = |row: usize| sums.add((row - task.rows.start) * row_len);
                let store = |add_bias| move |row| self.store(task, add_bias, sums(row), residual.as_ref(), &out, row);
                let [out_pixel_stride, out_block_stride] = [LANES, task.width * LANES];
                if let MacOp::Fma(_) = self.mac {
                    let wide = self.widen_input(task, &x, arena.images, input);
                    let input = |row| self.first_tap_widened(&wide, task, row).cast();
                    let (k_chunks, input_stride) = (self.k_chunks(&wide), self.input_stride(&wide));
                    let operands = Operands { k_chunks, input_stride, input, out_pixel_stride, out_block_stride, sums };
                    return self.accumulate(task, &operands, |_, _| (), store(false));
                }
                let input = |row| self.first_tap(&x, task.panel, row).cast();
                let (k_chunks, input_stride) = (self.k_chunks(&x), self.input_stride(&x));
                let operands = Operands { k_chunks, input_stride, input, out_pixel_stride, out_block_stride, sums };
                #[cfg(target_arch = "x86_64")]
                if self.mac == MacOp::AmxBf16 && task.width >= MIN_AMX_PIXELS {
                    self.accumulate_amx(task, &operands);
                    for row in task.rows.clone() {
                        if self.reads_past_chunks() && has_nan(self.isa, sums(row), row_len / LANES) {
                            let row = Task { rows: row..row + 1, ..*task };
                            self.accumulate(&row, &operands, |_, _| (), store(false));
                        } else {
                            store(true)(row);
                        }
                    }
                    return;
                }
                self.accumulate(task, &operands, |_, _| (), store(false));
            }
        });
    }

    /// Whether the last step of a K chunk takes inputs that lie behind it. They are multiplied by weights of zero, but belong to
    /// other pixels and may be NaN or infinite, and then so are the products: sums that have become NaN are computed again
    /// with VDPBF16PS, which ends with the chunk. Only the first layer has such chunks, those of an image of 3 channels.
    #[cfg(target_arch = "x86_64")]
    const fn reads_past_chunks(&self) -> bool {
        !self.k_chunk_len.is_multiple_of(LANES)
    }

    /// Computes a task's sums, without bias, in tile registers. The K loop is not blocked: sums stay in registers over all of it.
    #[cfg(target_arch = "x86_64")]
    unsafe fn accumulate_amx<X: Fn(usize) -> *const u8, O: Fn(usize) -> *mut f32>(
        &self,
        task: &Task,
        operands: &Operands<X, O>,
    ) {
        let (blocks, width) = (task.panel.blocks, task.width);
        // As few tiles per row as possible, and no larger than that takes. If the row is no multiple of them, the last tile
        // overlaps the one before it.
        let tiles = width.div_ceil(amx::TILE_PIXELS);
        let pixels = width.div_ceil(tiles);
        let (bytes, input_stride) = (size_of::<E>(), operands.input_stride * size_of::<E>());
        let steps = |chunk: &usize| {
            let chunk = *chunk;
            (0..self.k_chunk_len).step_by(LANES).map(move |k| (chunk + k) * bytes)
        };
        let offsets: Vec<usize> = operands.k_chunks.iter().flat_map(steps).collect();
        let pixel_tile = |(row, tile): (usize, usize)| {
            let at = (tile * pixels).min(width - pixels);
            // SAFETY: a pixel of a row of the task, and the first and the last block of its panel.
            unsafe {
                let sums = (operands.sums)(row).add(at * LANES);
                let last_block = sums.add((blocks - 1) * operands.out_block_stride);
                amx::PixelTile { input: (operands.input)(row).add(at * input_stride), sums: [sums, last_block] }
            }
        };
        let all: Vec<(usize, usize)> =
            task.rows.clone().flat_map(|row| (0..tiles).map(move |tile| (row, tile))).collect();
        // SAFETY: this instruction is selected only where AMX is available. The inputs of a chunk's last step may lie past its
        // end, but within the arena, which has a vector to spare.
        unsafe {
            let registers = amx::Tiles::configure(pixels, LANES);
            let weights = task.panel.weights.as_ptr().cast();
            let k_loop = amx::KLoop { offsets: &offsets, input_stride, weights, blocks };
            for pair in all.chunks(2) {
                amx::multiply(&registers, &k_loop, pixel_tile(pair[0]), pair.get(1).map(|tile| pixel_tile(*tile)));
            }
        }
    }

    /// Epilogue of a row: bias where the sums lack it, residual, clamp, zeros in unused lanes; rounds and stores it, then applies
    /// the other activation.
    unsafe fn store(
        &self,
        task: &Task,
        add_bias: bool,
        sums: *const f32,
        residual: Option<&FeatureMap<E>>,
        out: &FeatureMap<E>,
        row: usize,
    ) {
        let (image, y) = self.image_and_line(row);
        let (images, width) = if Self::batch_as_row(&self.out) { (task.width, 1) } else { (1, task.width) };
        // SAFETY: the row is the task's.
        unsafe {
            for (n, i) in (0..task.panel.blocks).flat_map(|n| (0..images).map(move |i| (n, i))) {
                let block = task.panel.first_block + n;
                let residual = residual.map_or(std::ptr::null(), |map| map.at(image + i, block, y).cast_const());
                let from = sums.add((n * task.width + i) * LANES);
                let bias = if add_bias { &self.bias[block] } else { &ChannelVector::ZERO };
                let lanes = self.partial_lanes(block).unwrap_or(&LaneMask::ALL);
                let epilogue = BlockEpilogue { bias, residual, clamp: self.clamp, lanes };
                store_block(self.isa, from, &epilogue, out.at(image + i, block, y), width);
            }
            self.apply_epilogue(task, out, row);
        }
    }
}

/// What is done to the sums of a channel block of a row before they are rounded.
struct BlockEpilogue<'a, E> {
    bias: &'a ChannelVector,
    /// Null: nothing is added.
    residual: *const E,
    clamp: Clamp,
    lanes: &'a LaneMask,
}

for_each_isa!(store_block<E> = store_block_of_row(
    sums: *const f32,
    epilogue: &BlockEpilogue<E>,
    out: *mut E,
    width: usize,
));

#[inline(always)]
unsafe fn store_block_of_row<V: F32x16, E: Element>(
    sums: *const f32,
    epilogue: &BlockEpilogue<E>,
    out: *mut E,
    width: usize,
) {
    let BlockEpilogue { bias, residual, clamp, lanes } = epilogue;
    unsafe {
        let (low, high, bias) = (V::splat(clamp.low), V::splat(clamp.high), V::load(bias.0.as_ptr()));
        for i in 0..width {
            let mut sum = V::load(sums.add(i * LANES)).add(bias);
            if !residual.is_null() {
                sum = sum.add(E::load(residual.add(i * LANES)));
            }
            E::store(sum.clamp(low, high).masked(lanes), out.add(i * LANES));
        }
    }
}

/// Whether any of `vectors` vectors of sums has a NaN.
#[cfg(target_arch = "x86_64")]
unsafe fn has_nan(isa: Isa, sums: *const f32, vectors: usize) -> bool {
    let mut max = ChannelVector::ZERO;
    unsafe { max_of::<f32>(isa, sums, vectors, &mut max) };
    max.0.iter().any(|lane| lane.is_nan())
}

#[cfg(target_arch = "x86_64")]
for_each_isa!(max_of<E> = max_of_vectors(from: *const E, vectors: usize, max: &mut ChannelVector));

/// The maximum of each lane and `max`; NaN where one is NaN.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn max_of_vectors<V: F32x16, E: Element>(from: *const E, vectors: usize, max: &mut ChannelVector) {
    unsafe {
        let mut all = V::load(max.0.as_ptr());
        for i in 0..vectors {
            all = all.max(E::load(from.add(i * LANES)));
        }
        all.store(max.0.as_mut_ptr());
    }
}
