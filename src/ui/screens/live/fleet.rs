//! The live screen of several stations: a column each, with the same axes in all of them, so that they can be compared.

use super::{gauges::gauges, trace};
use crate::{
    session::state::SensorState,
    ui::{
        action::Action,
        screen::{Drawn, Response},
        status::{self, link},
        theme::Role,
        view::View,
        widgets::{
            big::Size,
            gauge::{Gauge, Number},
            pane::{Part, columns, frame, pack, place, row, take_top, wrapped},
            scope::Scope,
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Least columns of a station.
const LEAST_WIDTH: u16 = 36;

/// Least rows for columns; below, each station is a row.
const LEAST_HEIGHT: u16 = 9;

/// Draws it: the page of stations with the selected one, as many side by side as there is room for.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let area = area.intersection(buffer.area);
    if area.height < LEAST_HEIGHT || area.width < LEAST_WIDTH / 2 {
        return rows(view, area, buffer);
    }
    let page = Page::of(view.fleet.len(), view.focus, usize::from(area.width / LEAST_WIDTH));
    let mut drawn = Drawn { page: page.columns, ..Drawn::default() };
    let stations: Vec<View<'_>> = (0..view.fleet.len()).map(|on| view.of(on)).collect();
    let traces = traces(&stations);
    let names = [view.fleet.names(false), view.fleet.names(true)];
    for (i, on) in (page.first..page.end).enumerate() {
        let left = area.width * i as u16 / page.columns as u16;
        let width = area.width * (i as u16 + 1) / page.columns as u16 - left;
        let column = Rect { x: area.x + left, width, ..area };
        let name = names.iter().map(|of| &of[on]).find(|name| columns(name) + 6 <= usize::from(width));
        let name = name.unwrap_or(&names[1][on]);
        station(&stations[on], name, &traces[on], column, buffer);
        drawn.click_targets.push((column, Action::Station(on)));
    }
    drawn
}

/// Pages are pages of stations: they select another one.
pub fn respond(view: &View<'_>, action: Action) -> Option<Response> {
    match action {
        Action::PageUp if !view.ui.help => Some(Response::Station(view.focus.saturating_sub(view.ui.page))),
        Action::PageDown if !view.ui.help => Some(Response::Station(view.focus + view.ui.page)),
        _ => None,
    }
}

/// The stations in sight.
struct Page {
    /// The first one.
    first: usize,
    /// The one after the last.
    end: usize,
    /// Columns of the screen, empty ones of the last page included.
    columns: usize,
}

impl Page {
    /// The page of the selected station where `fit` columns have room; the stations are spread evenly over the pages.
    fn of(stations: usize, focus: usize, fit: usize) -> Self {
        let pages = stations.div_ceil(fit.max(1)).max(1);
        let columns = stations.div_ceil(pages).max(1);
        let first = focus / columns * columns;
        Self { first, end: (first + columns).min(stations), columns }
    }
}

/// A row for each station, where columns have no room.
fn rows(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let fit = usize::from(area.height).max(1);
    let first = view.focus / fit * fit;
    let mut drawn = Drawn { page: fit, ..Drawn::default() };
    let names = view.fleet.names(true);
    let wide = names.iter().map(|name| columns(name)).max().unwrap_or(0);
    let mut rest = area;
    for (on, name) in names.iter().enumerate().skip(first).take(fit) {
        let of = view.of(on);
        let line = take_top(&mut rest);
        let gap = " ".repeat(wide - columns(name));
        let role = if on == view.focus { Role::Current } else { Role::Strong };
        let mut parts = vec![Part::new(0, role, name.clone()), Part::new(2, Role::Plain, gap).joined()];
        match status::trouble(&of) {
            Some((role, word, text)) => {
                parts.push(Part::new(0, role, word));
                parts.push(Part::new(0, Role::Plain, format!(": {text}")).joined());
            }
            None => parts.extend(brief(&gauges(&of, of.state.current_result().as_ref()))),
        }
        row(&parts, view.theme, line, buffer);
        drawn.click_targets.push((line, Action::Station(on)));
    }
    drawn
}

/// The numbers with their units; where there are none yet, what they wait for.
fn brief(gauges: &[Gauge<'_>]) -> Vec<Part> {
    match &gauges[0].number {
        Number::Waiting(reason) => vec![Part::new(0, Role::Dim, reason.clone())],
        _ => gauges.iter().filter(|g| matches!(g.number, Number::Value(..))).flat_map(|g| g.parts(false)).collect(),
    }
}

/// The curve of a station, and the title over it.
struct Trace<'a> {
    title: Vec<Part>,
    scope: Scope<'a>,
}

/// The curves of all stations, of the same quantity and on the same scale: power where every one has it, latency otherwise.
fn traces<'a>(stations: &[View<'a>]) -> Vec<Trace<'a>> {
    let powers: Vec<Option<&SensorState>> = stations.iter().map(power).collect();
    let unknown = |view: &View<'_>| view.state.sensors.is_empty();
    let all = stations.iter().zip(&powers).all(|(view, power)| power.is_some() || unknown(view));
    let some = powers.iter().any(Option::is_some);
    let trace = |(view, power): (&View<'a>, Option<&'a SensorState>)| {
        let power = power.filter(|_| all && some).ok_or_else(String::new);
        let (title, scope) = trace::trace(view, view.state.current_result().as_ref(), power);
        Trace { title, scope }
    };
    let mut traces: Vec<_> = stations.iter().zip(powers).map(trace).collect();
    let highest = traces.iter().map(|trace| trace.scope.reach()).fold(0.0, f64::max);
    traces.iter_mut().for_each(|trace| trace.scope.shared = Some(highest));
    traces
}

