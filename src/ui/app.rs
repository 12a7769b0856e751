//! The state of the program: events are folded in, keys and clicks change it, frames are drawn from it, and commands for
//! the agents come out of it.
//!
//! It reads no terminal and no clock. Events, keys and elapsed time are passed in, so that a test can play the user.

use super::{
    action::{Action, Seek},
    analysis_cache::AnalysisCache,
    batch_prompt::{BatchPrompt, Entry},
    exit::Exit,
    frame, keymap, knobs,
    options::Options,
    pin::{Pin, PinnedStation},
    screen::{Response, Screen},
    screens,
    stations::Stations,
    sweep_dialog::{Answer, SweepDialog},
    theme::Theme,
    timeline::Timeline,
    view::{HINT_FOR, Hint, View},
    view_state::ViewState,
};
use crate::{
    agent::fleet::Addressed,
    event::{Config, Event, Level, Nanos, Tagged},
    format,
    session::{Fleet, State, replay::Player},
};
use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use ratatui::{Frame, layout::Rect};
use std::time::Duration;

/// What the event loop does after a key or a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on.
    Continue,
    /// Gives the terminal back and stops the process until the shell continues it.
    Suspend,
    /// Redraws every cell.
    Redraw,
    /// Starts or stops a recording.
    Record,
    /// Ends the program.
    Exit(Exit),
}

/// The state of the program.
pub struct App {
    options: Options,
    theme: Theme,
    /// The states of all stations, at the newest event.
    live: Fleet,
    timeline: Timeline,
    stations: Stations,
    /// The number of the station that the user selected.
    focus: usize,
    ui: ViewState,
    /// When the recording began that the user asked for, ns.
    recording: Option<Nanos>,
    hint: Option<Hint>,
    pin: Option<PinnedStation>,
    analysis: AnalysisCache,
    /// Whether the stream has ended.
    ended: bool,
    /// What can be clicked in the last frame.
    click_targets: Vec<(Rect, Action)>,
}

impl App {
    /// An app before any event.
    pub fn new(options: Options, theme: Theme) -> Self {
        let live = Fleet::of(options.stations.len());
        let metrics = options.metrics.as_ref().map(|url| format!("metrics: {url}"));
        Self {
            stations: Stations::new(live.len()),
            live,
            options,
            theme,
            timeline: Timeline::default(),
            focus: 0,
            ui: ViewState::default(),
            recording: None,
            hint: metrics.map(|text| Hint { t: 0, level: Level::Info, text }),
            pin: None,
            analysis: AnalysisCache::default(),
            ended: false,
            click_targets: Vec::new(),
        }
    }

    /// An app that replays a recording, from `from` on the recording's clock, `speed` times as fast as real time.
    pub fn replay(options: Options, theme: Theme, recording: Player, from: Nanos, speed: f64) -> Self {
        let options = Options { watch_only: true, ..options };
        Self { timeline: Timeline::replay(recording, from, speed), ..Self::new(options, theme) }
    }

    /// The states of all stations at the newest event, whatever moment is shown.
    pub const fn fleet(&self) -> &Fleet {
        &self.live
    }

    /// The state of the selected station at the newest event.
    pub fn state(&self) -> &State {
        &self.live[self.focus]
    }

    /// The state of the selected station at the moment that is shown.
    pub fn shown(&self) -> &State {
        &self.shown_fleet()[self.focus]
    }

    fn shown_fleet(&self) -> &Fleet {
        self.timeline.shown(&self.live)
    }

    /// The configuration that the user wants measured on the selected station; none before its devices are known.
    pub fn wanted(&self) -> Option<&Config> {
        self.stations.wanted(self.focus)
    }

    /// Whether the view stands still.
    pub fn frozen(&self) -> bool {
        self.timeline.is_frozen()
    }

    /// Whether a replay is playing: time passes without events.
    pub fn playing(&self) -> bool {
        self.timeline.is_playing()
    }

    /// What the user chose to look at.
    pub const fn view_state(&self) -> &ViewState {
        &self.ui
    }

    /// Notes when the recording began that the user asked for, ns; none where nothing is recorded.
    pub const fn recorded_since(&mut self, began: Option<Nanos>) {
        self.recording = began;
    }

