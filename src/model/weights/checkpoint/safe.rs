//! `.safetensors`: a length, a JSON object that says where each tensor lies, and the tensors.

use super::{
    fault::Fault,
    fp8::Fp8,
    stored::{Encoding, Stored},
};
use burn::tensor::DType;
use safetensors::{Dtype, tensor::Metadata};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

/// Bytes of the length that the file begins with.
const LENGTH: u64 = 8;
/// The longest header that the format allows, bytes.
const LONGEST: u64 = 100_000_000;

/// Opens a file and reads its header.
pub(super) fn open(path: &Path) -> Result<BTreeMap<String, Stored>, Fault> {
    let mut file = File::open(path).map_err(Fault::Io)?;
    let length = file.metadata().map_err(Fault::Io)?.len();
    let (metadata, start) = header(&mut file, length)?;
    complete(&metadata, start, length)?;
    let file = Arc::new(file);
    let stored = metadata.tensors().into_iter().map(|(key, info)| {
        let (from, to) = info.data_offsets;
        let file = Arc::clone(&file);
        let read = move || read(&file, start + from as u64, to - from);
        (key, Stored { shape: info.shape.clone(), encoding: encoding(info.dtype), read: Box::new(read) })
    });
    Ok(stored.collect())
}

/// The header, and where the tensors begin.
fn header(file: &mut File, length: u64) -> Result<(Metadata, u64), Fault> {
    let mut bytes = [0; LENGTH as usize];
    file.read_exact(&mut bytes).map_err(Fault::Io)?;
    let size = u64::from_le_bytes(bytes);
    if size > LONGEST {
        return Err(Fault::Malformed(format!(
            "its header is said to be {size} bytes long, more than the format allows"
        )));
    }
    if LENGTH + size > length {
        let place = format!("inside the header, which goes to byte {}", LENGTH + size);
        return Err(Fault::Truncated { length, place });
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text).map_err(Fault::Io)?;
    let metadata = serde_json::from_slice(&text);
    let metadata = metadata.map_err(|error| Fault::Malformed(format!("its header makes no sense: {error}")))?;
    Ok((metadata, LENGTH + size))
}

/// Checks that the file ends where the last tensor does.
fn complete(metadata: &Metadata, start: u64, length: u64) -> Result<(), Fault> {
    let end = start + metadata.data_len() as u64;
    if length > end {
        return Err(Fault::Malformed(format!(
            "{} bytes follow the last tensor, which ends at byte {end}",
            length - end
        )));
    }
    let cut = |key: &String| metadata.info(key).filter(|info| start + info.data_offsets.1 as u64 > length);
    let first = metadata.offset_keys().into_iter().find_map(|key| Some((cut(&key)?, key)));
    first.map_or(Ok(()), |(info, key)| {
        let [from, to] = [info.data_offsets.0, info.data_offsets.1].map(|offset| start + offset as u64);
        Err(Fault::Truncated {
            length,
            place: format!("before the end of tensor '{key}' (bytes {from} to {to} of {end})"),
        })
    })
}

fn read(file: &File, at: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, at)?;
    if cfg!(target_endian = "big") {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "values are little-endian and this processor is not"));
    }
    Ok(bytes)
}

fn encoding(stored: Dtype) -> Encoding {
    match stored {
        Dtype::F64 => Encoding::Float(DType::F64),
        Dtype::F32 => Encoding::Float(DType::F32),
        Dtype::F16 => Encoding::Float(DType::F16),
        Dtype::BF16 => Encoding::Float(DType::BF16),
        Dtype::F8_E4M3 => Encoding::Fp8(Fp8::E4M3),
        Dtype::F8_E5M2 => Encoding::Fp8(Fp8::E5M2),
        other => Encoding::Other(other.to_string()),
    }
}
