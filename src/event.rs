//! The one vocabulary: commands flow down to an engine, events flow up from it, and nothing else passes between the parts.
//!
//! A session is the stream of [`Event`]s, one JSON object a line: what a live screen folds into its state, what a
//! recorder writes and what a remote host sends are the same bytes. This module imports nothing of ours.

mod traits;

pub use traits::{DeviceKind, DeviceMemory, DeviceTraits, OthersLoad};

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Version of the stream's schema: raised when a reader of the old one would misread the new.
pub const SCHEMA: u32 = 1;

/// The version that a stream of several stations says in its first header: to a reader of [`SCHEMA`] they would be one.
pub const FLEET_SCHEMA: u32 = 2;

/// Number of a station within its session: one device of one host, with an agent and a stream of its own.
pub type StationId = u16;

/// Stations that a session has at the most: a bound on what a damaged number makes of a state.
pub const MOST_STATIONS: usize = 1024;

/// Monotonic nanoseconds since the session began.
pub type Nanos = u64;

/// Number of a run within its session: one configuration from the command that asked for it to the next.
pub type RunId = u64;

/// Number of a sensor within its session, as announced by [`Body::Sensors`].
pub type SensorId = u16;

/// The arithmetic a network runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 binary32 throughout.
    F32,
    /// Stored as f32; products may be taken on tensor cores, which round their inputs to 10 bits of mantissa.
    Tf32,
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: f32's range, 7 bits of mantissa.
    Bf16,
}

impl Precision {
    /// Every precision, in the order in which a key cycles through them.
    pub const ALL: [Self; 4] = [Self::F32, Self::Tf32, Self::F16, Self::Bf16];

    /// The name used on the command line, on the screen and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// Bytes that one stored value takes.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::F32 | Self::Tf32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.name() == s)
            .ok_or_else(|| format!("unknown precision '{s}': f32, tf32, f16 or bf16"))
    }
}

/// A configuration: everything that a user turns a knob for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Config {
    /// Registry id of the network, such as `resnet50`.
    pub network: String,
    /// Images in one batch.
    pub batch: u32,
    /// Arithmetic.
    pub precision: Precision,
    /// Device name: `cpu`, `cuda:0`.
    pub device: String,
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} · batch {} · {} · {}", self.network, self.batch, self.precision, self.device)
    }
}

/// What a screen or a sweep asks of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Measure this configuration from now on. The newest one wins.
    Run { config: Config },
    /// Forget the statistics of the current run and start counting again.
    Reset,
    /// Measure the layers of the run in progress one by one, as soon as it is steady.
    Layers,
    /// Stop the engine's process where it is, or let it go on: a screen that was stopped leaves no card burning.
    Pause { paused: bool },
    /// Measure nothing until the next [`Command::Run`]. With `stop_engine` the device is let go of, too, so that what the
    /// sensors read is idle power; without, the engine waits with all that it has compiled.
    Rest { stop_engine: bool },
    /// A sweep begins: say so in the stream, so that a record tells what was intended.
    Plan { plan: Plan },
    /// A step of the sweep is done: say so in the stream.
    StepDone { step: u32, outcome: Outcome },
    /// The sweep ends before its last step: say so in the stream.
    EndSweep,
    /// Stop the engine and end the stream.
    Stop,
}

/// What an agent asks of its engine: [`Command::Run`] with the number the agent gave the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EngineCommand {
    /// Measure this configuration from the next batch boundary on.
    Run { run: RunId, config: Config },
    /// Measure the layers of that run between two of its batches, once it is steady; nothing of it counts as a batch.
    Layers { run: RunId },
    /// Measure nothing from the next batch boundary on.
    Rest,
}

/// What a sweep measures, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every configuration once, in the order in which they were asked for.
    pub configs: Vec<Config>,
    /// Rounds: each one measures every configuration.
    pub repeat: u32,
    /// Seed of the random order; absent where the rounds follow the order of `configs`.
    pub seed: Option<u64>,
    /// Indices into `configs`, round after round: step by step what is measured.
    pub order: Vec<u32>,
    /// Steady batches of each configuration, s.
    pub seconds: f64,
    /// Time in which the engine rests between two steps, s.
    pub cooldown_s: f64,
    /// Which part of the steps is this one's: those whose number leaves the first of these over when it is divided by the
    /// second. All of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<(u32, u32)>,
    /// Whether its steps are dealt to several stations, each of which has the same plan and does some of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dealt: bool,
}

