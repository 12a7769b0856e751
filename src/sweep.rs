//! Measures configurations one after the other, without a screen: commands down, events folded into a state, and a result
//! as soon as the state holds enough. No clock and no terminal: an agent made of a script measures just as well.

pub mod enough;
pub mod file;
pub mod fleet;
pub mod merge;
pub mod plan;
pub mod shard;
pub mod stepper;

pub use enough::enough;
pub use stepper::Stepper;

use crate::{
    agent::AgentHandle,
    event::{Body, Command, Config, Event, Nanos, Outcome},
    session::{Recorder, RunResult, State},
};
use std::{future::Future, io, pin::pin, time::Duration};

/// How long a sweep reads idle power before the first engine starts: a whole window (MEASURING.md, rules 4 and 11).
pub const IDLE_BEFORE: Duration = Duration::from_secs(5);

/// How long an agent may take to stop.
const FAREWELL: Duration = Duration::from_secs(5);

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

/// A sweep to be measured.
#[derive(Debug)]
pub struct Job {
    /// Goes through its steps.
    pub stepper: Stepper,
    /// What the stream has come to so far, and at the end.
    pub state: State,
    /// Where the stream is kept, if it is.
    pub recorder: Option<Recorder>,
}

impl Job {
    /// A sweep that nothing was measured of.
    pub fn new(stepper: Stepper, recorder: Option<Recorder>) -> Self {
        Self { stepper, state: State::default(), recorder }
    }

    /// Keeps an event; gives it on the clock of the file, where it goes on with one.
    fn record(&mut self, event: Event) -> io::Result<Event> {
        let Some(recorder) = &mut self.recorder else { return Ok(event) };
        recorder.send(&event).map_err(io::Error::other)?;
        Ok(recorder.on_its_clock(event))
    }
}

/// Is told how a sweep gets on.
pub trait Observer {
    /// An event was folded in.
    fn progress(&mut self, state: &State);

    /// A step is about to be done; `state` still holds its run.
    ///
    /// # Errors
    /// What it prints to may be gone; the sweep then ends.
    fn measured(&mut self, state: &State, measured: Measured) -> io::Result<()>;
}

/// Measures the steps of a sweep that are to come and stops the agent. Ends early when `interrupt` is ready or the agent is
/// gone.
///
/// # Errors
/// Those of the observer and of the recorder.
pub async fn measure(
    mut agent: AgentHandle,
    job: &mut Job,
    interrupt: impl Future<Output = ()>,
    observer: &mut impl Observer,
) -> io::Result<End> {
    let end = tokio::select! {
        biased;
        () = interrupt => Ok(End::Interrupted),
        end = steps(&mut agent, job, observer) => end,
    };
    stop(agent, job).await;
    let closed = job.recorder.take().map_or(Ok(0), Recorder::finish);
    end.and_then(|end| closed.map(|_| end).map_err(io::Error::other))
}

async fn steps(agent: &mut AgentHandle, job: &mut Job, observer: &mut impl Observer) -> io::Result<End> {
    let mut commands = job.stepper.begin(&job.state);
    loop {
        for command in commands {
            // An agent that is gone closes both channels: the end of its events says so.
            let _ = agent.commands.send(command);
        }
        if job.stepper.is_over() {
            return Ok(End::Complete);
        }
        let Some(event) = agent.events.recv().await else {
            if let Some(measured) = unfinished(&job.state) {
                observer.measured(&job.state, measured)?;
            }
            return Ok(End::StreamEnded);
        };
        let event = job.record(event)?;
        fold(&mut job.state, &event, observer)?;
        observer.progress(&job.state);
        commands = job.stepper.after(&job.state, &event);
    }
}

/// Folds an event in; the observer is told of a step that it ends.
///
/// # Errors
/// Those of the observer.
fn fold(state: &mut State, event: &Event, observer: &mut impl Observer) -> io::Result<()> {
    if let Body::StepDone { step, outcome } = &event.body
        && let Some(measured) = done(state, *step as usize, outcome)
    {
        observer.measured(state, measured)?;
    }
    state.apply(event);
    Ok(())
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

/// Lets the agent stop its engine, and waits for both, though not for ever.
async fn stop(mut agent: AgentHandle, job: &mut Job) {
    let _ = agent.commands.send(Command::Stop);
    let drained = pin!(async {
        while let Some(event) = agent.events.recv().await {
            // A recorder that has failed has said so.
            let _ = job.record(event);
        }
    });
    if tokio::time::timeout(FAREWELL, drained).await.is_err() {
        tracing::warn!("the agent did not stop within {FAREWELL:?}");
    }
}

#[cfg(test)]
mod tests;
