//! The live screen: four numbers to be read from across the room, and the scope; of one station, or of several side by side.

mod fleet;
mod gauges;
pub mod station;
mod trace;

use crate::ui::{
    action::Action,
    screen::{Drawn, Response, Screen},
    view::View,
};
use ratatui::{buffer::Buffer, layout::Rect};

/// The live screen.
pub static SCREEN: Screen = Screen { name: "live", draw, respond, time_axis: true, ..Screen::BASE };

fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    if view.fleet.is_several() {
        return fleet::draw(view, area, buffer);
    }
    station::draw(view, area, buffer);
    Drawn::default()
}

fn respond(view: &View<'_>, action: Action) -> Option<Response> {
    if view.fleet.is_several() { fleet::respond(view, action) } else { None }
}
