//! Remote agents: the handshake, a run, and links that are slow, silent, damaged or cut.
//!
//! The commands are local ones, so that no test needs a network; `tests/remote/ssh` does the same with a real sshd. A faulty
//! link is simulated by [`link`], for which this test binary is started again as the command.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "support/terminal.rs"]
#[allow(dead_code)] // other tests use the rest
mod support;

use std::{
    fs::File,
    future::Future,
    io::{BufRead, BufReader, Read, Write},
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, mpsc::sync_channel},
    thread,
    time::{Duration, Instant},
};
use support::{Terminal, alive, engines};
use wattscope::{
    agent::{
        AgentHandle, Options,
        remote::{self, Connection, RemoteCommand},
        wire::{self, Down, Frame, Unpacker, Up, Versions, Welcome},
    },
    clock::Clock,
    event::{Body, Command, Config, Event, Level, LinkState, Phase, Precision},
    session::{Reader, State},
};

const BIN: &str = env!("CARGO_BIN_EXE_wattscope");

/// One test at a time: engines take every core.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn block_on(test: impl Future<Output = ()>) {
    let _alone = alone();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

fn config(batch: u32) -> Config {
    Config { network: "squeezenet1.1".into(), batch, precision: Precision::F32, device: "cpu".into() }
}

/// A command that reaches this host through [`link`].
fn through(faults: &str) -> String {
    let own = std::env::current_exe().unwrap();
    format!("env LINK='{faults}' {} link --exact --ignored --nocapture", own.display())
}

fn command(on: &str) -> RemoteCommand {
    RemoteCommand { on: on.into(), program: BIN.into() }
}

