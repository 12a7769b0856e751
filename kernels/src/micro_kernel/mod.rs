//! The inner loop of every convolution and linear layer: a micro-kernel computes an output tile of MR pixels of a row × NR
//! channel blocks of 16, whose sums stay in registers over the whole K loop.
//!
//! ```text
//!                         weights, packed: [k][NR][16]
//!                         ┌───────────┬───────────┐
//!                       k │ 16 filters│ 16 filters│   NR vector loads
//!                         └───────────┴───────────┘
//!   input                       ×           ×
//!   ┌───┐ pixel 0         ┌───────────┬───────────┐
//!   │ x │ broadcast    ×  │ sums[0][0]│ sums[0][1]│
//!   ├───┤ pixel 1         ├───────────┼───────────┤   MR × NR accumulators,
//!   │ x │ broadcast    ×  │ sums[1][0]│ sums[1][1]│   MR × NR multiply-adds
//!   ├───┤   ⋮             ├───────────┼───────────┤   per step of the K loop
//!   │ x │ pixel MR - 1  × │     ⋮     │     ⋮     │
//!   └───┘                 └───────────┴───────────┘
//! ```
//!
//! # Tile size selection
//!
//! A step costs MR · NR multiply-adds and MR + NR loads, so a larger tile needs fewer loads per multiply-add, and its many
//! accumulators hide the latency of the multiply-adds. The limit is the register file: accumulators, NR vectors of weights
//! and one broadcast input have to fit. Spilled accumulators were measured to cost between a fifth and a half of the
//! throughput.
//!
//! | instructions | registers | per vector | tiles, MR × NR | registers of the largest |
//! |---|---|---|---|---|
//! | AVX-512 FMA, VDPBF16PS | 32 zmm | 1 | ≤ 14 × 1, ≤ 14 × 2, ≤ 9 × 3, ≤ 6 × 4 | 14·2 + 2 + 1 = 31; 9·3 + 3 + 1 = 31; 6·4 + 4 + 1 = 29 |
//! | AVX2 FMA | 16 ymm | 2 | ≤ 6 × 1, ≤ 2 × 2 | 6·2 + 2 + 1 = 15; 2·2·2 + 4 + 1 = 13 |
//! | NEON | 32 of 128 bits | 4 | ≤ 6 × 1 | 6·4 + 4 + 1 = 29 |
//! | SSE2 | 16 xmm | 4 | ≤ 2 × 1 | 2·4 + 4 + 1 = 13 |
//! | AMX ([`crate::amx`]) | 8 tiles of 16 × 64 bytes | | 32 pixels × 2 | 2·2 sums + 2 inputs + 2 weights = 8 |
//!
//! Every smaller MR exists too, for the pixels at the end of a row: a tile never computes pixels that are not there. MR ends at
//! 14, which divides the widths of most networks' maps (7, 14, 28, 56, 112); 14 × 1 would leave registers free, but has more
//! accumulators than the latency needs. Which tile a layer uses is [`crate::conv`]'s choice.

mod accumulators;
mod args;
#[cfg(target_arch = "x86_64")]
mod dpbf16;
mod fma;

pub use args::{Clamp, MicroKernel, TileArgs};

use crate::{
    element::{DType, Element, bf16, f16},
    isa::Isa,
    mac::MacOp,
};
#[cfg(target_arch = "x86_64")]
use dpbf16::dpbf16_avx512;
use fma::fma_portable;
#[cfg(target_arch = "x86_64")]
use fma::{fma_avx2, fma_avx512};

/// The largest MR and NR of all micro-kernels.
pub const MAX_TILE: [usize; 2] = [14, 4];