/// What became of a step of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured: the run in progress is its result.
    Measured,
    /// It can't run.
    Failed {
        /// Why.
        reason: String,
        /// Whether memory was what it lacked.
        out_of_memory: bool,
        /// Bytes asked for, where the device said.
        requested_bytes: Option<u64>,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}

/// One thing that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub t: Nanos,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

impl Event {
    /// Reads a line: what `serde_json` reads, but several times as fast for the two kinds that nearly all lines are of,
    /// written as they are here.
    ///
    /// # Errors
    /// If the line is no event.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        let frequent = line.strip_prefix(b"{").and_then(|rest| Self::frequent(line, rest));
        frequent.map_or_else(|| serde_json::from_slice(line), Ok)
    }

    /// Reads a line of one of the two frequent kinds, whose `rest` begins with its time.
    fn frequent(line: &[u8], rest: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Samples {
            #[serde(deserialize_with = "compact::readings")]
            values: Vec<(SensorId, f64)>,
        }
        let (t, name) = head(rest)?;
        let body = match name {
            b"samples" => serde_json::from_slice(line).ok().map(|Samples { values }| Body::Samples { values }),
            b"batches" => serde_json::from_slice(line).ok().map(Body::Batches),
            _ => None,
        };
        Some(Self { t, body: body? })
    }
}

/// An event, and which station it is from: a line of a session. Station 0 is not written, so that the lines of a session
/// of one station are its events and nothing more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tagged {
    /// The station.
    #[serde(default, skip_serializing_if = "is_first")]
    pub on: StationId,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

// serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

// serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_first(station: &StationId) -> bool {
    *station == 0
}

impl Tagged {
    /// Reads a line, as fast as [`Event::parse`] does.
    ///
    /// # Errors
    /// If the line is no event.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        let frequent = tag(line).and_then(|(on, rest)| Some(Self { on, event: Event::frequent(line, rest)? }));
        frequent.map_or_else(|| serde_json::from_slice(line), Ok)
    }
}

impl From<Event> for Tagged {
    fn from(event: Event) -> Self {
        Self { on: 0, event }
    }
}

impl From<&Event> for Tagged {
    fn from(event: &Event) -> Self {
        event.clone().into()
    }
}

impl From<&Self> for Tagged {
    fn from(tagged: &Self) -> Self {
        tagged.clone()
    }
}

