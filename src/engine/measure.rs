//! One network on one device: building, tuning, and batches timed with the device synchronised at both ends.

use crate::{
    backend::{DeviceError, cpu::Compiled, device},
    event::{Config, Precision},
    model::zoo::{self, Checkpoint, CheckpointError},
};
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{DType, Device, ProfileOptions, Tensor, TensorData, TimingMethod},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use thiserror::Error;

/// Bytes of inputs to rotate among; fewer inputs where one is larger, never fewer than two.
const INPUT_BYTES: usize = 256 << 20;

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
    Fold(#[from] zoo::fold::FoldError),
}

/// A batch that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When it began.
    pub start: Instant,
    /// From the synchronised start to an element of the logits in the host's hands.
    pub wall: Duration,
    /// Device time by the device's own clock.
    pub device: Option<Duration>,
}

/// A batch of images where what runs it reads them, made by [`Built::input`]; a clone is the same one.
#[derive(Clone, Debug)]
pub enum Input {
    /// On the device, in the network's precision.
    Device(Box<Tensor<4>>),
    /// In the host's memory in f32, `[n][3][px][px]`, for our own kernels: taking them out of a tensor for each batch would
    /// copy them within its time, 3 % of it with the lightest networks.
    Host(Arc<Vec<f32>>),
}

/// What runs a network: Burn, or on the CPU our own kernels.
enum Runner {
    Burn(Box<zoo::Network>),
    Kernels(Box<Compiled>),
}

impl Runner {
    /// Our kernels where they know everything that the network does. `build` makes the network, and once more where they
    /// don't: they take its parameters.
    fn new<E>(build: impl Fn() -> Result<zoo::Network, E>, config: &Config, px: usize) -> Result<Self, E> {
        if config.device != "cpu" {
            return Self::by_burn(build, config.precision);
        }
        match Compiled::new(build()?, px, config.precision) {
            Ok(compiled) => Ok(Self::Kernels(Box::new(compiled))),
            Err(reason) => {
                tracing::warn!(%reason, "the network runs on Burn's CPU backend");
                Self::by_burn(build, config.precision)
            }
        }
    }

    fn by_burn<E>(build: impl Fn() -> Result<zoo::Network, E>, precision: Precision) -> Result<Self, E> {
        Ok(Self::Burn(Box::new(cast(build()?, precision))))
    }

    fn forward(&self, input: &Input, device: &Device) -> Result<Tensor<2>, MeasureError> {
        match (self, input) {
            (Self::Burn(network), Input::Device(images)) => Ok(network.forward((**images).clone())),
            (Self::Kernels(compiled), Input::Host(images)) => Ok(logits(compiled.forward(images), device)),
            _ => Err(MeasureError::Device("an input of another network".into())),
        }
    }
}

/// A network built on a device at a precision.
pub struct Built {
    runner: Runner,
    device: Device,
    precision: Precision,
    input_px: usize,
    clock: bool,
}

/// Logits that our own kernels computed, `[n][1000]`, as a tensor.
pub(super) fn logits(values: Vec<f32>, device: &Device) -> Tensor<2> {
    let images = values.len() / zoo::CLASSES;
    Tensor::from_data(TensorData::new(values, [images, zoo::CLASSES]), device)
}

/// A network with its batch norms folded, or as it is.
fn folded(network: zoo::Network, fold: bool) -> Result<zoo::Network, zoo::fold::FoldError> {
    if fold { network.folded() } else { Ok(network) }
}

