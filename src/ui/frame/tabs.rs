//! The row of tabs, and what belongs to the whole screen: the recording, the station, the time axis.

use crate::{
    format,
    ui::{
        action::{Action, ScreenId},
        screens,
        theme::Role,
        view::View,
        widgets::pane::{Part, row_right, text},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Columns below which only the current tab has its name.
const NAMES: u16 = 58;

/// Least columns for what is at the right end.
const RIGHT: u16 = 24;

/// Draws it into one row; gives what can be clicked.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Vec<(Rect, Action)> {
    let mut targets = Vec::new();
    let mut x = area.x + 1;
    for (i, screen) in screens::ALL.iter().enumerate() {
        let id = ScreenId(i);
        let current = id == view.ui.screen;
        let label = match area.width >= NAMES || current {
            true => format!(" {} {} ", i + 1, screen.name),
            false => format!(" {} ", i + 1),
        };
        let style = view.theme.style(if current { Role::Current } else { Role::Dim });
        let width = text(x, area.y, &label, style, area, buffer);
        targets.push((Rect { x, width, height: 1, ..area }, Action::Show(id)));
        x += width + 1;
    }
    let room = area.right().saturating_sub(x);
    if room > RIGHT {
        row_right(&right(view), view.theme, Rect { x, width: room - 1, ..area }, buffer);
    }
    targets
}

/// Host and date of a recording, the station, and the length of the time axis where the screen has one.
fn right(view: &View<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(header) = view.state.header.as_ref().filter(|_| view.playback.is_some()) {
        let when = header.started.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
        let when = if when.is_empty() { when } else { format!("{when} UTC") };
        parts.extend([header.host.clone(), when].into_iter().map(|text| Part::new(1, Role::Plain, text)));
    }
    if view.fleet.is_several() {
        let station = format!("station {} of {}, d D", view.focus + 1, view.fleet.len());
        parts.push(Part::new(0, Role::Plain, station));
    }
    if screens::get(view.ui.screen).time_axis {
        let (_, window) = view.time();
        let drop = u8::from(view.fleet.is_several());
        parts.push(Part::new(drop, Role::Dim, format!("{} axis, + -", format::duration(window as f64 / 1e9))));
    }
    parts
}
