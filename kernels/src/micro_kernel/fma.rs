//! Micro-kernels of f32 fused multiply-adds: a broadcast input times a vector of weights. The inputs are f32, the weights of any
//! storage type `W`, widened when they are loaded.

use super::{accumulators, args::TileArgs};
#[cfg(target_arch = "x86_64")]
use crate::simd::Avx2;
use crate::{
    element::Element,
    simd::{F32x16, LANES},
};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;

/// The K loop: per step NR loads of weights, MR broadcasts of inputs and MR × NR multiply-adds. `STRIDE` is the input stride
/// where it is a compile-time constant (offsets become displacements), 0 where `args` has it.
#[inline(always)]
unsafe fn micro_kernel<V: F32x16, W: Element, const MR: usize, const NR: usize, const STRIDE: usize>(args: &TileArgs) {
    unsafe {
        let input = args.input.cast::<f32>();
        let stride = if STRIDE == 0 { args.input_stride } else { STRIDE };
        let mut sums = accumulators::init::<V, MR, NR>(args);
        let mut weights = args.weights.cast::<W>();
        for (chunk, &offset) in args.k_chunks.iter().enumerate() {
            accumulators::prefetch_input::<f32, MR>(args, stride, chunk);
            let mut x = input.add(offset);
            let end = x.add(args.k_chunk_len);
            while x < end {
                let mut w = [V::splat(0.0); NR];
                for n in 0..NR {
                    w[n] = W::load(weights.add(n * LANES));
                }
                for m in 0..MR {
                    let value = V::splat(*x.add(m * stride));
                    for n in 0..NR {
                        sums[m][n] = sums[m][n].fma(w[n], value);
                    }
                }
                weights = weights.add(NR * LANES);
                x = x.add(1);
            }
        }
        accumulators::store(args, sums);
    }
}

/// # Safety
/// See [`super::MicroKernel`].
pub unsafe fn fma_portable<W: Element, const MR: usize, const NR: usize, const STRIDE: usize>(args: &TileArgs) {
    unsafe { micro_kernel::<[f32; LANES], W, MR, NR, STRIDE>(args) }
}

/// # Safety
/// See [`super::MicroKernel`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
pub unsafe fn fma_avx2<W: Element, const MR: usize, const NR: usize, const STRIDE: usize>(args: &TileArgs) {
    unsafe { micro_kernel::<Avx2, W, MR, NR, STRIDE>(args) }
}

/// # Safety
/// See [`super::MicroKernel`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub unsafe fn fma_avx512<W: Element, const MR: usize, const NR: usize, const STRIDE: usize>(args: &TileArgs) {
    unsafe { micro_kernel::<__m512, W, MR, NR, STRIDE>(args) }
}
