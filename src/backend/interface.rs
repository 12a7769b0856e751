//! What a backend is: the traits behind which each kind of device stands.
//!
//! A [`Backend`] is a kind of device: it lists those that this host has, and opens one by its name. A [`Device`] is one that is
//! open: it loads models, keeps time, and says what it can do at most. A [`Runner`] is a model on a device. How often something
//! runs and what counts is the engine's business; nothing here decides that.
//!
//! ```text
//!   device (the list) ──► cuda ──┐
//!                    └──► cpu ───┼──► burn (what Burn runs, wherever that is) ──► interface ──► error
//!                                └──► kernels of our own
//! ```

use super::error::{BuildError, DeviceError, LayersError, RunError};
use crate::{
    event::{DeviceInfo, DeviceTraits, LayerClock, LayerTime, Precision},
    model::{Model, Network, Value},
};
use burn::tensor;
use std::{any::Any, ffi::OsString, fmt, sync::Arc, time::Duration};

/// What runs models on the devices of one kind.
pub trait Backend: Sync {
    /// The devices of this kind that this host has, the best one first; or the kind itself as absent, with the reason.
    fn devices(&self) -> Vec<DeviceInfo>;

    /// The full name of the device that is called `name` on a command line, whether this host has it or not; none where
    /// that is no name of this backend's: `cuda` is `cuda:0`.
    fn full_name(&self, name: &str) -> Option<String>;

    /// The names that it knows, as a part of a sentence whose first word, up to a comma, is one of them; empty where they are not
    /// for the command line.
    fn names(&self) -> &'static str;

    /// How its devices differ from others.
    fn traits(&self) -> &'static DeviceTraits;

    /// The sources of telemetry whose sensors are its devices' own.
    fn sensors(&self) -> &'static [&'static str];

    /// Limit for the data segment of a process that is to work on one of its devices, bytes: `asked`, where somebody did. None
    /// where such a limit says nothing about what fits.
    fn memory_limit(&self, asked: Option<u64>) -> Option<u64>;

    /// The environment that a process must be started with to work on one of its devices; nothing where any does.
    ///
    /// # Errors
    /// If what the devices need can't be prepared.
    fn environment(&self) -> Result<Vec<(&'static str, OsString)>, DeviceError> {
        Ok(Vec::new())
    }

    /// Opens the device of a full name, and prepares this process for it: whatever process hands work to a device has to
    /// come through here, so it is prepared in one way only.
    ///
    /// # Errors
    /// Where Burn does not find it, or this process can't be prepared.
    fn open(&self, name: &str) -> Result<Arc<dyn Device>, DeviceError>;
}

/// Makes a model's network, on [`Device::tensors`]. Called again where a runner took its parameters and could not use them.
pub type MakeNetwork<'a> = dyn Fn() -> Result<Box<dyn Network>, BuildError> + 'a;

/// Is called with the name of a kernel that is launched.
pub type LaunchedKernel = Box<dyn Fn(&'static str) + Send + Sync>;

/// A device that is open.
pub trait Device: Send + Sync {
    /// How it differs from others.
    fn traits(&self) -> &'static DeviceTraits;

    /// Where Burn makes tensors for it: weights and inputs.
    fn tensors(&self) -> &tensor::Device;

    /// Loads a model at a precision.
    ///
    /// # Errors
    /// Those of `network`.
    fn load(
        self: Arc<Self>,
        model: &Model,
        precision: Precision,
        network: &MakeNetwork<'_>,
    ) -> Result<Box<dyn Runner>, BuildError>;

    /// Waits until it has done all that was asked of it.
    ///
    /// # Errors
    /// What it says. A launch that failed may not be among it: read something that was computed, too.
    fn sync(&self) -> Result<(), RunError>;

    /// Calls `launched` with the name of every kernel that is launched in this process, until what is given is dropped. None
    /// where there are no kernels that are compiled. A kernel that is new is compiled after the call.
    fn watch_kernels(&self, launched: LaunchedKernel) -> Option<Box<dyn Any>> {
        let _ = launched;
        None
    }

    /// Hands what was asked of it over, without waiting for it.
    ///
    /// # Errors
    /// What it says.
    fn flush(&self) -> Result<(), RunError>;

    /// Has work done between two readings of its own clock, if it has one.
    ///
    /// # Errors
    /// What it says.
    fn clocked(&self, work: &mut (dyn FnMut() + Send)) -> Result<ClockReading, RunError>;

    /// What its allocator holds; none where it does not report that.
    fn memory(&self) -> Option<AllocatorMemory>;

    /// Gives the allocator's memory that nothing uses back.
    fn free_unused(&self);

    /// The most operations a second in a precision, measured, a multiply-add counted as two; none where that could not be
    /// measured.
    fn peak_flops(&self, precision: Precision) -> Option<Peak>;

    /// The most bytes a second that it moves, measured, read and written ones both counted; none where that could not be
    /// measured.
    ///
    /// A copy reads and writes as much; what only reads, as a linear layer mostly does, may be faster, since a write takes
    /// turns with reads. The roof over all layers is the higher of the two.
    fn peak_bandwidth(&self) -> Option<Peak>;
}

/// What a device's allocator holds, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocatorMemory {
    /// In use.
    pub in_use: u64,
    /// Reserved.
    pub reserved: u64,
}

