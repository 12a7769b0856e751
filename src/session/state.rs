//! State: a pure fold over events. Whoever folds the same stream gets the same state, live, remote or from a file.

use super::{
    run::{Power, Run, RunResult},
    series::Series,
    sweep::Sweep,
};
use crate::{
    analysis::{
        roofline::Roofs,
        stats::{Moments, Percentiles},
    },
    backend::device,
    event::*,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Notices, marks, results, failures and facts that are kept: enough for hours of turning knobs, and a bound on what a
/// stream can make of a state.
const KEPT: usize = 1_000;

/// Sensors that are kept: eight cards and every rail of a board have a hundred.
const SENSORS: usize = 512;

/// Runs that are kept: three rounds of every network, batch size and precision.
const KEPT_RUNS: usize = 10_000;

/// Configurations whose layers are kept.
const KEPT_LAYERS: usize = 100;

/// Time after the engine was stopped in which power still falls. Readings in it are not idle ones.
pub const COOLING: Nanos = 3_000_000_000;

/// What the events so far add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Time of the newest event.
    pub now: Nanos,
    /// How the session began.
    pub header: Option<Header>,
    /// Devices of the host, the absent ones with their reasons.
    pub devices: Vec<DeviceInfo>,
    /// Static facts, by network id.
    pub networks: BTreeMap<String, NetworkFacts>,
    /// Accuracies measured on this host, by network id.
    pub accuracies: BTreeMap<String, Accuracy>,
    /// What `wattscope check` found; none in streams that don't tell.
    pub checks: Option<Vec<Checked>>,
    /// Sensors, the absent ones too, by number.
    pub sensors: BTreeMap<SensorId, SensorState>,
    /// Those of the agent before, until the same ones are announced by the agent that took over: their curves go on.
    pub former: Vec<SensorState>,
    /// What cards say about themselves, by device name.
    pub cards: BTreeMap<String, Card>,
    /// Why a device lowered its clocks, by device name; empty or missing where it does not.
    pub throttle: BTreeMap<String, Vec<String>>,
    /// Other processes on a card, by device name.
    pub neighbours: BTreeMap<String, Vec<Neighbour>>,
    /// Peak arithmetic throughput measured, operations/s, by device and precision.
    pub peaks: BTreeMap<(String, Precision), (f64, String)>,
    /// Peak memory throughput measured, bytes/s, and how, by device.
    pub bandwidths: BTreeMap<String, (f64, String)>,
    /// The newest layers of each configuration, or why there are none, oldest first.
    pub layers: VecDeque<(Config, Result<Arc<Layers>, String>)>,
    /// The engine's process.
    pub engine: Engine,
    /// How the far end is reached; none where the agent is this host's.
    pub link: Option<Link>,
    /// The run in progress.
    pub run: Option<Run>,
    /// Median wall latency of each report of batches, ms; warm-up included.
    pub latency: Series,
    /// Images/s of each report of batches; warm-up included.
    pub throughput: Series,
    /// When which configuration began.
    pub marks: VecDeque<Mark>,
    /// The newest result of every configuration that was steady, in the order in which they were first measured.
    pub results: Vec<RunResult>,
    /// Every run that is over and was steady, oldest first: repeated configurations several times.
    pub runs: VecDeque<FinishedRun>,
    /// The newest sweep, over or not.
    pub sweep: Option<Sweep>,
    /// Whether nothing is measured because that was asked for.
    pub resting: bool,
    /// The highest number that a run had.
    pub last_run: RunId,
    /// Configurations that did not run, and why.
    pub failures: BTreeMap<Config, Failure>,
    /// What the user should read, oldest first.
    pub notices: VecDeque<(Nanos, Level, String)>,
    /// Why nothing comes from it any more; none while something does.
    pub gone: Option<String>,
}

/// A sensor and what it read.
#[derive(Clone, Debug, PartialEq)]
pub struct SensorState {
    /// What it is.
    pub info: Sensor,
    /// Its readings.
    pub series: Series,
    /// Readings taken before the first engine was started.
    pub idle: Moments,
    /// Readings taken since the engine was stopped last and power had fallen.
    pub idle_after: Moments,
}

/// A run that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishedRun {
    /// When it ended.
    pub t: Nanos,
    /// How many runs of the same configuration came before it.
    pub repeat: u32,
    /// What it came to.
    pub result: RunResult,
}

