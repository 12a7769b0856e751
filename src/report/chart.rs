//! A figure as SVG: axes, grid and backend are kuva's; what stands on them, and names that cover nothing, are drawn
//! here.

use super::{
    paint::{self, Paint},
    place::{Area, Board, Name, spread},
};
use crate::format;
use kuva::{
    backend::svg::SvgBackend,
    prelude::TickFormat,
    render::{
        axis::{add_axes_and_grid, add_labels_and_title},
        color::Color,
        layout::{ComputedLayout, Layout},
        render::{PathData, Primitive, Scene, TextAnchor},
        theme::Theme,
    },
};
use std::sync::Arc;

/// Size of a name beside a point, px.
const NAME: u32 = 12;

/// Width of the widest letters of a name of that size, px: fonts differ, so none is measured.
const LETTER: f64 = 0.56 * NAME as f64;

/// Left of a chart's axes, px.
const LEFT: f64 = 74.0;

/// Width of a figure of bars, px.
const BARS: f64 = 760.0;

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences.
    Linear,
    /// Equal steps are doublings.
    Log2,
    /// Equal steps are tenfold.
    Log10,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What is along it, with its unit: `power above idle [W]`.
    pub title: String,
    /// How values are laid out.
    pub scale: Scale,
    /// Smallest and largest value in sight.
    pub range: (f64, f64),
}

/// Something on a chart. Places are in the units of its axes.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A measured or published value.
    Dot {
        /// Where.
        at: (f64, f64),
        /// Its radius, px.
        radius: f64,
        /// Its colour.
        paint: Paint,
        /// Whether it is a ring.
        hollow: bool,
        /// A name to write beside it.
        name: Option<String>,
        /// What is said of it where the reader points at it.
        tip: String,
    },
    /// Values that belong together, or a curve.
    Line {
        /// Its points, by rising x.
        points: Vec<(f64, f64)>,
        /// Its colour.
        paint: Paint,
        /// Its width, px.
        width: f64,
        /// Whether it is dashed.
        dashed: bool,
        /// A name to write at its right end, outside of the axes.
        name: Option<String>,
    },
    /// An interval along a curve: x, its lower and its upper end.
    Band {
        /// By rising x.
        points: Vec<(f64, f64, f64)>,
        /// Its colour.
        paint: Paint,
    },
}

/// A figure with two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// What it shows, for those who can't see it.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// What stands on it; later ones over earlier ones.
    pub marks: Vec<Mark>,
    /// Width and height, px.
    pub size: (f64, f64),
    /// What the looks of marks mean, where names do not say it: a line above the axes.
    pub key: Vec<Entry>,
}

/// What a key shows beside its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A dot.
    Dot,
    /// A ring.
    Ring,
    /// A line.
    Line,
    /// A dashed line.
    Dashed,
}

/// An entry of a key: colour, sign, words.
pub type Entry = (Paint, Sign, String);

/// A value with a name, in a figure of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name.
    pub name: String,
    /// Its length.
    pub value: f64,
    /// How it is printed.
    pub label: String,
    /// Its colour.
    pub paint: Paint,
    /// Another value of the same, drawn as a ring.
    pub ghost: Option<f64>,
    /// What is said of it where the reader points at it.
    pub tip: String,
}

/// A figure of bars, the first one at the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// What it shows, for those who can't see it.
    pub title: String,
    /// Along the bars.
    pub x: Axis,
    /// The bars.
    pub bars: Vec<Bar>,
    /// As [`Chart::key`].
    pub key: Vec<Entry>,
}

impl Axis {
    /// An axis over these values with a little air; from 0 where `zero` and it is linear.
    pub fn over(title: impl Into<String>, scale: Scale, zero: bool, values: impl IntoIterator<Item = f64>) -> Self {
        let usable = |v: &f64| v.is_finite() && (scale == Scale::Linear || *v > 0.0);
        let values: Vec<f64> = values.into_iter().filter(usable).collect();
        let low = values.iter().copied().reduce(f64::min);
        let (low, high) = low.zip(values.iter().copied().reduce(f64::max)).unwrap_or((1.0, 10.0));
        let range = match scale {
            Scale::Linear => {
                let span = if high > low { high - low } else { high.abs().max(1.0) };
                (if zero { 0.0f64.min(low) } else { low - 0.12 * span }, high + 0.1 * span)
            }
            Scale::Log2 => (low / 1.3, high * 1.3),
            // A span of less than three to one would have no two ticks.
            Scale::Log10 => {
                let widen = (3.0 / (high / low)).max(1.0).sqrt();
                (low / widen / 1.25, high * widen * 1.25)
            }
        };
        Self { title: title.into(), scale, range }
    }

