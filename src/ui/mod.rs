//! The screen: keys in, frames out, and one loop that joins them with the stream.
//!
//! The loop draws when something changed, at most ten times a second, and at once after a key. Whatever ends it (a key, a
//! signal, a terminal that is gone) ends the agent, too: nothing keeps a card loaded that nobody looks at.

pub mod app;
pub mod desk;
pub mod keymap;
pub mod knobs;
pub mod memo;
pub mod pin;
pub mod screens;
mod signals;
pub mod sweep;
pub mod terminal;
pub mod theme;
pub mod view;
pub mod widgets;

#[cfg(test)]
pub(crate) mod demo;
#[cfg(test)]
mod tests;

pub use crate::format;
pub use app::App;
pub use knobs::Wishes;
pub use theme::{Depth, Marker, Theme};

use crate::{
    agent::fleet::FleetHandle,
    event::{Body, Command, Level, Nanos, Tagged},
    session::{Recordings, replay::Player},
};
use app::Flow;
use signals::{Signal, Signals};
use std::{io, path::PathBuf, pin::Pin, time::Duration};
use terminal::{Input, Terminal};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Frames a second that eyes and slow lines can follow.
pub const MOST_FRAMES: f64 = 10.0;

/// How long the end waits for the agent to stop its engine.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long a stop waits for the agent to stop its engine.
const STOPPING: Duration = Duration::from_millis(500);

/// How often the loop looks whether the terminal is still there.
const WATCH: Duration = Duration::from_secs(1);

/// How the screen is started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Registry ids of the networks, in the order in which ↑ and ↓ go through them.
    pub networks: Vec<String>,
    /// Those of them that the paper had: what a sweep can be of.
    pub paper: Vec<String>,
    /// What to begin with.
    pub wishes: Wishes,
    /// The devices of several stations, in their order; none where there is one, on the device that is wished for.
    pub stations: Vec<String>,
    /// What curves are drawn with.
    pub marker: Marker,
    /// Colours; read off the environment by default.
    pub depth: Option<Depth>,
    /// Leave the mouse to the terminal.
    pub no_mouse: bool,
    /// Frames a second, [`MOST_FRAMES`] at the most and by default.
    pub frames_per_s: Option<f64>,
    /// The stream is a recording or somebody else's: no command is sent.
    pub watch_only: bool,
    /// Where a recording that a key begins is put; by default the current directory.
    pub record_to: PathBuf,
}

impl Options {
    /// Depth and marker.
    pub fn theme(&self) -> Theme {
        let depth = self.depth.unwrap_or_else(|| Depth::detect(|name| std::env::var(name).ok()));
        Theme { depth, marker: self.marker }
    }

    fn frame_time(&self) -> Duration {
        let rate = self.frames_per_s.filter(|r| r.is_finite()).unwrap_or(MOST_FRAMES);
        Duration::from_secs_f64(1.0 / rate.clamp(0.1, MOST_FRAMES))
    }
}

/// Why the screen was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A key.
    Quit,
    /// Ctrl-C, as a key or as a signal: 130, so that a script around it stops, too.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP, or a terminal that is gone without one.
    HungUp,
    /// SIGQUIT.
    Quitted,
}