/// Waits until a condition holds.
fn within(seconds: f64, what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    while !is() {
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn gone(pid: i32, seconds: f64) {
    within(seconds, &format!("the end of process {pid}"), || !alive(pid));
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: the process was started by this test.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// State and parent of a process.
fn status(pid: i32) -> (char, i32) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let mut rest = stat.rsplit_once(") ").unwrap().1.split(' ');
    (rest.next().unwrap().chars().next().unwrap(), rest.next().unwrap().parse().unwrap())
}

/// The process of a wattscope subcommand among the descendants of a process.
fn running(parent: i32, command: &str) -> i32 {
    let mut all = engines(parent);
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        if words.next() == Some(BIN.as_bytes()) && words.next() == Some(command.as_bytes()) {
            return pid;
        }
        all.extend(engines(pid));
        next += 1;
    }
    panic!("no {command} under process {parent}")
}

/// A remote agent and its events so far.
struct Session {
    agent: AgentHandle,
    events: Vec<Event>,
    state: State,
}

impl Session {
    fn start(on: &str) -> Self {
        let agent = remote::start(command(on), None, Options::new(PathBuf::new()), Clock::start(), None);
        Self { agent, events: Vec::new(), state: State::default() }
    }

    fn ask(&self, command: Command) {
        self.agent.commands.send(command).unwrap();
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

    /// The engine's process.
    async fn engine(&mut self) -> i32 {
        match self.until("an engine", |body| matches!(body, Body::EngineStarted { .. })).await {
            Body::EngineStarted { pid, .. } => pid as i32,
            _ => unreachable!(),
        }
    }

    /// The number of the run that is steady with `batch`.
    async fn steady(&mut self, batch: u32) -> u64 {
        let is = |body: &Body| matches!(body, Body::Phase(c) if c.phase == Phase::Steady && c.config == config(batch));
        match self.until("steady", is).await {
            Body::Phase(change) => change.run,
            _ => unreachable!(),
        }
    }

    async fn lost(&mut self) -> String {
        let lost = |body: &Body| matches!(body, Body::Link(link) if matches!(link.state, LinkState::Lost { .. }));
        match self.until("the loss of the link", lost).await {
            Body::Link(wattscope::event::Link { state: LinkState::Lost { reason, .. }, .. }) => reason,
            _ => unreachable!(),
        }
    }

    async fn up(&mut self) -> f64 {
        let up = |body: &Body| matches!(body, Body::Link(link) if matches!(link.state, LinkState::Up { .. }));
        match self.until("a link", up).await {
            Body::Link(wattscope::event::Link { state: LinkState::Up { rtt_ns, .. }, .. }) => {
                rtt_ns.unwrap() as f64 / 1e6
            }
            _ => unreachable!(),
        }
    }

    /// Asks the agent to stop, and waits for the end of the stream.
    async fn stop(mut self) {
        self.ask(Command::Stop);
        let end = async { while self.agent.events.recv().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(3), end).await.expect("the stream ends");
    }
}

#[test]
fn a_remote_run_is_measured_and_recorded_like_a_local_one() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let motd = "sh -c 'echo Welcome to gpu-box; printf \"no mail\"; exec \"$@\"' x";
    let line = "run --network squeezenet1.1 --batch 2 --device cpu --seconds 0.3 --json --record x.jsonl";
    let mut command = Process::new(BIN);
    command.args(line.split(' ')).args(["--on", motd, "--far", BIN]);
    let output = command.current_dir(directory.path()).env("XDG_STATE_HOME", directory.path()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{err}");
    assert_eq!((out.lines().count(), err.as_str()), (1, ""), "{out}");
    assert!(out.contains(r#""network":"squeezenet1.1""#) && out.contains(r#""batch":2"#), "{out}");

    let events: Vec<Event> =
        Reader::open(&directory.path().join("x.jsonl")).unwrap().flatten().map(|tagged| tagged.event).collect();
    let headers: Vec<_> =
        events.iter().filter_map(|e| if let Body::Header(header) = &e.body { Some(header) } else { None }).collect();
    assert!(matches!(events[0].body, Body::Header(_)) && headers.len() == 2, "{headers:?}");
    assert!(headers[1].command.contains(&"--record".to_owned()), "the command line as it was given: {headers:?}");
    assert_eq!(headers[0].started, headers[1].started);
    assert!(headers[1].cpus > 0 && headers[0].host == headers[1].host);
    assert!(events.iter().any(|e| matches!(&e.body, Body::Link(link) if link.command == motd)));
    assert!(events.windows(2).all(|pair| pair[0].t <= pair[1].t + 500_000_000), "one clock");
    let engine =
        events.iter().find_map(|e| if let Body::EngineStarted { pid, .. } = e.body { Some(pid) } else { None });
    gone(engine.unwrap() as i32, 2.0);
}

#[test]
fn layers_are_measured_on_one_remote_host() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let layers = |more: &[&str]| {
        let mut command = Process::new(BIN);
        command.args("layers squeezenet1.1 --device cpu --json --far".split(' ')).arg(BIN).args(more);
        command.current_dir(directory.path()).env("XDG_STATE_HOME", directory.path()).output().unwrap()
    };
    let output = layers(&["--on", "env A=1"]);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && err.is_empty(), "{err}");
    let object: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(object["layers"].as_array().is_some_and(|layers| layers[0]["time_ms"].as_f64() > Some(0.0)), "{out}");
    let two = layers(&["--on", "env A=1", "--on", "env B=2"]);
    assert_eq!(two.status.code(), Some(2));
    assert!(String::from_utf8(two.stderr).unwrap().contains("one place at a time"));
}

#[test]
fn a_missing_remote_program_is_reported_before_anything_runs() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    for (more, said) in [
        (vec!["--on", "env A=1", "--far", "/no/wattscope"], "not found at the far end of \"env A=1\""),
        (vec!["--on", "env A=1", "--far", "/no/wattscope"], "'/no/wattscope': No such file or directory"),
        (vec!["--on", "no-such-command"], "\"no-such-command\" was not found on this host"),
        (vec!["--on", "sh -c 'echo no way in >&2; exit 3' x"], "ended (exit code 3): no way in"),
        (vec!["--on", "sh -c 'yes x'"], "is no wattscope: x"),
        (vec!["--on", "env A=1", "--far", BIN, "--device", "cuda:9"], "cuda"),
        (vec!["--on", "ssh a", "--weights", "w.pth"], "w.pth is a file of this host"),
    ] {
        let mut command = Process::new(BIN);
        command.args(["run", "--network", "squeezenet1.1"]).args(&more);
        // The quotes around the name are those of the language.
        command.current_dir(directory.path()).env("XDG_STATE_HOME", directory.path()).env("LC_ALL", "C");
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said) && !output.status.success(), "{more:?}: {text}");
    }
}

