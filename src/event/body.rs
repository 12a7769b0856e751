//! The body of an event: every kind of thing that can happen.

use super::{
    compact,
    config::{Config, Precision},
    device::{Card, DeviceInfo, Neighbour},
    header::Header,
    ids::{RunId, SensorId},
    layers::Layers,
    link::Link,
    network::{Accuracy, Checked, NetworkFacts, Weights},
    plan::{Outcome, Plan},
    run::{Batches, Compiling, Graph, Memory, PhaseChange},
    sensor::{IdleReading, Sensor},
};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// The session began: always the first event. A later header says that another agent took over, as when an interrupted
    /// sweep is resumed: nothing runs at that moment, and sensors are announced again.
    Header(Header),
    /// The devices that this host has, and why others are missing.
    Devices { devices: Vec<DeviceInfo> },
    /// Static facts about a network, read off its executed graph.
    Network(NetworkFacts),
    /// What `wattscope check` found on this host's devices, by this version, with this driver and folding. A combination
    /// that is not in the list has not been checked.
    Checks { checks: Vec<Checked> },

    /// The sensors of this host. Each one is sampled from now on, or says why it can't be.
    Sensors { sensors: Vec<Sensor> },
    /// One tick of one source: values in the unit of each sensor's quantity.
    Samples {
        #[serde(deserialize_with = "compact::readings")]
        values: Vec<(SensorId, f64)>,
    },
    /// What sensors read before the engine started, for a client that joins the stream later.
    Idle { sensors: Vec<IdleReading> },
    /// These sensors stopped answering.
    SensorsLost { sensors: Vec<SensorId>, reason: String },
    /// What a card says about itself. Sent once.
    Card(Card),
    /// Why the card has lowered its clocks; empty when it no longer does. Sent on change.
    Throttle { device: String, reasons: Vec<String> },
    /// Processes other than ours on a card. Sent on change.
    Neighbours { device: String, processes: Vec<Neighbour> },

    /// An engine process was started.
    EngineStarted { pid: u32, device: String },
    /// The accuracy of a network, measured on this host earlier.
    Accuracy(Accuracy),
    /// The engine's process ended without being asked to.
    EngineDied { reason: String, in_a_row: u32, run: RunId, config: Config },
    /// A configuration is given up: its engine died three times in a row, or it can't run on this device.
    Failing { run: RunId, config: Config, reason: String },
    /// A run entered a phase. The first one of a run number begins that run.
    Phase(PhaseChange),
    /// How far the kernels of a run are compiled and tuned. Sent now and then in the first batches.
    Compiling(Compiling),
    /// The weights of a run's network. Sent as soon as it is built.
    Weights { run: RunId, weights: Weights },
    /// Whether the batches of a run replay a captured graph. Sent as soon as that is decided.
    Graph(Graph),
    /// The batches measured since the last such event.
    Batches(Batches),
    /// The device does not have enough memory for a batch; the run ends.
    OutOfMemory { run: RunId, config: Config, requested_bytes: Option<u64>, message: String },
    /// Memory that the engine's allocator and process hold.
    Memory(Memory),
    /// Peak arithmetic throughput measured on the device, multiply-add counted as two operations.
    Peak { device: String, precision: Precision, flops: f64, how: String },
    /// Peak memory throughput measured on the device, bytes read and bytes written both counted.
    Bandwidth { device: String, bytes_per_s: f64, how: String },
    /// The layers of a run are measured from now until [`Body::Layers`] or [`Body::NoLayers`]. No batch runs meanwhile, and
    /// sensor readings do not belong to the run.
    LayersBegun { run: RunId },
    /// The time of a batch, layer by layer.
    Layers(Layers),
    /// The layers of a run could not be measured; the run goes on.
    NoLayers { run: RunId, config: Config, reason: String },

    /// The statistics of the current run were reset.
    Reset,
    /// The engine's process was stopped, or continues. A batch in between lasted as long as the pause and does not count.
    Paused { paused: bool },
    /// Nothing is measured until the next configuration is asked for. `engine_stopped`: the engine has exited, too, so
    /// that nothing of ours holds the device.
    Resting { engine_stopped: bool },

    /// The state of the link to a remote agent. Sent on change, and about once a second.
    Link(Link),

    /// A sweep began.
    Plan(Plan),
    /// A step of the sweep is done; its run, if there is one, ends here.
    StepDone { step: u32, outcome: Outcome },
    /// The sweep was ended before its last step.
    SweepEnded,
    /// A message for the user.
    Notice { level: Level, text: String },
    /// The station is gone: it sends nothing more, unless another header follows. Other stations may go on.
    Gone { reason: String },
}

impl Body {
    /// The run that the event is about, where it is about one.
    pub const fn run(&self) -> Option<RunId> {
        match self {
            Self::EngineDied { run, .. }
            | Self::Failing { run, .. }
            | Self::Weights { run, .. }
            | Self::OutOfMemory { run, .. }
            | Self::LayersBegun { run }
            | Self::NoLayers { run, .. } => Some(*run),
            Self::Phase(change) => Some(change.run),
            Self::Compiling(compiling) => Some(compiling.run),
            Self::Graph(graph) => Some(graph.run),
            Self::Batches(batches) => Some(batches.run),
            Self::Memory(memory) => Some(memory.run),
            Self::Layers(layers) => Some(layers.run),
            _ => None,
        }
    }
}

/// How much a [`Body::Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For information.
    Info,
    /// A number may not be what it seems.
    Warning,
    /// Something asked for did not happen.
    Error,
}
