//! Marks: what stands on a chart.

use crate::report::paint::Paint;

/// A mark on a chart. Positions are in the units of the axes.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// A measured or published value.
    Dot {
        /// Position.
        at: (f64, f64),
        /// Radius, px.
        radius: f64,
        /// Colour.
        paint: Paint,
        /// Whether it is a ring.
        hollow: bool,
        /// Label beside it.
        name: Option<String>,
        /// Tooltip.
        tip: String,
    },
    /// A line through values, or a curve.
    Line {
        /// Points, by ascending x.
        points: Vec<(f64, f64)>,
        /// Colour.
        paint: Paint,
        /// Width, px.
        width: f64,
        /// Whether it is dashed.
        dashed: bool,
        /// Label at its right end, outside of the axes.
        name: Option<String>,
    },
    /// A confidence band along a curve.
    Band {
        /// x, lower end, upper end; by ascending x.
        points: Vec<(f64, f64, f64)>,
        /// Colour.
        paint: Paint,
    },
}