#[test]
fn another_remote_version_is_named_with_what_to_do() {
    block_on(async {
        let hello = r#"wattscope-wire {"wire":99,"schema":1,"version":"7.0.0","host":"x","devices":[]}"#;
        let on = format!("sh -c 'echo \"$0\"; cat' '{hello}'");
        let error = Connection::open(&command(&on), |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("wattscope 7.0.0 (wire 99, schema 1)"), "{error}");
        assert!(error.contains(&format!("install {} there, or 7.0.0 here", env!("CARGO_PKG_VERSION"))), "{error}");
    });
}

#[test]
fn a_killed_remote_agent_is_replaced_and_its_runs_are_numbered_on() {
    block_on(async {
        let mut session = Session::start("env A=1");
        session.ask(Command::Run { config: config(2) });
        let engine = session.engine().await;
        let first = session.steady(2).await;
        session.until("a batch that counts", |body| matches!(body, Body::Batches(b) if b.steady)).await;
        kill(status(engine).1, libc::SIGKILL);
        let reason = session.lost().await;
        assert!(reason.contains("SIGKILL"), "{reason}");
        gone(engine, 2.0);
        assert!(session.state.run.is_none() && session.state.results.len() == 1, "what was measured is kept");
        // Requested while there is no link: the newest request counts.
        session.ask(Command::Run { config: config(4) });
        session.ask(Command::Run { config: config(1) });
        let second = session.engine().await;
        let run = session.steady(1).await;
        assert!(run > first && engine != second, "{first} {run}");
        let told =
            |e: &&Event| matches!(&e.body, Body::Notice { level: Level::Info, text } if text.contains("reached again"));
        assert_eq!(session.events.iter().filter(told).count(), 1);
        assert!(!session.events.iter().any(|e| matches!(&e.body, Body::Phase(c) if c.config.batch == 4)));
        session.stop().await;
        gone(second, 2.0);
    });
}

#[test]
fn a_damaged_line_is_detected_and_the_link_is_established_again() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let now = directory.path().join("now");
        let mut session = Session::start(&through(&format!("damage={}", now.display())));
        session.ask(Command::Run { config: config(1) });
        session.steady(1).await;
        std::fs::write(&now, "").unwrap();
        let reason = session.lost().await;
        assert!(reason.contains("damages"), "{reason}");
        session.steady(1).await;
        session.stop().await;
    });
}

#[test]
fn a_silent_link_is_lost_too() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let now = directory.path().join("now");
        let mut session = Session::start(&through(&format!("hang={}", now.display())));
        session.ask(Command::Run { config: config(1) });
        let engine = session.engine().await;
        session.steady(1).await;
        std::fs::write(&now, "").unwrap();
        let reason = session.lost().await;
        assert!(reason.contains("nothing was heard for 5 s"), "{reason}");
        gone(engine, 2.0);
        session.steady(1).await;
        session.stop().await;
    });
}

#[test]
fn a_slow_link_with_delay_loses_no_measurement() {
    block_on(async {
        let mut session = Session::start(&through("rate=20000 delay=100"));
        session.ask(Command::Run { config: config(1) });
        session.steady(1).await;
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            session.until("an event", |_| true).await;
        }
        let trip = session.up().await;
        assert!((200.0..1000.0).contains(&trip), "{trip} ms");
        let steady =
            |e: &Event| if let Body::Batches(b) = &e.body { b.wall_ns.len() as u64 * u64::from(b.steady) } else { 0 };
        let batches: u64 = session.events.iter().map(steady).sum();
        assert_eq!(session.state.run.as_ref().unwrap().steady.batches, batches);
        let newest = session.events.iter().rfind(|e| matches!(e.body, Body::Samples { .. })).unwrap().t;
        let late = session.state.now.saturating_sub(newest) as f64 / 1e9;
        assert!(late < 1.0, "the newest reading is {late} s old");
        assert!(
            !session
                .events
                .iter()
                .any(|e| matches!(e.body, Body::Link(ref l) if matches!(l.state, LinkState::Lost { .. })))
        );
        session.stop().await;
    });
}

