//! The agent of this host: sensors and engine joined into one stream, the engine started, watched and restarted.

use super::{
    Options,
    child::{Death, EngineProcess, FromEngine, Launch},
    idle::IdleGate,
};
use crate::{
    backend::device,
    check,
    clock::Clock,
    engine::measure::MeasureError,
    event::{Body, Command, Config, DeviceInfo, DeviceMemory, EngineCommand, Event, Level, NetworkFacts, Phase, RunId},
    host,
    images::accuracy::ledger,
    model::{self, Model, capture::CaptureError, cost},
    telemetry,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Deaths in a row after which a configuration is given up.
const DEATHS: u32 = 3;
/// A run that was steady for this long did not die of its configuration: the count of deaths begins again.
const SOUND: Duration = Duration::from_secs(10);
/// An engine that does not answer a newer command for this long is replaced: its batch takes too long to wait for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same while kernels are compiled and tuned, which a new engine would have to begin again.
const TUNING_PATIENCE: Duration = Duration::from_secs(60);

/// What is being measured, or is to be.
#[derive(Clone, Debug)]
struct Wanted {
    run: RunId,
    config: Config,
    /// When the engine was told; none while it waits to start.
    told: Option<Instant>,
    /// Whether the engine has begun it.
    begun: bool,
    /// When it became steady.
    steady: Option<Instant>,
    /// Deaths in a row on this configuration.
    deaths: u32,
    /// When to start it, where that is not at once.
    not_before: Option<Instant>,
    /// Whether its layers were asked for before the engine was told of it.
    layers: bool,
}

/// The agent's task.
pub(super) struct Local {
    options: Options,
    clock: Clock,
    events: UnboundedSender<Event>,
    devices: Vec<DeviceInfo>,
    launch: Launch,
    from_engine: UnboundedSender<FromEngine>,
    pid: telemetry::EnginePid,
    gate: IdleGate,
    engine: Option<EngineProcess>,
    engines: u64,
    runs: RunId,
    wanted: Option<Wanted>,
    phase: Option<Phase>,
    last_good: Option<Config>,
}

/// Runs the agent until its user lets go of it.
pub(super) async fn run(
    options: Options,
    clock: Clock,
    events: UnboundedSender<Event>,
    mut commands: UnboundedReceiver<Command>,
) {
    let began = Instant::now();
    // Asking a driver for its devices can take a second: never on the thread that draws.
    let devices = tokio::task::spawn_blocking(device::enumerate).await.unwrap_or_default();
    let _ = events.send(Event { t: clock.now(), body: Body::Devices { devices: devices.clone() } });
    if let Some(file) = &options.checks {
        let _ = events
            .send(Event { t: clock.now(), body: Body::Checks { checks: check::kept(file, &devices, options.fold) } });
    }
    let facts = events.clone();
    tokio::task::spawn_blocking(move || tell_facts(clock, &facts));
    tell_accuracies(clock, &options, &events);

    let pid = telemetry::EnginePid::default();
    let (sensed, mut from_sensors) = unbounded_channel();
    let sensors = telemetry::start(sensor_options(&options, &devices, &pid), clock, sensed);
    let (from_engine, mut engine_said) = unbounded_channel();
    let launch = Launch {
        program: options.program.clone(),
        clock,
        memory_limit: None,
        weights: options.weights.clone(),
        fold: options.fold,
        graph: options.graph,
    };
    let mut agent = Local {
        runs: options.last_run,
        options,
        clock,
        events,
        devices,
        launch,
        from_engine,
        pid,
        gate: IdleGate::new(began),
        engine: None,
        engines: 0,
        wanted: None,
        phase: None,
        last_good: None,
    };
    loop {
        let alarm = agent.alarm();
        tokio::select! {
            biased;
            command = commands.recv() => match newest(command, &mut commands) {
                Some(commands) => for command in commands { agent.command(command).await },
                None => break,
            },
            Some(said) = engine_said.recv() => agent.heard(said),
            Some(event) = from_sensors.recv() => {
                agent.gate.see(Instant::now(), &event.body);
                if agent.events.send(event).is_err() { break }
            }
            () = wait_until(alarm) => {}
        }
        agent.attend().await;
    }
    drop(sensors);
}

/// Everything that waits, with all but the newest run left out; none at the end.
fn newest(first: Option<Command>, commands: &mut UnboundedReceiver<Command>) -> Option<Vec<Command>> {
    let mut all = vec![first?];
    all.extend(std::iter::from_fn(|| commands.try_recv().ok()));
    if all.contains(&Command::Stop) {
        return None;
    }
    let last_run = all.iter().rposition(|c| matches!(c, Command::Run { .. }));
    let keep = |(i, c): (usize, Command)| (!matches!(c, Command::Run { .. }) || Some(i) == last_run).then_some(c);
    Some(all.into_iter().enumerate().filter_map(keep).collect())
}

async fn wait_until(alarm: Option<Instant>) {
    match alarm {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn tell_facts(clock: Clock, events: &UnboundedSender<Event>) {
    for model in model::list() {
        let body = match facts(&model) {
            Ok(facts) => Body::Network(facts),
            Err(error) => Body::Notice { level: Level::Error, text: format!("{}: {error}", model.name) },
        };
        if events.send(Event { t: clock.now(), body }).is_err() {
            return;
        }
    }
}

/// The facts of a model, found out once however many agents this process has.
fn facts(model: &Model) -> Result<NetworkFacts, CaptureError> {
    static KNOWN: Mutex<BTreeMap<String, NetworkFacts>> = Mutex::new(BTreeMap::new());
    // Nothing in it is half-done: what is there is whole.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(facts) = known.get(&model.name) {
        return Ok(facts.clone());
    }
    let facts = cost::facts(model)?;
    known.insert(model.name.clone(), facts.clone());
    Ok(facts)
}

/// Accuracies that were measured here before stand beside the published ones.
fn tell_accuracies(clock: Clock, options: &Options, events: &UnboundedSender<Event>) {
    let Some(file) = &options.accuracies else { return };
    for accuracy in ledger::kept(file) {
        let _ = events.send(Event { t: clock.now(), body: Body::Accuracy(accuracy) });
    }
}

fn sensor_options(options: &Options, devices: &[DeviceInfo], pid: &telemetry::EnginePid) -> telemetry::Options {
    let wanted = |d: &&DeviceInfo| d.absent.is_none() && options.only.as_ref().is_none_or(|only| *only == d.name);
    let has = |d: &DeviceInfo, source: &str| device::sensors_of(&d.name).contains(&source);
    let cards = devices.iter().filter(wanted).filter(|d| has(d, "nvml"));
    let cuda: Vec<_> = cards.map(|d| telemetry::CudaDevice { name: d.name.clone(), uuid: d.uuid.clone() }).collect();
    let only = options.only.as_ref().map(|_| devices.iter().find(wanted));
    // Rails that feed the whole board are those of its only card.
    let rails = |source: &str| options.alone && source == "hwmon";
    let read = |source: &&str| only.is_none_or(|only| only.is_some_and(|d| has(d, source) || rails(source)));
    let without = ["nvml", "rapl", "hwmon"].into_iter().filter(|source| !read(source)).collect();
    let (period, engine) = (options.period, pid.clone());
    telemetry::Options { period, cuda, engine, without, ..telemetry::Options::default() }
}

impl Local {
    fn tell(&self, body: Body) {
        log(&body);
        let _ = self.events.send(Event { t: self.clock.now(), body });
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Run { config } => self.want(config, 0),
            Command::Reset => self.tell(Body::Reset),
            Command::Layers => self.layers().await,
            Command::Pause { paused } => self.pause(paused),
            Command::Rest { stop_engine } => self.rest(stop_engine).await,
            Command::Plan { plan } => self.tell(Body::Plan(plan)),
            Command::StepDone { step, outcome } => self.tell(Body::StepDone { step, outcome }),
            Command::EndSweep => self.tell(Body::SweepEnded),
            Command::Stop => {}
        }
    }

    /// Passes the request for layers on, as soon as the engine knows the run. It is not repeated for an engine that took
    /// the place of one that died of it.
    async fn layers(&mut self) {
        let Some(wanted) = &mut self.wanted else { return };
        match (&mut self.engine, wanted.told) {
            // Where the pipe is broken the process is gone, and its end arrives by itself.
            (Some(engine), Some(_)) => _ = engine.send(&EngineCommand::Layers { run: wanted.run }).await,
            _ => wanted.layers = true,
        }
    }

    /// Nothing is wanted any more; a batch in the middle is finished, unless the engine is stopped.
    async fn rest(&mut self, stop_engine: bool) {
        self.wanted = None;
        if stop_engine {
            self.stop_engine();
        } else if let Some(engine) = &mut self.engine {
            // Where the pipe is broken the process is gone, and the next command starts another.
            let _ = engine.send(&EngineCommand::Rest).await;
        }
        self.tell(Body::Resting { engine_stopped: self.engine.is_none() });
    }

    fn pause(&mut self, paused: bool) {
        if let Some(engine) = &self.engine {
            engine.pause(paused);
        }
        if !paused {
            // The time that it stood still is not the engine's delay in answering.
            if let Some(told) = self.wanted.as_mut().and_then(|wanted| wanted.told.as_mut()) {
                *told = Instant::now();
            }
        }
        self.tell(Body::Paused { paused });
    }

    /// Makes a configuration the one that is measured, after it was checked.
    fn want(&mut self, mut config: Config, deaths: u32) {
        self.runs += 1;
        let run = self.runs;
        let checked = device::resolve(&config.device, &self.devices).and_then(|found| {
            config.device.clone_from(&found.name);
            device::check_precision(found, config.precision)
        });
        let known = model::find(&config.network).map(|_| ()).map_err(|e| e.to_string());
        if let Err(reason) = checked.map_err(|e| e.to_string()).and(known) {
            self.tell(Body::Failing { run, config, reason });
            return;
        }
        let (told, steady, not_before) = (None, None, None);
        self.wanted = Some(Wanted { run, config, told, begun: false, steady, deaths, not_before, layers: false });
    }

    /// The next moment at which [`Self::attend`] has something to do.
    fn alarm(&self) -> Option<Instant> {
        let wanted = self.wanted.as_ref().filter(|wanted| !wanted.begun)?;
        match wanted.told {
            Some(told) => Some(told + self.patience()),
            None => [self.idle_gate(wanted), wanted.not_before].into_iter().flatten().max(),
        }
    }

    fn patience(&self) -> Duration {
        let compiles = self.engine.as_ref().is_some_and(|engine| device::traits_of(&engine.device).compiles);
        if compiles && self.phase == Some(Phase::Tuning) { TUNING_PATIENCE } else { PATIENCE }
    }

    /// Idle power is read before the first engine only: later ones find the device warm.
    fn idle_gate(&self, wanted: &Wanted) -> Option<Instant> {
        if self.engines > 0 { None } else { self.gate.opens(&wanted.config.device, self.options.idle) }
    }

    /// Brings the engine to what is wanted: starts it, tells it, or replaces one that does not answer.
    async fn attend(&mut self) {
        let Some(wanted) = &self.wanted else { return };
        if wanted.begun || self.alarm().is_some_and(|at| Instant::now() < at) {
            return;
        }
        if wanted.told.is_some() {
            let text = "the engine was in the middle of a long batch: replaced by a new one".to_owned();
            self.tell(Body::Notice { level: Level::Info, text });
            self.stop_engine();
        }
        self.start_run().await;
    }

    /// Tells the engine what is wanted, starting one for its device where there is none.
    async fn start_run(&mut self) {
        let Some(wanted) = &mut self.wanted else { return };
        wanted.told = Some(Instant::now());
        let (run, config, layers) = (wanted.run, wanted.config.clone(), std::mem::take(&mut wanted.layers));
        if self.engine.as_ref().is_some_and(|engine| engine.device != config.device) {
            self.stop_engine();
        }
        if self.engine.is_none() && !self.start_engine(run, &config) {
            return;
        }
        if let Some(engine) = &mut self.engine {
            // Where the pipe is broken the process is gone, and its end arrives by itself.
            let _ = engine.send(&EngineCommand::Run { run, config }).await;
            if layers {
                let _ = engine.send(&EngineCommand::Layers { run }).await;
            }
        }
    }

    fn start_engine(&mut self, run: RunId, config: &Config) -> bool {
        self.engines += 1;
        self.launch.memory_limit = memory_limit(&self.options, &config.device);
        match EngineProcess::start(&self.launch, self.engines, &config.device, self.from_engine.clone()) {
            Ok(engine) => {
                self.pid.set(Some(engine.pid));
                self.tell(Body::EngineStarted { pid: engine.pid, device: config.device.clone() });
                self.engine = Some(engine);
                true
            }
            Err(error) => {
                let reason = format!("no engine could be started: {error}");
                self.tell(Body::Failing { run, config: config.clone(), reason });
                self.wanted = None;
                false
            }
        }
    }

    fn stop_engine(&mut self) {
        self.engine = None;
        self.phase = None;
        self.pid.set(None);
    }

    fn heard(&mut self, said: FromEngine) {
        let number = match &said {
            FromEngine::Event(number, _) | FromEngine::Gone(number, _) => *number,
        };
        // What an engine that was replaced still says is about nothing that is wanted.
        if self.engine.as_ref().is_none_or(|engine| engine.number != number) {
            return;
        }
        match said {
            FromEngine::Event(_, event) => self.engine_event(*event),
            FromEngine::Gone(_, death) => self.engine_died(&death),
        }
    }

    fn engine_event(&mut self, event: Event) {
        log(&event.body);
        let current = self.wanted.as_ref().map(|w| w.run);
        match &event.body {
            Body::Phase(change) => {
                self.phase = Some(change.phase);
                if let Some(wanted) = self.wanted.as_mut().filter(|w| w.run == change.run) {
                    wanted.begun = true;
                    if change.phase == Phase::Steady {
                        wanted.steady = Some(Instant::now());
                        self.last_good = Some(change.config.clone());
                    }
                }
            }
            Body::OutOfMemory { run, .. } | Body::Failing { run, .. } if Some(*run) == current => {
                let _ = self.events.send(event);
                self.step_back();
                return;
            }
            _ => {}
        }
        let _ = self.events.send(event);
    }

    /// After a configuration that can't run: back to the last one that did, or nothing until the next command.
    fn step_back(&mut self) {
        let failed = self.wanted.take().map(|w| w.config);
        if let Some(good) =
            self.last_good.clone().filter(|good| self.options.step_back && Some(good) != failed.as_ref())
        {
            self.want(good, 0);
        }
    }

    fn engine_died(&mut self, death: &Death) {
        self.stop_engine();
        let Some(wanted) = self.wanted.clone() else { return };
        let (run, config) = (wanted.run, wanted.config);
        if let MeasureError::OutOfMemory { requested, message } = MeasureError::from_text(&death.stderr) {
            self.tell(Body::OutOfMemory { run, config, requested_bytes: requested, message });
            self.step_back();
            return;
        }
        let sound = wanted.steady.is_some_and(|since| since.elapsed() >= SOUND);
        let deaths = if sound { 1 } else { wanted.deaths + 1 };
        let reason = death.reason.clone();
        if let Some(text) = self.launch.suspect_graphs(&config.device) {
            self.tell(Body::Notice { level: Level::Warning, text });
        }
        self.tell(Body::EngineDied { reason: reason.clone(), in_a_row: deaths, run, config: config.clone() });
        if deaths >= DEATHS {
            let reason = format!("its engine died {deaths} times in a row, last: {reason}");
            self.tell(Body::Failing { run, config, reason });
            self.step_back();
            return;
        }
        self.want(config, deaths);
        if let Some(wanted) = &mut self.wanted {
            wanted.not_before = Some(Instant::now() + Duration::from_millis(200) * deaths);
        }
    }
}

/// What a log should have to tell afterwards what happened; measurements are not in it.
fn log(body: &Body) {
    match body {
        Body::EngineStarted { pid, device } => tracing::info!(pid, device, "engine started"),
        Body::Phase(change) => tracing::info!(run = change.run, config = %change.config, phase = ?change.phase),
        Body::Peak { device, precision, flops, how } => tracing::info!(device, %precision, flops, how, "peak"),
        Body::Bandwidth { device, bytes_per_s, how } => tracing::info!(device, bytes_per_s, how, "bandwidth"),
        Body::Layers(l) => {
            tracing::info!(config = %l.config, passes = l.passes, whole_ns = l.whole_ns, sum_ns = l.sum_ns, "layers");
        }
        Body::NoLayers { config, reason, .. } => tracing::warn!(%config, reason, "no layers"),
        Body::EngineDied { reason, in_a_row, config, .. } => tracing::error!(reason, in_a_row, %config, "engine died"),
        Body::Failing { config, reason, .. } => tracing::error!(%config, reason, "given up"),
        Body::OutOfMemory { config, requested_bytes, message, .. } => {
            tracing::error!(%config, requested_bytes, message, "out of memory");
        }
        Body::Notice { text, .. } => tracing::warn!("{text}"),
        Body::Plan(plan) => tracing::info!(steps = plan.order.len(), seed = plan.seed, "sweep"),
        Body::StepDone { step, outcome } => tracing::info!(step, ?outcome, "step done"),
        _ => {}
    }
}

/// The limit of an engine's data segment, where the device works in the host's memory. A card's driver reserves address space
/// by the terabyte, so an engine on a card has none.
fn memory_limit(options: &Options, device: &str) -> Option<u64> {
    let available = || host::memory().map(|memory| memory.available / 10 * 9);
    let by_host = device::traits_of(device).memory == DeviceMemory::Host;
    by_host.then(|| options.memory_limit.or_else(available)).flatten()
}