/// Selects the function for a tile size MR × NR out of those listed. Input strides of 16 and 32 elements, channel blocks at
/// strides 1 and 2, have functions of their own. `W` where the function is generic over the weights' storage type.
macro_rules! select_tile {
    ($kernel:ident, [$($w:ident)?], $mr:expr, $nr:expr, $stride:expr; $($m:literal x $n:literal),+) => {
        select_tile!(@ $kernel, [$($w)?], $mr, $nr, $stride; $($m x $n),+)
    };
    (@ $kernel:ident, $w:tt, $mr:expr, $nr:expr, $stride:expr; $($m:literal x $n:literal),+) => {
        match ($mr, $nr, $stride) {
            $(($m, $n, 16) => Some(select_tile!(@@ $kernel, $w, $m, $n, 16)),
              ($m, $n, 32) => Some(select_tile!(@@ $kernel, $w, $m, $n, 32)),
              ($m, $n, _) => Some(select_tile!(@@ $kernel, $w, $m, $n, 0)),)+
            _ => None,
        }
    };
    (@@ $kernel:ident, [], $m:literal, $n:literal, $s:literal) => { $kernel::<$m, $n, $s> as MicroKernel };
    (@@ $kernel:ident, [$w:ident], $m:literal, $n:literal, $s:literal) => { $kernel::<$w, $m, $n, $s> as MicroKernel };
}

/// [`select_tile`] out of the tiles for 32 registers of a vector each.
#[cfg(target_arch = "x86_64")]
macro_rules! select_zmm_tile {
    ($kernel:ident, [$($w:ident)?], $mr:expr, $nr:expr, $stride:expr) => {
        select_tile!($kernel, [$($w)?], $mr, $nr, $stride;
            1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 7 x 1, 8 x 1, 9 x 1, 10 x 1, 11 x 1, 12 x 1, 13 x 1, 14 x 1,
            1 x 2, 2 x 2, 3 x 2, 4 x 2, 5 x 2, 6 x 2, 7 x 2, 8 x 2, 9 x 2, 10 x 2, 11 x 2, 12 x 2, 13 x 2, 14 x 2,
            1 x 3, 2 x 3, 3 x 3, 4 x 3, 5 x 3, 6 x 3, 7 x 3, 8 x 3, 9 x 3,
            1 x 4, 2 x 4, 3 x 4, 4 x 4, 5 x 4, 6 x 4)
    };
}

/// The micro-kernel for tiles of `mr` pixels × `nr` channel blocks, if there is one. It may be called on processors that have
/// `isa`, with inputs of that stride.
pub fn select(isa: Isa, mac: MacOp, mr: usize, nr: usize, input_stride: usize) -> Option<MicroKernel> {
    match mac {
        MacOp::Fma(DType::F32) => select_fma::<f32>(isa, mr, nr, input_stride),
        MacOp::Fma(DType::F16) => select_fma::<f16>(isa, mr, nr, input_stride),
        MacOp::Fma(DType::Bf16) => select_fma::<bf16>(isa, mr, nr, input_stride),
        #[cfg(target_arch = "x86_64")]
        MacOp::Dpbf16 | MacOp::AmxBf16 => select_zmm_tile!(dpbf16_avx512, [], mr, nr, input_stride),
        #[cfg(not(target_arch = "x86_64"))]
        MacOp::Dpbf16 | MacOp::AmxBf16 => None,
    }
}

fn select_fma<W: Element>(isa: Isa, mr: usize, nr: usize, stride: usize) -> Option<MicroKernel> {
    match isa {
        #[cfg(target_arch = "aarch64")]
        Isa::Portable => {
            select_tile!(fma_portable, [W], mr, nr, stride; 1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1)
        }
        #[cfg(not(target_arch = "aarch64"))]
        Isa::Portable => select_tile!(fma_portable, [W], mr, nr, stride; 1 x 1, 2 x 1),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => {
            select_tile!(fma_avx2, [W], mr, nr, stride; 1 x 1, 2 x 1, 3 x 1, 4 x 1, 5 x 1, 6 x 1, 1 x 2, 2 x 2)
        }
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx => select_zmm_tile!(fma_avx512, [W], mr, nr, stride),
        #[cfg(not(target_arch = "x86_64"))]
        _ => None,
    }
}
