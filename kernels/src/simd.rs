//! Sixteen f32 at a time on whatever vector unit the processor has, chosen when the program starts.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Lanes of a vector, and channels of a block.
pub const LANES: usize = 16;

/// A vector of [`LANES`] f32.
///
/// # Safety
/// Implementations for a vector unit may only be entered where the processor has it: through a function that enables the
/// feature, see [`Isa::detect`]. Pointers must be good for [`LANES`] values.
pub trait Lanes: Copy {
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    /// self + a·b.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    /// The nearest whole number.
    unsafe fn round(self) -> Self;
    /// 2ˣ of whole numbers from -126 to 127.
    unsafe fn pow2(self) -> Self;
    /// 1/x, to the last bit or the one before.
    unsafe fn recip(self) -> Self;
    /// 1/√x, to the last bit or the one before.
    unsafe fn rsqrt(self) -> Self;

    /// eˣ to about one part in ten million: 2ⁿ · p(r), with x = n·ln 2 + r and the coefficients of Cephes's expf.
    #[inline(always)]
    unsafe fn exp(self) -> Self {
        unsafe {
            let x = self.max(Self::splat(-87.0)).min(Self::splat(88.0));
            let n = x.mul(Self::splat(std::f32::consts::LOG2_E)).round();
            let r = x.fma(n, Self::splat(-0.693_359_4)).fma(n, Self::splat(2.121_944_4e-4));
            let coefficients = [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5];
            let mut p = Self::splat(1.987_569_1e-4);
            for coefficient in coefficients {
                p = Self::splat(coefficient).fma(p, r);
            }
            r.add(Self::splat(1.0)).fma(p, r.mul(r)).mul(n.pow2())
        }
    }
}

/// Asks for the cache line at `from`, which may be anywhere, long before it is read.
#[inline(always)]
pub fn prefetch(from: *const f32) {
    // SAFETY: a hint: it reads nothing, and an address that is nobody's is ignored.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// What the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Whatever the target has at the least: SSE2 or NEON.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

impl Isa {
    /// The best one that this processor has.
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// Registers that a vector of [`LANES`] takes.
    pub const fn registers(self) -> usize {
        match self {
            Self::Portable => 4,
            Self::Avx2 => 2,
            Self::Avx512 => 1,
        }
    }

    /// Those that this processor has, the best last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    found.push(Self::Avx512);
                }
            }
        }
        found
    }
}

impl Lanes for [f32; LANES] {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; LANES]
    }
    #[inline(always)]
    unsafe fn fma(self, a: Self, b: Self) -> Self {
        // Without an instruction for it, rounding once is a call to a library.
        let fused = cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        std::array::from_fn(|i| if fused { a[i].mul_add(b[i], self[i]) } else { self[i] + a[i] * b[i] })
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * other[i])
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        std::array::from_fn(|i| if self[i] > other[i] { self[i] } else { other[i] })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        std::array::from_fn(|i| if self[i] < other[i] { self[i] } else { other[i] })
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // 1.5 · 2²³: adding it leaves no fraction.
        self.map(|x| x + 12_582_912.0 - 12_582_912.0)
    }
    #[inline(always)]
    unsafe fn pow2(self) -> Self {
        // SAFETY: the caller's promise: no NaN, and nothing beyond an i32.
        self.map(|x| f32::from_bits(((unsafe { x.to_int_unchecked::<i32>() } + 127) << 23) as u32))
    }
    #[inline(always)]
    unsafe fn recip(self) -> Self {
        self.map(|x| 1.0 / x)
    }
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        self.map(|x| 1.0 / x.sqrt())
    }
}

/// Two halves in AVX registers.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx2 {
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
    unsafe fn max(self, other: Self) -> Self {
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        unsafe { Self(_mm256_min_ps(self.0, other.0), _mm256_min_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        unsafe { Self(_mm256_round_ps::<NEAREST>(self.0), _mm256_round_ps::<NEAREST>(self.1)) }
    }
    #[inline(always)]
    unsafe fn pow2(self) -> Self {
        unsafe {
            let half = |x| {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(127));
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
            };
            Self(half(self.0), half(self.1))
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

#[cfg(target_arch = "x86_64")]
impl Lanes for __m512 {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self) }
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
        // Fourteen bits, and twice as many by a step of Newton's.
        unsafe {
            let guess = _mm512_rcp14_ps(self);
            _mm512_fmadd_ps(guess, _mm512_fnmadd_ps(self, guess, _mm512_set1_ps(1.0)), guess)
        }
    }
    #[inline(always)]
    unsafe fn rsqrt(self) -> Self {
        unsafe {
            let guess = _mm512_rsqrt14_ps(self);
            let half = _mm512_mul_ps(_mm512_mul_ps(self, guess), _mm512_set1_ps(0.5));
            _mm512_mul_ps(guess, _mm512_fnmadd_ps(half, guess, _mm512_set1_ps(1.5)))
        }
    }
}

/// Makes `$name(isa, …)` of a generic `$generic::<V>(…)`: the same code, compiled for each vector unit.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* $name:ident = $generic:ident($($argument:ident: $type:ty),* $(,)?)) => {
        $(#[$doc])*
        #[allow(private_interfaces)]
        pub(crate) unsafe fn $name(isa: $crate::simd::Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2($($argument: $type),*) {
                unsafe { $generic::<$crate::simd::Avx2>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512($($argument: $type),*) {
                unsafe { $generic::<std::arch::x86_64::__m512>($($argument),*) }
            }
            // SAFETY: an `Isa` other than the portable one comes from `Isa::detect`; the rest is the caller's promise.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx2 => avx2($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx512 => avx512($($argument),*),
                    _ => $generic::<[f32; $crate::simd::LANES]>($($argument),*),
                }
            }
        }
    };
}
pub(crate) use for_each_isa;
