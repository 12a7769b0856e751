//! The zoo: every network, published facts beside what was measured here.

use crate::{
    event::{Accuracy, NetworkFacts},
    format,
    session::{RunResult, run::Power},
    ui::{
        action::Action,
        binding::{Binding, char},
        screen::{Drawn, Response, Screen},
        theme::Role,
        view::View,
        view_state::Sort,
        widgets::{
            pane::{Part, frame, padded},
            plot::{Curve, Plot},
            table::{Column, Direction, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::{cmp::Ordering, ops::Range};

/// The zoo.
pub static SCREEN: Screen = Screen {
    name: "zoo",
    bindings: &[Binding::new(
        &[char('s', Action::SortNext), char('S', Action::SortBack), char('o', Action::SortReverse)],
        "s S o",
        "zoo: sort by next, previous column, reverse; layers by time",
    )],
    draw,
    respond,
    networks: order,
    ..Screen::BASE
};

/// The columns: published facts, then what was measured here.
static COLUMNS: [Column; 13] = [
    Column::words(0, "network"),
    Column::number(5, "year"),
    Column::number(6, "px"),
    Column::number(2, "params"),
    Column::number(1, "MACs"),
    Column::number(4, "ops"),
    Column::number(1, "top-1 %"),
    Column::number(7, "batch"),
    Column::number(3, "ms/img"),
    Column::number(0, "img/s"),
    Column::number(2, "W"),
    Column::number(2, "J/img"),
    Column::number(8, "FLOP %"),
];

/// Columns of published facts, and of measured values.
const GROUPS: (Range<usize>, Range<usize>) = (1..7, 7..COLUMNS.len());

/// Least rows of a figure, its frame included.
const FIGURE: u16 = 9;

/// A network: its facts, and its result with the highest throughput on the current device in the current precision.
struct Entry<'a> {
    id: String,
    title: String,
    facts: Option<&'a NetworkFacts>,
    /// Its accuracy as measured on this host.
    own: Option<&'a Accuracy>,
    best: Option<RunResult>,
}

impl Entry<'_> {
    fn power(&self) -> Option<&Power> {
        self.best.as_ref().and_then(|r| r.power.as_ref().ok())
    }

    /// The value of a column; none where it is not known.
    fn number(&self, column: usize) -> Option<f64> {
        let (facts, best) = (self.facts, self.best.as_ref());
        match column {
            1 => facts.map(|f| f64::from(f.year)),
            2 => facts.map(|f| f64::from(f.input_px)),
            3 => facts.map(|f| f.params as f64),
            4 => facts.map(|f| f.macs as f64),
            5 => facts.map(|f| f.ops as f64),
            6 => facts.and_then(|f| f.top1),
            7 => best.map(|r| f64::from(r.config.batch)),
            8 => best.map(|r| 1e3 / r.images_per_s),
            9 => best.map(|r| r.images_per_s),
            10 => self.power().map(|p| p.gross_w),
            11 => self.power().map(|p| p.joules_per_image),
            12 => best.and_then(|r| r.flop_utilisation),
            _ => None,
        }
        .filter(|v| *v > 0.0)
    }

    fn cell(&self, column: usize, pinned: bool) -> String {
        if column == 0 {
            return if pinned { format!("{} (A)", self.title) } else { self.title.clone() };
        }
        if let (6, Some(own)) = (column, self.own) {
            let published = self.number(column).map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
            return format!("{published} ({:.1})", own.top1.percent);
        }
        let Some(value) = self.number(column) else { return "-".to_owned() };
        match column {
            1 | 7 => value.to_string(),
            2 => format!("{value}²"),
            3..=5 => format::si(value),
            6 => format!("{value:.1}"),
            10 => format::watts(value),
            12 => format::percent(value),
            _ => format::significant(value, 3),
        }
    }
}

/// Every network in the order of the table. Unknown values come last in both directions.
fn entries<'a>(view: &View<'a>) -> Vec<Entry<'a>> {
    let results = view.results();
    let best = |id: &str| {
        let of = results.iter().filter(|r| r.config.network == id);
        of.max_by(|a, b| a.images_per_s.total_cmp(&b.images_per_s)).cloned()
    };
    let networks = view.networks().into_iter();
    let mut entries: Vec<_> = networks
        .map(|id| Entry {
            title: view.title(&id),
            facts: view.facts(&id),
            own: view.state.accuracies.get(&id),
            best: best(&id),
            id,
        })
        .collect();
    let Some((column, direction)) = sorted(view) else {
        if view.ui.own().sort.reversed {
            entries.reverse();
        }
        return entries;
    };
    let directed = |ordering: Ordering| if direction == Direction::Down { ordering.reverse() } else { ordering };
    entries.sort_by(|a, b| match (a.number(column), b.number(column)) {
        _ if column == 0 => directed(a.title.to_lowercase().cmp(&b.title.to_lowercase())),
        (Some(a), Some(b)) => directed(a.total_cmp(&b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    });
    entries
}

/// The column that the table is sorted by and its direction: words ascending, numbers descending, unless reversed.
fn sorted(view: &View<'_>) -> Option<(usize, Direction)> {
    let sort = view.ui.own().sort;
    let column = sort.column.filter(|c| *c < COLUMNS.len())?;
    let up = COLUMNS[column].words != sort.reversed;
    Some((column, if up { Direction::Up } else { Direction::Down }))
}

/// Registry ids of the networks in the order of the table.
fn order(view: &View<'_>) -> Vec<String> {
    entries(view).into_iter().map(|e| e.id).collect()
}

fn respond(view: &View<'_>, action: Action) -> Option<Response> {
    let sort = view.ui.own().sort;
    let sorted: Sort = match action {
        Action::SortNext => sort.step(COLUMNS.len(), true),
        Action::SortBack => sort.step(COLUMNS.len(), false),
        Action::SortBy(column) => sort.by(column),
        Action::SortReverse => sort.reverse(),
        _ => return None,
    };
    Some(Response::Sort(sorted))
}

/// Draws the table, and figures below it where there is room.
fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let entries = entries(view);
    let title = [
        Part::new(0, Role::Title, format!("ZOO, {} networks", entries.len())),
        Part::new(1, Role::Plain, "best throughput of each"),
        Part::new(2, Role::Dim, "s S sort, o the other way round"),
        Part::new(3, Role::Dim, if entries.iter().any(|e| e.own.is_some()) { "(top-1 measured here)" } else { "" }),
    ];
    let (area, spare) = split(area, entries.len());
    figures(view, &entries, spare, buffer);
    let inner = padded(frame(&title, view.theme, area, buffer));
    let table = table(view, &entries);
    let shown = table.render(view.ui.scroll, view.theme, inner, buffer);
    let titles = if view.ui.help { Vec::new() } else { table.titles(view.theme, inner) };
    Drawn {
        click_targets: titles.into_iter().map(|(area, column)| (area, Action::SortBy(column))).collect(),
        page: shown.len(),
        last_page: entries.len().saturating_sub(shown.len()),
    }
}

fn table(view: &View<'_>, entries: &[Entry<'_>]) -> Table {
    let current = view.wanted.or(view.config()).map(|c| c.network.as_str());
    let pinned = |id: &str| view.pin.is_some_and(|pin| pin.result.config.network == id);
    let row = |e: &Entry<'_>| {
        let cells = (0..COLUMNS.len()).map(|column| e.cell(column, pinned(&e.id))).collect();
        (cells, row_role(view, e))
    };
    let setting = view.config().map(|c| format!(": {}, {}", c.precision, c.device)).unwrap_or_default();
    Table {
        columns: COLUMNS.to_vec(),
        rows: entries.iter().map(row).collect(),
        selected: entries.iter().position(|e| Some(e.id.as_str()) == current),
        sorted: sorted(view),
        groups: vec![(GROUPS.0, "published and counted".to_owned()), (GROUPS.1, format!("measured{setting}"))],
    }
}

