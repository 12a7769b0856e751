//! What is wanted of one station, what is on its way there, and what its stream answers.

use super::{knobs, sweep::Conduct};
use crate::{
    event::{Body, Command, Config, Event, Phase, RunId},
    session::State,
};

/// A station's knobs.
#[derive(Debug, Default)]
pub struct Desk {
    /// What the user wants measured; none before the devices are known.
    pub wanted: Option<Config>,
    /// The newest configuration that was asked for and that no event has answered yet.
    in_flight: Option<Config>,
    /// The run whose layers were asked for.
    layered: Option<RunId>,
    outbox: Outbox,
    /// The sweep that the screen runs there.
    pub conduct: Option<Conduct>,
}

/// Commands that wait for the loop: the newest of each kind.
#[derive(Debug, Default)]
struct Outbox {
    sweep: Vec<Command>,
    run: Option<Config>,
    reset: bool,
    layers: bool,
}

impl Desk {
    /// The commands that keys and events came to since the last call: at most one run, the newest.
    pub fn take_commands(&mut self) -> Vec<Command> {
        let outbox = std::mem::take(&mut self.outbox);
        let reset = outbox.reset.then_some(Command::Reset);
        let run = outbox.run.map(|config| {
            self.in_flight = Some(config.clone());
            Command::Run { config }
        });
        let layers = outbox.layers.then_some(Command::Layers);
        outbox.sweep.into_iter().chain(run).chain(reset).chain(layers).collect()
    }

    /// Whether a configuration was asked for and not answered yet.
    pub const fn is_in_flight(&self) -> bool {
        self.in_flight.is_some() || self.outbox.run.is_some()
    }

    /// Asks for a configuration.
    pub fn want(&mut self, config: Config) {
        self.wanted = Some(config.clone());
        self.outbox.run = Some(config);
    }

    /// Asks for the statistics to be counted anew.
    pub const fn reset(&mut self) {
        self.outbox.reset = true;
    }

    /// Asks for the layers of the run in progress, which somebody looks at: once, as soon as it is steady.
    pub fn ask_for_layers(&mut self, state: &State) {
        let Some(run) = state.run.as_ref().filter(|run| run.phase == Phase::Steady) else { return };
        let busy = self.is_in_flight() || self.conduct.is_some() || state.sweeping();
        if !busy && state.layers(&run.config).is_none() && self.layered != Some(run.id) {
            self.layered = Some(run.id);
            self.outbox.layers = true;
        }
    }

    /// Sends what a sweep asks for.
    pub fn conduct_by(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Run { config } => self.want(config),
                other => self.outbox.sweep.push(other),
            }
        }
    }

    /// Takes note of an event that was folded into `state`.
    pub fn hear(&mut self, state: &State, event: &Event) {
        match &event.body {
            Body::Phase(change) => self.phase(&change.config),
            // What was asked for runs already: an agent need not begin it anew to say so.
            Body::Batches(_) if state.run.as_ref().is_some_and(|r| self.in_flight.as_ref() == Some(&r.config)) => {
                self.in_flight = None;
            }
            Body::OutOfMemory { config, .. } | Body::Failing { config, .. } if self.answers(config) => {
                self.in_flight = None;
            }
            _ => {}
        }
    }

    fn answers(&self, config: &Config) -> bool {
        let same = |asked: &Config| {
            asked.network == config.network
                && asked.batch == config.batch
                && asked.precision == config.precision
                && (asked.device == config.device || asked.device == "auto")
        };
        self.in_flight.as_ref().is_some_and(same)
    }

    /// The agent runs `config`: the answer to what was asked, or, when nothing is on its way, its own decision (it went
    /// back to what worked after an out-of-memory), which the knobs then follow.
    fn phase(&mut self, config: &Config) {
        if self.answers(config) {
            self.in_flight = None;
        }
        if self.in_flight.is_none() && self.outbox.run.is_none() {
            self.wanted = Some(config.clone());
        }
    }

    /// Follows a knob that was turned: on this station's own device. What runs already is not asked for again, but what
    /// failed is: memory may be free by now.
    pub fn turn(&mut self, turned: &Config, state: &State) {
        let Some(old) = &self.wanted else { return };
        let new = Config { device: old.device.clone(), ..turned.clone() };
        let failed = state.failures.contains_key(&new) && state.run.as_ref().is_none_or(|r| r.config != new);
        if new != *old || failed {
            self.want(new);
        }
    }

    /// Begins with what was wished for, once the devices are known; gives what the user should know then.
    pub fn begin(&mut self, wishes: &knobs::Wishes, networks: &[String], state: &State, alone: bool) -> Option<String> {
        if self.wanted.is_some() {
            return None;
        }
        let (config, note) = match alone {
            true => knobs::first(wishes, networks, &state.devices),
            false => (knobs::exactly(wishes, networks, &state.devices), None),
        };
        self.wanted.clone_from(&config);
        self.outbox.run = config;
        note
    }
}
