//! Commands: from a screen or a sweep to an agent, and from an agent to its engine.

use super::{
    config::Config,
    ids::RunId,
    plan::{Outcome, Plan},
};
use serde::{Deserialize, Serialize};

/// What a screen or a sweep asks of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Measure this configuration from now on. The newest command of this kind wins.
    Run { config: Config },
    /// Drop the statistics of the current run and start counting again.
    Reset,
    /// Measure the layers of the current run one by one, as soon as it is steady.
    Layers,
    /// Stop the engine's process (SIGSTOP) or continue it: when the screen is suspended, the device must not stay busy.
    Pause { paused: bool },
    /// Measure nothing until the next [`Command::Run`]. With `stop_engine` the engine exits and releases the device, so
    /// that the sensors read idle power; without it the engine waits and keeps everything that it has compiled.
    Rest { stop_engine: bool },
    /// A sweep begins; the agent repeats the plan in the stream, so that a recording holds what was intended.
    Plan { plan: Plan },
    /// A step of the sweep is done; the agent repeats this in the stream.
    StepDone { step: u32, outcome: Outcome },
    /// The sweep ends before its last step; the agent repeats this in the stream.
    EndSweep,
    /// Stop the engine and end the stream.
    Stop,
}

/// What an agent asks of its engine: [`Command::Run`] with the number that the agent gave the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EngineCommand {
    /// Measure this configuration from the next batch boundary on.
    Run { run: RunId, config: Config },
    /// Measure the layers of that run between two of its batches, once it is steady. These passes do not count as batches.
    Layers { run: RunId },
    /// Measure nothing from the next batch boundary on.
    Rest,
}
