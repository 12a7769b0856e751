//! Loops of one multiply-accumulate instruction on registers alone: how fast the processor issues it when nothing waits for
//! memory. [`crate::isa`] chooses between instructions by them, and [`crate::peak`] measures the peak.
//!
//! Each function runs `iterations` iterations and returns the FLOPs that it executed, two per multiply-accumulate. Each
//! iteration issues the instruction once for every one of `N` independent accumulators: as many as it takes to hide the
//! latency, and no more than fit into registers.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, bf16_pairs};
use crate::simd::{F32x16, LANES};
use std::hint::black_box;
#[cfg(target_arch = "x86_64")]
use std::{
    arch::x86_64::{__m512, _mm512_dpbf16_ps, _mm512_set1_epi32, _mm512_setzero_ps},
    time::Instant,
};

/// Multiply-adds of vectors as the baseline of the target has them.
pub fn portable_fma(iterations: u64) -> u64 {
    // SAFETY: the array needs no instructions beyond the baseline.
    unsafe { fma::<[f32; LANES], 2>(iterations) }
}

/// VFMADD231PS on ymm registers.
///
/// # Safety
/// The processor must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn avx2_fma(iterations: u64) -> u64 {
    unsafe { fma::<Avx2, 6>(iterations) }
}

/// VFMADD231PS on zmm registers.
///
/// # Safety
/// The processor must have AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
pub unsafe fn avx512_fma(iterations: u64) -> u64 {
    unsafe { fma::<__m512, 12>(iterations) }
}

/// VDPBF16PS on zmm registers.
///
/// # Safety
/// The processor must have AVX-512F and AVX512-BF16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
pub unsafe fn dpbf16(iterations: u64) -> u64 {
    const N: usize = 12;
    // Both halves of each pair are 0.5.
    let pairs = bf16_pairs(_mm512_set1_epi32(black_box(0x3f00_3f00)));
    let mut sums = [_mm512_setzero_ps(); N];
    for _ in 0..iterations {
        for sum in &mut sums {
            *sum = _mm512_dpbf16_ps(*sum, pairs, pairs);
        }
    }
    black_box(&sums);
    (2 * 2 * LANES * N) as u64 * iterations
}

/// Whether VDPBF16PS does more FLOPs a second than VFMADD231PS. Some processors have it to save memory only, at half the rate.
/// Takes a fraction of a millisecond.
///
/// # Safety
/// The processor must have AVX-512F and AVX512-BF16.
#[cfg(target_arch = "x86_64")]
pub unsafe fn dpbf16_beats_fma() -> bool {
    const ITERATIONS: u64 = 1 << 12;
    let rate = |probe: unsafe fn(u64) -> u64| {
        let start = Instant::now();
        // SAFETY: the caller's obligation.
        let flops = unsafe { probe(ITERATIONS) };
        flops as f64 / start.elapsed().as_secs_f64()
    };
    let best = |probe| (0..3).map(|_| rate(probe)).fold(0.0, f64::max);
    best(dpbf16) > best(avx512_fma)
}

/// Chains of fused multiply-adds.
#[inline(always)]
unsafe fn fma<V: F32x16, const N: usize>(iterations: u64) -> u64 {
    // SAFETY: the caller has the instructions of `V`, and `line` has room for a vector.
    unsafe {
        // x ← 0.5 · x + 0.5 converges to 1: neither overflow nor subnormal numbers, which would be slower.
        let (factor, addend) = (V::splat(0.5), V::splat(0.5));
        let mut sums = [V::splat(black_box(0.75)); N];
        for _ in 0..iterations {
            for sum in &mut sums {
                *sum = addend.fma(*sum, factor);
            }
        }
        let mut line = [0.0; LANES];
        for sum in sums {
            sum.store(line.as_mut_ptr());
            black_box(&line);
        }
    }
    (2 * LANES * N) as u64 * iterations
}
