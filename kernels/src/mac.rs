//! The multiply-accumulate instruction under a micro-kernel. It decides how the operands are laid out.

use crate::{
    element::{DType, bf16},
    isa::Isa,
    simd::LANES,
};

/// A multiply-accumulate instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacOp {
    /// Fused multiply-add in f32: a broadcast f32 of the input times a vector of weights, which are stored as given and widened
    /// when they are loaded.
    Fma(DType),
    /// VDPBF16PS: a broadcast pair of bf16 of the input times a vector of 16 pairs of bf16 weights; two steps of the K loop.
    Dpbf16,
    /// TDPBF16PS: 16 steps of the K loop for a tile of 16 pixels × 16 filters. Outputs too narrow for a tile use VDPBF16PS.
    AmxBf16,
}

impl MacOp {
    /// The instruction for inputs and weights stored as `dtype`.
    pub fn select(isa: Isa, dtype: DType) -> Self {
        match (isa, dtype) {
            (Isa::Avx512Bf16, DType::Bf16) => Self::Dpbf16,
            (Isa::Amx, DType::Bf16) => Self::AmxBf16,
            _ => Self::Fma(dtype),
        }
    }

    /// Steps of the K loop that one instruction takes. Chunks of the reduction are padded with zero weights to a multiple of it.
    pub const fn k_step(self) -> usize {
        match self {
            Self::Fma(_) => 1,
            Self::Dpbf16 => 2,
            Self::AmxBf16 => LANES,
        }
    }

    /// Bytes of an input element as the micro-kernel reads it.
    pub const fn input_bytes(self) -> usize {
        match self {
            Self::Fma(_) => size_of::<f32>(),
            Self::Dpbf16 | Self::AmxBf16 => size_of::<bf16>(),
        }
    }

    /// Bytes of a packed weight.
    pub const fn weight_bytes(self) -> usize {
        match self {
            Self::Fma(DType::F32) => size_of::<f32>(),
            Self::Fma(DType::F16 | DType::Bf16) | Self::Dpbf16 | Self::AmxBf16 => size_of::<bf16>(),
        }
    }
}
