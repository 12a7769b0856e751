//! What distinguishes one device from another. It travels with the device in the stream, so that code that shows, records or
//! supervises a run asks for a trait and never for the name of the device.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How a device differs from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTraits {
    /// Its kind.
    pub kind: DeviceKind,
    /// Whether it has a clock of its own, which times batches beside the host's.
    pub own_clock: bool,
    /// Whether it can replay a captured graph of launches.
    pub graphs: bool,
    /// Whether kernels are compiled and tuned when a configuration runs for the first time, which may take minutes.
    pub compiles: bool,
    /// The memory that it works in.
    pub memory: DeviceMemory,
    /// How the load of others on it becomes known.
    pub others: OthersLoad,
    /// What its utilisation is a share of, in short: `CPU`, `SM`.
    pub utilisation_of: Cow<'static, str>,
}

/// The kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// The host's own processor.
    Processor,
    /// A graphics card or another accelerator.
    Card,
}

/// The memory that a device works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceMemory {
    /// The host's: the memory limit of the engine's process is the limit of what it can run.
    Host,
    /// Its own, managed by its driver.
    Own,
}

/// How the load of others on a device becomes known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OthersLoad {
    /// As a share of processor time: utilisation of all minus that of the engine.
    ProcessorTime,
    /// The driver names the processes.
    Processes,
}