impl Built {
    /// Builds a network with its seeded weights, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where Burn does not find the device, or the device does not give the weights back that are to be folded.
    pub fn new(entry: &zoo::Entry, config: &Config, fold: bool) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        Self::of(entry, config, || Ok(folded(entry.build(&device), fold)?), &device)
    }

    /// Builds a network with the weights of a checkpoint, its batch norms folded where `fold` says so.
    ///
    /// # Errors
    /// Where Burn does not find the device, or the checkpoint does not fit the network or can't be read.
    pub fn load(
        entry: &'static zoo::Entry,
        config: &Config,
        checkpoint: &Checkpoint,
        fold: bool,
    ) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        Self::of(entry, config, || Ok(folded(checkpoint.load(entry, &device)?, fold)?), &device)
    }

    fn of(
        entry: &zoo::Entry,
        config: &Config,
        build: impl Fn() -> Result<zoo::Network, BuildError>,
        device: &Device,
    ) -> Result<Self, BuildError> {
        Ok(Self::run_by(Runner::new(build, config, entry.input_px)?, entry, config, device))
    }

    fn run_by(runner: Runner, entry: &zoo::Entry, config: &Config, device: &Device) -> Self {
        let clock = config.device.starts_with("cuda");
        Self { runner, device: device.clone(), precision: config.precision, input_px: entry.input_px, clock }
    }

    /// Builds a network that Burn runs, wherever that is: as on a card.
    #[cfg(test)]
    pub(super) fn by_burn(entry: &zoo::Entry, config: &Config) -> Result<Self, BuildError> {
        let device = device::open(&config.device)?;
        let build = || Ok::<_, BuildError>(folded(entry.build(&device), true)?);
        Ok(Self::run_by(Runner::by_burn(build, config.precision)?, entry, config, &device))
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
    pub(super) fn network(&self) -> Option<&zoo::Network> {
        match &self.runner {
            Runner::Burn(network) => Some(network),
            Runner::Kernels(_) => None,
        }
    }

    /// Side of its square input, pixels.
    pub(super) const fn px(&self) -> usize {
        self.input_px
    }

    /// Whether the device has a clock of its own.
    pub(super) const fn has_clock(&self) -> bool {
        self.clock
    }

    /// Images, as large as the network's, on its device, as an input of it.
    ///
    /// # Errors
    /// What the device says.
    pub fn input(&self, images: Tensor<4>) -> Result<Input, MeasureError> {
        match &self.runner {
            Runner::Burn(_) => Ok(Input::Device(Box::new(images.cast(dtype(self.precision))))),
            Runner::Kernels(_) => {
                let values = images.try_into_vec_as::<f32>().map_err(|e| MeasureError::from_text(&e.to_string()))?;
                Ok(Input::Host(Arc::new(values)))
            }
        }
    }

    /// Distinct random inputs for a batch size: values alone can move a card's power by two thirds (rule 8).
    ///
    /// # Errors
    /// What the device says.
    pub fn inputs(&self, batch: u32) -> Result<Vec<Input>, MeasureError> {
        let bytes = batch as usize * 3 * self.input_px * self.input_px * self.precision.bytes() as usize;
        let count = (INPUT_BYTES / bytes.max(1)).clamp(2, 8) as u64;
        let make = |seed| self.input(zoo::input(batch as usize, self.input_px, seed, &self.device));
        (0..count).map(make).collect()
    }

    /// The logits of a batch as a tensor on the device, not waited for.
    ///
    /// # Errors
    /// What the device says at once.
    pub fn forward(&self, input: &Input) -> Result<Tensor<2>, MeasureError> {
        self.runner.forward(input, &self.device)
    }

    /// The logits of a batch, row by row.
    ///
    /// # Errors
    /// What the device says.
    pub fn logits(&self, input: &Input) -> Result<Vec<f64>, MeasureError> {
        values(self.forward(input)?)
    }

    /// Runs one batch, kernel by kernel, and times it: with the device's own clock, too, where it is asked for and there.
    ///
    /// # Errors
    /// As [`Self::timed`].
    pub fn batch(&self, input: &Input, clock: bool) -> Result<Timing, MeasureError> {
        self.timed(clock, || self.forward(input))
    }

    /// Times what computes the logits of a batch.
    ///
    /// # Errors
    /// `sync` does not report a failed launch, so an element of the logits is read: a batch that lacked memory fails
    /// there instead of looking wonderfully fast.
    pub fn timed(
        &self,
        clock: bool,
        forward: impl FnOnce() -> Result<Tensor<2>, MeasureError> + Send,
    ) -> Result<Timing, MeasureError> {
        let failed = |error: String| MeasureError::from_text(&error);
        self.device.sync().map_err(|e| failed(e.to_string()))?;
        let start = Instant::now();
        let (logits, profile) = if clock && self.clock {
            let options = ProfileOptions::default().flush();
            let run = self.device.profile_with(options, forward);
            let (logits, profile) = run.map_err(|e| failed(e.to_string()))?;
            (logits?, Some(profile))
        } else {
            (forward()?, None)
        };
        let read = logits.slice([0..1, 0..1]).try_into_data();
        let synced = self.device.sync();
        let wall = start.elapsed();
        let read = read.map_err(|e| failed(e.to_string()))?;
        synced.map_err(|e| failed(e.to_string()))?;
        if !read.iter::<f64>().all(f64::is_finite) {
            return Err(MeasureError::Device(
                "the logits are not finite: the network does not compute right here".into(),
            ));
        }
        let by_device = profile.filter(|p| p.timing_method() == TimingMethod::Device);
        let device = by_device.and_then(|p| pollster::block_on(p.resolve()));
        Ok(Timing { start, wall, device: device.map(|ticks| ticks.duration()) })
    }
}

/// The values of logits, read from the device.
///
/// # Errors
/// What the device says.
pub fn values(logits: Tensor<2>) -> Result<Vec<f64>, MeasureError> {
    let data = logits.try_into_data().map_err(|e| MeasureError::from_text(&e.to_string()))?;
    Ok(data.iter::<f64>().collect())
}

/// The dtype in which a precision is stored.
pub fn dtype(precision: Precision) -> DType {
    match precision {
        Precision::F32 | Precision::Tf32 => DType::F32,
        Precision::F16 => DType::F16,
        Precision::Bf16 => DType::BF16,
    }
}

/// Stores a network's parameters and statistics in a precision.
fn cast(network: zoo::Network, precision: Precision) -> zoo::Network {
    struct Cast(DType);
    impl ModuleMapper for Cast {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.cast(self.0))
        }
    }
    match dtype(precision) {
        DType::F32 => network,
        other => network.map(&mut Cast(other)),
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
