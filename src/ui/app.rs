//! The screen's own state: what is wanted, what is shown, and which commands follow from keys and events.
//!
//! It knows no terminal and no clock: keys, events and frames are handed to it, so that a test can be its user.

use super::{
    Exit, Options, format,
    keymap::{self, Action, Seek},
    knobs,
    memo::Memo,
    pin::Pin,
    screens::{self, Screen},
    sweep::{self, Answer, Choice, Conduct},
    theme::Theme,
    view::{Hint, Playback, View},
};
use crate::{
    event::{Body, Command, Config, Event, Level, Nanos, Phase, RunId},
    session::{
        State,
        replay::{Cursor, Tape},
    },
};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use ratatui::{Frame, layout::Rect};
use std::time::Duration;

/// Lengths of the scope's time axis, seconds.
pub const WINDOWS: [u64; 6] = [10, 30, 60, 120, 300, 600];

/// Steps of the energy budget, a tenfold.
const BUDGET_STEPS: f64 = 20.0;

/// Digits that the batch prompt holds: one more than the largest batch size has, so that too large a number can be
/// typed and explained.
const PROMPT_DIGITS: usize = 11;

/// What the loop does after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on.
    Continue,
    /// Gives the terminal back to the shell until it says to go on.
    Suspend,
    /// Draws every cell again.
    Redraw,
    /// Begins or ends a recording.
    Record,
    /// Leaves.
    Exit(Exit),
}

/// A question for a batch size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// What was typed.
    pub text: String,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// What a table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// The column; none for the rows' own order.
    pub column: Option<usize>,
    /// Against the column's usual direction.
    pub reversed: bool,
}

impl Sort {
    /// The next of `columns`, or the one before; the rows' own order lies between the last and the first.
    fn step(self, columns: usize, forward: bool) -> Self {
        let at = self.column.map_or(0, |c| c + 1);
        let next = (at + if forward { 1 } else { columns }) % (columns + 1);
        Self { column: next.checked_sub(1), reversed: false }
    }

    /// A column that was clicked.
    fn by(self, column: usize) -> Self {
        Self { column: Some(column), reversed: self.column == Some(column) && !self.reversed }
    }
}

/// What the user chose to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Looks {
    /// The screen.
    pub screen: Screen,
    /// Index into [`WINDOWS`].
    pub window: usize,
    /// Whether the help is open.
    pub help: bool,
    /// The question that is open.
    pub prompt: Option<Prompt>,
    /// The question for a sweep that is open.
    pub sweep: Option<Choice>,
    /// What the zoo is sorted by.
    pub sort: Sort,
    /// Whether layers are listed by the time that they take, and not as they are executed.
    pub by_time: bool,
    /// Rows that lists are scrolled by.
    pub scroll: usize,
    /// Energy budget of the third finding, J an image; none until it is turned.
    pub budget: Option<f64>,
}

/// Everything that one screen needs to know.
pub struct App {
    options: Options,
    theme: Theme,
    live: State,
    /// What can be gone back to: the last minutes, or a whole recording.
    tape: Tape,
    /// The moment that is looked at, where that is not the newest.
    held: Option<Box<Cursor>>,
    /// How a recording is played; none where the stream is live.
    playback: Option<Playback>,
    /// When the recording began that the user asked for.
    recording: Option<Nanos>,
    wanted: Option<Config>,
    /// The newest configuration that was asked for and that no event has answered yet.
    in_flight: Option<Config>,
    /// The run whose layers were asked for.
    layered: Option<RunId>,
    outbox: Outbox,
    conduct: Option<Conduct>,
    looks: Looks,
    hint: Option<Hint>,
    pin: Option<Pin>,
    memo: Memo,
    ended: bool,
    hits: Vec<(Rect, Action)>,
    page: usize,
}

/// Commands that wait for the loop: the newest of each kind.
#[derive(Debug, Default)]
struct Outbox {
    sweep: Vec<Command>,
    run: Option<Config>,
    reset: bool,
}

