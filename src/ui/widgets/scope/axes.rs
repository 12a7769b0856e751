//! The axes of the scope: values at the left, time and the changes of the configuration below.

use super::{data::Scope, layout::Layout};
use crate::{
    format,
    ui::{
        theme::{Role, Theme},
        widgets::{
            axis::{self, ticks},
            pane::{columns, text},
        },
    },
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws the axis of values.
pub fn value_axis(theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
    let dim = theme.style(Role::Dim);
    let x = layout.plot.x - 1;
    for y in layout.plot.top()..layout.plot.bottom() {
        text(x, y, theme.pick("│", "|"), dim, area, buffer);
    }
    let mut last = None;
    for value in ticks(layout.top, layout.step) {
        // 0 is on the time axis, where there is one.
        let row = layout.height_of(value).round() as u16;
        if last.is_some_and(|last| row.abs_diff(last) < 2) {
            continue;
        }
        last = Some(row);
        let label = axis::label(value, layout.step);
        let width = columns(&label) as u16;
        let y = layout.plot.y + row;
        text(x.saturating_sub(width + 1), y, &label, dim, area, buffer);
        if y < layout.plot.bottom() {
            text(x, y, theme.pick("┤", "+"), dim, area, buffer);
        }
    }
}

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
        time_labels(scope, theme, Rect { y: y + 1, ..line }, buffer);
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

fn time_labels(scope: &Scope<'_>, theme: Theme, line: Rect, buffer: &mut Buffer) {
    let dim = theme.style(Role::Dim);
    let seconds = scope.window as f64 / 1e9;
    let parts = [6u16, 4, 3, 2, 1].into_iter().find(|n| line.width >= n * 9).unwrap_or(1);
    for i in 0..=parts {
        let ago = seconds * f64::from(parts - i) / f64::from(parts);
        let label = if i == parts { "now".to_owned() } else { format!("-{}", format::duration(ago)) };
        let width = columns(&label) as u16;
        let at = (u32::from(line.width) * u32::from(i) / u32::from(parts)) as u16;
        let x = if i == 0 { 0 } else { at.saturating_sub(if i == parts { width } else { width / 2 }) };
        text(line.x + x, line.y, &label, dim, line, buffer);
    }
}
