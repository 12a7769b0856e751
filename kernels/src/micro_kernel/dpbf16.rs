//! Micro-kernels of VDPBF16PS: two steps of the K loop at once, of inputs and weights in bf16. An instruction multiplies a
//! broadcast pair of inputs by 16 pairs of weights and adds both products to 16 sums in f32.

use super::{accumulators, args::TileArgs};
use crate::{
    element::bf16,
    simd::{LANES, bf16_pairs},
};
use std::arch::x86_64::{__m512, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512};

/// The K loop of `fma::micro_kernel` in steps of two. Chunks have an even length.
///
/// # Safety
/// See [`super::MicroKernel`].
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn dpbf16_avx512<const MR: usize, const NR: usize, const STRIDE: usize>(args: &TileArgs) {
    unsafe {
        let input = args.input.cast::<bf16>();
        let stride = if STRIDE == 0 { args.input_stride } else { STRIDE };
        let mut sums = accumulators::init::<__m512, MR, NR>(args);
        let mut weights = args.weights.cast::<bf16>();
        for (chunk, &offset) in args.k_chunks.iter().enumerate() {
            accumulators::prefetch_input::<bf16, MR>(args, stride, chunk);
            let mut x = input.add(offset);
            let end = x.add(args.k_chunk_len);
            while x < end {
                let mut w = [bf16_pairs(_mm512_setzero_si512()); NR];
                for n in 0..NR {
                    w[n] = bf16_pairs(_mm512_loadu_si512(weights.add(n * 2 * LANES).cast()));
                }
                for m in 0..MR {
                    let pair = bf16_pairs(_mm512_set1_epi32(x.add(m * stride).cast::<i32>().read_unaligned()));
                    for n in 0..NR {
                        sums[m][n] = _mm512_dpbf16_ps(sums[m][n], pair, w[n]);
                    }
                }
                weights = weights.add(2 * NR * LANES);
                x = x.add(2);
            }
        }
        accumulators::store(args, sums);
    }
}
