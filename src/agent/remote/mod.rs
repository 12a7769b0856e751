//! An agent at the far end of any command that gives stdin and stdout: `ssh gpu-box`, `srun --gres=gpu:1`,
//! `kubectl exec -i pod --`.
//!
//! The command is started with `wattscope agent` behind it, through a shell, and the two sides talk as [`wire`] says. Times
//! of the far clock are put on this session's. A link that is lost is said in the stream and tried again, ever more seldom;
//! the far engine has ended by itself by then ([`serve`](super::serve)), so another agent takes over, whose runs are numbered on, and what was
//! wanted last is asked of it again. What a sweep says of itself is answered here: it does not depend on a link.

mod command;
mod time;

pub use command::ConnectError;

use super::{
    AgentHandle, Options, header,
    wire::{self, Down, Frame, Hello, Unpacker, Up, Versions, Welcome, WireError},
};
use crate::{
    clock::Clock,
    event::{Body, Command, Config, DeviceInfo, Event, Header, Level, Link, LinkState, Nanos, RunId},
};
use command::FarProcess;
use std::{
    collections::VecDeque,
    io, mem,
    pin::pin,
    time::{Duration, Instant},
};
use time::Offset;
use tokio::{
    io::AsyncWriteExt,
    process::ChildStdin,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Interval, MissedTickBehavior, interval, sleep_until, timeout},
};

/// Pings follow one another at this distance, and so does what is told of the link.
const PING: Duration = Duration::from_secs(1);

/// Pings after which a link on which nothing arrives is lost.
const SILENCE: u32 = 5;

/// Seconds without a ping after which the far end takes it that nobody listens.
const FAR_SILENCE: u32 = 10;

/// Pings at the beginning that don't wait for one another's second: the clock is to be known well from the start.
const FIRST_PINGS: u64 = 4;

/// Time to the first attempt after a loss; each further one takes twice as long, up to [`MOST_RETRY`].
const RETRY: Duration = Duration::from_secs(1);

/// Longest time between two attempts.
const MOST_RETRY: Duration = Duration::from_secs(30);

/// A link that was up for this long is worth a quick attempt again.
const SOUND: Duration = Duration::from_secs(10);

/// How long the far end may take to stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// Seconds over which the rates of a link are averaged.
const RATES: usize = 5;

/// How long those who can't be asked keep trying to reach a far end that was lost: a night's sweep outlives a reboot of the
/// network, and a script ends some time.
pub const UNATTENDED: Duration = Duration::from_secs(600);

/// Where an agent is, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The command: what is put behind it runs at the far end.
    pub on: String,
    /// wattscope at the far end, as that end's shell finds it.
    pub program: String,
}

/// A far end that has said hello, and on which nothing runs yet.
#[derive(Debug)]
pub struct Connection {
    process: FarProcess,
    hello: Hello,
}

impl Connection {
    /// Starts the command and waits for the far end's hello, for as long as it takes: a scheduler may have a queue. `said` is
    /// told what the command says meanwhile.
    ///
    /// # Errors
    /// In words that say what to do.
    pub async fn open(target: &Target, mut said: impl FnMut(String)) -> Result<Self, ConnectError> {
        let mut process = FarProcess::start(target)?;
        let (words, mut last) = (process.said.clone(), None);
        let mut second = ticks();
        let hello = {
            let mut hello = pin!(process.hello());
            loop {
                tokio::select! {
                    biased;
                    hello = &mut hello => break hello?,
                    _ = second.tick() => {
                        let word = words.last();
                        if let Some(word) = word.clone().filter(|_| word != last) {
                            said(word);
                        }
                        last = word;
                    }
                }
            }
        };
        Ok(Self { process, hello })
    }

    /// The devices of the far host.
    pub fn devices(&self) -> &[DeviceInfo] {
        &self.hello.devices
    }

    /// Its name.
    pub fn host(&self) -> &str {
        &self.hello.host
    }
}

/// Starts an agent at a far end on the current tokio runtime, on a connection that is there already or a new one. Of the
/// options those count that are not about files of this host. `patience`: for how long a far end that was lost is tried to be
/// reached again; as long as the handle is held where this is none.
///
/// The first event is a header with no more than is known before the far end's own, which follows.
pub fn start(
    target: Target,
    connection: Option<Connection>,
    options: Options,
    clock: Clock,
    patience: Option<Duration>,
) -> AgentHandle {
    let (commands, from_user) = unbounded_channel();
    let (to_user, events) = unbounded_channel();
    let zero = jiff::SignedDuration::from_nanos(clock.now() as i64);
    let started = jiff::Timestamp::now().checked_sub(zero).map(|zero| zero.to_string()).unwrap_or_default();
    let remote = Remote {
        wish: Wish { last_run: options.last_run, ..Wish::default() },
        host: connection.as_ref().map(|connection| connection.hello.host.clone()),
        target,
        options,
        clock,
        started,
        patience,
        events: to_user,
        commands: from_user,
    };
    tokio::spawn(remote.run(connection));
    AgentHandle { commands, events }
}

