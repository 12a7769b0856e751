//! Fitted curves: dashed, with their confidence interval dotted.

use super::canvas::Canvas;
use crate::ui::theme::{Role, Theme};

/// A fitted curve.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Its points, by increasing x.
    pub line: Vec<(f64, f64)>,
    /// Its interval as x, lower and upper end, by increasing x; empty where it has none.
    pub band: Vec<(f64, f64, f64)>,
    /// Its look.
    pub role: Role,
    /// Whether it is drawn as a solid line, as one that joins points is; an estimate is dashed.
    pub solid: bool,
}

impl Fitted {
    /// A dashed curve without an interval.
    pub fn dashed(line: Vec<(f64, f64)>, role: Role) -> Self {
        Self { line, band: Vec::new(), role, solid: false }
    }

    /// Draws it. `x` maps a column of dots to its x, in the unit of the points; `y` maps a value to its row of dots, none where
    /// it is out of sight.
    pub fn draw(&self, theme: Theme, canvas: &mut Canvas, x: impl Fn(i64) -> f64, y: impl Fn(f64) -> Option<i64>) {
        let (across, _) = Canvas::resolution(theme.marker);
        let (style, dim) = (theme.style(self.role), theme.style(Role::Dim));
        let mut before: Option<(i64, i64)> = None;
        for column in 0..canvas.size().0 {
            let at = x(column);
            let row = between(&self.line, at).and_then(&y);
            if let Some(row) = row.filter(|_| self.solid || (column / i64::from(across)) % 2 == 0) {
                canvas.line(before.filter(|_| self.solid).unwrap_or((column, row)), (column, row), style);
            }
            before = row.map(|row| (column, row));
            if column % 4 == 0 {
                let ends = [between(&low(&self.band), at), between(&high(&self.band), at)];
                ends.into_iter().flatten().filter_map(&y).for_each(|row| canvas.dot(column, row, dim));
            }
        }
    }
}

fn low(band: &[(f64, f64, f64)]) -> Vec<(f64, f64)> {
    band.iter().map(|(x, low, _)| (*x, *low)).collect()
}

fn high(band: &[(f64, f64, f64)]) -> Vec<(f64, f64)> {
    band.iter().map(|(x, _, high)| (*x, *high)).collect()
}

/// Value of a polyline at `x`; none beyond its ends.
fn between(line: &[(f64, f64)], x: f64) -> Option<f64> {
    let next = line.partition_point(|p| p.0 < x);
    let right = line.get(next)?;
    if right.0 == x {
        return Some(right.1);
    }
    let left = line.get(next.checked_sub(1)?)?;
    let share = (x - left.0) / (right.0 - left.0);
    Some(left.1 + share * (right.1 - left.1)).filter(|y| y.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polyline_has_heights_between_its_ends_only() {
        let line = [(1.0, 10.0), (2.0, 20.0), (2.0, 40.0), (4.0, 60.0)];
        assert_eq!(between(&line, 1.5), Some(15.0));
        assert_eq!(between(&line, 3.0), Some(50.0));
        assert_eq!((between(&line, 1.0), between(&line, 4.0)), (Some(10.0), Some(60.0)));
        assert_eq!((between(&line, 0.9), between(&line, 4.1), between(&[], 1.0)), (None, None, None));
    }
}
