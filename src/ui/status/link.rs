//! The link to a remote agent: its host, its round-trip time and data rate, and what is wrong with it.

use crate::{
    event::LinkState,
    format,
    ui::{
        theme::Role,
        view::View,
        widgets::pane::{Part, columns, wrap, wrapped},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Most rows of an explanation.
const MOST_ROWS: u16 = 4;

/// The host with its figures, for the header: `gpu-box 12 ms 8 kB/s`.
pub fn header(view: &View<'_>) -> Vec<Part> {
    let Some(link) = &view.state.link else { return Vec::new() };
    let host = link.host.as_ref().unwrap_or(&link.command).clone();
    match &link.state {
        LinkState::Up { .. } => {
            vec![
                Part::new(1, Role::Strong, host),
                Part::new(2, Role::Plain, figures(view).unwrap_or_default()).joined(),
            ]
        }
        LinkState::Connecting { .. } => vec![Part::new(1, Role::Warn, host)],
        LinkState::Lost { .. } => vec![Part::new(1, Role::Bad, host)],
    }
}

/// Round-trip time and received data rate, with a leading space: ` 12 ms 8 kB/s`. None while the link is down.
pub fn figures(view: &View<'_>) -> Option<String> {
    let LinkState::Up { rtt_ns, down_bytes_per_s, .. } = view.state.link.as_ref()?.state else { return None };
    let rtt = rtt_ns.map(|ns| format!(" {} ms", format::significant(ns as f64 / 1e6, 2))).unwrap_or_default();
    Some(rtt + &format!(" {} kB/s", format::significant(down_bytes_per_s / 1e3, 2)))
}

/// What is wrong with the link.
pub struct Trouble {
    /// Warning or failure.
    pub role: Role,
    /// Its name, for the status row.
    pub word: &'static str,
    /// What happens, and why.
    pub text: String,
    /// Why, as the remote end or the transport reported it.
    reason: Option<String>,
}

/// What is wrong with the link, if anything is.
pub fn trouble(view: &View<'_>) -> Option<Trouble> {
    let link = view.state.link.as_ref()?;
    match &link.state {
        LinkState::Up { .. } => None,
        LinkState::Connecting { said } => {
            let why = said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
            let (text, reason) = (format!("{}{why}", link.command), said.clone());
            Some(Trouble { role: Role::Warn, word: "CONNECTING", text, reason })
        }
        LinkState::Lost { reason, retry_in_s } => {
            let next = retry_in_s.map_or_else(|| "given up".to_owned(), |s| format!("retrying in {:.0} s", s.ceil()));
            let (text, reason) = (format!("{next}: {reason}"), Some(reason.clone()));
            Some(Trouble { role: Role::Bad, word: "LINK LOST", text, reason })
        }
    }
}

/// Explains what is wrong in the first rows of an area, where the status row is too short for it, and splits those rows off.
pub fn explain(view: &View<'_>, area: &mut Rect, buffer: &mut Buffer) {
    let Some(trouble) = trouble(view) else { return };
    let Some(reason) = trouble.reason else { return };
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..*area };
    let room = usize::from(area.width).saturating_sub(columns(trouble.word) + 4);
    if columns(&view.theme.text(trouble.text)) <= room || area.height < 3 {
        return;
    }
    let rows = wrap(&view.theme.text(reason.clone()), usize::from(inner.width)).len();
    let rows = (rows as u16).min(MOST_ROWS).min(area.height);
    wrapped(&reason, trouble.role, view.theme, Rect { height: rows, ..inner }, buffer);
    area.y += rows;
    area.height -= rows;
}