/// A peak, and how it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Peak {
    /// Operations or bytes a second.
    pub per_second: f64,
    /// How it was measured.
    pub how: String,
}

/// What a device's own clock measured. Reading it may wait for the device, so it is read after everything else.
pub struct ClockReading(Option<Box<dyn FnOnce() -> Option<Duration>>>);

impl ClockReading {
    /// Of a device without a clock.
    pub const NONE: Self = Self(None);

    /// One that `read` waits for.
    pub fn new(read: impl FnOnce() -> Option<Duration> + 'static) -> Self {
        Self(Some(Box::new(read)))
    }

    /// The time between the two readings; none where no clock took it.
    pub fn read(self) -> Option<Duration> {
        self.0.and_then(|read| read())
    }
}

impl fmt::Debug for ClockReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClockReading").field("taken", &self.0.is_some()).finish()
    }
}

/// A batch of inputs where a runner reads them; a clone is the same one.
#[derive(Clone, Debug)]
pub enum Input {
    /// On the device, floats in the model's precision.
    Device(Vec<Value>),
    /// One input in the host's memory in f32, row-major: taking it out of a tensor for each batch would copy it within the
    /// batch's time, 3 % of it with the lightest networks.
    Host(Arc<Vec<f32>>),
}

impl Input {
    /// Its values on the device.
    ///
    /// # Errors
    /// Where it is an input of a runner that reads the host's memory.
    pub fn on_device(&self) -> Result<&[Value], RunError> {
        match self {
            Self::Device(values) => Ok(values),
            Self::Host(_) => Err(RunError::other_input()),
        }
    }

    /// Its values in the host's memory.
    ///
    /// # Errors
    /// Where it is an input of a runner that reads tensors.
    pub fn on_host(&self) -> Result<&[f32], RunError> {
        match self {
            Self::Host(values) => Ok(values),
            Self::Device(_) => Err(RunError::other_input()),
        }
    }
}

/// A model loaded on a device.
pub trait Runner: Send + Sync {
    /// Values on [`Device::tensors`] for each of the model's inputs, as an input of this runner.
    ///
    /// # Errors
    /// What the device says, or that they are not what the model takes.
    fn input(&self, values: Vec<Value>) -> Result<Input, RunError>;

    /// The outputs of a batch, not waited for.
    ///
    /// # Errors
    /// What the device says at once, or that the input is another runner's.
    fn forward(&self, input: &Input) -> Result<Vec<Value>, RunError>;

    /// Captures the forward pass of an input as one graph of launches.
    ///
    /// # Errors
    /// Says why there is none. The device is then as it was before.
    fn capture(&self, input: &Input) -> Result<Box<dyn Replay>, String>;

    /// The same model layer by layer, for batches of a size.
    ///
    /// # Errors
    /// Where the forward pass can't be taken apart.
    fn layers(&self, batch: u32) -> Result<Box<dyn LayerRunner + '_>, LayersError>;
}

/// A captured forward pass of one input. It keeps what it reads and writes alive.
pub trait Replay: Send + Sync {
    /// Runs it again; gives its outputs, not waited for.
    ///
    /// # Errors
    /// What the device says.
    fn replay(&self) -> Result<Vec<Value>, RunError>;
}

/// A model that runs layer by layer, each of them timed.
pub trait LayerRunner {
    /// What the times are read from.
    fn clock(&self) -> LayerClock;

    /// Passes that do not count.
    fn warm_up(&self) -> usize;

    /// The layers of the batch in execution order, with values of `width` bytes; no times yet.
    fn layers(&self, width: u64) -> Vec<LayerTime>;

    /// Runs a batch and times its layers.
    ///
    /// # Errors
    /// Where an operation can't be run by itself, or the device says something.
    fn pass(&mut self, input: &Input) -> Result<LayerPass, LayersError>;
}

/// A pass whose layers were timed.
#[derive(Clone, Debug)]
pub struct LayerPass {
    /// From the synchronised start to an element of the output in the host's hands.
    pub wall: Duration,
    /// Of each layer.
    pub times: Vec<Duration>,
    /// Every value of the outputs.
    pub outputs: Vec<f64>,
}
