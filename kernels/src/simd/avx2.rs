use super::vector::{F32x16, LaneMask};
use half::{bf16, f16};
use std::arch::x86_64::*;

/// A vector in two ymm registers. Needs AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

/// Rounds to the nearest bf16, ties to even, in the low 16 bits of each lane. NaN becomes the NaN of all bits set: rounding could
/// carry its mantissa into the exponent and the sign.
#[inline(always)]
unsafe fn to_bf16(values: __m256) -> __m256i {
    unsafe {
        let bits = _mm256_castps_si256(values);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(values, values));
        _mm256_srli_epi32::<16>(_mm256_or_si256(rounded, nan))
    }
}

/// NaN in `a` is passed on as the second operand of the maximum; NaN in `b` by the mask of the comparison, whose bits are all set.
#[inline(always)]
unsafe fn max(a: __m256, b: __m256) -> __m256 {
    unsafe { _mm256_or_ps(_mm256_max_ps(b, a), _mm256_cmp_ps::<_CMP_UNORD_Q>(b, b)) }
}

/// `x` is the second operand, which is the result where it is NaN.
#[inline(always)]
unsafe fn clamp(x: __m256, low: __m256, high: __m256) -> __m256 {
    unsafe { _mm256_min_ps(high, _mm256_max_ps(low, x)) }
}

#[inline(always)]
unsafe fn prelu(x: __m256, slope: __m256) -> __m256 {
    unsafe {
        let positive = _mm256_cmp_ps::<_CMP_GT_OQ>(x, _mm256_setzero_ps());
        _mm256_blendv_ps(_mm256_mul_ps(x, slope), x, positive)
    }
}

impl F32x16 for Avx2 {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self {
        unsafe {
            let [low, high] = [_mm_loadu_si128(from.cast()), _mm_loadu_si128(from.add(8).cast())];
            Self(_mm256_cvtph_ps(low), _mm256_cvtph_ps(high))
        }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        unsafe {
            _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.0));
            _mm_storeu_si128(to.add(8).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(self.1));
        }
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self {
        unsafe {
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.add(8).cast()));
            let [low, high] = [_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high)];
            Self(_mm256_castsi256_ps(low), _mm256_castsi256_ps(high))
        }
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        unsafe {
            let [low, high] = [to_bf16(self.0), to_bf16(self.1)];
            // `vpackusdw` interleaves the halves of its operands by 128 bits; the permutation puts them in order.
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
            _mm256_storeu_si256(to.cast(), packed);
        }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        unsafe { Self(_mm256_fmadd_ps(a.0, b.0, self.0), _mm256_fmadd_ps(a.1, b.1, self.1)) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn max_of_numbers(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        unsafe { Self(max(self.0, other.0), max(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        unsafe { Self(clamp(self.0, low.0, high.0), clamp(self.1, low.1, high.1)) }
    }
    #[inline(always)]
    unsafe fn prelu(self, slope: Self) -> Self {
        unsafe { Self(prelu(self.0, slope.0), prelu(self.1, slope.1)) }
    }
    #[inline(always)]
    unsafe fn masked(self, mask: &LaneMask) -> Self {
        unsafe {
            let mask = Self::load(mask.0.as_ptr().cast());
            Self(_mm256_and_ps(self.0, mask.0), _mm256_and_ps(self.1, mask.1))
        }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        unsafe { Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)) }
    }
    #[inline(always)]
    unsafe fn pow2(self) -> Self {
        unsafe {
            let bias = _mm256_set1_epi32(127);
            let [low, high] = [_mm256_cvtps_epi32(self.0), _mm256_cvtps_epi32(self.1)];
            let [low, high] = [_mm256_add_epi32(low, bias), _mm256_add_epi32(high, bias)];
            Self(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)), _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high)))
        }
    }
    #[inline(always)]
    unsafe fn recip(self) -> Self {
        unsafe {
            let one = _mm256_set1_ps(1.0);
            Self(_mm256_div_ps(one, self.0), _mm256_div_ps(one, self.1))
        }
    }
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        unsafe { Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1)).recip() }
    }
}
