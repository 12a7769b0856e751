//! Outputs, read from a device, and layers as events tell them.

use super::error::RunError;
use crate::{
    event::{LayerFacts, LayerTime},
    model::{Value, cost::Traffic},
};

/// The first element of the first output.
///
/// # Errors
/// What the device says, or that there is no output.
pub fn first(outputs: &[Value]) -> Result<f64, RunError> {
    let first = outputs.first().ok_or_else(|| RunError::Device("a forward pass without an output".into()))?;
    Ok(first.first().into_data()?.iter::<f64>().next().unwrap_or(f64::NAN))
}

/// Every value of the outputs, output by output and row by row.
///
/// # Errors
/// What the device says.
pub fn values(outputs: Vec<Value>) -> Result<Vec<f64>, RunError> {
    let mut all = Vec::new();
    for output in outputs {
        all.extend(output.into_data()?.iter::<f64>());
    }
    Ok(all)
}

/// A layer of so many times the batch that its facts are of, with values of `width` bytes; no time yet.
pub fn layer(facts: &LayerFacts, traffic: Traffic, batches: u64, width: u64) -> LayerTime {
    let mut output = facts.output.clone();
    if let Some(images) = output.first_mut() {
        *images *= batches;
    }
    LayerTime {
        kind: facts.kind.clone(),
        detail: facts.detail.clone(),
        output,
        params: facts.params,
        macs: facts.macs * batches,
        bytes: traffic.bytes(batches, width),
        ..LayerTime::default()
    }
}
