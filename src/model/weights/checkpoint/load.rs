//! A checkpoint put into a network.

use super::{
    Checkpoint, CheckpointError,
    fault::{Fault, Mismatch, Misshapen, NotFinite, Poisoned},
};
use crate::model::{
    catalog,
    description::Model,
    network::Network,
    parameter::{Parameter, Role},
};
use burn::tensor::{Device, TensorData};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What is not finite in a tensor of that key and shape.
fn poisoned(parameter: &Parameter, data: &TensorData) -> Option<Poisoned> {
    let values = data.as_slice::<f32>().ok()?;
    let count: usize = values.par_chunks(1 << 16).map(|chunk| chunk.iter().filter(|v| !v.is_finite()).count()).sum();
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
    Some(Poisoned { key: parameter.key.clone(), first, value: values[at], count, of: values.len() })
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
            not_finite.extend(poisoned(parameter, &data));
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
