//! The kernel under every convolution and linear layer: a tile of P pixels of one row by Q blocks of output channels, kept
//! in registers while it sums over all taps. A tap's weights are vectors over channels; inputs are broadcast.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, pairs_of_bf16};
use crate::{
    element::{Element, Kind, bf16, f16},
    simd::{Isa, LANES, Lanes, prefetch},
};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m512, _mm512_dpbf16_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512};

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
    /// The input under the first pixel's first tap, as the kernel's [`Way`] has it.
    pub x: *const u8,
    /// From a pixel's input to the next pixel's.
    pub step: usize,
    /// Where a run of taps begins, from `x`.
    pub runs: &'a [usize],
    /// Taps in a run: so many values of the input lie side by side.
    pub run: usize,
    /// `[runs][run][Q][16]`, as the kernel's [`Way`] has them.
    pub weights: *const u8,
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

/// What a kernel multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// An input of f32 by weights as they are stored: vectors are widened when they are loaded.
    Single(Kind),
    /// An input of bf16 by weights of bf16, two products at a time: `[runs][run / 2][Q][16][2]`.
    Pairs,
    /// The same, and where there are several pixels, those of sixteen taps at a time (`amx`).
    Tiles,
}

impl Way {
    /// The way of an input and weights that are stored as `kind`.
    pub fn of(isa: Isa, kind: Kind) -> Self {
        match (isa, kind) {
            (Isa::Avx512Bf16, Kind::Bf16) => Self::Pairs,
            (Isa::Amx, Kind::Bf16) => Self::Tiles,
            _ => Self::Single(kind),
        }
    }

    /// Taps that are multiplied at once: a run is filled up with weights of zero.
    pub const fn at_once(self) -> usize {
        match self {
            Self::Single(_) => 1,
            Self::Pairs => 2,
            Self::Tiles => LANES,
        }
    }

    /// Bytes of a value of the input.
    pub const fn input_bytes(self) -> usize {
        match self {
            Self::Single(_) => size_of::<f32>(),
            Self::Pairs | Self::Tiles => size_of::<bf16>(),
        }
    }

    /// Bytes of a weight.
    pub const fn weight_bytes(self) -> usize {
        match self {
            Self::Single(Kind::F32) => size_of::<f32>(),
            Self::Single(Kind::F16 | Kind::Bf16) | Self::Pairs | Self::Tiles => size_of::<bf16>(),
        }
    }
}

/// A [`Tile`]'s kernel.
pub type Kernel = unsafe fn(&Tile);

