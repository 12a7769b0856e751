//! One network on one device: building, tuning, and batches timed with the device synchronised at both ends.

use crate::{
    backend::{DeviceError, cpu::Compiled, device},
    event::{Config, Precision},
    model::{
        Model, Network, Value,
        fold::FoldError,
        network,
        weights::checkpoint::{Checkpoint, CheckpointError},
    },
};
use burn::tensor::{Device, FloatDType, ProfileOptions, TensorData, TimingMethod};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use thiserror::Error;

/// Bytes of inputs to rotate among; fewer inputs where one is larger, never fewer than two.
const INPUT_BYTES: u64 = 256 << 20;

/// What can go wrong with a batch.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum MeasureError {
    /// The device had not enough memory.
    #[error("out of memory{}: {message}", requested_text(*.requested))]
    OutOfMemory {
        /// Bytes asked for, where the device said.
        requested: Option<u64>,
        /// What the device said.
        message: String,
    },
    /// Anything else; the device may be unusable from now on.
    #[error("{0}")]
    Device(String),
}

fn requested_text(requested: Option<u64>) -> String {
    requested.map_or_else(String::new, |bytes| format!(" allocating {bytes} bytes"))
}

impl MeasureError {
    /// Sorts an error of Burn or of the allocator by its text: neither passes the variant on.
    pub fn from_text(text: &str) -> Self {
        const SIGNS: [&str; 6] = [
            "out of memory",
            "out of device memory",
            "out-of-memory",
            "outofmemory",
            "memory allocation of",
            // CubeCL's word for a buffer larger than a page may be, a quarter of the card's memory.
            "can't allocate buffer of size",
        ];
        let lacks_memory = |line: &&str| SIGNS.iter().any(|sign| line.to_lowercase().contains(sign));
        if let Some(line) = text.lines().map(str::trim).find(lacks_memory) {
            return Self::OutOfMemory { requested: requested_bytes(&line.to_lowercase()), message: line.to_owned() };
        }
        Self::Device(text.lines().map(str::trim).filter(|l| !l.is_empty()).take(4).collect::<Vec<_>>().join(" "))
    }
}

