//! `.pth` and `.pt`, in each container that PyTorch has used: ZIP, the legacy stream and TAR.

use super::{Encoding, Fault, Stored};
use burn::tensor::DType;
use pytorch_reader::{DType as Stype, PickleError, PytorchError, PytorchReader};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Opens a file and reads the description of its tensors.
pub(super) fn open(path: &Path) -> Result<BTreeMap<String, Stored>, Fault> {
    let reader = PytorchReader::new(path).map_err(|error| match program(path) {
        Ok(Some(what)) => Fault::NotACheckpoint(what.to_owned()),
        _ => fault(path, error),
    })?;
    let stored = reader.into_tensors().into_values().map(|tensor| {
        let (key, dtype, shape, read) = tensor.into_parts();
        (key, Stored { shape, encoding: encoding(dtype), read: Box::new(read) })
    });
    Ok(stored.collect())
}

fn encoding(stored: Stype) -> Encoding {
    match stored {
        Stype::F64 => Encoding::Float(DType::F64),
        Stype::F32 => Encoding::Float(DType::F32),
        Stype::F16 => Encoding::Float(DType::F16),
        Stype::BF16 => Encoding::Float(DType::BF16),
        other => Encoding::Other(format!("{other:?}").to_lowercase()),
    }
}

/// Programs that PyTorch exports look like weights from outside: a ZIP archive, whose directory is its end. They are told by
/// the names of their entries.
fn program(path: &Path) -> io::Result<Option<&'static str>> {
    const DIRECTORY: u64 = 4 << 20;
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(DIRECTORY)))?;
    let mut end = Vec::new();
    file.take(DIRECTORY).read_to_end(&mut end)?;
    let has = |name: &[u8]| end.windows(name.len()).any(|bytes| bytes == name);
    Ok(if !has(b"PK\x01\x02") {
        None
    } else if has(b"/constants.pkl") {
        Some(
            "this is a TorchScript archive, a program: `torch.save(torch.jit.load(FILE).state_dict(), \"weights.pth\")` saves \
             its weights",
        )
    } else if has(b"/archive_format") || has(b"/models/model.json") {
        Some(
            "this is a program that torch.export saved: `torch.save(torch.export.load(FILE).state_dict, \"weights.pth\")` saves \
             its weights",
        )
    } else {
        None
    })
}

/// Sorts an error of the reader: the file is cut off, it is something else, or it is malformed.
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

/// Whether the reader's message is about a file that ends too early: errors of its legacy parser have only their text.
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
            // A header that the window cuts off is found again in the next window.
            let name = window.get(begin + HEADER..).zip(window.get(begin + 26..begin + 28));
            let name = name.and_then(|(rest, size)| rest.get(..usize::from(u16::from_le_bytes([size[0], size[1]]))));
            // Weights may contain the signature by chance, but hardly a path after it.
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