/// The station of a line that begins as this module writes it, and what follows from its time on.
fn tag(line: &[u8]) -> Option<(StationId, &[u8])> {
    let Some(number) = line.strip_prefix(br#"{"on":"#) else { return Some((0, line.strip_prefix(b"{")?)) };
    let digits = number.iter().position(|byte| !byte.is_ascii_digit())?;
    let on = std::str::from_utf8(&number[..digits]).ok()?.parse().ok()?;
    Some((on, number[digits..].strip_prefix(b",")?))
}

/// Time and type of what begins as this module writes them.
fn head(rest: &[u8]) -> Option<(Nanos, &[u8])> {
    let rest = rest.strip_prefix(br#""t":"#)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let t = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let name = rest[digits..].strip_prefix(br#","type":""#)?;
    let end = name.iter().position(|byte| *byte == b'"')?;
    Some((t, &name[..end]))
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Body {
    /// The session began: always the first event. Another one later on says that another agent took over, as in a sweep
    /// that was interrupted and resumed: nothing runs then, and sensors are announced anew.
    Header(Header),
    /// The devices that this host has, and why others are missing.
    Devices { devices: Vec<DeviceInfo> },
    /// Static facts about a network, read off its executed graph.
    Network(NetworkFacts),
    /// What `wattscope check` found on this host's devices, by this version, with this driver and folding. Whatever is not
    /// in it has not been checked.
    Checks { checks: Vec<Checked> },

    /// The sensors of this host: each is sampled from now on, or says why not.
    Sensors { sensors: Vec<Sensor> },
    /// One tick of one source: values in the unit of each sensor's quantity.
    Samples {
        #[serde(deserialize_with = "compact::readings")]
        values: Vec<(SensorId, f64)>,
    },
    /// What sensors read before the engine started, for whoever joins the stream later than that.
    Idle { sensors: Vec<IdleReading> },
    /// These sensors stopped answering.
    SensorsLost { sensors: Vec<SensorId>, reason: String },
    /// What a card says about itself once.
    Card(Card),
    /// Why the card lowered its clocks; empty when it no longer does. Sent on change.
    Throttle { device: String, reasons: Vec<String> },
    /// Processes other than ours on a card. Sent on change.
    Neighbours { device: String, processes: Vec<Neighbour> },

    /// An engine process was started.
    EngineStarted { pid: u32, device: String },
    /// The accuracy of a network as it was measured on this host some time ago.
    Accuracy(Accuracy),
    /// The engine's process is gone, though nobody asked it to stop.
    EngineDied { reason: String, in_a_row: u32, run: RunId, config: Config },
    /// A configuration is given up: its engine died three times in a row, or it can't run on its device.
    Failing { run: RunId, config: Config, reason: String },
    /// A run entered a phase. The first one of a run number begins that run.
    Phase(PhaseChange),
    /// The weights that the network of a run has, as soon as it is built.
    Weights { run: RunId, weights: Weights },
    /// Whether the batches of a run replay a captured graph, as soon as that is decided.
    Graph(Graph),
    /// Measured batches since the last such event, oldest first.
    Batches(Batches),
    /// The device had not enough memory for a batch; the run ends.
    OutOfMemory { run: RunId, config: Config, requested_bytes: Option<u64>, message: String },
    /// What the engine's allocator and process hold.
    Memory(Memory),
    /// Peak arithmetic throughput measured on the device, multiply-add counted as two operations.
    Peak { device: String, precision: Precision, flops: f64, how: String },
    /// Peak memory throughput measured on the device, bytes read and bytes written both counted.
    Bandwidth { device: String, bytes_per_s: f64, how: String },
    /// The layers of a run are measured from now until [`Body::Layers`] or [`Body::NoLayers`]: no batch runs meanwhile, and
    /// what sensors read is not the network's.
    LayersBegun { run: RunId },
    /// Where the time of a batch goes, layer by layer.
    Layers(Layers),
    /// The layers of a run could not be measured; the run goes on.
    NoLayers { run: RunId, config: Config, reason: String },

    /// The statistics of the current run were reset.
    Reset,
    /// The engine's process was stopped, or goes on. A batch in between was as long as the pause and does not count.
    Paused { paused: bool },
    /// Nothing is measured until a configuration is asked for; `engine_stopped`: and nothing of ours holds the device.
    Resting { engine_stopped: bool },

    /// How the far end of a remote agent is reached. Sent on change, and about once a second.
    Link(Link),

    /// A sweep began.
    Plan(Plan),
    /// A step of the sweep is done; its run, if there is one, ends here.
    StepDone { step: u32, outcome: Outcome },
    /// The sweep was ended before its last step.
    SweepEnded,
    /// Something that the user should read.
    Notice { level: Level, text: String },
    /// Nothing more comes from this station, unless another header does; others may go on.
    Gone { reason: String },
}

impl Body {
    /// The run that it is about, to be numbered anew.
    pub const fn run_mut(&mut self) -> Option<&mut RunId> {
        match self {
            Self::EngineDied { run, .. }
            | Self::Failing { run, .. }
            | Self::Weights { run, .. }
            | Self::OutOfMemory { run, .. } => Some(run),
            Self::Phase(change) => Some(&mut change.run),
            Self::Batches(batches) => Some(&mut batches.run),
            Self::Memory(memory) => Some(&mut memory.run),
            _ => None,
        }
    }
}

/// The link to the far end of a command such as `ssh gpu-box`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The command that reaches it. Written as that: `on` is a line's station.
    #[serde(rename = "command")]
    pub on: String,
    /// Name of the far host, as soon as it said so.
    pub host: Option<String>,
    /// Whether it is reached.
    #[serde(flatten)]
    pub state: LinkState,
}

/// Whether the far end is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkState {
    /// The command was started and the far end has not answered yet.
    Connecting {
        /// The newest word of the command: `srun: job 7 queued and waiting for resources`.
        said: Option<String>,
    },
    /// It is.
    Up {
        /// Round trip of a ping, median of the last ones, ns; none before the first.
        rtt_ns: Option<u64>,
        /// Received over the last seconds, compressed as it is, bytes/s.
        down_bytes_per_s: f64,
        /// Sent over the last seconds, bytes/s.
        up_bytes_per_s: f64,
    },
    /// It is not, and neither engine nor sensors are.
    Lost {
        /// Why, in words.
        reason: String,
        /// Time to the next attempt, s; none where there will be none.
        retry_in_s: Option<f64>,
    },
}

/// How much a [`Body::Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Good to know.
    Info,
    /// A number may not be what it seems.
    Warning,
    /// Something asked for did not happen.
    Error,
}

