//! The event loop: joins keys, signals and the stream with the [`App`] and draws its frames.
//!
//! It draws when something changed, at most ten times a second, and at once after a key. Whatever ends it (a key, a signal,
//! a terminal that is gone) stops the agent, too, so that no device stays loaded without a screen.

use super::{
    app::{App, Flow},
    exit::{Exit, UiError},
    options::Options,
    signals::{Signal, Signals},
    terminal::{self, Input, Terminal},
};
use crate::{
    agent::fleet::FleetHandle,
    event::{Body, Command, Level, Nanos, Tagged},
    format,
    session::{Recordings, replay::Player},
};
use std::{io, path::PathBuf, pin::Pin, time::Duration};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, Sleep, sleep_until, timeout},
};

/// How long the agent may take to stop its engine when the program ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the agent may take to stop its engine before the process is suspended.
const PAUSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How often the loop checks that the terminal is still there.
const TERMINAL_CHECK: Duration = Duration::from_secs(1);

/// Runs the live screen until a key, a signal or a hangup ends it. `start` starts the agents; it is called after the first
/// frame, so that the screen is up before any device is opened. Events are recorded as they arrive.
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

/// Replays a recording until a key, a signal or a hangup ends the program: from `from` on the recording's clock, `speed` times
/// as fast as real time. `warning` is shown at first.
///
/// # Errors
/// As [`run`].
pub async fn replay(
    options: Options,
    recording: Player,
    (from, speed): (Nanos, f64),
    warning: Option<String>,
) -> Result<Exit, UiError> {
    let mut app = App::replay(options.clone(), options.theme(), recording, from, speed);
    if let Some(warning) = warning {
        app.hint(Level::Warning, warning);
    }
    show(app, &options, &mut Recordings::default(), FleetHandle::disconnected).await
}

/// Takes the terminal, runs the loop, and gives the terminal back before the agents are stopped.
async fn show(
    mut app: App,
    options: &Options,
    recordings: &mut Recordings,
    start: impl FnOnce() -> FleetHandle,
) -> Result<Exit, UiError> {
    let mut signals = Signals::install().map_err(UiError::Signals)?;
    let mut terminal = Terminal::enter(!options.no_mouse)?;
    app.recorded_since(recordings.began());
    let drawn = terminal.draw(|frame| app.draw(frame));
    let mut stream = RecordedStream { agents: start(), recordings, record_to: options.record_to.clone() };
    let exit = match drawn {
        Ok(()) => event_loop(&mut app, &mut terminal, &mut signals, &mut stream, options.frame_time()).await,
        Err(_) => Exit::HungUp,
    };
    terminal.leave();
    stream.agents.stop(SHUTDOWN_TIMEOUT, drop).await;
    Ok(exit)
}

/// The stream of the agents, which is recorded before it is folded in.
struct RecordedStream<'a> {
    agents: FleetHandle,
    recordings: &'a mut Recordings,
    record_to: PathBuf,
}

impl RecordedStream<'_> {
    /// Records an event and folds it in; gives whether the screen may look different.
    fn apply(&mut self, app: &mut App, event: &Tagged) -> bool {
        let written = self.recordings.write(event, app.fleet());
        let changed = app.apply_tagged(event);
        if let Err(error) = written {
            tracing::error!("{error}");
            app.recorded_since(self.recordings.began());
            app.hint(Level::Error, error.to_string());
            return true;
        }
        changed
    }

    /// Starts a recording, or stops the one that the user started.
    fn toggle_recording(&mut self, app: &mut App) {
        let message = match self.recordings.began() {
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
        match message {
            Ok(message) => app.hint(Level::Info, message),
            Err(error) => app.hint(Level::Error, error.to_string()),
        }
    }
}

/// Why the loop woke up.
// There is one at a time, on the stack.
#[expect(clippy::large_enum_variant)]
enum Wake {
    Signal(Signal),
    Input(Option<io::Result<Input>>),
    Event(Option<Tagged>),
    Frame,
    TerminalCheck,
}

/// When the next frame is due.
struct FrameTimer {
    frame_time: Duration,
    next: Pin<Box<Sleep>>,
    /// Whether something changed since the last frame.
    dirty: bool,
    /// When the replay was last advanced.
    advanced: Instant,
}

impl FrameTimer {
    /// Advances a replay to the present.
    fn advance(&mut self, app: &mut App) {
        let now = Instant::now();
        app.advance(now - self.advanced);
        self.advanced = now;
    }

    /// Starts the time to the next frame; a replay that plays needs one in any case.
    fn drawn(&mut self, app: &App) {
        self.dirty = app.playing();
        self.next.as_mut().reset(Instant::now() + self.frame_time);
    }
}