impl App {
    /// An app that has heard of nothing yet.
    pub fn new(options: Options, theme: Theme) -> Self {
        Self {
            options,
            theme,
            live: State::default(),
            tape: Tape::default(),
            held: None,
            playback: None,
            recording: None,
            wanted: None,
            in_flight: None,
            layered: None,
            outbox: Outbox::default(),
            conduct: None,
            looks: Looks {
                screen: Screen::Live,
                window: 2,
                help: false,
                prompt: None,
                sweep: None,
                sort: Sort::default(),
                by_time: false,
                scroll: 0,
                budget: None,
            },
            hint: None,
            pin: None,
            memo: Memo::default(),
            ended: false,
            hits: Vec::new(),
            page: 10,
        }
    }

    /// An app that plays a recording, from `from` on the recording's clock.
    pub fn replay(options: Options, theme: Theme, tape: Tape, from: Nanos, speed: f64) -> Self {
        let mut cursor = Box::new(tape.first());
        tape.seek(&mut cursor, from);
        let at = cursor.state.now.max(from).min(tape.end());
        let playback = Playback { playing: true, speed, at, end: tape.end() };
        let options = Options { watch_only: true, ..options };
        Self { tape, held: Some(cursor), playback: Some(playback), ..Self::new(options, theme) }
    }

    /// What the stream has come to, whatever the view holds.
    pub fn state(&self) -> &State {
        &self.live
    }

    /// What the user wants measured; none before the devices are known.
    pub fn wanted(&self) -> Option<&Config> {
        self.wanted.as_ref()
    }

    /// Whether the view is held.
    pub fn frozen(&self) -> bool {
        self.held.is_some() && !self.playing()
    }

    /// Whether a recording is being played: time passes without events.
    pub fn playing(&self) -> bool {
        self.playback.is_some_and(|playback| playback.playing)
    }

    /// What is looked at.
    pub fn shown(&self) -> &State {
        self.held.as_ref().map_or(&self.live, |cursor| &cursor.state)
    }

    /// When the recording began that the user asked for; none where there is none.
    pub fn recorded_since(&mut self, began: Option<Nanos>) {
        self.recording = began;
    }

    /// Plays what a recording holds of that much more time.
    pub fn play(&mut self, elapsed: Duration) {
        let (Some(playback), Some(cursor)) = (&mut self.playback, &mut self.held) else { return };
        if playback.playing {
            let nanos = elapsed.as_secs_f64() * playback.speed * 1e9;
            playback.at = playback.at.saturating_add(nanos as Nanos).min(playback.end);
            playback.playing = playback.at < playback.end;
            self.tape.seek(cursor, playback.at);
        }
    }

    /// What the user looks at.
    pub fn looks(&self) -> &Looks {
        &self.looks
    }

    /// The commands that keys and events came to since the last call: at most one run, the newest.
    pub fn take_commands(&mut self) -> Vec<Command> {
        let outbox = std::mem::take(&mut self.outbox);
        if self.options.watch_only {
            return Vec::new();
        }
        let layers = self.wants_layers(&outbox).then_some(Command::Layers);
        let reset = outbox.reset.then_some(Command::Reset);
        let run = outbox.run.map(|config| {
            self.in_flight = Some(config.clone());
            Command::Run { config }
        });
        outbox.sweep.into_iter().chain(run).chain(reset).chain(layers).collect()
    }

    /// Whether to ask for the layers of the run in progress: once, as soon as it is steady and somebody looks at them.
    fn wants_layers(&mut self, outbox: &Outbox) -> bool {
        let Some(run) = self.live.run.as_ref().filter(|run| run.phase == Phase::Steady) else { return false };
        let busy = outbox.run.is_some() || self.in_flight.is_some() || self.conduct.is_some() || self.live.sweeping();
        let known = self.live.layers(&run.config).is_some() || self.layered == Some(run.id);
        if self.looks.screen != Screen::Layers || busy || known {
            return false;
        }
        self.layered = Some(run.id);
        true
    }

