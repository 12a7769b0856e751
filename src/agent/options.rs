//! How an agent works.

use crate::{engine::WeightsFile, event::RunId};
use std::{path::PathBuf, time::Duration};

/// How an agent works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between sensor readings.
    pub period: Duration,
    /// How long idle power is measured before the first engine starts, where the device has a power sensor.
    pub idle: Duration,
    /// After an out-of-memory: whether to go back to the last configuration that worked (for a live screen), or to report
    /// it and wait for the next command (for a sweep).
    pub step_back: bool,
    /// Limit of the engine's data segment on the CPU, bytes: an allocation beyond it is an out-of-memory. By default 90 % of
    /// the host's available memory.
    pub memory_limit: Option<u64>,
    /// Weights from a file for one network; the other networks have random weights from a seed.
    pub weights: Option<WeightsFile>,
    /// File of the accuracies measured on this host.
    pub accuracies: Option<PathBuf>,
    /// Whether networks run with their batch norms folded.
    pub fold: bool,
    /// Whether CUDA engines replay small batches as captured graphs where that is exact and faster.
    pub graph: bool,
    /// File of the results of `wattscope check`; without one the stream does not mention any.
    pub checks: Option<PathBuf>,
    /// Number of the run before the first one: a session that is resumed goes on counting.
    pub last_run: RunId,
    /// The program whose `engine` subcommand is the engine.
    pub program: PathBuf,
    /// The only device that is measured: no sensors but its own are read. Without one, all sensors of the host are.
    pub only: Option<String>,
    /// Whether no other card of this host has an agent: then rails that feed the whole board count as this device's.
    pub alone: bool,
}

impl Options {
    /// Options for engines of the program at `program`.
    pub fn new(program: PathBuf) -> Self {
        Self {
            period: Duration::from_millis(50),
            idle: Duration::from_millis(1000),
            step_back: true,
            memory_limit: None,
            weights: None,
            accuracies: None,
            fold: true,
            graph: true,
            checks: None,
            last_run: 0,
            program,
            only: None,
            alone: true,
        }
    }
}
