//! Measures configurations one after the other, without a screen: commands down, events folded into a state, and a result
//! as soon as the state holds enough. No clock and no terminal: an agent made of a script measures just as well.

use crate::{
    agent::AgentHandle,
    event::{Body, Command, Config, Event, Nanos, Phase, Quantity},
    session::{Run, RunResult, State, run::SETTLING},
};
use std::{future::Future, io, pin::pin, time::Duration};

/// Readings that a mean power needs at the least (arXiv 2312.02741: 32 repetitions or 5 s; the time is what
/// [`Plan::seconds`] is for, this keeps a slow sensor from deciding with two).
const READINGS: u64 = 8;

/// How much longer a sensor that hardly answers is waited for.
const PATIENCE: Nanos = 5_000_000_000;

/// How long an agent may take to stop.
const FAREWELL: Duration = Duration::from_secs(5);

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which configurations, each once.
    pub configs: Vec<Config>,
    /// Steady batches of each, seconds.
    pub seconds: f64,
}

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The configuration.
    pub config: Config,
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
    /// It can't run on its device, or its engine died too often.
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

/// Is told how a sweep gets on.
pub trait Observer {
    /// An event was folded in while configuration number `index` was being measured.
    fn progress(&mut self, state: &State, index: usize);

    /// A configuration is done; `state` still holds its run.
    ///
    /// # Errors
    /// What it prints to may be gone; the sweep then ends.
    fn measured(&mut self, state: &State, measured: Measured) -> io::Result<()>;
}

/// Measures a plan and stops the agent. Ends early when `interrupt` is ready or the agent is gone.
///
/// # Errors
/// Those of the observer.
pub async fn measure(
    mut agent: AgentHandle,
    plan: &Plan,
    interrupt: impl Future<Output = ()>,
    observer: &mut impl Observer,
) -> io::Result<End> {
    let end = tokio::select! {
        biased;
        () = interrupt => Ok(End::Interrupted),
        end = measure_all(&mut agent, plan, observer) => end,
    };
    stop(agent).await;
    end
}

async fn measure_all(agent: &mut AgentHandle, plan: &Plan, observer: &mut impl Observer) -> io::Result<End> {
    let mut state = State::default();
    for (index, config) in plan.configs.iter().enumerate() {
        let began = state.now;
        // An agent that is gone closes both channels: the end of its events says so.
        let _ = agent.commands.send(Command::Run { config: config.clone() });
        let outcome = loop {
            let Some(event) = agent.events.recv().await else { break Err(Failed::StreamEnded) };
            state.apply(&event);
            observer.progress(&state, index);
            if let Some(outcome) = outcome(&state, &event, config, plan.seconds) {
                break outcome;
            }
        };
        let ended = outcome == Err(Failed::StreamEnded);
        observer.measured(&state, Measured { config: config.clone(), began, outcome })?;
        if ended {
            return Ok(End::StreamEnded);
        }
    }
    Ok(End::Complete)
}

/// Lets the agent stop its engine, and waits for both, though not for ever.
async fn stop(mut agent: AgentHandle) {
    let _ = agent.commands.send(Command::Stop);
    let drained = pin!(async { while agent.events.recv().await.is_some() {} });
    if tokio::time::timeout(FAREWELL, drained).await.is_err() {
        tracing::warn!("the agent did not stop within {FAREWELL:?}");
    }
}

/// What the newest event decided about a configuration, if anything.
fn outcome(state: &State, event: &Event, config: &Config, seconds: f64) -> Option<Result<RunResult, Failed>> {
    match &event.body {
        Body::OutOfMemory { config: of, requested_bytes, message, .. } if of == config => {
            Some(Err(Failed::OutOfMemory { requested_bytes: *requested_bytes, message: message.clone() }))
        }
        Body::Failing { config: of, reason, .. } if of == config => Some(Err(Failed::Failing(reason.clone()))),
        _ if enough(state, config, seconds) => state.current_result().map(Ok),
        _ => None,
    }
}

/// Whether a configuration has been measured enough: `seconds` of steady batches and, where its device has a power sensor,
/// `seconds` of power after it settled, with readings enough to mean something.
pub fn enough(state: &State, config: &Config, seconds: f64) -> bool {
    let Some(run) = state.run.as_ref().filter(|run| run.config == *config && run.phase == Phase::Steady) else {
        return false;
    };
    run.steady.span_ns as f64 >= seconds * 1e9 && enough_readings(state, run, seconds)
}

fn enough_readings(state: &State, run: &Run, seconds: f64) -> bool {
    let device = run.config.device.as_str();
    let wanted = (seconds * 1e9) as Nanos;
    let settled = state.now.saturating_sub(run.steady.since + SETTLING);
    let readings = |id| run.steady.sensors.get(&id).map_or(0, |reading| reading.moments.count());
    let power = state.power_sensor(device).ok();
    let busy = state.sensor(device, Quantity::Utilisation).filter(|(_, sensor)| sensor.info.absent.is_none());
    power.is_none_or(|(id, _)| settled >= wanted && (readings(id) >= READINGS || settled >= wanted + PATIENCE))
        && busy.is_none_or(|(id, _)| readings(id) > 0 || settled >= PATIENCE)
}

#[cfg(test)]
mod tests;
