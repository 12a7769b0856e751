//! A chart with two axes.

use super::{
    axis::{Axis, Scale},
    draw::{LABEL, band, colour, dot, finish, frame, layout, plain, scene, tipped, width_of, written},
    legend::{self, Entry},
    mark::Mark,
    place::{Board, Name, spread},
};
use crate::report::paint;
use kuva::render::{
    axis::{add_axes_and_grid, add_labels_and_title},
    layout::{ComputedLayout, Layout},
    render::{Primitive, Scene, TextAnchor},
};

/// Left margin of a chart's axes, px.
const LEFT: f64 = 74.0;

/// A chart with two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, for screen readers.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Marks, in the order in which they are drawn.
    pub marks: Vec<Mark>,
    /// Width and height, px.
    pub size: (f64, f64),
    /// Legend: the meaning of marks that have no label.
    pub legend: Vec<Entry>,
}

impl Chart {
    /// The chart as an SVG file.
    pub fn svg(&self) -> String {
        let (layout, computed) = self.layout();
        let mut scene = scene(self.size);
        add_axes_and_grid(&mut scene, &computed, &layout);
        add_labels_and_title(&mut scene, &computed, &layout);
        legend::draw(&self.legend, (LEFT, self.size.0), &mut scene);
        let mut board = Board::new(frame(&computed));
        self.marks.iter().for_each(|mark| self.draw(mark, &computed, &mut board, &mut scene));
        self.names(&computed, &mut board, &mut scene);
        self.line_names(&computed, &mut scene);
        finish(&scene, &self.title)
    }

    fn layout(&self) -> (Layout, ComputedLayout) {
        let name = |mark: &Mark| match mark {
            Mark::Line { name: Some(name), .. } => Some(width_of(name)),
            _ => None,
        };
        let right = self.marks.iter().filter_map(name).reduce(f64::max).map_or(24.0, |widest| widest + 30.0);
        let top = legend::height(&self.legend, (LEFT, self.size.0));
        let mut layout = layout(self.x.ends(), self.y.ends(), self.size)
            .with_x_label(plain(&self.x.title))
            .with_y_label(plain(&self.y.title))
            .with_x_tick_format(self.x.format())
            .with_y_tick_format(self.y.format())
            .with_force_margins(LEFT, right)
            .with_force_margins_y(top, 54.0);
        layout.log_x = self.x.scale == Scale::Log10;
        layout.log_y = self.y.scale == Scale::Log10;
        if self.x.scale == Scale::Log2 {
            layout = layout.with_x_tick_step(1.0);
        }
        if self.y.scale == Scale::Log2 {
            layout = layout.with_y_tick_step(1.0);
        }
        let computed = ComputedLayout::from_layout(&layout);
        (layout, computed)
    }

    /// Position of a value, px; none outside of the axes.
    fn place(&self, (x, y): (f64, f64), computed: &ComputedLayout) -> Option<(f64, f64)> {
        let inside = x.is_finite() && y.is_finite() && self.x.shows(x) && self.y.shows(y);
        inside.then(|| (computed.map_x(self.x.at(x)), computed.map_y(self.y.at(y))))
    }

    fn draw(&self, mark: &Mark, computed: &ComputedLayout, board: &mut Board, scene: &mut Scene) {
        match mark {
            Mark::Dot { at, radius, paint, hollow, tip, .. } => {
                let Some((x, y)) = self.place(*at, computed) else { return };
                board.take_dot(x, y, *radius);
                tipped(tip, scene, |scene| dot((x, y), *radius, *paint, *hollow, scene));
            }
            Mark::Line { points, paint, width, dashed, .. } => {
                for run in self.inside(points, computed) {
                    run.windows(2).for_each(|ends| board.take_line(ends[0], ends[1]));
                    scene.add(Primitive::PolyLine {
                        points: run,
                        stroke: colour(*paint),
                        stroke_width: *width,
                        stroke_dasharray: dashed.then(|| "6 5".to_owned()),
                    });
                }
            }
            Mark::Band { points, paint } => {
                let clamp = |(x, low, high): &(f64, f64, f64)| {
                    let y = |v: f64| computed.map_y(self.y.at(v.clamp(self.y.range.0, self.y.range.1)));
                    (computed.map_x(self.x.at(*x)), y(*low), y(*high))
                };
                let shown: Vec<_> = points.iter().filter(|p| self.x.shows(p.0)).map(clamp).collect();
                band(&shown, *paint, scene);
            }
        }
    }

