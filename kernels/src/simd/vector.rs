use half::{bf16, f16};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

/// f32 lanes of a vector, and channels of a channel block.
pub const LANES: usize = 16;

/// Which lanes of a vector are used: all bits set in those that are, none in the others.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMask(pub [u32; LANES]);

impl LaneMask {
    pub const ALL: Self = Self([u32::MAX; LANES]);

    /// The first `count` lanes.
    pub const fn first(count: usize) -> Self {
        let mut mask = [0; LANES];
        let mut lane = 0;
        while lane < count && lane < LANES {
            mask[lane] = u32::MAX;
            lane += 1;
        }
        Self(mask)
    }
}

/// A vector of [`LANES`] f32 in registers.
///
/// NaN and infinities go through every operation, but for [`Self::max_of_numbers`], as IEEE 754 and PyTorch have them: a NaN
/// never turns into a number. x86 does not do that by itself: `MAXPS a, b` is `a > b ? a : b`, the second operand where either is
/// NaN.
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
    /// The greater one; `other` where either is NaN. A single instruction, while [`Self::max`] is two or more.
    unsafe fn max_of_numbers(self, other: Self) -> Self;
    /// The greater one; NaN where either is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// min(max(self, low), high), which leaves NaN as it is. The bounds must not be NaN.
    unsafe fn clamp(self, low: Self, high: Self) -> Self;
    /// self where it is greater than zero, else slope · self.
    unsafe fn prelu(self, slope: Self) -> Self;
    /// Zero in the lanes that the mask leaves out, whatever they hold.
    unsafe fn masked(self, mask: &LaneMask) -> Self;
    /// Rounds to the nearest integer.
    unsafe fn round(self) -> Self;
    /// 2ˣ of integers from -126 to 127; infinity of 128, and any value of NaN.
    unsafe fn pow2(self) -> Self;
    /// 1 / x to within 1 ulp for normal numbers; exactly for zeros and infinities.
    unsafe fn recip(self) -> Self;
    /// 1 / √x to within 1 ulp for normal numbers; exactly for zero and infinity.
    unsafe fn rsqrt(self) -> Self;

    /// eˣ to about one part in ten million: 2ⁿ · p(r), with x = n · ln 2 + r and the coefficients of Cephes's `expf`. Infinity
    /// above 88.4; below -87 it is e⁻⁸⁷, which is next to nothing, but not zero.
    #[inline(always)]
    unsafe fn exp(self) -> Self {
        unsafe {
            // 89 rounds to n = 128, and 2¹²⁸ is infinity.
            let x = self.clamp(Self::splat(-87.0), Self::splat(89.0));
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
