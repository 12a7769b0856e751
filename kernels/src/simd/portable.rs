//! A vector as an array, which the compiler puts into whatever registers the target has: SSE2 or NEON.

use super::vector::{F32x16, LANES, LaneMask};
use half::{bf16, f16, slice::HalfFloatSliceExt};

impl F32x16 for [f32; LANES] {
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
        // Without an FMA instruction `mul_add` is a call to a library.
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
    unsafe fn max_of_numbers(self, other: Self) -> Self {
        std::array::from_fn(|i| if self[i] > other[i] { self[i] } else { other[i] })
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        std::array::from_fn(|i| if other[i] > self[i] || other[i].is_nan() { other[i] } else { self[i] })
    }
    #[inline(always)]
    unsafe fn clamp(self, low: Self, high: Self) -> Self {
        std::array::from_fn(|i| {
            let x = if low[i] > self[i] { low[i] } else { self[i] };
            if high[i] < x { high[i] } else { x }
        })
    }
    #[inline(always)]
    unsafe fn prelu(self, slope: Self) -> Self {
        std::array::from_fn(|i| if self[i] > 0.0 { self[i] } else { slope[i] * self[i] })
    }
    #[inline(always)]
    unsafe fn masked(self, mask: &LaneMask) -> Self {
        std::array::from_fn(|i| f32::from_bits(self[i].to_bits() & mask.0[i]))
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        // Adding 1.5 · 2²³ shifts the fraction out of the mantissa.
        self.map(|x| x + 12_582_912.0 - 12_582_912.0)
    }
    #[inline(always)]
    unsafe fn pow2(self) -> Self {
        // Adding 1.5 · 2²³ leaves the integer in the low bits of the mantissa, in two's complement; NaN is no special case, as it
        // would be for a conversion to an integer.
        self.map(|x| f32::from_bits((x + 12_582_912.0).to_bits().wrapping_add(127) << 23))
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
