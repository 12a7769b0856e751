//! The task behind the handle of a remote agent: connect, talk, wait, connect again.
//!
//! What a sweep reports about itself (its plan, its steps) is answered here, because it does not depend on a link.

use super::{
    command::RemoteCommand,
    connection::{Connection, every},
    error::ConnectError,
    link::Link,
    process::RemoteProcess,
    requests::LastRequests,
};
use crate::{
    agent::{
        handle::AgentHandle,
        header,
        options::Options,
        wire::{self, Down, Frame, Up, Versions, Welcome, WireError},
    },
    clock::Clock,
    event::{self, Body, Command, Event, Header, Level, LinkState, Nanos},
    host,
};
use std::{
    io, mem,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{sleep_until, timeout},
};

/// Time between two pings, and between two reports on the link.
const PING: Duration = Duration::from_secs(1);

/// Ticks of [`PING`] without a byte from the other side after which the link is lost.
const MAX_SILENT_TICKS: u32 = 5;

/// Seconds without a ping after which the remote agent ends.
const REMOTE_SILENCE_S: u32 = 10;

/// Time to the first attempt after a loss. It doubles with each further attempt, up to [`MAX_RETRY_DELAY`].
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Longest time between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// After a link that was up for this long, the backoff starts anew.
const STABLE: Duration = Duration::from_secs(10);

/// How long the remote agent may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How long commands without a user in front of them try to reach a lost host again: longer than a network takes to restart,
/// and short enough for a script to end.
pub const RETRY_LIMIT: Duration = Duration::from_secs(600);

/// Starts an agent on a remote host on the current tokio runtime, over an open connection or a new one. Options about files
/// of this host have no effect over there. `retry_limit`: for how long a lost host is tried again; without one for as long
/// as the handle is held.
///
/// The first event is a header that knows little; the remote agent's own header follows.
pub fn start(
    remote: RemoteCommand,
    connection: Option<Connection>,
    options: Options,
    clock: Clock,
    retry_limit: Option<Duration>,
) -> AgentHandle {
    let (commands, from_user) = unbounded_channel();
    let (to_user, events) = unbounded_channel();
    let zero = jiff::SignedDuration::from_nanos(clock.now() as i64);
    let started = jiff::Timestamp::now().checked_sub(zero).map(|zero| zero.to_string()).unwrap_or_default();
    let agent = RemoteAgent {
        requests: LastRequests::new(options.last_run),
        host: connection.as_ref().map(|connection| connection.hello.host.clone()),
        remote,
        options,
        clock,
        started,
        retry_limit,
        events: to_user,
        commands: from_user,
    };
    tokio::spawn(agent.run(connection));
    AgentHandle { commands, events }
}

