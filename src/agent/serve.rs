//! The far side: the agent of this host with its two channels on stdin and stdout, for a screen somewhere else.
//!
//! It ends, and its engine with it, as soon as nobody listens: at the end of stdin, when stdout breaks, when it is told to
//! by a signal, and when no ping came for some seconds, as when the other side vanished without a word. A link that is slow
//! never stretches a batch: what waits for it is joined and thinned out (`Backlog`), and no more is put into it than the
//! screen acknowledges soon (`Window`), so that what arrives is never old.

use super::{
    AgentHandle, Options,
    backlog::{Backlog, urgent},
    window::Window,
    wire::{self, Down, Frame, Hello, Lines, MOST_LINE, Packer, Up, Versions, Welcome},
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

/// Time without a ping while the engine is paused, s: the screen's process is stopped then, too, and pings nobody. Nothing
/// burns, but a device's memory is held.
const PAUSED_SILENCE: u32 = 600;

/// How long the screen may take to answer the hello: it may have a session to read first.
const WELCOME: Duration = Duration::from_secs(60);

/// How long what is not urgent waits for more of its kind.
const BUNDLING: Duration = Duration::from_millis(100);

/// How long the agent may take to stop its engine.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long the last words may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Time between two complaints about a slow link.
const COMPLAINTS: Duration = Duration::from_secs(10);

/// What came from the screen, or did not.
enum Heard {
    Line(Vec<u8>),
    End(&'static str),
}

/// Serves the agent of this host until nobody listens any more; gives back why that was. How the agent works is told by
/// the other side, but for what only this host knows: `own` says that.
///
/// # Errors
/// If the other side does not answer, or the pipes can't be had.
pub async fn serve(own: Options) -> io::Result<String> {
    let clock = Clock::start();
    let out = Out::open(take_stdout());
    let (heard, mut from_screen) = unbounded_channel();
    thread::Builder::new().name("stdin".into()).spawn(move || listen(io::stdin().lock(), &heard))?;
    // Asking a driver for its devices can take a second.
    let devices = tokio::task::spawn_blocking(device::enumerate).await.unwrap_or_default();
    let hello = Hello { versions: Versions::own(), host: host::name(), devices };
    // The end of a line that a shell left open.
    out.write(format!("\n{}\n", wire::introduce(&hello)?).into_bytes());
    let welcome = timeout(WELCOME, welcome(&mut from_screen)).await;
    let welcome = welcome.map_err(|_| io::Error::other("nobody answered the hello"))??;
    let agent = super::start(options(own, &welcome), clock);
    let mut far = Far {
        clock,
        agent,
        out,
        packer: Packer::new()?,
        backlog: Backlog::default(),
        due: None,
        window: Window::default(),
        silent: 0,
        silence: welcome.silence_s,
        paused: false,
        complained: None,
    };
    let why = far.serve(&mut from_screen).await?;
    tracing::info!("the far end ends: {why}");
    far.end(&why).await?;
    Ok(why)
}

fn options(own: Options, welcome: &Welcome) -> Options {
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
        ..own
    }
}

/// Waits for the answer to the hello.
async fn welcome(from_screen: &mut UnboundedReceiver<Heard>) -> io::Result<Welcome> {
    loop {
        match from_screen.recv().await {
            Some(Heard::Line(line)) => match wire::introduced::<Welcome>(&line) {
                Some(welcome) => return welcome.map_err(io::Error::other),
                None => tracing::debug!("not a welcome: {}", String::from_utf8_lossy(&line)),
            },
            Some(Heard::End(why)) => return Err(io::Error::other(why)),
            None => return Err(io::Error::other("stdin could not be read")),
        }
    }
}

/// Reads lines until there are no more.
fn listen(mut input: impl Read, heard: &UnboundedSender<Heard>) {
    let mut lines = Lines::default();
    let mut bytes = vec![0; 1 << 14];
    loop {
        match input.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(n) => lines.push(&bytes[..n]),
        }
        while let Some(line) = lines.line() {
            let Ok(line) = line else {
                let _ = heard.send(Heard::End("the screen sent a line without an end"));
                return;
            };
            if heard.send(Heard::Line(line.to_vec())).is_err() {
                return;
            }
        }
    }
    let _ = heard.send(Heard::End("the screen let go"));
}

/// Stdout, written by a thread of its own: one that is full must not keep the agent waiting.
struct Out {
    lines: Option<Sender<Vec<u8>>>,
    /// Ends with the thread.
    ended: UnboundedReceiver<()>,
}

impl Out {
    fn open(pipe: File) -> Self {
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
            // A thread that is gone has ended [`Self::ended`].
            let _ = lines.send(line);
        }
    }
}

/// The agent and its link.
struct Far {
    clock: Clock,
    agent: AgentHandle,
    out: Out,
    packer: Packer,
    backlog: Backlog,
    /// When what waits is sent.
    due: Option<Instant>,
    window: Window,
    /// Seconds since the last ping.
    silent: u32,
    /// Seconds that may pass without one.
    silence: u32,
    paused: bool,
    complained: Option<Instant>,
}

