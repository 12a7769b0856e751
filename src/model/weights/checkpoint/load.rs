//! A checkpoint put into a network.

use super::{Checkpoint, CheckpointError, Fault};
use crate::model::{
    catalog,
    description::Model,
    network::Network,
    parameter::{Parameter, Role},
};
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

impl Poisoned {
    /// What is not finite in a tensor of that key and shape.
    fn of(parameter: &Parameter, data: &TensorData) -> Option<Self> {
        let values = data.as_slice::<f32>().ok()?;
        let count: usize =
            values.par_chunks(1 << 16).map(|chunk| chunk.iter().filter(|v| !v.is_finite()).count()).sum();
        let at = values.iter().position(|value| !value.is_finite()).filter(|_| count > 0)?;
        let mut rest = at;
        let mut first: Vec<usize> = Vec::new();
        for size in parameter.shape.iter().rev() {
            first.insert(0, rest % size);
            rest /= size;
        }
        if parameter.role == Role::Linear {
            first.reverse();
        }
        Some(Self { key: parameter.key.clone(), first, value: values[at], count, of: values.len() })
    }
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "weights that are not finite")?;
        for Poisoned { key, first, value, count, of } in self.tensors.iter().take(NAMED) {
            write!(f, "\n  {key}: {count} of {of}, the first at {first:?}: {value}")?;
        }
        if self.tensors.len() > NAMED {
            write!(f, "\n  and {} more tensors", self.tensors.len() - NAMED)?;
        }
        write!(
            f,
            "\nTraining has diverged, or the file is damaged: take an earlier checkpoint, or fetch the file again"
        )
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
        let (mut failed, mut not_finite) = (None, Vec::new());
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
            let data = data.map_err(|error| failed = Some(error)).ok()?;
            not_finite.extend(Poisoned::of(parameter, &data));
            Some(data)
        });
        match failed {
            Some(error) => Err(error),
            None if not_finite.is_empty() => Ok(network),
            None => Err(self.fault(Fault::NotFinite(Box::new(NotFinite { tensors: not_finite })))),
        }
    }
}

/// A linear weight in Burn's layout: `[out, in]` → `[in, out]`.
fn transposed(data: &TensorData) -> Result<TensorData, burn::tensor::DataError> {
    let values = data.as_slice::<f32>()?;
    let (rows, columns) = (data.shape()[0], data.shape()[1]);
    let mut turned = vec![0.0; values.len()];
    // In strips of rows of the result: the source lines that a strip reads stay in the cache from one row to the next.
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
