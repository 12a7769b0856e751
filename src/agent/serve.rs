//! The remote side of a link: the agent of this host, controlled through stdin and stdout by a screen on another host.
//!
//! It ends, and its engine with it, as soon as the other side is gone: at the end of stdin, when stdout is closed, on a signal,
//! and when no ping has arrived for some seconds. A slow link never delays a batch: events are queued (`Backlog`, which merges
//! and drops), and only as many bytes are in flight as are acknowledged soon (`Window`), so that events arrive fresh.

use super::{
    backlog::{Backlog, is_urgent},
    handle::AgentHandle,
    local,
    options::Options,
    window::Window,
    wire::{self, Down, Frame, Hello, LineBuffer, MAX_LINE_BYTES, Packer, Up, Versions, Welcome},
};
use crate::{
    backend::device,
    clock::Clock,
    engine::process::take_stdout,
    event::{Body, Command, Event, Level},
    host,
};
use std::{
    fs::File,
    io::{self, Read, Write},
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{MissedTickBehavior, interval, sleep_until, timeout},
};

/// Limit of seconds without a ping while the engine is paused: then the screen's process may be suspended too and sends
/// none. No power is drawn meanwhile, but device memory is held.
const PAUSED_SILENCE_S: u32 = 600;

/// How long the screen may take to answer the hello: it may have to read a session first.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(60);

/// How long events that are not urgent wait for more events, to be sent as one bundle.
const BUNDLE_DELAY: Duration = Duration::from_millis(100);

/// How long the agent may take to stop its engine.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long writing the last lines may take.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Least time between two notices about a slow link.
const NOTICE_PERIOD: Duration = Duration::from_secs(10);

/// Input from the screen.
enum Input {
    Line(Vec<u8>),
    /// There is no more: why.
    End(&'static str),
}

/// Serves the agent of this host until the other side is gone, and returns how that was noticed. The other side sends how
/// the agent works; `local` has the options that depend on this host.
///
/// # Errors
/// If the other side does not answer, or a pipe fails.
pub async fn serve(local: Options) -> io::Result<String> {
    let clock = Clock::start();
    let out = StdoutWriter::start(take_stdout());
    let (input, mut from_screen) = unbounded_channel();
    thread::Builder::new().name("stdin".into()).spawn(move || read_lines(io::stdin().lock(), &input))?;
    // Asking a driver for its devices can take a second.
    let devices = tokio::task::spawn_blocking(device::enumerate).await.unwrap_or_default();
    let hello = Hello { versions: Versions::own(), host: host::name(), devices };
    // The first line end closes a line that a shell may have left open.
    out.write(format!("\n{}\n", wire::handshake(&hello)?).into_bytes());
    let welcome = timeout(WELCOME_TIMEOUT, welcome(&mut from_screen)).await;
    let welcome = welcome.map_err(|_| io::Error::other("nobody answered the hello"))??;
    let agent = local::start(options(local, &welcome), clock);
    let mut server = Server {
        clock,
        agent,
        out,
        packer: Packer::new()?,
        backlog: Backlog::default(),
        due: None,
        window: Window::default(),
        silent_s: 0,
        max_silent_s: welcome.silence_s,
        paused: false,
        noticed: None,
    };
    let why = server.serve(&mut from_screen).await?;
    tracing::info!("the far end ends: {why}");
    server.end(&why).await?;
    Ok(why)
}

fn options(local: Options, welcome: &Welcome) -> Options {
    Options {
        period: Duration::from_nanos(welcome.period_ns),
        idle: Duration::from_nanos(welcome.idle_ns),
        step_back: welcome.step_back,
        memory_limit: welcome.memory_limit,
        fold: welcome.fold,
        graph: welcome.graph,
        last_run: welcome.last_run,
        only: welcome.only.clone(),
        alone: welcome.alone,
        ..local
    }
}

/// Waits for the answer to the hello.
async fn welcome(from_screen: &mut UnboundedReceiver<Input>) -> io::Result<Welcome> {
    loop {
        match from_screen.recv().await {
            Some(Input::Line(line)) => match wire::parse_handshake::<Welcome>(&line) {
                Some(welcome) => return welcome.map_err(io::Error::other),
                None => tracing::debug!("not a welcome: {}", String::from_utf8_lossy(&line)),
            },
            Some(Input::End(why)) => return Err(io::Error::other(why)),
            None => return Err(io::Error::other("stdin could not be read")),
        }
    }
}

/// Reads lines until the end.
fn read_lines(mut stdin: impl Read, input: &UnboundedSender<Input>) {
    let mut lines = LineBuffer::default();
    let mut bytes = vec![0; 1 << 14];
    loop {
        match stdin.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(n) => lines.push(&bytes[..n]),
        }
        while let Some(line) = lines.next_line() {
            let Ok(line) = line else {
                let _ = input.send(Input::End("the screen sent a line without an end"));
                return;
            };
            if input.send(Input::Line(line.to_vec())).is_err() {
                return;
            }
        }
    }
    let _ = input.send(Input::End("the screen let go"));
}

/// Writes stdout from a thread of its own, because a full pipe must not block the agent.
struct StdoutWriter {
    lines: Option<Sender<Vec<u8>>>,
    /// Closed when the thread has ended.
    ended: UnboundedReceiver<()>,
}

impl StdoutWriter {
    fn start(pipe: File) -> Self {
        let (lines, waiting) = channel::<Vec<u8>>();
        let (end, ended) = unbounded_channel();
        thread::spawn(move || {
            let mut pipe = pipe;
            while let Ok(line) = waiting.recv() {
                if pipe.write_all(&line).is_err() {
                    break;
                }
            }
            drop(end);
        });
        Self { lines: Some(lines), ended }
    }

