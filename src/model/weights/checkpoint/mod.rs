//! Weights from a file: `.pth` and `.pt` as PyTorch saves them, and `.safetensors`.
//!
//! The content of a file decides what it is, not its name. A pickle is read as data and never executed. Opening reads the
//! description of the tensors; values are read one tensor at a time, so that there is never a second copy of a network.

mod archive;
mod fault;
mod fp8;
mod load;
mod names;
mod pytorch;
mod safe;
mod stored;

pub use fault::{Fault, Mismatch, Misshapen, NotFinite, Poisoned};

use crate::event::Weights;
use names::Named;
use stored::{Encoding, Stored};

use burn::tensor::{DType, TensorData};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// An opened checkpoint: its tensors by the keys of the network's own `state_dict()`, values still in the file.
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
    /// Keys of the file's dictionary below which the weights were, outermost first.
    below: Vec<&'static str>,
    /// Other keys with weights below them.
    left: Vec<&'static str>,
}

/// A file that can't be used, and why.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct CheckpointError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

impl Checkpoint {
    /// Opens a checkpoint and reads what it says about its tensors.
    ///
    /// # Errors
    /// Where the file can't be read, is no checkpoint, is truncated or malformed.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let failed = |fault| CheckpointError { path: path.to_owned(), fault };
        let kind = Kind::of(path).map_err(failed)?;
        let stored = match kind {
            Kind::Safetensors => safe::open(path),
            Kind::Pytorch => pytorch::open(path),
        };
        let Named { tensors, below, left } = names::weights(stored.map_err(failed)?);
        Ok(Self { path: path.to_owned(), tensors, below, left })
    }

    /// What the stream says of these weights: the file's name without its folder, its checksum, and which of the weights in
    /// it these are.
    ///
    /// # Errors
    /// Where the file can't be read any more.
    pub fn weights(&self) -> Result<Weights, CheckpointError> {
        let name = self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned();
        Ok(Weights::File { name, checksum: self.checksum()?, part: self.part() })
    }

    /// The key below which the weights were in the file, `model_ema`, and which others it has; none where they were not below
    /// any.
    fn part(&self) -> Option<String> {
        let others = if self.left.is_empty() { String::new() } else { format!(", not {}", self.left.join(" or ")) };
        (!self.below.is_empty()).then(|| self.below.join(".") + &others)
    }

    /// Keys and shapes, by key, without what no network needs: counters, and auxiliary classifiers.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(key, stored)| (key.as_str(), stored.shape.as_slice()))
    }

    /// The tensor called `key` with its values as f32, whatever they are stored in.
    ///
    /// # Errors
    /// Where the file can't be read any more, contradicts its own checksums, or has no such tensor.
    pub fn read(&self, key: &str) -> Result<TensorData, CheckpointError> {
        let malformed = |what: String| self.fault(Fault::Malformed(format!("tensor '{key}': {what}")));
        let stored = self.tensors.get(key).ok_or_else(|| malformed("there is none".to_owned()))?;
        let bytes = || {
            (stored.read)().map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => malformed(error.to_string()),
                _ => self.fault(Fault::Io(error)),
            })
        };
        let (bytes, dtype) = match &stored.encoding {
            Encoding::Float(dtype) => (bytes()?, *dtype),
            Encoding::Fp8(fp8) => (fp8.decode(&bytes()?).into_iter().flat_map(f32::to_ne_bytes).collect(), DType::F32),
            Encoding::Other(name) => {
                return Err(malformed(format!(
                    "holds {name}; weights are read as f64, f32, f16, bf16, f8_e4m3 and f8_e5m2, so convert it to one of them"
                )));
            }
        };
        let data = TensorData::try_from_bytes_vec(bytes, stored.shape.clone(), dtype);
        Ok(data.map_err(|error| malformed(error.to_string()))?.convert_dtype(DType::F32))
    }

    /// The first eight digits of the file's SHA-256, as in the names of torchvision's files: `resnet50-0676ba61.pth`.
    ///
    /// # Errors
    /// Where the file can't be read any more.
    fn checksum(&self) -> Result<String, CheckpointError> {
        let mut hasher = Sha256::new();
        let mut file = File::open(&self.path).map_err(|error| self.fault(Fault::Io(error)))?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hasher.update(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fault(Fault::Io(error))),
            }
        }
        Ok(hasher.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
    }

    fn fault(&self, fault: Fault) -> CheckpointError {
        CheckpointError { path: self.path.clone(), fault }
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("tensors", &self.tensors.len()).finish()
    }
}

/// What a file is by its first bytes.
enum Kind {
    Safetensors,
    Pytorch,
}

impl Kind {
    fn of(path: &Path) -> Result<Self, Fault> {
        let mut head = Vec::new();
        // Asked before it is opened: opening a pipe waits for its other end.
        let kind = std::fs::metadata(path).map_err(Fault::Io)?.file_type();
        if kind.is_dir() {
            return Err(Fault::NotACheckpoint("this is a directory".to_owned()));
        }
        if !kind.is_file() {
            return Err(Fault::NotAFile(if kind.is_fifo() { "a pipe" } else { "no regular file" }));
        }
        let file = File::open(path).map_err(Fault::Io)?;
        file.take(512).read_to_end(&mut head).map_err(Fault::Io)?;
        // Eight bytes of length, and a JSON object.
        if head.get(8) == Some(&b'{') && head[4..8] == [0; 4] {
            return Ok(Self::Safetensors);
        }
        match foreign(&head) {
            Some(what) => Err(Fault::NotACheckpoint(what.to_owned())),
            None => Ok(Self::Pytorch),
        }
    }
}

/// What is often given instead of weights.
fn foreign(head: &[u8]) -> Option<&'static str> {
    let text = head.trim_ascii_start();
    let begins = |sign: &[u8]| text.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign));
    match head {
        [] => Some("the file is empty"),
        _ if begins(b"<!doctype html") || begins(b"<html") => Some("this is a web page, not the file it leads to"),
        _ if begins(b"version https://git-lfs") => Some("this is a Git LFS pointer: `git lfs pull` fetches the file"),
        _ if head.starts_with(b"\x89HDF") => Some("this is an HDF5 file, as Keras saves them"),
        _ if head.starts_with(b"GGUF") => Some("this is a GGUF file"),
        _ if head.starts_with(&[0x1f, 0x8b]) => Some("this is compressed with gzip: unpack it first"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
