//! The entries that a state keeps: sensors, finished runs, marks, failures, and the state of the engine's process.

use super::super::{run::RunResult, series::Series};
use crate::{
    analysis::stats::Moments,
    event::{Config, Nanos, Sensor},
};
use std::collections::BTreeMap;

/// Entries of each kind (notices, marks, results, failures, facts) that are kept: enough for hours of interactive use.
pub(super) const KEPT: usize = 1_000;

/// Inserts a value, unless there are [`KEPT`] of its kind already.
pub(super) fn keep<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() < KEPT || map.contains_key(&key) {
        map.insert(key, value);
    }
}

/// A sensor and its readings.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorState {
    /// Its description.
    pub info: Sensor,
    /// Its readings.
    pub series: Series,
    /// Readings taken before the first engine was started.
    pub idle: Moments,
    /// Readings taken since the engine was last stopped, once power has fallen ([`COOLING`](super::COOLING)).
    pub idle_after: Moments,
}

/// The state of the engine's process, as far as events tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Engine {
    /// Not started yet, or given up.
    #[default]
    Absent,
    /// Running.
    Running { pid: u32, device: String },
    /// It died and is about to be restarted.
    Died { reason: String, in_a_row: u32 },
    /// It was stopped on request.
    Stopped { since: Nanos },
}

/// The stretch of time in which a configuration was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When it began.
    pub t: Nanos,
    /// The configuration.
    pub config: Config,
    /// When it became steady, or continued after a pause.
    pub steady: Option<Nanos>,
    /// When it ended; none while it runs.
    pub until: Option<Nanos>,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedRun {
    /// When it ended.
    pub t: Nanos,
    /// How many runs of the same configuration came before it.
    pub repeat: u32,
    /// Its result.
    pub result: RunResult,
}

/// Why a configuration did not run.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// When it failed.
    pub t: Nanos,
    /// Whether the device ran out of memory.
    pub out_of_memory: bool,
    /// Bytes asked for, where the device said.
    pub requested_bytes: Option<u64>,
    /// What happened, in words.
    pub reason: String,
}
