//! The last requests to an agent, which another agent that takes over receives again.

use crate::event::{Body, Command, Config, RunId};
use std::mem;

/// The last requests, and what became of them.
#[derive(Debug, Default)]
pub struct LastRequests {
    /// The last [`Command::Run`] or [`Command::Rest`].
    measure: Option<Command>,
    /// Whether that run has failed.
    failed: bool,
    paused: bool,
    /// The highest run number so far.
    pub last_run: RunId,
}

impl LastRequests {
    /// No requests; runs are numbered from `last_run` on.
    pub fn new(last_run: RunId) -> Self {
        Self { last_run, ..Self::default() }
    }

    /// Records a command.
    pub fn on_command(&mut self, command: &Command) {
        match command {
            Command::Run { .. } | Command::Rest { .. } => (self.measure, self.failed) = (Some(command.clone()), false),
            Command::Pause { paused } => self.paused = *paused,
            _ => {}
        }
    }

    fn is_requested(&self, config: &Config) -> bool {
        let same = |c: &Config| (&c.network, c.batch, c.precision) == (&config.network, config.batch, config.precision);
        matches!(&self.measure, Some(Command::Run { config }) if same(config))
    }

    /// Records what the agent reports. If the requested run fails and the agent goes back to another configuration, that
    /// configuration replaces the request.
    pub fn on_event(&mut self, body: &Body) {
        match body {
            Body::Phase(change) => {
                self.last_run = self.last_run.max(change.run);
                if mem::take(&mut self.failed) {
                    self.measure = Some(Command::Run { config: change.config.clone() });
                }
            }
            Body::OutOfMemory { run, config, .. } | Body::Failing { run, config, .. } => {
                self.last_run = self.last_run.max(*run);
                self.failed = self.is_requested(config);
            }
            Body::EngineDied { run, .. } => self.last_run = self.last_run.max(*run),
            _ => {}
        }
    }

    /// The commands that bring a new agent to the requested state.
    pub fn commands(&self) -> Vec<Command> {
        let measure = self.measure.clone().filter(|_| !self.failed);
        measure.into_iter().chain(self.paused.then_some(Command::Pause { paused: true })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Phase, PhaseChange},
        testing::config,
    };

    fn phase(run: RunId, batch: u32) -> Body {
        Body::Phase(PhaseChange { run, config: config("vgg16", batch), phase: Phase::Building, warm_up: None })
    }

    fn run(batch: u32) -> Command {
        Command::Run { config: config("vgg16", batch) }
    }

    #[test]
    fn the_last_requests_are_repeated() {
        let mut requests = LastRequests::default();
        assert!(requests.commands().is_empty());
        [run(1), Command::Reset, run(2)].iter().for_each(|command| requests.on_command(command));
        assert_eq!(requests.commands(), [run(2)]);
        requests.on_event(&phase(7, 1));
        assert_eq!((requests.commands(), requests.last_run), (vec![run(2)], 7), "an answer to the run before");
        requests.on_command(&Command::Pause { paused: true });
        assert_eq!(requests.commands(), [run(2), Command::Pause { paused: true }]);
        requests.on_command(&Command::Pause { paused: false });
        requests.on_command(&Command::Rest { stop_engine: true });
        assert_eq!(requests.commands(), [Command::Rest { stop_engine: true }]);
    }

    #[test]
    fn a_run_that_failed_is_not_repeated() {
        let mut requests = LastRequests::default();
        requests.on_command(&run(512));
        let out_of_memory = |run, batch| Body::OutOfMemory {
            run,
            config: config("vgg16", batch),
            requested_bytes: None,
            message: "out of memory".into(),
        };
        requests.on_event(&out_of_memory(3, 256));
        assert_eq!(requests.commands(), [run(512)], "another run has failed");
        requests.on_event(&out_of_memory(4, 512));
        assert!(requests.commands().is_empty());
        requests.on_event(&phase(5, 64));
        assert_eq!((requests.commands(), requests.last_run), (vec![run(64)], 5), "the agent went back to what worked");
    }
}
