//! `.pth` and `.pt`, in each container that PyTorch has used: ZIP, the legacy stream and TAR.

use super::{Fault, Stored};
use burn::tensor::DType;
use pytorch_reader::{DType as Stype, PickleError, PytorchError, PytorchReader};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

/// Opens a file and reads the description of its tensors.
pub(super) fn open(path: &Path) -> Result<BTreeMap<String, Stored>, Fault> {
    let reader = PytorchReader::new(path).map_err(|error| fault(path, error))?;
    let stored = reader.into_tensors().into_values().map(|tensor| {
        let (key, dtype, shape, read) = tensor.into_parts();
        (key, Stored { shape, dtype: self::dtype(dtype), read: Box::new(read) })
    });
    Ok(stored.collect())
}

fn dtype(stored: Stype) -> Result<DType, String> {
    match stored {
        Stype::F64 => Ok(DType::F64),
        Stype::F32 => Ok(DType::F32),
        Stype::F16 => Ok(DType::F16),
        Stype::BF16 => Ok(DType::BF16),
        other => Err(format!("{other:?}").to_lowercase()),
    }
}

/// Sorts an error of the reader: is the file cut off, is it something else, or does it make no sense?
fn fault(path: &Path, error: PytorchError) -> Fault {
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let cut = |place: String| Fault::Truncated { length, place };
    let pickle = || "inside the description of its tensors".to_owned();
    match error {
        PytorchError::Io(error) | PytorchError::Tar(error) | PytorchError::Pickle(PickleError::Io(error)) => {
            match error.kind() {
                io::ErrorKind::UnexpectedEof => cut(pickle()),
                io::ErrorKind::InvalidData => Fault::Malformed(error.to_string()),
                _ => Fault::Io(error),
            }
        }
        // The directory of a ZIP archive is its end.
        PytorchError::Zip(error) => match last_entry(path) {
            Ok(Some((name, at))) => {
                cut(format!("inside or after '{name}', which begins at byte {at}: its directory is missing"))
            }
            _ => Fault::Malformed(format!("not a sound ZIP archive: {error}")),
        },
        PytorchError::InvalidFormat(text) if text.starts_with("not a PyTorch checkpoint") => {
            Fault::NotACheckpoint("neither ZIP, TAR nor pickle, nor safetensors".to_owned())
        }
        PytorchError::InvalidFormat(text) if speaks_of_an_end(&text) => cut(text),
        PytorchError::Pickle(error) => Fault::Malformed(format!("its pickle does not describe weights: {error}")),
        other => Fault::Malformed(other.to_string()),
    }
}

/// Whether the reader's words are about a file that ends too early: it puts the errors of its legacy parser into text.
fn speaks_of_an_end(text: &str) -> bool {
    ["beyond the end", "fill whole buffer", "unexpected end", "list missing"].iter().any(|sign| text.contains(sign))
}

/// The last local entry that begins in a ZIP archive without a directory: its name, and at which byte it begins.
fn last_entry(path: &Path) -> io::Result<Option<(String, u64)>> {
    const SIGN: &[u8] = b"PK\x03\x04";
    const HEADER: usize = 30;
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut window, mut at, mut last) = (Vec::new(), 0, None);
    loop {
        let chunk = reader.fill_buf()?;
        let n = chunk.len();
        window.extend_from_slice(chunk);
        reader.consume(n);
        let mut begin = 0;
        while let Some(found) = window[begin..].windows(SIGN.len()).position(|bytes| bytes == SIGN) {
            begin += found;
            // A header cut by the window is met again in the next one.
            let name = window.get(begin + HEADER..).zip(window.get(begin + 26..begin + 28));
            let name = name.and_then(|(rest, size)| rest.get(..usize::from(u16::from_le_bytes([size[0], size[1]]))));
            // Weights may hold the signature by chance, but hardly a path after it.
            if let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| name.contains('/')) {
                last = Some((name.to_owned(), at + begin as u64));
            }
            begin += SIGN.len();
        }
        if n == 0 {
            return Ok(last);
        }
        let keep = window.len().min(HEADER + usize::from(u16::MAX));
        at += (window.len() - keep) as u64;
        window.drain(..window.len() - keep);
    }
}
