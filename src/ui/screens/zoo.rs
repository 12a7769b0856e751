//! The zoo: every network, what was published about it beside what was measured here.

use super::Drawn;
use crate::{
    session::RunResult,
    ui::{
        format,
        theme::Role,
        view::View,
        widgets::{
            pane::{Part, frame},
            plot::{Curve, Plot},
            table::{Column, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};
use std::cmp::Ordering;

/// Orders that `s` goes through.
pub const SORTS: usize = 8;

const COLUMNS: [Column; 13] = [
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

/// Rows below which a figure shows nothing worth its frame.
const FIGURE: u16 = 9;

/// Column that each order sorts by; the first is the registry's own order.
const SORTED_BY: [Option<usize>; SORTS] = [None, Some(1), Some(3), Some(4), Some(6), Some(9), Some(10), Some(11)];

/// A network's measured row: the configuration with the best throughput on the current device and precision.
fn best(results: &[RunResult], id: &str) -> Option<RunResult> {
    let of = results.iter().filter(|r| r.config.network == id);
    of.max_by(|a, b| a.images_per_s.total_cmp(&b.images_per_s)).cloned()
}

fn key(view: &View<'_>, results: &[RunResult], id: &str, column: usize) -> Option<f64> {
    let facts = view.facts(id);
    let measured = || best(results, id);
    match column {
        1 => facts.map(|f| f64::from(f.year)),
        3 => facts.map(|f| f.params as f64),
        4 => facts.map(|f| f.macs as f64),
        6 => facts.and_then(|f| f.top1),
        9 => measured().map(|r| r.images_per_s),
        10 => measured().and_then(|r| r.power.ok()).map(|p| p.gross_w),
        11 => measured().and_then(|r| r.power.ok()).map(|p| p.joules_per_image),
        _ => None,
    }
}

/// The networks in the order that is shown: by the chosen column, the highest first, the unknown last.
pub fn order(view: &View<'_>) -> Vec<String> {
    let mut networks = view.networks();
    if let Some(column) = SORTED_BY[view.looks.sort % SORTS] {
        let results = view.results();
        networks.sort_by(|a, b| match (key(view, &results, a, column), key(view, &results, b, column)) {
            (Some(a), Some(b)) => b.total_cmp(&a),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        });
    }
    networks
}

/// Draws it.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let networks = order(view);
    let results = view.results();
    let setting =
        view.config().map(|c| format!("measured in {} on {}, best throughput of each", c.precision, c.device));
    let title = [
        Part::new(0, Role::Title, format!("ZOO, {} networks", networks.len())),
        Part::new(2, Role::Plain, setting.unwrap_or_default()),
        Part::new(1, Role::Dim, "s sorts"),
    ];
    let (area, spare) = split(area, networks.len());
    figures(view, &networks, &results, spare, buffer);
    let inner = frame(&title, view.theme, area, buffer);
    let inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    let current = view.wanted.or(view.config()).map(|c| c.network.as_str());
    let table = Table {
        columns: COLUMNS.to_vec(),
        rows: networks.iter().map(|id| (cells(view, &results, id), look(view, &results, id))).collect(),
        selected: networks.iter().position(|id| Some(id.as_str()) == current),
        sorted: SORTED_BY[view.looks.sort % SORTS],
    };
    let shown = table.render(view.looks.scroll, view.theme, inner, buffer);
    drawn.page = shown.len();
    drawn.last_page = networks.len().saturating_sub(shown.len());
}

/// The table's rows, and what is left below it where that is enough for figures.
fn split(area: Rect, networks: usize) -> (Rect, Rect) {
    let needed = networks as u16 + 3;
    match area.height.checked_sub(needed) {
        Some(left) if left >= FIGURE && area.width >= 72 => {
            let height = area.height - needed;
            (Rect { height: needed, ..area }, Rect { y: area.y + needed, height, ..area })
        }
        _ => (area, Rect { height: 0, ..area }),
    }
}

/// Published accuracy against what it costs: operations, as in the paper's second figure, and time as measured here.
fn figures(view: &View<'_>, networks: &[String], results: &[RunResult], area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let half = area.width / 2;
    let left = Rect { width: half, ..area };
    let right = Rect { x: area.x + half, width: area.width - half, ..area };
    let operations = |id: &str| view.facts(id).map(|f| f.ops as f64 / 1e9);
    let time = |id: &str| best(results, id).map(|r| 1e3 / r.images_per_s);
    figure(view, networks, "against G-ops/image", operations, left, buffer);
    figure(view, networks, "against ms/image measured", time, right, buffer);
}

fn figure(
    view: &View<'_>,
    networks: &[String],
    name: &str,
    x: impl Fn(&str) -> Option<f64>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let title = [Part::new(0, Role::Title, "TOP-1 [%]"), Part::new(0, Role::Title, format!(" {name}")).joined()];
    let inner = frame(&title, view.theme, area, buffer);
    let inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    let current = view.config().map(|c| c.network.as_str());
    let point = |id: &String| Some((x(id)?, view.facts(id)?.top1?, Some(view.title(id))));
    let curve = |own: bool, role: Role| {
        let of = networks.iter().filter(|id| (Some(id.as_str()) == current) == own);
        Curve { points: of.filter_map(point).collect(), role, joined: false }
    };
    let curves = vec![curve(false, Role::Trace), curve(true, Role::Steady)];
    let lowest = curves.iter().flat_map(|c| &c.points).map(|p| p.1).fold(100.0, f64::min);
    let floor = (lowest / 10.0 - 0.2).floor().max(0.0) * 10.0;
    Plot { curves, floor, ..Plot::default() }.render(view.theme, inner, buffer);
}

fn look(view: &View<'_>, results: &[RunResult], id: &str) -> Role {
    let failed = view.state.failures.keys().any(|c| c.network == id);
    match best(results, id) {
        Some(_) => Role::Plain,
        None if failed => Role::Bad,
        None => Role::Dim,
    }
}

fn cells(view: &View<'_>, results: &[RunResult], id: &str) -> Vec<String> {
    let dash = |v: Option<String>| v.unwrap_or_else(|| "-".to_owned());
    let facts = view.facts(id);
    let best = best(results, id);
    let power = best.as_ref().and_then(|r| r.power.as_ref().ok());
    let three = |v: f64| format::significant(v, 3);
    vec![
        view.title(id),
        dash(facts.filter(|f| f.year > 0).map(|f| f.year.to_string())),
        dash(facts.filter(|f| f.input_px > 0).map(|f| format!("{}²", f.input_px))),
        dash(facts.map(|f| format::si(f.params as f64))),
        dash(facts.map(|f| format::si(f.macs as f64))),
        dash(facts.map(|f| format::si(f.ops as f64))),
        dash(facts.and_then(|f| f.top1).map(|v| format!("{v:.1}"))),
        dash(best.as_ref().map(|r| r.config.batch.to_string())),
        dash(best.as_ref().map(|r| three(1e3 / r.images_per_s))),
        dash(best.as_ref().map(|r| three(r.images_per_s))),
        dash(power.map(|p| format::watts(p.gross_w))),
        dash(power.map(|p| three(p.joules_per_image))),
        dash(best.as_ref().and_then(|r| r.flop_utilisation).map(format::percent)),
    ]
}
