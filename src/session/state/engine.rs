//! The engine's process and the configurations that failed in it.

use super::{
    State,
    entries::{Engine, Failure, keep},
};
use crate::event::{Body, Config, Level, Nanos};

impl State {
    /// Folds an event of the engine.
    pub(super) fn engine_event(&mut self, t: Nanos, body: &Body) {
        match body {
            Body::EngineStarted { pid, device } => {
                self.resting = false;
                self.engine = Engine::Running { pid: *pid, device: device.clone() };
            }
            Body::EngineDied { reason, in_a_row, config, .. } => {
                self.end_run(t);
                self.engine = Engine::Died { reason: reason.clone(), in_a_row: *in_a_row };
                self.notice(t, Level::Error, format!("engine died on {config}: {reason}"));
            }
            Body::Failing { config, reason, .. } => self.fail(t, config, reason, false, None),
            Body::OutOfMemory { config, requested_bytes, message, .. } => {
                self.fail(t, config, message, true, *requested_bytes);
            }
            Body::Phase(change) => self.phase(t, change),
            Body::Weights { run: id, weights } => {
                if let Some(run) = self.run.as_mut().filter(|run| run.id == *id) {
                    run.weights = Some(weights.clone());
                }
            }
            Body::Compiling(compiling) => {
                if let Some(run) = self.run.as_mut().filter(|run| run.id == compiling.run) {
                    run.compiling = Some(compiling.clone());
                }
            }
            Body::Graph(graph) => {
                if let Some(run) = self.run.as_mut().filter(|run| run.id == graph.run) {
                    run.graph = Some(graph.clone());
                }
            }
            Body::Batches(batches) => self.batches(t, batches),
            Body::Memory(memory) => {
                if let Some(run) = self.run.as_mut().filter(|run| run.id == memory.run) {
                    run.memory = *memory;
                }
            }
            _ => {}
        }
    }

    /// Ends the run in progress and keeps the reason.
    fn fail(&mut self, t: Nanos, config: &Config, reason: &str, out_of_memory: bool, requested_bytes: Option<u64>) {
        self.end_run(t);
        let failure = Failure { t, out_of_memory, requested_bytes, reason: reason.to_owned() };
        keep(&mut self.failures, config.clone(), failure);
        self.notice(t, Level::Error, format!("{config}: {reason}"));
    }
}
