//! One quantity against another: points, the curves that join them, and fitted curves.

use super::{
    axis::{Axis, Room, draw},
    canvas::Canvas,
    fitted::Fitted,
    pane::{columns, text},
};
use crate::ui::theme::{Role, Theme};
use ratatui::{buffer::Buffer, layout::Rect};

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Curve {
    /// x, y and a label.
    pub points: Vec<(f64, f64, Option<String>)>,
    /// Its role.
    pub role: Role,
    /// Whether its points are joined, in their order.
    pub joined: bool,
}

/// A labelled x.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The x.
    pub x: f64,
    /// Its interval, lower and upper end, where it is an estimate.
    pub interval: Option<(f64, f64)>,
    /// Its label.
    pub label: String,
}

/// Everything that a plot shows.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// Points; later ones are drawn over earlier ones.
    pub curves: Vec<Curve>,
    /// Fitted curves.
    pub fits: Vec<Fitted>,
    /// Whether x is a batch size, on a logarithmic scale of powers of two; otherwise it is linear from 0.
    pub batches: bool,
    /// Whether y begins at 0.
    pub from_zero: bool,
    /// The highest value to be shown; higher ones are left out. By default all are shown.
    pub highest: Option<f64>,
    /// Name of the x axis.
    pub x_name: &'static str,
    /// Labelled x, such as a knee.
    pub marks: Vec<Mark>,
    /// A labelled y, such as the value of the pinned configuration.
    pub level: Option<(f64, String)>,
}

/// Columns between the axis and the first tick of an axis of batch sizes, so that points do not touch the axis.
const MARGIN: u16 = 1;

/// Where things are.
struct Layout {
    plot: Rect,
    x: Axis,
    /// Columns before the first tick of x.
    margin: u16,
    y: Axis,
}

impl Layout {
    /// The position of a point, in cells from the upper left of the plot, with fraction.
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let last = f64::from(self.plot.width) - 1.0;
        (self.column(x).clamp(0.0, last), f64::from(self.plot.height) - 1.0 - self.y.position(y))
    }

    fn column(&self, x: f64) -> f64 {
        f64::from(self.margin) + self.x.position(x)
    }

    /// Whether the axis shows a value: it does not show those that are higher than the highest one asked for.
    fn shows(&self, y: f64) -> bool {
        let tolerance = 1e-9 * (self.y.last() - self.y.first());
        y.is_finite() && y <= self.y.last() + tolerance && y >= self.y.first() - tolerance
    }
}

