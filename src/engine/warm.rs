//! Compiles and tunes the kernels of a configuration ahead of time, and measures nothing: the next engine finds them in the cache.

use super::{measure::Built, verify};
use crate::{
    backend::{BuildError, RunError},
    event::Config,
    model::{self, ModelError},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use thiserror::Error;

/// A configuration whose kernels could not be compiled.
#[derive(Debug, Error)]
pub enum WarmError {
    /// No such model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// It could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A batch failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// What compiling took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warmed {
    /// Different kernels that were launched, those of the autotuner among them; none on a device that compiles none.
    pub kernels: Option<usize>,
    /// Time from building the network to the end of the second batch.
    pub took: Duration,
}

/// Runs a configuration's first batches, as an engine does, and compares their outputs with what they should be.
///
/// # Errors
/// If it can't be built or run, or does not compute what it should.
pub fn warm(config: &Config, fold: bool) -> Result<Warmed, WarmError> {
    let began = Instant::now();
    let model = model::find(&config.network)?;
    let built = Built::new(&model, config, fold)?;
    let kernels = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = kernels.clone();
    let watching = built.device().watch_kernels(Box::new(move |kernel| {
        seen.lock().unwrap_or_else(PoisonError::into_inner).insert(kernel);
    }));
    let inputs = built.inputs(config.batch)?;
    // There are two inputs at least.
    let outputs: Vec<Vec<f64>> =
        inputs.iter().take(2).map(|input| Ok(built.checked_batch(input)?.1)).collect::<Result<_, RunError>>()?;
    if let [first, second] = &outputs[..] {
        verify::verify(&built, fold, [first, second])?;
    }
    let kernels = watching.map(|_| kernels.lock().unwrap_or_else(PoisonError::into_inner).len());
    Ok(Warmed { kernels, took: began.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Precision;

    #[test]
    fn a_processor_compiles_no_kernels_and_an_unknown_network_is_named() {
        let config = |network: &str| Config {
            network: network.to_owned(),
            batch: 1,
            precision: Precision::F32,
            device: "cpu".to_owned(),
        };
        let warmed = warm(&config("squeezenet1.1"), true).unwrap();
        assert!(warmed.kernels.is_none() && !warmed.took.is_zero());
        assert!(warm(&config("lenet"), true).unwrap_err().to_string().contains("lenet"));
    }
}
