//! A checkpoint put into a network.

use super::{Checkpoint, CheckpointError, Fault};
use crate::model::zoo::{
    Entry, Network, registry,
    weights::{self, Path, Role},
};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Tensor, TensorData},
};
use rayon::prelude::*;
use std::{collections::BTreeMap, fmt};

/// How many keys of each kind an error names.
const NAMED: usize = 5;

/// A checkpoint of another network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mismatch {
    /// Registry id of the network that was to be filled.
    pub network: &'static str,
    /// Its tensors that the file lacks, in the network's order.
    pub missing: Vec<String>,
    /// The file's tensors that it does not have, by key.
    pub surplus: Vec<String>,
    /// Tensors of both that differ in shape, in the network's order.
    pub misshapen: Vec<Misshapen>,
    /// A network of the zoo that the file does fit.
    pub fits: Option<&'static str>,
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
        if let Some(other) = self.fits {
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

impl Checkpoint {
    /// Checks that every tensor of a network is there in its shape, and no other.
    ///
    /// # Errors
    /// Names what is missing, surplus and misshapen.
    pub fn check(&self, entry: &'static Entry) -> Result<(), CheckpointError> {
        self.compare(entry).map_err(|mut mismatch| {
            mismatch.fits = registry().iter().find(|other| self.compare(other).is_ok()).map(|other| other.id);
            self.fault(Fault::Mismatch(Box::new(mismatch)))
        })
    }

    fn compare(&self, entry: &'static Entry) -> Result<(), Mismatch> {
        let mut surplus: BTreeMap<&str, &[usize]> = self.shapes().collect();
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for tensor in weights::tensors(&entry.build_uninitialised(&Device::flex())) {
            match surplus.remove(tensor.key.as_str()) {
                None => missing.push(tensor.key),
                Some(found) if found == tensor.shape => {}
                Some(found) => {
                    misshapen.push(Misshapen { key: tensor.key, found: found.to_vec(), wanted: tensor.shape });
                }
            }
        }
        let surplus: Vec<_> = surplus.into_keys().map(str::to_owned).collect();
        if missing.is_empty() && surplus.is_empty() && misshapen.is_empty() {
            return Ok(());
        }
        Err(Mismatch { network: entry.id, missing, surplus, misshapen, fits: None })
    }

    /// Builds a network on `device` with the weights of this file.
    ///
    /// # Errors
    /// Where the file is another network's, or its values can't be read.
    pub fn load(&self, entry: &'static Entry, device: &Device) -> Result<Network, CheckpointError> {
        self.check(entry)?;
        let mut loader = Loader { path: Path::default(), checkpoint: self, failed: None };
        let network = entry.build_uninitialised(device).map(&mut loader);
        loader.failed.map_or(Ok(network), Err)
    }
}

/// Fills a network tensor by tensor; after an error it leaves the rest as it is.
struct Loader<'a> {
    path: Path,
    checkpoint: &'a Checkpoint,
    failed: Option<CheckpointError>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() {
            return param;
        }
        let key = self.path.key();
        let data = self.checkpoint.read(&key).and_then(|data| match self.path.role(D) {
            Role::Linear => transposed(&data)
                .map_err(|error| self.checkpoint.fault(Fault::Malformed(format!("tensor '{key}': {error}")))),
            _ => Ok(data),
        });
        match data {
            Ok(data) => Param::from_data(data, &param.lazy_device()),
            Err(error) => {
                self.failed = Some(error);
                param
            }
        }
    }
}

/// A linear weight as Burn has it: `[out, in]` → `[in, out]`.
fn transposed(data: &TensorData) -> Result<TensorData, burn::tensor::DataError> {
    let values = data.as_slice::<f32>()?;
    let (rows, columns) = (data.shape()[0], data.shape()[1]);
    let mut turned = vec![0.0; values.len()];
    // Strips of rows of the result: what they read of the source stays in the cache from one row to the next.
    const STRIP: usize = 16;
    turned.par_chunks_mut((STRIP * rows).max(1)).enumerate().for_each(|(strip, turned)| {
        for row in 0..rows {
            for (i, column) in (strip * STRIP..columns.min((strip + 1) * STRIP)).enumerate() {
                turned[i * rows + row] = values[row * columns + column];
            }
        }
    });
    Ok(TensorData::new(turned, [columns, rows]))
}
