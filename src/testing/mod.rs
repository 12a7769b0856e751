//! Helpers that the tests of several modules share: configurations, sensors, streams of events, and a scripted agent.

pub mod demo;

use crate::{
    agent::AgentHandle,
    event::{
        Batches, Body, Command, Config, Event, Nanos, Phase, PhaseChange, Precision, Quantity, RunId, Sensor, SensorId,
        WarmUp, Weights,
    },
};
use tokio::{sync::mpsc::unbounded_channel, task::JoinHandle};

/// A configuration on the CPU in f32.
pub fn config(network: &str, batch: u32) -> Config {
    Config { network: network.to_owned(), batch, precision: Precision::F32, device: "cpu".to_owned() }
}

/// A sensor that is read every 50 ms.
pub fn sensor(id: SensorId, device: &str, quantity: Quantity, absent: Option<&str>) -> Sensor {
    Sensor {
        id,
        source: "test".to_owned(),
        device: device.to_owned(),
        quantity,
        label: "a sensor".to_owned(),
        method: None,
        period_ms: 50,
        absent: absent.map(str::to_owned),
    }
}

/// A builder of a stream of events, with a clock of its own.
#[derive(Default)]
pub struct Events {
    now: Nanos,
    events: Vec<Event>,
}

impl Events {
    /// Adds an event at the current time.
    pub fn push(&mut self, body: Body) {
        self.events.push(Event { t: self.now, body });
    }

    /// Takes the events so far.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Advances the clock.
    pub fn idle(&mut self, seconds: u64) {
        self.now += seconds * 1_000_000_000;
    }

    /// Takes a run through its phases, from building to steady.
    pub fn warm_up(&mut self, run: RunId, config: &Config) {
        for phase in [Phase::Building, Phase::Tuning, Phase::WarmingUp, Phase::Steady] {
            self.now += 100_000_000;
            let warm_up = WarmUp { seconds: 0.1, batches: 12, error_percent: 0.5, converged: true };
            let warm_up = (phase == Phase::Steady).then_some(warm_up);
            self.push(Body::Phase(PhaseChange { run, config: config.clone(), phase, warm_up }));
            self.push(Body::Weights { run, weights: Weights::Seed { seed: 2016 } });
        }
    }

    /// Adds `n` steady batches of `each` nanoseconds.
    pub fn batches(&mut self, run: RunId, n: u64, each: Nanos) {
        self.now += n * each;
        let (span_ns, wall_ns) = (n * each, vec![each; n as usize]);
        self.push(Body::Batches(Batches { run, steady: true, span_ns, wall_ns, device_ns: vec![] }));
    }
}

/// A scripted agent: a function answers every [`Command::Run`].
pub struct Script;

impl Script {
    /// Starts the agent. It sends `before`, then what `answer` adds for each configuration, and ends with
    /// [`Command::Stop`]. The task returns the commands that it received.
    pub fn start(
        before: Vec<Body>,
        mut answer: impl FnMut(&mut Events, RunId, &Config) + Send + 'static,
    ) -> (AgentHandle, JoinHandle<Vec<Command>>) {
        let (commands, mut orders) = unbounded_channel::<Command>();
        let (sender, events) = unbounded_channel();
        let script = tokio::spawn(async move {
            let mut heard = Vec::new();
            let mut out = Events::default();
            before.into_iter().for_each(|body| out.push(body));
            while let Some(command) = orders.recv().await {
                heard.push(command.clone());
                match command {
                    Command::Run { config } => answer(&mut out, heard.len() as RunId, &config),
                    Command::Reset => out.push(Body::Reset),
                    Command::Layers => {}
                    Command::Pause { paused } => out.push(Body::Paused { paused }),
                    Command::Rest { stop_engine } => out.push(Body::Resting { engine_stopped: stop_engine }),
                    Command::Plan { plan } => out.push(Body::Plan(plan)),
                    Command::StepDone { step, outcome } => out.push(Body::StepDone { step, outcome }),
                    Command::EndSweep => out.push(Body::SweepEnded),
                    Command::Stop => break,
                }
                for event in out.take() {
                    // The receiver may be gone already.
                    let _ = sender.send(event);
                }
            }
            heard
        });
        (AgentHandle { commands, events }, script)
    }
}

/// The number that an axis label shows, its SI prefix counted in.
pub fn label_value(label: &str) -> f64 {
    let (number, prefix) = label.split_once(' ').unwrap_or((label, ""));
    let scale = match prefix {
        "P" => 1e15,
        "T" => 1e12,
        "G" => 1e9,
        "M" => 1e6,
        "k" => 1e3,
        "m" => 1e-3,
        "µ" => 1e-6,
        "" => 1.0,
        other => panic!("{other:?} is no prefix"),
    };
    number.replace(',', "").parse::<f64>().unwrap_or_else(|_| panic!("{label:?} is no number")) * scale
}