impl Exit {
    /// The process's exit code: 128 and the signal's number, as shells have it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Quit => 0,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Quitted => 131,
            Self::Terminated => 143,
        }
    }
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// Input or output is a file or a pipe.
    #[error("no terminal: the screen needs one for input and output")]
    NoTerminal,
    /// The terminal refused.
    #[error("the terminal could not be set up: {0}")]
    Terminal(#[source] io::Error),
    /// Signals could not be caught.
    #[error("signals could not be caught: {0}")]
    Signals(#[source] io::Error),
}

/// Shows the stream of the agent, or of several, that `start` starts until the user, a signal or the terminal ends it. The
/// first frame is drawn before `start` is called, so that the screen is there before any device is opened. What arrives is
/// recorded.
///
/// # Errors
/// Where there is no terminal, or it can't be set up. A terminal that is lost later is an [`Exit::HungUp`].
pub async fn run<A: Into<FleetHandle>>(
    options: Options,
    recordings: &mut Recordings,
    start: impl FnOnce() -> A,
) -> Result<Exit, UiError> {
    let app = App::new(options.clone(), options.theme());
    show(app, &options, recordings, || start().into()).await
}

/// Shows a recording, from a moment on and at a speed, until the user, a signal or the terminal ends it. What should be
/// said about the recording is said first.
///
/// # Errors
/// As [`run`].
pub async fn replay(
    options: Options,
    tape: Player,
    (from, speed): (Nanos, f64),
    said: Option<String>,
) -> Result<Exit, UiError> {
    let mut app = App::replay(options.clone(), options.theme(), tape, from, speed);
    if let Some(said) = said {
        app.say(Level::Warning, said);
    }
    show(app, &options, &mut Recordings::default(), FleetHandle::silent).await
}

async fn show(
    mut app: App,
    options: &Options,
    recordings: &mut Recordings,
    start: impl FnOnce() -> FleetHandle,
) -> Result<Exit, UiError> {
    let mut signals = Signals::catch().map_err(UiError::Signals)?;
    let mut terminal = Terminal::enter(!options.no_mouse)?;
    app.recorded_since(recordings.began());
    let drawn = terminal.draw(|frame| app.draw(frame));
    let mut stream = Stream { agents: start(), recordings, record_to: options.record_to.clone() };
    let exit = match drawn {
        Ok(()) => watch(&mut app, &mut terminal, &mut signals, &mut stream, options.frame_time()).await,
        Err(_) => Exit::HungUp,
    };
    terminal.leave();
    stream.agents.farewell(FAREWELL, drop).await;
    Ok(exit)
}

/// The stream on its way to the screen, recorded as it passes.
struct Stream<'a> {
    agents: FleetHandle,
    recordings: &'a mut Recordings,
    record_to: PathBuf,
}

impl Stream<'_> {
    /// Records an event and folds it in; gives back whether the screen looks different for it.
    fn pass(&mut self, app: &mut App, event: &Tagged) -> bool {
        let written = self.recordings.write(event, app.fleet());
        let changed = app.hear(event);
        if let Err(error) = written {
            tracing::error!("{error}");
            app.recorded_since(self.recordings.began());
            app.say(Level::Error, error.to_string());
            return true;
        }
        changed
    }

    /// Begins a recording, or ends the one that was begun.
    fn record(&mut self, app: &mut App) {
        let said = match self.recordings.began() {
            None => self
                .recordings
                .start(&self.record_to, app.fleet())
                .map(|path| format!("recording to {}", path.display())),
            Some(_) => self.recordings.stop().map(|finished| match finished {
                Some(file) => format!("recorded {} ({})", file.path.display(), format::bytes(file.bytes)),
                None => "nothing was recorded".to_owned(),
            }),
        };
        app.recorded_since(self.recordings.began());
        match said {
            Ok(said) => app.say(Level::Info, said),
            Err(error) => app.say(Level::Error, error.to_string()),
        }
    }
}

/// What the loop woke up for.
// One at a time, on the stack.
#[expect(clippy::large_enum_variant)]
enum Wake {
    Signal(Signal),
    Input(Option<io::Result<Input>>),
    Event(Option<Tagged>),
    Frame,
    Watch,
}

/// When frames are drawn.
struct Pace {
    frame_time: Duration,
    next: Pin<Box<Sleep>>,
    dirty: bool,
    /// When a replay's clock was last brought up to date.
    played: Instant,
}

impl Pace {
    /// Lets a replay's time pass.
    fn play(&mut self, app: &mut App) {
        let now = Instant::now();
        app.play(now - self.played);
        self.played = now;
    }

    fn drawn(&mut self, app: &App) {
        self.dirty = app.playing();
        self.next.as_mut().reset(Instant::now() + self.frame_time);
    }
}