/// The power sensor of a station.
fn power<'a>(view: &View<'a>) -> Option<&'a SensorState> {
    let device = view.device().or(view.state.device())?;
    view.state.power_sensor(device).ok().map(|(_, sensor)| sensor)
}

/// One station.
fn station(view: &View<'_>, name: &str, trace: &Trace<'_>, area: Rect, buffer: &mut Buffer) {
    let role = if view.on == view.focus { Role::Current } else { Role::Title };
    let title = view.device_info().map(|info| info.title.clone()).unwrap_or_default();
    // The selected one is marked without colours, too.
    let mark = if view.on == view.focus { view.theme.pick("▸ ", "> ") } else { "" };
    let title = [
        Part::new(0, role, format!("{mark}{name}")),
        Part::new(2, Role::Plain, title),
        Part::new(3, Role::Plain, link::figures(view).unwrap_or_default().trim_start()),
    ];
    let mut rest = frame(&title, view.theme, area, buffer);
    row(&status::parts(view), view.theme, take_top(&mut rest), buffer);
    let result = view.state.current_result();
    let gauges = gauges(view, result.as_ref());
    let size = arrange(rest);
    let height = size.map_or(gauges.len() as u16, |(height, _)| 2 * height).min(rest.height);
    match (status::trouble(view), size) {
        // The reason takes the place of the numbers, so that the curves stay side by side.
        (Some((role, _, text)), _) => {
            let place = Rect { x: rest.x + 1, width: rest.width.saturating_sub(2), height, ..rest };
            wrapped(&text, role, view.theme, place, buffer);
            rest = Rect { y: rest.y + height, height: rest.height - height, ..rest };
        }
        (None, Some((height, size))) => {
            for (i, gauge) in gauges.iter().enumerate() {
                let (across, down) = (i as u16 % 2, i as u16 / 2);
                let left = rest.width * across / 2;
                let width = rest.width * (across + 1) / 2 - left;
                let cell = Rect { x: rest.x + left, y: rest.y + down * height, width, height };
                gauge.render(view.time(), size, view.theme, cell, buffer);
            }
            rest = Rect { y: rest.y + 2 * height, height: rest.height - 2 * height, ..rest };
        }
        (None, None) => {
            for gauge in gauges.iter().take(usize::from(rest.height)) {
                gauge.line(view.theme, take_top(&mut rest), buffer);
            }
        }
    }
    if rest.height >= 4 {
        place(&pack(&trace.title, rest.width, view.theme), take_top(&mut rest), buffer);
        trace.scope.render(view.theme, rest, buffer);
    }
}

/// Height and size of the numbers in two rows of two; none where they are rows of text. The scope keeps a third of the rows.
const fn arrange(area: Rect) -> Option<(u16, Size)> {
    match (area.width, area.height) {
        (34.., 24..) => Some((7, Size::Tall)),
        (34.., 15..) => Some((5, Size::Line)),
        _ => None,
    }
}
