//! One model on one device: building, and batches timed with the device synchronised at both ends.

use crate::{
    backend::{
        BuildError, RunError, device,
        interface::{ClockReading, Device, Input, Runner},
        outputs,
    },
    event::{Config, Precision, Weights},
    model::{
        Model, Network, Value,
        fold::FoldError,
        network,
        weights::{checkpoint::Checkpoint, seed::DEFAULT_SEED},
        zoo::parity,
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes of inputs to rotate among; fewer inputs where one is larger, never fewer than two.
const INPUT_BYTES: u64 = 256 << 20;

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

/// A model built on a device at a precision. Fields are dropped in this order: what runs on the device before the device.
pub struct Built {
    runner: Box<dyn Runner>,
    device: Arc<dyn Device>,
    model: Model,
    weights: Weights,
    precision: Precision,
}

/// A network with its batch norms folded, or as it is.
fn folded(network: Box<dyn Network>, fold: bool) -> Result<Box<dyn Network>, FoldError> {
    if fold { network::folded(network) } else { Ok(network) }
}

impl Built {
    /// Builds a model with its seeded weights, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where the device can't be opened, or does not give the weights back that are to be folded.
    pub fn new(model: &Model, config: &Config, fold: bool) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        let tensors = device.tensors().clone();
        let weights = Weights::Seed { seed: DEFAULT_SEED };
        Self::of(model, config, device, weights, &|| Ok(folded(model.build(&tensors), fold)?))
    }

    /// Builds a model with the weights of a checkpoint, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where the device can't be opened, or the checkpoint does not fit the network or can't be read.
    pub fn load(model: &Model, config: &Config, checkpoint: &Checkpoint, fold: bool) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        let tensors = device.tensors().clone();
        let weights = checkpoint.weights()?;
        Self::of(model, config, device, weights, &|| Ok(folded(checkpoint.load(model, &tensors)?, fold)?))
    }

    fn of(
        model: &Model,
        config: &Config,
        device: Arc<dyn Device>,
        weights: Weights,
        network: &dyn Fn() -> Result<Box<dyn Network>, BuildError>,
    ) -> Result<Self, BuildError> {
        let runner = device.clone().load(model, config.precision, network)?;
        Ok(Self { runner, device, model: model.clone(), weights, precision: config.precision })
    }

    /// The name of its model.
    pub fn network(&self) -> &str {
        &self.model.name
    }

    /// The precision that it computes in.
    pub const fn precision(&self) -> Precision {
        self.precision
    }

    /// Its weights.
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The device that it is on.
    pub const fn device(&self) -> &Arc<dyn Device> {
        &self.device
    }

    /// What runs it there.
    pub fn runner(&self) -> &dyn Runner {
        &*self.runner
    }

    /// Frees it; gives the device, which stays.
    pub fn free(self) -> Arc<dyn Device> {
        self.device
    }

    /// Values for each of the model's inputs, on its device's [`Device::tensors`], as an input of it.
    ///
    /// # Errors
    /// What the device says, or that they are not what the model takes.
    pub fn input(&self, values: Vec<Value>) -> Result<Input, RunError> {
        self.runner.input(values)
    }

    /// Distinct random inputs for a batch size: values alone can move a card's power by two thirds (rule 8).
    ///
    /// # Errors
    /// What the device says.
    pub fn inputs(&self, batch: u32) -> Result<Vec<Input>, RunError> {
        let batch = batch as usize;
        let bytes = self.model.input_bytes(batch, self.precision.bytes());
        let count = (INPUT_BYTES / bytes.max(1)).clamp(2, 8);
        // The first one is that for which PyTorch's results are known.
        let seeds = std::iter::once(parity::INPUT_SEED).chain(1..count);
        seeds.map(|seed| self.input(self.model.made_up_inputs(batch, seed, self.device.tensors()))).collect()
    }

    /// Every value of the outputs of a batch, output by output and row by row.
    ///
    /// # Errors
    /// What the device says.
    pub fn outputs(&self, input: &Input) -> Result<Vec<f64>, RunError> {
        outputs::values(self.runner.forward(input)?)
    }

    /// The same, all of them finite.
    ///
    /// # Errors
    /// What the device says, or why a value may not be finite.
    pub fn finite_outputs(&self, input: &Input) -> Result<Vec<f64>, RunError> {
        self.finite(self.outputs(input)?)
    }

    /// Values, if they are finite.
    fn finite(&self, values: Vec<f64>) -> Result<Vec<f64>, RunError> {
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        Err(match (&self.weights, self.precision) {
            (Weights::Seed { .. }, _) => {
                RunError::Device("the outputs are not finite: the network does not compute right here".into())
            }
            (weights, Precision::F16) => RunError::Weights(format!(
                "with the weights of {weights} the outputs are not finite in f16, whose largest value is 65,504: try bf16 or f32"
            )),
            (weights, precision) => RunError::Weights(format!(
                "with the weights of {weights} the outputs are not finite in {precision}: training has diverged, or they are of \
                 another network of the same shapes"
            )),
        })
    }

    /// Runs one batch as [`Self::batch`] does, and gives all of its outputs, which are finite.
    ///
    /// # Errors
    /// As [`Self::timed`].
    pub fn checked_batch(&self, input: &Input) -> Result<(Timing, Vec<f64>), RunError> {
        let (timing, outputs) = self.run(false, || self.runner.forward(input))?;
        Ok((timing, self.finite(outputs::values(outputs)?)?))
    }

    /// Runs one batch, kernel by kernel, and times it: with the device's own clock, too, where it is asked for and there.
    ///
    /// # Errors
    /// As [`Self::timed`].
    pub fn batch(&self, input: &Input, clock: bool) -> Result<Timing, RunError> {
        self.timed(clock, || self.runner.forward(input))
    }

    /// Times what computes the outputs of a batch.
    ///
    /// # Errors
    /// A device may not report a failed launch, so an element of an output is read: a batch that lacked memory fails
    /// there instead of looking wonderfully fast.
    pub fn timed(
        &self,
        clock: bool,
        forward: impl Fn() -> Result<Vec<Value>, RunError> + Sync,
    ) -> Result<Timing, RunError> {
        Ok(self.run(clock, forward)?.0)
    }

    /// The time of a batch, and its outputs.
    fn run(
        &self,
        clock: bool,
        forward: impl Fn() -> Result<Vec<Value>, RunError> + Sync,
    ) -> Result<(Timing, Vec<Value>), RunError> {
        self.device.sync()?;
        let start = Instant::now();
        let (outputs, reading) = if clock && self.device.traits().own_clock {
            let mut outputs = Ok(Vec::new());
            let reading = self.device.clocked(&mut || outputs = forward())?;
            (outputs?, reading)
        } else {
            (forward()?, ClockReading::NONE)
        };
        let read = outputs::first(&outputs);
        let synced = self.device.sync();
        let wall = start.elapsed();
        let read = read?;
        synced?;
        self.finite(vec![read])?;
        Ok((Timing { start, wall, device: reading.read() }, outputs))
    }
}
