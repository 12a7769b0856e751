//! Least squares.

/// A straight line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Rise a unit of x.
    pub slope: f64,
    /// Value at x = 0.
    pub intercept: f64,
    /// Share of the variance of y that the line explains; 1 where y does not vary.
    pub r2: f64,
    /// Points that it was drawn through.
    pub n: usize,
}

impl Line {
    /// Ordinary least squares; none for fewer than two distinct x. Points that are not finite are left out.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let points: Vec<_> = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let n = points.len();
        let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(|p| f(p)).sum::<f64>() / n as f64;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| f(x - mx, y - my)).sum::<f64>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if n < 2 || xx <= f64::EPSILON * mx * mx {
            return None;
        }
        let slope = xy / xx;
        let r2 = if yy > 0.0 { (xy * xy / (xx * yy)).min(1.0) } else { 1.0 };
        Some(Self { slope, intercept: my - slope * mx, r2, n })
    }

    /// The line's value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn too_little_to_draw_a_line_through_is_no_line() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(1.0, 2.0)]), None);
        assert_eq!(Line::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(Line::through(&[(f64::NAN, 2.0), (1.0, 3.0)]), None);
    }

    proptest! {
        #[test]
        fn a_line_is_found_again(slope in -50.0..50.0f64, intercept in -50.0..50.0f64, n in 2usize..40) {
            let points: Vec<_> = (0..n).map(|i| (i as f64, intercept + slope * i as f64)).collect();
            let line = Line::through(&points).unwrap();
            prop_assert!((line.slope - slope).abs() < 1e-6 && (line.intercept - intercept).abs() < 1e-6);
            prop_assert!(line.r2 > 0.999_999);
        }
    }
}
