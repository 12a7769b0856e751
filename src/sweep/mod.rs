//! Measures configurations one after the other, without a screen: commands down, events folded into states, and a result
//! as soon as one holds enough. No clock and no terminal: an agent made of a script measures just as well.

pub mod enough;
pub mod file;
pub mod job;
pub mod merge;
pub mod plan;
pub mod shard;
pub mod stepper;

pub use enough::enough;
pub use job::{Job, Observer, measure};
pub use stepper::Stepper;

use crate::{
    event::{Config, Nanos, Outcome},
    session::{RunResult, State},
};
use std::time::Duration;

/// How long a sweep reads idle power before the first engine starts: a whole window (MEASURING.md, rules 4 and 11).
pub const IDLE_BEFORE: Duration = Duration::from_secs(5);

/// What became of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The configuration.
    pub config: Config,
    /// Its round, from 1.
    pub round: u32,
    /// When it was asked for.
    pub began: Nanos,
    /// Its figures, or why there are none.
    pub outcome: Result<RunResult, Failed>,
}

/// Why a configuration has no figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The device had not enough memory.
    #[error("out of memory: {message}")]
    OutOfMemory {
        /// Bytes asked for, where the device said.
        requested_bytes: Option<u64>,
        /// What the device said.
        message: String,
    },
    /// It can't run on its device, its engine died too often, or it was not tried.
    #[error("{0}")]
    Failing(String),
    /// The stream ended while it was being measured.
    #[error("the stream of events ended before it was measured")]
    StreamEnded,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every configuration was measured, or failed.
    Complete,
    /// Somebody interrupted it.
    Interrupted,
    /// The agent is gone.
    StreamEnded,
}

/// What became of a step, from the state that still holds its run.
fn done(state: &State, step: usize, outcome: &Outcome) -> Option<Measured> {
    let sweep = state.sweep.as_ref()?;
    let config = sweep.plan.config(step)?.clone();
    let result = state.current_result().filter(|result| result.config == config);
    let outcome = match outcome {
        Outcome::Measured => result.ok_or_else(|| Failed::Failing("the stream holds no batch of it".to_owned())),
        Outcome::Failed { reason, out_of_memory: true, requested_bytes } => {
            Err(Failed::OutOfMemory { requested_bytes: *requested_bytes, message: reason.clone() })
        }
        Outcome::Failed { reason, .. } | Outcome::Skipped { reason } => Err(Failed::Failing(reason.clone())),
    };
    let run = state.run.as_ref().filter(|run| run.config == config);
    let began = run.and_then(|_| state.marks.back()).map_or(sweep.since, |mark| mark.t);
    Some(Measured { config, round: sweep.plan.round(step), began, outcome })
}

/// The step that was in hand when the stream ended.
fn unfinished(state: &State) -> Option<Measured> {
    let sweep = state.sweep.as_ref()?;
    let (step, config) = sweep.next()?;
    let (round, outcome) = (sweep.plan.round(step), Err(Failed::StreamEnded));
    Some(Measured { config: config.clone(), round, began: sweep.since, outcome })
}

#[cfg(test)]
mod tests;