    /// Folds an event in; gives back whether the screen looks different for it.
    pub fn apply(&mut self, event: &Event) -> bool {
        self.tape.push(event, &self.live);
        self.live.apply(event);
        self.step(event);
        match &event.body {
            Body::Devices { .. } => self.devices_known(),
            Body::Phase(change) => self.phase(&change.config),
            // What was asked for runs already: an agent need not begin it anew to say so.
            Body::Batches(_) if self.live.run.as_ref().is_some_and(|r| self.in_flight.as_ref() == Some(&r.config)) => {
                self.in_flight = None;
            }
            Body::OutOfMemory { config, .. } | Body::Failing { config, .. } if self.answers(config) => {
                self.in_flight = None;
            }
            _ => {}
        }
        self.held.is_none()
    }

    /// The stream has ended: nothing will change any more.
    pub fn end(&mut self) {
        self.ended = self.playback.is_none();
    }

    /// Takes the steps of a sweep that follow from an event.
    fn step(&mut self, event: &Event) {
        let Some(conduct) = &mut self.conduct else { return };
        let (commands, over) = (conduct.after(&self.live, event), conduct.is_over());
        self.conduct_by(commands);
        if over {
            self.end_sweep(false);
        }
    }

    fn conduct_by(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Run { config } => self.want(config),
                other => self.outbox.sweep.push(other),
            }
        }
    }

    /// The sweep is over, or stopped: back to what was looked at before.
    fn end_sweep(&mut self, stopped: bool) {
        let Some(conduct) = self.conduct.take() else { return };
        if stopped {
            self.outbox.sweep.push(Command::EndSweep);
        }
        self.say(Level::Info, sweep::summary(&self.live, stopped));
        self.want(conduct.before);
    }

    fn begin_sweep(&mut self, choice: &Choice) {
        let Some(before) = self.wanted.clone() else { return };
        let networks = self.with_view(|view| view.networks());
        let plan = choice.plan(&before, &networks, &self.options.paper, self.live.now);
        let (conduct, commands) = Conduct::begin(plan, before, &self.live);
        self.conduct = Some(conduct);
        self.conduct_by(commands);
    }

    fn devices_known(&mut self) {
        if self.wanted.is_some() || self.options.watch_only {
            return;
        }
        let (config, note) = knobs::first(&self.options.wishes, &self.options.networks, &self.live.devices);
        if let Some(note) = note {
            self.say(Level::Warning, note);
        }
        self.wanted.clone_from(&config);
        self.outbox.run = config;
    }

    fn answers(&self, config: &Config) -> bool {
        let same = |asked: &Config| {
            asked.network == config.network
                && asked.batch == config.batch
                && asked.precision == config.precision
                && (asked.device == config.device || asked.device == "auto")
        };
        self.in_flight.as_ref().is_some_and(same)
    }

    /// The agent runs `config`: the answer to what was asked, or, when nothing is on its way, its own decision (it went
    /// back to what worked after an out-of-memory), which the knobs then follow.
    fn phase(&mut self, config: &Config) {
        if self.answers(config) {
            self.in_flight = None;
        }
        if self.in_flight.is_none() && self.outbox.run.is_none() {
            self.wanted = Some(config.clone());
        }
    }

    /// Handles a key.
    pub fn handle(&mut self, key: KeyEvent) -> Flow {
        if key.kind == KeyEventKind::Release {
            return Flow::Continue;
        }
        if self.playback.is_some() {
            // A replay's clock may stand still: what was said stays until the next key.
            self.hint = None;
        }
        let action = keymap::action(key);
        if self.looks.prompt.is_some() && !matches!(action, Some(Action::Interrupt | Action::Suspend | Action::Redraw))
        {
            self.type_batch(key);
            return Flow::Continue;
        }
        if self.looks.sweep.is_some() && !matches!(action, Some(Action::Interrupt | Action::Suspend | Action::Redraw)) {
            self.choose(key);
            return Flow::Continue;
        }
        action.map_or(Flow::Continue, |action| self.act(action))
    }

    /// Handles a key while the question for a sweep is open.
    fn choose(&mut self, key: KeyEvent) {
        let Some(choice) = &mut self.looks.sweep else { return };
        match choice.press(key.code) {
            Answer::Open => {}
            Answer::Never => self.looks.sweep = None,
            Answer::Begin => {
                if let Some(choice) = self.looks.sweep.take() {
                    self.begin_sweep(&choice);
                }
            }
        }
    }

    /// Handles a click or a turn of the wheel.
    pub fn mouse(&mut self, mouse: MouseEvent) -> Flow {
        let at = (mouse.column, mouse.row).into();
        let action = match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => {
                self.hits.iter().find(|(area, _)| area.contains(at)).map(|(_, action)| *action)
            }
            _ => None,
        };
        match action {
            Some(action) if self.looks.prompt.is_none() && self.looks.sweep.is_none() => self.act(action),
            _ => Flow::Continue,
        }
    }

    fn act(&mut self, action: Action) -> Flow {
        match action {
            Action::Quit => return Flow::Exit(Exit::Quit),
            Action::Interrupt => return Flow::Exit(Exit::Interrupted),
            Action::Suspend => return Flow::Suspend,
            Action::Redraw => return Flow::Redraw,
            Action::Freeze => self.freeze(),
            Action::Pin => self.pin(),
            Action::Seek(seek) => self.seek(seek),
            Action::Slower => self.change_speed(0.5),
            Action::Faster => self.change_speed(2.0),
            Action::Record if self.playback.is_none() => return Flow::Record,
            Action::Reset if self.knobs_turn() => self.outbox.reset = true,
            Action::ZoomIn => self.looks.window = self.looks.window.saturating_sub(1),
            Action::ZoomOut => self.looks.window = (self.looks.window + 1).min(WINDOWS.len() - 1),
            Action::Show(screen) => self.show(screen),
            Action::ScreenNext => self.show(self.looks.screen.step(true)),
            Action::ScreenBack => self.show(self.looks.screen.step(false)),
            Action::SortNext => self.sort(self.looks.sort.step(screens::zoo::COLUMNS.len(), true)),
            Action::SortBack => self.sort(self.looks.sort.step(screens::zoo::COLUMNS.len(), false)),
            Action::SortBy(column) => self.sort(self.looks.sort.by(column)),
            Action::SortReverse => self.sort(Sort { reversed: !self.looks.sort.reversed, ..self.looks.sort }),
            Action::BudgetDown => self.budget(-1.0),
            Action::BudgetUp => self.budget(1.0),
            Action::PageUp => self.looks.scroll = self.looks.scroll.saturating_sub(self.page),
            Action::PageDown => self.looks.scroll = self.looks.scroll.saturating_add(self.page),
            Action::Help => self.help(!self.looks.help),
            Action::Close if !self.looks.help && self.conduct.is_some() => self.end_sweep(true),
            Action::Close => self.help(false),
            Action::Sweep if self.knobs_turn() => self.looks.sweep = Some(Choice::default()),
            Action::BatchPrompt if self.knobs_turn() => self.looks.prompt = Some(Prompt::default()),
            turn => self.turn(turn),
        }
        Flow::Continue
    }

    /// Turns the energy budget, which goes on from what the screen shows.
    fn budget(&mut self, steps: f64) {
        match self.with_view(screens::findings::budget) {
            Some(budget) if self.looks.screen == Screen::Findings => {
                self.looks.budget = Some(budget * 10f64.powf(steps / BUDGET_STEPS));
            }
            Some(_) => self.say(Level::Info, "the energy budget is on the findings screen".to_owned()),
            None => self.say(Level::Info, "no energy was measured yet".to_owned()),
        }
    }

    fn show(&mut self, screen: Screen) {
        self.looks.screen = screen;
        self.looks.scroll = 0;
        self.looks.help = false;
    }

    fn help(&mut self, open: bool) {
        self.looks.help = open;
        self.looks.scroll = 0;
    }

    /// Holds the view or lets it go; pauses a replay or plays on, from the beginning where it is at its end.
    fn freeze(&mut self) {
        if let Some(playback) = self.playback {
            if playback.at == playback.end {
                self.seek(Seek::Begin);
            }
            self.playback = Some(Playback { at: self.at(), playing: !playback.playing, ..playback });
            return;
        }
        self.held = match self.held.take() {
            Some(_) => None,
            None => Some(Box::new(self.tape.last(self.live.clone()))),
        };
    }

    /// Sorts, where there is something to sort. Layers have two orders, and every key goes to the other.
    fn sort(&mut self, sort: Sort) {
        match self.looks.screen {
            Screen::Zoo => self.looks.sort = sort,
            Screen::Layers => self.looks.by_time = !self.looks.by_time,
            _ => return,
        }
        self.looks.scroll = 0;
    }

    /// Pins what is seen, or unpins it.
    fn pin(&mut self) {
        let state = self.shown();
        let config = state.run.as_ref().map(|r| &r.config);
        let pinned = self.pin.as_ref().map(|p| &p.result.config);
        if config.is_some() && pinned == config {
            self.pin = None;
            return self.say(Level::Info, "unpinned".to_owned());
        }
        let Some(result) = state.current_result() else {
            return self.say(Level::Info, "nothing to pin yet: c pins what is steady".to_owned());
        };
        let title = state.networks.get(&result.config.network).map(|f| f.title.clone());
        let pin = Pin { title: title.unwrap_or_else(|| result.config.network.clone()), result };
        let text = format!("pinned as A: {}; now turn a knob, and c on A unpins it", pin.name(None));
        self.pin = Some(pin);
        self.say(Level::Info, text);
    }

    /// The moment that is looked at.
    fn at(&self) -> Nanos {
        self.playback.map_or(self.shown().now, |playback| playback.at)
    }

    /// Holds the view at another moment of what is on the tape.
    fn seek(&mut self, seek: Seek) {
        let (begin, end) = (self.tape.begin(), self.tape.end());
        let by = |seconds: i64| self.at().saturating_add_signed(seconds.saturating_mul(1_000_000_000));
        let to = match seek {
            Seek::By(seconds) => by(seconds).clamp(begin, end),
            Seek::Begin => begin,
            Seek::End => end,
        };
        let mut cursor = self.held.take().unwrap_or_else(|| Box::new(self.tape.last(self.live.clone())));
        self.tape.seek(&mut cursor, to);
        self.held = Some(cursor);
        match &mut self.playback {
            Some(playback) => playback.at = to,
            None if to == begin && to < end => {
                let earlier = format::clock(end - begin);
                self.say(
                    Level::Info,
                    format!("no more than the last {earlier} is held; `wattscope replay` has the rest"),
                );
            }
            None => {}
        }
    }

    fn change_speed(&mut self, by: f64) {
        match &mut self.playback {
            Some(playback) => playback.speed = (playback.speed * by).clamp(SLOWEST, FASTEST),
            None => self.say(Level::Info, "this is live: it has one speed".to_owned()),
        }
    }

    /// Whether knobs do anything; says so where they don't.
    fn knobs_turn(&mut self) -> bool {
        if self.options.watch_only {
            self.say(Level::Info, "this is a recording: knobs do nothing".to_owned());
        } else if self.wanted.is_none() {
            self.say(Level::Info, "waiting for the devices".to_owned());
        } else if self.conduct.is_some() {
            self.say(Level::Info, "a sweep is running: esc stops it".to_owned());
        }
        !self.options.watch_only && self.wanted.is_some() && self.conduct.is_none()
    }

    fn turn(&mut self, action: Action) {
        if !self.knobs_turn() {
            return;
        }
        let Some(old) = self.wanted.clone() else { return };
        let new = match action {
            Action::BatchDown => Config { batch: knobs::step_batch(old.batch, false), ..old.clone() },
            Action::BatchUp => Config { batch: knobs::step_batch(old.batch, true), ..old.clone() },
            Action::Batch(batch) => Config { batch, ..old.clone() },
            Action::NetworkUp => self.network(&old, -1),
            Action::NetworkDown => self.network(&old, 1),
            Action::PrecisionNext => self.precision(&old, true),
            Action::PrecisionBack => self.precision(&old, false),
            Action::DeviceNext => self.device(&old, true),
            Action::DeviceBack => self.device(&old, false),
            _ => return,
        };
        // Asking again for what failed is a wish, too: memory may be free by now.
        let failed = self.live.failures.contains_key(&new) && self.live.run.as_ref().is_none_or(|r| r.config != new);
        if new != old || failed {
            self.want(new);
        }
    }

    fn want(&mut self, config: Config) {
        self.wanted = Some(config.clone());
        self.outbox.run = Some(config);
    }

    fn network(&self, old: &Config, by: isize) -> Config {
        // On the zoo screen the list is what the user sees, in the order that they chose.
        let order = match self.looks.screen {
            Screen::Zoo => self.with_view(screens::zoo::order),
            _ => self.with_view(|view| view.networks()),
        };
        let network = knobs::step(&order, &old.network, by).cloned().unwrap_or_else(|| old.network.clone());
        Config { network, ..old.clone() }
    }

    fn precision(&mut self, old: &Config, forward: bool) -> Config {
        let device = self.live.devices.iter().find(|d| d.name == old.device);
        let precision = device.map_or(old.precision, |d| knobs::cycle_precision(old.precision, d, forward));
        if precision == old.precision {
            self.say(Level::Info, format!("{} computes in {} only", old.device, old.precision));
        }
        Config { precision, ..old.clone() }
    }

    fn device(&mut self, old: &Config, forward: bool) -> Config {
        let next =
            knobs::cycle_device(&old.device, &self.live.devices, forward).filter(|d| d.name != old.device).cloned();
        let Some(next) = next else {
            let absent = self.live.devices.iter().filter_map(|d| Some(format!("{}: {}", d.name, d.absent.as_ref()?)));
            let reasons = absent.collect::<Vec<_>>().join("; ");
            self.say(Level::Info, format!("no other device: {reasons}").trim_end_matches(": ").to_owned());
            return old.clone();
        };
        let precision = if next.precisions.contains(&old.precision) { Some(old.precision) } else { None };
        let precision = precision.or(next.precisions.first().copied()).unwrap_or(old.precision);
        Config { device: next.name, precision, ..old.clone() }
    }

    fn type_batch(&mut self, key: KeyEvent) {
        let Some(prompt) = &mut self.looks.prompt else { return };
        match key.code {
            KeyCode::Char(c) if !c.is_control() && prompt.text.len() < PROMPT_DIGITS => {
                prompt.text.push(c);
                prompt.error = knobs::parse_batch(&prompt.text).err();
            }
            KeyCode::Backspace => {
                prompt.text.pop();
                prompt.error = None;
            }
            KeyCode::Esc => self.looks.prompt = None,
            KeyCode::Enter => match knobs::parse_batch(&prompt.text) {
                Ok(batch) => {
                    self.looks.prompt = None;
                    self.turn(Action::Batch(batch));
                }
                Err(error) => prompt.error = Some(error),
            },
            _ => {}
        }
    }

    /// Says something that the user should read.
    pub fn say(&mut self, level: Level, text: String) {
        self.hint = Some(Hint { t: self.live.now, level, text });
    }

    fn with_view<T>(&self, f: impl FnOnce(&View<'_>) -> T) -> T {
        let view = View::new(self.shown(), self.theme, &self.looks, &self.options);
        f(&View {
            wanted: self.wanted.as_ref(),
            frozen: self.frozen(),
            live: self.live.now,
            recording: self.recording,
            playback: self.playback.as_ref(),
            ended: self.ended,
            hint: self.hint.as_ref().filter(|h| self.live.now.saturating_sub(h.t) < HINT_FOR),
            conducting: self.conduct.is_some(),
            in_flight: self.in_flight.is_some() || self.outbox.run.is_some(),
            pin: self.pin.as_ref(),
            memo: Some(&self.memo),
            ..view
        })
    }

    /// Draws the screen.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let buffer = frame.buffer_mut();
        let drawn = self.with_view(|view| screens::draw(view, area, buffer));
        self.theme.sweep(buffer);
        self.hits = if self.options.no_mouse { Vec::new() } else { drawn.hits };
        self.page = drawn.page.max(1);
        self.looks.scroll = self.looks.scroll.min(drawn.last_page);
    }
}

/// Slowest replay, times the speed of life.
pub const SLOWEST: f64 = 1.0 / 16.0;

/// Fastest replay: more would skip what happens between two frames.
pub const FASTEST: f64 = 256.0;

/// How long a hint is shown.
pub const HINT_FOR: Nanos = 10_000_000_000;
