use half::{bf16, f16};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// f32 lanes of a vector, and channels of a channel block.
pub const LANES: usize = 16;

/// A vector of [`LANES`] f32 in registers.
///
/// # Safety
/// Every method needs the instructions of its implementation: call it only inside a function that enables the target
/// features, entered only where [`crate::isa::Isa`] found them. Pointers must be valid for [`LANES`] values; no alignment is
/// needed.
#[allow(clippy::missing_safety_doc)] // the section above holds for every method
pub trait F32x16: Copy {
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// Loads f16 and widens them.
    unsafe fn load_f16(from: *const f16) -> Self;
    /// Rounds to the nearest f16, ties to even, and stores.
    unsafe fn store_f16(self, to: *mut f16);
    /// Loads bf16 and widens them.
    unsafe fn load_bf16(from: *const bf16) -> Self;
    /// Rounds to the nearest bf16, ties to even, and stores.
    unsafe fn store_bf16(self, to: *mut bf16);
    /// Broadcasts a value to all lanes.
    unsafe fn splat(value: f32) -> Self;
    /// self + a · b: fused where the target has an FMA instruction.
    unsafe fn fma(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    unsafe fn max(self, other: Self) -> Self;
    unsafe fn min(self, other: Self) -> Self;
    /// Rounds to the nearest integer.
    unsafe fn round(self) -> Self;
    /// 2ˣ of integers from -126 to 127.
    unsafe fn pow2(self) -> Self;
    /// 1 / x to within 1 ulp.
    unsafe fn recip(self) -> Self;
    /// 1 / √x to within 1 ulp.
    unsafe fn rsqrt(self) -> Self;

    /// eˣ to about one part in ten million, for x clamped to [-87, 88]: 2ⁿ · p(r), with x = n · ln 2 + r and the coefficients
    /// of Cephes's `expf`.
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

/// Prefetches the cache line at `from` into all cache levels. Any address is allowed.
#[inline(always)]
pub fn prefetch<T>(from: *const T) {
    // SAFETY: a prefetch is a hint: it reads nothing, and an address that is not mapped is ignored.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}
