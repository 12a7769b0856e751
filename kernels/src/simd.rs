//! Sixteen f32 at a time on whatever vector unit the processor has, chosen when the program starts.

use half::{bf16, f16, slice::HalfFloatSliceExt};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::sync::OnceLock;

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
    unsafe fn load_f16(from: *const f16) -> Self;
    unsafe fn store_f16(self, to: *mut f16);
    unsafe fn load_bf16(from: *const bf16) -> Self;
    unsafe fn store_bf16(self, to: *mut bf16);
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
pub fn prefetch<T>(from: *const T) {
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
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512F.
    Avx512,
    /// The same, with products of bf16.
    Avx512Bf16,
    /// The same, with tiles of them.
    Amx,
}

impl Isa {
    /// The best one that this processor has.
    pub fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| match Self::available().pop() {
            #[cfg(target_arch = "x86_64")]
            Some(Self::Avx512Bf16) if !crate::peak::pairs_pay() => Self::Avx512,
            best => best.unwrap_or(Self::Portable),
        })
    }

    /// Registers that a vector of [`LANES`] takes.
    pub const fn registers(self) -> usize {
        match self {
            Self::Portable => 4,
            Self::Avx2 => 2,
            Self::Avx512 | Self::Avx512Bf16 | Self::Amx => 1,
        }
    }

    /// Those that this processor has, the best last.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 =
                is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
            let avx512 = avx2 && is_x86_feature_detected!("avx512f");
            let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
            let amx = bf16 && crate::amx::available();
            let better = [(Self::Avx2, avx2), (Self::Avx512, avx512), (Self::Avx512Bf16, bf16), (Self::Amx, amx)];
            found.extend(better.into_iter().filter(|(_, has)| *has).map(|(isa, _)| isa));
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
    unsafe fn load_f16(from: *const f16) -> Self {
        let mut values = [0.0; LANES];
        unsafe { std::slice::from_raw_parts(from, LANES) }.convert_to_f32_slice(&mut values);
        values
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        unsafe { std::slice::from_raw_parts_mut(to, LANES) }.convert_from_f32_slice(&self);
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self {
        std::array::from_fn(|i| unsafe { from.add(i).read() }.to_f32())
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        (0..LANES).for_each(|i| unsafe { to.add(i).write(bf16::from_f32(self[i])) });
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

/// Sixteen pairs of bf16 of their bits.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn pairs_of_bf16(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes, of which any are a value.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// The nearest bf16 in the low half of each value's bits, and of two that are as near the even one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn to_bf16(values: __m256) -> __m256i {
    unsafe {
        let bits = _mm256_castps_si256(values);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
        _mm256_srli_epi32::<16>(rounded)
    }
}

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
            // Two halves of each, in the order in which packing leaves them.
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
            // To the nearest, and of two that are as near to the even one.
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

/// Makes `$name(isa, …)`, for values stored as `$element`, of a generic `$generic::<V, $element>(…)`: the same code, compiled
/// for each vector unit.
macro_rules! for_each_isa {
    ($(#[$doc:meta])* $name:ident<$element:ident> = $generic:ident($($argument:ident: $type:ty),* $(,)?)) => {
        $(#[$doc])*
        #[allow(private_interfaces)]
        pub(crate) unsafe fn $name<$element: $crate::element::Element>(isa: $crate::simd::Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2<$element: $crate::element::Element>($($argument: $type),*) {
                unsafe { $generic::<$crate::simd::Avx2, $element>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f")]
            unsafe fn avx512<$element: $crate::element::Element>($($argument: $type),*) {
                unsafe { $generic::<std::arch::x86_64::__m512, $element>($($argument),*) }
            }
            // SAFETY: an `Isa` other than the portable one comes from `Isa::detect`; the rest is the caller's promise.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx2 => avx2::<$element>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::simd::Isa::Avx512 | $crate::simd::Isa::Avx512Bf16 | $crate::simd::Isa::Amx => {
                        avx512::<$element>($($argument),*)
                    }
                    _ => $generic::<[f32; $crate::simd::LANES], $element>($($argument),*),
                }
            }
        }
    };
}
pub(crate) use for_each_isa;
