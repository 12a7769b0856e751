//! Weights from a file: `.pth` and `.pt` as PyTorch saves them, and `.safetensors`.
//!
//! What a file is says its content, not its name. A pickle is read as data and never executed. Opening reads what is said
//! about the tensors; their values are read one tensor at a time, so a network never exists more than once and a bit.

mod load;
mod pytorch;
mod safe;

pub use load::{Mismatch, Misshapen};

use burn::tensor::{DType, TensorData};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// An opened checkpoint: its tensors by the keys that PyTorch's own `state_dict()` would have, values still in the file.
pub struct Checkpoint {
    path: PathBuf,
    tensors: BTreeMap<String, Stored>,
}

/// A tensor in a file.
struct Stored {
    shape: Vec<usize>,
    /// How its values are stored; none where that is nothing that weights are stored in, with the name of what it is.
    dtype: Result<DType, String>,
    /// Reads its bytes: row-major, native endian.
    read: Box<dyn Fn() -> io::Result<Vec<u8>> + Send + Sync>,
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
    /// It contradicts itself, or holds what no reader of weights understands. Nothing in it was executed.
    #[error("{0}")]
    Malformed(String),
    /// Its tensors are not those of the network.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
}

/// Keys below which training scripts keep the weights, beside an optimiser's state and the like.
const WRAPPERS: [&str; 3] = ["state_dict.", "model_state_dict.", "model."];
/// What wrappers of modules put before every key: `DataParallel` and `torch.compile`.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];
/// Auxiliary classifiers, which only training needs: Inception-v3's and GoogLeNet's.
const AUXILIARY: [&str; 3] = ["AuxLogits.", "aux1.", "aux2."];

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
        Ok(Self { path: path.to_owned(), tensors: used(stored.map_err(failed)?) })
    }

    /// The file's name, without its folder.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Keys and shapes, by key. What no network needs is left out: counters of batches, and auxiliary heads.
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
        let dtype =
            stored.dtype.clone().map_err(|name| malformed(format!("holds {name}, not floating-point numbers")))?;
        let bytes = (stored.read)().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => malformed(error.to_string()),
            _ => self.fault(Fault::Io(error)),
        })?;
        let data = TensorData::try_from_bytes_vec(bytes, stored.shape.clone(), dtype);
        Ok(data.map_err(|error| malformed(error.to_string()))?.convert_dtype(DType::F32))
    }

    /// The first eight digits of the file's SHA-256, as in the names of torchvision's files: `resnet50-0676ba61.pth`.
    ///
    /// # Errors
    /// Where the file can't be read any more.
    pub fn checksum(&self) -> Result<String, CheckpointError> {
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
        let file = File::open(path).map_err(Fault::Io)?;
        if file.metadata().map_err(Fault::Io)?.is_dir() {
            return Err(Fault::NotACheckpoint("this is a directory".to_owned()));
        }
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

/// What people pass for weights by mistake.
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

/// The tensors that count, by the keys that the network itself would have.
fn used(mut stored: BTreeMap<String, Stored>) -> BTreeMap<String, Stored> {
    loop {
        let inside = |prefix: &&&str| stored.keys().any(|key| key.starts_with(**prefix));
        let around = |prefix: &&&str| !stored.is_empty() && stored.keys().all(|key| key.starts_with(**prefix));
        let prefix = WRAPPERS.iter().find(inside).or_else(|| PREFIXES.iter().find(around));
        let Some(prefix) = prefix else { break };
        let strip = |(key, tensor): (String, Stored)| Some((key.strip_prefix(prefix)?.to_owned(), tensor));
        stored = stored.into_iter().filter_map(strip).collect();
    }
    let counts = |key: &str| !key.ends_with("num_batches_tracked") && !AUXILIARY.iter().any(|aux| key.starts_with(aux));
    stored.into_iter().filter(|(key, _)| counts(key)).map(|(key, tensor)| (today(&key), tensor)).collect()
}

/// A key as torchvision has it today: the file of its DenseNet is from before modules could not be called `norm.1`.
fn today(key: &str) -> String {
    let mut renamed: Vec<String> = Vec::new();
    for part in key.split('.') {
        let old = matches!(part, "1" | "2")
            && matches!(renamed.last().map(String::as_str), Some("norm" | "relu" | "conv"))
            && renamed.iter().rev().nth(1).is_some_and(|block| block.starts_with("denselayer"));
        match renamed.last_mut().filter(|_| old) {
            Some(last) => last.push_str(part),
            None => renamed.push(part.to_owned()),
        }
    }
    renamed.join(".")
}

#[cfg(test)]
mod tests;
