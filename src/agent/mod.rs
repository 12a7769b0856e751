//! The agent: one per host. It samples the sensors, starts and watches over the engine, and joins both into one stream.
//!
//! [`start`] starts that of this host; [`remote`] that of another one, at the far end of a command, where [`serve`] speaks for
//! it. Whoever holds the [`AgentHandle`] can't tell one from the other.

mod backlog;
mod child;
pub mod fleet;
mod idle;
mod local;
pub mod posts;
pub mod remote;
pub mod serve;
pub mod site;
mod window;
pub mod wire;

// The command line's tests parse what an engine is started with.
#[cfg(test)]
pub(crate) use child::Launch;

use crate::{
    clock::Clock,
    engine::WeightsFile,
    event::{Body, Command, Event, Header, RunId, SCHEMA},
    host,
};
use std::{path::PathBuf, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The two ends of an agent that its user holds: commands go in, events come out. Dropping it stops the agent and its
/// engine; the end of `events` says that both are gone.
#[derive(Debug)]
pub struct AgentHandle {
    /// What to measure.
    pub commands: UnboundedSender<Command>,
    /// What happens.
    pub events: UnboundedReceiver<Event>,
}

impl AgentHandle {
    /// The handle of nobody: commands go nowhere, and the stream has ended.
    pub fn silent() -> Self {
        Self { commands: unbounded_channel().0, events: unbounded_channel().1 }
    }
}

/// How an agent works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Time between sensor readings.
    pub period: Duration,
    /// How long idle power is read before the first engine starts, where the device has a power sensor.
    pub idle: Duration,
    /// After an out-of-memory, go back to the last configuration that worked (what a live screen wants), or report it
    /// and wait for the next command (what a sweep wants).
    pub step_back: bool,
    /// Limit of the engine's data segment on the CPU, bytes: what is beyond it is out of memory. By default 90 % of what
    /// the host has available.
    pub memory_limit: Option<u64>,
    /// Weights from a file for one network; all others have seeded ones.
    pub weights: Option<WeightsFile>,
    /// File of the accuracies measured on this host.
    pub accuracies: Option<PathBuf>,
    /// Whether networks run with their batch norms folded.
    pub fold: bool,
    /// Whether CUDA engines replay small batches as captured graphs where that is exact and faster.
    pub graph: bool,
    /// Where `wattscope check` keeps its results; nothing is said of them where this is none.
    pub checks: Option<PathBuf>,
    /// The number of the run before the first one: a session that goes on numbers on.
    pub last_run: RunId,
    /// The program whose `engine` command is the engine.
    pub program: PathBuf,
    /// The only device that is asked for: no sensors but those that tell of it are read. Every one of the host by default.
    pub only: Option<String>,
    /// Whether no other card of this host has an agent: rails that feed the whole board are read as its own then.
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

/// Starts the agent of this host on the current tokio runtime. The first event is the session's header.
pub fn start(options: Options, clock: Clock) -> AgentHandle {
    let (commands, from_user) = unbounded_channel();
    let (to_user, events) = unbounded_channel();
    // The receiver is in this very function.
    let _ = to_user.send(Event { t: clock.now(), body: Body::Header(header(options.fold)) });
    tokio::spawn(local::run(options, clock, to_user, from_user));
    AgentHandle { commands, events }
}

fn header(folded: bool) -> Header {
    Header {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        burn: BURN.to_owned(),
        started: jiff::Timestamp::now().to_string(),
        host: host::name(),
        os: host::system(),
        cpu: host::processor(),
        cpus: host::processors(),
        memory_bytes: host::memory().map_or(0, |memory| memory.total),
        command: std::env::args().collect(),
        folded,
        device: None,
        stations: None,
    }
}

/// Version of Burn, as `Cargo.toml` pins it.
const BURN: &str = "0.22.1";
