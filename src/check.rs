//! Whether a device computes right: a network's logits there against the same weights and input in f32 on the CPU.

use crate::{
    analysis::stats::Moments,
    engine::{
        device::DeviceError,
        measure::{Built, MeasureError},
    },
    event::{Config, Precision},
    zoo,
};
use serde::Serialize;
use thiserror::Error;

/// Images compared; two, so that a kernel that mixes images up is seen.
const BATCH: u32 = 2;
/// Seed of the compared input.
const SEED: u64 = 160_507_678;

/// A check that could not be made.
#[derive(Debug, Error)]
pub enum CheckError {
    /// The device could not be opened.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A forward pass failed.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// No such network.
    #[error(transparent)]
    Network(#[from] zoo::UnknownNetwork),
}

/// How far a device's logits lie from the reference's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Registry id.
    pub network: String,
    /// Device checked.
    pub device: String,
    /// Its precision.
    pub precision: Precision,
    /// Largest difference of a logit, in standard deviations of the reference's logits.
    pub error: f64,
    /// What it may be at most.
    pub bound: f64,
    /// Whether it is within the bound; an error that is not a number is not.
    pub pass: bool,
}

/// The largest error that a precision explains. Over all 21 networks the CPU shows at most 7.4e-3 in f16 and 1.1e-1 in bf16
/// (Inception-v3, whose batch norms round twice); f32 allows for another order of summation, tf32 rounds as f16 does.
pub const fn bound(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::Tf32 | Precision::F16 => 1e-2,
        Precision::Bf16 => 2e-1,
    }
}

/// The reference: a network's logits in f32 on the CPU.
pub struct Reference {
    entry: &'static zoo::Entry,
    logits: Vec<f64>,
}

impl Reference {
    /// Runs a network on the CPU.
    ///
    /// # Errors
    /// Where the network is unknown or the CPU has not enough memory.
    pub fn of(network: &str) -> Result<Self, CheckError> {
        let entry = zoo::find(network)?;
        let logits = logits(entry, "cpu", Precision::F32)?;
        Ok(Self { entry, logits })
    }

    /// Compares a device with it.
    ///
    /// # Errors
    /// Where the device can't be opened or its forward pass fails.
    pub fn check(&self, device: &str, precision: Precision) -> Result<Check, CheckError> {
        let found = logits(self.entry, device, precision)?;
        let error = largest_error(&self.logits, &found);
        let bound = bound(precision);
        let (network, device) = (self.entry.id.to_owned(), device.to_owned());
        Ok(Check { network, device, precision, error, bound, pass: error <= bound })
    }
}

fn logits(entry: &zoo::Entry, device: &str, precision: Precision) -> Result<Vec<f64>, CheckError> {
    let config = Config { network: entry.id.to_owned(), batch: BATCH, precision, device: device.to_owned() };
    let built = Built::new(entry, &config)?;
    Ok(built.logits(zoo::input(BATCH as usize, entry.input_px, SEED, built.device()))?)
}

/// One result as a line of text or as a JSON object.
///
/// # Errors
/// Where it can't be written as JSON.
pub fn line(
    network: &str,
    device: &str,
    precision: Precision,
    checked: &Result<Check, String>,
    json: bool,
) -> serde_json::Result<String> {
    Ok(match checked {
        Ok(check) if json => serde_json::to_string(check)?,
        Ok(Check { error, bound, pass, .. }) => {
            let word = if *pass { "pass" } else { "FAIL" };
            format!(
                "{word}  {network:<16} {precision:<5} {device}  error {error:.1e} of the logits' sd, bound {bound:.0e}"
            )
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
    if reference.len() != found.len() || spread == 0.0 {
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
            assert!(largest_error(&reference, &found) > bound(Precision::Bf16));
        }
        assert_eq!(largest_error(&reference, &reference[1..]), f64::INFINITY);
        assert_eq!(largest_error(&[1.0; 9], &[1.0; 9]), f64::INFINITY, "constant logits check nothing");
    }
}