/// What was asked for last, to be asked again of an agent that takes over.
#[derive(Debug, Default)]
struct Wish {
    /// The newest of [`Command::Run`] and [`Command::Rest`].
    measure: Option<Command>,
    /// Whether that can't run.
    failed: bool,
    paused: bool,
    /// The highest number that a run had.
    last_run: RunId,
}

impl Wish {
    fn asked(&mut self, command: &Command) {
        match command {
            Command::Run { .. } | Command::Rest { .. } => (self.measure, self.failed) = (Some(command.clone()), false),
            Command::Pause { paused } => self.paused = *paused,
            _ => {}
        }
    }

    fn wants(&self, config: &Config) -> bool {
        let same = |c: &Config| (&c.network, c.batch, c.precision) == (&config.network, config.batch, config.precision);
        matches!(&self.measure, Some(Command::Run { config }) if same(config))
    }

    /// Takes note of what became of it: after something that can't run, what the agent went back to is what is wanted.
    fn heard(&mut self, body: &Body) {
        match body {
            Body::Phase(change) => {
                self.last_run = self.last_run.max(change.run);
                if mem::take(&mut self.failed) {
                    self.measure = Some(Command::Run { config: change.config.clone() });
                }
            }
            Body::OutOfMemory { run, config, .. } | Body::Failing { run, config, .. } => {
                self.last_run = self.last_run.max(*run);
                self.failed = self.wants(config);
            }
            Body::EngineDied { run, .. } => self.last_run = self.last_run.max(*run),
            _ => {}
        }
    }

    /// What to ask of an agent that knows of nothing.
    fn again(&self) -> Vec<Command> {
        let measure = self.measure.clone().filter(|_| !self.failed);
        measure.into_iter().chain(self.paused.then_some(Command::Pause { paused: true })).collect()
    }
}

/// Why a link that was up is not.
#[derive(Debug, thiserror::Error)]
enum Lost {
    /// The command's pipes have ended.
    #[error("{0}")]
    Ended(String),
    /// Nothing came.
    #[error("nothing was heard for {SILENCE} s")]
    Silent,
    /// Something came that was not sent.
    #[error("the link damages what passes through it: {0}")]
    Damaged(String),
    /// The packer of this side.
    #[error("{0}")]
    Broken(#[from] io::Error),
}

/// Whoever holds the handle has let go of it, or asked to stop.
#[derive(Debug)]
struct Stopped;

/// The task behind a handle.
struct Remote {
    target: Target,
    options: Options,
    clock: Clock,
    /// Wall clock at the session's zero.
    started: String,
    patience: Option<Duration>,
    events: UnboundedSender<Event>,
    commands: UnboundedReceiver<Command>,
    wish: Wish,
    host: Option<String>,
}

impl Remote {
    async fn run(mut self, connection: Option<Connection>) {
        let header = Header {
            started: self.started.clone(),
            command: std::env::args().collect(),
            folded: self.options.fold,
            host: self.host.clone().unwrap_or_default(),
            ..header_of_nobody()
        };
        self.tell(Body::Header(header));
        // However that ends, it is the end of the stream.
        let _ = self.go_on(connection).await;
    }

    /// Keeps the link up; returns when there is no more hope.
    async fn go_on(&mut self, mut connection: Option<Connection>) -> Result<(), Stopped> {
        let (mut delay, mut down) = (RETRY, None::<Instant>);
        loop {
            let connected = match connection.take() {
                Some(connection) => Ok(connection),
                None => self.connect().await?,
            };
            let reason = match connected {
                Ok(connection) => {
                    let began = Instant::now();
                    if let Some(since) = down {
                        let host = &connection.hello.host;
                        let text = format!("{host} is reached again, after {:.0} s", since.elapsed().as_secs_f64());
                        self.tell(Body::Notice { level: Level::Info, text });
                    }
                    let lost = self.talk(connection).await?.to_string();
                    let text = format!("the link to {} is lost: {lost}", self.host.as_deref().unwrap_or_default());
                    self.tell(Body::Notice { level: Level::Warning, text });
                    if began.elapsed() >= SOUND {
                        (delay, down) = (RETRY, None);
                    }
                    lost
                }
                Err(error) => error.to_string(),
            };
            tracing::warn!("\"{}\": {reason}", self.target.on);
            let since = *down.get_or_insert_with(Instant::now);
            if self.patience.is_some_and(|patience| since.elapsed() + delay >= patience) {
                self.tell_link(LinkState::Lost { reason, retry_in_s: None });
                return Ok(());
            }
            self.wait(delay, &reason).await?;
            delay = (delay * 2).min(MOST_RETRY);
        }
    }

