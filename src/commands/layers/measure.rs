//! The measuring loop: each configuration to steady state, as in a run, and then its layers.

use super::record::Record;
use crate::{
    agent::fleet::FleetHandle,
    event::{Body, Command, Config, Event, Layers, Phase, RunId, Tagged},
    session::{Recording, State, record::RecordError},
    sweep::{End, Failed, job::FAREWELL},
};
use std::{future::Future, io};

/// An observer of the measurement.
pub trait Observer {
    /// An event was folded in.
    fn progress(&mut self, state: &State);

    /// The recording has ended because of an error. Called once; measuring goes on. Does nothing by default.
    fn recording_ended(&mut self, _error: &RecordError) {}

    /// The layers of a configuration were measured, or not.
    ///
    /// # Errors
    /// What it prints to may be gone; nothing more is measured then.
    fn measured(&mut self, state: &State, record: Record) -> io::Result<()>;
}

/// Measures the layers of configurations one after the other on the single station of `agents`, and stops it. Ends early when
/// `interrupt` is ready or the agent is gone. A recording that can't be written any more ends, and nothing else does.
///
/// # Errors
/// Those of the observer.
pub async fn measure(
    mut agents: FleetHandle,
    configs: &[Config],
    recording: &mut Recording,
    interrupt: impl Future<Output = ()>,
    observer: &mut impl Observer,
) -> io::Result<End> {
    let end = tokio::select! {
        biased;
        () = interrupt => Ok(End::Interrupted),
        end = all(&mut agents, configs, recording, observer) => end,
    };
    agents.stop(FAREWELL, |tagged| record(recording, &tagged.event, observer)).await;
    if let Some(error) = recording.finish() {
        observer.recording_ended(error);
    }
    end
}

async fn all(
    agents: &mut FleetHandle,
    configs: &[Config],
    recording: &mut Recording,
    observer: &mut impl Observer,
) -> io::Result<End> {
    let mut state = State::default();
    for config in configs {
        agents.send(Command::Run { config: config.clone() });
        let mut asked = None;
        let found = loop {
            let Some(Tagged { event, .. }) = agents.events.recv().await else {
                observer.measured(&state, Record::of(&state, config, Err(&Failed::StreamEnded)))?;
                return Ok(End::StreamEnded);
            };
            record(recording, &event, observer);
            state.apply(&event);
            observer.progress(&state);
            if let Some(run) = steady(&event.body, config).filter(|run| asked != Some(*run)) {
                asked = Some(run);
                agents.send(Command::Layers);
            }
            if let Some(found) = answer(&event.body, config) {
                break found;
            }
        };
        observer.measured(&state, Record::of(&state, config, found.as_ref()))?;
    }
    Ok(End::Complete)
}

/// The run of a configuration that has just become steady.
fn steady(body: &Body, config: &Config) -> Option<RunId> {
    match body {
        Body::Phase(change) if change.config == *config && change.phase == Phase::Steady => Some(change.run),
        _ => None,
    }
}

/// What became of a configuration, if an event says that.
fn answer(body: &Body, config: &Config) -> Option<Result<Layers, Failed>> {
    match body {
        Body::Layers(layers) if layers.config == *config => Some(Ok(layers.clone())),
        Body::NoLayers { config: of, reason, .. } | Body::Failing { config: of, reason, .. } if of == config => {
            Some(Err(Failed::Failing(reason.clone())))
        }
        Body::OutOfMemory { config: of, requested_bytes, message, .. } if of == config => {
            Some(Err(Failed::OutOfMemory { requested_bytes: *requested_bytes, message: message.clone() }))
        }
        _ => None,
    }
}

fn record(recording: &mut Recording, event: &Event, observer: &mut impl Observer) {
    if let Some(error) = recording.send(event) {
        observer.recording_ended(error);
    }
}