    /// Plays a replay on by so much real time.
    pub fn advance(&mut self, elapsed: Duration) {
        self.timeline.advance(elapsed);
    }

    /// The commands that follow from keys and events since the last call, station by station.
    pub fn take_commands(&mut self) -> Vec<Addressed> {
        if self.screen().times_layers {
            self.stations.request_layers(self.focus, &self.live[self.focus]);
        }
        let commands = self.stations.take_commands();
        if self.options.watch_only { Vec::new() } else { commands }
    }

    /// Folds in an event of the first station, as [`Self::apply_tagged`] does.
    pub fn apply(&mut self, event: &Event) -> bool {
        self.apply_tagged(&event.into())
    }

    /// Folds in an event of any station; gives whether the screen may look different.
    pub fn apply_tagged(&mut self, tagged: &Tagged) -> bool {
        self.timeline.push(tagged, &self.live);
        self.live.apply(tagged);
        self.stations.grow(self.live.len());
        let (on, event) = (usize::from(tagged.station), &tagged.event);
        if let Some(summary) = self.stations.step_sweep(on, &self.live[on], event) {
            self.hint(Level::Info, self.with_station(on, summary));
        }
        if let Some(warning) = self.stations.begin(on, event, &self.live, &self.options) {
            self.hint(Level::Warning, warning);
        }
        self.stations.follow(on, &self.live[on], event);
        self.timeline.is_live()
    }

    /// Notes that the stream has ended: no event will come any more.
    pub const fn end(&mut self) {
        self.ended = self.timeline.playback().is_none();
    }

    /// Handles a key.
    pub fn handle(&mut self, key: KeyEvent) -> Flow {
        if key.kind == KeyEventKind::Release {
            return Flow::Continue;
        }
        if self.timeline.playback().is_some() {
            // The clock of a replay may stand still: a hint stays until the next key.
            self.hint = None;
        }
        let action = keymap::action(key);
        // An open dialog takes every key but these.
        if !matches!(action, Some(Action::Interrupt | Action::Suspend | Action::Redraw)) {
            if let Some(prompt) = &mut self.ui.prompt {
                let entry = prompt.press(key.code);
                self.prompted(entry);
                return Flow::Continue;
            }
            if let Some(dialog) = &mut self.ui.sweep {
                let answer = dialog.press(key.code);
                self.answered(answer);
                return Flow::Continue;
            }
        }
        action.map_or(Flow::Continue, |action| self.act(action))
    }

