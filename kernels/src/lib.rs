//! Inference on the CPU: convolutions, linear layers, pooling, normalisation and activations on blocked feature maps, in f32, f16
//! and bf16. A crate of its own, so that the development profile can optimise it fully.
//!
//! A plan is a list of [`step::Step`]s that read and write feature maps of one [`layout::Arena`]; [`executor::run`] runs it on
//! all cores. How a convolution runs, from packing to epilogue, is drawn in [`conv`]; the inner loop, its tile sizes and their
//! register budgets are in [`micro_kernel`].
//!
//! Modules, each standing on those below it:
//!
//! ```text
//!   executor                 steps on all cores; micro-batches; timing
//!   conv  depthwise          operators: each implements Step
//!   pool  elementwise  response_norm  concat  input
//!   step                     the interface between operators and the executor
//!   layout                   feature maps in memory: NCHW16c with a halo
//!   micro_kernel   peak      MR × NR register tiles; the processor's peaks
//!   mac                      which multiply-accumulate instruction
//!   isa                      which instruction set; dispatch of generic code
//!   amx  throughput          tile registers; instruction rates
//!   element                  storage types: f32, f16, bf16
//!   simd                     vectors of 16 f32
//! ```
//!
//! # Safety
//! Kernels work on raw rows, since the tasks of a step write to one map at the same time; the views of a plan say which rows
//! belong to which task. All unsafe code for arithmetic is in this crate.

#![allow(clippy::needless_range_loop)] // loops over arrays of registers

#[cfg(target_arch = "x86_64")]
pub mod amx;
pub mod concat;
pub mod conv;
pub mod depthwise;
pub mod element;
pub mod elementwise;
pub mod executor;
pub mod input;
pub mod isa;
pub mod layout;
pub mod mac;
pub mod micro_kernel;
pub mod peak;
pub mod pool;
pub mod response_norm;
pub mod simd;
pub mod step;
pub mod throughput;
