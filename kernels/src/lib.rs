//! Kernels for inference on the CPU: convolutions, linear layers, pools and what stands between, on feature maps in blocks
//! of 16 channels. A crate of its own so that the development profile optimises it, and not all that is around it.
//!
//! Unsafe code is here and nowhere else in the arithmetic: kernels go over raw rows, since tasks write to one map at once.
//! A plan's views say which rows are whose.

#![allow(clippy::missing_safety_doc, clippy::needless_range_loop)] // one caller, see `run::Step`; loops over registers

#[cfg(target_arch = "x86_64")]
pub mod amx;
pub mod conv;
pub mod depthwise;
pub mod element;
pub mod layout;
pub mod peak;
pub mod pointwise;
pub mod pool;
pub mod rearrange;
pub mod run;
pub mod simd;
pub mod tile;