/// What a record must keep to be believed later (MLPerf Power rules, arXiv 2410.12032).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// What a reader has to know: [`SCHEMA`], or [`FLEET_SCHEMA`] where there are several stations.
    pub schema: u32,
    /// Version of wattscope that wrote it.
    pub version: String,
    /// Version of Burn that ran the networks.
    pub burn: String,
    /// Wall clock at t = 0, RFC 3339; of a later header, too, whatever its own t.
    pub started: String,
    /// Host name.
    pub host: String,
    /// Operating system and kernel.
    pub os: String,
    /// Processor name.
    pub cpu: String,
    /// Logical processors that the process may use.
    pub cpus: u32,
    /// Physical memory, bytes.
    pub memory_bytes: u64,
    /// The command line as given.
    pub command: Vec<String>,
    /// Whether networks run with their batch norms folded into the layers before them.
    #[serde(default)]
    pub folded: bool,
    /// The device of this station, where there are several and it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How many stations there are, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stations: Option<StationId>,
}

/// A network's logits on a device, compared with the reference's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Registry id.
    pub network: String,
    /// Device name: `cpu`, `cuda:0`.
    pub device: String,
    /// Arithmetic.
    pub precision: Precision,
    /// Largest difference of a logit, in standard deviations of the reference's logits; none where it is not finite.
    pub error: Option<f64>,
    /// What it may be at most.
    pub bound: f64,
    /// Whether it is.
    pub pass: bool,
}

/// A device on which networks could run, or the reason why one can't.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`; `cuda` for an absent kind.
    pub name: String,
    /// What the device calls itself.
    pub title: String,
    /// What it computes in; the first one is the default. Empty where it is absent.
    pub precisions: Vec<Precision>,
    /// Memory it has, bytes.
    pub memory_bytes: Option<u64>,
    /// UUID of a card as its driver prints it (`GPU-…`), to find the same card through NVML.
    pub uuid: Option<String>,
    /// Version of its driver, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// How it differs from other devices. Missing where the device is absent, and in older streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traits: Option<DeviceTraits>,
    /// Why it can't be used, and what to do about it.
    pub absent: Option<String>,
}

/// Static facts about a network: registry entry and what its captured graph says at batch 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// Registry id.
    pub id: String,
    /// Name as printed, `ResNet-50`.
    pub title: String,
    /// Family it belongs to: `VGG`, `ResNet`. Empty in the oldest streams.
    #[serde(default)]
    pub family: String,
    /// Year of its first paper.
    pub year: u16,
    /// Side of the square input image, pixels.
    pub input_px: u32,
    /// Learned values, batch-norm statistics left out.
    pub params: u64,
    /// Multiply-accumulates of convolutions and linear layers.
    pub macs: u64,
    /// Operations by the paper's rule: 2 a MAC, 1 a bias and a ReLU output, k² a pooling output, 0 for batch norm.
    pub ops: u64,
    /// Values that convolutions and linear layers write.
    pub activations: u64,
    /// Largest sum of live activation values at any moment, had every operation ideal buffers; values, not bytes.
    pub peak_activations: u64,
    /// Published top-1 accuracy, per cent, single centre crop.
    pub top1: Option<f64>,
    /// Published top-5 accuracy, per cent.
    pub top5: Option<f64>,
    /// Where the accuracy was published.
    pub accuracy_source: String,
    /// Its layers in execution order.
    pub layers: Vec<LayerFacts>,
}

