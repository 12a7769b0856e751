//! The layers of the current network: their times and the roofline once those are measured, until then their
//! multiply-accumulates and parameters.

use crate::{
    analysis::roofline::{self, Achieved, Roof},
    event::{Config, LayerClock, LayerFacts, LayerTime, Layers, NetworkFacts},
    format,
    ui::{
        action::Action,
        screen::{Drawn, Response, Screen},
        theme::{Role, Theme},
        view::View,
        view_state::Sort,
        widgets::{
            pane::{Part, frame, padded, wrapped},
            roofline::{Point, Roofline},
            table::{Column, Direction, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// The layers screen.
pub static SCREEN: Screen = Screen { name: "layers", draw, respond, times_layers: true, ..Screen::BASE };

/// Cells of the bar of the largest share.
const BAR: usize = 20;
/// The same in a table of times that is not wide enough for a long bar.
const SHORT_BAR: usize = 6;
/// Columns of a table of times from which it is.
const ROOMY: u16 = 140;
/// Columns from which the roofline is beside the table, and its columns there.
const BESIDE: (u16, u16) = (136, 52);
/// Rows from which it is below the table, and its rows there.
const BELOW: (u16, u16) = (24, 13);
/// How many layers are labelled on the roofline: those that take the most time.
const NAMED: usize = 4;
/// Number of the column of times.
const TIME: usize = 6;

fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let Some(config) = view.wanted.or(view.config()) else {
        wrapped("no network yet", Role::Dim, view.theme, area, buffer);
        return Drawn::default();
    };
    match view.state.layers(config) {
        Some(Ok(layers)) => measured(view, layers, area, buffer),
        Some(Err(reason)) => counted(view, config, Some(reason), area, buffer),
        None => counted(view, config, None, area, buffer),
    }
}

/// There are two orders: as executed and by time. Every key for sorting goes to the other one.
fn respond(view: &View<'_>, action: Action) -> Option<Response> {
    let sorts = [Action::SortNext, Action::SortBack, Action::SortReverse].contains(&action);
    let other = if by_time(view) { None } else { Some(TIME) };
    sorts.then_some(Response::Sort(Sort { column: other, reversed: false }))
}

fn by_time(view: &View<'_>) -> bool {
    view.ui.own().sort.column == Some(TIME)
}

/// Draws the table of times and the roofline.
fn measured(view: &View<'_>, layers: &Layers, area: Rect, buffer: &mut Buffer) -> Drawn {
    let achieved = roofline::achieved(&layers.layers, view.state.roofs(&layers.config));
    let (area, spare) = split(area);
    plot(view, layers, &achieved, spare, buffer);
    let inner = padded(frame(&title(view, layers), view.theme, area, buffer));
    let bar = if area.width < ROOMY { SHORT_BAR } else { BAR };
    let mut order: Vec<usize> = (0..layers.layers.len()).collect();
    if by_time(view) {
        // A stable sort: layers without a time stay in their order.
        order.sort_by_key(|i| std::cmp::Reverse(layers.layers[*i].time_ns));
    }
    let largest = achieved.iter().flatten().map(|a| a.share).fold(0.0, f64::max);
    let row = |i: &usize| {
        let (layer, achieved) = (&layers.layers[*i], achieved[*i].as_ref());
        (
            times(*i, layer, achieved, (bar, largest), view.theme),
            if achieved.is_some() { Role::Plain } else { Role::Dim },
        )
    };
    let table = Table {
        columns: vec![
            Column::number(0, "#"),
            Column::words(0, "kind"),
            Column::words(5, "detail"),
            Column::words(6, "output"),
            Column::number(4, "MACs"),
            Column::number(7, "bytes"),
            Column::number(0, "ms"),
            Column::number(1, "share"),
            Column::words(3, ""),
            Column::number(2, "FLOP/s"),
            Column::number(2, "B/s"),
            Column::words(1, "roof"),
        ],
        rows: order.iter().map(row).collect(),
        sorted: by_time(view).then_some((TIME, Direction::Down)),
        ..Table::default()
    };
    let shown = table.render(view.ui.scroll, view.theme, inner, buffer);
    let last_page = layers.layers.len().saturating_sub(shown.len());
    Drawn { page: shown.len(), last_page, ..Drawn::default() }
}

/// The time of the whole network, the sum of the layers relative to it, the overhead of measuring, the clock, the order.
fn title(view: &View<'_>, layers: &Layers) -> Vec<Part> {
    let (whole, wall) = (layers.whole_ns as f64, layers.whole_wall_ns as f64);
    let clock = match layers.clock {
        LayerClock::Device => "device clock",
        LayerClock::Wall => "wall clock",
    };
    let order = if by_time(view) { "by time, s: as executed" } else { "s: by time" };
    let mut parts = vec![
        Part::new(0, Role::Title, format!("LAYERS of {}", view.title(&layers.config.network))),
        Part::new(0, Role::Plain, format!("{} ms a batch", format::significant(whole / 1e6, 3))),
    ];
    if whole > 0.0 && wall > 0.0 {
        let sum = 100.0 * layers.sum_ns as f64 / whole;
        let added = (layers.instrumented_wall_ns as f64 - wall) / wall;
        parts.push(Part::new(1, Role::Plain, format!("layers' sum {} %", format::percent(sum))));
        parts.push(Part::new(4, Role::Plain, format!("measuring adds {} %", format::signed_percent(added, 0.001))));
    }
    parts.push(Part::new(2, Role::Plain, clock));
    parts.push(Part::new(5, Role::Dim, format!("{} passes", layers.passes)));
    parts.push(Part::new(3, Role::Dim, order));
    parts
}

/// The cells of a row of the table of times.
fn times(
    index: usize,
    layer: &LayerTime,
    achieved: Option<&Achieved>,
    (bar, largest): (usize, f64),
    theme: Theme,
) -> Vec<String> {
    let count = |n: u64| if n > 0 { format::si(n as f64) } else { String::new() };
    let rate = |value: f64| if value > 0.0 { format::si(value) } else { String::new() };
    let time = match (layer.within, achieved) {
        (Some(host), _) => format!("in #{}", host + 1),
        (None, Some(_)) => format::significant(layer.time_ns as f64 / 1e6, 3),
        (None, None) => "none".to_owned(),
    };
    let cells = |share: f64| if largest > 0.0 { (bar as f64 * share / largest).round() as usize } else { 0 };
    let under = |a: &Achieved| {
        a.under.map(|under| {
            let name = if under.cached() { "cache" } else { under.roof.name() };
            format!("{name} {} %", format::percent(100.0 * under.attained))
        })
    };
    vec![
        (index + 1).to_string(),
        layer.kind.clone(),
        layer.detail.clone(),
        shape(&layer.output, theme),
        count(layer.macs),
        count(layer.bytes),
        time,
        achieved.map_or_else(String::new, |a| format!("{} %", format::percent(100.0 * a.share))),
        format!("{:<bar$}", achieved.map_or_else(String::new, |a| theme.pick("█", "#").repeat(cells(a.share)))),
        achieved.map_or_else(String::new, |a| rate(a.flops)),
        achieved.map_or_else(String::new, |a| rate(a.bytes_per_s)),
        achieved.and_then(under).unwrap_or_default(),
    ]
}

/// The areas of the table and of the roofline.
fn split(area: Rect) -> (Rect, Rect) {
    if area.width >= BESIDE.0 && area.height >= BELOW.1 {
        let left = area.width - BESIDE.1;
        return (Rect { width: left, ..area }, Rect { x: area.x + left, width: BESIDE.1, ..area });
    }
    if area.height >= BELOW.0 && area.width >= BESIDE.1 {
        let above = area.height - BELOW.1;
        return (Rect { height: above, ..area }, Rect { y: area.y + above, height: BELOW.1, ..area });
    }
    (area, Rect { height: 0, ..area })
}

/// Draws the roofline of the layers that compute; the ones that take the most time are labelled.
fn plot(view: &View<'_>, layers: &Layers, achieved: &[Option<Achieved>], area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let Some(roofs) = view.state.roofs(&layers.config) else {
        let inner = padded(frame(&[Part::new(0, Role::Title, "ROOFLINE")], view.theme, area, buffer));
        let text = "the peaks of this device could not be measured";
        wrapped(text, Role::Dim, view.theme, inner, buffer);
        return;
    };
    let title = [
        Part::new(0, Role::Title, "ROOFLINE [FLOP/s against FLOP/byte]"),
        Part::new(1, Role::Limit, format!("{}FLOP/s", spaced(roofs.flops))),
        Part::new(1, Role::Limit, format!("{}B/s", spaced(roofs.bytes_per_s))),
        Part::new(2, Role::Dim, "measured here"),
    ];
    let inner = padded(frame(&title, view.theme, area, buffer));
    let mut timed: Vec<(usize, &Achieved)> =
        achieved.iter().enumerate().filter_map(|(i, a)| Some((i, a.as_ref().filter(|a| a.flops > 0.0)?))).collect();
    // Those that take the most time come last: they are drawn on top and labelled first.
    timed.sort_by(|a, b| a.1.share.total_cmp(&b.1.share));
    let named = timed.len().saturating_sub(NAMED);
    let point = |(at, (i, a)): (usize, &(usize, &Achieved))| Point {
        intensity: a.intensity,
        flops: a.flops,
        label: (at >= named).then(|| format!("#{} {}", i + 1, layers.layers[*i].kind)),
        role: match (at >= named, a.under.map(|under| under.roof)) {
            (true, _) => Role::Steady,
            (false, Some(Roof::Memory)) => Role::Warn,
            _ => Role::Trace,
        },
    };
    let points = timed.iter().enumerate().map(point).collect();
    Roofline { roofs, points }.render(view.theme, inner, buffer);
}

/// A number with a space for its unit.
fn spaced(value: f64) -> String {
    let text = format::si(value);
    if text.contains(' ') { text } else { text + " " }
}

/// Draws the table of multiply-accumulates and parameters, and why there are no times.
fn counted(view: &View<'_>, config: &Config, reason: Option<&str>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let facts = view.facts(&config.network);
    let mut title = vec![Part::new(0, Role::Title, format!("LAYERS of {}", view.title(&config.network)))];
    let (role, times) = missing_times(view, config, reason);
    title.push(Part::new(1, role, times));
    if let Some(f) = facts {
        title.push(Part::new(2, Role::Plain, format!("{} layers", f.layers.len())));
        title.push(Part::new(1, Role::Plain, format!("{} MACs", format::si(f.macs as f64))));
        title.push(Part::new(3, Role::Plain, format!("{} params", format::si(f.params as f64))));
        title.push(Part::new(4, Role::Plain, format!("{} operations", format::si(f.ops as f64))));
        title.push(Part::new(2, Role::Dim, "at batch 1"));
    }
    let mut inner = padded(frame(&title, view.theme, area, buffer));
    if let Some(reason) = reason.filter(|_| inner.height > 4) {
        let rows = wrapped(&format!("no times: {reason}"), Role::Bad, view.theme, Rect { height: 2, ..inner }, buffer);
        inner = Rect { y: inner.y + rows, height: inner.height - rows, ..inner };
    }
    let Some(facts) = facts.filter(|f| !f.layers.is_empty()) else {
        wrapped(
            "not read off its graph yet: that happens when the engine builds it",
            Role::Dim,
            view.theme,
            inner,
            buffer,
        );
        return Drawn::default();
    };
    let shown = table(facts, view.theme).render(view.ui.scroll, view.theme, inner, buffer);
    let last_page = facts.layers.len().saturating_sub(shown.len());
    Drawn { page: shown.len(), last_page, ..Drawn::default() }
}

/// Why there are no times yet.
fn missing_times(view: &View<'_>, config: &Config, reason: Option<&str>) -> (Role, &'static str) {
    let run = view.state.run.as_ref().filter(|run| run.config == *config);
    match run {
        _ if reason.is_some() => (Role::Bad, "no times"),
        Some(run) if run.aside.is_some_and(|(_, away)| away) => (Role::Warn, "measuring the layers …"),
        _ if view.playback.is_some() || view.ended => (Role::Dim, "times were not measured"),
        _ if view.drives_sweep || view.state.sweeping() => (Role::Dim, "times after the sweep"),
        _ => (Role::Warn, "times once it is steady"),
    }
}

fn shape(output: &[u64], theme: Theme) -> String {
    output.iter().skip(1).map(u64::to_string).collect::<Vec<_>>().join(theme.pick("×", "x"))
}

fn table(facts: &NetworkFacts, theme: Theme) -> Table {
    let total: u64 = facts.layers.iter().map(|l| l.macs).sum();
    let largest = facts.layers.iter().map(|l| l.macs).max().unwrap_or(0);
    let columns = vec![
        Column::number(5, "#"),
        Column::words(0, "kind"),
        Column::words(3, "detail"),
        Column::words(4, "output"),
        Column::number(2, "params"),
        Column::number(0, "MACs"),
        Column::number(1, "share"),
        Column::words(1, ""),
    ];
    let row = |(i, l): (usize, &LayerFacts)| {
        (cells(i, l, total, largest, theme), if l.macs > 0 { Role::Plain } else { Role::Dim })
    };
    Table { columns, rows: facts.layers.iter().enumerate().map(row).collect(), ..Table::default() }
}

fn cells(index: usize, layer: &LayerFacts, total: u64, largest: u64, theme: Theme) -> Vec<String> {
    let count = |n: u64| if n > 0 { format::si(n as f64) } else { String::new() };
    let share = if total > 0 { 100.0 * layer.macs as f64 / total as f64 } else { 0.0 };
    let bar = (BAR as f64 * layer.macs as f64 / largest.max(1) as f64).round() as usize;
    vec![
        (index + 1).to_string(),
        layer.kind.clone(),
        layer.detail.clone(),
        shape(&layer.output, theme),
        count(layer.params),
        count(layer.macs),
        if layer.macs > 0 { format!("{} %", format::percent(share)) } else { String::new() },
        format!("{:<BAR$}", theme.pick("█", "#").repeat(bar)),
    ]
}
