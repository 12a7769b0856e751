//! The controls of one station: the configuration that is wanted, the request that is under way, and the sweep that the
//! screen drives there.

use super::{
    knobs::{self, InitialConfig},
    sweep_driver::SweepDriver,
};
use crate::{
    event::{Body, Command, Config, Event, Phase, RunId},
    session::State,
};

/// The controls of one station.
#[derive(Debug, Default)]
pub struct StationControl {
    /// The configuration that the user wants measured; none before the devices are known.
    pub wanted: Option<Config>,
    /// The newest configuration that was requested and that no event has answered yet.
    in_flight: Option<Config>,
    /// The newest run whose layer times were requested.
    layers_of: Option<RunId>,
    pending: Pending,
    /// The sweep that the screen drives there.
    pub sweep: Option<SweepDriver>,
}

/// Commands that were not taken yet: of runs, resets and layer times the newest only.
#[derive(Debug, Default)]
struct Pending {
    sweep: Vec<Command>,
    run: Option<Config>,
    reset: bool,
    layers: bool,
}

impl StationControl {
    /// The commands since the last call; at most one run, the newest.
    pub fn take_commands(&mut self) -> Vec<Command> {
        let pending = std::mem::take(&mut self.pending);
        let reset = pending.reset.then_some(Command::Reset);
        let run = pending.run.map(|config| {
            self.in_flight = Some(config.clone());
            Command::Run { config }
        });
        let layers = pending.layers.then_some(Command::Layers);
        pending.sweep.into_iter().chain(run).chain(reset).chain(layers).collect()
    }

    /// Whether a configuration was requested and not answered yet.
    pub const fn is_in_flight(&self) -> bool {
        self.in_flight.is_some() || self.pending.run.is_some()
    }

    /// Requests a configuration.
    pub fn want(&mut self, config: Config) {
        self.wanted = Some(config.clone());
        self.pending.run = Some(config);
    }

    /// Requests a reset of the statistics.
    pub const fn reset(&mut self) {
        self.pending.reset = true;
    }

    /// Requests the layer times of the run in progress: once, as soon as it is steady and nothing else is under way.
    pub fn request_layers(&mut self, state: &State) {
        let Some(run) = state.run.as_ref().filter(|run| run.phase == Phase::Steady) else { return };
        let busy = self.is_in_flight() || self.sweep.is_some() || state.sweeping();
        if !busy && state.layers(&run.config).is_none() && self.layers_of != Some(run.id) {
            self.layers_of = Some(run.id);
            self.pending.layers = true;
        }
    }

    /// Sends the commands of a sweep.
    pub fn send_sweep_commands(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Run { config } => self.want(config),
                other => self.pending.sweep.push(other),
            }
        }
    }

    /// Follows an event that was folded into `state`.
    pub fn apply(&mut self, state: &State, event: &Event) {
        match &event.body {
            Body::Phase(change) => self.phase(&change.config),
            // The configuration was running when it was requested: the agent does not announce its phase again.
            Body::Batches(_) if state.run.as_ref().is_some_and(|r| self.in_flight.as_ref() == Some(&r.config)) => {
                self.in_flight = None;
            }
            Body::OutOfMemory { config, .. } | Body::Failing { config, .. } if self.is_answer(config) => {
                self.in_flight = None;
            }
            _ => {}
        }
    }

    /// Whether an event about `config` answers the request under way.
    fn is_answer(&self, config: &Config) -> bool {
        let same = |requested: &Config| {
            requested.network == config.network
                && requested.batch == config.batch
                && requested.precision == config.precision
                && (requested.device == config.device || requested.device == "auto")
        };
        self.in_flight.as_ref().is_some_and(same)
    }

    /// The agent runs `config`: the answer to a request, or its own decision, such as going back to the last batch size that
    /// fitted. The knobs follow its own decision while no request is under way.
    fn phase(&mut self, config: &Config) {
        if self.is_answer(config) {
            self.in_flight = None;
        }
        if self.in_flight.is_none() && self.pending.run.is_none() {
            self.wanted = Some(config.clone());
        }
    }

    /// Requests a configuration that the user turned the knobs to, on this station's own device. The one that runs is not
    /// requested again; one that failed is, since memory may be free by now.
    pub fn turn(&mut self, turned: &Config, state: &State) {
        let Some(old) = &self.wanted else { return };
        let new = Config { device: old.device.clone(), ..turned.clone() };
        let failed = state.failures.contains_key(&new) && state.run.as_ref().is_none_or(|r| r.config != new);
        if new != *old || failed {
            self.want(new);
        }
    }

    /// Requests the initial configuration once the devices are known; gives the warning for the user where it is not the one
    /// that was asked for. `alone`: whether this is the only station.
    pub fn begin(
        &mut self,
        initial: &InitialConfig,
        networks: &[String],
        state: &State,
        alone: bool,
    ) -> Option<String> {
        if self.wanted.is_some() {
            return None;
        }
        let (config, warning) = match alone {
            true => knobs::initial(initial, networks, &state.devices),
            false => (knobs::initial_of_station(initial, networks, &state.devices), None),
        };
        self.wanted.clone_from(&config);
        self.pending.run = config;
        warning
    }
}