    /// A value as kuva's axis has it.
    fn at(&self, value: f64) -> f64 {
        if self.scale == Scale::Log2 { value.log2() } else { value }
    }

    fn ends(&self) -> (f64, f64) {
        (self.at(self.range.0), self.at(self.range.1))
    }

    fn shows(&self, value: f64) -> bool {
        let (low, high) = self.range;
        let slack = 1e-9 * (high - low).abs();
        value >= low - slack && value <= high + slack
    }

    fn format(&self) -> TickFormat {
        let scale = self.scale;
        TickFormat::Custom(Arc::new(move |v| tick(if scale == Scale::Log2 { v.exp2() } else { v })))
    }
}

/// A tick's label: no more digits than it needs, thousands apart.
fn tick(value: f64) -> String {
    let value = if value.abs() < 1e-12 { 0.0 } else { value };
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match value.abs() {
        v if v >= 1e6 => format::si(value),
        v if v >= 1e3 && !text.contains('.') => format::grouped(v as u64),
        _ => text.to_owned(),
    }
}

/// Text as an SVG can hold it: kuva escapes mark-up, but takes `$` for formulas and control characters for text.
fn plain(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.collect::<String>().replace('\\', "＼").replace('$', "\\$")
}

/// What the axes enclose, px.
fn frame(computed: &ComputedLayout) -> Area {
    Area {
        left: computed.margin_left,
        top: computed.margin_top,
        right: computed.width - computed.margin_right,
        bottom: computed.height - computed.margin_bottom,
    }
}

/// Width of a name, px.
fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

fn theme() -> Theme {
    let owned = |paint: Paint| paint.light().to_owned();
    Theme {
        background: owned(paint::PAPER),
        axis_color: owned(paint::AXIS),
        grid_color: owned(paint::GRID),
        tick_color: owned(paint::AXIS),
        text_color: owned(paint::INK),
        font_family: Some(paint::FONT.to_owned()),
        ..Theme::light()
    }
}

fn colour(paint: Paint) -> Color {
    Color::from(paint.light())
}

/// kuva's layout over two ranges in its own units.
fn layout(x: (f64, f64), y: (f64, f64), (width, height): (f64, f64)) -> Layout {
    Layout::new(x, y)
        .with_width(width)
        .with_height(height)
        .with_theme(theme())
        .with_x_axis_min(x.0)
        .with_x_axis_max(x.1)
        .with_y_axis_min(y.0)
        .with_y_axis_max(y.1)
        .with_label_size(13)
        .with_tick_size(12)
        .with_axis_line_width(1.0)
        .with_grid_line_width(1.0)
}

fn scene(size: (f64, f64)) -> Scene {
    let mut scene = Scene::new(size.0, size.1).with_background(Some(paint::PAPER.light()));
    scene.text_color = Some(paint::INK.light().to_owned());
    scene.font_family = Some(paint::FONT.to_owned());
    scene
}

