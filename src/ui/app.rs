//! The screen's own state: what is wanted, what is shown, and which commands follow from keys and events.
//!
//! It knows no terminal and no clock: keys, events and frames are handed to it, so that a test can be its user.

use super::{
    Exit, Options, Wishes,
    desk::Desk,
    format,
    keymap::{self, Action, Seek},
    knobs,
    memo::Memo,
    pin::{Pin, Pinned},
    screens::{self, Screen},
    sweep::{self, Answer, Choice, Conduct},
    theme::Theme,
    view::{Hint, Playback, View},
};
use crate::{
    agent::fleet::Addressed,
    event::{Body, Command, Config, Event, Level, Nanos, Tagged},
    session::{
        Fleet, State,
        replay::{Cursor, Player},
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
    live: Fleet,
    /// What can be gone back to: the last minutes, or a whole recording.
    tape: Player,
    /// The moment that is looked at, where that is not the newest.
    held: Option<Box<Cursor>>,
    /// How a recording is played; none where the stream is live.
    playback: Option<Playback>,
    /// When the recording began that the user asked for.
    recording: Option<Nanos>,
    /// The knobs of every station.
    desks: Vec<Desk>,
    /// The station that all screens are of.
    focus: usize,
    looks: Looks,
    hint: Option<Hint>,
    pin: Option<Pinned>,
    memo: Memo,
    ended: bool,
    hits: Vec<(Rect, Action)>,
    page: usize,
}

impl App {
    /// An app that has heard of nothing yet.
    pub fn new(options: Options, theme: Theme) -> Self {
        let live = Fleet::of(options.stations.len());
        Self {
            desks: live.stations().iter().map(|_| Desk::default()).collect(),
            focus: 0,
            live,
            options,
            theme,
            tape: Player::default(),
            held: None,
            playback: None,
            recording: None,
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
    pub fn replay(options: Options, theme: Theme, tape: Player, from: Nanos, speed: f64) -> Self {
        let mut cursor = Box::new(tape.first());
        tape.seek(&mut cursor, from);
        let at = cursor.fleet.now().max(from).min(tape.end());
        let playback = Playback { playing: true, speed, at, end: tape.end() };
        let options = Options { watch_only: true, ..options };
        Self { tape, held: Some(cursor), playback: Some(playback), ..Self::new(options, theme) }
    }

    /// What the stream of every station has come to, whatever the view holds.
    pub const fn fleet(&self) -> &Fleet {
        &self.live
    }

    /// The same of the station that is looked at.
    pub fn state(&self) -> &State {
        &self.live[self.focus]
    }

    /// What the user wants measured there; none before the devices are known.
    pub fn wanted(&self) -> Option<&Config> {
        self.desks.get(self.focus)?.wanted.as_ref()
    }

    /// Whether the view is held.
    pub fn frozen(&self) -> bool {
        self.held.is_some() && !self.playing()
    }

    /// Whether a recording is being played: time passes without events.
    pub fn playing(&self) -> bool {
        self.playback.is_some_and(|playback| playback.playing)
    }

    /// What is looked at, of every station.
    fn shown_fleet(&self) -> &Fleet {
        self.held.as_ref().map_or(&self.live, |cursor| &cursor.fleet)
    }

    /// What is looked at.
    pub fn shown(&self) -> &State {
        &self.shown_fleet()[self.focus]
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

    /// The commands that keys and events came to since the last call, station by station.
    pub fn take_orders(&mut self) -> Vec<Addressed> {
        self.ask_for_layers();
        let desks = (0..).zip(&mut self.desks);
        let orders = desks.flat_map(|(on, desk)| desk.take_commands().into_iter().map(move |c| Addressed::to(on, c)));
        let orders: Vec<_> = orders.collect();
        if self.options.watch_only { Vec::new() } else { orders }
    }

    /// Asks for the layers of what runs on the station whose layers somebody looks at.
    fn ask_for_layers(&mut self) {
        if self.looks.screen == Screen::Layers
            && let Some(desk) = self.desks.get_mut(self.focus)
        {
            desk.ask_for_layers(&self.live[self.focus]);
        }
    }

    /// Folds an event of the first station in, as [`Self::hear`] does.
    pub fn apply(&mut self, event: &Event) -> bool {
        self.hear(&event.into())
    }

    /// Folds an event in; gives back whether the screen looks different for it.
    pub fn hear(&mut self, tagged: &Tagged) -> bool {
        self.tape.push(tagged, &self.live);
        self.live.apply(tagged);
        self.desks.resize_with(self.live.len(), Desk::default);
        let (on, event) = (usize::from(tagged.station), &tagged.event);
        if on < self.desks.len() {
            self.step(on, event);
            if matches!(event.body, Body::Devices { .. }) {
                self.devices_known(on);
            }
            self.desks[on].hear(&self.live[on], event);
        }
        self.held.is_none()
    }

    /// The stream has ended: nothing will change any more.
    pub fn end(&mut self) {
        self.ended = self.playback.is_none();
    }

    /// Takes the steps of a sweep that follow from an event.
    fn step(&mut self, on: usize, event: &Event) {
        let desk = &mut self.desks[on];
        let Some(conduct) = &mut desk.conduct else { return };
        let (commands, over) = (conduct.after(&self.live[on], event), conduct.is_over());
        desk.conduct_by(commands);
        if over {
            self.end_sweep(on, false);
        }
    }

    /// The sweep of a station is over, or stopped: back to what was looked at before.
    fn end_sweep(&mut self, on: usize, stopped: bool) {
        let Some(conduct) = self.desks[on].conduct.take() else { return };
        if stopped {
            self.desks[on].conduct_by(vec![Command::EndSweep]);
        }
        let summary = sweep::summary(&self.live[on], stopped);
        self.say(Level::Info, self.of_station(on, summary));
        self.desks[on].want(conduct.before);
    }

    /// Begins a sweep on every station.
    fn begin_sweep(&mut self, choice: &Choice) {
        let networks = self.with_view(|view| view.networks());
        for (on, desk) in self.desks.iter_mut().enumerate() {
            let Some(before) = desk.wanted.clone() else { continue };
            let plan = choice.plan(&before, &networks, &self.options.paper, self.live.now());
            let (conduct, commands) = Conduct::begin(plan, before, &self.live[on]);
            desk.conduct = Some(conduct);
            desk.conduct_by(commands);
        }
    }

    fn devices_known(&mut self, on: usize) {
        if self.options.watch_only {
            return;
        }
        let wishes = Wishes {
            device: self.options.stations.get(on).cloned().or_else(|| self.options.wishes.device.clone()),
            ..self.options.wishes.clone()
        };
        let alone = !self.live.is_several();
        if let Some(note) = self.desks[on].begin(&wishes, &self.options.networks, &self.live[on], alone) {
            self.say(Level::Warning, note);
        }
    }

    /// What is said of a station, with its name where there are several.
    fn of_station(&self, on: usize, text: String) -> String {
        match self.live.is_several() {
            true => format!("{}: {text}", self.live.names(true)[on]),
            false => text,
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
            Action::Reset if self.knobs_turn() => self.desks.iter_mut().for_each(Desk::reset),
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
            Action::DeviceNext if self.shown_fleet().is_several() => self.look_at(self.beside(1)),
            Action::DeviceBack if self.shown_fleet().is_several() => self.look_at(self.beside(-1)),
            Action::Station(station) => self.look_at(station),
            Action::PageUp if self.pages_of_stations() => self.look_at(self.focus.saturating_sub(self.page)),
            Action::PageDown if self.pages_of_stations() => self.look_at(self.focus + self.page),
            Action::PageUp => self.looks.scroll = self.looks.scroll.saturating_sub(self.page),
            Action::PageDown => self.looks.scroll = self.looks.scroll.saturating_add(self.page),
            Action::Help => self.help(!self.looks.help),
            Action::Close if !self.looks.help && self.conducting() => {
                (0..self.desks.len()).for_each(|on| self.end_sweep(on, true));
            }
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

    /// Whether the screen runs a sweep.
    fn conducting(&self) -> bool {
        self.desks.iter().any(|desk| desk.conduct.is_some())
    }

    /// Whether a page is one of columns of stations.
    fn pages_of_stations(&self) -> bool {
        self.looks.screen == Screen::Live && !self.looks.help && self.shown_fleet().is_several()
    }

    /// The station some places further, around the ends.
    fn beside(&self, by: isize) -> usize {
        let n = self.shown_fleet().len() as isize;
        (self.focus as isize + by).rem_euclid(n) as usize
    }

    /// Shows another station on all screens; the last one beyond that.
    fn look_at(&mut self, station: usize) {
        self.focus = station.min(self.shown_fleet().len() - 1);
        self.memo = Memo::default();
        if self.looks.screen != Screen::Live {
            self.looks.scroll = 0;
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
        let pinned = self.pin.as_ref().filter(|p| p.on == self.focus).map(|p| p.config());
        if config.is_some() && pinned == config {
            self.pin = None;
            return self.say(Level::Info, "unpinned".to_owned());
        }
        let Some(result) = state.current_result() else {
            return self.say(Level::Info, "nothing to pin yet: c pins what is steady".to_owned());
        };
        let title = state.networks.get(&result.config.network).map(|f| f.title.clone());
        let pin = Pin { title: title.unwrap_or_else(|| result.config.network.clone()), result, elsewhere: None };
        let text = format!("pinned as A: {}; now turn a knob, and c on A unpins it", pin.name(None));
        let station = self.shown_fleet().names(true).swap_remove(self.focus);
        self.pin = Some(Pinned::new(pin, self.focus, station));
        self.say(Level::Info, text);
    }

    /// The moment that is looked at.
    fn at(&self) -> Nanos {
        self.playback.map_or_else(|| self.shown_fleet().now(), |playback| playback.at)
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
        } else if self.wanted().is_none() {
            self.say(Level::Info, "waiting for the devices".to_owned());
        } else if self.conducting() {
            self.say(Level::Info, "a sweep is running: esc stops it".to_owned());
        }
        !self.options.watch_only && self.wanted().is_some() && !self.conducting()
    }

    /// Turns a knob, on every station.
    fn turn(&mut self, action: Action) {
        if !self.knobs_turn() {
            return;
        }
        let Some(old) = self.wanted().cloned() else { return };
        let new = match action {
            Action::BatchDown => Config { batch: knobs::step_batch(old.batch, false), ..old },
            Action::BatchUp => Config { batch: knobs::step_batch(old.batch, true), ..old },
            Action::Batch(batch) => Config { batch, ..old },
            Action::NetworkUp => self.network(&old, -1),
            Action::NetworkDown => self.network(&old, 1),
            Action::PrecisionNext => self.precision(&old, true),
            Action::PrecisionBack => self.precision(&old, false),
            Action::DeviceNext => return self.device(&old, true),
            Action::DeviceBack => return self.device(&old, false),
            _ => return,
        };
        self.desks.iter_mut().zip(self.live.stations()).for_each(|(desk, state)| desk.turn(&new, state));
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
        let device = self.state().devices.iter().find(|d| d.name == old.device);
        let precision = device.map_or(old.precision, |d| knobs::cycle_precision(old.precision, d, forward));
        if precision == old.precision {
            self.say(Level::Info, format!("{} computes in {} only", old.device, old.precision));
        }
        Config { precision, ..old.clone() }
    }

    /// Goes on to another device of the only station.
    fn device(&mut self, old: &Config, forward: bool) {
        let devices = &self.state().devices;
        let next = knobs::cycle_device(&old.device, devices, forward).filter(|d| d.name != old.device).cloned();
        let Some(next) = next else {
            let absent = devices.iter().filter_map(|d| Some(format!("{}: {}", d.name, d.absent.as_ref()?)));
            let reasons = absent.collect::<Vec<_>>().join("; ");
            return self.say(Level::Info, format!("no other device: {reasons}").trim_end_matches(": ").to_owned());
        };
        let precision = if next.precisions.contains(&old.precision) { Some(old.precision) } else { None };
        let precision = precision.or(next.precisions.first().copied()).unwrap_or(old.precision);
        let new = Config { device: next.name, precision, ..old.clone() };
        self.desks.iter_mut().for_each(|desk| desk.want(new.clone()));
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
        self.hint = Some(Hint { t: self.live.now(), level, text });
    }

    fn with_view<T>(&self, f: impl FnOnce(&View<'_>) -> T) -> T {
        let view = View::new(self.shown_fleet(), self.theme, &self.looks, &self.options);
        let view = View {
            desks: &self.desks,
            focus: self.focus.min(self.shown_fleet().len() - 1),
            frozen: self.frozen(),
            live: self.live.now(),
            recording: self.recording,
            playback: self.playback.as_ref(),
            ended: self.ended,
            hint: self.hint.as_ref().filter(|h| self.live.now().saturating_sub(h.t) < HINT_FOR),
            pinned: self.pin.as_ref(),
            memo: Some(&self.memo),
            ..view
        };
        f(&view.of(view.focus))
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
