//! Where things are on the scope: its rows and columns, and the values and times that they stand for.

use super::data::Scope;
use crate::{
    event::Nanos,
    ui::{
        theme::{Marker, Theme},
        widgets::{
            axis::{Axis, Room, time::TimeAxis},
            canvas::Canvas,
            time_columns::TimeColumns,
        },
    },
};
use ratatui::layout::Rect;

/// Where things are.
pub struct Layout {
    /// The area of the curve.
    pub plot: Rect,
    /// Columns of dots.
    pub dots: TimeColumns,
    /// The axis of values.
    pub values: Axis,
    /// The time axis.
    times: TimeAxis,
    /// Rows from the first one of the plot to that of the axis's first tick: the time axis, or the last row of the plot where
    /// there is none.
    span: u16,
}

impl Layout {
    /// The layout in an area; none where that is too small.
    pub fn new(scope: &Scope<'_>, theme: Theme, area: Rect) -> Option<Self> {
        if area.height < 2 || area.width < 8 {
            return None;
        }
        let axis_rows = match area.height {
            0..=3 => 0,
            4..=6 => 1,
            _ => 2,
        };
        let rows = area.height - axis_rows;
        let span = if axis_rows > 0 { rows } else { rows.saturating_sub(1).max(1) };
        let values = Axis::from_zero(0.0, scope.shared.unwrap_or_else(|| scope.reach()), Room::Rows(span));
        let labels = values.widest_label();
        let width = area.width.checked_sub(labels + 2)?;
        let plot = Rect { x: area.x + labels + 2, width, height: rows, ..area };
        (!plot.is_empty()).then(|| {
            let times = TimeAxis::new(scope.window, width);
            let (across, _) = Canvas::resolution(theme.marker);
            // Columns before the first tick show what is a little older.
            let shown = scope.window * u64::from(width) / u64::from(times.columns().max(1));
            // The curve moves by whole cells, which redraws half as much as a move by dots.
            let cells = TimeColumns::new(scope.now, shown, u32::from(width));
            Self { plot, dots: cells.subdivided(u32::from(across)), values, times, span }
        })
    }

    /// The ticks of the time axis, each at a column of the plot, with their labels.
    pub fn time_ticks(&self) -> impl Iterator<Item = (u16, String)> {
        let before = self.plot.width.saturating_sub(self.times.columns());
        self.times.ticks().map(move |(column, label)| (before + column, label))
    }

    /// Where a value is, in rows from the middle of the first one.
    pub fn height_of(&self, value: f64) -> f64 {
        let span = f64::from(self.span);
        (span - self.values.position(value)).clamp(0.0, span)
    }

    /// The row of a value.
    pub fn row_of(&self, value: f64) -> u16 {
        (self.height_of(value).round() as u16).min(self.plot.height.saturating_sub(1))
    }

    /// The row of dots of a value.
    pub fn dot_of(&self, value: f64, marker: Marker) -> i64 {
        let (_, fine) = Canvas::resolution(marker);
        let dots = i64::from(self.plot.height) * i64::from(fine);
        (((self.height_of(value) + 0.5) * f64::from(fine)) as i64).clamp(0, dots - 1)
    }

    /// The row of the first tick, in the coordinates of the screen.
    pub const fn zero_row(&self) -> u16 {
        self.plot.y + self.span
    }

    /// The column of a moment; none where it is out of sight.
    pub fn column_of(&self, t: Nanos) -> Option<u16> {
        let across = self.dots.count / u32::from(self.plot.width);
        self.dots.column(t).map(|c| (c / across.max(1)) as u16)
    }

    /// Middle and length, in columns, of the part of a stretch of time that is in sight.
    pub fn middle(&self, from: Nanos, to: Nanos) -> Option<(u16, u16)> {
        let last = self.plot.width.checked_sub(1)?;
        let from = self.column_of(from.max(self.dots.from())).unwrap_or(last);
        let to = self.column_of(to)?;
        (to > from).then(|| (from + (to - from) / 2, to - from))
    }
}