/// One layer of a network at batch 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerFacts {
    /// `conv`, `linear`, `batch norm`, `relu`, `max pool` …
    pub kind: String,
    /// What distinguishes it: `64 × 11×11 /4`, `4096 → 1000`.
    pub detail: String,
    /// Output shape, batch first.
    pub output: Vec<u64>,
    /// Learned values.
    pub params: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Operations by the paper's rule.
    pub ops: u64,
}

/// The layers of a network in execution order, each timed by itself, over several passes of a batch, which took turns with
/// passes of the whole batch as it runs otherwise.
///
/// Every time is the mean over the middle half of the passes, by the time that each took in all. So it is as robust as a
/// median, and the layers' times add up to that of a pass, which medians do not: where something interrupts each pass
/// somewhere, it is in none of the layers' medians, and in the median of the whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Layers {
    /// The run.
    pub run: RunId,
    /// What was measured.
    pub config: Config,
    /// Passes of each kind.
    pub passes: u32,
    /// What the times were read from.
    pub clock: LayerClock,
    /// A whole batch, nothing in it timed, by the same clock as the layers. ns.
    pub whole_ns: u64,
    /// The layers' times together, ns.
    pub sum_ns: u64,
    /// Wall time of a whole batch, nothing in it timed. ns.
    pub whole_wall_ns: u64,
    /// Wall time of a batch whose layers are timed: what it is longer, the instrumentation adds. ns.
    pub instrumented_wall_ns: u64,
    /// The layers.
    pub layers: Vec<LayerTime>,
}

/// What times of layers were read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerClock {
    /// The device's own clock, around the kernels of each layer.
    Device,
    /// The host's clock, all that was asked of the device done at both ends.
    Wall,
}

/// One layer of a batch, and its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerTime {
    /// `conv`, `linear`, `batch norm`, `relu`, `max pool` …
    pub kind: String,
    /// What distinguishes it: `64 × 11×11 /4`, `4096 → 1000`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Output shape, batch first.
    pub output: Vec<u64>,
    /// Learned values.
    pub params: u64,
    /// Multiply-accumulates of the whole batch.
    pub macs: u64,
    /// Bytes that must cross the memory at the least in the run's precision: what it and the layers within it read from
    /// others, their weights, and what others read of it, each once. 0 where another layer's time holds it.
    pub bytes: u64,
    /// Time of the layer and of those within it, ns. 0 where another layer's time holds it, or where it takes none:
    /// the parts of a concatenation that are written where they belong.
    pub time_ns: u64,
    /// Index of the layer whose time holds it, where both are computed in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<usize>,
}

/// What a sensor measures; the unit follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Power now, as near to now as the sensor gets. W.
    PowerInstant,
    /// Power averaged by the sensor itself over about a second. W.
    PowerAverage,
    /// Energy since some moment in the past; only differences mean something. J.
    Energy,
    /// Power limit in force. W.
    PowerCap,
    /// Share of time in which the compute units were busy. %.
    Utilisation,
    /// Share of time in which the memory was read or written. %.
    MemoryUtilisation,
    /// Clock of the compute units. MHz.
    ComputeClock,
    /// Clock of the memory. MHz.
    MemoryClock,
    /// Temperature. °C.
    Temperature,
    /// Fan speed as a share of its maximum. %.
    Fan,
    /// Memory in use by everybody. Bytes.
    MemoryUsed,
    /// Memory there is. Bytes.
    MemoryTotal,
    /// Received over PCIe. Bytes/s.
    PcieReceive,
    /// Sent over PCIe. Bytes/s.
    PcieSend,
    /// Processor time of the engine as a share of all processors. %.
    EngineUtilisation,
    /// Resident set of the engine. Bytes.
    EngineMemory,
}

