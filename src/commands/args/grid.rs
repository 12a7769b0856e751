//! Batch sizes and precisions, and the configurations that they make with networks.

use super::choice::Choice;
use crate::{
    backend::{DeviceError, device},
    event::{Config, DeviceInfo, Precision},
    sweep::plan,
};
use clap::{Args, builder::PossibleValue};

/// Which configurations of a network are measured: each batch size in each precision.
#[derive(Clone, Debug, Args)]
pub struct Grid {
    /// Batch sizes, separated by commas; 1..256 stands for the powers of two from 1 to 256
    #[arg(short, long, alias = "batches", value_name = "N,…", value_delimiter = ',', default_value = "1",
          value_parser = batches)]
    batch: Vec<Batches>,
    /// Precisions, separated by commas; the device's first if not given
    #[arg(short, long, alias = "precisions", value_name = "P,…", value_delimiter = ',', value_parser = precisions())]
    precision: Vec<Precision>,
}

impl Grid {
    /// Every combination once: networks, then precisions, then batch sizes. Without a precision, the device's first is taken.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision.
    pub fn configs(
        &self,
        networks: &[String],
        device: &str,
        devices: &[DeviceInfo],
    ) -> Result<Vec<Config>, DeviceError> {
        let device = device::resolve(device, devices)?;
        self.precision.iter().try_for_each(|precision| device::check_precision(device, *precision))?;
        // Every enumerated device has a precision; one without any would have no configurations.
        let by_default: Vec<_> = device.precisions.iter().take(1).copied().collect();
        let precisions = if self.precision.is_empty() { &by_default } else { &self.precision };
        let mut configs: Vec<Config> = Vec::new();
        for (network, precision) in networks.iter().flat_map(|n| precisions.iter().map(move |p| (n, *p))) {
            for batch in self.batch.iter().flat_map(|batches| batches.0.iter().copied()) {
                let (network, device) = (network.clone(), device.name.clone());
                let config = Config { network, batch, precision, device };
                if !configs.contains(&config) {
                    configs.push(config);
                }
            }
        }
        Ok(configs)
    }
}

/// One batch size.
#[derive(Clone, Copy, Debug, Args)]
pub struct Batch {
    /// Images in a batch
    #[arg(short, long, alias = "batches", value_name = "N", default_value = "1", value_parser = one_batch)]
    pub batch: u32,
}

/// One precision.
#[derive(Clone, Copy, Debug, Args)]
pub struct OnePrecision {
    /// Precision; the device's first if not given
    #[arg(short, long, alias = "precisions", value_name = "P", value_parser = precisions())]
    pub precision: Option<Precision>,
}

/// Batch sizes that one item of a list stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches(pub Vec<u32>);

/// Parser of a batch size, or of the powers of two of a range.
pub(super) fn batches(s: &str) -> Result<Batches, String> {
    plan::batches(s).map(Batches)
}

/// Parser of one batch size.
pub(super) fn one_batch(s: &str) -> Result<u32, String> {
    match plan::batches(s)?[..] {
        [batch] if !s.contains("..") => Ok(batch),
        _ => Err("one batch size, such as 8: a range stands for several".to_owned()),
    }
}

/// Parser of a precision.
pub fn precisions() -> Choice<Precision> {
    Choice::new(Precision::ALL.map(|precision| (PossibleValue::new(precision.name()), precision)))
}
