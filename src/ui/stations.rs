//! The controls of all stations: a knob turns on every one of them, and commands are collected from all.

use super::{
    options::Options,
    station_control::StationControl,
    sweep_driver::{SweepDriver, summary},
};
use crate::{
    agent::fleet::Addressed,
    event::{Body, Command, Config, Event, Nanos, Plan},
    session::{Fleet, State},
};

/// The controls of all stations, in their order.
#[derive(Debug, Default)]
pub struct Stations {
    controls: Vec<StationControl>,
}

impl Stations {
    /// Controls of `n` stations.
    pub fn new(n: usize) -> Self {
        let mut stations = Self::default();
        stations.grow(n);
        stations
    }

    /// Makes them `n` stations.
    pub fn grow(&mut self, n: usize) {
        self.controls.resize_with(n, StationControl::default);
    }

    /// The controls of each.
    pub fn controls(&self) -> &[StationControl] {
        &self.controls
    }

    /// The configuration wanted on a station; none before its devices are known.
    pub fn wanted(&self, on: usize) -> Option<&Config> {
        self.controls.get(on)?.wanted.as_ref()
    }

    /// Whether the screen drives a sweep.
    pub fn drives_sweep(&self) -> bool {
        self.controls.iter().any(|control| control.sweep.is_some())
    }

    /// The commands since the last call, station by station.
    pub fn take_commands(&mut self) -> Vec<Addressed> {
        let all = (0..).zip(&mut self.controls);
        all.flat_map(|(on, control)| control.take_commands().into_iter().map(move |c| Addressed::to(on, c))).collect()
    }

    /// Requests the layer times of what runs on a station.
    pub fn request_layers(&mut self, on: usize, state: &State) {
        if let Some(control) = self.controls.get_mut(on) {
            control.request_layers(state);
        }
    }

    /// Takes the steps of a sweep that follow from an event, which was folded into the state of its station; gives the
    /// summary of the sweep where it ends with it.
    pub fn step_sweep(&mut self, on: usize, state: &State, event: &Event) -> Option<String> {
        let control = self.controls.get_mut(on)?;
        let sweep = control.sweep.as_mut()?;
        let (commands, over) = (sweep.after(state, event), sweep.is_over());
        control.send_sweep_commands(commands);
        if over { end_sweep(control, state, false) } else { None }
    }

    /// Lets the knobs of a station follow an event, which was folded into its state.
    pub fn follow(&mut self, on: usize, state: &State, event: &Event) {
        if let Some(control) = self.controls.get_mut(on) {
            control.apply(state, event);
        }
    }

    /// Requests the initial configuration of a station, whose devices have just become known; gives a warning where it is
    /// not the one that was asked for.
    pub fn begin(&mut self, on: usize, event: &Event, live: &Fleet, options: &Options) -> Option<String> {
        if options.watch_only || !matches!(event.body, Body::Devices { .. }) {
            return None;
        }
        let mut initial = options.initial.clone();
        if let Some(device) = options.stations.get(on) {
            initial.device = Some(device.clone());
        }
        let control = self.controls.get_mut(on)?;
        control.begin(&initial, &options.networks, &live[on], !live.is_several())
    }

    /// Starts a sweep on every station; `plan` makes the plan of one from its configuration and a seed.
    pub fn start_sweep(&mut self, live: &Fleet, plan: impl Fn(&Config, Nanos) -> Plan) {
        for (on, control) in self.controls.iter_mut().enumerate() {
            let Some(before) = control.wanted.clone() else { continue };
            let (driver, commands) = SweepDriver::start(plan(&before, live.now()), before, &live[on]);
            control.sweep = Some(driver);
            control.send_sweep_commands(commands);
        }
    }

    /// Stops the sweep on every station; gives each one's summary.
    pub fn stop_sweeps(&mut self, live: &Fleet) -> Vec<(usize, String)> {
        let all = self.controls.iter_mut().enumerate();
        all.filter_map(|(on, control)| Some((on, end_sweep(control, &live[on], true)?))).collect()
    }

    /// Requests a reset of the statistics on every station.
    pub fn reset(&mut self) {
        self.controls.iter_mut().for_each(StationControl::reset);
    }

    /// Turns the knobs of every station to a configuration, each on its own device.
    pub fn turn(&mut self, config: &Config, live: &Fleet) {
        self.controls.iter_mut().zip(live.stations()).for_each(|(control, state)| control.turn(config, state));
    }

    /// Requests a configuration, its device included, on every station.
    pub fn want(&mut self, config: &Config) {
        self.controls.iter_mut().for_each(|control| control.want(config.clone()));
    }
}

/// Ends the sweep of a station and returns to the configuration before it; gives its summary, where there was a sweep.
fn end_sweep(control: &mut StationControl, state: &State, stopped: bool) -> Option<String> {
    let sweep = control.sweep.take()?;
    if stopped {
        control.send_sweep_commands(vec![Command::EndSweep]);
    }
    control.want(sweep.before);
    Some(summary(state, stopped))
}
