//! `.pth` and `.pt`, in each container that PyTorch has used: ZIP, the legacy stream and TAR.

use super::{
    archive,
    fault::Fault,
    stored::{Encoding, Stored},
};
use burn::tensor::DType;
use pytorch_reader::{DType as Stype, PickleError, PytorchError, PytorchReader};
use std::{collections::BTreeMap, io, path::Path};

/// Opens a file and reads the description of its tensors.
pub(super) fn open(path: &Path) -> Result<BTreeMap<String, Stored>, Fault> {
    let reader = PytorchReader::new(path).map_err(|error| match archive::program(path) {
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
        PytorchError::Zip(error) => match archive::cut_after(path) {
            Ok(Some((name, at))) => {
                cut(format!("inside or after '{name}', which begins at byte {at}: its directory is missing"))
            }
            _ => Fault::Malformed(format!("not a sound ZIP archive: {error}")),
        },
        PytorchError::InvalidFormat(text) if text.starts_with("not a PyTorch checkpoint") => {
            Fault::NotACheckpoint("neither ZIP, TAR nor pickle, nor safetensors".to_owned())
        }
        PytorchError::InvalidFormat(text) if speaks_of_an_end(&text) => cut(text),
        PytorchError::Pickle(PickleError::UnsupportedType(name)) if name.starts_with("torch.") => {
            Fault::Malformed(format!(
                "it holds {name}, which is not read from a file of this kind: save the weights as float32 or float16, or float8 as \
             .safetensors"
            ))
        }
        PytorchError::Pickle(PickleError::UnsupportedType(name)) => Fault::Malformed(format!(
            "its weights are part of a Python object ({name}) that is not read: torch.save(model.state_dict(), FILE) saves the \
             weights alone"
        )),
        PytorchError::Pickle(error) => Fault::Malformed(format!("its pickle does not describe weights: {error}")),
        other => Fault::Malformed(other.to_string()),
    }
}

/// Whether the reader's message is about a file that ends too early: errors of its legacy parser have only their text.
fn speaks_of_an_end(text: &str) -> bool {
    ["beyond the end", "fill whole buffer", "unexpected end", "list missing"].iter().any(|sign| text.contains(sign))
}
