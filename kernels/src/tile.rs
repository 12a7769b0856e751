//! The kernel under every convolution and linear layer: a tile of P pixels of one row by Q blocks of output channels, kept
//! in registers while it sums over all taps. A tap's weights are vectors over channels; inputs are broadcast.

#[cfg(target_arch = "x86_64")]
use crate::simd::Avx2;
use crate::simd::{Isa, LANES, Lanes, prefetch};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;

/// What is done to a sum before it is stored for good: + residual, then at least `low` and at most `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    pub low: f32,
    pub high: f32,
}

impl Clamp {
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// One call's work. Strides are in values.
pub struct Tile<'a> {
    /// The input under the first pixel's first tap.
    pub x: *const f32,
    /// From a pixel's input to the next pixel's.
    pub step: usize,
    /// Where a run of taps begins, from `x`.
    pub runs: &'a [usize],
    /// Taps in a run: so many values of the input lie side by side.
    pub run: usize,
    /// `[runs][run][Q][16]`.
    pub weights: *const f32,
    /// `[Q][16]`; null where the sums begun in `out` go on.
    pub bias: *const f32,
    /// What is added at the end, laid out as `out` is but for its own `residual_block`; null for nothing.
    pub residual: *const f32,
    pub residual_block: usize,
    pub out: *mut f32,
    /// From a pixel of `out` to the next one.
    pub out_step: usize,
    /// From a block of `out` to the next.
    pub out_block: usize,
    pub clamp: Clamp,
}

/// A [`Tile`]'s kernel.
pub type Kernel = unsafe fn(&Tile);

#[inline(always)]
unsafe fn tile<V: Lanes, const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe {
        let step = if S == 0 { t.step } else { S };
        let mut sums = [[V::splat(0.0); Q]; P];
        for q in 0..Q {
            if t.bias.is_null() {
                for p in 0..P {
                    sums[p][q] = V::load(t.out.add(q * t.out_block + p * t.out_step));
                }
            } else {
                let bias = V::load(t.bias.add(q * LANES));
                for p in 0..P {
                    sums[p][q] = bias;
                }
            }
        }
        let mut weights = t.weights;
        // A run's input lies in a plane of its own, where no prefetcher finds it by itself: it is asked for a run or two
        // before, the next tile's first ones with this tile's last.
        let next = t.x.wrapping_add(P * step);
        let first = if t.run > LANES { 1 } else { 2 };
        for (soon, &start) in (first..).zip(t.runs) {
            let (from, run) = if soon < t.runs.len() { (t.x, soon) } else { (next, soon - t.runs.len()) };
            let ahead = from.wrapping_add(*t.runs.get_unchecked(run.min(t.runs.len() - 1)));
            for p in 0..P {
                prefetch(ahead.wrapping_add(p * step));
            }
            let mut x = t.x.add(start);
            let end = x.add(t.run);
            while x < end {
                let mut w = [V::splat(0.0); Q];
                for q in 0..Q {
                    w[q] = V::load(weights.add(q * LANES));
                }
                for p in 0..P {
                    let value = V::splat(*x.add(p * step));
                    for q in 0..Q {
                        sums[p][q] = sums[p][q].fma(w[q], value);
                    }
                }
                weights = weights.add(Q * LANES);
                x = x.add(1);
            }
        }
        let (low, high) = (V::splat(t.clamp.low), V::splat(t.clamp.high));
        for q in 0..Q {
            for p in 0..P {
                let mut sum = sums[p][q];
                if !t.residual.is_null() {
                    sum = sum.add(V::load(t.residual.add(q * t.residual_block + p * t.out_step)));
                }
                sum.max(low).min(high).store(t.out.add(q * t.out_block + p * t.out_step));
            }
        }
    }
}

unsafe fn portable<const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe { tile::<[f32; LANES], P, Q, S>(t) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe { tile::<Avx2, P, Q, S>(t) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe { tile::<__m512, P, Q, S>(t) }
}

/// The kernel of a table's entry (P, Q), for input steps that are worth a kernel of their own.
macro_rules! table {
    ($of:ident, $pixels:expr, $blocks:expr, $step:expr; $($p:literal x $q:literal),+) => {
        match ($pixels, $blocks, $step) {
            $(($p, $q, 16) => Some($of::<$p, $q, 16> as Kernel),
              ($p, $q, 32) => Some($of::<$p, $q, 32> as Kernel),
              ($p, $q, _) => Some($of::<$p, $q, 0> as Kernel),)+
            _ => None,
        }
    };
}

/// The kernel for tiles of `pixels` × `blocks`, if there is one: sums, weights and one value of the input have to fit into the
/// registers, of which there are 32 or, without AVX-512, 16 of half the width. Sums that are spilled cost a fifth of the pace,
/// or half of it.
pub fn kernel(isa: Isa, pixels: usize, blocks: usize, step: usize) -> Option<Kernel> {
    match isa {
        // NEON has 32 registers of a quarter of the width, SSE2 half as many.
        #[cfg(target_arch = "aarch64")]
        Isa::Portable => table!(portable, pixels, blocks, step; 1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1),
        #[cfg(not(target_arch = "aarch64"))]
        Isa::Portable => table!(portable, pixels, blocks, step; 1 x 1, 2 x 1),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => table!(avx2, pixels, blocks, step; 1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 1 x 2, 2 x 2),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => table!(avx512, pixels, blocks, step;
            1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 9 x 1, 10 x 1, 11 x 1, 12 x 1, 13 x 1, 14 x 1,
            1 x 2, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2, 7 x 2, 8 x 2, 9 x 2, 10 x 2, 11 x 2, 12 x 2, 13 x 2, 14 x 2,
            1 x 3, 2 x 3, 3 x 3, 4 x 3, 5 x 3, 6 x 3, 7 x 3, 8 x 3, 9 x 3,
            1 x 4, 2 x 4, 3 x 4, 4 x 4, 5 x 4, 6 x 4),
        #[cfg(not(target_arch = "x86_64"))]
        _ => None,
    }
}
