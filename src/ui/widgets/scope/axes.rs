//! The axes of the scope: values at the left, time and the changes of the configuration below.

use super::{data::Scope, layout::Layout};
use crate::ui::{
    theme::{Role, Theme},
    widgets::pane::{columns, text},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws the time axis with the labels of the changes, and the times below where there is a row for them.
pub fn time_axis(scope: &Scope<'_>, theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
    let rows = area.height - layout.plot.height;
    if rows == 0 {
        return;
    }
    let y = layout.plot.bottom();
    let line = Rect { y, height: 1, x: layout.plot.x, width: layout.plot.width };
    let dim = theme.style(Role::Dim);
    text(line.x - 1, y, theme.pick("┼", "+"), dim, area, buffer);
    text(line.x, y, &theme.pick("─", "-").repeat(usize::from(line.width)), dim, line, buffer);
    if rows > 1 {
        time_labels(layout, theme, line, buffer);
    }
    mark_labels(scope, theme, layout, line, buffer);
}

fn mark_labels(scope: &Scope<'_>, theme: Theme, layout: &Layout, line: Rect, buffer: &mut Buffer) {
    let name = format!(" {} ", scope.marks_name);
    let name_width = columns(&name) as u16;
    let mut end = line.width;
    if !scope.marks.is_empty() && line.width > 3 * name_width {
        end -= name_width;
        text(line.x + end, line.y, &name, theme.style(Role::Dim), line, buffer);
    }
    // The newest first: where labels are too close, the older one is left out.
    for mark in scope.marks.iter().rev() {
        let Some(column) = layout.column_of(mark.t).filter(|c| *c < end) else { continue };
        let label = format!("{}{}", theme.pick("▲", "^"), theme.text(mark.label.as_str()));
        let label = if column + columns(&label) as u16 <= end { label } else { theme.pick("▲", "^").to_owned() };
        text(line.x + column, line.y, &label, theme.style(Role::Strong), line, buffer);
        end = column;
    }
}

/// Draws the ticks on the time axis, and their labels below.
fn time_labels(layout: &Layout, theme: Theme, line: Rect, buffer: &mut Buffer) {
    let dim = theme.style(Role::Dim);
    let below = Rect { y: line.y + 1, ..line };
    for (column, label) in layout.time_ticks() {
        let width = columns(&label) as u16;
        let at_end = column >= line.width;
        let left = if at_end { line.width.saturating_sub(width) } else { column.saturating_sub(width / 2) };
        text(below.x + left, below.y, &label, dim, below, buffer);
        if column > 0 && !at_end {
            text(line.x + column, line.y, theme.pick("┬", "+"), dim, line, buffer);
        }
    }
}