/// The number in `allocating N bytes` or `buffer of size: N` (CubeCL), or `memory allocation of N bytes failed` (Rust).
fn requested_bytes(text: &str) -> Option<u64> {
    let after =
        ["allocating ", "memory allocation of ", "buffer of size: "].iter().find_map(|sign| text.split_once(sign))?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// A network that could not be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The device could not be opened.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Its weights could not be loaded.
    #[error(transparent)]
    Weights(#[from] CheckpointError),
    /// Its batch norms could not be folded.
    #[error(transparent)]
    Fold(#[from] FoldError),
}

/// A batch that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When it began.
    pub start: Instant,
    /// From the synchronised start to an element of the output in the host's hands.
    pub wall: Duration,
    /// Device time by the device's own clock.
    pub device: Option<Duration>,
}

/// A batch of inputs where what runs it reads them, made by [`Built::input`]; a clone is the same one.
#[derive(Clone, Debug)]
pub enum Input {
    /// On the device, floats in the network's precision.
    Device(Vec<Value>),
    /// One input in the host's memory in f32, row-major, for our own kernels: taking it out of a tensor for each batch would
    /// copy it within its time, 3 % of it with the lightest networks.
    Host(Arc<Vec<f32>>),
}

/// What runs a network: Burn, or on the CPU our own kernels.
enum Runner {
    Burn(Box<dyn Network>),
    Kernels(Box<Compiled>),
}

impl Runner {
    /// Our kernels where they know everything that the network does. `build` makes the network, and once more where they
    /// don't: they take its parameters.
    fn new<E>(build: impl Fn() -> Result<Box<dyn Network>, E>, config: &Config, model: &Model) -> Result<Self, E> {
        if config.device != "cpu" {
            return Self::by_burn(build, config.precision);
        }
        match Compiled::new(build()?, &model.placeholders(1), config.precision) {
            Ok(compiled) => Ok(Self::Kernels(Box::new(compiled))),
            Err(reason) => {
                tracing::warn!(%reason, "the network runs on Burn's CPU backend");
                Self::by_burn(build, config.precision)
            }
        }
    }

    fn by_burn<E>(build: impl Fn() -> Result<Box<dyn Network>, E>, precision: Precision) -> Result<Self, E> {
        Ok(Self::Burn(network::cast(build()?, dtype(precision))))
    }

    fn forward(&self, input: &Input, device: &Device) -> Result<Vec<Value>, MeasureError> {
        match (self, input) {
            (Self::Burn(network), Input::Device(inputs)) => Ok(network.forward(inputs)),
            (Self::Kernels(compiled), Input::Host(input)) => Ok(output(compiled, compiled.forward(input), device)),
            _ => Err(MeasureError::Device("an input of another network".into())),
        }
    }
}

/// A model built on a device at a precision.
pub struct Built {
    runner: Runner,
    device: Device,
    precision: Precision,
    model: Model,
    clock: bool,
}

/// What our own kernels computed, one vector a sample, as the tensor that it is.
pub(super) fn output(compiled: &Compiled, values: Vec<f32>, device: &Device) -> Vec<Value> {
    let width = compiled.outputs().max(1);
    let samples = values.len() / width;
    vec![Value::from_data(TensorData::new(values, [samples, width]), device)]
}

/// A network with its batch norms folded, or as it is.
fn folded(network: Box<dyn Network>, fold: bool) -> Result<Box<dyn Network>, FoldError> {
    if fold { network::folded(network) } else { Ok(network) }
}

impl Built {
    /// Builds a model with its seeded weights, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where Burn does not find the device, or the device does not give the weights back that are to be folded.
    pub fn new(model: &Model, config: &Config, fold: bool) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        Self::of(model, config, || Ok(folded(model.build(&device), fold)?), &device)
    }

    /// Builds a model with the weights of a checkpoint, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where Burn does not find the device, or the checkpoint does not fit the network or can't be read.
    pub fn load(model: &Model, config: &Config, checkpoint: &Checkpoint, fold: bool) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        Self::of(model, config, || Ok(folded(checkpoint.load(model, &device)?, fold)?), &device)
    }

    fn of(
        model: &Model,
        config: &Config,
        build: impl Fn() -> Result<Box<dyn Network>, BuildError>,
        device: &Device,
    ) -> Result<Self, BuildError> {
        Ok(Self::run_by(Runner::new(build, config, model)?, model, config, device))
    }

    fn run_by(runner: Runner, model: &Model, config: &Config, device: &Device) -> Self {
        let clock = config.device.starts_with("cuda");
        Self { runner, device: device.clone(), precision: config.precision, model: model.clone(), clock }
    }

    /// Builds a model that Burn runs, wherever that is: as on a card.
    #[cfg(test)]
    pub(super) fn by_burn(model: &Model, config: &Config) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        let build = || Ok::<_, BuildError>(folded(model.build(&device), true)?);
        Ok(Self::run_by(Runner::by_burn(build, config.precision)?, model, config, &device))
    }

    /// The device it is on.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// The plan that it runs by, where that is one of our own kernels.
    pub(super) fn compiled(&self) -> Option<&Compiled> {
        match &self.runner {
            Runner::Kernels(compiled) => Some(compiled),
            Runner::Burn(_) => None,
        }
    }

    /// The network, where Burn runs it.
    pub(super) fn network(&self) -> Option<&dyn Network> {
        match &self.runner {
            Runner::Burn(network) => Some(&**network),
            Runner::Kernels(_) => None,
        }
    }

    /// The model that was built.
    pub(super) const fn model(&self) -> &Model {
        &self.model
    }

    /// Whether the device has a clock of its own.
    pub(super) const fn has_clock(&self) -> bool {
        self.clock
    }

    /// Values for each of the model's inputs, on its device, as an input of it.
    ///
    /// # Errors
    /// What the device says, or that they are not what the model takes.
    pub fn input(&self, mut values: Vec<Value>) -> Result<Input, MeasureError> {
        match &self.runner {
            Runner::Burn(_) => {
                let precision = dtype(self.precision);
                Ok(Input::Device(values.into_iter().map(|value| value.cast(precision)).collect()))
            }
            Runner::Kernels(_) => {
                let other = || MeasureError::Device("an input of another network".into());
                let value = values.pop().filter(|_| values.is_empty()).ok_or_else(other)?;
                let data = value.into_data().map_err(|e| MeasureError::from_text(&e.to_string()))?;
                Ok(Input::Host(Arc::new(data.try_into_vec().map_err(|_| other())?)))
            }
        }
    }

    /// Distinct random inputs for a batch size: values alone can move a card's power by two thirds (rule 8).
    ///
    /// # Errors
    /// What the device says.
    pub fn inputs(&self, batch: u32) -> Result<Vec<Input>, MeasureError> {
        let batch = batch as usize;
        let bytes = self.model.input_bytes(batch, self.precision.bytes());
        let count = (INPUT_BYTES / bytes.max(1)).clamp(2, 8);
        let make = |seed| self.input(self.model.made_up_inputs(batch, seed, &self.device));
        (0..count).map(make).collect()
    }

    /// The outputs of a batch as tensors on the device, not waited for.
    ///
    /// # Errors
    /// What the device says at once.
    pub fn forward(&self, input: &Input) -> Result<Vec<Value>, MeasureError> {
        self.runner.forward(input, &self.device)
    }

    /// Every value of the outputs of a batch, output by output and row by row.
    ///
    /// # Errors
    /// What the device says.
    pub fn outputs(&self, input: &Input) -> Result<Vec<f64>, MeasureError> {
        values(self.forward(input)?)
    }

    /// Runs one batch, kernel by kernel, and times it: with the device's own clock, too, where it is asked for and there.
    ///
    /// # Errors
    /// As [`Self::timed`].
    pub fn batch(&self, input: &Input, clock: bool) -> Result<Timing, MeasureError> {
        self.timed(clock, || self.forward(input))
    }

    /// Times what computes the outputs of a batch.
    ///
    /// # Errors
    /// `sync` does not report a failed launch, so an element of an output is read: a batch that lacked memory fails
    /// there instead of looking wonderfully fast.
    pub fn timed(
        &self,
        clock: bool,
        forward: impl FnOnce() -> Result<Vec<Value>, MeasureError> + Send,
    ) -> Result<Timing, MeasureError> {
        let failed = |error: String| MeasureError::from_text(&error);
        self.device.sync().map_err(|e| failed(e.to_string()))?;
        let start = Instant::now();
        let (outputs, profile) = if clock && self.clock {
            let options = ProfileOptions::default().flush();
            let run = self.device.profile_with(options, forward);
            let (outputs, profile) = run.map_err(|e| failed(e.to_string()))?;
            (outputs?, Some(profile))
        } else {
            (forward()?, None)
        };
        let read = first(&outputs);
        let synced = self.device.sync();
        let wall = start.elapsed();
        let read = read?;
        synced.map_err(|e| failed(e.to_string()))?;
        if !read.is_finite() {
            return Err(MeasureError::Device(
                "the logits are not finite: the network does not compute right here".into(),
            ));
        }
        let by_device = profile.filter(|p| p.timing_method() == TimingMethod::Device);
        let device = by_device.and_then(|p| pollster::block_on(p.resolve()));
        Ok(Timing { start, wall, device: device.map(|ticks| ticks.duration()) })
    }
}

