//! The header: the configuration at the left, device and clock at the right.

use crate::{
    format,
    ui::{
        status::link,
        theme::Role,
        view::View,
        widgets::pane::{Part, pack_with, row, row_right},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws it into one row.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
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
    let taken = row_right(&right(view), view.theme, right_area, buffer);
    row(&left, view.theme, Rect { width: area.width.saturating_sub(taken), ..area }, buffer);
}

/// The device or the station, how it is reached, and the clock.
fn right(view: &View<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    if view.fleet.is_several() {
        let names = view.fleet.names(true);
        parts.push(Part::new(2, Role::Strong, names[view.focus].clone()));
    } else if let Some(device) = view.device() {
        let title = view.device_info().map(|d| d.title.clone()).filter(|t| t != device);
        parts.push(Part::new(3, Role::Plain, title.unwrap_or_default()));
        // The link to a remote host is more important than its device.
        let drop = if view.state.link.is_some() { 3 } else { 2 };
        parts.push(Part::new(drop, Role::Plain, device));
    }
    if !view.fleet.is_several() {
        parts.extend(link::header(view));
    }
    parts.extend(clock(view));
    parts
}

/// The time that is shown, and whether it is live, frozen, replayed or recorded.
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