/// Why an established link is lost.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    /// The command's pipes have closed.
    #[error("{0}")]
    Ended(String),
    /// Nothing arrived.
    #[error("nothing was heard for {MAX_SILENT_TICKS} s")]
    Silent,
    /// A line is not what was sent.
    #[error("the link damages what passes through it: {0}")]
    Damaged(String),
    /// Packing or a pipe failed on this side.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<WireError> for LinkError {
    fn from(error: WireError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// The handle was dropped, or [`Command::Stop`] came.
#[derive(Debug)]
struct Stopped;

struct RemoteAgent {
    remote: RemoteCommand,
    options: Options,
    clock: Clock,
    /// Wall clock at the session's zero.
    started: String,
    retry_limit: Option<Duration>,
    events: UnboundedSender<Event>,
    commands: UnboundedReceiver<Command>,
    requests: LastRequests,
    host: Option<String>,
}

impl RemoteAgent {
    async fn run(mut self, connection: Option<Connection>) {
        let header = Header {
            started: self.started.clone(),
            host: self.host.clone().unwrap_or_default(),
            ..header::remote(self.options.fold)
        };
        self.emit(Body::Header(header));
        // However it ends, dropping `self` ends the stream.
        let _ = self.keep_connected(connection).await;
    }

    /// Keeps the link up; returns when the user stops it or the retry limit is reached.
    async fn keep_connected(&mut self, mut connection: Option<Connection>) -> Result<(), Stopped> {
        let (mut delay, mut down_since) = (RETRY_DELAY, None::<Instant>);
        loop {
            let connected = match connection.take() {
                Some(connection) => Ok(connection),
                None => self.connect().await?,
            };
            let reason = match connected {
                Ok(connection) => {
                    let began = Instant::now();
                    if let Some(since) = down_since {
                        let host = &connection.hello.host;
                        let text = format!("{host} is reached again, after {:.0} s", since.elapsed().as_secs_f64());
                        self.emit(Body::Notice { level: Level::Info, text });
                    }
                    let error = self.talk(connection).await?.to_string();
                    let text = format!("the link to {} is lost: {error}", self.host.as_deref().unwrap_or_default());
                    self.emit(Body::Notice { level: Level::Warning, text });
                    if began.elapsed() >= STABLE {
                        (delay, down_since) = (RETRY_DELAY, None);
                    }
                    error
                }
                Err(error) => error.to_string(),
            };
            tracing::warn!("\"{}\": {reason}", self.remote.on);
            let since = *down_since.get_or_insert_with(Instant::now);
            if self.retry_limit.is_some_and(|limit| since.elapsed() + delay >= limit) {
                self.emit_link(LinkState::Lost { reason, retry_in_s: None });
                return Ok(());
            }
            self.wait(delay, &reason).await?;
            delay = (delay * 2).min(MAX_RETRY_DELAY);
        }
    }

    /// Starts the command and waits for the hello; requests that come meanwhile are kept.
    async fn connect(&mut self) -> Result<Result<Connection, ConnectError>, Stopped> {
        let mut process = match RemoteProcess::start(&self.remote) {
            Ok(process) => process,
            Err(error) => return Ok(Err(error)),
        };
        let stderr = process.stderr.clone();
        let mut second = every(PING);
        let hello = {
            let mut hello = pin!(process.hello());
            loop {
                tokio::select! {
                    biased;
                    command = self.commands.recv() => { self.keep(command)?; }
                    hello = &mut hello => break hello,
                    _ = second.tick() => self.emit_link(LinkState::Connecting { said: stderr.last() }),
                }
            }
        };
        Ok(hello.map(|hello| Connection { process, hello }))
    }

    /// Waits for the next attempt, or until a run is requested.
    async fn wait(&mut self, delay: Duration, reason: &str) -> Result<(), Stopped> {
        let until = Instant::now() + delay;
        let mut second = every(PING);
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => if self.keep(command)? { return Ok(()) },
                () = sleep_until(until.into()) => return Ok(()),
                _ = second.tick() => {
                    let left = until.saturating_duration_since(Instant::now()).as_secs_f64();
                    let retry_in_s = Some((left * 10.0).round() / 10.0);
                    self.emit_link(LinkState::Lost { reason: reason.to_owned(), retry_in_s });
                }
            }
        }
    }

    /// Keeps a command that comes while there is no link. Returns whether it requests a run.
    fn keep(&mut self, command: Option<Command>) -> Result<bool, Stopped> {
        let command = command.filter(|command| *command != Command::Stop).ok_or(Stopped)?;
        self.requests.on_command(&command);
        let runs = matches!(command, Command::Run { .. });
        // There is no engine that a pause could stop, so the pause is in force at once.
        if let Some(Command::Pause { paused }) = self.answer(command) {
            self.emit(Body::Paused { paused });
        }
        Ok(runs)
    }

    /// Answers what a sweep reports about itself; returns any other command.
    fn answer(&self, command: Command) -> Option<Command> {
        match command {
            Command::Plan { plan } => self.emit(Body::Plan(plan)),
            Command::StepDone { step, outcome } => self.emit(Body::StepDone { step, outcome }),
            Command::EndSweep => self.emit(Body::SweepEnded),
            command => return Some(command),
        }
        None
    }

    fn emit(&self, body: Body) {
        // If nobody receives events, the command channel is closed too, and that ends this task.
        let _ = self.events.send(Event { t: self.clock.now(), body });
    }

    fn emit_link(&self, state: LinkState) {
        self.emit(Body::Link(event::Link { command: self.remote.on.clone(), host: self.host.clone(), state }));
    }

    fn welcome(&self) -> Welcome {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Welcome {
            versions: Versions::own(),
            period_ns: nanos(self.options.period),
            idle_ns: nanos(self.options.idle),
            step_back: self.options.step_back,
            memory_limit: self.options.memory_limit,
            fold: self.options.fold,
            graph: self.options.graph,
            last_run: self.requests.last_run,
            silence_s: REMOTE_SILENCE_S,
            only: self.options.only.clone(),
            alone: self.options.alone,
        }
    }

    /// Talks to the remote agent until the link is lost.
    async fn talk(&mut self, Connection { mut process, hello }: Connection) -> Result<LinkError, Stopped> {
        self.host = Some(hello.host);
        let mut link = match process.take_stdin().map_or_else(|| Err(io::Error::other("no pipe")), Link::new) {
            Ok(link) => link,
            Err(error) => return Ok(error.into()),
        };
        if let Err(error) = self.begin(&mut link) {
            return Ok(error.into());
        }
        let mut second = every(PING);
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let Some(command) = command.filter(|command| *command != Command::Stop) else {
                        self.stop(process, link).await;
                        return Err(Stopped);
                    };
                    self.requests.on_command(&command);
                    if let Some(command) = self.answer(command) {
                        link.send(&Down::Command(command));
                    }
                }
                more = process.read() => {
                    if !more {
                        let goodbye = link.goodbye.map(|why| format!("the far end has ended: {why}"));
                        return Ok(LinkError::Ended(match goodbye {
                            Some(goodbye) => goodbye,
                            None => process.into_reason().await,
                        }));
                    }
                    link.silent_ticks = 0;
                    if let Err(error) = self.receive(&mut process, &mut link) {
                        return Ok(error);
                    }
                }
                _ = second.tick() => {
                    link.silent_ticks += 1;
                    if link.silent_ticks > MAX_SILENT_TICKS {
                        return Ok(LinkError::Silent);
                    }
                    link.ping(self.clock.now());
                    link.count(process.received);
                    if link.offset.is_known() {
                        self.emit_link(link.state());
                    }
                }
            }
        }
    }

    /// Answers the hello, then pings and repeats the last requests.
    fn begin(&self, link: &mut Link) -> io::Result<()> {
        link.write((wire::handshake(&self.welcome())? + "\n").into_bytes());
        link.ping(self.clock.now());
        self.requests.commands().into_iter().for_each(|command| link.send(&Down::Command(command)));
        Ok(())
    }

    /// Processes the lines that have arrived.
    fn receive(&mut self, process: &mut RemoteProcess, link: &mut Link) -> Result<(), LinkError> {
        let received = process.received;
        while let Some(line) = process.lines.next_line() {
            match wire::parse_frame(line?)? {
                Frame::One(Up::Pong { n, t }) => self.on_pong(link, n, t, received),
                Frame::One(Up::Bye(why)) => link.goodbye = Some(why),
                Frame::Bundle(bundle) => {
                    link.held.extend(link.unpacker.unpack(&bundle)?);
                    link.bundles += 1;
                    link.send(&Down::Ack(link.bundles));
                    self.forward(link);
                }
                Frame::Unknown => tracing::debug!("a frame of an unknown kind"),
            }
        }
        Ok(())
    }

    fn on_pong(&mut self, link: &mut Link, n: u64, remote: Nanos, received: u64) {
        let was_known = link.offset.is_known();
        link.pong(n, remote, self.clock.now());
        if !was_known && link.offset.is_known() {
            link.count(received);
            self.emit_link(link.state());
            self.forward(link);
        }
    }

    /// Forwards events on this session's clock, once the clock offset is known.
    fn forward(&mut self, link: &mut Link) {
        if !link.offset.is_known() {
            return;
        }
        let now = self.clock.now();
        for Event { t, mut body } in mem::take(&mut link.held) {
            if let Body::Header(header) = &mut body {
                header.started.clone_from(&self.started);
                header.command = host::command_line();
            }
            self.requests.on_event(&body);
            let _ = self.events.send(Event { t: link.offset.localize(t, now), body });
        }
    }

    /// Stops the remote agent and forwards its last events.
    async fn stop(&mut self, mut process: RemoteProcess, mut link: Link) {
        link.send(&Down::Command(Command::Stop));
        link.close();
        let drained = async {
            while process.read().await {
                if self.receive(&mut process, &mut link).is_err() {
                    break;
                }
            }
        };
        if timeout(STOP_TIMEOUT, drained).await.is_err() {
            tracing::warn!("the far end did not end within {STOP_TIMEOUT:?}");
        }
        process.end().await;
    }
}
