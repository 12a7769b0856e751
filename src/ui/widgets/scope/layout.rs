//! Where things are on the scope: its rows and columns, and the values and times that they stand for.

use super::data::Scope;
use crate::{
    event::Nanos,
    ui::{
        theme::Theme,
        widgets::{
            axis::{self, scale, ticks},
            canvas::Canvas,
            pane::columns,
            time_columns::TimeColumns,
        },
    },
};
use ratatui::layout::Rect;

/// Height of an axis relative to the limit that it shows, so that the limit's line is not its upper end.
const HEADROOM: f64 = 1.06;

/// Where things are.
pub struct Layout {
    /// The area of the curve.
    pub plot: Rect,
    /// Columns of dots.
    pub dots: TimeColumns,
    /// Upper end of the axis; the lower one is 0.
    pub top: f64,
    /// Distance of ticks.
    pub step: f64,
    /// Rows from the top's to the row of 0: the time axis, or the last one of the plot where there is none.
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
        let (top, step) = axis(scope, rows);
        let label = ticks(top, step).map(|v| columns(&axis::label(v, step))).max().unwrap_or(1) as u16;
        let plot = Rect { x: area.x + label + 2, width: area.width.checked_sub(label + 2)?, height: rows, ..area };
        (!plot.is_empty()).then(|| {
            let (across, _) = Canvas::resolution(theme.marker);
            // The curve moves by whole cells, which redraws half as much as a move by dots.
            let cells = TimeColumns::new(scope.now, scope.window, u32::from(plot.width));
            let span = if axis_rows > 0 { rows } else { rows.saturating_sub(1).max(1) };
            Self { plot, dots: cells.subdivided(u32::from(across)), top, step, span }
        })
    }

    /// Where a value is, in rows from the middle of the first one.
    pub fn height_of(&self, value: f64) -> f64 {
        ((1.0 - value / self.top) * f64::from(self.span)).clamp(0.0, f64::from(self.span))
    }

    /// The row of a value.
    pub fn row_of(&self, value: f64) -> u16 {
        (self.height_of(value).round() as u16).min(self.plot.height.saturating_sub(1))
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

/// Upper end of the axis and the distance of its ticks. A limit above the curve is the end, with a little headroom; otherwise
/// the end is round, so that it stands still while the curve moves.
fn axis(scope: &Scope<'_>, rows: u16) -> (f64, f64) {
    if let Some(reach) = scope.shared {
        return scale(reach, rows);
    }
    let (seen, limit) = scope.heights();
    let (top, step) = scale(seen.max(limit), rows);
    (if limit > seen { (limit * HEADROOM).min(top) } else { top }, step)
}
