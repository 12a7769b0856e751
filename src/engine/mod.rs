//! The engine: a child process that runs one network on one device. Commands in on stdin, events out on stdout.
//!
//! It builds, warms up and measures, and never draws. It holds nothing that is worth saving, so it can be killed at any
//! moment: a GPU out-of-memory, a sticky CUDA error or a minute of autotuning freezes and kills nobody else.

mod compiling;
pub mod graph;
pub mod layers;
pub mod measure;
mod pauses;
pub mod peak;
pub mod process;
pub mod setup;
pub mod steady;
mod verify;
pub mod warm;

use crate::{
    backend::{BuildError, LayersError, RunError, interface::Input},
    clock::Clock,
    event::{Batches, Body, Config, EngineCommand, Level, Memory, Phase, PhaseChange, Precision, RunId, WarmUp},
    host,
    model::{self, Model, weights::checkpoint::Checkpoint},
    output,
};
use graph::Graphs;
use measure::{Built, Timing};
use pauses::Pauses;
use process::{Inbox, Outbox};
use setup::Panics;
use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};
use steady::Convergence;

/// Batches are reported together, this often.
const REPORT: Duration = Duration::from_millis(50);
/// Batches from this long on are all timed by the device's own clock, too. Opening and closing its window takes tens of
/// microseconds, which would be part of what a shorter batch took: there the clock has a batch of its own after each report.
const CLOCKED: Duration = Duration::from_millis(20);
/// Memory is reported this often.
const MEMORY: Duration = Duration::from_millis(250);
/// First batches are tuning until one is no longer much faster than the one before it.
const TUNED: f64 = 0.8;
/// First batches that are taken for tuning at most.
const MOST_TUNING: usize = 5;

/// Exit code of an engine whose device can't be used any more.
pub const EXIT_DEVICE: i32 = 3;

/// A file of weights, and the network that it is for; every other network has seeded ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightsFile {
    /// Name of the model.
    pub network: String,
    /// The file.
    pub path: PathBuf,
}

/// What an engine may do to be faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Fold batch norms into the layers before them.
    pub fold: bool,
    /// Replay a captured graph where that is exact and faster.
    pub graph: bool,
}

/// Runs the engine until its stdin ends. The memory limit is for its data segment, in bytes.
pub fn run(clock: Clock, memory_limit: Option<u64>, weights: Option<WeightsFile>, choices: Choices) -> ! {
    let (inbox, outbox) = process::open(clock);
    setup::print_panics();
    if let Some(bytes) = memory_limit {
        setup::limit_memory(bytes);
    }
    let pauses = Pauses::watch().inspect_err(|error| output::warn(&format!("pauses are not noticed: {error}"))).ok();
    Engine { inbox, outbox, weights, choices, pauses, built: None, peaks: BTreeSet::new(), moved: false }.serve()
}

/// The network that is built, and what was asked for when it was.
struct Current {
    built: Built,
    config: Config,
}

struct Engine {
    inbox: Inbox,
    outbox: Outbox,
    weights: Option<WeightsFile>,
    choices: Choices,
    pauses: Option<Pauses>,
    built: Option<Current>,
    peaks: BTreeSet<Precision>,
    /// Whether the memory's peak was measured.
    moved: bool,
}

impl Engine {
    fn serve(mut self) -> ! {
        loop {
            let EngineCommand::Run { run, config } = self.inbox.wait() else { continue };
            if let Err(error) = self.measure(run, &config) {
                self.fail(run, &config, error);
            }
        }
    }

    /// Runs one configuration until a newer command arrives.
    fn measure(&mut self, run: RunId, config: &Config) -> Result<(), RunError> {
        self.enter(run, config, Phase::Building, None);
        if let Err(reason) = self.build(config) {
            self.outbox.send(Body::Failing { run, config: config.clone(), reason });
            return Ok(());
        }
        let Some(Current { built, .. }) = &self.built else { return Ok(()) };
        self.outbox.send(Body::Weights { run, weights: built.weights().clone() });
        let inputs = built.inputs(config.batch)?;
        self.report_memory(run);
        if self.inbox.has_newer() {
            return Ok(());
        }
        self.enter(run, config, Phase::Tuning, None);
        if self.tune(run, &inputs)? {
            return Ok(());
        }
        self.measure_peak(config);
        let graphs = self.try_graphs(run, config, &inputs)?;
        host::give_back_freed();
        self.report_memory(run);
        self.enter(run, config, Phase::WarmingUp, None);
        self.batches(run, config, &inputs, graphs.as_ref())
    }

    /// Builds the network, unless it is the one that is there: a new batch size needs new inputs only.
    fn build(&mut self, config: &Config) -> Result<(), String> {
        let same =
            |c: &Config| (&c.network, c.precision, &c.device) == (&config.network, config.precision, &config.device);
        if self.built.as_ref().is_some_and(|current| same(&current.config)) {
            return Ok(());
        }
        // Freed before the next one is built: two large networks may not fit side by side.
        if let Some(old) = self.built.take() {
            old.built.free().free_unused();
        }
        let model = model::find(&config.network).map_err(|e| e.to_string())?;
        let built = self.weighted(&model, config).map_err(|e| e.to_string())?;
        self.built = Some(Current { built, config: config.clone() });
        Ok(())
    }