/// The first element of the first output, read from the device.
///
/// # Errors
/// What the device says.
pub(super) fn first(outputs: &[Value]) -> Result<f64, MeasureError> {
    let first = outputs.first().ok_or_else(|| MeasureError::Device("a forward pass without an output".into()))?;
    let data = first.first().into_data().map_err(|e| MeasureError::from_text(&e.to_string()))?;
    Ok(data.iter::<f64>().next().unwrap_or(f64::NAN))
}

/// The values of outputs, read from the device.
///
/// # Errors
/// What the device says.
pub fn values(outputs: Vec<Value>) -> Result<Vec<f64>, MeasureError> {
    let mut all = Vec::new();
    for output in outputs {
        let data = output.into_data().map_err(|e| MeasureError::from_text(&e.to_string()))?;
        all.extend(data.iter::<f64>());
    }
    Ok(all)
}

/// The float in which a precision is stored.
pub const fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 | Precision::Tf32 => FloatDType::F32,
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_told_from_other_errors_with_what_was_asked_for() {
        let of = MeasureError::from_text;
        let card = of("An error happened\nCaused by:\n  out of device memory allocating 1073741824 bytes\n");
        assert!(matches!(card, MeasureError::OutOfMemory { requested: Some(1_073_741_824), .. }), "{card:?}");
        let host = of("memory allocation of 4096 bytes failed");
        assert!(matches!(host, MeasureError::OutOfMemory { requested: Some(4096), .. }), "{host:?}");
        let page = of("An IO error happened\nCaused by:\n  can't allocate buffer of size: 30000000000\n");
        assert!(matches!(page, MeasureError::OutOfMemory { requested: Some(30_000_000_000), .. }), "{page:?}");
        assert!(matches!(of("OutOfMemory"), MeasureError::OutOfMemory { requested: None, .. }));
        assert!(matches!(of("illegal address"), MeasureError::Device(_)));
    }
}