/// The engine's process, as far as events tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Engine {
    /// None was started yet, or it was given up.
    #[default]
    Absent,
    /// Alive.
    Running { pid: u32, device: String },
    /// It died and is about to be started again.
    Died { reason: String, in_a_row: u32 },
    /// It was stopped, as was asked.
    Stopped { since: Nanos },
}

/// A configuration began.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// When.
    pub t: Nanos,
    /// Which.
    pub config: Config,
    /// When it became steady, or went on after a pause.
    pub steady: Option<Nanos>,
    /// When it ended; none while it runs.
    pub until: Option<Nanos>,
}

/// Why a configuration did not run.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// When it was found out.
    pub t: Nanos,
    /// Whether memory was what it lacked.
    pub out_of_memory: bool,
    /// Bytes asked for, where the device said.
    pub requested_bytes: Option<u64>,
    /// What happened.
    pub reason: String,
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

    /// A process begins the session, or goes on with that of another one, whose engine and sensors are gone.
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

    fn layers_event(&mut self, t: Nanos, body: &Body) {
        let (run, found) = match body {
            Body::LayersBegun { run } => (*run, None),
            Body::Layers(layers) => (layers.run, Some((layers.config.clone(), Ok(Arc::new(layers.clone()))))),
            Body::NoLayers { run, config, reason } => (*run, Some((config.clone(), Err(reason.clone())))),
            _ => return,
        };
        if let Some(run) = self.run.as_mut().filter(|own| own.id == run) {
            run.step_aside(t, found.is_none());
        }
        if let Some(found) = found {
            self.layers.retain(|(config, _)| *config != found.0);
            self.layers.push_back(found);
            self.layers.drain(..self.layers.len().saturating_sub(KEPT_LAYERS));
        }
    }

    /// With a link that is lost the engine and the sensors at its end are gone.
    fn linked(&mut self, t: Nanos, link: &Link) {
        if matches!(link.state, LinkState::Lost { .. }) && !self.link_is_lost() {
            self.end_run(t);
            self.engine = Engine::Absent;
            self.sensors.values_mut().for_each(|sensor| sensor.series.gap(t));
        }
        self.link = Some(link.clone());
    }

    /// Whether there is a far end that is not reached.
    pub fn link_is_lost(&self) -> bool {
        self.link.as_ref().is_some_and(|link| matches!(link.state, LinkState::Lost { .. }))
    }

    fn sweep_event(&mut self, t: Nanos, body: &Body) {
        match body {
            Body::Plan(plan) => {
                self.end_run(t);
                self.sweep = Some(Sweep::new(plan.clone(), t));
            }
            Body::StepDone { step, outcome } => self.step_done(t, *step as usize, outcome),
            Body::SweepEnded => {
                if let Some(sweep) = &mut self.sweep {
                    sweep.ended = true;
                }
            }
            Body::Resting { engine_stopped } => self.rest(t, *engine_stopped),
            _ => {}
        }
    }

    /// The result of a step that was measured counts from here on, and its run is over.
    fn step_done(&mut self, t: Nanos, step: usize, outcome: &Outcome) {
        let Some(sweep) = &self.sweep else { return };
        let again = !sweep.plan.has(step) || sweep.steps.get(step).is_none_or(Option::is_some);
        let config = sweep.plan.config(step).cloned();
        if again {
            return;
        }
        let measured = *outcome == Outcome::Measured;
        let result = self.current_result().filter(|result| measured && Some(&result.config) == config.as_ref());
        // What is said to be measured and left no trace, as after a link was lost at that very moment, is to be measured.
        if let Some(sweep) = self.sweep.as_mut().filter(|_| result.is_some() == measured) {
            sweep.done(step, outcome.clone(), t);
        }
        if let Some(result) = result {
            self.keep(t, result);
        }
        self.drop_run(t);
    }

    /// Whether nobody is there to be asked.
    pub fn is_lost(&self) -> bool {
        self.gone.is_some() || self.link.as_ref().is_some_and(|link| !matches!(link.state, LinkState::Up { .. }))
    }

    fn rest(&mut self, t: Nanos, engine_stopped: bool) {
        self.end_run(t);
        self.resting = true;
        if engine_stopped && !matches!(self.engine, Engine::Absent) {
            self.engine = Engine::Stopped { since: t };
            self.sensors.values_mut().for_each(|sensor| sensor.idle_after = Moments::default());
        }
    }

    fn engine_event(&mut self, t: Nanos, body: &Body) {
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

    /// The session began, or another agent took over: nothing of the one before it runs or reads any more.
    fn idle(&mut self, idle: &IdleReading) {
        if let Some(sensor) = self.sensors.get_mut(&idle.sensor) {
            sensor.idle = Moments::of(idle.readings, idle.mean, idle.deviation);
        }
    }

    fn announce(&mut self, t: Nanos, sensor: &Sensor) {
        if self.sensors.len() >= SENSORS && !self.sensors.contains_key(&sensor.id) {
            return;
        }
        let same = |known: &Sensor| {
            (&known.source, &known.device, known.quantity, &known.label)
                == (&sensor.source, &sensor.device, sensor.quantity, &sensor.label)
        };
        let former = &mut self.former;
        let known = self.sensors.entry(sensor.id).or_insert_with(|| {
            let before = former.iter().position(|s| same(&s.info)).map(|at| former.swap_remove(at).series);
            let mut series = before.unwrap_or_default();
            series.gap(t);
            SensorState { info: sensor.clone(), series, idle: Moments::default(), idle_after: Moments::default() }
        });
        known.info = sensor.clone();
    }

    fn sample(&mut self, t: Nanos, id: SensorId, value: f64) {
        let Some(sensor) = self.sensors.get_mut(&id) else { return };
        sensor.series.push(t, value);
        match (&self.engine, &mut self.run) {
            (Engine::Absent, _) => sensor.idle.add(value),
            (Engine::Stopped { since }, _) if t >= since + COOLING => sensor.idle_after.add(value),
            (Engine::Running { .. }, Some(run)) => {
                let throttled = self.throttle.get(&run.config.device).is_some_and(|reasons| !reasons.is_empty());
                run.read(t, id, sensor.info.quantity, value, throttled);
            }
            _ => {}
        }
    }

    fn lose(&mut self, t: Nanos, lost: &[SensorId], reason: &str) {
        for id in lost {
            if let Some(sensor) = self.sensors.get_mut(id) {
                sensor.series.gap(t);
                sensor.info.absent = Some(reason.to_owned());
            }
        }
    }

    fn phase(&mut self, t: Nanos, change: &PhaseChange) {
        match &mut self.run {
            Some(run) if run.id == change.run => run.enter(t, change),
            _ => {
                self.end_run(t);
                self.resting = false;
                self.last_run = self.last_run.max(change.run);
                self.failures.remove(&change.config);
                self.marks.push_back(Mark { t, config: change.config.clone(), steady: None, until: None });
                self.marks.drain(..self.marks.len().saturating_sub(KEPT));
                self.run = Some(Run::begin(t, change));
            }
        }
        if change.phase == Phase::Steady {
            self.mark_steady(Some(t));
        }
    }

    /// The run in progress is steady from `since` on; none: it is not.
    fn mark_steady(&mut self, since: Option<Nanos>) {
        let steady = self.run.as_ref().is_some_and(|run| run.phase == Phase::Steady);
        if let Some(mark) = self.marks.back_mut() {
            mark.steady = since.filter(|_| steady);
        }
    }

    fn batches(&mut self, t: Nanos, batches: &Batches) {
        let Some(run) = self.run.as_mut().filter(|run| run.id == batches.run) else { return };
        if !run.count(t, batches) {
            return;
        }
        let mut sorted = batches.wall_ns.clone();
        sorted.sort_unstable();
        if let Some(median) = sorted.get(sorted.len() / 2) {
            self.latency.push(t, *median as f64 / 1e6);
        }
        if batches.span_ns > 0 {
            let images = sorted.len() as f64 * f64::from(run.config.batch);
            self.throughput.push(t, images / (batches.span_ns as f64 / 1e9));
        }
    }

    /// The run in progress is over: its result is kept, and its curves end here. In a sweep only what was measured to the
    /// end counts, and the sweep says what that is.
    fn end_run(&mut self, t: Nanos) {
        if !self.sweeping()
            && let Some(result) = self.current_result()
        {
            self.keep(t, result);
        }
        self.drop_run(t);
    }

    /// Whether a sweep has steps to come.
    pub fn sweeping(&self) -> bool {
        self.sweep.as_ref().is_some_and(Sweep::is_on)
    }

    fn drop_run(&mut self, t: Nanos) {
        if self.run.take().is_some() {
            if let Some(mark) = self.marks.back_mut() {
                mark.until = Some(t);
            }
            self.latency.gap(t);
            self.throughput.gap(t);
        }
    }

    fn keep(&mut self, t: Nanos, result: RunResult) {
        let same = self.runs.iter().filter(|run| run.result.config == result.config);
        let repeat = same.map(|run| run.repeat + 1).max().unwrap_or(0);
        self.runs.push_back(FinishedRun { t, repeat, result: result.clone() });
        self.runs.drain(..self.runs.len().saturating_sub(KEPT_RUNS));
        match self.results.iter_mut().find(|kept| kept.config == result.config) {
            Some(kept) => *kept = result,
            None => self.results.push(result),
        }
        self.results.drain(..self.results.len().saturating_sub(KEPT));
    }

    fn fail(&mut self, t: Nanos, config: &Config, reason: &str, out_of_memory: bool, requested_bytes: Option<u64>) {
        self.end_run(t);
        let failure = Failure { t, out_of_memory, requested_bytes, reason: reason.to_owned() };
        keep(&mut self.failures, config.clone(), failure);
        self.notice(t, Level::Error, format!("{config}: {reason}"));
    }

    fn reset(&mut self, t: Nanos) {
        if let Some(run) = &mut self.run {
            run.reset(t);
            self.latency.gap(t);
            self.throughput.gap(t);
        }
    }

    fn notice(&mut self, t: Nanos, level: Level, text: String) {
        self.notices.push_back((t, level, text));
        self.notices.drain(..self.notices.len().saturating_sub(KEPT));
    }

    /// The device that this station is about: the one that it was asked for, or what runs, or ran last.
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

    /// What `wattscope check` found for a configuration's network, device and precision; none if that was not checked.
    pub fn checked(&self, config: &Config) -> Option<&Checked> {
        let of =
            |c: &&Checked| (&c.network, &c.device, c.precision) == (&config.network, &config.device, config.precision);
        self.checks.as_ref()?.iter().find(of)
    }

    /// The layers of a configuration, or why they could not be measured; none if nobody asked for them.
    pub fn layers(&self, config: &Config) -> Option<Result<&Arc<Layers>, &str>> {
        let found = self.layers.iter().find(|(of, _)| of == config)?;
        Some(found.1.as_ref().map_err(String::as_str))
    }

    /// The roofs over the layers of a configuration, where both were measured.
    pub fn roofs(&self, config: &Config) -> Option<Roofs> {
        let (flops, _) = self.peaks.get(&(config.device.clone(), config.precision))?;
        let (bytes_per_s, _) = self.bandwidths.get(&config.device)?;
        Roofs::new(*flops, *bytes_per_s)
    }

    /// The sensor that reads a quantity of a device, the absent ones only where no other does.
    pub fn sensor(&self, device: &str, quantity: Quantity) -> Option<(SensorId, &SensorState)> {
        let of = |s: &&SensorState| s.info.device == device && s.info.quantity == quantity;
        let all = || self.sensors.iter().filter(|(_, s)| of(s)).map(|(id, s)| (*id, s));
        all().find(|(_, s)| s.info.absent.is_none()).or_else(|| all().next())
    }

    /// The sensor whose reading is the power of a device: its own, nearest to now first, then a rail that feeds the board.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn power_sensor(&self, device: &str) -> Result<(SensorId, &SensorState), String> {
        let quantities = [Quantity::PowerInstant, Quantity::PowerAverage];
        let candidates = || [device, "board"].into_iter().flat_map(|d| quantities.map(|q| self.sensor(d, q))).flatten();
        if let Some(found) = candidates().find(|(_, s)| s.info.absent.is_none()) {
            return Ok(found);
        }
        match candidates().find_map(|(_, s)| s.info.absent.clone()) {
            Some(reason) => Err(format!("no power sensor: {reason}")),
            None => Err(format!("no power sensor for {device}")),
        }
    }

    /// The power limit in force on a device, W: as its sensor reads it, or as the card said once.
    pub fn power_cap(&self, device: &str) -> Option<f64> {
        let card = || self.cards.get(device).and_then(|c| c.power_cap_w);
        self.reading(device, Quantity::PowerCap).or_else(card).filter(|w| *w > 0.0)
    }

    /// The newest reading of a quantity of a device.
    pub fn reading(&self, device: &str, quantity: Quantity) -> Option<f64> {
        self.sensor(device, quantity).and_then(|(_, s)| s.series.last()).map(|(_, v)| v)
    }

    /// What the run in progress has come to so far; none before it is steady.
    pub fn current_result(&self) -> Option<RunResult> {
        let run = self.run.as_ref()?;
        let device = run.config.device.as_str();
        let images_per_s = run.steady.images_per_s(run.config.batch)?;
        let mean = |q| self.sensor(device, q).and_then(|(id, _)| run.steady.sensors.get(&id)?.moments.mean());
        let others = mean(Quantity::Utilisation).zip(mean(Quantity::EngineUtilisation));
        let others = others.map(|(all, engine)| (all - engine).max(0.0));
        let power = self.power(run, images_per_s);
        let readings = run.steady.power_readings;
        Some(RunResult {
            run: run.id,
            config: run.config.clone(),
            batches: run.steady.batches,
            seconds: run.steady.span_ns as f64 / 1e9,
            weights: run.weights.clone(),
            graph: run.graph.clone(),
            warm_up: run.warm_up,
            latency_ms: Percentiles::of_nanos(&run.steady.wall)?,
            device_ms: Percentiles::of_nanos(&run.steady.device),
            images_per_s,
            flop_utilisation: self.flop_utilisation(&run.config, images_per_s),
            utilisation: mean(Quantity::Utilisation),
            others: others.filter(|_| self.traits(device).others == OthersLoad::ProcessorTime),
            power,
            memory: run.memory,
            device_memory_used: self.reading(device, Quantity::MemoryUsed).map(|bytes| bytes as u64),
            throttled: (readings > 0).then(|| run.steady.throttled as f64 / readings as f64),
        })
    }

    /// Results of every configuration measured so far, the run in progress included.
    pub fn all_results(&self) -> Vec<RunResult> {
        // In a sweep a run that is not done does not stand for one that is.
        let known = |c: &RunResult| self.results.iter().any(|r| r.config == c.config);
        let current = self.current_result().filter(|c| !(self.sweeping() && known(c)));
        let kept = self.results.iter().filter(|r| current.as_ref().is_none_or(|c| c.config != r.config)).cloned();
        let mut all: Vec<_> = kept.collect();
        all.extend(current);
        all
    }

    /// Idle power of a device before the first engine and after the last one, W; none where either was not read.
    pub fn idle_drift(&self, device: &str) -> Option<(f64, f64)> {
        let (_, sensor) = self.power_sensor(device).ok()?;
        Some((sensor.idle.mean()?, sensor.idle_after.mean()?))
    }

    /// Operations a second of a throughput over the measured peak, %; 2 operations a multiply-accumulate.
    pub fn flop_utilisation(&self, config: &Config, images_per_s: f64) -> Option<f64> {
        let facts = self.networks.get(&config.network)?;
        let (peak, _) = self.peaks.get(&(config.device.clone(), config.precision))?;
        (*peak > 0.0).then(|| 100.0 * 2.0 * facts.macs as f64 * images_per_s / peak)
    }

    fn power(&self, run: &Run, images_per_s: f64) -> Result<Power, String> {
        let (id, sensor) = self.power_sensor(&run.config.device)?;
        let Some(reading) = run.steady.sensors.get(&id).filter(|r| r.moments.count() > 0) else {
            return Err(format!("{}: no reading since power settled", sensor.info.label));
        };
        // Not empty: checked above.
        let gross_w = reading.moments.mean().unwrap_or_default();
        let idle_w = sensor.idle.mean();
        let counter = self.energy_power(run, &sensor.info.device);
        Ok(Power {
            sensor: sensor.info.label.clone(),
            method: sensor.info.method.clone(),
            gross_w,
            deviation_w: reading.moments.deviation().unwrap_or_default(),
            readings: reading.moments.count(),
            idle_w,
            net_w: idle_w.map(|idle| gross_w - idle),
            joules_per_image: counter.unwrap_or(gross_w) / images_per_s,
            energy_source: if counter.is_some() { "energy counter" } else { "mean power × time" }.to_owned(),
        })
    }

    /// Mean power over the steady phase by the device's own energy counter; none where it is an integral of what
    /// [`Self::power_sensor`] reads anyway, or did not move for half a second.
    fn energy_power(&self, run: &Run, device: &str) -> Option<f64> {
        let (id, sensor) = self.sensor(device, Quantity::Energy)?;
        if sensor.info.method.is_some() {
            return None;
        }
        let reading = run.steady.sensors.get(&id)?;
        let seconds = reading.last.0.saturating_sub(reading.first.0) as f64 / 1e9;
        let joules = reading.last.1 - reading.first.1;
        (seconds >= 0.5 && joules > 0.0).then(|| joules / seconds)
    }
}