    /// Starts the command and waits for its hello.
    async fn connect(&mut self) -> Result<Result<Connection, ConnectError>, Stopped> {
        let mut process = match FarProcess::start(&self.target) {
            Ok(process) => process,
            Err(error) => return Ok(Err(error)),
        };
        let words = process.said.clone();
        let mut second = ticks();
        let hello = {
            let mut hello = pin!(process.hello());
            loop {
                tokio::select! {
                    biased;
                    command = self.commands.recv() => { self.remember(command)?; }
                    hello = &mut hello => break hello,
                    _ = second.tick() => self.tell_link(LinkState::Connecting { said: words.last() }),
                }
            }
        };
        Ok(hello.map(|hello| Connection { process, hello }))
    }

    /// Waits for the next attempt; what is asked for meanwhile is a reason not to wait.
    async fn wait(&mut self, delay: Duration, reason: &str) -> Result<(), Stopped> {
        let until = Instant::now() + delay;
        let mut second = ticks();
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => if self.remember(command)? { return Ok(()) },
                () = sleep_until(until.into()) => return Ok(()),
                _ = second.tick() => {
                    let left = until.saturating_duration_since(Instant::now()).as_secs_f64();
                    let retry_in_s = Some((left * 10.0).round() / 10.0);
                    self.tell_link(LinkState::Lost { reason: reason.to_owned(), retry_in_s });
                }
            }
        }
    }

    /// What is asked for while nobody can be asked; whether it is a configuration to be measured.
    fn remember(&mut self, command: Option<Command>) -> Result<bool, Stopped> {
        let command = command.filter(|command| *command != Command::Stop).ok_or(Stopped)?;
        self.wish.asked(&command);
        let runs = matches!(command, Command::Run { .. });
        // The engine is gone, and with it what a pause would stop and a reset forget.
        if let Some(Command::Pause { paused }) = self.answer(command) {
            self.tell(Body::Paused { paused });
        }
        Ok(runs)
    }

    /// Answers what a sweep says of itself; gives back what is for the far end.
    fn answer(&self, command: Command) -> Option<Command> {
        match command {
            Command::Plan { plan } => self.tell(Body::Plan(plan)),
            Command::StepDone { step, outcome } => self.tell(Body::StepDone { step, outcome }),
            Command::EndSweep => self.tell(Body::SweepEnded),
            command => return Some(command),
        }
        None
    }

    fn tell(&self, body: Body) {
        // Whoever does not listen has let go of the commands, too.
        let _ = self.events.send(Event { t: self.clock.now(), body });
    }

    fn tell_link(&self, state: LinkState) {
        self.tell(Body::Link(Link { command: self.target.on.clone(), host: self.host.clone(), state }));
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
            last_run: self.wish.last_run,
            silence_s: FAR_SILENCE,
            only: self.options.only.clone(),
            alone: self.options.alone,
        }
    }

    /// Talks to the far end until the link is lost.
    async fn talk(&mut self, Connection { mut process, hello }: Connection) -> Result<Lost, Stopped> {
        self.host = Some(hello.host);
        let mut talk = match process.take_stdin().map_or_else(|| Err(io::Error::other("no pipe")), Talk::new) {
            Ok(talk) => talk,
            Err(error) => return Ok(error.into()),
        };
        match self.begin(&mut talk) {
            Ok(()) => {}
            Err(error) => return Ok(error.into()),
        }
        let mut second = ticks();
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => {
                    let Some(command) = command.filter(|command| *command != Command::Stop) else {
                        self.leave(process, talk).await;
                        return Err(Stopped);
                    };
                    self.wish.asked(&command);
                    if let Some(command) = self.answer(command) {
                        talk.send(&Down::Command(command));
                    }
                }
                more = process.read() => {
                    if !more {
                        let bye = talk.bye.map(|bye| format!("the far end has ended: {bye}"));
                        return Ok(Lost::Ended(match bye { Some(bye) => bye, None => process.lost().await }));
                    }
                    talk.silent = 0;
                    if let Err(lost) = self.heard(&mut process, &mut talk) {
                        return Ok(lost);
                    }
                }
                _ = second.tick() => {
                    talk.silent += 1;
                    if talk.silent > SILENCE {
                        return Ok(Lost::Silent);
                    }
                    self.look(&process, &mut talk);
                }
            }
        }
    }

    /// Answers the hello, asks for the time and for what was wanted before.
    fn begin(&self, talk: &mut Talk) -> io::Result<()> {
        talk.write((wire::introduce(&self.welcome())? + "\n").into_bytes());
        talk.ping(self.clock.now());
        self.wish.again().into_iter().for_each(|command| talk.send(&Down::Command(command)));
        Ok(())
    }

    /// Pings, and tells of the link.
    fn look(&self, process: &FarProcess, talk: &mut Talk) {
        talk.ping(self.clock.now());
        talk.count(process.received);
        if talk.offset.is_known() {
            self.tell_link(talk.state());
        }
    }

    /// Takes the lines that have come.
    fn heard(&mut self, process: &mut FarProcess, talk: &mut Talk) -> Result<(), Lost> {
        let received = process.received;
        while let Some(line) = process.lines.line() {
            match wire::open(line?)? {
                Frame::One(Up::Pong { n, t }) => self.pong(talk, n, t, received),
                Frame::One(Up::Bye(why)) => talk.bye = Some(why),
                Frame::Bundle(bundle) => {
                    talk.held.extend(talk.unpacker.unpack(&bundle)?);
                    talk.bundles += 1;
                    talk.send(&Down::Ack(talk.bundles));
                    self.pass(talk);
                }
                Frame::Unknown => tracing::debug!("a frame of an unknown kind"),
            }
        }
        Ok(())
    }

    fn pong(&mut self, talk: &mut Talk, n: u64, t: Nanos, received: u64) {
        let Some(at) = talk.pings.iter().position(|(ping, _)| *ping == n) else { return };
        let (now, first) = (self.clock.now(), !talk.offset.is_known());
        let sent = talk.pings.drain(..=at).next_back();
        talk.offset.ping(sent.map_or(now, |(_, sent)| sent), now, t);
        if n < FIRST_PINGS {
            talk.ping(now);
        }
        if first {
            talk.count(received);
            self.tell_link(talk.state());
            self.pass(talk);
        }
    }

    /// Passes events on, as soon as it is known what time they are of.
    fn pass(&mut self, talk: &mut Talk) {
        if !talk.offset.is_known() {
            return;
        }
        let now = self.clock.now();
        for Event { t, mut body } in mem::take(&mut talk.held) {
            if let Body::Header(header) = &mut body {
                header.started.clone_from(&self.started);
                header.command = std::env::args().collect();
            }
            self.wish.heard(&body);
            let _ = self.events.send(Event { t: talk.offset.map(t, now), body });
        }
    }

    /// Stops the far end and hears it out, though not for ever.
    async fn leave(&mut self, mut process: FarProcess, mut talk: Talk) {
        talk.send(&Down::Command(Command::Stop));
        talk.hang_up();
        let heard_out = async {
            while process.read().await {
                if self.heard(&mut process, &mut talk).is_err() {
                    break;
                }
            }
        };
        if timeout(FAREWELL, heard_out).await.is_err() {
            tracing::warn!("the far end did not end within {FAREWELL:?}");
        }
        process.end().await;
    }
}