#[test]
fn a_pause_stops_the_remote_engine_and_a_stopped_engine_is_not_left_behind() {
    block_on(async {
        let mut session = Session::start("env A=1");
        session.ask(Command::Run { config: config(1) });
        let engine = session.engine().await;
        session.steady(1).await;
        session.ask(Command::Pause { paused: true });
        session.until("the pause", |body| *body == Body::Paused { paused: true }).await;
        // The signal was sent, but a busy system may take a while to stop a process on another processor.
        within(2.0, "the engine is stopped", || status(engine).0 == 'T');
        session.ask(Command::Pause { paused: false });
        session.until("its end", |body| *body == Body::Paused { paused: false }).await;
        session.until("batches", |body| matches!(body, Body::Batches(_))).await;
        session.ask(Command::Pause { paused: true });
        session.until("another", |body| *body == Body::Paused { paused: true }).await;
        kill(status(engine).1, libc::SIGKILL);
        session.lost().await;
        gone(engine, 2.0);
        // The new agent is paused at once.
        session.until("the pause again", |body| *body == Body::Paused { paused: true }).await;
        session.ask(Command::Pause { paused: false });
        session.steady(1).await;
        session.stop().await;
    });
}

#[test]
fn reports_of_a_sweep_need_no_link() {
    block_on(async {
        let mut session = Session::start("false");
        session.lost().await;
        session.ask(Command::EndSweep);
        session.until("the answer", |body| *body == Body::SweepEnded).await;
        session.stop().await;
    });
}

