//! A roofline plot: FLOP/s against FLOP/byte, both on logarithmic scales, with the compute and the memory roof.

use super::{
    canvas::Canvas,
    pane::{columns, text},
};
use crate::{
    analysis::roofline::Roofs,
    format,
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

/// Where things are: base-10 logarithms at the ends of both axes.
struct Layout {
    plot: Rect,
    x: (f64, f64),
    y: (f64, f64),
}

impl Layout {
    /// Position on an axis, from 0 to 1.
    fn along((low, high): (f64, f64), value: f64) -> f64 {
        ((value.log10() - low) / (high - low)).clamp(0.0, 1.0)
    }

    fn column(&self, x: f64) -> u16 {
        (Self::along(self.x, x) * f64::from(self.plot.width - 1)).round() as u16
    }

    fn row(&self, y: f64) -> u16 {
        ((1.0 - Self::along(self.y, y)) * f64::from(self.plot.height - 1)).round() as u16
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
        let ridge = self.roofs.ridge();
        let x = span(points.iter().map(|p| p.intensity).chain([ridge]));
        let y = span(points.iter().map(|p| p.flops).chain([self.roofs.flops]));
        let label = ticks(y).into_iter().map(|tick| columns(&label(tick))).max().unwrap_or(1) as u16;
        let plot =
            Rect { x: area.x + label + 2, width: area.width.checked_sub(label + 2)?, height: area.height - 1, ..area };
        (plot.width > 1).then_some(Layout { plot, x, y })
    }

    fn roof(&self, layout: &Layout, theme: Theme) -> Canvas {
        let mut canvas = Canvas::new(layout.plot, theme.marker);
        let (width, height) = canvas.size();
        let (across, down) = Canvas::resolution(theme.marker);
        let mut before = None;
        for column in 0..width {
            // The middles of the first and last cell are the ends of the axis.
            let share = ((column as f64 + 0.5) / f64::from(across) - 0.5) / f64::from(layout.plot.width - 1);
            let intensity = 10f64.powf(layout.x.0 + share * (layout.x.1 - layout.x.0));
            let roof = self.roofs.attainable(intensity);
            let along = (roof.log10() - layout.y.0) / (layout.y.1 - layout.y.0);
            let row = ((1.0 - along) * f64::from(layout.plot.height - 1) + 0.5) * f64::from(down);
            // A line to far below the axis would visit dots in vain.
            let row = (row as i64).min(2 * height);
            canvas.line(before.unwrap_or((column, row)), (column, row), theme.style(Role::Limit));
            before = Some((column, row));
        }
        canvas
    }
}

fn valid(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// The ends of an axis on which all values lie, a little apart from them; as logarithms.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|v| valid(*v))
        .map(f64::log10)
        .fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = (low - 0.15, high + 0.15);
    (low.max(high - MOST_DECADES), high)
}

/// Ticks of an axis: powers of ten, and their multiples by 2 and 5 where there are few of them.
fn ticks((low, high): (f64, f64)) -> Vec<f64> {
    let steps: &[f64] = if high - low < 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let decades = (low.floor() as i32)..=(high.ceil() as i32);
    let all = decades.flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)));
    all.filter(|tick| (low..=high).contains(&tick.log10())).collect()
}

fn label(tick: f64) -> String {
    if tick >= 1e3 { format::si(tick).replace(".00", "").replace(".0", "") } else { format!("{tick}") }
}

fn axes(layout: &Layout, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let (dim, plot) = (theme.style(Role::Dim), layout.plot);
    let x = plot.x - 1;
    (plot.top()..plot.bottom()).for_each(|y| _ = text(x, y, theme.pick("│", "|"), dim, area, buffer));
    let mut last: Option<u16> = None;
    for tick in ticks(layout.y) {
        let row = layout.row(tick);
        if last.is_none_or(|last| row.abs_diff(last) > 1) {
            let label = label(tick);
            text(x.saturating_sub(columns(&label) as u16 + 1), plot.y + row, &label, dim, area, buffer);
            text(x, plot.y + row, theme.pick("┤", "+"), dim, area, buffer);
            last = Some(row);
        }
    }
    let line = Rect { y: plot.bottom(), height: 1, ..plot };
    text(x, line.y, theme.pick("└", "+"), dim, area, buffer);
    text(line.x, line.y, &theme.pick("─", "-").repeat(usize::from(line.width)), dim, line, buffer);
    let mut free = 0;
    for tick in ticks(layout.x) {
        let label = label(tick);
        let width = columns(&label) as u16;
        let at = layout.column(tick).saturating_sub(width / 2);
        if at >= free && at + width <= line.width {
            text(line.x + at, line.y, &label, dim, line, buffer);
            free = at + width + 1;
        }
    }
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

    #[test]
    fn ticks_are_round_and_between_the_ends() {
        assert_eq!(ticks((0.1, 3.2)), [10.0, 100.0, 1000.0]);
        assert_eq!(ticks((0.0, 1.1)).first(), Some(&1.0));
        assert_eq!([1e9, 2e10, 0.5].map(label), ["1 G", "20 G", "0.5"]);
    }
}
