//! The agent of this host: it merges the events of the sensors and of the engine, and starts, supervises and restarts the
//! engine.
//!
//! The task is a reconciliation loop: commands change what is desired, and [`Local::reconcile`] brings the engine there.

use super::{
    engine_process::{EngineExit, EngineLauncher, EngineProcess, FromEngine},
    handle::AgentHandle,
    header,
    idle::IdleGate,
    memory_watch::MemoryWatch,
    options::Options,
};
use crate::{
    backend::{RunError, device},
    check,
    clock::Clock,
    event::{Body, Command, Config, DeviceInfo, EngineCommand, Event, Level, NetworkFacts, Phase, RunId},
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

/// Crashes in a row after which a configuration is given up.
const MAX_CRASHES: u32 = 3;
/// After a run that was steady for this long, the count of crashes starts again.
const STABLE: Duration = Duration::from_secs(10);
/// An engine that has not begun a newer run after this long is replaced, because its current batch takes too long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The same while kernels are compiled and autotuned, because a new engine would have to start tuning again.
const TUNING_TIMEOUT: Duration = Duration::from_secs(60);

/// The run that is desired.
#[derive(Clone, Debug)]
struct DesiredRun {
    run: RunId,
    config: Config,
    /// When it was sent to the engine; none before that.
    sent: Option<Instant>,
    /// Whether the engine has begun it.
    begun: bool,
    /// When it became steady.
    steady: Option<Instant>,
    /// Crashes in a row with this configuration.
    crashes: u32,
    /// Earliest start, if that is not at once.
    not_before: Option<Instant>,
    /// Whether its layers were requested before it was sent to the engine.
    layers: bool,
}

/// The agent's task.
struct Local {
    options: Options,
    clock: Clock,
    events: UnboundedSender<Event>,
    devices: Vec<DeviceInfo>,
    launcher: EngineLauncher,
    to_agent: UnboundedSender<FromEngine>,
    pid: telemetry::EnginePid,
    gate: IdleGate,
    engine: Option<EngineProcess>,
    engines: u64,
    runs: RunId,
    desired: Option<DesiredRun>,
    phase: Option<Phase>,
    last_good: Option<Config>,
    memory: MemoryWatch,
}

/// Starts the agent of this host on the current tokio runtime. The first event is the session's header.
pub fn start(options: Options, clock: Clock) -> AgentHandle {
    let (commands, from_user) = unbounded_channel();
    let (to_user, events) = unbounded_channel();
    // This can't fail: the receiver is alive.
    let _ = to_user.send(Event { t: clock.now(), body: Body::Header(header::local(options.fold)) });
    tokio::spawn(run(options, clock, to_user, from_user));
    AgentHandle { commands, events }
}

/// Runs the agent until its handle is dropped.
async fn run(options: Options, clock: Clock, events: UnboundedSender<Event>, mut commands: UnboundedReceiver<Command>) {
    let began = Instant::now();
    // A driver may take a second to list its devices, and this runtime may be the screen's.
    let devices = tokio::task::spawn_blocking(device::enumerate).await.unwrap_or_default();
    let _ = events.send(Event { t: clock.now(), body: Body::Devices { devices: devices.clone() } });
    if let Some(file) = &options.checks {
        let _ = events
            .send(Event { t: clock.now(), body: Body::Checks { checks: check::kept(file, &devices, options.fold) } });
    }
    let facts = events.clone();
    tokio::task::spawn_blocking(move || send_network_facts(clock, &facts));
    send_accuracies(clock, &options, &events);

    let pid = telemetry::EnginePid::default();
    let (sensed, mut from_sensors) = unbounded_channel();
    let sensor_options = sensor_options(&options, &devices, &pid);
    let sampled = |source: &&str| !sensor_options.without.contains(source);
    let sources = telemetry::SOURCES.into_iter().filter(sampled).collect();
    let sensors = telemetry::start(sensor_options.clone(), clock, sensed);
    let (to_agent, mut from_engine) = unbounded_channel();
    let launcher = EngineLauncher {
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
        launcher,
        to_agent,
        pid,
        gate: IdleGate::new(began, sources),
        engine: None,
        engines: 0,
        desired: None,
        phase: None,
        last_good: None,
        memory: MemoryWatch::default(),
    };
    loop {
        let alarm = agent.alarm();
        tokio::select! {
            biased;
            command = commands.recv() => match coalesce(command, &mut commands) {
                Some(commands) => for command in commands { agent.command(command).await },
                None => break,
            },
            Some(message) = from_engine.recv() => agent.on_engine(message),
            Some(event) = from_sensors.recv() => {
                agent.gate.on_event(Instant::now(), &event.body);
                if agent.events.send(event).is_err() { break }
            }
            () = wait_until(alarm) => {}
        }
        agent.reconcile().await;
    }
    drop(sensors);
}

/// All queued commands, with only the newest of the runs; none if the agent is to stop.
fn coalesce(first: Option<Command>, commands: &mut UnboundedReceiver<Command>) -> Option<Vec<Command>> {
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

/// Sends the facts of all models.
fn send_network_facts(clock: Clock, events: &UnboundedSender<Event>) {
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

/// The facts of a model, computed once per process.
fn facts(model: &Model) -> Result<NetworkFacts, CaptureError> {
    static KNOWN: Mutex<BTreeMap<String, NetworkFacts>> = Mutex::new(BTreeMap::new());
    // A panic can't leave the map inconsistent: entries are inserted complete.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(facts) = known.get(&model.name) {
        return Ok(facts.clone());
    }
    let facts = cost::facts(model)?;
    known.insert(model.name.clone(), facts.clone());
    Ok(facts)
}

/// Sends the accuracies that were measured on this host before, to be shown beside the published ones.
fn send_accuracies(clock: Clock, options: &Options, events: &UnboundedSender<Event>) {
    let Some(file) = &options.accuracies else { return };
    for accuracy in ledger::kept(file) {
        let _ = events.send(Event { t: clock.now(), body: Body::Accuracy(accuracy) });
    }
}

fn sensor_options(options: &Options, devices: &[DeviceInfo], pid: &telemetry::EnginePid) -> telemetry::Options {
    let is_measured = |d: &&DeviceInfo| d.absent.is_none() && options.only.as_ref().is_none_or(|only| *only == d.name);
    let has = |d: &DeviceInfo, source: &str| device::sensors_of(&d.name).contains(&source);
    let cards = devices.iter().filter(is_measured).filter(|d| has(d, "nvml"));
    let cuda: Vec<_> = cards.map(|d| telemetry::CudaDevice { name: d.name.clone(), uuid: d.uuid.clone() }).collect();
    let only = options.only.as_ref().map(|_| devices.iter().find(is_measured));
    // Rails that feed the whole board count as those of its only card.
    let rails = |source: &str| options.alone && source == "hwmon";
    let read = |source: &&str| only.is_none_or(|only| only.is_some_and(|d| has(d, source) || rails(source)));
    let without =
        telemetry::SOURCES.into_iter().filter(|source| *source != "host").filter(|source| !read(source)).collect();
    let (period, engine) = (options.period, pid.clone());
    telemetry::Options { period, cuda, engine, without, ..telemetry::Options::default() }
}

impl Local {
    fn emit(&self, body: Body) {
        log(&body);
        let _ = self.events.send(Event { t: self.clock.now(), body });
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Run { config } => self.set_desired(config, 0),
            Command::Reset => self.emit(Body::Reset),
            Command::Layers => self.layers().await,
            Command::Pause { paused } => self.pause(paused),
            Command::Rest { stop_engine } => self.rest(stop_engine).await,
            Command::Plan { plan } => self.emit(Body::Plan(plan)),
            Command::StepDone { step, outcome } => self.emit(Body::StepDone { step, outcome }),
            Command::EndSweep => self.emit(Body::SweepEnded),
            Command::Stop => {}
        }
    }

    /// Forwards the request for layers, at once or together with the run. It is not repeated if the engine crashes.
    async fn layers(&mut self) {
        let Some(desired) = &mut self.desired else { return };
        match (&mut self.engine, desired.sent) {
            // If the pipe is closed the process has exited, which its watcher reports.
            (Some(engine), Some(_)) => _ = engine.send(&EngineCommand::Layers { run: desired.run }).await,
            _ => desired.layers = true,
        }
    }

    /// No run is desired any more. The current batch is finished, unless the engine is stopped.
    async fn rest(&mut self, stop_engine: bool) {
        self.desired = None;
        if stop_engine {
            self.stop_engine();
        } else if let Some(engine) = &mut self.engine {
            // If the pipe is closed the process has exited, and the next run starts another one.
            let _ = engine.send(&EngineCommand::Rest).await;
        }
        self.emit(Body::Resting { engine_stopped: self.engine.is_none() });
    }

    fn pause(&mut self, paused: bool) {
        if let Some(engine) = &self.engine {
            engine.pause(paused);
        }
        if !paused {
            // The pause does not count as a delay of the engine's answer.
            if let Some(sent) = self.desired.as_mut().and_then(|desired| desired.sent.as_mut()) {
                *sent = Instant::now();
            }
        }
        self.emit(Body::Paused { paused });
    }

    /// Checks a configuration and makes it the desired one.
    fn set_desired(&mut self, mut config: Config, crashes: u32) {
        self.runs += 1;
        let run = self.runs;
        let checked = device::resolve(&config.device, &self.devices).and_then(|found| {
            config.device.clone_from(&found.name);
            device::check_precision(found, config.precision)
        });
        let known = model::find(&config.network).map(|_| ()).map_err(|e| e.to_string());
        if let Err(reason) = checked.map_err(|e| e.to_string()).and(known) {
            self.emit(Body::Failing { run, config, reason });
            return;
        }
        let (sent, steady, not_before) = (None, None, None);
        self.desired = Some(DesiredRun { run, config, sent, begun: false, steady, crashes, not_before, layers: false });
    }

    /// When [`Self::reconcile`] has something to do next.
    fn alarm(&self) -> Option<Instant> {
        let desired = self.desired.as_ref().filter(|desired| !desired.begun)?;
        match desired.sent {
            Some(sent) => Some(sent + self.answer_timeout()),
            None => [self.idle_gate(desired), desired.not_before].into_iter().flatten().max(),
        }
    }

    fn answer_timeout(&self) -> Duration {
        let compiles = self.engine.as_ref().is_some_and(|engine| device::traits_of(&engine.device).compiles);
        if compiles && self.phase == Some(Phase::Tuning) { TUNING_TIMEOUT } else { ANSWER_TIMEOUT }
    }

    /// When the first engine may start. Later ones start at once, because the device is warm by then.
    fn idle_gate(&self, desired: &DesiredRun) -> Option<Instant> {
        if self.engines > 0 { None } else { self.gate.opens(&desired.config.device, self.options.idle) }
    }

    /// Brings the engine to the desired run: starts an engine, sends the run, or replaces an engine that does not answer.
    async fn reconcile(&mut self) {
        let Some(desired) = &self.desired else { return };
        if desired.begun || self.alarm().is_some_and(|at| Instant::now() < at) {
            return;
        }
        if desired.sent.is_some() {
            let text = "the engine was in the middle of a long batch: replaced by a new one".to_owned();
            self.emit(Body::Notice { level: Level::Info, text });
            self.stop_engine();
        }
        self.start_run().await;
    }

    /// Sends the desired run to the engine of its device, which is started first if there is none.
    async fn start_run(&mut self) {
        let Some(desired) = &mut self.desired else { return };
        desired.sent = Some(Instant::now());
        let (run, config, layers) = (desired.run, desired.config.clone(), std::mem::take(&mut desired.layers));
        if self.engine.as_ref().is_some_and(|engine| engine.device != config.device) {
            self.stop_engine();
        }
        if self.engine.is_none() && !self.start_engine(run, &config) {
            return;
        }
        if let Some(engine) = &mut self.engine {
            // If the pipe is closed the process has exited, which its watcher reports.
            let _ = engine.send(&EngineCommand::Run { run, config }).await;
            if layers {
                let _ = engine.send(&EngineCommand::Layers { run }).await;
            }
        }
    }

    fn start_engine(&mut self, run: RunId, config: &Config) -> bool {
        self.engines += 1;
        self.memory = MemoryWatch::begin();
        self.launcher.memory_limit = device::memory_limit(&config.device, self.options.memory_limit);
        match EngineProcess::start(&self.launcher, self.engines, &config.device, self.to_agent.clone()) {
            Ok(engine) => {
                self.pid.set(Some(engine.pid));
                self.emit(Body::EngineStarted { pid: engine.pid, device: config.device.clone() });
                self.engine = Some(engine);
                true
            }
            Err(error) => {
                let reason = format!("no engine could be started: {error}");
                self.emit(Body::Failing { run, config: config.clone(), reason });
                self.desired = None;
                false
            }
        }
    }

    fn stop_engine(&mut self) {
        self.engine = None;
        self.phase = None;
        self.pid.set(None);
    }

    fn on_engine(&mut self, message: FromEngine) {
        let number = match &message {
            FromEngine::Event(number, _) | FromEngine::Exited(number, _) => *number,
        };
        // An engine that was replaced may still send events, about runs that are not desired any more.
        if self.engine.as_ref().is_none_or(|engine| engine.number != number) {
            return;
        }
        match message {
            FromEngine::Event(_, event) => self.on_engine_event(*event),
            FromEngine::Exited(_, exit) => self.on_engine_exit(&exit),
        }
    }

    fn on_engine_event(&mut self, event: Event) {
        log(&event.body);
        let current = self.desired.as_ref().map(|w| w.run);
        match &event.body {
            Body::Phase(change) => {
                self.phase = Some(change.phase);
                if let Some(desired) = self.desired.as_mut().filter(|w| w.run == change.run) {
                    desired.begun = true;
                    if change.phase == Phase::Steady {
                        desired.steady = Some(Instant::now());
                        self.last_good = Some(change.config.clone());
                    }
                }
            }
            Body::Memory(memory) => self.memory.resident = memory.resident,
            Body::OutOfMemory { run, .. } | Body::Failing { run, .. } if Some(*run) == current => {
                let _ = self.events.send(event);
                self.step_back();
                return;
            }
            _ => {}
        }
        let _ = self.events.send(event);
    }

    /// After a configuration that can't run: goes back to the last one that could, or waits for the next command.
    fn step_back(&mut self) {
        let failed = self.desired.take().map(|w| w.config);
        if let Some(good) =
            self.last_good.clone().filter(|good| self.options.step_back && Some(good) != failed.as_ref())
        {
            self.set_desired(good, 0);
        }
    }

    fn on_engine_exit(&mut self, exit: &EngineExit) {
        self.stop_engine();
        let Some(desired) = self.desired.clone() else { return };
        let (run, config) = (desired.run, desired.config);
        let told = match RunError::from_text(&exit.stderr) {
            RunError::OutOfMemory { requested, message } => Some((requested, message)),
            // The kernel leaves no time for a last word.
            RunError::Device(_) | RunError::Weights(_) => self.memory.explain(exit).map(|message| (None, message)),
        };
        if let Some((requested, message)) = told {
            self.emit(Body::OutOfMemory { run, config, requested_bytes: requested, message });
            self.step_back();
            return;
        }
        let stable = desired.steady.is_some_and(|since| since.elapsed() >= STABLE);
        let crashes = if stable { 1 } else { desired.crashes + 1 };
        let reason = exit.reason.clone();
        if let Some(text) = self.launcher.suspect_graphs(&config.device) {
            self.emit(Body::Notice { level: Level::Warning, text });
        }
        self.emit(Body::EngineDied { reason: reason.clone(), in_a_row: crashes, run, config: config.clone() });
        if crashes >= MAX_CRASHES {
            let reason = format!("its engine died {crashes} times in a row, last: {reason}");
            self.emit(Body::Failing { run, config, reason });
            self.step_back();
            return;
        }
        self.set_desired(config, crashes);
        if let Some(desired) = &mut self.desired {
            desired.not_before = Some(Instant::now() + Duration::from_millis(200) * crashes);
        }
    }
}

/// Logs what explains a session afterwards; measurements are not logged.
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
