//! The legend: a line above the axes that explains the look of marks.

use super::draw::{colour, dot, width_of, written};
use crate::report::paint::{self, Paint};
use kuva::render::render::{Primitive, Scene, TextAnchor};

/// The sign of a legend's entry.
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

/// An entry of a legend: colour, sign, text.
pub type Entry = (Paint, Sign, String);

/// Height of a row, px.
const ROW: f64 = 20.0;

/// Left ends of the entries, px: side by side, wrapped into rows within `left` and `right`.
fn places(entries: &[Entry], (left, right): (f64, f64)) -> Vec<(f64, f64)> {
    let (mut x, mut y) = (left, 18.0);
    let mut places = Vec::new();
    for (_, _, words) in entries {
        let width = 24.0 + width_of(words) + 18.0;
        if x > left && x + width > right {
            (x, y) = (left, y + ROW);
        }
        places.push((x, y));
        x += width;
    }
    places
}

/// Height of a legend with the gap below it, px.
pub fn height(entries: &[Entry], span: (f64, f64)) -> f64 {
    places(entries, span).last().map_or(16.0, |(_, y)| y + 22.0)
}

/// Draws a legend.
pub fn draw(entries: &[Entry], span: (f64, f64), scene: &mut Scene) {
    for ((paint, sign, words), (x, y)) in entries.iter().zip(places(entries, span)) {
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