impl Far {
    /// Serves until there is a reason not to.
    async fn serve(&mut self, from_screen: &mut UnboundedReceiver<Heard>) -> io::Result<String> {
        let mut signals =
            [SignalKind::hangup(), SignalKind::terminate(), SignalKind::interrupt()].map(|kind| signal(kind).ok());
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.due.filter(|_| self.window.has_room());
            let [hangup, terminate, interrupt] = &mut signals;
            tokio::select! {
                biased;
                heard = from_screen.recv() => match heard {
                    Some(Heard::Line(line)) => if let Some(why) = self.heard(&line)? { return Ok(why) },
                    Some(Heard::End(why)) => return Ok(why.to_owned()),
                    None => return Ok("stdin could not be read".to_owned()),
                },
                _ = self.out.ended.recv() => return Ok("nobody reads what is said".to_owned()),
                () = caught(hangup) => return Ok("its session was hung up (SIGHUP)".to_owned()),
                () = caught(terminate) => return Ok("it was told to end (SIGTERM)".to_owned()),
                () = caught(interrupt) => return Ok("it was interrupted (SIGINT)".to_owned()),
                _ = second.tick() => if let Some(why) = self.watch() { return Ok(why) },
                () = until(due) => self.send()?,
                event = self.agent.events.recv() => match event {
                    Some(event) => self.happened(event),
                    None => return Ok("its agent ended".to_owned()),
                },
            }
        }
    }

    /// Counts the seconds in which nobody pinged: by ticks, for a process that was stopped has heard nothing either.
    fn watch(&mut self) -> Option<String> {
        self.silent += 1;
        let limit = if self.paused { PAUSED_SILENCE } else { self.silence };
        (self.silent > limit).then(|| format!("the screen was silent for {limit} s"))
    }

    /// Does what a line says; gives back why to end, where it says that.
    fn heard(&mut self, line: &[u8]) -> io::Result<Option<String>> {
        let frame = match wire::open(line) {
            Ok(frame) => frame,
            Err(error) => return Ok(Some(format!("the link damages what passes through it: {error}"))),
        };
        match frame {
            Frame::One(Down::Ping(n)) => {
                self.silent = 0;
                self.out.write(wire::frame(&Up::Pong { n, t: self.clock.now() })?);
            }
            Frame::One(Down::Ack(bundles)) => self.window.arrived(bundles, Instant::now()),
            Frame::One(Down::Command(Command::Stop)) => return Ok(Some("it was asked to stop".to_owned())),
            Frame::One(Down::Command(command)) => {
                if let Command::Pause { paused } = command {
                    (self.paused, self.silent) = (paused, 0);
                }
                // An agent that is gone ends its events.
                let _ = self.agent.commands.send(command);
            }
            Frame::Bundle(_) | Frame::Unknown => tracing::debug!("a frame of an unknown kind"),
        }
        Ok(None)
    }

    fn happened(&mut self, event: Event) {
        let at = Instant::now() + if urgent(&event.body) { Duration::ZERO } else { BUNDLING };
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
        self.backlog.push(event);
    }

    /// Sends a bundle of what waits.
    fn send(&mut self) -> io::Result<()> {
        self.complain();
        let line = self.packer.pack(|| self.backlog.pop())?;
        debug_assert!(line.len() <= MOST_LINE);
        self.window.sent(line.len(), Instant::now());
        self.out.write(line);
        self.due = (!self.backlog.is_empty()).then(Instant::now);
        Ok(())
    }

    /// Says what was left out because the link is slow, though not all the time.
    fn complain(&mut self) {
        if self.complained.is_some_and(|at| at.elapsed() < COMPLAINTS) {
            return;
        }
        let dropped = self.backlog.dropped();
        if dropped > 0 {
            self.complained = Some(Instant::now());
            let text = format!("the link is too slow: {dropped} readings of sensors were left out");
            self.backlog.push(Event { t: self.clock.now(), body: Body::Notice { level: Level::Warning, text } });
        }
    }

    /// Stops the engine, and says the last things that happened and why it ends to whoever may still listen.
    async fn end(mut self, why: &str) -> io::Result<()> {
        let _ = self.agent.commands.send(Command::Stop);
        let drained = timeout(FAREWELL, async {
            while let Some(event) = self.agent.events.recv().await {
                self.backlog.push(event);
            }
        });
        if drained.await.is_err() {
            tracing::warn!("the agent did not stop within {FAREWELL:?}");
        }
        while !self.backlog.is_empty() {
            let line = self.packer.pack(|| self.backlog.pop())?;
            self.out.write(line);
        }
        self.out.write(wire::frame(&Up::Bye(why.to_owned()))?);
        self.out.lines = None;
        // Nobody may be reading: then it ends without.
        let _ = timeout(LAST_WORDS, self.out.ended.recv()).await;
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