/// What is known of the host before the far end's own header: nothing.
fn header_of_nobody() -> Header {
    Header { os: String::new(), cpu: String::new(), cpus: 0, memory_bytes: 0, ..header(false) }
}

/// Once a second, from now on. A process that was stopped has not missed anything.
fn ticks() -> Interval {
    let mut ticks = interval(PING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// What a link has come to.
struct Talk {
    /// Lines to the far end; none once there will be no more.
    lines: Option<UnboundedSender<Vec<u8>>>,
    sent: u64,
    unpacker: Unpacker,
    /// Bundles that have arrived.
    bundles: u64,
    /// Events whose time is not known yet.
    held: Vec<Event>,
    offset: Offset,
    /// Pings that were not answered yet, and when they were sent.
    pings: VecDeque<(u64, Nanos)>,
    pinged: u64,
    /// Ticks since anything came.
    silent: u32,
    /// Why the far end ends by itself.
    bye: Option<String>,
    /// Bytes received and sent until when, oldest first.
    counts: VecDeque<(Instant, u64, u64)>,
}

impl Talk {
    fn new(stdin: ChildStdin) -> io::Result<Self> {
        let (lines, waiting) = unbounded_channel();
        tokio::spawn(write(stdin, waiting));
        Ok(Self {
            lines: Some(lines),
            sent: 0,
            unpacker: Unpacker::new()?,
            bundles: 0,
            held: Vec::new(),
            offset: Offset::default(),
            pings: VecDeque::new(),
            pinged: 0,
            silent: 0,
            bye: None,
            counts: VecDeque::from([(Instant::now(), 0, 0)]),
        })
    }

    fn write(&mut self, line: Vec<u8>) {
        self.sent += line.len() as u64;
        if let Some(lines) = &self.lines {
            // A pipe that is gone ends the other one, too.
            let _ = lines.send(line);
        }
    }

    fn send(&mut self, down: &Down) {
        match wire::frame(down) {
            Ok(line) => self.write(line),
            Err(error) => tracing::error!(%error, "a command that is no JSON"),
        }
    }

    fn ping(&mut self, now: Nanos) {
        if self.pings.len() > 2 * SILENCE as usize {
            self.pings.pop_front();
        }
        self.pings.push_back((self.pinged, now));
        self.send(&Down::Ping(self.pinged));
        self.pinged += 1;
    }

    fn hang_up(&mut self) {
        self.lines = None;
    }

    /// Takes note of what has passed.
    fn count(&mut self, received: u64) {
        if self.counts.len() > RATES {
            self.counts.pop_front();
        }
        self.counts.push_back((Instant::now(), received, self.sent));
    }

    fn state(&self) -> LinkState {
        let (down, up) = match (self.counts.front(), self.counts.back()) {
            (Some((from, down_from, up_from)), Some((to, down_to, up_to))) if to > from => {
                // Of a link that has just come up: what came at once came in no time.
                let seconds = (*to - *from).as_secs_f64().max(1.0);
                ((down_to - down_from) as f64 / seconds, (up_to - up_from) as f64 / seconds)
            }
            _ => (0.0, 0.0),
        };
        LinkState::Up { rtt_ns: self.offset.round_trip(), down_bytes_per_s: down.round(), up_bytes_per_s: up.round() }
    }
}

/// Writes lines as they come; a task of its own, because a pipe may be full.
async fn write(mut stdin: ChildStdin, mut lines: UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

impl From<WireError> for Lost {
    fn from(error: WireError) -> Self {
        Self::Damaged(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Phase, PhaseChange},
        testing::config,
    };

    fn phase(run: RunId, batch: u32) -> Body {
        Body::Phase(PhaseChange { run, config: config("vgg16", batch), phase: Phase::Building, warm_up: None })
    }

    fn run(batch: u32) -> Command {
        Command::Run { config: config("vgg16", batch) }
    }

    #[test]
    fn what_was_wanted_last_is_asked_again() {
        let mut wish = Wish::default();
        assert!(wish.again().is_empty());
        [run(1), Command::Reset, run(2)].iter().for_each(|command| wish.asked(command));
        assert_eq!(wish.again(), [run(2)]);
        wish.heard(&phase(7, 1));
        assert_eq!((wish.again(), wish.last_run), (vec![run(2)], 7), "an answer to an older wish is none to this one");
        wish.asked(&Command::Pause { paused: true });
        assert_eq!(wish.again(), [run(2), Command::Pause { paused: true }]);
        wish.asked(&Command::Pause { paused: false });
        wish.asked(&Command::Rest { stop_engine: true });
        assert_eq!(wish.again(), [Command::Rest { stop_engine: true }]);
    }

    #[test]
    fn what_did_not_run_is_not_asked_again() {
        let mut wish = Wish::default();
        wish.asked(&run(512));
        let lacks = |run, batch| Body::OutOfMemory {
            run,
            config: config("vgg16", batch),
            requested_bytes: None,
            message: "out of memory".into(),
        };
        wish.heard(&lacks(3, 256));
        assert_eq!(wish.again(), [run(512)], "that was another one");
        wish.heard(&lacks(4, 512));
        assert!(wish.again().is_empty());
        wish.heard(&phase(5, 64));
        assert_eq!((wish.again(), wish.last_run), (vec![run(64)], 5), "the agent went back to what worked");
    }
}
