//! What screens read: the state, and the choices of whoever looks at it. A screen is a function of this.

use super::{
    Options,
    app::{Looks, WINDOWS},
    desk::Desk,
    memo::{Insight, Memo},
    pin::{Pin, Pinned},
    theme::{Role, Theme},
};
use crate::{
    event::{Config, DeviceInfo, DeviceTraits, Level, Nanos, NetworkFacts, Phase},
    session::{Fleet, Run, RunResult, State},
};
use std::rc::Rc;

/// A word from the screen itself: what a key did not do, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// When.
    pub t: Nanos,
    /// How much it matters.
    pub level: Level,
    /// What.
    pub text: String,
}

/// How a recording is played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playback {
    /// Whether time passes.
    pub playing: bool,
    /// How fast, times the speed of life.
    pub speed: f64,
    /// Where it is. ns.
    pub at: Nanos,
    /// Where it ends. ns.
    pub end: Nanos,
}

/// Everything that a frame is drawn from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What the streams of all stations have come to; held back where the view is frozen.
    pub fleet: &'a Fleet,
    /// What that of one of them has come to.
    pub state: &'a State,
    /// That station.
    pub on: usize,
    /// The station that the user looks at.
    pub focus: usize,
    /// The knobs of every station.
    pub desks: &'a [Desk],
    /// How things look.
    pub theme: Theme,
    /// What the user looks at.
    pub looks: &'a Looks,
    /// How the program was started.
    pub options: &'a Options,
    /// What the user wants measured.
    pub wanted: Option<&'a Config>,
    /// Whether the view is held.
    pub frozen: bool,
    /// Newest moment of the stream, whatever the view holds.
    pub live: Nanos,
    /// When the recording began that the user asked for.
    pub recording: Option<Nanos>,
    /// How a recording is played; none where the stream is live.
    pub playback: Option<&'a Playback>,
    /// Whether the stream is over.
    pub ended: bool,
    /// Whether a configuration was asked for and not answered yet.
    pub in_flight: bool,
    /// Whether this screen runs a sweep.
    pub conducting: bool,
    /// A word from the screen.
    pub hint: Option<&'a Hint>,
    /// The configuration that others are compared with, as it is seen from this station.
    pub pin: Option<&'a Pin>,
    /// The same as it is seen from every station.
    pub pinned: Option<&'a Pinned>,
    /// What the analysis made of the results.
    pub memo: Option<&'a Memo>,
}

impl<'a> View<'a> {
    /// A view of the first station by somebody who wants nothing.
    pub fn new(fleet: &'a Fleet, theme: Theme, looks: &'a Looks, options: &'a Options) -> Self {
        Self {
            fleet,
            state: fleet.first(),
            on: 0,
            focus: 0,
            desks: &[],
            theme,
            looks,
            options,
            wanted: None,
            frozen: false,
            live: fleet.now(),
            recording: None,
            playback: None,
            ended: false,
            in_flight: false,
            conducting: false,
            hint: None,
            pin: None,
            pinned: None,
            memo: None,
        }
    }

    /// The same view of another station.
    #[must_use]
    pub fn of(self, on: usize) -> Self {
        let desk = self.desks.get(on);
        Self {
            state: &self.fleet[on],
            on,
            wanted: desk.and_then(|desk| desk.wanted.as_ref()),
            in_flight: desk.is_some_and(Desk::is_in_flight),
            conducting: desk.is_some_and(|desk| desk.conduct.is_some()),
            pin: self.pinned.map(|pinned| pinned.from(on)),
            ..self
        }
    }

    /// The configuration that the numbers are of: what runs, or what is wanted where nothing does; after the last run of a
    /// recording, that one.
    pub fn config(&self) -> Option<&'a Config> {
        self.state.run.as_ref().map(|r| &r.config).or(self.wanted).or(self.state.marks.back().map(|mark| &mark.config))
    }

    /// The device that the numbers are of.
    pub fn device(&self) -> Option<&'a str> {
        self.config().map(|c| c.device.as_str())
    }

    /// What that device says about itself.
    pub fn device_info(&self) -> Option<&'a DeviceInfo> {
        let name = self.device()?;
        self.state.devices.iter().find(|d| d.name == name)
    }

    /// How that device differs from others.
    pub fn traits(&self) -> Option<&'a DeviceTraits> {
        self.device().map(|name| self.state.traits(name))
    }

    /// Facts about a network, where they were read already.
    pub fn facts(&self, network: &str) -> Option<&'a NetworkFacts> {
        self.state.networks.get(network)
    }

    /// Name of a network as printed; its id where it has not said more yet.
    pub fn title(&self, network: &str) -> String {
        self.facts(network).map_or_else(|| network.to_owned(), |f| f.title.clone())
    }

    /// Whether there is a sweep to be told of.
    pub fn sweeping(&self) -> bool {
        self.conducting || self.state.sweeping() && self.fleet.sweeping()
    }

    /// The run in progress, while it is steady.
    pub fn steady(&self) -> Option<&'a Run> {
        self.state.run.as_ref().filter(|r| r.phase == Phase::Steady)
    }

    /// Whether the latency had converged when counting began, as far as was said.
    pub fn converged(&self) -> bool {
        self.steady().is_some_and(|r| r.warm_up.is_none_or(|w| w.converged))
    }

    /// What the run in progress is compared with: not with itself.
    pub fn against(&self) -> Option<&'a Pin> {
        let run = self.state.run.as_ref();
        let own = |pin: &&Pin| pin.elsewhere.is_none() && run.is_some_and(|r| pin.is_of_run(r.id, &r.config));
        self.pin.filter(|pin| !own(pin))
    }

    /// The look of numbers that count: steady ones, or those of a run that never converged.
    pub fn counted(&self) -> Role {
        if self.converged() { Role::Steady } else { Role::Warn }
    }

    /// Every network, in the registry's order; those that only the stream knows come last.
    pub fn networks(&self) -> Vec<String> {
        let known = &self.options.networks;
        let rest = self.state.networks.keys().filter(|id| !known.contains(id));
        known.iter().chain(rest).cloned().collect()
    }

    /// Results of the device and precision that the user looks at.
    pub fn results(&self) -> Vec<RunResult> {
        let Some(config) = self.config() else { return Vec::new() };
        let same = |c: &Config| c.device == config.device && c.precision == config.precision;
        self.state.all_results().into_iter().filter(|r| same(&r.config)).collect()
    }

    /// What the analysis says about the device and precision that the user looks at.
    pub fn insight(&self) -> Option<Rc<Insight>> {
        let config = self.config()?;
        Some(match self.memo {
            Some(memo) => memo.insight(self.state, config),
            None => Rc::new(Insight::of(self.state, config)),
        })
    }

    /// Right end and length of time axes.
    pub fn time(&self) -> (Nanos, Nanos) {
        let now = self.fleet.now();
        let now = self.playback.map_or(now, |playback| playback.at.max(now));
        (now, WINDOWS[self.looks.window.min(WINDOWS.len() - 1)] * 1_000_000_000)
    }
}
