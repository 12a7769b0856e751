//! The five screens and what surrounds them: header and tabs above, the batch rail, the status and the hints below.

pub mod findings;
pub mod fleet;
pub mod help;
pub mod layers;
pub mod link;
pub mod live;
pub mod plateau;
pub mod status;
pub mod sweep;
pub mod zoo;

use super::{
    format,
    keymap::{Action, KEYMAP},
    theme::Role,
    view::View,
    widgets::{
        batch_rail::{Known, Rail},
        pane::{Part, pack_with, place, row, row_right, text},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Screen {
    /// Four numbers and the scope.
    #[default]
    Live,
    /// Everything against batch size.
    Plateau,
    /// Every network.
    Zoo,
    /// The paper's claims.
    Findings,
    /// The current network's layers.
    Layers,
}

impl Screen {
    /// All of them, in the order of their tabs.
    pub const ALL: [Self; 5] = [Self::Live, Self::Plateau, Self::Zoo, Self::Findings, Self::Layers];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Plateau => "plateau",
            Self::Zoo => "zoo",
            Self::Findings => "findings",
            Self::Layers => "layers",
        }
    }

    /// The next one, or the one before, around the ends.
    #[must_use]
    pub fn step(self, forward: bool) -> Self {
        let n = Self::ALL.len();
        let at = self as usize;
        Self::ALL[if forward { (at + 1) % n } else { (at + n - 1) % n }]
    }
}

/// What a frame leaves behind for keys and clicks.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// What can be clicked where.
    pub hits: Vec<(Rect, Action)>,
    /// Rows that a page has.
    pub page: usize,
    /// Rows that can be scrolled at the most.
    pub last_page: usize,
}

/// Draws a frame. With few rows the ones that matter least go: tabs, hints, header, rail, status; numbers last.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let mut drawn = Drawn { page: 1, ..Drawn::default() };
    let mut body = area.intersection(buffer.area);
    if body.is_empty() {
        return drawn;
    }
    let rows = body.height;
    if rows >= 5 {
        header(view, top(&mut body), buffer);
    }
    if rows >= 9 {
        tabs(view, top(&mut body), buffer, &mut drawn);
    }
    if rows >= 20 {
        footer(view, bottom(&mut body), buffer);
    }
    let sweeping = view.sweeping();
    if sweeping && rows >= 20 {
        sweep::progress(view, bottom(&mut body), buffer);
    }
    if rows >= 2 {
        status::draw(view, bottom(&mut body), buffer);
    }
    if rows >= 4 {
        rail(view, bottom(&mut body), rows < 20, buffer, &mut drawn);
    }
    match view.looks.screen {
        Screen::Live if view.fleet.is_several() => fleet::draw(view, body, buffer, &mut drawn),
        // Where no figure has room, the numbers do.
        _ if body.width < 4 || body.height < 2 => live::draw(view, body, buffer),
        Screen::Live => live::draw(view, body, buffer),
        Screen::Plateau => plateau::draw(view, body, buffer),
        Screen::Zoo => zoo::draw(view, body, buffer, &mut drawn),
        Screen::Findings => findings::draw(view, body, buffer, &mut drawn),
        Screen::Layers => layers::draw(view, body, buffer, &mut drawn),
    }
    if let Some(choice) = &view.looks.sweep {
        let area = if rows < 9 { Rect { y: area.bottom() - 1, height: 1, ..area } } else { area };
        sweep::ask(view, choice, area, buffer);
    }
    if view.looks.help {
        help::draw(view, area, buffer, &mut drawn);
    }
    drawn
}

/// Takes the first row away.
pub fn top(area: &mut Rect) -> Rect {
    let row = Rect { height: 1.min(area.height), ..*area };
    area.y += row.height;
    area.height -= row.height;
    row
}

/// Takes the last row away.
pub fn bottom(area: &mut Rect) -> Rect {
    let height = 1.min(area.height);
    area.height -= height;
    Rect { y: area.bottom(), height, ..*area }
}

