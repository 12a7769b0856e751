//! What a figure needs, whoever draws it: points with their names, axes with their units, curves with their intervals.

use super::distribution::Interval;
use crate::event::{Precision, RunId};

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences.
    Linear,
    /// Equal steps are doublings: batch sizes.
    Log2,
    /// Equal steps are tenfold.
    Log10,
}

/// An axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// `power above idle`.
    pub name: &'static str,
    /// `W`; empty for a count.
    pub unit: &'static str,
    /// How values are laid out.
    pub scale: Scale,
    /// Whether 0 belongs in sight: it does for what is a share of something, not for accuracies.
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
    /// Across.
    pub x: f64,
    /// Up.
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

/// What a curve is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The claim's own curve, fitted to the points.
    Fit,
    /// What else was fitted, to compare.
    Rival,
    /// A bound that nearly all points stay below.
    Bound,
    /// The points that no other beats, joined.
    Frontier,
    /// What the paper had.
    Paper,
}

/// A curve, sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// As a legend says it: `hyperbola, 79.2 − 14.1/t`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its points by rising x.
    pub line: Vec<(f64, f64)>,
    /// Its 95 % interval at some x, by rising x; empty where it has none.
    pub band: Vec<(f64, Interval)>,
}

/// A place on x with a name: a knee, a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Where.
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
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// The data.
    pub points: Vec<Point>,
    /// What was fitted to it, the claim's own first.
    pub curves: Vec<Curve>,
    /// Places on x.
    pub marks: Vec<Mark>,
}

impl Figure {
    /// A figure of points alone.
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

/// Samples a function between two places; in equal ratios where both are positive and `log` says so. Values that are not
/// finite are left out.
pub fn sampled(from: f64, to: f64, n: usize, log: bool, f: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let log = log && from > 0.0 && to > 0.0;
    let at = |i: usize| {
        let share = i as f64 / (n.max(2) - 1) as f64;
        if log { from * (to / from).powf(share) } else { from + (to - from) * share }
    };
    (0..n.max(2)).map(at).map(|x| (x, f(x))).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
}
