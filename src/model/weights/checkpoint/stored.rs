//! A tensor as a file has it, its values not read yet.

use super::fp8::Fp8;
use burn::tensor::DType;
use std::io;

/// A tensor in a file.
pub(super) struct Stored {
    pub(super) shape: Vec<usize>,
    pub(super) encoding: Encoding,
    /// Reads its bytes: row-major, native endian.
    pub(super) read: Box<dyn Fn() -> io::Result<Vec<u8>> + Send + Sync>,
}

/// How values are stored.
#[derive(Clone, Debug)]
pub(super) enum Encoding {
    /// As floating-point numbers that Burn knows.
    Float(DType),
    /// As floating-point numbers of eight bits.
    Fp8(Fp8),
    /// As something of this name that is no weight, or none that can be read.
    Other(String),
}