/// Remembers `value` by its key, unless there are too many of the kind already.
fn keep<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() < KEPT || map.contains_key(&key) {
        map.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{config, sensor};

    const S: Nanos = 1_000_000_000;

    /// A stream with a power sensor (0), an energy counter (1) and a utilisation (2) of the CPU.
    struct Stream {
        state: State,
        t: Nanos,
        joules: f64,
    }

    impl Stream {
        fn new() -> Self {
            let mut stream = Self { state: State::default(), t: 0, joules: 0.0 };
            let quantities = [Quantity::PowerInstant, Quantity::Energy, Quantity::Utilisation];
            let sensors = quantities.iter().zip(0..).map(|(q, id)| sensor(id, "cpu", *q, None)).collect();
            stream.say(Body::Sensors { sensors });
            stream
        }

        fn say(&mut self, body: Body) {
            self.state.apply(&Event { t: self.t, body });
        }

        /// Ten readings a second for some seconds; the counter runs at `counter` watts.
        fn read(&mut self, seconds: u64, watts: f64, counter: f64) {
            for _ in 0..seconds * 10 {
                self.t += S / 10;
                self.joules += counter / 10.0;
                self.say(Body::Samples { values: vec![(0, watts), (1, self.joules), (2, 90.0)] });
            }
        }

        fn phase(&mut self, run: RunId, batch: u32, phase: Phase) {
            let change = PhaseChange { run, config: config("alexnet", batch), phase, warm_up: None };
            self.say(Body::Phase(change));
        }

        fn batches(&mut self, run: RunId, steady: bool, n: u64, each: Nanos) {
            let wall_ns = vec![each; n as usize];
            self.say(Body::Batches(Batches { run, steady, span_ns: n * each, wall_ns, device_ns: vec![] }));
        }
    }

    #[test]
    fn only_steady_batches_count_and_power_only_once_it_has_settled() {
        let mut s = Stream::new();
        s.read(2, 70.0, 70.0);
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 4, Phase::WarmingUp);
        s.read(1, 200.0, 200.0);
        s.batches(1, false, 100, S / 1000);
        s.phase(1, 4, Phase::Steady);
        s.t -= 1; // so that the last reading of the rise lies before settling ends, and not on it
        s.read(1, 999.0, 500.0); // still rising: left out
        s.read(4, 300.0, 320.0);
        s.t += 1;
        s.batches(1, true, 50, S / 10);
        let result = s.state.current_result().unwrap();
        assert_eq!((result.batches, result.images_per_s), (50, 40.0));
        assert!((result.latency_ms.p50 - 100.0).abs() < 0.2, "three digits: {:?}", result.latency_ms);
        let power = result.power.unwrap();
        assert!((power.gross_w - 300.0).abs() < 1e-9 && power.readings == 40, "{power:?}");
        assert_eq!((power.idle_w, power.energy_source.as_str()), (Some(70.0), "energy counter"));
        assert!((power.net_w.unwrap() - (power.gross_w - 70.0)).abs() < 1e-9);
        assert!((power.joules_per_image - 8.0).abs() < 1e-9, "{power:?}");
        assert!((result.utilisation.unwrap() - 90.0).abs() < 1e-9);
    }

    #[test]
    fn a_mark_says_from_when_to_when_its_run_was_steady() {
        let mut s = Stream::new();
        let stretch = |s: &Stream| s.state.marks.back().map(|m| (m.steady, m.until)).unwrap();
        s.phase(1, 4, Phase::WarmingUp);
        assert_eq!(stretch(&s), (None, None));
        s.t = 5 * S;
        s.phase(1, 4, Phase::Steady);
        s.t = 7 * S;
        s.say(Body::Paused { paused: true });
        assert_eq!(stretch(&s), (None, None), "power falls in a pause");
        s.t = 9 * S;
        s.say(Body::Paused { paused: false });
        s.say(Body::Reset);
        assert_eq!(stretch(&s), (Some(9 * S), None));
        s.t = 20 * S;
        s.phase(2, 8, Phase::Building);
        assert_eq!(s.state.marks[0].until, Some(20 * S));
    }

    #[test]
    fn a_reset_forgets_and_batches_from_before_it_do_not_come_back() {
        let mut s = Stream::new();
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 1, Phase::Steady);
        s.t += S;
        s.batches(1, true, 10, S / 10);
        s.say(Body::Reset);
        assert!(s.state.current_result().is_none());
        s.t += S / 2;
        s.batches(1, true, 10, S / 10); // began before the reset
        assert!(s.state.current_result().is_none());
        s.t += S;
        s.batches(1, true, 5, S / 10);
        assert_eq!(s.state.current_result().unwrap().batches, 5);
    }

    #[test]
    fn a_graph_belongs_to_its_run_and_goes_into_its_result() {
        let mut s = Stream::new();
        let graph =
            |run| Graph { run, used: true, why: "exact".into(), eager_ns: Some(2_000_000), replay_ns: Some(1_000_000) };
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 1, Phase::Tuning);
        s.say(Body::Graph(graph(9)));
        assert_eq!(s.state.run.as_ref().unwrap().graph, None, "of another run");
        s.say(Body::Graph(graph(1)));
        s.phase(1, 1, Phase::Steady);
        s.t += S;
        s.batches(1, true, 10, S / 10);
        s.phase(2, 2, Phase::Building);
        assert_eq!(s.state.results[0].graph, Some(graph(1)));
        assert_eq!(s.state.run.as_ref().unwrap().graph, None, "the next run has none yet");
    }

    #[test]
    fn results_outlive_their_runs_and_a_death_is_not_a_result() {
        let mut s = Stream::new();
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 1, Phase::Steady);
        s.t += S;
        s.batches(1, true, 10, S / 10);
        s.phase(2, 2, Phase::Building);
        s.batches(1, true, 99, S / 10); // a late report of a run that is over
        assert_eq!(s.state.results.len(), 1);
        assert_eq!(s.state.results[0].batches, 10);
        let died = Body::EngineDied { reason: "x".into(), in_a_row: 1, run: 2, config: config("alexnet", 2) };
        s.say(died);
        assert_eq!(s.state.all_results().len(), 1);
        let oom =
            Body::OutOfMemory { run: 3, config: config("alexnet", 9), requested_bytes: None, message: "m".into() };
        s.say(oom);
        assert!(s.state.failures[&config("alexnet", 9)].out_of_memory);
        s.phase(4, 9, Phase::Steady);
        assert!(s.state.failures.is_empty(), "what runs after all does not fail");
    }

    fn plan(batches: &[u32], repeat: u32) -> Body {
        let configs: Vec<Config> = batches.iter().map(|batch| config("alexnet", *batch)).collect();
        let order = (0..repeat).flat_map(|_| 0..configs.len() as u32).collect();
        Body::Plan(Plan { configs, repeat, seed: None, order, seconds: 1.0, ..Plan::default() })
    }

    #[test]
    fn in_a_sweep_only_what_is_done_counts_and_every_repetition_is_kept() {
        let mut s = Stream::new();
        s.say(Body::Header(Header::default()));
        s.say(plan(&[1, 2], 2));
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        let step = |s: &mut Stream, step: u32, batches: u64| {
            s.phase(RunId::from(step) + 1, step % 2 + 1, Phase::Steady);
            s.t += 20 * S;
            s.batches(RunId::from(step) + 1, true, batches, S / 10);
            s.say(Body::StepDone { step, outcome: Outcome::Measured });
        };
        step(&mut s, 0, 10);
        step(&mut s, 1, 20);
        step(&mut s, 2, 30);
        // The last step is interrupted, and another process takes over.
        s.phase(4, 2, Phase::Steady);
        s.t += 20 * S;
        s.batches(4, true, 5, S / 10);
        assert_eq!(s.state.all_results()[1].batches, 20, "half a run does not stand for a whole one");
        s.say(Body::Header(Header::default()));
        assert!(s.state.sensors.is_empty() && s.state.run.is_none() && s.state.sweeping());
        s.say(Body::StepDone { step: 2, outcome: Outcome::Measured });
        assert_eq!(s.state.runs.len(), 3, "a step is done once");
        step(&mut s, 3, 40);
        let runs: Vec<_> = s.state.runs.iter().map(|r| (r.result.config.batch, r.repeat, r.result.batches)).collect();
        assert_eq!(runs, [(1, 0, 10), (2, 0, 20), (1, 1, 30), (2, 1, 40)]);
        assert_eq!(s.state.results.iter().map(|r| r.batches).collect::<Vec<_>>(), [30, 40], "the newest of each");
        assert!(!s.state.sweeping());
        s.phase(5, 1, Phase::Steady);
        s.t += 20 * S;
        s.batches(5, true, 50, S / 10);
        s.say(Body::Resting { engine_stopped: false });
        assert_eq!((s.state.runs.len(), s.state.run.is_none()), (5, true), "after it every run counts again");
    }

    #[test]
    fn a_lost_link_ends_the_run_and_what_it_came_to_is_kept() {
        let mut s = Stream::new();
        let link = |state| Body::Link(Link { on: "ssh gpu-box".into(), host: Some("gpu-box".into()), state });
        let lost = || LinkState::Lost { reason: "gone".into(), retry_in_s: Some(1.0) };
        s.say(Body::Header(Header::default()));
        s.say(link(LinkState::Up { rtt_ns: Some(1), down_bytes_per_s: 1.0, up_bytes_per_s: 1.0 }));
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 1, Phase::Steady);
        s.read(3, 300.0, 300.0);
        s.batches(1, true, 10, S / 10);
        s.say(link(lost()));
        assert!(s.state.link_is_lost() && s.state.run.is_none() && s.state.engine == Engine::Absent);
        assert_eq!((s.state.results.len(), s.state.results[0].batches), (1, 10));
        assert_eq!(s.state.reading("cpu", Quantity::PowerInstant), None, "an old reading is not shown as a new one");
        let before = s.state.clone();
        s.say(link(lost()));
        assert_eq!(s.state, before, "said again, it is lost once");
        // Another agent, which numbers its sensors in another way.
        s.say(Body::Header(Header::default()));
        s.say(Body::Sensors { sensors: vec![sensor(7, "cpu", Quantity::PowerInstant, None)] });
        s.say(Body::Samples { values: vec![(7, 70.0)] });
        let power = &s.state.sensors[&7];
        assert_eq!(
            (power.series.iter().filter(|(_, watts)| *watts == 300.0).count(), power.idle.mean()),
            (30, Some(70.0))
        );
    }

    #[test]
    fn idle_power_is_known_before_and_after() {
        let mut s = Stream::new();
        s.read(2, 70.0, 70.0);
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 1, Phase::Steady);
        s.read(3, 300.0, 300.0);
        assert_eq!(s.state.idle_drift("cpu"), None);
        s.say(Body::Resting { engine_stopped: true });
        s.read(2, 150.0, 150.0); // still falling
        s.t += S;
        s.read(2, 72.0, 72.0);
        assert_eq!(s.state.idle_drift("cpu"), Some((70.0, 72.0)));
    }

    #[test]
    fn while_layers_are_measured_no_reading_counts() {
        let mut s = Stream::new();
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        s.phase(1, 1, Phase::Steady);
        s.read(3, 300.0, 300.0);
        s.say(Body::LayersBegun { run: 1 });
        assert_eq!(s.state.run.as_ref().unwrap().aside, Some((3 * S, true)));
        s.read(2, 100.0, 100.0);
        let layers = |run, config| Layers {
            run,
            config,
            passes: 3,
            clock: LayerClock::Wall,
            whole_ns: 9,
            sum_ns: 9,
            whole_wall_ns: 9,
            instrumented_wall_ns: 9,
            layers: vec![LayerTime::default()],
        };
        s.say(Body::Layers(layers(1, config("alexnet", 1))));
        s.t -= 1; // so that the last reading of the rise lies before settling ends, and not on it
        s.read(1, 200.0, 200.0); // power rises again
        s.read(3, 300.0, 310.0);
        s.t += 1;
        s.batches(1, true, 40, S / 10);
        let power = s.state.current_result().unwrap().power.unwrap();
        assert!((power.gross_w - 300.0).abs() < 1e-9 && power.readings == 51, "{power:?}");
        assert!((power.joules_per_image - 31.0).abs() < 0.5, "the counter of the time after it: {power:?}");
        assert!(s.state.layers(&config("alexnet", 1)).is_some_and(|l| l.is_ok_and(|l| l.passes == 3)));
        let none = |batch| Body::NoLayers { run: 9, config: config("alexnet", batch), reason: "x".into() };
        (1..=200).for_each(|batch| s.say(none(batch)));
        assert_eq!((s.state.layers.len(), s.state.layers(&config("alexnet", 1))), (KEPT_LAYERS, None));
        assert_eq!(s.state.layers(&config("alexnet", 200)), Some(Err("x")));
    }

    #[test]
    fn power_says_why_it_is_missing_and_prefers_the_devices_own_sensor() {
        let mut state = State::default();
        assert_eq!(state.power_sensor("cpu").unwrap_err(), "no power sensor for cpu");
        let say = |state: &mut State, s: Sensor| state.apply(&Event { t: 0, body: Body::Sensors { sensors: vec![s] } });
        say(&mut state, sensor(0, "cpu", Quantity::PowerInstant, Some("root only")));
        assert_eq!(state.power_sensor("cpu").unwrap_err(), "no power sensor: root only");
        say(&mut state, sensor(1, "board", Quantity::PowerInstant, None));
        assert_eq!(state.power_sensor("cpu").unwrap().0, 1);
        say(&mut state, sensor(2, "cpu", Quantity::PowerAverage, None));
        assert_eq!(state.power_sensor("cpu").unwrap().0, 2);
    }
}
