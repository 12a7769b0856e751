//! A checkpoint put into a network.

use super::{Checkpoint, CheckpointError, Fault};
use crate::model::{catalog, description::Model, network::Network, parameter::Role};
use burn::tensor::{Device, TensorData};
use rayon::prelude::*;
use std::{collections::BTreeMap, fmt};

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

impl Checkpoint {
    /// Checks that every tensor of a model is there in its shape, and no other.
    ///
    /// # Errors
    /// Names what is missing, surplus and misshapen.
    pub fn check(&self, model: &Model) -> Result<(), CheckpointError> {
        self.compare(model).map_err(|mut mismatch| {
            let fits = catalog::list().into_iter().find(|other| self.compare(other).is_ok());
            mismatch.fits = fits.map(|other| other.name);
            self.fault(Fault::Mismatch(Box::new(mismatch)))
        })
    }

    fn compare(&self, model: &Model) -> Result<(), Mismatch> {
        let mut surplus: BTreeMap<&str, &[usize]> = self.shapes().collect();
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for parameter in model.structure(&Device::flex()).parameters() {
            let wanted = parameter.published_shape();
            match surplus.remove(parameter.key.as_str()) {
                None => missing.push(parameter.key),
                Some(found) if found == wanted => {}
                Some(found) => misshapen.push(Misshapen { key: parameter.key, found: found.to_vec(), wanted }),
            }
        }
        let surplus: Vec<_> = surplus.into_keys().map(str::to_owned).collect();
        if missing.is_empty() && surplus.is_empty() && misshapen.is_empty() {
            return Ok(());
        }
        Err(Mismatch { network: model.name.clone(), missing, surplus, misshapen, fits: None })
    }

    /// Builds a model's network on `device` with the weights of this file.
    ///
    /// # Errors
    /// Where the file is another model's, or its values can't be read.
    pub fn load(&self, model: &Model, device: &Device) -> Result<Box<dyn Network>, CheckpointError> {
        self.check(model)?;
        let mut failed = None;
        let network = model.structure(device).fill(&mut |parameter| {
            // After an error the rest is left as it is.
            if failed.is_some() {
                return None;
            }
            let data = self.read(&parameter.key).and_then(|data| match parameter.role {
                Role::Linear => transposed(&data)
                    .map_err(|error| self.fault(Fault::Malformed(format!("tensor '{}': {error}", parameter.key)))),
                _ => Ok(data),
            });
            data.map_err(|error| failed = Some(error)).ok()
        });
        failed.map_or(Ok(network), Err)
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
