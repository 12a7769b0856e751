//! The footer: a message while it is new, otherwise the most important keys.

use crate::ui::{
    keymap::{self, KEYMAP},
    status,
    theme::Role,
    view::View,
    widgets::pane::{Part, pack_with, place, row},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Keys of a replay, each with how soon it is left out where there is no room.
const REPLAY: [(u8, &str); 8] = [
    (1, "space pause"),
    (2, ", . 1 s"),
    (1, "< > 10 s"),
    (3, "home end"),
    (1, "{ } speed"),
    (4, "1…5 screen"),
    (0, "? help"),
    (0, "q quit"),
];

/// Keys that are never left out.
const ALWAYS: [&str; 2] = ["q", "?"];

/// Draws it into one row.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    if let Some(part) = status::message(view) {
        return row(&[part], view.theme, area, buffer);
    }
    let parts = match view.playback {
        Some(_) => REPLAY.iter().map(|(drop, keys)| Part::new(*drop, Role::Dim, *keys)).collect(),
        None => live_keys(view),
    };
    let line = pack_with(&parts, area.width.saturating_sub(1), "   ", view.theme);
    place(&line, Rect { x: area.x + 1.min(area.width), width: area.width.saturating_sub(1), ..area }, buffer);
}

/// Keys of the live screen: the first ones of the keymap are left out last.
fn live_keys(view: &View<'_>) -> Vec<Part> {
    let all = KEYMAP.len();
    let part = |(i, binding): (usize, &crate::ui::binding::Binding)| {
        let stations = binding.label == keymap::DEVICE && view.fleet.is_several();
        let hint = if stations { "station" } else { binding.hint? };
        let drop = if ALWAYS.contains(&&*binding.label) { 0 } else { (all - 1 - i) as u8 };
        Some(Part::new(drop, Role::Dim, format!("{} {hint}", binding.label)))
    };
    KEYMAP.iter().enumerate().filter_map(part).collect()
}
