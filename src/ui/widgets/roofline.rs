//! A roofline plot: FLOP/s against FLOP/byte, both on logarithmic scales, with the compute and the memory roof.

use super::{
    axis::{self, Axis, Room},
    canvas::Canvas,
    pane::{columns, text},
};
use crate::{
    analysis::roofline::Roofs,
    ui::theme::{Role, Theme},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Most decades of an axis: lower values are drawn at its end.
const MOST_DECADES: f64 = 9.0;

/// A layer.
#[derive(Clone, Debug)]
pub struct Point {
    /// Arithmetic intensity, FLOP/byte.
    pub intensity: f64,
    /// Achieved FLOP/s.
    pub flops: f64,
    /// Its label.
    pub label: Option<String>,
    /// Its role.
    pub role: Role,
}

/// Everything that the plot shows.
#[derive(Clone, Debug)]
pub struct Roofline {
    /// The roofs.
    pub roofs: Roofs,
    /// Layers; later ones are drawn over earlier ones, and are labelled first.
    pub points: Vec<Point>,
}

/// Where things are.
struct Layout {
    plot: Rect,
    x: Axis,
    y: Axis,
}

impl Layout {
    fn column(&self, x: f64) -> u16 {
        self.x.position(x).round().clamp(0.0, f64::from(self.plot.width - 1)) as u16
    }

    fn row(&self, y: f64) -> u16 {
        let last = f64::from(self.plot.height - 1);
        (last - self.y.position(y)).round().clamp(0.0, last) as u16
    }
}

impl Roofline {
    /// Draws it, where there is room for it.
    pub fn render(&self, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        let points: Vec<&Point> = self.points.iter().filter(|p| valid(p.intensity) && valid(p.flops)).collect();
        let Some(layout) = self.layout(&points, area) else { return };
        axes(&layout, theme, area, buffer);
        let canvas = self.roof(&layout, theme);
        canvas.render(buffer);
        draw(&points, &layout, &canvas, theme, buffer);
    }

    fn layout(&self, points: &[&Point], area: Rect) -> Option<Layout> {
        if area.height < 4 || area.width < 20 || points.is_empty() {
            return None;
        }
        let height = area.height - 1;
        let (low, high) = span(points.iter().map(|p| p.flops).chain([self.roofs.flops]));
        let y = Axis::log(low, high, Room::Rows(height - 1));
        let labels = y.widest_label();
        let plot = Rect { x: area.x + labels + 2, width: area.width.checked_sub(labels + 2)?, height, ..area };
        let (low, high) = span(points.iter().map(|p| p.intensity).chain([self.roofs.ridge()]));
        let x = Axis::log(low, high, Room::Columns(plot.width.checked_sub(1)?));
        (plot.width > 1).then_some(Layout { plot, x, y })
    }

    fn roof(&self, layout: &Layout, theme: Theme) -> Canvas {
        let mut canvas = Canvas::new(layout.plot, theme.marker);
        let (width, height) = canvas.size();
        let (across, down) = Canvas::resolution(theme.marker);
        let mut before = None;
        for dot in 0..width {
            let intensity = layout.x.value((dot as f64 + 0.5) / f64::from(across) - 0.5);
            let roof = self.roofs.attainable(intensity);
            let row = f64::from(layout.plot.height) - 0.5 - layout.y.position(roof);
            // A line to far below the axis would visit dots in vain.
            let row = ((row * f64::from(down)) as i64).min(2 * height);
            canvas.line(before.unwrap_or((dot, row)), (dot, row), theme.style(Role::Limit));
            before = Some((dot, row));
        }
        canvas
    }
}

fn valid(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// The least and the greatest of the positive values, at most [`MOST_DECADES`] apart.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let fold = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    let (low, high) = values.filter(|v| valid(*v)).fold((f64::MAX, f64::MIN_POSITIVE), fold);
    (low.max(high / 10f64.powf(MOST_DECADES)), high)
}

fn axes(layout: &Layout, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let plot = layout.plot;
    let bottom = plot.bottom() - 1;
    axis::draw::vertical(&layout.y, plot.x - 1, (bottom, bottom), theme, area, buffer);
    let row = Rect { y: plot.bottom(), height: 1, ..plot };
    axis::draw::horizontal(&layout.x, (0, row.width), theme, row, area, buffer);
}

/// Draws points, then labels beside them where they cover neither a point nor a roof.
fn draw(points: &[&Point], layout: &Layout, canvas: &Canvas, theme: Theme, buffer: &mut Buffer) {
    let plot = layout.plot;
    let cells: Vec<(u16, u16)> = points.iter().map(|p| (layout.column(p.intensity), layout.row(p.flops))).collect();
    for (point, (column, row)) in points.iter().zip(&cells) {
        text(plot.x + column, plot.y + row, theme.pick("●", "*"), theme.style(point.role), plot, buffer);
    }
    let mut taken = cells.clone();
    for (point, (column, row)) in points.iter().zip(&cells).rev() {
        let Some(name) = point.label.as_deref().map(|name| theme.text(name)) else { continue };
        let width = columns(&name) as u16;
        // A blank column between labels and other points.
        let free = |start: u16| {
            let apart = start.saturating_sub(1)..start + width + 1;
            start + width <= plot.width
                && (start..start + width).all(|c| canvas.blank(c, *row))
                && apart.filter(|c| c != column).all(|c| !taken.contains(&(c, *row)))
        };
        let starts = [column.checked_add(2), column.checked_sub(width + 1)];
        if let Some(start) = starts.into_iter().flatten().find(|start| free(*start)) {
            text(plot.x + start, plot.y + row, &name, theme.style(Role::Plain), plot, buffer);
            taken.extend((start..start + width).map(|c| (c, *row)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_lie_under_two_roofs() {
        let point = |intensity, flops, label: Option<&str>| Point {
            intensity,
            flops,
            label: label.map(str::to_owned),
            role: Role::Plain,
        };
        let plot = Roofline {
            roofs: Roofs { flops: 100e9, bytes_per_s: 10e9 },
            points: vec![point(1.0, 5e9, Some("#3 linear")), point(90.0, 80e9, Some("#1 conv")), point(0.0, 1.0, None)],
        };
        let area = Rect::new(0, 0, 44, 10);
        let mut buffer = Buffer::empty(area);
        plot.render(Theme::default(), area, &mut buffer);
        let row = |y| (0..44).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>().trim_end().to_owned();
        insta::assert_snapshot!((0..10).map(row).collect::<Vec<_>>().join("\n"));
    }
}