fn header(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let mut left = vec![Part::new(4, Role::Title, " wattscope  ")];
    match view.config() {
        Some(config) => {
            let px = view.facts(&config.network).filter(|f| f.input_px > 0).map(|f| format!("{}²", f.input_px));
            left.push(Part::new(0, Role::Strong, format!(" {}", view.title(&config.network))).joined());
            left.push(Part::new(3, Role::Plain, px.unwrap_or_default()));
            left.push(Part::new(0, Role::Strong, format!("batch {}", config.batch)));
            left.push(Part::new(1, Role::Strong, config.precision.to_string()));
            let run = view.state.run.as_ref().filter(|run| run.config.network == config.network);
            if let Some(weights) = run.and_then(|run| run.weights.as_ref()) {
                left.push(Part::new(4, Role::Plain, weights.to_string()));
            }
        }
        None => left.push(Part::new(0, Role::Dim, " starting").joined()),
    }
    match (view.pin, view.against()) {
        (Some(_), None) => left.push(Part::new(2, Role::Current, " pinned as A ")),
        (Some(pin), _) => left.push(Part::new(2, Role::Warn, format!("vs {}", pin.name(view.device())))),
        _ => {}
    }
    let room = area.width.saturating_sub(pack_with(&left, area.width, " · ", view.theme).width() as u16 + 3);
    let right_area = Rect { x: area.right() - room.min(area.width), width: room.min(area.width), ..area };
    let taken = row_right(&header_right(view), view.theme, right_area, buffer);
    row(&left, view.theme, Rect { width: area.width.saturating_sub(taken), ..area }, buffer);
}

fn header_right(view: &View<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    if view.fleet.is_several() {
        let names = view.fleet.names(true);
        parts.push(Part::new(2, Role::Strong, names[view.focus].clone()));
    } else if let Some(device) = view.device() {
        let title = view.device_info().map(|d| d.title.clone()).filter(|t| t != device);
        parts.push(Part::new(3, Role::Plain, title.unwrap_or_default()));
        // Of a far engine it is said first how it is reached.
        let drop = if view.state.link.is_some() { 3 } else { 2 };
        parts.push(Part::new(drop, Role::Plain, device));
    }
    if !view.fleet.is_several() {
        parts.extend(link::header(view));
    }
    parts.extend(clock(view));
    parts
}

/// Where the stream is, and whether it is live, held, replayed or recorded.
fn clock(view: &View<'_>) -> Vec<Part> {
    let now = view.fleet.now();
    let clock = format::clock(now);
    if let Some(playback) = view.playback {
        let (symbol, role) = match (playback.playing, playback.at == playback.end) {
            (true, _) => (view.theme.pick("▶", ">"), Role::Steady),
            (_, true) => (view.theme.pick("■", "#"), Role::Warn),
            _ => (view.theme.pick("‖", "="), Role::Current),
        };
        let times = view.theme.pick("×", "x");
        return vec![
            Part::new(0, role, format!("   {symbol} {}", format::clock(playback.at))).joined(),
            Part::new(1, Role::Plain, format!(" / {} ", format::clock(playback.end))).joined(),
            Part::new(2, Role::Strong, format!("{times}{} ", playback.speed)).joined(),
        ];
    }
    let mut parts = match (view.frozen, view.ended) {
        (true, _) if view.live > now => {
            let behind = format::clock(view.live - now);
            let minus = view.theme.pick("−", "-");
            vec![Part::new(0, Role::Current, format!(" FROZEN {clock} ({minus}{behind}) "))]
        }
        (true, _) => vec![Part::new(0, Role::Current, format!(" FROZEN {clock} "))],
        (_, true) => vec![Part::new(0, Role::Warn, format!("ENDED {clock} "))],
        _ if view.recording.is_some() => Vec::new(),
        _ => vec![Part::new(1, Role::Plain, format!("   {clock} ")).joined()],
    };
    if let Some(began) = view.recording {
        let recorded = format::clock(view.live.saturating_sub(began));
        parts.push(Part::new(1, Role::Bad, format!("   {} REC ", view.theme.pick("●", "*"))).joined());
        parts.push(Part::new(1, Role::Plain, format!("{recorded} ")).joined());
    }
    parts
}

fn tabs(view: &View<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let long = area.width >= 58;
    let mut x = area.x + 1;
    for (i, screen) in Screen::ALL.into_iter().enumerate() {
        let current = screen == view.looks.screen;
        let label = match long || current {
            true => format!(" {} {} ", i + 1, screen.name()),
            false => format!(" {} ", i + 1),
        };
        let style = view.theme.style(if current { Role::Current } else { Role::Dim });
        let width = text(x, area.y, &label, style, area, buffer);
        drawn.hits.push((Rect { x, width, height: 1, ..area }, Action::Show(screen)));
        x += width + 1;
    }
    let room = area.right().saturating_sub(x);
    if room > 24 {
        row_right(&tabs_right(view), view.theme, Rect { x, width: room - 1, ..area }, buffer);
    }
}

