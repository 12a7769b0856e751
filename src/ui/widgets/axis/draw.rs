//! Draws axes: a line, ticks and labels.

use super::Axis;
use crate::ui::{
    theme::{Role, Theme},
    widgets::pane::{columns, text},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Draws a vertical axis in column `x`, its labels to the left. Its first tick is in row `first`; its line ends at row `bottom`
/// below and at the last tick above.
pub fn vertical(axis: &Axis, x: u16, (first, bottom): (u16, u16), theme: Theme, area: Rect, buffer: &mut Buffer) {
    let dim = theme.style(Role::Dim);
    let row = |cell: u16| first.saturating_sub(cell).max(area.y);
    for y in row(axis.length())..=bottom {
        text(x, y, theme.pick("│", "|"), dim, area, buffer);
    }
    for cell in axis.minor_ticks() {
        text(x, row(cell), theme.pick("┤", "+"), dim, area, buffer);
    }
    for (cell, label) in axis.ticks() {
        text(x.saturating_sub(columns(&label) as u16 + 1), row(cell), &label, dim, area, buffer);
        if row(cell) <= bottom {
            text(x, row(cell), theme.pick("┤", "+"), dim, area, buffer);
        }
    }
}

/// Draws a horizontal axis into a row, from the corner before its first column on, its labels on the line. Its first tick is
/// in column `first` of the row; labels end before column `end`.
pub fn horizontal(axis: &Axis, (first, end): (u16, u16), theme: Theme, row: Rect, area: Rect, buffer: &mut Buffer) {
    let dim = theme.style(Role::Dim);
    text(row.x - 1, row.y, theme.pick("└", "+"), dim, area, buffer);
    text(row.x, row.y, &theme.pick("─", "-").repeat(usize::from(row.width)), dim, row, buffer);
    for cell in axis.minor_ticks() {
        text(row.x + first + cell, row.y, theme.pick("┴", "+"), dim, row, buffer);
    }
    for (cell, label) in axis.ticks() {
        let width = columns(&label) as u16;
        let left = (first + cell).saturating_sub(width / 2).min(end.saturating_sub(width));
        text(row.x + left, row.y, &label, dim, row, buffer);
    }
}
