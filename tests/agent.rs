//! The agent with real engines: one stream, the newest command wins, and crashes of an engine do not end it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

use std::{
    future::Future,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use wattscope::{
    agent::{self, AgentHandle, Options},
    clock::Clock,
    event::{Body, Command, Config, Event, Phase, Precision},
    session::{State, state::Engine},
};

fn options() -> Options {
    Options::new(PathBuf::from(env!("CARGO_BIN_EXE_wattscope")))
}

fn config(network: &str, batch: u32) -> Config {
    Config { network: network.into(), batch, precision: Precision::F32, device: "cpu".into() }
}

/// An agent and its events so far.
struct Session {
    agent: AgentHandle,
    events: Vec<Event>,
    state: State,
}

impl Session {
    fn start(options: Options) -> Self {
        Self { agent: agent::start(options, Clock::start()), events: Vec::new(), state: State::default() }
    }

    fn run(&self, config: Config) {
        self.agent.commands.send(Command::Run { config }).unwrap();
    }

    /// Folds events until one fits.
    async fn until(&mut self, what: &str, mut fits: impl FnMut(&Body) -> bool) -> Body {
        let wait = async {
            loop {
                let event = self.agent.events.recv().await.expect("the stream goes on");
                self.state.apply(&event);
                self.events.push(event.clone());
                if fits(&event.body) {
                    return event.body;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
        let telling = |e: &&Event| !matches!(e.body, Body::Samples { .. } | Body::Batches(_) | Body::Network(_));
        waited.unwrap_or_else(|_| {
            let events: Vec<_> = self.events.iter().filter(telling).map(|e| format!("{e:?}")).collect();
            panic!("not seen: {what}; events:\n{}", events.join("\n"))
        })
    }

    /// Waits for that many ticks of the sensors.
    async fn ticks(&mut self, n: usize) {
        for _ in 0..n {
            self.until("a tick", |body| matches!(body, Body::Samples { .. })).await;
        }
    }

    async fn steady(&mut self, wanted: &Config) {
        self.until(
            &format!("{wanted} steady"),
            |body| matches!(body, Body::Phase(change) if change.phase == Phase::Steady && change.config == *wanted),
        )
        .await;
    }

    async fn engine(&mut self) -> i32 {
        match self.until("an engine", |body| matches!(body, Body::EngineStarted { .. })).await {
            Body::EngineStarted { pid, .. } => pid as i32,
            _ => unreachable!(),
        }
    }
}

/// One test at a time: engines take every core, and two of them would wait for each other.
fn block_on(test: impl Future<Output = ()>) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn kill(pid: i32) {
    signal(pid, libc::SIGKILL);
}

fn signal(pid: i32, signal: i32) {
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

#[test]
fn a_run_goes_through_its_phases_and_only_steady_batches_count() {
    block_on(async {
        let mut session = Session::start(options());
        let wanted = config("squeezenet1.1", 1);
        session.run(wanted.clone());
        session.steady(&wanted).await;
        let counted = |body: &Body| matches!(body, Body::Batches(b) if b.steady);
        session.until("batches that count", counted).await;
        assert!(matches!(session.events[0].body, Body::Header(_)), "the header comes first");
        let phases: Vec<Phase> = session
            .events
            .iter()
            .filter_map(|e| if let Body::Phase(change) = &e.body { Some(change.phase) } else { None })
            .collect();
        assert_eq!(phases, [Phase::Building, Phase::Tuning, Phase::WarmingUp, Phase::Steady]);
        let result = session.state.current_result().expect("a result");
        assert!(result.latency_ms.p50 > 0.1 && result.latency_ms.p50 <= result.latency_ms.p99);
        let graph = result.graph.clone().expect("the stream says whether a graph is replayed");
        assert_eq!((graph.used, graph.why.as_str()), (false, "cpu has none"));
        assert!(result.memory.resident.is_some_and(|bytes| bytes > 1 << 20));
        assert!(result.flop_utilisation.is_some_and(|percent| (0.1..150.0).contains(&percent)), "{result:?}");
        assert!(result.power.is_err() || result.power.as_ref().is_ok_and(|p| p.gross_w > 0.0));
    });
}

#[test]
fn a_pause_is_no_part_of_a_measurement() {
    block_on(async {
        let mut session = Session::start(options());
        let wanted = config("squeezenet1.1", 1);
        session.run(wanted.clone());
        let engine = session.engine().await;
        session.steady(&wanted).await;
        let counted = |body: &Body| matches!(body, Body::Batches(b) if b.steady);
        session.until("batches that count", counted).await;
        // In the middle of a batch, as Ctrl-Z or a stopped container does it.
        signal(engine, libc::SIGSTOP);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        signal(engine, libc::SIGCONT);
        session.until("the end of the pause", |body| *body == Body::Paused { paused: false }).await;
        session.until("batches that count", counted).await;
        session.until("batches that count", counted).await;
        let result = session.state.current_result().unwrap();
        assert!(result.latency_ms.p99 < 1000.0 && result.seconds < 1.0, "counting began anew: {result:?}");
        let of = |e: &Event| if let Body::Batches(b) = &e.body { b.wall_ns.iter().max().copied() } else { None };
        let longest = session.events.iter().filter_map(of).max().unwrap();
        assert!(longest < 1_400_000_000, "a batch of {longest} ns has the pause in it");
    });
}

#[test]
fn the_newest_command_wins() {
    block_on(async {
        let mut session = Session::start(options());
        session.run(config("squeezenet1.1", 1));
        session.steady(&config("squeezenet1.1", 1)).await;
        (2..=30).for_each(|batch| session.run(config("squeezenet1.1", batch)));
        session.steady(&config("squeezenet1.1", 30)).await;
        let begun = session.state.marks.len();
        assert!(begun <= 4, "{begun} runs were begun for a key that was held");
    });
}

#[test]
fn a_rest_measures_nothing_and_keeps_the_engine_unless_it_is_stopped() {
    block_on(async {
        let mut session = Session::start(options());
        let wanted = config("squeezenet1.1", 1);
        session.run(wanted.clone());
        let first = session.engine().await;
        session.steady(&wanted).await;
        session.agent.commands.send(Command::Rest { stop_engine: false }).unwrap();
        session.until("a rest", |body| *body == Body::Resting { engine_stopped: false }).await;
        // The current batch may still end.
        session.ticks(5).await;
        let rested = session.events.len();
        session.ticks(10).await;
        let batches = session.events[rested..].iter().filter(|e| matches!(e.body, Body::Batches(_))).count();
        assert_eq!(batches, 0, "it rests");
        session.run(wanted.clone());
        session.steady(&wanted).await;
        assert!(matches!(session.state.engine, Engine::Running { pid, .. } if pid as i32 == first), "the same engine");
        session.agent.commands.send(Command::Rest { stop_engine: true }).unwrap();
        session.until("a rest", |body| *body == Body::Resting { engine_stopped: true }).await;
        session.run(wanted);
        assert_ne!(session.engine().await, first);
    });
}

#[test]
fn a_killed_engine_is_restarted_until_the_third_crash_in_a_row() {
    block_on(async {
        let mut session = Session::start(options());
        let wanted = config("squeezenet1.1", 1);
        session.run(wanted.clone());
        let first = session.engine().await;
        session.steady(&wanted).await;
        for death in 1..=3 {
            kill(if death == 1 { first } else { session.engine().await });
            let body = session.until("a death", |body| matches!(body, Body::EngineDied { .. })).await;
            let Body::EngineDied { reason, in_a_row, .. } = body else { unreachable!() };
            assert_eq!(in_a_row, death);
            assert!(reason.contains("signal 9"), "{reason}");
        }
        session.until("the configuration given up", |body| matches!(body, Body::Failing { .. })).await;
        assert!(session.state.failures.contains_key(&wanted));
        // Other configurations can still run.
        session.run(config("squeezenet1.1", 2));
        session.steady(&config("squeezenet1.1", 2)).await;
    });
}

#[test]
fn out_of_memory_goes_back_to_what_worked_and_reports_the_requested_bytes() {
    block_on(async {
        let mut session = Session::start(Options { memory_limit: Some(400 << 20), ..options() });
        let (works, too_large) = (config("squeezenet1.1", 1), config("squeezenet1.1", 512));
        session.run(works.clone());
        session.steady(&works).await;
        session.run(too_large.clone());
        let body = session.until("out of memory", |body| matches!(body, Body::OutOfMemory { .. })).await;
        let Body::OutOfMemory { config, requested_bytes, .. } = body else { unreachable!() };
        assert_eq!(config, too_large);
        assert!(requested_bytes.is_some_and(|bytes| bytes > 1 << 20), "{requested_bytes:?}");
        session.steady(&works).await;
        assert!(session.state.failures[&too_large].out_of_memory);
    });
}

#[test]
fn a_configuration_that_cannot_run_is_refused_with_alternatives() {
    block_on(async {
        let mut session = Session::start(options());
        let mut reason = async |config: Config| {
            session.run(config);
            match session.until("a refusal", |body| matches!(body, Body::Failing { .. })).await {
                Body::Failing { reason, .. } => reason,
                _ => unreachable!(),
            }
        };
        let tf32 = Config { precision: Precision::Tf32, ..config("alexnet", 1) };
        assert_eq!(reason(tf32).await, "cpu has no tf32: it has f32, f16, bf16");
        assert!(reason(config("resnet5", 1)).await.contains("resnet50"), "the nearest id is named");
        let tpu = Config { device: "tpu".into(), ..config("alexnet", 1) };
        assert!(reason(tpu).await.starts_with("unknown device 'tpu'"));
    });
}

#[test]
fn an_engine_does_not_outlive_its_agent() {
    let mut pid = 0;
    block_on(async {
        let mut session = Session::start(options());
        session.run(config("squeezenet1.1", 1));
        pid = session.engine().await;
        session.until("a batch", |body| matches!(body, Body::Batches(_))).await;
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(2);
    while std::path::Path::new(&format!("/proc/{pid}/exe")).exists() {
        assert!(std::time::Instant::now() < deadline, "the engine is still there after 2 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