impl Chart {
    /// The figure as an SVG file.
    pub fn svg(&self) -> String {
        let (layout, computed) = self.layout();
        let mut scene = scene(self.size);
        add_axes_and_grid(&mut scene, &computed, &layout);
        add_labels_and_title(&mut scene, &computed, &layout);
        key(&self.key, (LEFT, self.size.0), &mut scene);
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
        let top = key_height(&self.key, (LEFT, self.size.0));
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

    /// Where a value is, px; none outside of the axes.
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

    /// The stretches of a line that lie within the axes, cut where it leaves them.
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

    /// Names beside their dots, where they cover nothing; with a leader where that is further away.
    fn names(&self, computed: &ComputedLayout, board: &mut Board, scene: &mut Scene) {
        let wanted = self.marks.iter().filter_map(|mark| match mark {
            Mark::Dot { at, radius, paint, hollow, name: Some(name), .. } => {
                let at = self.place(*at, computed)?;
                let place = Name { at, radius: *radius, size: (width_of(name), f64::from(NAME)) };
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
            // To the dot's side where it stands beside, so that fonts narrower than reckoned leave no gap.
            let area = found.area;
            let (x, anchor) = match () {
                () if area.right <= place.at.0 => (area.right, TextAnchor::End),
                () if area.left >= place.at.0 => (area.left, TextAnchor::Start),
                () => ((area.left + area.right) / 2.0, TextAnchor::Middle),
            };
            written(name, (x, area.bottom - 4.0), anchor, ink, scene);
        }
    }

    /// Names at the right ends of lines, pushed apart.
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
        let heights = spread(&wanted, f64::from(NAME) + 2.0, (top, bottom));
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

impl Bars {
    /// The figure as an SVG file.
    pub fn svg(&self) -> String {
        let rows = self.bars.len().max(1) as f64;
        let left = self.bars.iter().map(|b| width_of(&b.name)).fold(60.0, f64::max) + 24.0;
        let top = key_height(&self.key, (left, BARS));
        let size = (BARS, top + 22.0 * rows + 58.0);
        let names: Vec<String> = self.bars.iter().rev().map(|b| plain(&b.name)).collect();
        let layout = layout(self.x.ends(), (0.5, rows + 0.5), size)
            .with_y_categories(names)
            .with_x_label(plain(&self.x.title))
            .with_x_tick_format(self.x.format())
            .with_force_margins(left, 64.0)
            .with_force_margins_y(top, 54.0);
        let computed = ComputedLayout::from_layout(&layout);
        let mut scene = scene(size);
        add_axes_and_grid(&mut scene, &computed, &layout);
        self.grid(&computed, &mut scene);
        add_labels_and_title(&mut scene, &computed, &layout);
        key(&self.key, (left, BARS), &mut scene);
        for (i, bar) in self.bars.iter().enumerate() {
            self.bar(bar, computed.map_y(rows - i as f64), &computed, &mut scene);
        }
        finish(&scene, &self.title)
    }

    /// kuva draws no grid across bars that lie down.
    fn grid(&self, computed: &ComputedLayout, scene: &mut Scene) {
        let ticks = kuva::render::render_utils::generate_ticks(self.x.range.0, self.x.range.1, computed.x_ticks);
        for x in ticks.into_iter().filter(|t| *t > self.x.range.0).map(|t| computed.map_x(t)) {
            scene.add(Primitive::Line {
                x1: x,
                y1: computed.margin_top,
                x2: x,
                y2: computed.height - computed.margin_bottom,
                stroke: colour(paint::GRID),
                stroke_width: 1.0,
                stroke_dasharray: None,
            });
        }
    }

    fn bar(&self, bar: &Bar, y: f64, computed: &ComputedLayout, scene: &mut Scene) {
        let start = computed.map_x(self.x.range.0);
        let clamped = |v: f64| computed.map_x(v.clamp(self.x.range.0, self.x.range.1));
        let end = clamped(bar.value);
        tipped(&bar.tip, scene, |scene| {
            scene.add(Primitive::Rect {
                x: start,
                y: y - 7.5,
                width: (end - start).max(0.0),
                height: 15.0,
                fill: colour(bar.paint),
                stroke: None,
                stroke_width: None,
                opacity: None,
            });
        });
        let ghost = bar.ghost.filter(|v| v.is_finite()).map(clamped);
        if let Some(x) = ghost {
            dot((x, y), 4.0, paint::INK, true, scene);
        }
        let clear = ghost.map_or(end, |x| if (x - end).abs() < 48.0 { x.max(end) + 4.0 } else { end });
        written(&bar.label, (clear + 6.0, y + 4.0), TextAnchor::Start, paint::INK, scene);
    }
}

/// A mark that says something where the reader points at it.
fn tipped(tip: &str, scene: &mut Scene, draw: impl FnOnce(&mut Scene)) {
    let title = (!tip.is_empty()).then(|| plain(tip));
    scene.add(Primitive::GroupStart { transform: None, title, extra_attrs: None });
    draw(scene);
    scene.add(Primitive::GroupEnd);
}

fn dot((cx, cy): (f64, f64), r: f64, paint: Paint, hollow: bool, scene: &mut Scene) {
    scene.add(Primitive::Circle {
        cx,
        cy,
        r,
        fill: if hollow { colour(paint::PAPER) } else { colour(paint) },
        fill_opacity: Some(if hollow { 0.0 } else { 0.82 }),
        stroke: Some(if hollow { colour(paint) } else { colour(paint::PAPER) }),
        stroke_width: Some(if hollow { 1.3 } else { 1.0 }),
    });
}

fn band(points: &[(f64, f64, f64)], paint: Paint, scene: &mut Scene) {
    if points.len() < 2 {
        return;
    }
    let there = points.iter().map(|(x, low, _)| (*x, *low));
    let back = points.iter().rev().map(|(x, _, high)| (*x, *high));
    let corners = there.chain(back).map(|(x, y)| format!("{x:.1} {y:.1}")).collect::<Vec<_>>();
    scene.add(Primitive::Path(Box::new(PathData {
        d: format!("M {} Z", corners.join(" L ")),
        fill: Some(colour(paint)),
        stroke: Color::None,
        stroke_width: 0.0,
        opacity: Some(0.14),
        stroke_dasharray: None,
    })));
}

fn written(text: &str, (x, y): (f64, f64), anchor: TextAnchor, paint: Paint, scene: &mut Scene) {
    let (content, color) = (plain(text), Some(colour(paint)));
    scene.add(Primitive::Text { x, y, content, size: NAME, anchor, rotate: None, bold: false, color });
}

/// Height of a row of a key, px.
const KEY_ROW: f64 = 20.0;

/// Where each entry of a key begins, px: side by side, and in rows where that is too wide.
fn key_places(entries: &[Entry], (left, right): (f64, f64)) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (left, 18.0);
    let mut places = Vec::new();
    for (_, _, words) in entries {
        let width = 24.0 + width_of(words) + 18.0;
        if x > left && x + width > right {
            (x, y) = (left, y + KEY_ROW);
        }
        places.push((x, y));
        x += width;
    }
    places
}

/// Height of a key with the gap below it, px.
fn key_height(entries: &[Entry], span: (f64, f64)) -> f64 {
    key_places(entries, span).last().map_or(16.0, |(_, y)| y + 22.0)
}

fn key(entries: &[Entry], span: (f64, f64), scene: &mut Scene) {
    for ((paint, sign, words), (x, y)) in entries.iter().zip(key_places(entries, span)) {
        let line = |dashed: bool| Primitive::Line {
            x1: x,
            y1: y,
            x2: x + 18.0,
            y2: y,
            stroke: colour(*paint),
            stroke_width: 2.0,
            stroke_dasharray: dashed.then(|| "5 4".to_owned()),
        };
        match sign {
            Sign::Dot => dot((x + 9.0, y), 5.0, *paint, false, scene),
            Sign::Ring => dot((x + 9.0, y), 4.0, *paint, true, scene),
            Sign::Line => scene.add(line(false)),
            Sign::Dashed => scene.add(line(true)),
        }
        written(words, (x + 24.0, y + 4.0), TextAnchor::Start, paint::INK, scene);
    }
}

/// The file: scalable, named for those who can't see it, and dark where the reader's screen is.
fn finish(scene: &Scene, title: &str) -> String {
    let svg = SvgBackend::new().render_scene(scene);
    let (open, rest) = svg.split_once('>').unwrap_or(("<svg xmlns=\"http://www.w3.org/2000/svg\"", "</svg>"));
    let title = paint::escaped(title);
    let view = format!(" viewBox=\"0 0 {} {}\" role=\"img\"", scene.width, scene.height);
    format!("{open}{view}><title>{title}</title><style>{}</style>{rest}\n", paint::dark_figures())
}