#[inline(always)]
unsafe fn tile<V: Lanes, W: Element, const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe {
        let input = t.x.cast::<f32>();
        let step = if S == 0 { t.step } else { S };
        let mut sums = begin::<V, P, Q>(t);
        let mut weights = t.weights.cast::<W>();
        for (turn, &start) in t.runs.iter().enumerate() {
            ask_ahead::<f32, P>(t, step, turn);
            let mut x = input.add(start);
            let until = x.add(t.run);
            while x < until {
                let mut w = [V::splat(0.0); Q];
                for q in 0..Q {
                    w[q] = W::load(weights.add(q * LANES));
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
        end(t, sums);
    }
}

/// Asks for the input of a run or two later. It lies in a plane of its own, where no prefetcher finds it by itself; the next
/// tile's first ones are asked for with this tile's last.
#[inline(always)]
unsafe fn ask_ahead<T, const P: usize>(t: &Tile, step: usize, turn: usize) {
    let input = t.x.cast::<T>();
    let soon = turn + if t.run > LANES { 1 } else { 2 };
    let next = input.wrapping_add(P * step);
    let (from, run) = if soon < t.runs.len() { (input, soon) } else { (next, soon - t.runs.len()) };
    // SAFETY: the number of a run.
    let ahead = from.wrapping_add(unsafe { *t.runs.get_unchecked(run.min(t.runs.len() - 1)) });
    for p in 0..P {
        prefetch(ahead.wrapping_add(p * step));
    }
}

/// The sums that a tile begins with.
#[inline(always)]
unsafe fn begin<V: Lanes, const P: usize, const Q: usize>(t: &Tile) -> [[V; Q]; P] {
    unsafe {
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
        sums
    }
}

/// Stores what they have become.
#[inline(always)]
unsafe fn end<V: Lanes, const P: usize, const Q: usize>(t: &Tile, sums: [[V; Q]; P]) {
    unsafe {
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

/// What [`tile`] computes, of bf16 and two taps at a time.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn pairs<const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe {
        let input = t.x.cast::<bf16>();
        let step = if S == 0 { t.step } else { S };
        let mut sums = begin::<__m512, P, Q>(t);
        let mut weights = t.weights.cast::<bf16>();
        for (turn, &start) in t.runs.iter().enumerate() {
            ask_ahead::<bf16, P>(t, step, turn);
            let mut x = input.add(start);
            let until = x.add(t.run);
            while x < until {
                let mut w = [pairs_of_bf16(_mm512_setzero_si512()); Q];
                for q in 0..Q {
                    w[q] = pairs_of_bf16(_mm512_loadu_si512(weights.add(q * 2 * LANES).cast()));
                }
                for p in 0..P {
                    let pair = pairs_of_bf16(_mm512_set1_epi32(x.add(p * step).cast::<i32>().read_unaligned()));
                    for q in 0..Q {
                        sums[p][q] = _mm512_dpbf16_ps(sums[p][q], pair, w[q]);
                    }
                }
                weights = weights.add(2 * Q * LANES);
                x = x.add(2);
            }
        }
        end(t, sums);
    }
}

unsafe fn portable<W: Element, const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe { tile::<[f32; LANES], W, P, Q, S>(t) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<W: Element, const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe { tile::<Avx2, W, P, Q, S>(t) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<W: Element, const P: usize, const Q: usize, const S: usize>(t: &Tile) {
    unsafe { tile::<__m512, W, P, Q, S>(t) }
}

/// The kernel of a table's entry (P, Q), for input steps that are worth a kernel of their own; `W` where it is one for weights
/// of several kinds.
macro_rules! table {
    ($of:ident[$($w:ident)?], $pixels:expr, $blocks:expr, $step:expr; $($p:literal x $q:literal),+) => {
        table!(@ $of, [$($w)?], $pixels, $blocks, $step; $($p x $q),+)
    };
    (@ $of:ident, $w:tt, $pixels:expr, $blocks:expr, $step:expr; $($p:literal x $q:literal),+) => {
        match ($pixels, $blocks, $step) {
            $(($p, $q, 16) => Some(table!(@@ $of, $w, $p, $q, 16)),
              ($p, $q, 32) => Some(table!(@@ $of, $w, $p, $q, 32)),
              ($p, $q, _) => Some(table!(@@ $of, $w, $p, $q, 0)),)+
            _ => None,
        }
    };
    (@@ $of:ident, [], $p:literal, $q:literal, $s:literal) => { $of::<$p, $q, $s> as Kernel };
    (@@ $of:ident, [$w:ident], $p:literal, $q:literal, $s:literal) => { $of::<$w, $p, $q, $s> as Kernel };
}

/// The tiles of a vector unit with 32 registers of [`LANES`] values.
#[cfg(target_arch = "x86_64")]
macro_rules! many {
    ($of:ident[$($w:ident)?], $pixels:expr, $blocks:expr, $step:expr) => {
        table!($of[$($w)?], $pixels, $blocks, $step;
            1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 9 x 1, 10 x 1, 11 x 1, 12 x 1, 13 x 1, 14 x 1,
            1 x 2, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2, 7 x 2, 8 x 2, 9 x 2, 10 x 2, 11 x 2, 12 x 2, 13 x 2, 14 x 2,
            1 x 3, 2 x 3, 3 x 3, 4 x 3, 5 x 3, 6 x 3, 7 x 3, 8 x 3, 9 x 3,
            1 x 4, 2 x 4, 3 x 4, 4 x 4, 5 x 4, 6 x 4)
    };
}

/// The kernel for tiles of `pixels` × `blocks`, if there is one: sums, weights and one value of the input have to fit into the
/// registers, of which there are 32 or, without AVX-512, 16 of half the width. Sums that are spilled cost a fifth of the pace,
/// or half of it.
pub fn kernel(isa: Isa, way: Way, pixels: usize, blocks: usize, step: usize) -> Option<Kernel> {
    match way {
        Way::Single(Kind::F32) => single::<f32>(isa, pixels, blocks, step),
        Way::Single(Kind::F16) => single::<f16>(isa, pixels, blocks, step),
        Way::Single(Kind::Bf16) => single::<bf16>(isa, pixels, blocks, step),
        #[cfg(target_arch = "x86_64")]
        Way::Pairs | Way::Tiles => many!(pairs[], pixels, blocks, step),
        #[cfg(not(target_arch = "x86_64"))]
        Way::Pairs | Way::Tiles => None,
    }
}

fn single<W: Element>(isa: Isa, pixels: usize, blocks: usize, step: usize) -> Option<Kernel> {
    match isa {
        // NEON has 32 registers of a quarter of the width, SSE2 half as many.
        #[cfg(target_arch = "aarch64")]
        Isa::Portable => table!(portable[W], pixels, blocks, step; 1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1),
        #[cfg(not(target_arch = "aarch64"))]
        Isa::Portable => table!(portable[W], pixels, blocks, step; 1 x 1, 2 x 1),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => table!(avx2[W], pixels, blocks, step; 1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 1 x 2, 2 x 2),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => many!(avx512[W], pixels, blocks, step),
        #[cfg(not(target_arch = "x86_64"))]
        _ => None,
    }
}
