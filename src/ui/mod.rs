//! The screen: keys in, frames out, and one loop that joins them with the stream.
//!
//! The loop draws when something changed, at most ten times a second, and at once after a key. Whatever ends it (a key, a
//! signal, a terminal that is gone) ends the agent, too: nothing keeps a card loaded that nobody looks at.

pub mod app;
pub mod keymap;
pub mod knobs;
pub mod memo;
pub mod pin;
pub mod screens;
mod signals;
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
    agent::AgentHandle,
    event::{Body, Command, Event},
};
use app::Flow;
use signals::{Signal, Signals};
use std::{io, pin::Pin, time::Duration};
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
    /// What to begin with.
    pub wishes: Wishes,
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
    /// The stream is being recorded: the header says so.
    pub recording: bool,
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

/// Shows the stream of the agent that `start` starts until the user, a signal or the terminal ends it. The first frame is
/// drawn before `start` is called, so that the screen is there before any device is opened.
///
/// # Errors
/// Where there is no terminal, or it can't be set up. A terminal that is lost later is an [`Exit::HungUp`].
pub async fn run(options: Options, start: impl FnOnce() -> AgentHandle) -> Result<Exit, UiError> {
    let mut signals = Signals::catch().map_err(UiError::Signals)?;
    let mut terminal = Terminal::enter(!options.no_mouse)?;
    let mut app = App::new(options.clone(), options.theme());
    let drawn = terminal.draw(|frame| app.draw(frame));
    let mut agent = start();
    let exit = match drawn {
        Ok(()) => watch(&mut app, &mut terminal, &mut signals, &mut agent, options.frame_time()).await,
        Err(_) => Exit::HungUp,
    };
    terminal.leave();
    farewell(agent).await;
    Ok(exit)
}

/// Stops the agent and waits until it and its engine are gone.
async fn farewell(mut agent: AgentHandle) {
    // A receiver that is gone has stopped already.
    let _ = agent.commands.send(Command::Stop);
    drop(agent.commands);
    let ended = timeout(FAREWELL, async { while agent.events.recv().await.is_some() {} }).await;
    if ended.is_err() {
        tracing::warn!("the agent did not end within {FAREWELL:?}");
    }
}

/// What the loop woke up for.
enum Wake {
    Signal(Signal),
    Input(Option<io::Result<Input>>),
    Event(Option<Event>),
    Frame,
    Watch,
}

/// When frames are drawn.
struct Pace {
    frame_time: Duration,
    next: Pin<Box<Sleep>>,
    dirty: bool,
}

impl Pace {
    fn drawn(&mut self) {
        self.dirty = false;
        self.next.as_mut().reset(Instant::now() + self.frame_time);
    }
}

async fn watch(
    app: &mut App,
    terminal: &mut Terminal,
    signals: &mut Signals,
    agent: &mut AgentHandle,
    frame_time: Duration,
) -> Exit {
    let mut input = terminal::input();
    let mut pace = Pace { frame_time, next: Box::pin(sleep_until(Instant::now())), dirty: true };
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
            event = agent.events.recv(), if open => Wake::Event(event),
        };
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
                pace.dirty |= app.apply(&event);
                send(app, agent);
                continue;
            }
            Wake::Watch => continue,
            Wake::Frame => Flow::Continue,
        };
        match flow {
            Flow::Exit(exit) => return exit,
            Flow::Suspend => suspend(app, terminal, agent).await,
            Flow::Redraw | Flow::Continue => {}
        }
        if flow != Flow::Continue && terminal.forget().is_err() {
            return Exit::HungUp;
        }
        drain(app, agent, &mut pace.dirty);
        send(app, agent);
        if terminal.draw(|frame| app.draw(frame)).is_err() {
            return Exit::HungUp;
        }
        pace.drawn();
    }
}

/// Stops the engine, then this process, until the shell continues it.
async fn suspend(app: &mut App, terminal: &mut Terminal, agent: &mut AgentHandle) {
    let _ = agent.commands.send(Command::Pause { paused: true });
    let stopped = async {
        while let Some(event) = agent.events.recv().await {
            app.apply(&event);
            if event.body == (Body::Paused { paused: true }) {
                return;
            }
        }
    };
    if timeout(STOPPING, stopped).await.is_err() {
        tracing::warn!("the engine was not stopped within {STOPPING:?}");
    }
    terminal.suspend();
    let _ = agent.commands.send(Command::Pause { paused: false });
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
fn drain(app: &mut App, agent: &mut AgentHandle, dirty: &mut bool) {
    while let Ok(event) = agent.events.try_recv() {
        *dirty |= app.apply(&event);
    }
}

fn send(app: &mut App, agent: &AgentHandle) {
    for command in app.take_commands() {
        // An agent that is gone says so by the end of its events.
        let _ = agent.commands.send(command);
    }
}
