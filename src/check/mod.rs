//! Whether a device computes correctly: a model's outputs there against those of the same weights and inputs in f32 on the CPU,
//! and, for networks that are built in, against PyTorch's logits.

mod kept;

pub use kept::{Kept, default_file, keep, kept};

use crate::{
    analysis::stats::Moments,
    backend::{BuildError, RunError},
    engine::measure::Built,
    event::{Checked, Config, Precision},
    model::{
        self, Model, ModelError,
        zoo::parity::{self, bound},
    },
};
use thiserror::Error;

/// A check that could not be made.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The network could not be built on the device.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A forward pass failed.
    #[error(transparent)]
    Measure(#[from] RunError),
    /// No such model, or one that can't be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The CPU's own result is wrong.
    #[error("the reference is wrong: on this CPU f32 is {0:.1e} of the logits' sd away from PyTorch's result")]
    Reference(f64),
}

/// The reference: the outputs in f32 on the CPU, and for a network that is built in some of PyTorch's logits in double
/// precision.
pub struct Reference {
    model: Model,
    pytorch: Option<parity::Reference>,
    outputs: Vec<f64>,
}

impl Reference {
    /// Runs a model on the CPU and compares it with PyTorch, where there are results of PyTorch for it.
    ///
    /// # Errors
    /// Where the model is unknown, the CPU has not enough memory, or it does not compute what PyTorch does.
    pub fn of(network: &str) -> Result<Self, CheckError> {
        let model = model::find(network)?;
        // Every network of the zoo has some: a test checks that.
        let pytorch = parity::reference(&model.name);
        let outputs = outputs(&model, "cpu", Precision::F32, false)?;
        let error = pytorch.as_ref().map_or(0.0, |pytorch| pytorch.error(&outputs));
        if error > bound(Precision::F32, false) {
            return Err(CheckError::Reference(error));
        }
        Ok(Self { model, pytorch, outputs })
    }

    /// Compares a device with it, with batch norms folded or not.
    ///
    /// # Errors
    /// Where the device can't be opened or its forward pass fails.
    pub fn check(&self, device: &str, precision: Precision, fold: bool) -> Result<Checked, CheckError> {
        let found = outputs(&self.model, device, precision, fold)?;
        let from_pytorch = self.pytorch.as_ref().map_or(0.0, |pytorch| pytorch.error(&found));
        let error = largest_error(&self.outputs, &found).max(from_pytorch);
        let (network, device, bound) = (self.model.name.clone(), device.to_owned(), bound(precision, fold));
        let pass = error <= bound;
        Ok(Checked { network, device, precision, error: Some(error).filter(|e| e.is_finite()), bound, pass })
    }
}

/// The outputs of a model for the made-up inputs that PyTorch was given.
fn outputs(model: &Model, device: &str, precision: Precision, fold: bool) -> Result<Vec<f64>, CheckError> {
    let config =
        Config { network: model.name.clone(), batch: parity::BATCH as u32, precision, device: device.to_owned() };
    let built = Built::new(model, &config, fold)?;
    let inputs = model.made_up_inputs(parity::BATCH, parity::INPUT_SEED, built.device().tensors());
    Ok(built.outputs(&built.input(inputs)?)?)
}

/// One result as a line of text or as a JSON object.
///
/// # Errors
/// Where it can't be written as JSON.
pub fn line(
    network: &str,
    device: &str,
    precision: Precision,
    checked: &Result<Checked, String>,
    json: bool,
) -> serde_json::Result<String> {
    Ok(match checked {
        Ok(checked) if json => serde_json::to_string(checked)?,
        Ok(Checked { error, bound, pass, .. }) => {
            let word = if *pass { "pass" } else { "FAIL" };
            let error = error.map_or_else(|| "not finite".to_owned(), |error| format!("{error:.1e}"));
            format!("{word}  {network:<16} {precision:<5} {device}  error {error} of the logits' sd, bound {bound:.0e}")
        }
        Err(error) if json => serde_json::to_string(&serde_json::json!({
            "network": network, "device": device, "precision": precision, "pass": false, "failure": error,
        }))?,
        Err(error) => format!("FAIL  {network:<16} {precision:<5} {device}  {error}"),
    })
}

/// Largest difference in standard deviations of the reference; infinite where the shapes or a value are not comparable.
fn largest_error(reference: &[f64], found: &[f64]) -> f64 {
    let spread = reference.iter().copied().collect::<Moments>().deviation().unwrap_or(0.0);
    // Values that are not finite have no spread that is.
    if reference.len() != found.len() || spread == 0.0 || !spread.is_finite() {
        return f64::INFINITY;
    }
    let difference = |(a, b): (&f64, &f64)| if b.is_finite() { (a - b).abs() / spread } else { f64::INFINITY };
    reference.iter().zip(found).map(difference).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_seen_wherever_it_is() {
        let reference: Vec<f64> = (0..1000).map(|i| f64::from(i % 7)).collect();
        assert_eq!(largest_error(&reference, &reference), 0.0);
        for wrong in [f64::NAN, 900.0, f64::INFINITY] {
            let mut found = reference.clone();
            found[999] = wrong;
            assert!(largest_error(&reference, &found) > bound(Precision::Bf16, false));
        }
        assert_eq!(largest_error(&reference, &reference[1..]), f64::INFINITY);
        assert_eq!(largest_error(&[1.0; 9], &[1.0; 9]), f64::INFINITY, "constant logits check nothing");
        let poisoned = [1.0, 2.0, f64::NAN];
        assert_eq!(largest_error(&poisoned, &poisoned), f64::INFINITY, "nor do logits that are not finite");
    }
}