    fn write(&self, line: Vec<u8>) {
        if let Some(lines) = &self.lines {
            // A thread that has ended has closed [`Self::ended`].
            let _ = lines.send(line);
        }
    }
}

/// The agent and its link.
struct Server {
    clock: Clock,
    agent: AgentHandle,
    out: StdoutWriter,
    packer: Packer,
    backlog: Backlog,
    /// When the backlog is sent.
    due: Option<Instant>,
    window: Window,
    /// Seconds since the last ping.
    silent_s: u32,
    /// Seconds without a ping after which it ends.
    max_silent_s: u32,
    paused: bool,
    /// When the last notice about a slow link was sent.
    noticed: Option<Instant>,
}

impl Server {
    /// Serves until there is a reason to end, and returns it.
    async fn serve(&mut self, from_screen: &mut UnboundedReceiver<Input>) -> io::Result<String> {
        let mut signals =
            [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.due.filter(|_| self.window.has_room());
            let [hangup, terminate, interrupt] = &mut signals;
            tokio::select! {
                biased;
                input = from_screen.recv() => match input {
                    Some(Input::Line(line)) => if let Some(why) = self.on_line(&line)? { return Ok(why) },
                    Some(Input::End(why)) => return Ok(why.to_owned()),
                    None => return Ok("stdin could not be read".to_owned()),
                },
                _ = self.out.ended.recv() => return Ok("nobody reads what is said".to_owned()),
                () = caught(hangup) => return Ok("its session was hung up (SIGHUP)".to_owned()),
                () = caught(terminate) => return Ok("it was told to end (SIGTERM)".to_owned()),
                () = caught(interrupt) => return Ok("it was interrupted (SIGINT)".to_owned()),
                _ = second.tick() => if let Some(why) = self.on_second() { return Ok(why) },
                () = until(due) => self.send()?,
                event = self.agent.events.recv() => match event {
                    Some(event) => self.queue(event),
                    None => return Ok("its agent ended".to_owned()),
                },
            }
        }
    }

    /// Counts the seconds without a ping. They are ticks, not wall time: a process that was suspended could not receive any.
    fn on_second(&mut self) -> Option<String> {
        self.silent_s += 1;
        let limit = if self.paused { PAUSED_SILENCE_S } else { self.max_silent_s };
        (self.silent_s > limit).then(|| format!("the screen was silent for {limit} s"))
    }

    /// Processes a line; returns the reason to end, if there is one.
    fn on_line(&mut self, line: &[u8]) -> io::Result<Option<String>> {
        let frame = match wire::parse_frame(line) {
            Ok(frame) => frame,
            Err(error) => return Ok(Some(format!("the link damages what passes through it: {error}"))),
        };
        match frame {
            Frame::One(Down::Ping(n)) => {
                self.silent_s = 0;
                self.out.write(wire::frame(&Up::Pong { n, t: self.clock.now() })?);
            }
            Frame::One(Down::Ack(bundles)) => self.window.acknowledge(bundles, Instant::now()),
            Frame::One(Down::Command(Command::Stop)) => return Ok(Some("it was asked to stop".to_owned())),
            Frame::One(Down::Command(command)) => {
                if let Command::Pause { paused } = command {
                    (self.paused, self.silent_s) = (paused, 0);
                }
                // An agent that has ended has closed its events, which ends this loop.
                let _ = self.agent.commands.send(command);
            }
            Frame::Bundle(_) | Frame::Unknown => tracing::debug!("a frame of an unknown kind"),
        }
        Ok(None)
    }

    fn queue(&mut self, event: Event) {
        let at = Instant::now() + if is_urgent(&event.body) { Duration::ZERO } else { BUNDLE_DELAY };
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
        self.backlog.push(event);
    }

    /// Sends a bundle.
    fn send(&mut self) -> io::Result<()> {
        self.report_dropped();
        let line = self.packer.pack(|| self.backlog.pop())?;
        debug_assert!(line.len() <= MAX_LINE_BYTES);
        self.window.sent(line.len(), Instant::now());
        self.out.write(line);
        self.due = (!self.backlog.is_empty()).then(Instant::now);
        Ok(())
    }

    /// Reports readings that were dropped, at most once every [`NOTICE_PERIOD`].
    fn report_dropped(&mut self) {
        if self.noticed.is_some_and(|at| at.elapsed() < NOTICE_PERIOD) {
            return;
        }
        let dropped = self.backlog.dropped();
        if dropped > 0 {
            self.noticed = Some(Instant::now());
            let text = format!("the link is too slow: {dropped} readings of sensors were left out");
            self.backlog.push(Event { t: self.clock.now(), body: Body::Notice { level: Level::Warning, text } });
        }
    }

    /// Stops the engine, then sends the last events and the reason for the end, in case the other side still reads.
    async fn end(mut self, why: &str) -> io::Result<()> {
        let _ = self.agent.commands.send(Command::Stop);
        let drained = timeout(STOP_TIMEOUT, async {
            while let Some(event) = self.agent.events.recv().await {
                self.backlog.push(event);
            }
        });
        if drained.await.is_err() {
            tracing::warn!("the agent did not stop within {STOP_TIMEOUT:?}");
        }
        while !self.backlog.is_empty() {
            let line = self.packer.pack(|| self.backlog.pop())?;
            self.out.write(line);
        }
        self.out.write(wire::frame(&Up::Bye(why.to_owned()))?);
        self.out.lines = None;
        // If the other side does not read, the lines are lost.
        let _ = timeout(FLUSH_TIMEOUT, self.out.ended.recv()).await;
        Ok(())
    }
}

async fn caught(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
