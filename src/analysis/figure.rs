//! The data of a figure, independent of how it is drawn: points with names, axes with units, curves with intervals.

use super::distribution::Interval;
use crate::event::{Precision, RunId};

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Linear.
    Linear,
    /// Logarithmic to base 2: batch sizes.
    Log2,
    /// Logarithmic to base 10.
    Log10,
}

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// `power above idle`.
    pub name: &'static str,
    /// `W`; empty for a count.
    pub unit: &'static str,
    /// Its scale.
    pub scale: Scale,
    /// Whether the axis includes 0: yes for ratio scales, no for accuracies.
    pub from_zero: bool,
}

impl Axis {
    /// A linear axis from 0.
    pub const fn linear(name: &'static str, unit: &'static str) -> Self {
        Self { name, unit, scale: Scale::Linear, from_zero: true }
    }

    /// The axis of batch sizes.
    pub const fn batches() -> Self {
        Self { name: "batch size", unit: "", scale: Scale::Log2, from_zero: false }
    }

    /// The axis of published accuracy.
    pub const fn top1() -> Self {
        Self { name: "top-1", unit: "%", scale: Scale::Linear, from_zero: false }
    }

    /// Name and unit as printed: `power above idle [W]`.
    pub fn title(&self) -> String {
        if self.unit.is_empty() { self.name.to_owned() } else { format!("{} [{}]", self.name, self.unit) }
    }
}

/// A measured configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Horizontal position.
    pub x: f64,
    /// Vertical position.
    pub y: f64,
    /// Registry id of the network.
    pub network: String,
    /// Its name as printed.
    pub title: String,
    /// Its family: VGG, ResNet.
    pub family: String,
    /// Images in a batch.
    pub batch: u32,
    /// Arithmetic.
    pub precision: Precision,
    /// Device name.
    pub device: String,
    /// The run.
    pub run: RunId,
}

/// The kind of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The curve of the claim, fitted to the points.
    Fit,
    /// Another curve, fitted for comparison.
    Rival,
    /// A bound that nearly all points stay below.
    Bound,
    /// The Pareto frontier of the points.
    Frontier,
    /// The paper's curve.
    Paper,
}

/// A curve, sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its name in a legend: `hyperbola, 79.2 − 14.1/t`.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// Its points, by ascending x.
    pub line: Vec<(f64, f64)>,
    /// Its 95 % interval at some x, by ascending x; empty where it has none.
    pub band: Vec<(f64, Interval)>,
}

/// A named position on the x axis: a knee, a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Its position.
    pub x: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Its name: `knee 24`.
    pub label: String,
}

/// A figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// Number of the paper's figure that it repeats.
    pub paper: Option<u8>,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The data.
    pub points: Vec<Point>,
    /// Curves, that of the claim first.
    pub curves: Vec<Curve>,
    /// Named positions on the x axis.
    pub marks: Vec<Mark>,
}

impl Figure {
    /// A figure with points only.
    pub fn new(title: impl Into<String>, paper: Option<u8>, x: Axis, y: Axis, points: Vec<Point>) -> Self {
        Self { title: title.into(), paper, x, y, points, curves: Vec::new(), marks: Vec::new() }
    }

    /// x and y of the points.
    pub fn pairs(&self) -> Vec<(f64, f64)> {
        self.points.iter().map(|p| (p.x, p.y)).collect()
    }

    /// Smallest and largest x; none without points.
    pub fn span(&self) -> Option<(f64, f64)> {
        let xs = || self.points.iter().map(|p| p.x).filter(|x| x.is_finite());
        Some((xs().reduce(f64::min)?, xs().reduce(f64::max)?))
    }
}

/// Samples a function between two values of x; with `log`, and where both are positive, in equal ratios. Values that are not
/// finite are left out.
pub fn sampled(from: f64, to: f64, n: usize, log: bool, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let log = log && from > 0.0 && to > 0.0;
    let at = |i: usize| {
        let share = i as f64 / (n.max(2) - 1) as f64;
        if log { from * (to / from).powf(share) } else { from + (to - from) * share }
    };
    (0..n.max(2)).map(at).map(|x| (x, f(x))).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}
