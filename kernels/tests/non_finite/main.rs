//! NaN and infinities go through every operator as they do in PyTorch: a NaN never becomes a number, nor a number a NaN that the
//! definition of the operator does not make.
//!
//! Each operator is compared with its definition in scalar arithmetic, in all storage types, on all instruction sets of this
//! processor, with NaN, +∞ and -∞ in every position of its input.

mod convolution;
mod elementwise;
mod pooling;
mod response_norm;
mod storage;
mod support;
