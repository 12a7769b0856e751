//! The layers of a run, each with its time.

use super::{config::Config, ids::RunId};
use serde::{Deserialize, Serialize};

/// The layers of a network in execution order, each timed by itself. Several instrumented passes of a batch alternate with
/// passes of the whole batch without instrumentation.
///
/// Every time is the mean over the middle half of the passes, sorted by their total time. This is as robust as a median,
/// and the times of the layers add up to the time of a pass. Medians of each layer would not: an interruption that hits
/// every pass, each time in another layer, is in the median of the whole batch and in none of the layers'.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layers {
    /// The run.
    pub run: RunId,
    /// Its configuration.
    pub config: Config,
    /// Passes of each kind.
    pub passes: u32,
    /// The clock that timed the layers.
    pub clock: LayerClock,
    /// Time of a batch without instrumentation, by the same clock as the layers. ns.
    pub whole_ns: u64,
    /// Sum of the times of the layers, ns.
    pub sum_ns: u64,
    /// Wall time of a batch without instrumentation. ns.
    pub whole_wall_ns: u64,
    /// Wall time of an instrumented batch; the difference to `whole_wall_ns` is the overhead of the instrumentation. ns.
    pub instrumented_wall_ns: u64,
    /// The layers.
    pub layers: Vec<LayerTime>,
}

/// The clock that timed the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerClock {
    /// The device's own clock, around the kernels of each layer.
    Device,
    /// The host's clock, with the device synchronised at both ends of each layer.
    Wall,
}

/// One layer of a batch and its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerTime {
    /// `conv`, `linear`, `batch norm`, `relu`, `max pool` …
    pub kind: String,
    /// Its parameters in short: `64 × 11×11 /4`, `4096 → 1000`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Output shape, batch first.
    pub output: Vec<u64>,
    /// Learned parameters.
    pub params: u64,
    /// Multiply-accumulates of the whole batch.
    pub macs: u64,
    /// Least memory traffic in the run's precision, bytes: inputs of this layer and of those fused into it, their weights,
    /// and outputs that other layers read, each counted once. 0 where it is fused into another layer.
    pub bytes: u64,
    /// Time of the layer and of those fused into it, ns. 0 where it is fused into another layer, or takes no time: a
    /// concatenation whose parts are written in place.
    pub time_ns: u64,
    /// Index of the layer that it is fused into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<usize>,
}
