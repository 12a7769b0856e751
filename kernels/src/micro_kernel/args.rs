//! The interface of the micro-kernels.

use crate::simd::LaneMask;

/// Bounds of the clamp that the epilogue ends with. ReLU is [0, ∞), ReLU6 [0, 6].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    pub low: f32,
    pub high: f32,
}

impl Clamp {
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };
}

/// Arguments of one call: an output tile of MR pixels of a row × NR channel blocks. Offsets and strides are in elements.
pub struct TileArgs<'a> {
    /// The input at the first pixel's first tap: f32 or bf16, as [`crate::mac::MacOp`] says.
    pub input: *const u8,
    /// Input stride from a pixel of the tile to the next.
    pub input_stride: usize,
    /// The K loop: where each contiguous chunk of the reduction begins, from `input`.
    pub k_chunks: &'a [usize],
    /// Elements of a chunk. What lies behind it is no operand: it may be NaN.
    pub k_chunk_len: usize,
    /// Elements of packed weights from a chunk to the next: more than a chunk has where it is padded to a
    /// [`crate::mac::MacOp::k_step`].
    pub weights_chunk_stride: usize,
    /// Packed weights in the order of the K loop, `[chunk][k][NR][16]`; `[chunk][k / 2][NR][16][2]` for VDPBF16PS.
    pub weights: *const u8,
    /// `[NR][16]`: what the accumulators start from. Null: they start from the partial sums in `out`.
    pub bias: *const f32,
    /// Epilogue: what is added before the clamp, laid out as `out` but for `residual_block_stride`. Null: nothing.
    pub residual: *const f32,
    pub residual_block_stride: usize,
    pub out: *mut f32,
    /// Stride of `out` and `residual` from a pixel to the next.
    pub out_pixel_stride: usize,
    /// Stride of `out` from a channel block to the next.
    pub out_block_stride: usize,
    /// Epilogue: the clamp.
    pub clamp: Clamp,
    /// Epilogue: the lanes that the last of the NR blocks uses. Others are stored as zero: their sums of 0 · ∞ are NaN. Null where
    /// it uses all.
    pub last_block_lanes: *const LaneMask,
}

/// A micro-kernel: computes the output tile that its arguments describe.
///
/// # Safety
/// The processor must have the instruction set that it was selected for. All MR pixels' inputs at all K offsets, the weights,
/// NR vectors of `bias`, the mask, and the tiles of `out` and `residual` must be valid, those that may be null unless they are;
/// `out` must not be accessed by another thread meanwhile.
pub type MicroKernel = unsafe fn(&TileArgs);
