//! The live screen of one station: the four numbers as large as there is room for, the scope below.

use super::{gauges::gauges, trace::trace};
use crate::{
    session::RunResult,
    ui::{
        status::link,
        view::View,
        widgets::{
            big::Size,
            pane::{elided, frame, pack_with, place, take_top},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Columns of the scope's title that the reason why it shows no power does not have.
const REASON: u16 = 34;

/// Least rows of the scope, its frame included.
const SCOPE: u16 = 5;

/// Draws it.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let result = view.state.current_result();
    let result = result.as_ref();
    let gauges = gauges(view, result);
    let mut rest = area;
    match arrange(area) {
        Arrangement::Framed { across, height, size } => {
            let down = 4 / across;
            for (i, gauge) in gauges.iter().enumerate() {
                let (column, row) = (i as u16 % across, i as u16 / across);
                let left = area.width * column / across;
                let width = area.width * (column + 1) / across - left;
                let cell = Rect { x: area.x + left, y: area.y + row * height, width, height };
                gauge.render(view.time(), size, view.theme, cell, buffer);
            }
            rest = Rect { y: area.y + down * height, height: area.height - down * height, ..area };
        }
        Arrangement::Rows => {
            for gauge in gauges.iter().take(usize::from(area.height)) {
                gauge.line(view.theme, take_top(&mut rest), buffer);
            }
        }
        Arrangement::OneRow => {
            let parts: Vec<_> = gauges.iter().flat_map(|g| g.parts(false)).collect();
            place(&pack_with(&parts, area.width, "  ", view.theme), take_top(&mut rest), buffer);
        }
    }
    link::explain(view, &mut rest, buffer);
    if rest.height >= SCOPE {
        scope(view, result, rest, buffer);
    }
}

/// How the four numbers are arranged.
enum Arrangement {
    /// In frames of that height, `across` of them side by side.
    Framed { across: u16, height: u16, size: Size },
    /// A row each.
    Rows,
    /// All in one row.
    OneRow,
}

/// The largest arrangement that leaves the scope at least half of the rows.
fn arrange(area: Rect) -> Arrangement {
    let framed = |across, height, size| Arrangement::Framed { across, height, size };
    match (area.width, area.height) {
        (116.., 24..) => framed(4, 11, Size::Huge),
        (72.., 16..) => framed(4, 8, Size::Tall),
        (72.., 11..) => framed(4, 6, Size::Line),
        (72.., 3..) => framed(4, area.height.min(5), Size::Line),
        (36.., 24..) => framed(2, 8, Size::Tall),
        (36.., 14..) => framed(2, 5, Size::Line),
        (_, 4..) => Arrangement::Rows,
        _ => Arrangement::OneRow,
    }
}

/// Power over time; where no sensor reads it, latency, and the title says why.
fn scope(view: &View<'_>, result: Option<&RunResult>, area: Rect, buffer: &mut Buffer) {
    let device = view.device().unwrap_or_default();
    let power = view.state.power_sensor(device).map(|(_, sensor)| sensor);
    let room = usize::from(area.width.saturating_sub(REASON));
    let reason = |reason: String| if device.is_empty() { String::new() } else { elided(&reason, room, view.theme) };
    let power = power.map_err(reason);
    let (title, scope) = trace(view, result, power);
    let inner = frame(&title, view.theme, area, buffer);
    scope.render(view.theme, inner, buffer);
}
