//! A step of a sweep that is done, with its result.

use super::{RunResult, State};
use crate::event::{Config, Nanos, Outcome};

/// A step that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The configuration.
    pub config: Config,
    /// Its round, from 1.
    pub round: u32,
    /// When it was asked for.
    pub began: Nanos,
    /// Its result, or why there is none.
    pub outcome: Result<RunResult, Failed>,
}

/// Why a configuration has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The device ran out of memory.
    #[error("out of memory: {message}")]
    OutOfMemory {
        /// Bytes asked for, where the device said.
        requested_bytes: Option<u64>,
        /// What the device said.
        message: String,
    },
    /// It can't run on its device, its engine died too often, or it was skipped.
    #[error("{0}")]
    Failing(String),
    /// The stream ended while it was being measured.
    #[error("the stream of events ended before it was measured")]
    StreamEnded,
}

/// The step that an event ends, from the state that still holds its run.
pub fn done(state: &State, step: usize, outcome: &Outcome) -> Option<Measured> {
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

/// The step that was in progress when the stream ended.
pub fn unfinished(state: &State) -> Option<Measured> {
    let sweep = state.sweep.as_ref()?;
    let (step, config) = sweep.next()?;
    let (round, outcome) = (sweep.plan.round(step), Err(Failed::StreamEnded));
    Some(Measured { config: config.clone(), round, began: sweep.since, outcome })
}