    /// Builds a model with the weights of the file that is meant for it, or else with seeded ones.
    fn weighted(&self, model: &Model, config: &Config) -> Result<Built, BuildError> {
        match self.weights.as_ref().filter(|file| file.network == config.network) {
            Some(file) => Built::load(model, config, &Checkpoint::open(&file.path)?, self.choices.fold),
            None => Built::new(model, config, self.choices.fold),
        }
    }

    /// First batches, in which kernels are compiled and autotuned; true when a newer command arrived meanwhile.
    fn tune(&self, run: RunId, inputs: &[Input]) -> Result<bool, RunError> {
        let Some(Current { built, .. }) = &self.built else { return Ok(true) };
        let _telling = compiling::tell(&**built.device(), &self.outbox, run);
        let mut before = f64::INFINITY;
        let mut first: Option<Vec<f64>> = None;
        for (turn, input) in inputs.iter().cycle().take(MOST_TUNING).enumerate() {
            // All outputs of the first two are looked at; of every other batch one value.
            let timing = match turn {
                0 | 1 => {
                    let (timing, outputs) = built.checked_batch(input)?;
                    match first.take() {
                        Some(first) => self.verify(built, [&first, &outputs])?,
                        None => first = Some(outputs),
                    }
                    timing
                }
                _ => built.batch(input, false)?,
            };
            let now = timing.wall.as_secs_f64();
            if self.inbox.has_newer() {
                return Ok(true);
            }
            if now > TUNED * before {
                break;
            }
            before = now;
        }
        Ok(false)
    }

    /// Checks the outputs of two batches, and says what is odd about them.
    fn verify(&self, built: &Built, outputs: [&[f64]; 2]) -> Result<(), RunError> {
        if let Some(text) = verify::verify(built, self.choices.fold, outputs)? {
            self.outbox.send(Body::Notice { level: Level::Warning, text });
        }
        Ok(())
    }

    /// Captures graphs of the configuration where that pays, and says what came of it.
    fn try_graphs(&self, run: RunId, config: &Config, inputs: &[Input]) -> Result<Option<Graphs>, RunError> {
        let Some(Current { built, .. }) = &self.built else { return Ok(None) };
        let (graphs, trial) = match graph::excluded(self.choices.graph, built.device().traits(), &config.device) {
            Some(finding) => (None, finding.into()),
            None => graph::attempt(built, inputs, &|| self.inbox.has_newer())?,
        };
        if let Some(told) = trial.told(run) {
            self.outbox.send(Body::Graph(told));
        }
        Ok(graphs)
    }

    fn batches(
        &mut self,
        run: RunId,
        config: &Config,
        inputs: &[Input],
        graphs: Option<&Graphs>,
    ) -> Result<(), RunError> {
        let has_clock = self.built.as_ref().is_some_and(|current| current.built.device().traits().own_clock);
        let mut before = Duration::ZERO;
        let mut convergence = Some(Convergence::default());
        let mut report = Report::new(run);
        let mut memory_due = Instant::now() + MEMORY;
        let mut pauses = self.pauses();
        let mut panics = Panics::until_now();
        for turn in 0.. {
            let Some(Current { built, .. }) = &self.built else { return Ok(()) };
            let aside = has_clock && before < CLOCKED && report.wants_clock();
            let clock = aside || before >= CLOCKED;
            let timing = match graphs {
                Some(graphs) => graphs.batch(built, turn, clock)?,
                None => built.batch(&inputs[turn % inputs.len()], clock)?,
            };
            panics.no_more()?;
            if pauses != self.pauses() {
                // The batch was as long as the pause, the report before it began before the pause, and what the sensors read
                // meanwhile was not the network's: counting begins anew.
                pauses = self.pauses();
                report = Report::new(run);
                self.outbox.send(Body::Paused { paused: false });
                continue;
            }
            before = timing.wall;
            if aside {
                report.aside(timing);
                continue;
            }
            report.add(timing);
            let end = convergence.as_mut().and_then(|c| c.add(timing.wall));
            let newer = self.inbox.has_newer();
            if end.is_some() || newer || report.due() {
                self.outbox.send(Body::Batches(report.take(convergence.is_none())));
            }
            if newer {
                return Ok(());
            }
            if let Some(end) = end {
                convergence = None;
                self.enter(run, config, Phase::Steady, Some(end));
            }
            if convergence.is_none() && self.inbox.take_layers(run) {
                self.outbox.send(Body::Batches(report.take(true)));
                self.layers(run, config, inputs)?;
                // One pass among many: the layers' times are those of the middle half.
                pauses = self.pauses();
                panics = Panics::until_now();
            }
            if Instant::now() >= memory_due {
                memory_due = Instant::now() + MEMORY;
                self.report_memory(run);
            }
        }
        Ok(())
    }

