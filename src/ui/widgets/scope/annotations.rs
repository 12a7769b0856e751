//! What is written into the plot of the scope: lines at changes, levels with their labels, labels of plateaus.

use super::{
    data::{Level, Plateau, Scope},
    layout::Layout,
};
use crate::ui::{
    theme::{Marker, Role, Theme},
    widgets::{
        canvas::Canvas,
        pane::{columns, text},
    },
};
use ratatui::buffer::Buffer;

/// Rows that the label of a past plateau may be away from its level.
const NEAR: u16 = 3;

/// Draws a vertical line at each change, behind the curve.
pub fn mark_lines(scope: &Scope<'_>, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
    for column in scope.marks.iter().filter_map(|mark| layout.column_of(mark.t)) {
        for row in (0..layout.plot.height).filter(|row| canvas.blank(column, *row)) {
            let (x, y) = (layout.plot.x + column, layout.plot.y + row);
            text(x, y, theme.pick("┊", ":"), theme.style(Role::Dim), layout.plot, buffer);
        }
    }
}

/// Draws a level behind the curve, its label at the right end where the curve leaves room for it.
pub fn level_line(level: &Level, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
    let row = layout.row_of(level.value);
    let (style, y) = (theme.style(level.role), layout.plot.y + row);
    match theme.marker {
        // At its value to a dot: a row may stand for a hundred watts.
        Marker::Braille => dashes(level, theme, layout).render(buffer),
        Marker::Block | Marker::Ascii => {
            for column in (0..layout.plot.width).filter(|c| c % 2 == 0 && canvas.blank(*c, row)) {
                text(layout.plot.x + column, y, theme.pick("─", "-"), style, layout.plot, buffer);
            }
        }
    }
    let label = format!(" {} ", theme.text(level.label.as_str()));
    let width = columns(&label) as u16;
    if let Some(left) = layout.plot.width.checked_sub(width)
        && (left..layout.plot.width).all(|c| canvas.blank(c, row))
    {
        text(layout.plot.x + left, y, &label, style, layout.plot, buffer);
    }
}

/// A dashed line at the height of a level.
fn dashes(level: &Level, theme: Theme, layout: &Layout) -> Canvas {
    let mut canvas = Canvas::new(layout.plot, theme.marker);
    let (across, _) = Canvas::resolution(theme.marker);
    let y = layout.dot_of(level.value, theme.marker);
    for x in (0..canvas.size().0).filter(|x| x / i64::from(across) % 2 == 0) {
        canvas.dot(x, y, theme.style(level.role));
    }
    canvas
}

/// Writes the label of each plateau near its level: that of one that lasts at the right end, that of a past one over its
/// middle.
pub fn plateau_labels(scope: &Scope<'_>, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
    // Rows of levels carry labels of their own.
    let taken: Vec<u16> = scope.levels.iter().map(|level| layout.row_of(level.value)).collect();
    for plateau in &scope.plateaus {
        let Some((level, label)) = &plateau.level else { continue };
        let label = format!(" {} ", theme.text(label.as_str()));
        let width = columns(&label) as u16;
        let Some((left, furthest)) = label_place(plateau, width, layout) else { continue };
        let home = layout.row_of(*level);
        let free = |row: &u16| !taken.contains(row) && (left..left + width).all(|c| canvas.blank(c, *row));
        let nearest = (0..layout.plot.height).filter(free).min_by_key(|row| (row.abs_diff(home), *row));
        if let Some(row) = nearest.filter(|row| row.abs_diff(home) <= furthest) {
            let (x, y) = (layout.plot.x + left, layout.plot.y + row);
            text(x, y, &label, theme.style(Role::Steady), layout.plot, buffer);
        }
    }
}

/// First column of a label of that width, and how many rows it may be away from its level; none where there is no room.
fn label_place(plateau: &Plateau, width: u16, layout: &Layout) -> Option<(u16, u16)> {
    let room = layout.plot.width.checked_sub(width)?;
    let Some(to) = plateau.to else { return Some((room, layout.plot.height)) };
    let (middle, length) = layout.middle(plateau.from, to)?;
    (length >= width).then(|| (middle.saturating_sub(width / 2).min(room), NEAR))
}