impl Quantity {
    /// Unit of the values, as printed behind them.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PowerInstant | Self::PowerAverage | Self::PowerCap => "W",
            Self::Energy => "J",
            Self::Utilisation | Self::MemoryUtilisation | Self::Fan | Self::EngineUtilisation => "%",
            Self::ComputeClock | Self::MemoryClock => "MHz",
            Self::Temperature => "°C",
            Self::MemoryUsed | Self::MemoryTotal | Self::EngineMemory => "B",
            Self::PcieReceive | Self::PcieSend => "B/s",
        }
    }
}

/// One sensor: where a number comes from and what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Its number in [`Body::Samples`].
    pub id: SensorId,
    /// Source that reads it: `nvml`, `hwmon`, `rapl`, `host`.
    pub source: String,
    /// What it belongs to: a device name (`cuda:0`, `cpu`), `host`, or `board` for a rail that feeds everything.
    pub device: String,
    /// What it measures.
    pub quantity: Quantity,
    /// As printed beside the number: `NVML instant`, `RAPL package-0`.
    pub label: String,
    /// How the value came about where it is not a plain reading: `derivative of the energy counter`,
    /// `integral of the sampled power`, `averaged by the sensor over 1 s`.
    pub method: Option<String>,
    /// Time between readings, milliseconds.
    pub period_ms: u32,
    /// Why it can't be read; no samples follow then.
    pub absent: Option<String>,
}

/// What a card says about itself once (rule 15: a record keeps it).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// Device name, `cuda:0`.
    pub device: String,
    /// Product name.
    pub title: String,
    /// UUID.
    pub uuid: Option<String>,
    /// Driver version.
    pub driver: Option<String>,
    /// Newest CUDA version that the driver supports, `13.0`.
    pub cuda: Option<String>,
    /// PCI bus id.
    pub pci: Option<String>,
    /// Power limit in force, W.
    pub power_cap_w: Option<f64>,
    /// Highest clock of the compute units, MHz.
    pub max_compute_clock_mhz: Option<u32>,
    /// `locked at 1410 MHz`, `floating`, or why it is not known.
    pub clock_policy: Option<String>,
}

/// A process on the card that is not ours: its load is not our power.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Process id.
    pub pid: u32,
    /// Name, where the host tells it.
    pub name: String,
    /// Memory it holds on the card, bytes.
    pub memory_bytes: Option<u64>,
}

/// What a sensor read before the engine started.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdleReading {
    /// The sensor.
    pub sensor: SensorId,
    /// How many readings there were.
    pub readings: u64,
    /// Their mean, in the unit of the sensor's quantity.
    pub mean: f64,
    /// Their standard deviation, in the same unit; 0 of a single reading.
    pub deviation: f64,
}

/// Where a run stands. Only batches of the steady phase count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Making the network and its weights on the device.
    Building,
    /// First batch: kernels are compiled and autotuned.
    Tuning,
    /// Latency has not converged yet.
    WarmingUp,
    /// Converged: batches count.
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
    /// How the warm-up ended; with [`Phase::Steady`] only.
    pub warm_up: Option<WarmUp>,
}

/// Which weights a network has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Weights {
    /// Made up: the same for the same seed everywhere.
    Seed { seed: u64 },
    /// Read from a file: its name, and the first eight digits of its SHA-256.
    File { name: String, checksum: String },
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed { seed } => write!(f, "seeded {seed}"),
            // As in torchvision's names.
            Self::File { name, checksum } if name.contains(checksum.as_str()) => f.write_str(name),
            Self::File { name, checksum } => write!(f, "{name} ({checksum})"),
        }
    }
}

/// The accuracy of a network over labelled images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Registry id.
    pub network: String,
    /// Its weights.
    pub weights: Weights,
    /// Device that it was measured on.
    pub device: String,
    /// Arithmetic that it was measured in.
    pub precision: Precision,
    /// Images that it was measured over.
    pub images: u64,
    /// Images whose class was the likeliest.
    pub top1: Share,
    /// Images whose class was among the five likeliest.
    pub top5: Share,
}

/// A share of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The share, per cent.
    pub percent: f64,
    /// Lower end of its 95 % interval (Wilson), per cent.
    pub low: f64,
    /// Upper end of its 95 % interval, per cent.
    pub high: f64,
}