    /// How often this process has stood still.
    fn pauses(&self) -> u64 {
        self.pauses.as_ref().map_or(0, Pauses::count)
    }

    /// Measures the layers of the run, and first, once, what the roof over them is. The run goes on in any case, unless the
    /// device can't be used any more.
    fn layers(&mut self, run: RunId, config: &Config, inputs: &[Input]) -> Result<(), RunError> {
        let Some(Current { built, .. }) = &self.built else { return Ok(()) };
        self.outbox.send(Body::LayersBegun { run });
        if !std::mem::replace(&mut self.moved, true)
            && let Some(bandwidth) = peak::bandwidth(&**built.device(), config)
        {
            self.outbox.send(bandwidth);
        }
        let no_layers = |reason: String| Body::NoLayers { run, config: config.clone(), reason };
        self.outbox.send(match layers::measure(built, (run, config), inputs, || self.inbox.has_newer()) {
            Ok(Some(layers)) => Body::Layers(layers),
            Ok(None) => no_layers("another configuration was asked for meanwhile".to_owned()),
            Err(LayersError::Run(RunError::Device(message))) => return Err(RunError::Device(message)),
            Err(error) => {
                built.device().free_unused();
                no_layers(error.to_string())
            }
        });
        Ok(())
    }

    fn enter(&self, run: RunId, config: &Config, phase: Phase, warm_up: Option<WarmUp>) {
        self.outbox.send(Body::Phase(PhaseChange { run, config: config.clone(), phase, warm_up }));
    }

    fn report_memory(&self, run: RunId) {
        let pool = self.built.as_ref().and_then(|current| current.built.device().memory());
        self.outbox.send(Body::Memory(Memory {
            run,
            in_use: pool.map(|p| p.in_use),
            reserved: pool.map(|p| p.reserved),
            resident: host::resident(std::process::id()),
        }));
    }

    /// Measures the device's peak once a precision.
    fn measure_peak(&mut self, config: &Config) {
        let Some(Current { built, .. }) = &self.built else { return };
        if self.peaks.insert(config.precision)
            && let Some(peak) = peak::flops(&**built.device(), config)
        {
            self.outbox.send(peak);
        }
    }

    /// Out of memory is survived: what was held is freed, and the next command may ask for less. After anything else
    /// the device may compute nonsense, so a new process has to take over.
    fn fail(&mut self, run: RunId, config: &Config, error: RunError) {
        match error {
            RunError::OutOfMemory { requested, message } => {
                if let Some(Current { built, .. }) = &self.built {
                    built.device().free_unused();
                }
                self.outbox.send(Body::OutOfMemory {
                    run,
                    config: config.clone(),
                    requested_bytes: requested,
                    message,
                });
            }
            RunError::Weights(reason) => self.outbox.send(Body::Failing { run, config: config.clone(), reason }),
            RunError::Device(message) => {
                output::warn(&message);
                self.outbox.close();
                std::process::exit(EXIT_DEVICE);
            }
        }
    }
}

/// Batches since the last report.
struct Report {
    run: RunId,
    first: Option<Instant>,
    last: Instant,
    wall_ns: Vec<u64>,
    device_ns: Vec<u64>,
    clocked: bool,
}

impl Report {
    fn new(run: RunId) -> Self {
        Self { run, first: None, last: Instant::now(), wall_ns: Vec::new(), device_ns: Vec::new(), clocked: false }
    }

    fn add(&mut self, timing: Timing) {
        self.first.get_or_insert(timing.start);
        self.last = timing.start + timing.wall;
        self.wall_ns.push(nanos(timing.wall));
        self.device_ns.extend(timing.device.map(nanos));
    }

    /// Whether the batch that is about to begin may be one for the device's clock alone: none was yet since the last report.
    fn wants_clock(&self) -> bool {
        self.first.is_none() && !self.clocked
    }

    /// Counts the device time of a batch whose wall time the reading of that clock is part of.
    fn aside(&mut self, timing: Timing) {
        self.clocked = true;
        self.device_ns.extend(timing.device.map(nanos));
    }

    fn due(&self) -> bool {
        self.first.is_some_and(|first| first.elapsed() >= REPORT)
    }

    /// The report, with the time from this report's first batch to its last.
    fn take(&mut self, steady: bool) -> Batches {
        let wall_ns = tidy(std::mem::take(&mut self.wall_ns));
        let device_ns = tidy(std::mem::take(&mut self.device_ns));
        let span = self.first.take().map_or(Duration::ZERO, |first| self.last - first);
        self.clocked = false;
        Batches { run: self.run, steady, span_ns: nanos(span), wall_ns, device_ns }
    }
}

/// Times to four digits, sorted: finer than the three digits that are counted by, and mostly runs of equal values, so that
/// an hour of a network that takes a third of a millisecond still makes a small recording.
fn tidy(mut times: Vec<u64>) -> Vec<u64> {
    for time in &mut times {
        let unit = 10_u64.pow(time.checked_ilog10().unwrap_or(0).saturating_sub(3));
        *time = time.saturating_add(unit / 2) / unit * unit;
    }
    times.sort_unstable();
    times
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
