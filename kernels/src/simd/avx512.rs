//! A vector in one zmm register. Needs AVX-512F.

use super::vector::F32x16;
use half::{bf16, f16};
use std::arch::x86_64::*;

/// Reinterprets 512 bits as 16 pairs of bf16, an operand of VDPBF16PS.
#[inline(always)]
pub fn bf16_pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both types are 64 bytes, and every bit pattern is valid.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

impl F32x16 for __m512 {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self) }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self)) }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self {
        unsafe {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        unsafe {
            let bits = _mm512_castps_si512(self);
            // Round to nearest, ties to even: add half an ulp less one, and one more where the kept part is odd.
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let bits = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(bits)));
        }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { _mm512_mul_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        unsafe { _mm512_max_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        unsafe { _mm512_min_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT }>(self) }
    }
    #[inline(always)]
    unsafe fn pow2(self) -> Self {
        unsafe { _mm512_scalef_ps(_mm512_set1_ps(1.0), self) }
    }
    #[inline(always)]
    unsafe fn recip(self) -> Self {
        unsafe {
            // VRCP14PS gives 14 bits; a Newton-Raphson step doubles them.
            let guess = _mm512_rcp14_ps(self);
            _mm512_fmadd_ps(guess, _mm512_fnmadd_ps(self, guess, _mm512_set1_ps(1.0)), guess)
        }
    }
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        unsafe {
            // VRSQRT14PS gives 14 bits; a Newton-Raphson step doubles them.
            let guess = _mm512_rsqrt14_ps(self);
            let half = _mm512_mul_ps(_mm512_mul_ps(self, guess), _mm512_set1_ps(0.5));
            _mm512_mul_ps(guess, _mm512_fnmadd_ps(half, guess, _mm512_set1_ps(1.5)))
        }
    }
}
