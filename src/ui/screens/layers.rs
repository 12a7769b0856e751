//! The layers of the current network: where the multiply-accumulates and the parameters are.

use super::Drawn;
use crate::{
    event::{LayerFacts, NetworkFacts},
    ui::{
        format,
        theme::{Role, Theme},
        view::View,
        widgets::{
            pane::{Part, frame, wrapped},
            table::{Column, Table},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Cells of a bar that stands for the largest share.
const BAR: usize = 20;

/// Draws it.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer, drawn: &mut Drawn) {
    let Some(id) = view.wanted.or(view.config()).map(|c| c.network.clone()) else {
        wrapped("no network yet", Role::Dim, view.theme, area, buffer);
        return;
    };
    let facts = view.facts(&id);
    let mut title = vec![Part::new(0, Role::Title, format!("LAYERS of {}", view.title(&id)))];
    if let Some(f) = facts {
        title.push(Part::new(1, Role::Plain, format!("{} layers", f.layers.len())));
        title.push(Part::new(0, Role::Plain, format!("{} MACs", format::si(f.macs as f64))));
        title.push(Part::new(2, Role::Plain, format!("{} params", format::si(f.params as f64))));
        title.push(Part::new(3, Role::Plain, format!("{} operations", format::si(f.ops as f64))));
        title.push(Part::new(4, Role::Dim, "at batch 1"));
    }
    let inner = frame(&title, view.theme, area, buffer);
    let inner = Rect { x: inner.x + 1.min(inner.width), width: inner.width.saturating_sub(2), ..inner };
    let Some(facts) = facts.filter(|f| !f.layers.is_empty()) else {
        wrapped(
            "not read off its graph yet: that happens when the engine builds it",
            Role::Dim,
            view.theme,
            inner,
            buffer,
        );
        return;
    };
    let shown = table(facts, view.theme).render(view.looks.scroll, view.theme, inner, buffer);
    drawn.page = shown.len();
    drawn.last_page = facts.layers.len().saturating_sub(shown.len());
}

fn table(facts: &NetworkFacts, theme: Theme) -> Table {
    let total: u64 = facts.layers.iter().map(|l| l.macs).sum();
    let largest = facts.layers.iter().map(|l| l.macs).max().unwrap_or(0);
    let columns = vec![
        Column::number(5, "#"),
        Column::words(0, "kind"),
        Column::words(3, "detail"),
        Column::words(4, "output"),
        Column::number(2, "params"),
        Column::number(0, "MACs"),
        Column::number(1, "share"),
        Column::words(1, ""),
    ];
    let row = |(i, l): (usize, &LayerFacts)| {
        (cells(i, l, total, largest, theme), if l.macs > 0 { Role::Plain } else { Role::Dim })
    };
    Table { columns, rows: facts.layers.iter().enumerate().map(row).collect(), ..Table::default() }
}

fn cells(index: usize, layer: &LayerFacts, total: u64, largest: u64, theme: Theme) -> Vec<String> {
    let count = |n: u64| if n > 0 { format::si(n as f64) } else { String::new() };
    let share = if total > 0 { 100.0 * layer.macs as f64 / total as f64 } else { 0.0 };
    let bar = (BAR as f64 * layer.macs as f64 / largest.max(1) as f64).round() as usize;
    let times = theme.pick("×", "x");
    vec![
        (index + 1).to_string(),
        layer.kind.clone(),
        layer.detail.clone(),
        layer.output.iter().skip(1).map(u64::to_string).collect::<Vec<_>>().join(times),
        count(layer.params),
        count(layer.macs),
        if layer.macs > 0 { format!("{} %", format::percent(share)) } else { String::new() },
        format!("{:<BAR$}", theme.pick("█", "#").repeat(bar)),
    ]
}
