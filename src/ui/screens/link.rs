//! The link to a far end: which host, how far away, and what is wrong with it.

use crate::{
    event::LinkState,
    ui::{
        format,
        theme::Role,
        view::View,
        widgets::pane::{Part, columns, wrap, wrapped},
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Rows that an explanation may take at the most.
const MOST_ROWS: u16 = 4;

/// Where the stream comes from: `gpu-box 12 ms 8 kB/s`.
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

/// How far away the far end is, and how much comes from there: ` 12 ms 8 kB/s`.
pub fn figures(view: &View<'_>) -> Option<String> {
    let LinkState::Up { rtt_ns, down_bytes_per_s, .. } = view.state.link.as_ref()?.state else { return None };
    let trip = rtt_ns.map(|ns| format!(" {} ms", format::significant(ns as f64 / 1e6, 2))).unwrap_or_default();
    Some(trip + &format!(" {} kB/s", format::significant(down_bytes_per_s / 1e3, 2)))
}

/// What is wrong with the link.
pub struct Trouble {
    /// How bad it is.
    pub role: Role,
    /// In a word.
    pub word: &'static str,
    /// In more words.
    pub text: String,
    /// Why, where somebody said so.
    reason: Option<String>,
}

/// What is wrong with the link, if anything is.
pub fn trouble(view: &View<'_>) -> Option<Trouble> {
    let link = view.state.link.as_ref()?;
    match &link.state {
        LinkState::Up { .. } => None,
        LinkState::Connecting { said } => {
            let words = said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
            let (text, reason) = (format!("{}{words}", link.command), said.clone());
            Some(Trouble { role: Role::Warn, word: "CONNECTING", text, reason })
        }
        LinkState::Lost { reason, retry_in_s } => {
            let next = retry_in_s.map_or_else(|| "given up".to_owned(), |s| format!("retrying in {:.0} s", s.ceil()));
            let (text, reason) = (format!("{next}: {reason}"), Some(reason.clone()));
            Some(Trouble { role: Role::Bad, word: "LINK LOST", text, reason })
        }
    }
}

/// Explains above the scope what is wrong, where the status row is too short for it, and takes the rows away.
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
