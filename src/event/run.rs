//! A run: its phases, its batches and the memory that it holds.

use super::{compact, config::Config, ids::RunId};
use serde::{Deserialize, Serialize};

/// The phases of a run, in order. Only batches of the steady phase count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The network and its weights are built on the device.
    Building,
    /// The first batch: kernels are compiled and autotuned.
    Tuning,
    /// Latency has not converged yet.
    WarmingUp,
    /// Latency has converged: batches count.
    Steady,
}

/// A run entered a phase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseChange {
    /// The run.
    pub run: RunId,
    /// Its configuration.
    pub config: Config,
    /// The phase it entered.
    pub phase: Phase,
    /// How the warm-up ended; only with [`Phase::Steady`].
    pub warm_up: Option<WarmUp>,
}

/// How a warm-up ended: by convergence, or by its timeout (MEASURING.md, rule 6).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WarmUp {
    /// Time from the first batch after tuning to steady, seconds.
    pub seconds: f64,
    /// Number of batches.
    pub batches: u64,
    /// Relative standard error of the latency over the last window, per cent.
    pub error_percent: f64,
    /// Whether the error fell below the bound; otherwise the timeout ended the warm-up.
    pub converged: bool,
}

impl WarmUp {
    /// Largest standard error of the latency's median with which a warm-up has converged, %.
    pub const CONVERGED_PERCENT: f64 = 2.0;
}

/// Whether the kernel launches of a run are replayed as one captured graph, why, and what was measured for the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// The run.
    pub run: RunId,
    /// Whether its batches replay the graph.
    pub used: bool,
    /// Why, in a few words: `exact, 1.8 times as fast`, `not exact`, `cpu has none`.
    pub why: String,
    /// Median wall latency of a batch that is launched kernel by kernel; absent where that was not measured. ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eager_ns: Option<u64>,
    /// Median wall latency of a replayed batch; absent where that was not measured. ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_ns: Option<u64>,
}

/// Measured batches of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batches {
    /// The run.
    pub run: RunId,
    /// Whether they count. Batches of the warm-up do not.
    pub steady: bool,
    /// Time from the start of the first batch to the end of the last, gaps included. ns.
    pub span_ns: u64,
    /// Device-synchronised wall latency of each batch, in no particular order. ns.
    #[serde(with = "compact")]
    pub wall_ns: Vec<u64>,
    /// Device time of batches, by the device's own clock. ns. Of every batch where reading that clock costs next to nothing
    /// compared with a batch, otherwise of one batch per event, which is then not in `wall_ns`. Empty where the device has
    /// no clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "compact")]
    pub device_ns: Vec<u64>,
}

/// Memory that the current run holds, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The run.
    pub run: RunId,
    /// In use in the device's allocator; absent where the allocator does not report it.
    pub in_use: Option<u64>,
    /// Reserved by the device's allocator.
    pub reserved: Option<u64>,
    /// Resident set of the engine's process.
    pub resident: Option<u64>,
}

/// How far the kernels of a run are compiled and tuned. How many there will be nobody knows: the autotuner tries candidates for
/// every shape, and drops those that do not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compiling {
    /// The run.
    pub run: RunId,
    /// Different kernels that were launched so far, those of the autotuner among them.
    pub kernels: u32,
    /// The newest of them, which is compiled now or has just been.
    pub newest: String,
}
