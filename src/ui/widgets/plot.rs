//! One quantity against another: points, the curves that join them, and fitted curves.

use super::{
    axis::{label, scale},
    canvas::Canvas,
    fitted::Fitted,
    pane::{columns, text},
};
use crate::{
    format,
    ui::theme::{Role, Theme},
};
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
    /// Lower end of the y axis.
    pub floor: f64,
    /// The highest value to be shown; higher ones are left out. By default all are shown.
    pub highest: Option<f64>,
    /// Name of the x axis.
    pub x_name: &'static str,
    /// Labelled x, such as a knee.
    pub marks: Vec<Mark>,
    /// A labelled y, such as the value of the pinned configuration.
    pub level: Option<(f64, String)>,
}

struct Layout {
    plot: Rect,
    x: (f64, f64),
    y: (f64, f64),
    step: f64,
    x_step: f64,
}

impl Layout {
    /// The position of a point, in cells from the upper left of the plot, with fraction.
    fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (f64::from(self.plot.width) - 1.0, f64::from(self.plot.height) - 1.0);
        let across = ((x - self.x.0) / (self.x.1 - self.x.0)).clamp(0.0, 1.0) * width;
        // Not clamped to 0: a value above the axis is no point at its end.
        (across, (1.0 - (y - self.y.0) / (self.y.1 - self.y.0)).max(-2.0) * height)
    }

    fn shows(&self, y: f64) -> bool {
        y.is_finite() && y <= self.y.1 * (1.0 + 1e-9)
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

    fn x(&self, value: f64) -> f64 {
        if self.batches { value.max(1.0).log2() } else { value }
    }

    fn layout(&self, area: Rect) -> Option<Layout> {
        let points = || self.curves.iter().flat_map(|c| &c.points).filter(|p| p.0.is_finite() && p.1.is_finite());
        if area.height < 3 || area.width < 12 || points().next().is_none() {
            return None;
        }
        let all = || points().map(|p| p.1).fold(self.floor, f64::max);
        let highest = self.highest.unwrap_or_else(all) - self.floor;
        let rows = area.height - 1;
        let (span, step) = scale(highest, rows);
        let widest =
            [self.floor, self.floor + span].map(|v| columns(&label(v, step))).into_iter().max().unwrap_or(1) as u16;
        let plot = Rect { x: area.x + widest + 2, width: area.width.checked_sub(widest + 2)?, height: rows, ..area };
        let furthest = points().map(|p| self.x(p.0)).fold(0.0, f64::max);
        let (right, x_step) =
            if self.batches { (furthest.max(1.0) + 0.2, 1.0) } else { scale(furthest, plot.width / 6) };
        let left = if self.batches { -0.2 } else { 0.0 };
        (plot.width > 1).then_some(Layout { plot, x: (left, right), y: (self.floor, self.floor + span), step, x_step })
    }

    fn axes(&self, theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
        let dim = theme.style(Role::Dim);
        let (x, plot) = (layout.plot.x - 1, layout.plot);
        (plot.top()..plot.bottom()).for_each(|y| _ = text(x, y, theme.pick("│", "|"), dim, area, buffer));
        let mut last: Option<u16> = None;
        let n = ((layout.y.1 - layout.y.0) / layout.step).round().clamp(1.0, 50.0) as u32;
        for value in (0..=n).map(|i| layout.y.0 + f64::from(i) * layout.step) {
            let row = layout.place(0.0, value).1.round() as u16;
            if last.is_none_or(|last| row.abs_diff(last) > 1) {
                let name = label(value, layout.step);
                text(x.saturating_sub(columns(&name) as u16 + 1), plot.y + row, &name, dim, area, buffer);
                text(x, plot.y + row, theme.pick("┤", "+"), dim, area, buffer);
                last = Some(row);
            }
        }
        self.x_axis(theme, area, layout, buffer);
    }

    fn x_axis(&self, theme: Theme, area: Rect, layout: &Layout, buffer: &mut Buffer) {
        let (dim, plot) = (theme.style(Role::Dim), layout.plot);
        let line = Rect { y: plot.bottom(), height: 1, ..plot };
        text(line.x - 1, line.y, theme.pick("└", "+"), dim, area, buffer);
        text(line.x, line.y, &theme.pick("─", "-").repeat(usize::from(line.width)), dim, area, buffer);
        let name = if self.x_name.is_empty() { String::new() } else { format!(" {}", theme.text(self.x_name)) };
        let mut end = line.width.saturating_sub(columns(&name) as u16);
        text(line.x + end, line.y, &name, dim, line, buffer);
        let n = ((layout.x.1 - layout.x.0) / layout.x_step).round().clamp(1.0, 40.0) as u32;
        let mut from = 0;
        end = end.saturating_sub(1);
        for value in (0..=n).map(|i| f64::from(i) * layout.x_step) {
            let name = if self.batches { format::grouped(1 << value as u32) } else { label(value, layout.x_step) };
            let width = columns(&name) as u16;
            let at = (layout.place(value, 0.0).0.round() as u16).saturating_sub(width / 2);
            if at >= from && at + width <= end {
                text(line.x + at, line.y, &name, dim, line, buffer);
                from = at + width + 1;
            }
        }
    }

    fn fitted(&self, fit: &Fitted, theme: Theme, layout: &Layout, canvas: &mut Canvas) {
        let (across, down) = Canvas::resolution(theme.marker);
        let width = (f64::from(layout.plot.width) - 1.0).max(1.0);
        let x = |column: i64| {
            let share = ((column as f64 + 0.5) / f64::from(across) - 0.5) / width;
            let x = layout.x.0 + share * (layout.x.1 - layout.x.0);
            if self.batches { x.exp2() } else { x }
        };
        let y = |value: f64| {
            let seen = (layout.y.0..=layout.y.1).contains(&value);
            seen.then(|| ((layout.place(0.0, value).1 + 0.5) * f64::from(down)) as i64)
        };
        fit.draw(theme, canvas, x, y);
    }

    fn join(&self, a: (f64, f64), b: (f64, f64), role: Role, theme: Theme, layout: &Layout, canvas: &mut Canvas) {
        let (across, down) = Canvas::resolution(theme.marker);
        let dot = |(x, y): (f64, f64)| {
            let (column, row) = layout.place(self.x(x), y);
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
        let at = |x: f64| layout.place(self.x(x), 0.0).0.round() as u16;
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
            let (column, row) = layout.place(self.x(x), y);
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
