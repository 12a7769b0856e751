//! What can be wrong with a file of weights.

use std::{fmt, io};
use thiserror::Error;

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum Fault {
    /// The operating system does not let us read it.
    #[error("{0}")]
    Io(io::Error),
    /// It is something else.
    #[error("{0}; what is wanted is weights as PyTorch saves them (.pth, .pt) or .safetensors")]
    NotACheckpoint(String),
    /// It ends too early.
    #[error("truncated: it ends at byte {length}, {place}; fetch it again")]
    Truncated {
        /// Where it ends, bytes.
        length: u64,
        /// In the middle of what.
        place: String,
    },
    /// It can be read only once, or has no content of its own.
    #[error("this is {0}, and it is read more than once: save it to a file first")]
    NotAFile(&'static str),
    /// It contradicts itself, or holds what is not understood. Nothing in it was executed.
    #[error("{0}")]
    Malformed(String),
    /// Its tensors are not those of the network.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// Some of its values are NaN or infinite.
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
}

/// How many keys of each kind an error names.
const NAMED: usize = 5;

/// A checkpoint of another network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mismatch {
    /// Name of the model that was to be filled.
    pub network: String,
    /// Its tensors that the file lacks, in the network's order.
    pub missing: Vec<String>,
    /// The file's tensors that it does not have, by key.
    pub surplus: Vec<String>,
    /// Tensors of both that differ in shape, in the network's order.
    pub misshapen: Vec<Misshapen>,
    /// A model that the file does fit.
    pub fits: Option<String>,
}

/// A tensor of another shape than the network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// Its key.
    pub key: String,
    /// Its shape in the file.
    pub found: Vec<usize>,
    /// Its shape in the network.
    pub wanted: Vec<usize>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the weights of {}", self.network)?;
        if let Some(other) = &self.fits {
            write!(f, " but those of {other}")?;
        }
        let misshapen = |m: &Misshapen| format!("{} is {:?}, not {:?}", m.key, m.found, m.wanted);
        let misshapen: Vec<_> = self.misshapen.iter().map(misshapen).collect();
        let kinds = [("missing", &self.missing), ("surplus", &self.surplus), ("misshapen", &misshapen)];
        for (kind, keys) in kinds.into_iter().filter(|(_, keys)| !keys.is_empty()) {
            let more = if keys.len() > NAMED { ", …" } else { "" };
            write!(f, "\n  {} {kind}: {}{more}", keys.len(), keys[..keys.len().min(NAMED)].join(", "))?;
        }
        Ok(())
    }
}

/// Weights of which some are NaN or infinite.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct NotFinite {
    /// The tensors with such values, in the network's order.
    pub tensors: Vec<Poisoned>,
}

/// A tensor with values that are not finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Poisoned {
    /// Its key.
    pub key: String,
    /// Where the first of them is, an index per axis of PyTorch's shape.
    pub first: Vec<usize>,
    /// The first of them.
    pub value: f32,
    /// How many there are.
    pub count: usize,
    /// How many values the tensor has.
    pub of: usize,
}

impl fmt::Display for NotFinite {
    // On one line: it goes through the stream to screens and tables.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights that are not finite: ")?;
        for (i, Poisoned { key, first, value, count, of }) in self.tensors.iter().take(NAMED).enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{count} of {of} in {key} ({value} at {first:?})")?;
        }
        if self.tensors.len() > NAMED {
            write!(f, ", and some in {} more tensors", self.tensors.len() - NAMED)?;
        }
        write!(f, "; training has diverged or the file is damaged: take an earlier checkpoint, or fetch the file again")
    }
}
