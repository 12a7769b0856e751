//! A vector in one zmm register. Needs AVX-512F and BW.

use super::vector::{F32x16, LANES, LaneMask};
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
        // The upper word of each lane.
        const UPPER: [u16; 32] = {
            let mut words = [0; 32];
            let mut lane = 0;
            while lane < LANES {
                words[lane] = 2 * lane as u16 + 1;
                lane += 1;
            }
            words
        };
        unsafe {
            let bits = _mm512_castps_si512(self);
            // Round to nearest, ties to even: add half an ulp less one, and one more where the kept part is odd. That could carry
            // the mantissa of a NaN into the exponent and the sign: NaN is replaced while the words are gathered.
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            let numbers = u32::from(_mm512_cmp_ps_mask::<_CMP_ORD_Q>(self, self));
            let (nan, upper) = (_mm512_set1_epi16(0x7fc0), _mm512_loadu_si512(UPPER.as_ptr().cast()));
            let words = _mm512_mask_permutexvar_epi16(nan, numbers, upper, rounded);
            _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(words));
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
    unsafe fn max_of_numbers(self, other: Self) -> Self {
        unsafe { _mm512_max_ps(self, other) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // NaN in `self` is the second operand's; where `other` is NaN it stays as it is.
        unsafe { _mm512_mask_max_ps(other, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(other, other), other, self) }
    }
    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        // The value is the second operand, which wins where it is NaN.
        unsafe { _mm512_min_ps(high, _mm512_max_ps(low, self)) }
    }
    #[inline(always)]
    unsafe fn prelu(self, slope: Self) -> Self {
        unsafe {
            let not_positive = _mm512_cmp_ps_mask::<_CMP_NGT_UQ>(self, _mm512_setzero_ps());
            _mm512_mask_mul_ps(self, not_positive, self, slope)
        }
    }
    #[inline(always)]
    unsafe fn masked(self, mask: &LaneMask) -> Self {
        unsafe {
            let mask = _mm512_loadu_si512(mask.0.as_ptr().cast());
            _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(self), mask))
        }
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
            // VRCP14PS gives 14 bits; a Newton-Raphson step doubles them. Of zeros, infinities and NaN the guess is exact, and
            // the error NaN: 0 · ∞.
            let guess = _mm512_rcp14_ps(self);
            let error = _mm512_fnmadd_ps(self, guess, _mm512_set1_ps(1.0));
            _mm512_mask_fmadd_ps(guess, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(error, error), error, guess)
        }
    }
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        unsafe {
            // VRSQRT14PS gives 14 bits; a Newton-Raphson step doubles them. Of zero, infinity and NaN the guess is exact, and the
            // correction NaN: 0 · ∞.
            let guess = _mm512_rsqrt14_ps(self);
            let half = _mm512_mul_ps(_mm512_mul_ps(self, guess), _mm512_set1_ps(0.5));
            let correction = _mm512_fnmadd_ps(half, guess, _mm512_set1_ps(1.5));
            _mm512_mask_mul_ps(guess, _mm512_cmp_ps_mask::<_CMP_ORD_Q>(correction, correction), guess, correction)
        }
    }
}