async fn watch(
    app: &mut App,
    terminal: &mut Terminal,
    signals: &mut Signals,
    stream: &mut Stream<'_>,
    frame_time: Duration,
) -> Exit {
    let mut input = terminal::input();
    let now = Instant::now();
    let mut pace = Pace { frame_time, next: Box::pin(sleep_until(now)), dirty: true, played: now };
    let mut alive = tokio::time::interval(WATCH);
    alive.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut open = true;
    loop {
        let wake = tokio::select! {
            biased;
            signal = signals.next() => Wake::Signal(signal),
            input = input.recv() => Wake::Input(input),
            _ = alive.tick() => Wake::Watch,
            () = pace.next.as_mut(), if pace.dirty => Wake::Frame,
            event = stream.agents.events.recv(), if open => Wake::Event(event),
        };
        // Up to the key, so that it acts on what it was pressed at.
        pace.play(app);
        let flow = match wake {
            Wake::Signal(signal) => signalled(signal),
            Wake::Input(Some(Ok(first))) => {
                pace.dirty = true;
                keys(app, first, &mut input)
            }
            Wake::Input(_) => Flow::Exit(Exit::HungUp),
            Wake::Watch if terminal::gone() => Flow::Exit(Exit::HungUp),
            Wake::Event(None) => {
                (open, pace.dirty) = (false, true);
                app.end();
                Flow::Continue
            }
            Wake::Event(Some(event)) => {
                pace.dirty |= stream.pass(app, &event);
                send(app, &stream.agents);
                continue;
            }
            Wake::Watch => continue,
            Wake::Frame => Flow::Continue,
        };
        match flow {
            Flow::Exit(exit) => return exit,
            Flow::Suspend => suspend(app, terminal, stream).await,
            Flow::Record => stream.record(app),
            Flow::Redraw | Flow::Continue => {}
        }
        if matches!(flow, Flow::Suspend | Flow::Redraw) && terminal.forget().is_err() {
            return Exit::HungUp;
        }
        drain(app, stream, &mut pace.dirty);
        send(app, &stream.agents);
        if terminal.draw(|frame| app.draw(frame)).is_err() {
            return Exit::HungUp;
        }
        pace.drawn(app);
    }
}

/// Stops the engine, then this process, until the shell continues it.
async fn suspend(app: &mut App, terminal: &mut Terminal, stream: &mut Stream<'_>) {
    let mut running = app.fleet().stations().iter().filter(|state| state.gone.is_none()).count();
    stream.agents.ask(Command::Pause { paused: true });
    let stopped = async {
        while let Some(tagged) = stream.agents.events.recv().await {
            stream.pass(app, &tagged);
            running -= usize::from(tagged.event.body == (Body::Paused { paused: true })).min(running);
            if running == 0 {
                return;
            }
        }
    };
    if timeout(STOPPING, stopped).await.is_err() {
        tracing::warn!("not every engine was stopped within {STOPPING:?}");
    }
    terminal.suspend();
    stream.agents.ask(Command::Pause { paused: false });
}

fn signalled(signal: Signal) -> Flow {
    match signal {
        Signal::Interrupt => Flow::Exit(Exit::Interrupted),
        Signal::Terminate => Flow::Exit(Exit::Terminated),
        Signal::HangUp => Flow::Exit(Exit::HungUp),
        Signal::Quit => Flow::Exit(Exit::Quitted),
        Signal::Stop => Flow::Suspend,
        Signal::Continue => Flow::Redraw,
    }
}

/// Handles the key that woke the loop and all that came since, so that a key held down never lags behind.
fn keys(app: &mut App, first: Input, input: &mut tokio::sync::mpsc::UnboundedReceiver<io::Result<Input>>) -> Flow {
    let mut next = Some(Ok(first));
    let mut resized = false;
    while let Some(Ok(event)) = next {
        let flow = match event {
            Input::Key(key) => app.handle(key),
            Input::Mouse(mouse) => app.mouse(mouse),
            Input::Resize(..) => {
                resized = true;
                Flow::Continue
            }
            _ => Flow::Continue,
        };
        if flow != Flow::Continue {
            return flow;
        }
        next = input.try_recv().ok();
    }
    if let Some(Err(_)) = next {
        return Flow::Exit(Exit::HungUp);
    }
    if resized { Flow::Redraw } else { Flow::Continue }
}

/// Folds in what is there already, so that a frame shows the newest.
fn drain(app: &mut App, stream: &mut Stream<'_>, dirty: &mut bool) {
    while let Ok(event) = stream.agents.events.try_recv() {
        *dirty |= stream.pass(app, &event);
    }
}

fn send(app: &mut App, agents: &FleetHandle) {
    for order in app.take_orders() {
        // An agent that is gone says so by the end of its events.
        let _ = agents.commands.send(order);
    }
}
