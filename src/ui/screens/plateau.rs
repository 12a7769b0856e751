//! The plateau screen: every quantity against batch size, filled in as configurations are measured.

use crate::{
    analysis::plateau::{Course, Shape},
    format,
    session::RunResult,
    ui::{
        analysis_cache::Quantity as Shaped,
        pin::rounding,
        screen::{Drawn, Screen},
        theme::Role,
        view::View,
        widgets::{
            fitted::Fitted,
            pane::{Part, columns, frame, padded, row, take_bottom, wrapped},
            plot::{Curve, Mark, Plot},
            table::{Column, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// The plateau screen.
pub static SCREEN: Screen = Screen { name: "plateau", draw, ..Screen::BASE };

/// A quantity that is drawn against batch size.
struct Quantity {
    /// Its name and unit.
    name: &'static str,
    /// Number of the figure in the paper.
    paper: Option<u8>,
    /// Its value; none where a result has none.
    value: fn(&RunResult) -> Option<f64>,
    /// Its shape and the unit of that, where the shape is analysed.
    shape: Option<(Shaped, &'static str)>,
}

const QUANTITIES: [Quantity; 6] = [
    Quantity {
        name: "THROUGHPUT [img/s]",
        paper: None,
        value: |r| Some(r.images_per_s),
        shape: Some((Shaped::Throughput, "img/s")),
    },
    Quantity {
        name: "POWER [W]",
        paper: Some(4),
        value: |r| r.power.as_ref().ok().map(|p| p.gross_w),
        shape: Some((Shaped::Power, "W")),
    },
    Quantity {
        name: "LATENCY [ms/image]",
        paper: Some(3),
        value: |r| Some(r.latency_ms.p50 / f64::from(r.config.batch)),
        shape: None,
    },
    Quantity {
        name: "ENERGY [J/image]",
        paper: None,
        value: |r| r.power.as_ref().ok().map(|p| p.joules_per_image),
        shape: None,
    },
    Quantity {
        name: "MEMORY [GiB]",
        paper: Some(5),
        value: |r| memory(r).map(|bytes| bytes as f64 / 1_073_741_824.0),
        shape: None,
    },
    Quantity {
        name: "UTILISATION [%]",
        paper: None,
        value: |r| r.utilisation,
        shape: Some((Shaped::Utilisation, "%")),
    },
];

/// Rows from which all shapes are summarised, not that of throughput alone.
const ALL_SHAPES: u16 = 26;

/// Least columns of the table, its frame included, and the most in per cent of the screen's.
const TABLE: (u16, u16) = (40, 48);

/// Memory of a run, bytes: what the allocator reserved, or what comes closest.
fn memory(r: &RunResult) -> Option<u64> {
    r.memory.reserved.or(r.memory.in_use).or(r.device_memory_used).or(r.memory.resident)
}

/// Draws the plots, and the table beside them where there is room.
fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    if area.is_empty() {
        return Drawn::default();
    }
    let mut results = view.results();
    results.sort_by_key(|r| r.config.batch);
    let network = view.config().map(|c| c.network.clone()).unwrap_or_default();
    let current: Vec<_> = results.iter().filter(|r| r.config.network == network).collect();
    let mut area = area;
    if area.height >= 6 {
        let rows = if area.height >= ALL_SHAPES { 3 } else { 1 };
        summary(view, rows, &mut area, buffer);
    }
    if area.width < 100 || area.height < 8 {
        plots(view, &results, &network, area, buffer);
        return Drawn::default();
    }
    let table = table(&current, view);
    let width = (table.width(view.theme) + 4).clamp(TABLE.0, area.width * TABLE.1 / 100);
    let (left, right) = (Rect { width: area.width - width, ..area }, Rect { x: area.right() - width, width, ..area });
    plots(view, &results, &network, left, buffer);
    let title = [Part::new(0, Role::Title, view.title(&network)), Part::new(1, Role::Plain, setting(view))];
    let inner = frame(&title, view.theme, right, buffer);
    table.render(view.ui.scroll, view.theme, padded(inner), buffer);
    Drawn::default()
}

fn setting(view: &View<'_>) -> String {
    view.config().map(|c| format!("{} on {}", c.precision, c.device)).unwrap_or_default()
}

/// Draws the shape of each quantity in a row, at most `rows`, or what the analysis still needs.
fn summary(view: &View<'_>, rows: usize, area: &mut Rect, buffer: &mut Buffer) {
    let Some(analysis) = view.analysis() else { return };
    let shaped = QUANTITIES.iter().filter_map(|q| q.shape.map(|s| (q, s)));
    let summaries = shaped.filter_map(|(q, (shape, unit))| {
        let course = analysis.courses.get(&shape).filter(|c| c.n > 0)?;
        let name = q.name.split(' ').next().unwrap_or_default().to_lowercase();
        let (name, says) = (format!(" {name}: "), course.says(unit));
        let fits = columns(&name) + columns(&says) <= usize::from(area.width);
        let says = if fits { says } else { without_intervals(&says) };
        Some(vec![Part::new(0, Role::Title, name), Part::new(0, shape_role(course), says).joined()])
    });
    let mut summaries: Vec<_> = summaries.take(rows).collect();
    if let Some(first) = summaries.first_mut() {
        let arrows = view.theme.pick("← → measures more", "left and right measure more");
        first.push(Part::new(1, Role::Dim, arrows));
    }
    for parts in summaries.iter().rev() {
        row(parts, view.theme, take_bottom(area), buffer);
    }
}

/// A sentence without what is in parentheses: the intervals of its numbers.
fn without_intervals(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some((before, interval)) = rest.split_once(" (") {
        short.push_str(before);
        rest = interval.split_once(')').map_or("", |(_, after)| after);
    }
    short + rest
}

const fn shape_role(course: &Course) -> Role {
    match course.shape {
        Shape::Plateau | Shape::Constant => Role::Steady,
        Shape::Undecided { .. } | Shape::Capped => Role::Warn,
        Shape::Rising | Shape::Falling => Role::Plain,
    }
}

/// Draws as many quantities as there is room for, the most important ones first.
fn plots(view: &View<'_>, results: &[RunResult], network: &str, area: Rect, buffer: &mut Buffer) {
    let columns: u16 = if area.width >= 56 { 2 } else { 1 };
    let rows = (area.height / 7).clamp(1, if columns == 2 { 3 } else { 5 });
    let shown = usize::from(columns * rows).min(QUANTITIES.len());
    for (i, quantity) in QUANTITIES.iter().take(shown).enumerate() {
        let (column, line) = (i as u16 % columns, i as u16 / columns);
        // The last one of an odd number takes the whole row.
        let wide = i + 1 == shown && shown % 2 == 1 && columns == 2;
        let across = if wide { 1 } else { columns };
        let (x, y) = (area.width * column / across, area.height * line / rows);
        let width = area.width * (column + 1) / across - x;
        let height = area.height * (line + 1) / rows - y;
        let cell = Rect { x: area.x + x, y: area.y + y, width, height };
        plot(view, quantity, results, network, cell, buffer);
    }
}

/// Draws a quantity: the curve of the current network, those of the others, and the fit.
fn plot(view: &View<'_>, quantity: &Quantity, results: &[RunResult], network: &str, area: Rect, buffer: &mut Buffer) {
    let (name, value) = (quantity.name, quantity.value);
    let paper = quantity.paper.map(|n| format!("paper's Figure {n}")).unwrap_or_default();
    let title = [
        Part::new(0, Role::Title, name),
        Part::new(1, Role::Dim, " at batch").joined(),
        Part::new(2, Role::Dim, paper),
    ];
    let inner = padded(frame(&title, view.theme, area, buffer));
    let points = |id: &str| -> Vec<(f64, f64, Option<String>)> {
        let of = results.iter().filter(|r| r.config.network == id);
        of.filter_map(|r| Some((f64::from(r.config.batch), value(r)?, None))).collect()
    };
    let own = points(network);
    // The current network sets the scale: on that of a larger one it might be a flat line.
    let highest = own.iter().map(|p| p.1).reduce(f64::max);
    let in_sight = highest.unwrap_or(f64::INFINITY);
    let others = view.networks().into_iter().filter(|id| id != network);
    let mut curves: Vec<_> = others
        .map(|id| {
            let mut points: Vec<_> = points(&id);
            if let Some(last) = points.iter_mut().rev().find(|p| p.1 <= in_sight) {
                last.2 = Some(view.title(&id));
            }
            Curve { points, role: Role::Dim, joined: true }
        })
        .filter(|c| !c.points.is_empty())
        .collect();
    let (fits, marks) = shape(view, quantity);
    curves.push(Curve { points: own, role: Role::Steady, joined: true });
    let level = view.pin.and_then(|pin| value(&pin.result)).map(|v| (v, "A".to_owned()));
    let plot = Plot { curves, fits, batches: true, from_zero: true, highest, marks, level, ..Plot::default() };
    if plot.curves.iter().all(|c| c.points.is_empty()) {
        wrapped(&absent(view, name, results), Role::Dim, view.theme, inner, buffer);
        return;
    }
    plot.render(view.theme, inner, buffer);
}

/// The fitted curve of the current network with its interval, and its knee.
fn shape(view: &View<'_>, quantity: &Quantity) -> (Vec<Fitted>, Vec<Mark>) {
    let Some((analysis, (shape, _))) = view.analysis().zip(quantity.shape) else { return Default::default() };
    let Some(course) = analysis.courses.get(&shape) else { return Default::default() };
    let line = course.curve.iter().map(|c| (c.0, c.1)).collect();
    let band = course.curve.iter().map(|c| (c.0, c.2.low, c.2.high)).collect();
    let knee = course.knee.map(|(k, i)| Mark { x: k, interval: Some((i.low, i.high)), label: format!("knee {k:.0}") });
    (vec![Fitted { line, band, role: Role::Warn, solid: false }], knee.into_iter().collect())
}

/// Why a plot is empty.
fn absent(view: &View<'_>, name: &str, results: &[RunResult]) -> String {
    let energy = name.starts_with("POWER") || name.starts_with("ENERGY");
    let reason = view.device().and_then(|d| view.state.power_sensor(d).err());
    match (energy, reason) {
        (true, Some(reason)) => reason,
        (true, None) if results.iter().any(|r| r.power.is_err()) => "power has not settled yet".to_owned(),
        _ if results.is_empty() => "nothing was steady yet".to_owned(),
        _ => "not known on this device".to_owned(),
    }
}

/// The results of the current network by batch size.
fn table(current: &[&RunResult], view: &View<'_>) -> Table {
    let busy = format!("{} %", view.traits().map_or("util", |traits| &traits.utilisation_of));
    let running = view.config().map(|c| c.batch);
    let columns = vec![
        Column::number(0, "batch"),
        Column::number(1, "ms"),
        Column::number(6, "p99"),
        Column::number(0, "img/s"),
        Column::number(2, "W"),
        Column::number(2, "J/img"),
        Column { title: busy.into(), ..Column::number(4, "") },
        Column::number(3, "FLOP %"),
        Column::number(5, "memory"),
    ];
    let dash = |v: Option<String>| v.unwrap_or_else(|| "-".to_owned());
    let row = |r: &RunResult| {
        let power = r.power.as_ref().ok();
        let error = rounding(r);
        vec![
            r.config.batch.to_string(),
            format::with_error(r.latency_ms.p50, r.latency_ms.p50 * error),
            format::with_error(r.latency_ms.p99, r.latency_ms.p50 * error),
            format::with_error(r.images_per_s, r.images_per_s * error),
            dash(power.map(|p| format::watts(p.gross_w))),
            dash(power.map(|p| format::significant(p.joules_per_image, 3))),
            dash(r.utilisation.map(format::percent)),
            dash(r.flop_utilisation.map(format::percent)),
            dash(memory(r).map(format::bytes)),
        ]
    };
    Table {
        columns,
        rows: current.iter().map(|r| (row(r), Role::Plain)).collect(),
        selected: current.iter().position(|r| Some(r.config.batch) == running),
        ..Table::default()
    }
}