/// The loop itself; gives the reason for its end.
async fn event_loop(
    app: &mut App,
    terminal: &mut Terminal,
    signals: &mut Signals,
    stream: &mut RecordedStream<'_>,
    frame_time: Duration,
) -> Exit {
    let mut input = terminal::input();
    let now = Instant::now();
    let mut timer = FrameTimer { frame_time, next: Box::pin(sleep_until(now)), dirty: true, advanced: now };
    let mut check = tokio::time::interval(TERMINAL_CHECK);
    check.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut open = true;
    loop {
        let wake = tokio::select! {
            biased;
            signal = signals.next() => Wake::Signal(signal),
            input = input.recv() => Wake::Input(input),
            _ = check.tick() => Wake::TerminalCheck,
            () = timer.next.as_mut(), if timer.dirty => Wake::Frame,
            event = stream.agents.events.recv(), if open => Wake::Event(event),
        };
        // Before the key is handled, so that it acts on the moment at which it was pressed.
        timer.advance(app);
        let flow = match wake {
            Wake::Signal(signal) => signal_flow(signal),
            Wake::Input(Some(Ok(first))) => {
                timer.dirty = true;
                handle_input(app, first, &mut input)
            }
            Wake::Input(_) => Flow::Exit(Exit::HungUp),
            Wake::TerminalCheck if terminal::hung_up() => Flow::Exit(Exit::HungUp),
            // The signal of a resize is lost where it comes before the thread that reads the keys has installed its handler.
            Wake::TerminalCheck if terminal.resized() => Flow::Redraw,
            Wake::Event(None) => {
                (open, timer.dirty) = (false, true);
                app.end();
                Flow::Continue
            }
            Wake::Event(Some(event)) => {
                timer.dirty |= stream.apply(app, &event);
                send(app, &stream.agents);
                continue;
            }
            Wake::TerminalCheck => continue,
            Wake::Frame => Flow::Continue,
        };
        match flow {
            Flow::Exit(exit) => return exit,
            Flow::Suspend => suspend(app, terminal, stream).await,
            Flow::Record => stream.toggle_recording(app),
            Flow::Redraw | Flow::Continue => {}
        }
        if matches!(flow, Flow::Suspend | Flow::Redraw) && terminal.invalidate().is_err() {
            return Exit::HungUp;
        }
        drain(app, stream, &mut timer.dirty);
        send(app, &stream.agents);
        if terminal.draw(|frame| app.draw(frame)).is_err() {
            return Exit::HungUp;
        }
        timer.drawn(app);
    }
}

/// Pauses the engines, then stops this process until the shell continues it.
async fn suspend(app: &mut App, terminal: &mut Terminal, stream: &mut RecordedStream<'_>) {
    let mut running = app.fleet().stations().iter().filter(|state| state.gone.is_none()).count();
    stream.agents.send(Command::Pause { paused: true });
    let paused = async {
        while let Some(tagged) = stream.agents.events.recv().await {
            stream.apply(app, &tagged);
            running -= usize::from(tagged.event.body == (Body::Paused { paused: true })).min(running);
            if running == 0 {
                return;
            }
        }
    };
    if timeout(PAUSE_TIMEOUT, paused).await.is_err() {
        tracing::warn!("not every engine paused within {PAUSE_TIMEOUT:?}");
    }
    terminal.suspend();
    stream.agents.send(Command::Pause { paused: false });
}

fn signal_flow(signal: Signal) -> Flow {
    match signal {
        Signal::Interrupt => Flow::Exit(Exit::Interrupted),
        Signal::Terminate => Flow::Exit(Exit::Terminated),
        Signal::HangUp => Flow::Exit(Exit::HungUp),
        Signal::Quit => Flow::Exit(Exit::Quitted),
        Signal::Suspend => Flow::Suspend,
        Signal::Continue => Flow::Redraw,
    }
}

/// Handles the input that woke the loop and all that is queued, so that a key held down never lags behind.
fn handle_input(app: &mut App, first: Input, input: &mut UnboundedReceiver<io::Result<Input>>) -> Flow {
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

/// Folds in all events that are queued, so that the frame shows the newest.
fn drain(app: &mut App, stream: &mut RecordedStream<'_>, dirty: &mut bool) {
    while let Ok(event) = stream.agents.events.try_recv() {
        *dirty |= stream.apply(app, &event);
    }
}

/// Sends the app's commands to the agents.
fn send(app: &mut App, agents: &FleetHandle) {
    for command in app.take_commands() {
        // An agent that is gone ends its stream of events, which the loop handles.
        let _ = agents.commands.send(command);
    }
}