    /// Handles a click.
    pub fn mouse(&mut self, mouse: MouseEvent) -> Flow {
        let at = (mouse.column, mouse.row).into();
        let target = match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => self.click_targets.iter().find(|(area, _)| area.contains(at)),
            _ => None,
        };
        match target {
            Some((_, action)) if self.ui.prompt.is_none() && self.ui.sweep.is_none() => self.act(*action),
            _ => Flow::Continue,
        }
    }

    /// Carries out an action: the screen's own answer comes first.
    fn act(&mut self, action: Action) -> Flow {
        if let Some(response) = self.screen_response(action) {
            self.respond(response);
            return Flow::Continue;
        }
        match action {
            Action::Quit => return Flow::Exit(Exit::Quit),
            Action::Interrupt => return Flow::Exit(Exit::Interrupted),
            Action::Suspend => return Flow::Suspend,
            Action::Redraw => return Flow::Redraw,
            Action::Record if self.timeline.playback().is_none() => return Flow::Record,
            Action::Freeze => self.timeline.toggle_freeze(&self.live),
            Action::Pin => self.toggle_pin(),
            Action::Seek(seek) => self.seek(seek),
            Action::Slower => self.change_speed(0.5),
            Action::Faster => self.change_speed(2.0),
            Action::Reset if self.knobs_turn() => self.stations.reset(),
            Action::ZoomIn => self.ui.zoom(true),
            Action::ZoomOut => self.ui.zoom(false),
            Action::Show(screen) => self.ui.show(screen),
            Action::ScreenNext => self.ui.show(screens::step(self.ui.screen, true)),
            Action::ScreenBack => self.ui.show(screens::step(self.ui.screen, false)),
            Action::DeviceNext if self.shown_fleet().is_several() => self.select_station(self.beside(1)),
            Action::DeviceBack if self.shown_fleet().is_several() => self.select_station(self.beside(-1)),
            Action::Station(station) => self.select_station(station),
            Action::PageUp => self.ui.scroll = self.ui.scroll.saturating_sub(self.ui.page),
            Action::PageDown => self.ui.scroll = self.ui.scroll.saturating_add(self.ui.page),
            Action::Help => self.ui.set_help(!self.ui.help),
            Action::Close if !self.ui.help && self.stations.drives_sweep() => self.stop_sweeps(),
            Action::Close => self.ui.set_help(false),
            Action::Sweep if self.knobs_turn() => self.ui.sweep = Some(SweepDialog::default()),
            Action::BatchPrompt if self.knobs_turn() => self.ui.prompt = Some(BatchPrompt::default()),
            // The screen that is shown has no table and no limit.
            Action::SortNext | Action::SortBack | Action::SortBy(_) | Action::SortReverse => {}
            Action::BudgetDown | Action::BudgetUp => {}
            knob => self.turn(knob),
        }
        Flow::Continue
    }

    /// The screen that is shown.
    fn screen(&self) -> &'static Screen {
        screens::get(self.ui.screen)
    }

    /// What the screen that is shown answers to an action, or the hint of another one whose action it is.
    fn screen_response(&self, action: Action) -> Option<Response> {
        self.with_view(|view| {
            let own = (self.screen().respond)(view, action);
            own.or_else(|| screens::elsewhere(view, action).map(|hint| Response::Hint(hint.to_owned())))
        })
    }

    fn respond(&mut self, response: Response) {
        match response {
            Response::Sort(sort) => self.ui.sort(sort),
            Response::Limit(limit) => self.ui.set_limit(limit),
            Response::Station(station) => self.select_station(station),
            Response::Hint(text) => self.hint(Level::Info, text),
        }
    }

    /// Follows a key in the prompt for a batch size.
    fn prompted(&mut self, entry: Entry) {
        if entry != Entry::Open {
            self.ui.prompt = None;
        }
        if let Entry::Batch(batch) = entry {
            self.turn(Action::Batch(batch));
        }
    }

    /// Follows a key in the sweep dialog.
    fn answered(&mut self, answer: Answer) {
        if answer == Answer::Open {
            return;
        }
        if let Some(dialog) = self.ui.sweep.take().filter(|_| answer == Answer::Start) {
            let networks = self.with_view(|view| view.networks());
            let paper = &self.options.paper;
            self.stations.start_sweep(&self.live, |config, seed| dialog.plan(config, &networks, paper, seed));
        }
    }

    /// Stops the sweep on every station.
    fn stop_sweeps(&mut self) {
        for (on, summary) in self.stations.stop_sweeps(&self.live) {
            self.hint(Level::Info, self.with_station(on, summary));
        }
    }

    /// The number of the station `by` places after the selected one, wrapping around.
    fn beside(&self, by: isize) -> usize {
        let n = self.shown_fleet().len() as isize;
        (self.focus as isize + by).rem_euclid(n) as usize
    }

    /// Selects a station for all screens; the last one where there are fewer.
    fn select_station(&mut self, station: usize) {
        self.focus = station.min(self.shown_fleet().len() - 1);
        self.analysis = AnalysisCache::default();
        self.ui.scroll = 0;
    }

    /// Pins the configuration that is shown, or unpins it.
    fn toggle_pin(&mut self) {
        let state = self.shown();
        let config = state.run.as_ref().map(|r| &r.config);
        let pinned = self.pin.as_ref().filter(|p| p.on == self.focus).map(|p| p.config());
        if config.is_some() && pinned == config {
            self.pin = None;
            return self.hint(Level::Info, "unpinned".to_owned());
        }
        let Some(result) = state.current_result() else {
            return self.hint(Level::Info, "nothing to pin yet: c pins what is steady".to_owned());
        };
        let title = state.networks.get(&result.config.network).map(|f| f.title.clone());
        let pin = Pin { title: title.unwrap_or_else(|| result.config.network.clone()), result, elsewhere: None };
        let text = format!("pinned as A: {}; now turn a knob, and c on A unpins it", pin.name(None));
        let station = self.shown_fleet().names(true).swap_remove(self.focus);
        self.pin = Some(PinnedStation::new(pin, self.focus, station));
        self.hint(Level::Info, text);
    }

    fn seek(&mut self, seek: Seek) {
        if let Some(held) = self.timeline.seek(seek, &self.live) {
            let text =
                format!("no more than the last {} is held; `wattscope replay` has the rest", format::clock(held));
            self.hint(Level::Info, text);
        }
    }

    fn change_speed(&mut self, by: f64) {
        if !self.timeline.change_speed(by) {
            self.hint(Level::Info, "this is live: only a replay has a speed".to_owned());
        }
    }

    /// Whether knobs do anything now; tells the user why not.
    fn knobs_turn(&mut self) -> bool {
        let why_not = if self.options.watch_only {
            "this is a recording: knobs do nothing"
        } else if self.wanted().is_none() {
            "waiting for the devices"
        } else if self.stations.drives_sweep() {
            "a sweep is running: esc stops it"
        } else {
            return true;
        };
        self.hint(Level::Info, why_not.to_owned());
        false
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
        self.stations.turn(&new, &self.live);
    }

    /// The network `by` rows below, in the order of the screen that is shown.
    fn network(&self, old: &Config, by: isize) -> Config {
        let order = self.with_view(self.screen().networks);
        let network = knobs::step(&order, &old.network, by).cloned().unwrap_or_else(|| old.network.clone());
        Config { network, ..old.clone() }
    }

    fn precision(&mut self, old: &Config, forward: bool) -> Config {
        let device = self.state().devices.iter().find(|d| d.name == old.device);
        let precision = device.map_or(old.precision, |d| knobs::cycle_precision(old.precision, d, forward));
        if precision == old.precision {
            self.hint(Level::Info, format!("{} computes in {} only", old.device, old.precision));
        }
        Config { precision, ..old.clone() }
    }

    /// Goes to the next or previous device of the only station.
    fn device(&mut self, old: &Config, forward: bool) {
        let devices = &self.state().devices;
        let next = knobs::cycle_device(&old.device, devices, forward).filter(|d| d.name != old.device).cloned();
        let Some(next) = next else {
            let absent = devices.iter().filter_map(|d| Some(format!("{}: {}", d.name, d.absent.as_ref()?)));
            let reasons = absent.collect::<Vec<_>>().join("; ");
            let text = format!("no other device: {reasons}").trim_end_matches(": ").to_owned();
            return self.hint(Level::Info, text);
        };
        let precision = if next.precisions.contains(&old.precision) { Some(old.precision) } else { None };
        let precision = precision.or(next.precisions.first().copied()).unwrap_or(old.precision);
        self.stations.want(&Config { device: next.name, precision, ..old.clone() });
    }

    /// Shows a message to the user.
    pub fn hint(&mut self, level: Level, text: String) {
        self.hint = Some(Hint { t: self.live.now(), level, text });
    }

    /// A message about a station, with its name where there are several.
    fn with_station(&self, on: usize, text: String) -> String {
        match self.live.is_several() {
            true => format!("{}: {text}", self.live.names(true)[on]),
            false => text,
        }
    }

    fn with_view<T>(&self, f: impl FnOnce(&View<'_>) -> T) -> T {
        let view = View::new(self.shown_fleet(), self.theme, &self.ui, &self.options);
        let view = View {
            controls: self.stations.controls(),
            focus: self.focus.min(self.shown_fleet().len() - 1),
            frozen: self.frozen(),
            live: self.live.now(),
            recording: self.recording,
            playback: self.timeline.playback(),
            ended: self.ended,
            hint: self.hint.as_ref().filter(|h| self.live.now().saturating_sub(h.t) < HINT_FOR),
            pinned: self.pin.as_ref(),
            analysis: Some(&self.analysis),
            ..view
        };
        f(&view.of(view.focus))
    }

    /// Draws a frame.
    pub fn draw(&mut self, terminal_frame: &mut Frame<'_>) {
        let area = terminal_frame.area();
        let buffer = terminal_frame.buffer_mut();
        let drawn = self.with_view(|view| frame::draw(view, area, buffer));
        self.theme.force_ascii(buffer);
        self.click_targets = if self.options.no_mouse { Vec::new() } else { drawn.click_targets };
        self.ui.page = drawn.page.max(1);
        self.ui.scroll = self.ui.scroll.min(drawn.last_page);
    }
}