/// The area of the table, and the area below it where that is large enough for figures.
fn split(area: Rect, networks: usize) -> (Rect, Rect) {
    let needed = networks as u16 + 4;
    match area.height.checked_sub(needed) {
        Some(left) if left >= FIGURE && area.width >= 72 => {
            let height = area.height - needed;
            (Rect { height: needed, ..area }, Rect { y: area.y + needed, height, ..area })
        }
        _ => (area, Rect { height: 0, ..area }),
    }
}

/// Draws published accuracy against operations, as in the paper's second figure, and against the measured time per image.
fn figures(view: &View<'_>, entries: &[Entry<'_>], area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let half = area.width / 2;
    let left = Rect { width: half, ..area };
    let right = Rect { x: area.x + half, width: area.width - half, ..area };
    let operations = |e: &Entry<'_>| e.facts.map(|f| f.ops as f64 / 1e9);
    let time = |e: &Entry<'_>| e.best.as_ref().map(|r| 1e3 / r.images_per_s);
    figure(view, entries, "against G-ops/image", operations, left, buffer);
    figure(view, entries, "against ms/image measured", time, right, buffer);
}

fn figure(
    view: &View<'_>,
    entries: &[Entry<'_>],
    name: &str,
    x: impl Fn(&Entry<'_>) -> Option<f64>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let title = [Part::new(0, Role::Title, "TOP-1 [%]"), Part::new(0, Role::Title, format!(" {name}")).joined()];
    let inner = padded(frame(&title, view.theme, area, buffer));
    let current = view.config().map(|c| c.network.as_str());
    let point = |e: &Entry<'_>| Some((x(e)?, e.facts?.top1?, Some(e.title.clone())));
    let curve = |own: bool, role: Role| {
        let of = entries.iter().filter(|e| (Some(e.id.as_str()) == current) == own);
        Curve { points: of.filter_map(point).collect(), role, joined: false }
    };
    let curves = vec![curve(false, Role::Trace), curve(true, Role::Steady)];
    Plot { curves, ..Plot::default() }.render(view.theme, inner, buffer);
}

/// The role of a row: measured, failed or not measured yet.
fn row_role(view: &View<'_>, entry: &Entry<'_>) -> Role {
    let failed = view.state.failures.keys().any(|c| c.network == entry.id);
    match entry.best {
        Some(_) => Role::Plain,
        None if failed => Role::Bad,
        None => Role::Dim,
    }
}
