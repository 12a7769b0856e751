//! The help: every key, and what every number means.

use crate::ui::{
    keymap::KEYMAP,
    theme::Role,
    view::View,
    widgets::pane::{Part, columns, frame, place, row, wrap},
};
use ratatui::{buffer::Buffer, layout::Rect, text::Line};

/// What is printed, and what it means.
const MEANINGS: [(&str, &str); 8] = [
    ("latency", "wall time of one batch, device synchronised before and after; the median of the steady batches"),
    ("±%", "half of the median's 95 % interval, as a share of the median"),
    ("throughput", "images a second over the steady phase, gaps between batches included"),
    (
        "utilisation",
        "the driver's share of time in which any kernel ran: not how busy the units were; that is the share of peak FLOPs, 2 operations a MAC over the peak measured on this device",
    ),
    (
        "power",
        "mean of the steady phase after 1 s of settling, as the named sensor reads it; boards' sensors are off by up to 5 %",
    ),
    ("idle, Δ", "power before the engine started, and power above that"),
    ("J/image", "energy an image, idle power included, from the energy counter where the card has one"),
    ("STEADY", "the latency has converged, or warm-up timed out and the row says so; only then do batches count"),
];

/// Draws it over whatever is there.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    let theme = view.theme;
    let area = area.intersection(buffer.area);
    let wide = area.width >= 110;
    let keys = KEYMAP.iter().map(|b| columns(b.label)).max().unwrap_or(0);
    let text_width = usize::from(if wide { area.width / 2 } else { area.width }).saturating_sub(20).min(70);
    let meanings: Vec<(String, String)> = MEANINGS
        .iter()
        .flat_map(|(word, text)| {
            let lines = wrap(text, text_width);
            lines.into_iter().enumerate().map(|(i, l)| (if i == 0 { (*word).to_owned() } else { String::new() }, l))
        })
        .collect();
    let left = keys + 2 + KEYMAP.iter().map(|b| columns(b.help)).max().unwrap_or(0);
    let rows = if wide { KEYMAP.len().max(meanings.len()) } else { KEYMAP.len() + 1 + meanings.len() };
    let width = if wide { left + 4 + 14 + text_width } else { left.max(14 + text_width) } + 4;
    let (width, height) = ((width as u16).min(area.width), (rows as u16 + 2).min(area.height));
    let x = area.x + (area.width - width) / 2;
    let over = Rect { x, y: area.y + (area.height - height) / 2, width, height };
    clear(over, buffer);
    let title = [Part::new(0, Role::Title, "HELP"), Part::new(1, Role::Dim, "? or esc closes")];
    let inner = frame(&title, theme, over, buffer);
    let mut list: Vec<(String, String, usize)> =
        KEYMAP.iter().map(|b| (b.label.to_owned(), b.help.to_owned(), keys + 2)).collect();
    let meanings = meanings.into_iter().map(|(word, text)| (word, text, 13));
    let left_area = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(1), ..inner };
    if wide {
        let at = left as u16 + 4;
        let right = Rect { x: left_area.x + at, width: left_area.width.saturating_sub(at), ..left_area };
        entries(&list, view, Rect { width: at.min(left_area.width), ..left_area }, buffer);
        entries(&meanings.collect::<Vec<_>>(), view, right, buffer);
    } else {
        list.push((String::new(), String::new(), 0));
        list.extend(meanings);
        entries(&list, view, left_area, buffer);
    }
}

fn entries(list: &[(String, String, usize)], view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    for (i, (word, text, indent)) in list.iter().take(usize::from(area.height)).enumerate() {
        let line = Rect { y: area.y + i as u16, height: 1, ..area };
        let gap = " ".repeat(indent.saturating_sub(columns(&view.theme.text(word.as_str()))));
        let parts =
            [Part::new(0, Role::Strong, format!("{word}{gap}")), Part::new(0, Role::Plain, text.clone()).joined()];
        row(&parts, view.theme, line, buffer);
    }
}

fn clear(area: Rect, buffer: &mut Buffer) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
            }
        }
        place(&Line::raw(" ".repeat(usize::from(area.width))), Rect { y, height: 1, ..area }, buffer);
    }
}
