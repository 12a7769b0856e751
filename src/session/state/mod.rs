//! The state of a station: a pure fold over its events, the same for a live stream, a remote one and a recording.
//!
//! [`State::apply`] sends each kind of event to the file that folds it: sensors and their readings to `sensors`, the
//! engine's process to `engine`, phases and batches to `runs`, the steps of a sweep to `steps`, layers to `layers`. What a
//! run has come to is computed on demand, in `results`. Every list is bounded, so that neither a long session nor a damaged
//! recording exhausts memory.

mod engine;
mod entries;
mod layers;
mod results;
mod runs;
mod sensors;
mod steps;

pub use entries::{Engine, Failure, FinishedRun, Mark, SensorState};
pub use sensors::COOLING;

use self::entries::{KEPT, keep};
use super::{
    run::{Run, RunResult},
    series::Series,
    sweep::Sweep,
};
use crate::{
    backend::device,
    event::{
        Accuracy, Body, Card, Checked, Config, DeviceInfo, DeviceTraits, Event, Header, Layers, Level, Link, LinkState,
        Nanos, Neighbour, NetworkFacts, Precision, RunId, SensorId,
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// What the events of a station so far add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Time of the newest event.
    pub now: Nanos,
    /// The newest header.
    pub header: Option<Header>,
    /// Devices of the host, with the absent ones and the reasons why they are.
    pub devices: Vec<DeviceInfo>,
    /// Static facts, by network id.
    pub networks: BTreeMap<String, NetworkFacts>,
    /// Accuracies measured on this host, by network id.
    pub accuracies: BTreeMap<String, Accuracy>,
    /// What `wattscope check` found; none in streams that hold no such event.
    pub checks: Option<Vec<Checked>>,
    /// Sensors by number, with the absent ones.
    pub sensors: BTreeMap<SensorId, SensorState>,
    /// Sensors of the previous agent. When the agent that took over announces the same sensor, its curve goes on.
    pub former: Vec<SensorState>,
    /// What cards say about themselves, by device name.
    pub cards: BTreeMap<String, Card>,
    /// Why a device has lowered its clocks, by device name; empty or missing where it has not.
    pub throttle: BTreeMap<String, Vec<String>>,
    /// Other processes on a card, by device name.
    pub neighbours: BTreeMap<String, Vec<Neighbour>>,
    /// Measured peak arithmetic throughput, operations/s, and how it was measured, by device and precision.
    pub peaks: BTreeMap<(String, Precision), (f64, String)>,
    /// Measured peak memory throughput, bytes/s, and how it was measured, by device.
    pub bandwidths: BTreeMap<String, (f64, String)>,
    /// The newest layers of each configuration, or why they could not be measured, oldest first.
    pub layers: VecDeque<(Config, Result<Arc<Layers>, String>)>,
    /// The engine's process.
    pub engine: Engine,
    /// The link to a remote agent; none where the agent runs on this host.
    pub link: Option<Link>,
    /// The run in progress.
    pub run: Option<Run>,
    /// Median wall latency of each report of batches, ms; warm-up included.
    pub latency: Series,
    /// Images/s of each report of batches; warm-up included.
    pub throughput: Series,
    /// When each configuration began.
    pub marks: VecDeque<Mark>,
    /// The newest result of every configuration that became steady, in the order in which they were first measured.
    pub results: Vec<RunResult>,
    /// Every run that is over and was steady, oldest first. A configuration that was repeated is there several times.
    pub runs: VecDeque<FinishedRun>,
    /// The newest sweep, over or not.
    pub sweep: Option<Sweep>,
    /// Whether the engine rests because a client asked for that.
    pub resting: bool,
    /// The highest number of a run so far.
    pub last_run: RunId,
    /// Configurations that did not run, and why.
    pub failures: BTreeMap<Config, Failure>,
    /// Messages for the user, oldest first.
    pub notices: VecDeque<(Nanos, Level, String)>,
    /// Why the station is gone; none while it is there.
    pub gone: Option<String>,
}

impl State {
    /// Folds one event in.
    pub fn apply(&mut self, event: &Event) {
        let t = event.t;
        self.now = self.now.max(t);
        match &event.body {
            Body::Header(header) => self.begin(t, header),
            Body::Devices { devices } => self.devices.clone_from(devices),
            Body::Network(facts) => keep(&mut self.networks, facts.id.clone(), facts.clone()),
            Body::Accuracy(accuracy) => keep(&mut self.accuracies, accuracy.network.clone(), accuracy.clone()),
            Body::Checks { checks } => self.checks = Some(checks.clone()),
            Body::Sensors { sensors } => sensors.iter().for_each(|s| self.announce(t, s)),
            Body::Samples { values } => values.iter().for_each(|(id, value)| self.sample(t, *id, *value)),
            Body::Idle { sensors } => sensors.iter().for_each(|idle| self.idle(idle)),
            Body::SensorsLost { sensors, reason } => self.lose(t, sensors, reason),
            Body::Card(card) => keep(&mut self.cards, card.device.clone(), card.clone()),
            Body::Throttle { device, reasons } => keep(&mut self.throttle, device.clone(), reasons.clone()),
            Body::Neighbours { device, processes } => keep(&mut self.neighbours, device.clone(), processes.clone()),
            Body::Peak { device, precision, flops, how } => {
                keep(&mut self.peaks, (device.clone(), *precision), (*flops, how.clone()));
            }
            Body::Bandwidth { device, bytes_per_s, how } => {
                keep(&mut self.bandwidths, device.clone(), (*bytes_per_s, how.clone()));
            }
            Body::LayersBegun { .. } | Body::Layers(_) | Body::NoLayers { .. } => self.layers_event(t, &event.body),
            Body::Link(link) => self.linked(t, link),
            Body::Notice { level, text } => self.notice(t, *level, text.clone()),
            Body::Reset => self.reset(t),
            Body::Paused { paused } => {
                self.reset(t);
                self.mark_steady((!paused).then_some(t));
            }
            Body::Plan(_) | Body::StepDone { .. } | Body::SweepEnded | Body::Resting { .. } => {
                self.sweep_event(t, &event.body);
            }
            Body::Gone { reason } => {
                self.end_run(t);
                self.engine = Engine::Absent;
                self.sensors.values_mut().for_each(|sensor| sensor.series.gap(t));
                let reason = if reason.is_empty() { "nothing comes from it any more" } else { reason };
                self.gone = Some(reason.to_owned());
            }
            _ => self.engine_event(t, &event.body),
        }
    }

    /// A header begins the session, or says that another agent took over; the engine and the sensors of the previous agent
    /// are gone then.
    fn begin(&mut self, t: Nanos, header: &Header) {
        self.gone = None;
        if self.header.replace(header.clone()).is_some() {
            self.end_run(t);
            self.engine = Engine::Absent;
            self.resting = false;
            self.former = std::mem::take(&mut self.sensors).into_values().collect();
            self.throttle.clear();
            self.neighbours.clear();
        }
        if let Some(sweep) = &mut self.sweep {
            sweep.since = t;
        }
    }

    /// Takes over the state of the link. When it is lost, the remote engine and sensors are gone, too.
    fn linked(&mut self, t: Nanos, link: &Link) {
        if matches!(link.state, LinkState::Lost { .. }) && !self.link_is_lost() {
            self.end_run(t);
            self.engine = Engine::Absent;
            self.sensors.values_mut().for_each(|sensor| sensor.series.gap(t));
        }
        self.link = Some(link.clone());
    }

    /// Whether there is a remote agent and the link to it is lost.
    pub fn link_is_lost(&self) -> bool {
        self.link.as_ref().is_some_and(|link| matches!(link.state, LinkState::Lost { .. }))
    }

    /// Whether there is no agent to send commands to: the station is gone, or its link is not up.
    pub fn is_lost(&self) -> bool {
        self.gone.is_some() || self.link.as_ref().is_some_and(|link| !matches!(link.state, LinkState::Up { .. }))
    }

    fn notice(&mut self, t: Nanos, level: Level, text: String) {
        self.notices.push_back((t, level, text));
        self.notices.drain(..self.notices.len().saturating_sub(KEPT));
    }

    /// The device of this station: the one that was asked for, or else that of the current run, of the last one, or of the
    /// plan.
    pub fn device(&self) -> Option<&str> {
        let asked = self.header.as_ref().and_then(|header| header.device.as_deref());
        let runs = || self.run.as_ref().map(|run| run.config.device.as_str());
        let planned = || self.sweep.as_ref().and_then(|sweep| sweep.plan.configs.first()).map(|c| c.device.as_str());
        asked.or_else(runs).or_else(|| self.marks.back().map(|mark| mark.config.device.as_str())).or_else(planned)
    }

    /// How a device differs from others.
    pub fn traits(&self, device: &str) -> &DeviceTraits {
        let told = self.devices.iter().find(|d| d.name == device);
        told.map_or_else(|| device::traits_of(device), device::traits)
    }

    /// What `wattscope check` found for the network, device and precision of a configuration; none if that was not checked.
    pub fn checked(&self, config: &Config) -> Option<&Checked> {
        let of =
            |c: &&Checked| (&c.network, &c.device, c.precision) == (&config.network, &config.device, config.precision);
        self.checks.as_ref()?.iter().find(of)
    }
}

#[cfg(test)]
mod tests;
