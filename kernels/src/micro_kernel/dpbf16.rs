//! Micro-kernels of VDPBF16PS: two steps of the K loop at once, of inputs and weights in bf16. An instruction multiplies a
//! broadcast pair of inputs by 16 pairs of weights and adds both products to 16 sums in f32.

use super::{accumulators, args::TileArgs};
use crate::{
    element::bf16,
    simd::{LANES, bf16_pairs},
};
use std::arch::asm;
use std::arch::x86_64::{
    __m512, __m512i, _mm512_and_si512, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
};

/// The K loop of `fma::micro_kernel` in steps of two. The last step of a chunk of odd length takes one, and a zero in place of what
/// follows in memory: that is another pixel, which may be NaN.
///
/// # Safety
/// See [`super::MicroKernel`].
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn dpbf16_avx512<const MR: usize, const NR: usize, const STRIDE: usize>(args: &TileArgs) {
    unsafe {
        let input = args.input.cast::<bf16>();
        let stride = if STRIDE == 0 { args.input_stride } else { STRIDE };
        let odd = args.k_chunk_len % 2;
        let pairs = args.k_chunk_len - odd;
        // Weights of a chunk behind those of its pairs: the odd one's, and padding.
        let rest = args.weights_chunk_stride - pairs * NR * LANES;
        let mut sums = accumulators::init::<__m512, MR, NR>(args);
        let mut weights = args.weights.cast::<bf16>();
        for (chunk, &offset) in args.k_chunks.iter().enumerate() {
            accumulators::prefetch_input::<bf16, MR>(args, stride, chunk);
            let mut x = input.add(offset);
            let end = x.add(pairs);
            while x < end {
                let w = load_weights::<NR>(weights);
                for m in 0..MR {
                    let pair = _mm512_set1_epi32(x.add(m * stride).cast::<i32>().read_unaligned());
                    sums[m] = multiply(sums[m], pair, w);
                }
                weights = weights.add(2 * NR * LANES);
                x = x.add(2);
            }
            if odd == 1 {
                let first = _mm512_set1_epi32(0xffff);
                let w = load_weights::<NR>(weights);
                for m in 0..MR {
                    let pair = _mm512_set1_epi32(x.add(m * stride).cast::<i32>().read_unaligned());
                    sums[m] = multiply(sums[m], _mm512_and_si512(pair, first), w);
                    // Keeps the loads in order: the compiler would load all pairs first, for which there are no registers.
                    asm!("", options(nostack, preserves_flags));
                }
            }
            weights = weights.add(rest);
        }
        accumulators::store(args, sums);
    }
}

/// The weights of a step: pairs of two K steps for 16 filters in each vector.
#[inline(always)]
unsafe fn load_weights<const NR: usize>(weights: *const bf16) -> [__m512i; NR] {
    unsafe {
        let mut w = [_mm512_setzero_si512(); NR];
        for n in 0..NR {
            w[n] = _mm512_loadu_si512(weights.add(n * 2 * LANES).cast());
        }
        w
    }
}

/// Adds the products of a pixel's pair of inputs.
#[inline(always)]
unsafe fn multiply<const NR: usize>(mut sums: [__m512; NR], pair: __m512i, weights: [__m512i; NR]) -> [__m512; NR] {
    for n in 0..NR {
        sums[n] = unsafe { _mm512_dpbf16_ps(sums[n], bf16_pairs(pair), bf16_pairs(weights[n])) };
    }
    sums
}