/// Whether a run's launches are replayed as one captured graph, what speaks for it or against it, and what was measured for
/// the decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// The run.
    pub run: RunId,
    /// Whether its batches replay it.
    pub used: bool,
    /// Why, in a few words: `exact, 1.8 times as fast`, `not exact`, `cpu has none`.
    pub why: String,
    /// Median wall latency of a batch launched kernel by kernel; absent where it did not come to that. ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eager_ns: Option<u64>,
    /// The same of a batch replayed. ns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_ns: Option<u64>,
}

/// How a warm-up ended (rule 6: by convergence, not by a count; say which).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WarmUp {
    /// Time from the first batch after tuning to steady, seconds.
    pub seconds: f64,
    /// Batches in it.
    pub batches: u64,
    /// Relative standard error of the latency over the last window, per cent.
    pub error_percent: f64,
    /// Whether the error fell below the bound; otherwise time ran out.
    pub converged: bool,
}

/// Measured batches of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batches {
    /// The run.
    pub run: RunId,
    /// Whether they count: warm-up batches do not.
    pub steady: bool,
    /// From the start of the first batch to the end of the last, what lies between them included. ns.
    pub span_ns: u64,
    /// Device-synchronised wall latency of each batch, in no particular order. ns.
    #[serde(with = "compact")]
    pub wall_ns: Vec<u64>,
    /// Device time of batches by the device's own clock: of each where reading that clock costs next to nothing beside a
    /// batch, otherwise of one a report, which is then not among those of `wall_ns`; empty where there is no clock. ns.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "compact")]
    pub device_ns: Vec<u64>,
}

/// Memory held for the current run, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The run.
    pub run: RunId,
    /// Bytes in use in the device allocator; absent where it does not report.
    pub in_use: Option<u64>,
    /// Bytes that the device allocator has reserved.
    pub reserved: Option<u64>,
    /// Resident set of the engine's process.
    pub resident: Option<u64>,
}

/// Lists in few characters: a thousand batches a second, most of them alike, are written for hours.
mod compact {
    use super::SensorId;
    use serde::{
        Deserialize, Deserializer, Serializer,
        de::{Error, SeqAccess, Visitor},
        ser::SerializeSeq,
    };
    use std::fmt;

    /// Values that one list may stand for: far more than a device can run batches between two reports, and no more than
    /// memory can hold, whatever a damaged count says.
    const MOST: u64 = 1_000_000;

    /// A value, and how many times it is there.
    struct Run(u64, u64);

    impl<'de> Deserialize<'de> for Run {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct OneOrMany;
            impl<'de> Visitor<'de> for OneOrMany {
                type Value = Run;

                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a whole number, or one and how many times it is there")
                }

                fn visit_u64<E: Error>(self, value: u64) -> Result<Run, E> {
                    Ok(Run(value, 1))
                }

                fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Run, A::Error> {
                    let mut next = |i| -> Result<u64, A::Error> {
                        pair.next_element()?.ok_or_else(|| A::Error::invalid_length(i, &self))
                    };
                    Ok(Run(next(0)?, next(1)?))
                }
            }
            deserializer.deserialize_any(OneOrMany)
        }
    }

    /// Writes a run of equal values as `[value, count]`, any other value as itself.
    pub fn serialize<S: Serializer>(values: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for run in values.chunk_by(|a, b| a == b) {
            match run {
                [one] => list.serialize_element(one)?,
                _ => list.serialize_element(&(run[0], run.len()))?,
            }
        }
        list.end()
    }

    /// Reads what [`serialize`] wrote, and plain lists.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let mut values: Vec<u64> = Vec::new();
        for Run(value, count) in Vec::<Run>::deserialize(deserializer)? {
            if count > MOST - values.len() as u64 {
                return Err(D::Error::custom(format!("more than {MOST} values in a list")));
            }
            values.extend(std::iter::repeat_n(value, count as usize));
        }
        Ok(values)
    }

    /// Reads a sensor's values; JSON has no NaN, and says null in its place.
    pub fn readings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(SensorId, f64)>, D::Error> {
        let values = Vec::<(SensorId, Option<f64>)>::deserialize(deserializer)?;
        Ok(values.into_iter().map(|(id, value)| (id, value.unwrap_or(f64::NAN))).collect())
    }
}
