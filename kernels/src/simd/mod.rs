//! Vectors of 16 f32: one trait, and an implementation for each register width.
//!
//! | implementation | registers of a vector | register file |
//! |---|---|---|
//! | `[f32; 16]` | 4 of 128 bits (SSE2, NEON), as the compiler vectorises the array | 16 xmm, or 32 on NEON |
//! | `Avx2` | 2 ymm | 16 |
//! | `__m512` | 1 zmm | 32 |
//!
//! The trait knows nothing of what a kernel computes, nor which of them the processor can run: that is [`crate::isa`]'s.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;
mod vector;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::bf16_pairs;
pub use vector::{F32x16, LANES, LaneMask, prefetch};