    /// The parts of a line within the axes.
    fn inside(&self, points: &[(f64, f64)], computed: &ComputedLayout) -> Vec<Vec<(f64, f64)>> {
        let at = |(x, y): (f64, f64)| (computed.map_x(self.x.at(x)), computed.map_y(self.y.at(y)));
        let frame = frame(computed);
        let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
        for ends in points.windows(2) {
            let (from, to) = (at(ends[0]), at(ends[1]));
            if ![from.0, from.1, to.0, to.1].iter().all(|v| v.is_finite()) {
                continue;
            }
            let Some((from, to)) = frame.cut(from, to) else { continue };
            match runs.last_mut().filter(|run| run.last() == Some(&from)) {
                Some(run) => run.push(to),
                None => runs.push(vec![from, to]),
            }
        }
        runs
    }

    /// Draws labels beside their dots, where they cover nothing, with a leader line where the label is further away.
    fn names(&self, computed: &ComputedLayout, board: &mut Board, scene: &mut Scene) {
        let wanted = self.marks.iter().filter_map(|mark| match mark {
            Mark::Dot { at, radius, paint, hollow, name: Some(name), .. } => {
                let at = self.place(*at, computed)?;
                let place = Name { at, radius: *radius, size: (width_of(name), f64::from(LABEL)) };
                Some((place, name, if *hollow { paint::FAINT } else { paint::INK }, *paint))
            }
            _ => None,
        });
        let wanted: Vec<_> = wanted.collect();
        let places: Vec<Name> = wanted.iter().map(|w| w.0).collect();
        for ((place, name, ink, paint), found) in wanted.into_iter().zip(board.find_all(&places)) {
            let Some(found) = found else { continue };
            if let Some(end) = found.leader {
                scene.add(Primitive::Line {
                    x1: place.at.0,
                    y1: place.at.1,
                    x2: end.0,
                    y2: end.1,
                    stroke: colour(paint),
                    stroke_width: 0.8,
                    stroke_dasharray: None,
                });
            }
            // Aligned to the dot's side, so that a font narrower than estimated leaves no gap.
            let area = found.area;
            let (x, anchor) = match () {
                () if area.right <= place.at.0 => (area.right, TextAnchor::End),
                () if area.left >= place.at.0 => (area.left, TextAnchor::Start),
                () => ((area.left + area.right) / 2.0, TextAnchor::Middle),
            };
            written(name, (x, area.bottom - 4.0), anchor, ink, scene);
        }
    }

    /// Draws labels at the right ends of lines, pushed apart.
    fn line_names(&self, computed: &ComputedLayout, scene: &mut Scene) {
        let end = |mark: &Mark| match mark {
            Mark::Line { points, paint, name: Some(name), .. } => {
                let last = points.iter().rev().find_map(|p| self.place(*p, computed))?;
                Some((last, *paint, name.clone()))
            }
            _ => None,
        };
        let mut ends: Vec<_> = self.marks.iter().filter_map(end).collect();
        ends.sort_by(|a, b| a.0.1.total_cmp(&b.0.1));
        let (top, bottom) = (computed.margin_top + 4.0, computed.height - computed.margin_bottom);
        let wanted: Vec<f64> = ends.iter().map(|e| e.0.1).collect();
        let heights = spread(&wanted, f64::from(LABEL) + 2.0, (top, bottom));
        let x = computed.width - computed.margin_right + 14.0;
        for (((from_x, from_y), paint, name), y) in ends.into_iter().zip(heights) {
            scene.add(Primitive::PolyLine {
                points: vec![(from_x + 4.0, from_y), (x - 8.0, y), (x - 3.0, y)],
                stroke: colour(paint),
                stroke_width: 0.8,
                stroke_dasharray: None,
            });
            written(&name, (x, y + 4.0), TextAnchor::Start, paint, scene);
        }
    }
}