#[test]
fn a_sweep_survives_the_loss_of_its_link() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let line = "sweep --networks squeezenet1.1 --batches 1,2 --device cpu --seconds 0.5 --repeat 1 --order given \
                --cooldown 0s --json -o x.jsonl --on";
    let mut command = Process::new(BIN);
    command.args(line.split_whitespace()).args(["env A=1", "--far", BIN]);
    command.current_dir(directory.path()).env("XDG_STATE_HOME", directory.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut results = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(results.next().unwrap().unwrap().contains(r#""batch":1"#));
    kill(running(child.id() as i32, "agent"), libc::SIGKILL);
    assert!(results.next().unwrap().unwrap().contains(r#""batch":2"#));
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("is lost: ") && said.contains("is reached again"), "{said}");

    let events: Vec<Event> =
        Reader::open(&directory.path().join("x.jsonl")).unwrap().flatten().map(|tagged| tagged.event).collect();
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    let runs: Vec<_> = state.runs.iter().map(|run| (run.result.config.batch, run.repeat)).collect();
    assert_eq!(runs, [(1, 0), (2, 0)], "nothing is lost, and nothing counts twice");
    assert!(state.runs[0].result.run < state.runs[1].result.run);
}

/// `wattscope agent` without a screen: the test speaks the protocol.
struct Server {
    child: Child,
    engine: i32,
}

impl Server {
    /// An agent that measures, and ends after `silence_s` without a ping.
    fn start(silence_s: u32) -> Self {
        let mut child = Process::new(BIN);
        child.arg("agent").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let directory = tempfile::tempdir().unwrap();
        let mut child = child.env("XDG_STATE_HOME", directory.path()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).split(b'\n').map(Result::unwrap);
        assert!(lines.by_ref().any(|line| wire::parse_handshake::<Versions>(&line).is_some()), "a hello");
        let welcome = Welcome {
            versions: Versions::own(),
            period_ns: 50_000_000,
            idle_ns: 0,
            step_back: true,
            memory_limit: None,
            fold: true,
            graph: true,
            last_run: 40,
            silence_s,
            only: None,
            alone: true,
        };
        let stdin = child.stdin.as_mut().unwrap();
        writeln!(stdin, "{}", wire::handshake(&welcome).unwrap()).unwrap();
        stdin.write_all(&wire::frame(&Down::Command(Command::Run { config: config(1) })).unwrap()).unwrap();
        let (mut unpacker, mut bundles, mut engine) = (Unpacker::new().unwrap(), 0, None);
        while engine.is_none() {
            let line = lines.next().expect("an engine");
            let Ok(Frame::Bundle(bundle)) = wire::parse_frame::<Up>(&line) else { continue };
            bundles += 1;
            stdin.write_all(&wire::frame(&Down::Ack(bundles)).unwrap()).unwrap();
            let events = unpacker.unpack(&bundle).unwrap();
            engine = events
                .iter()
                .find_map(|e| if let Body::EngineStarted { pid, .. } = e.body { Some(pid as i32) } else { None });
        }
        thread::spawn(move || lines.for_each(drop));
        Self { child, engine: engine.unwrap() }
    }

    fn ends(&mut self, seconds: f64) {
        within(seconds, "the end of the agent", || self.child.try_wait().unwrap().is_some());
        gone(self.engine, 2.0);
    }
}

#[test]
fn a_remote_agent_and_its_engine_end_when_the_screen_is_gone() {
    let _alone = alone();
    let mut silent = Server::start(2);
    let since = Instant::now();
    silent.ends(6.0);
    assert!(since.elapsed() > Duration::from_millis(1500), "{:?}", since.elapsed());

    let mut hung_up = Server::start(60);
    drop(hung_up.child.stdin.take());
    hung_up.ends(4.0);

    let mut signalled = Server::start(60);
    kill(signalled.child.id() as i32, libc::SIGHUP);
    signalled.ends(4.0);

    let mut killed = Server::start(60);
    kill(killed.child.id() as i32, libc::SIGKILL);
    killed.ends(1.0);
}

#[test]
fn the_screen_shows_the_loss_of_a_link_and_goes_on() {
    let _alone = alone();
    let line = ["--device", "cpu", "--network", "squeezenet1.1", "--on", "env A=1", "--far", BIN];
    let mut terminal = Terminal::start(&line, 36, 150);
    let steady = |s: &str| s.contains("STEADY") && s.contains("kB/s");
    terminal.wait_for("steady", 20.0, steady);
    let engine = running(terminal.pid(), "engine");
    kill(running(terminal.pid(), "agent"), libc::SIGKILL);
    terminal.wait_for("the loss", 5.0, |s| s.contains("LINK LOST") && s.contains("retrying in"));
    gone(engine, 2.0);
    terminal.wait_for("steady again", 20.0, steady);
    let engine = running(terminal.pid(), "engine");
    terminal.press("q");
    assert_eq!(terminal.wait_exit(3.0).exit_code(), 0);
    gone(engine, 2.0);
}

#[test]
fn the_agent_command_explains_itself_in_a_terminal() {
    let mut terminal = Terminal::start(&["agent"], 10, 100);
    terminal.wait_for("a word on it", 5.0, |s| s.contains("--on"));
    assert_eq!(terminal.wait_exit(3.0).exit_code(), 2);
}

/// Faults of a link.
#[derive(Clone, Debug, Default)]
struct Faults {
    /// Delay, ms.
    delay: u64,
    /// Limit, bytes a second; 0 for none.
    rate: u64,
    /// When this file exists, a byte from the remote side is changed and the file is removed.
    damage: Option<PathBuf>,
    /// When this file exists, the remote side is not forwarded any more and the file is removed, so that the next link works.
    hang: Option<PathBuf>,
}

/// Whether the file exists; removes it.
fn due(file: Option<&PathBuf>) -> bool {
    file.is_some_and(|file| std::fs::remove_file(file).is_ok())
}

#[test]
#[ignore = "measures what compression saves of a recording: SESSION=x.jsonl cargo test --test remote saves -- --ignored --nocapture"]
fn what_compression_saves() {
    let Ok(path) = std::env::var("SESSION") else { return };
    let mut events = Reader::open(Path::new(&path)).unwrap().flatten().map(|tagged| tagged.event).peekable();
    let mut packer = wire::Packer::new().unwrap();
    let (mut plain, mut packed, mut seconds) = ([0, 0], [0, 0], [0.0; 2]);
    let begin = events.peek().unwrap().t;
    while let Some(first) = events.peek().map(|event| event.t) {
        // The facts of the networks come in the beginning.
        let late = usize::from(first > begin + 5_000_000_000);
        let until = first + 100_000_000;
        let bundle = std::iter::from_fn(|| events.next_if(|event| event.t <= until)).collect::<Vec<_>>();
        plain[late] += bundle.iter().map(|event| serde_json::to_vec(event).unwrap().len() + 1).sum::<usize>();
        let mut bundle = bundle.into_iter();
        packed[late] += packer.pack(|| bundle.next()).unwrap().len();
        seconds[late] += events.peek().map_or(0.0, |next| next.t.saturating_sub(first) as f64 / 1e9);
    }
    for (late, what) in ["first 5 s", "then"].iter().enumerate() {
        let rate = |bytes: usize| bytes as f64 / 1e3 / seconds[late];
        println!(
            "{what}: {} bytes as lines, {} packed; {:.2} and {:.2} kB/s",
            plain[late],
            packed[late],
            rate(plain[late]),
            rate(packed[late])
        );
    }
}

/// Not a test: the faulty link, which other tests start as a command with the rest of the command line as its argument.
#[test]
#[ignore = "started by the other tests"]
fn link() {
    let Ok(settings) = std::env::var("LINK") else { return };
    let mut faults = Faults::default();
    for (name, value) in settings.split(' ').filter_map(|setting| setting.split_once('=')) {
        match name {
            "delay" => faults.delay = value.parse().unwrap(),
            "rate" => faults.rate = value.parse().unwrap(),
            "damage" => faults.damage = Some(value.into()),
            "hang" => faults.hang = Some(value.into()),
            _ => panic!("{name}"),
        }
    }
    let stdout = take_stdout();
    let command: Vec<String> = std::env::args().skip_while(|arg| arg != "--nocapture").skip(1).collect();
    let mut child = Process::new(&command[0]);
    let mut child = child.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let down = Faults { damage: None, hang: None, ..faults };
    thread::spawn(move || pump(std::io::stdin(), to, down));
    pump(from, stdout, faults);
    std::process::exit(child.wait().unwrap().code().unwrap_or(1));
}

/// Takes stdout for the link: the test harness prints a line of its own there after a minute.
fn take_stdout() -> File {
    let stdout = std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let nowhere = File::options().write(true).open("/dev/null").unwrap();
    // SAFETY: both descriptors are open.
    assert_eq!(unsafe { libc::dup2(nowhere.as_raw_fd(), libc::STDOUT_FILENO) }, libc::STDOUT_FILENO);
    File::from(stdout)
}

fn pump(mut from: impl Read + Send + 'static, mut to: impl Write, faults: Faults) {
    let (sender, receiver) = sync_channel::<(Instant, Vec<u8>)>(64);
    thread::spawn(move || {
        let mut bytes = vec![0; 1024];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            if due(faults.damage.as_ref()) {
                bytes[n / 2] ^= 1;
            }
            if due(faults.hang.as_ref()) {
                loop {
                    thread::park();
                }
            }
            if sender.send((Instant::now() + Duration::from_millis(faults.delay), bytes[..n].to_vec())).is_err() {
                return;
            }
        }
    });
    while let Ok((due, bytes)) = receiver.recv() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
            return;
        }
        if faults.rate > 0 {
            thread::sleep(Duration::from_secs_f64(bytes.len() as f64 / faults.rate as f64));
        }
    }
}
