//! What screens read: the state of the stream and the user's choices. A screen is a function of this.

use super::{
    analysis_cache::{Analysis, AnalysisCache},
    options::Options,
    pin::{Pin, PinnedStation},
    station_control::StationControl,
    theme::{Role, Theme},
    timeline::Playback,
    view_state::ViewState,
};
use crate::{
    event::{Config, DeviceInfo, DeviceTraits, Level, Nanos, NetworkFacts, Phase},
    session::{Fleet, Run, RunResult, State},
};
use std::rc::Rc;

/// How long a hint or a notice is shown, ns.
pub const HINT_FOR: Nanos = 10_000_000_000;

/// A message of the screen itself, such as why a key did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// When, ns of the session's clock.
    pub t: Nanos,
    /// Its severity.
    pub level: Level,
    /// The text.
    pub text: String,
}

/// Everything that a frame is drawn from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The states of all stations at the moment that is shown.
    pub fleet: &'a Fleet,
    /// The state of the station that is drawn.
    pub state: &'a State,
    /// The number of that station.
    pub on: usize,
    /// The number of the station that the user selected.
    pub focus: usize,
    /// The controls of every station.
    pub controls: &'a [StationControl],
    /// Colour depth and glyphs.
    pub theme: Theme,
    /// What the user chose to look at.
    pub ui: &'a ViewState,
    /// How the program was started.
    pub options: &'a Options,
    /// The configuration that the user wants measured on the station.
    pub wanted: Option<&'a Config>,
    /// Whether the view stands still.
    pub frozen: bool,
    /// The newest moment of the stream, whether or not it is shown. ns.
    pub live: Nanos,
    /// When the recording began that the user asked for, ns.
    pub recording: Option<Nanos>,
    /// The position of a replay; none where the stream is live.
    pub playback: Option<&'a Playback>,
    /// Whether the stream has ended.
    pub ended: bool,
    /// Whether a configuration was requested and not answered yet.
    pub in_flight: bool,
    /// Whether this screen drives a sweep on the station.
    pub drives_sweep: bool,
    /// A message of the screen, while it is new.
    pub hint: Option<&'a Hint>,
    /// The pinned configuration that others are compared with, as seen from the station.
    pub pin: Option<&'a Pin>,
    /// The pinned configuration as seen from any station.
    pub pinned: Option<&'a PinnedStation>,
    /// The cached analysis of the results.
    pub analysis: Option<&'a AnalysisCache>,
}

impl<'a> View<'a> {
    /// A view of the first station in which the user has asked for nothing yet.
    pub fn new(fleet: &'a Fleet, theme: Theme, ui: &'a ViewState, options: &'a Options) -> Self {
        Self {
            fleet,
            state: fleet.first(),
            on: 0,
            focus: 0,
            controls: &[],
            theme,
            ui,
            options,
            wanted: None,
            frozen: false,
            live: fleet.now(),
            recording: None,
            playback: None,
            ended: false,
            in_flight: false,
            drives_sweep: false,
            hint: None,
            pin: None,
            pinned: None,
            analysis: None,
        }
    }

    /// The same view of another station.
    #[must_use]
    pub fn of(self, on: usize) -> Self {
        let control = self.controls.get(on);
        Self {
            state: &self.fleet[on],
            on,
            wanted: control.and_then(|control| control.wanted.as_ref()),
            in_flight: control.is_some_and(StationControl::is_in_flight),
            drives_sweep: control.is_some_and(|control| control.sweep.is_some()),
            pin: self.pinned.map(|pinned| pinned.seen_from(on)),
            ..self
        }
    }

    /// The configuration of the numbers that are shown: the one that runs, else the one that is wanted, else the last one of
    /// a recording.
    pub fn config(&self) -> Option<&'a Config> {
        self.state.run.as_ref().map(|r| &r.config).or(self.wanted).or(self.state.marks.back().map(|mark| &mark.config))
    }

    /// The device of the numbers that are shown.
    pub fn device(&self) -> Option<&'a str> {
        self.config().map(|c| c.device.as_str())
    }

    /// What is known about that device.
    pub fn device_info(&self) -> Option<&'a DeviceInfo> {
        let name = self.device()?;
        self.state.devices.iter().find(|d| d.name == name)
    }

    /// What distinguishes that device from others.
    pub fn traits(&self) -> Option<&'a DeviceTraits> {
        self.device().map(|name| self.state.traits(name))
    }

    /// Facts about a network, once its graph was read.
    pub fn facts(&self, network: &str) -> Option<&'a NetworkFacts> {
        self.state.networks.get(network)
    }

    /// Printed name of a network; its id until its facts are known.
    pub fn title(&self, network: &str) -> String {
        self.facts(network).map_or_else(|| network.to_owned(), |f| f.title.clone())
    }

    /// Whether a sweep runs whose progress is to be shown.
    pub fn sweeping(&self) -> bool {
        self.drives_sweep || self.state.sweeping() && self.fleet.sweeping()
    }

    /// The run in progress, while it is steady.
    pub fn steady(&self) -> Option<&'a Run> {
        self.state.run.as_ref().filter(|r| r.phase == Phase::Steady)
    }

    /// Whether the latency had converged when the steady phase began; true where the stream does not say.
    pub fn converged(&self) -> bool {
        self.steady().is_some_and(|r| r.warm_up.is_none_or(|w| w.converged))
    }

    /// The pinned configuration, unless it is the run that is shown.
    pub fn against(&self) -> Option<&'a Pin> {
        let run = self.state.run.as_ref();
        let own = |pin: &&Pin| pin.elsewhere.is_none() && run.is_some_and(|r| pin.is_of_run(r.id, &r.config));
        self.pin.filter(|pin| !own(pin))
    }

    /// The role of numbers of the steady phase: a warning where the latency never converged.
    pub fn steady_role(&self) -> Role {
        if self.converged() { Role::Steady } else { Role::Warn }
    }

    /// Every network in the registry's order, then those that only the stream knows.
    pub fn networks(&self) -> Vec<String> {
        let known = &self.options.networks;
        let rest = self.state.networks.keys().filter(|id| !known.contains(id));
        known.iter().chain(rest).cloned().collect()
    }

    /// Results of the device and precision that are shown.
    pub fn results(&self) -> Vec<RunResult> {
        let Some(config) = self.config() else { return Vec::new() };
        let same = |c: &Config| c.device == config.device && c.precision == config.precision;
        self.state.all_results().into_iter().filter(|r| same(&r.config)).collect()
    }

    /// The analysis of the device and precision that are shown.
    pub fn analysis(&self) -> Option<Rc<Analysis>> {
        let config = self.config()?;
        Some(match self.analysis {
            Some(cache) => cache.get(self.state, config),
            None => Rc::new(Analysis::of(self.state, config)),
        })
    }

    /// Right end and length of time axes, ns.
    pub fn time(&self) -> (Nanos, Nanos) {
        let now = self.fleet.now();
        let now = self.playback.map_or(now, |playback| playback.at.max(now));
        (now, self.ui.window_ns())
    }
}
