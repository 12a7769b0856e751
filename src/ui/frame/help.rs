//! The help: every key, and what every number means.

use super::overlay;
use crate::ui::{
    keymap::{self, KEYMAP},
    theme::Role,
    view::View,
    widgets::pane::{Part, columns, row, wrap},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Terms on the screen, and what they mean.
const MEANINGS: [(&str, &str); 9] = [
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
    (
        "roof",
        "of a layer: the lower of what the device computes and what its memory delivers at that many FLOPs a byte, and what the layer reaches of it; cache: more than the memory delivers",
    ),
    (
        "STEADY",
        "the latency has converged: from there on batches count; NOT STEADY: warm-up timed out, and they count all the same",
    ),
];

/// Draws it over the screen: keys and meanings side by side, or below each other and scrolled. Gives the rows of a page and
/// the most rows to scroll by, where it can be scrolled.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Option<(usize, usize)> {
    let area = area.intersection(buffer.area);
    let label = KEYMAP.iter().map(|b| columns(&b.label)).max().unwrap_or(0) + 2;
    let help = |label: &str, help: &'static str| match label {
        keymap::DEVICE if view.fleet.is_several() => "station: next, previous; every screen is of it",
        _ => help,
    };
    let keys: Vec<Entry> =
        KEYMAP.iter().map(|b| Entry::new(&b.label, help(&b.label, &b.help).to_owned(), label)).collect();
    let left = (label + KEYMAP.iter().map(|b| columns(&b.help)).max().unwrap_or(0)) as u16 + 3;
    let beside = area.width.saturating_sub(left + 4);
    if beside >= 44 {
        let meanings = meanings(view, usize::from(beside.min(84)) - TERM);
        let rows = keys.len().max(meanings.len()) as u16;
        let inner = overlay::open(view, &title("? or esc closes"), area, left + beside.min(84), rows, buffer);
        entries(&keys, view, Rect { width: left.min(inner.width), ..inner }, buffer);
        let x = inner.x + left.min(inner.width);
        entries(&meanings, view, Rect { x, width: inner.right() - x, ..inner }, buffer);
        return None;
    }
    let width = area.width.saturating_sub(4).min(left.max(76));
    let meanings = meanings(view, usize::from(width).saturating_sub(TERM));
    let list: Vec<Entry> = keys.into_iter().chain([Entry::new("", String::new(), 0)]).chain(meanings).collect();
    let inner = overlay::open(view, &title("[ ] scrolls, ? or esc closes"), area, width, list.len() as u16, buffer);
    let page = usize::from(inner.height).saturating_sub(1).max(1);
    let last_page = list.len().saturating_sub(usize::from(inner.height));
    entries(&list[view.ui.scroll.min(last_page)..], view, inner, buffer);
    Some((page, last_page))
}

fn title(closes: &str) -> [Part; 2] {
    [Part::new(0, Role::Title, "HELP"), Part::new(1, Role::Dim, closes)]
}

/// Columns of a term.
const TERM: usize = 13;

/// A key or a term, and its explanation.
struct Entry {
    word: &'static str,
    text: String,
    indent: usize,
}

impl Entry {
    fn new(word: &'static str, text: String, indent: usize) -> Self {
        Self { word, text, indent }
    }
}

fn meanings(view: &View<'_>, width: usize) -> Vec<Entry> {
    let lines = |(word, text): (&'static str, &str)| -> Vec<Entry> {
        let lines = wrap(text, width).into_iter().enumerate();
        lines.map(|(i, line)| Entry::new(if i == 0 { word } else { "" }, line, TERM)).collect()
    };
    let metrics = view.options.metrics.as_deref().map(|url| ("metrics", url));
    MEANINGS.into_iter().chain(metrics).flat_map(lines).collect()
}

fn entries(list: &[Entry], view: &View<'_>, area: Rect, buffer: &mut Buffer) {
    for (i, entry) in list.iter().take(usize::from(area.height)).enumerate() {
        let line = Rect { y: area.y + i as u16, height: 1, ..area };
        let gap = " ".repeat(entry.indent.saturating_sub(columns(&view.theme.text(entry.word))));
        let word = Part::new(0, Role::Strong, format!("{}{gap}", entry.word));
        row(&[word, Part::new(0, Role::Plain, entry.text.clone()).joined()], view.theme, line, buffer);
    }
}
