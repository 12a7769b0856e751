//! What all micro-kernels of vector registers do before, after and beside their K loop. `MR` is in pixels, `NR` in channel
//! blocks.

use super::args::TileArgs;
use crate::simd::{F32x16, LANES, prefetch};

/// The accumulators' initial values: the bias, or the partial sums of the K blocks before.
///
/// # Safety
/// See [`super::MicroKernel`].
#[inline(always)]
pub unsafe fn init<V: F32x16, const MR: usize, const NR: usize>(args: &TileArgs) -> [[V; NR]; MR] {
    unsafe {
        let mut sums = [[V::splat(0.0); NR]; MR];
        for n in 0..NR {
            if args.bias.is_null() {
                for m in 0..MR {
                    sums[m][n] = V::load(args.out.add(n * args.out_block_stride + m * args.out_pixel_stride));
                }
            } else {
                let bias = V::load(args.bias.add(n * LANES));
                for m in 0..MR {
                    sums[m][n] = bias;
                }
            }
        }
        sums
    }
}

/// Epilogue in registers: residual add, clamp, zeros in unused lanes. Stores the accumulators.
///
/// # Safety
/// See [`super::MicroKernel`].
#[inline(always)]
pub unsafe fn store<V: F32x16, const MR: usize, const NR: usize>(args: &TileArgs, sums: [[V; NR]; MR]) {
    unsafe {
        let (low, high) = (V::splat(args.clamp.low), V::splat(args.clamp.high));
        for n in 0..NR {
            for m in 0..MR {
                let mut sum = sums[m][n];
                if !args.residual.is_null() {
                    let at = n * args.residual_block_stride + m * args.out_pixel_stride;
                    sum = sum.add(V::load(args.residual.add(at)));
                }
                sum = sum.clamp(low, high);
                if n == NR - 1 && !args.last_block_lanes.is_null() {
                    sum = sum.masked(&*args.last_block_lanes);
                }
                sum.store(args.out.add(n * args.out_block_stride + m * args.out_pixel_stride));
            }
        }
    }
}

/// Software prefetch of the input of a chunk ahead: the next one, or the one after it where chunks are short. Each chunk lies in
/// another plane or row, a jump that the hardware prefetchers do not foresee. The last chunks prefetch for the next tile.
///
/// # Safety
/// `args` must have a chunk at least.
#[inline(always)]
pub unsafe fn prefetch_input<T, const MR: usize>(args: &TileArgs, input_stride: usize, chunk: usize) {
    let input = args.input.cast::<T>();
    let ahead = chunk + if args.k_chunk_len > LANES { 1 } else { 2 };
    let next_tile = input.wrapping_add(MR * input_stride);
    let (from, chunk) =
        if ahead < args.k_chunks.len() { (input, ahead) } else { (next_tile, ahead - args.k_chunks.len()) };
    // SAFETY: the index is below the number of chunks.
    let from = from.wrapping_add(unsafe { *args.k_chunks.get_unchecked(chunk.min(args.k_chunks.len() - 1)) });
    for m in 0..MR {
        prefetch(from.wrapping_add(m * input_stride));
    }
}