/// What a replay is of, and how long the scope's axis is.
fn tabs_right(view: &View<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(header) = view.state.header.as_ref().filter(|_| view.playback.is_some()) {
        let when = header.started.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
        let when = if when.is_empty() { when } else { format!("{when} UTC") };
        parts.extend([header.host.clone(), when].into_iter().map(|text| Part::new(1, Role::Plain, text)));
    }
    if view.fleet.is_several() {
        let of = format!("station {} of {}, d D", view.focus + 1, view.fleet.len());
        parts.push(Part::new(0, Role::Plain, of));
    }
    if view.looks.screen == Screen::Live {
        let (_, window) = view.time();
        let drop = u8::from(view.fleet.is_several());
        parts.push(Part::new(drop, Role::Dim, format!("{} axis, + -", format::duration(window as f64 / 1e9))));
    }
    parts
}

/// The rail; in its place an open question, and what should be read now where there is no row for it.
fn rail(view: &View<'_>, area: Rect, short: bool, buffer: &mut Buffer, drawn: &mut Drawn) {
    let theme = view.theme;
    if let Some(prompt) = &view.looks.prompt {
        let said = match &prompt.error {
            Some(error) => Part::new(0, Role::Bad, error.clone()),
            None => Part::new(1, Role::Dim, "enter runs it, esc does not"),
        };
        let parts = [
            Part::new(0, Role::Title, " BATCH "),
            Part::new(0, Role::Strong, format!("{}_ ", prompt.text)).joined(),
            said,
        ];
        return row(&parts, theme, area, buffer);
    }
    if let Some(part) = status::fresh(view).filter(|_| short) {
        return row(&[part], theme, area, buffer);
    }
    if short && view.sweeping() {
        return sweep::progress(view, area, buffer);
    }
    let Some(config) = view.wanted.or(view.config()) else { return };
    let mut rail = Rail { current: config.batch, ..Rail::default() };
    let same = |c: &crate::event::Config| {
        c.network == config.network && c.precision == config.precision && c.device == config.device
    };
    for result in view.results().iter().filter(|r| same(&r.config)) {
        rail.known.insert(result.config.batch, Known::Measured);
    }
    for (failed, failure) in view.state.failures.iter().filter(|(c, _)| same(c)) {
        let known = if failure.out_of_memory { Known::OutOfMemory } else { Known::Failed };
        rail.known.insert(failed.batch, known);
    }
    let hits = rail.render(theme, area, buffer);
    drawn.hits.extend(hits.into_iter().map(|(area, batch)| (area, Action::Batch(batch))));
    let left = area.width.saturating_sub(rail.columns(theme) + 2);
    if left >= 12 {
        let legend = format!("{} measured ", theme.pick("•", "*"));
        row_right(
            &[Part::new(0, Role::Dim, legend)],
            theme,
            Rect { x: area.right() - left, width: left, ..area },
            buffer,
        );
    }
}

/// What the footer says of a replay's keys, and how soon it is left out where there is little room.
const REPLAY_HINTS: [(u8, &str); 8] = [
    (1, "space pause"),
    (2, ", . 1 s"),
    (1, "< > 10 s"),
    (3, "home end"),
    (1, "{ } speed"),
    (4, "1…5 screen"),
    (0, "? help"),
    (0, "q quit"),
];

/// What should be read now; otherwise which keys there are.
fn footer(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    if let Some(part) = status::fresh(view) {
        return row(&[part], view.theme, area, buffer);
    }
    if view.playback.is_some() {
        let parts: Vec<_> = REPLAY_HINTS.iter().map(|(rank, hint)| Part::new(*rank, Role::Dim, *hint)).collect();
        let line = pack_with(&parts, area.width.saturating_sub(1), "   ", view.theme);
        return place(
            &line,
            Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(1), ..area },
            buffer,
        );
    }
    let hints = KEYMAP.iter().rev().enumerate().filter_map(|(i, b)| {
        let important = ["q", "?"].contains(&b.label);
        let stations = b.label == "d D" && view.fleet.is_several();
        let hint = |hint| if stations { "station" } else { hint };
        b.hint.map(|of| Part::new(if important { 0 } else { i as u8 }, Role::Dim, format!("{} {}", b.label, hint(of))))
    });
    let mut parts: Vec<_> = hints.collect();
    parts.reverse();
    let line = pack_with(&parts, area.width.saturating_sub(1), "   ", view.theme);
    place(&line, Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(1), ..area }, buffer);
}
