//! The agent: one per host. It samples the sensors, starts and watches over the engine, and joins both into one stream.

use crate::event::{Command, Event};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// The two ends of an agent that its user holds: commands go in, events come out. Dropping it stops the agent and its
/// engine; the end of `events` says that both are gone.
#[derive(Debug)]
pub struct AgentHandle {
    /// What to measure.
    pub commands: UnboundedSender<Command>,
    /// What happens.
    pub events: UnboundedReceiver<Event>,
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            period: Duration::from_millis(50),
            idle: Duration::from_millis(1000),
            step_back: true,
            memory_limit: None,
        }
    }
}