impl Plot {
    /// Draws it.
    pub fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        let Some(layout) = self.layout(area) else { return };
        self.axes(theme, area, &layout, buffer);
        let mut canvas = Canvas::new(layout.plot, theme.marker);
        self.fits.iter().for_each(|fit| self.fitted(fit, theme, &layout, &mut canvas));
        for curve in self.curves.iter().filter(|c| c.joined) {
            let ends = curve.points.windows(2).map(|w| ((w[0].0, w[0].1), (w[1].0, w[1].1)));
            ends.for_each(|(a, b)| self.join(a, b, curve.role, theme, &layout, &mut canvas));
        }
        canvas.render(buffer);
        self.level_line(theme, &layout, &canvas, buffer);
        self.points(theme, &layout, &canvas, buffer);
    }

    fn layout(&self, area: Rect) -> Option<Layout> {
        let points = || self.curves.iter().flat_map(|c| &c.points).filter(|p| p.0.is_finite() && p.1.is_finite());
        if area.height < 3 || area.width < 12 || points().next().is_none() {
            return None;
        }
        let lowest = points().map(|p| p.1).fold(f64::INFINITY, f64::min);
        let highest = self.highest.unwrap_or_else(|| points().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max));
        let height = area.height - 1;
        let room = Room::Rows(height - 1);
        let y =
            if self.from_zero { Axis::from_zero(lowest, highest, room) } else { Axis::linear(lowest, highest, room) };
        let labels = y.widest_label();
        let plot = Rect { x: area.x + labels + 2, width: area.width.checked_sub(labels + 2)?, height, ..area };
        let margin = if self.batches { MARGIN } else { 0 };
        // Labels end before the name of the axis.
        let room = Room::Columns(plot.width.checked_sub(1 + margin + self.name().1)?);
        let furthest = points().map(|p| p.0).fold(0.0, f64::max);
        let x = if self.batches { Axis::batches(furthest, room) } else { Axis::from_zero(0.0, furthest, room) };
        (plot.width > 1).then_some(Layout { plot, x, margin, y })
    }

    /// The name of the x axis as it is drawn at its end, and its columns.
    fn name(&self) -> (String, u16) {
        let name = if self.x_name.is_empty() { String::new() } else { format!(" {}", self.x_name) };
        let width = columns(&name) as u16;
        (name, width)
    }

    fn axes(&self, theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
        let plot = layout.plot;
        let bottom = plot.bottom() - 1;
        draw::vertical(&layout.y, plot.x - 1, (bottom, bottom), theme, area, buffer);
        let row = Rect { y: plot.bottom(), height: 1, ..plot };
        let (name, width) = self.name();
        let end = row.width - width;
        draw::horizontal(&layout.x, (layout.margin, end), theme, row, area, buffer);
        text(row.x + end, row.y, &theme.text(name), theme.style(Role::Dim), row, buffer);
    }

    fn fitted(&self, fit: &Fitted, theme: Theme, layout: &Layout, canvas: &mut Canvas) {
        let (across, down) = Canvas::resolution(theme.marker);
        let x = |dot: i64| {
            let column = (dot as f64 + 0.5) / f64::from(across) - 0.5;
            layout.x.value(column - f64::from(layout.margin))
        };
        let y = |value: f64| layout.shows(value).then(|| ((layout.place(0.0, value).1 + 0.5) * f64::from(down)) as i64);
        fit.draw(theme, canvas, x, y);
    }

    fn join(&self, a: (f64, f64), b: (f64, f64), role: Role, theme: Theme, layout: &Layout, canvas: &mut Canvas) {
        let (across, down) = Canvas::resolution(theme.marker);
        let dot = |(x, y): (f64, f64)| {
            let (column, row) = layout.place(x, y);
            (((column + 0.5) * f64::from(across)) as i64, ((row + 0.5) * f64::from(down)) as i64)
        };
        if [a.0, a.1, b.0, b.1].iter().all(|v| v.is_finite()) {
            canvas.line(dot(a), dot(b), theme.style(role));
        }
    }

    fn level_line(&self, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
        let Some((value, name)) = self.level.as_ref().filter(|(value, _)| layout.shows(*value)) else { return };
        let plot = layout.plot;
        let row = (layout.place(0.0, *value).1.round() as u16).min(plot.height - 1);
        let dim = theme.style(Role::Dim);
        for column in (0..plot.width).filter(|c| c % 2 == 0 && canvas.blank(*c, row)) {
            text(plot.x + column, plot.y + row, theme.pick("╌", "-"), dim, plot, buffer);
        }
        text(plot.x, plot.y + row, &theme.text(name.as_str()), dim, plot, buffer);
    }

    /// Draws a vertical line, its interval in the lowest row, and its label there or above.
    fn mark(&self, mark: &Mark, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
        let (plot, style) = (layout.plot, theme.style(Role::Warn));
        let at = |x: f64| layout.place(x, layout.y.first()).0.round() as u16;
        let column = at(mark.x);
        for row in (0..plot.height).filter(|row| canvas.blank(column, *row)) {
            text(plot.x + column, plot.y + row, theme.pick("┊", ":"), style, plot, buffer);
        }
        let bottom = plot.bottom() - 1;
        let (from, to) = mark.interval.map_or((column, column), |(low, high)| (at(low), at(high)));
        for x in (from..=to).filter(|x| from < to && canvas.blank(*x, plot.height - 1)) {
            let glyph = match x {
                x if x == from => theme.pick("├", "|"),
                x if x == to => theme.pick("┤", "|"),
                x if x == column => theme.pick("┼", "+"),
                _ => theme.pick("─", "-"),
            };
            text(plot.x + x, bottom, glyph, style, plot, buffer);
        }
        let label = theme.text(mark.label.as_str());
        let width = columns(&label) as u16;
        // Beside the interval where there is room, otherwise above it.
        let (x, y) = match (to + 2 + width <= plot.width, from.checked_sub(width + 1)) {
            _ if from == to => (column.saturating_sub(width / 2).min(plot.width.saturating_sub(width)), bottom),
            (true, _) => (to + 2, bottom),
            (false, Some(x)) => (x, bottom),
            _ => (column.saturating_sub(width / 2).min(plot.width.saturating_sub(width)), bottom.saturating_sub(1)),
        };
        text(plot.x + x, y, &label, style, plot, buffer);
    }

    fn points(&self, theme: Theme, layout: &Layout, canvas: &Canvas, buffer: &mut Buffer) {
        let plot = layout.plot;
        self.marks.iter().for_each(|mark| self.mark(mark, theme, layout, canvas, buffer));
        // Points before labels: a label must not cover a point.
        let cell = |(x, y): (f64, f64)| {
            let (column, row) = layout.place(x, y);
            (column.round() as u16, row.round() as u16)
        };
        let shown = |curve: &Curve| {
            let of = curve.points.iter().filter(|p| p.0.is_finite() && layout.shows(p.1));
            of.map(|(x, y, name)| (cell((*x, *y)), name.clone(), curve.role)).collect::<Vec<_>>()
        };
        let all: Vec<_> = self.curves.iter().flat_map(shown).collect();
        for ((column, row), _, role) in &all {
            let glyph = if *role == Role::Dim { theme.pick("○", "o") } else { theme.pick("●", "*") };
            text(plot.x + column, plot.y + row, glyph, theme.style(*role), plot, buffer);
        }
        let mut taken: Vec<(u16, u16)> = all.iter().map(|(at, ..)| *at).collect();
        // The last curve is the most important one: its labels come first.
        for (at, name, role) in all.iter().rev() {
            if let Some(name) = name {
                let style = theme.style(if *role == Role::Dim { Role::Dim } else { Role::Plain });
                let free = |c: u16, row: u16, taken: &[(u16, u16)]| canvas.blank(c, row) && !taken.contains(&(c, row));
                let name = theme.text(name.as_str());
                if let Some(start) = beside(*at, columns(&name) as u16, plot.width, |c, row| free(c, row, &taken)) {
                    taken.extend((start..start + columns(&name) as u16).map(|c| (c, at.1)));
                    text(plot.x + start, plot.y + at.1, &name, style, plot, buffer);
                }
            }
        }
    }
}

/// First column of a label of `label` columns beside its point, right or left of it, where that is free.
fn beside((column, row): (u16, u16), label: u16, width: u16, free: impl Fn(u16, u16) -> bool) -> Option<u16> {
    let starts = [column.checked_add(2), column.checked_sub(label + 1)];
    starts.into_iter().flatten().find(|s| s + label <= width && (*s..s + label).all(|c| free(c, row)))
}
