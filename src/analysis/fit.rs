//! Straight lines: least squares with its intervals, and the robust line of Theil and Sen.
//!
//! Curves that are straight in other coordinates (a hyperbola in 1/t, a power law in logarithms) are fitted as lines, too.

use super::{
    distribution::{Interval, t95},
    stats::median,
};

/// A straight line through points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Slope.
    pub slope: f64,
    /// Value at x = 0.
    pub intercept: f64,
    /// Share of the variance of y that the line explains; 1 where y does not vary.
    pub r2: f64,
    /// Number of points.
    pub n: usize,
    /// Sum of the squared residuals.
    pub residual: f64,
    /// Mean of x.
    middle: f64,
    /// Sum of the squared deviations of x from its mean.
    spread: f64,
}

impl Line {
    /// Ordinary least squares; none for fewer than two distinct x, or where the line is not finite. Points that are not finite
    /// are left out.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let points: Vec<_> = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let n = points.len();
        let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(|p| f(p)).sum::<f64>() / n as f64;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let sum = |f: &dyn Fn(f64, f64) -> f64| points.iter().map(|(x, y)| f(x - mx, y - my)).sum::<f64>();
        let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
        if n < 2 || xx.is_nan() || xx <= f64::EPSILON * mx * mx || !(xx + xy.abs() + yy).is_finite() {
            return None;
        }
        let slope = xy / xx;
        let r2 = if yy > 0.0 { (xy / xx * (xy / yy)).min(1.0) } else { 1.0 };
        let intercept = my - slope * mx;
        let residual = sum(&|x, y| (y - slope * x).powi(2));
        // Differences of x that are tiny beside those of y overflow.
        let finite = slope.is_finite() && intercept.is_finite() && residual.is_finite();
        finite.then_some(Self { slope, intercept, r2, n, residual, middle: mx, spread: xx })
    }

    /// The line's value at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    /// Standard deviation of the residuals; none with two points, which have no residuals.
    pub fn deviation(&self) -> Option<f64> {
        (self.n > 2).then(|| (self.residual / (self.n - 2) as f64).sqrt())
    }

    /// 95 % interval of the slope; infinite with two points.
    pub fn slope_interval(&self) -> Interval {
        let half = self.deviation().map_or(f64::INFINITY, |s| t95(self.n as f64 - 2.0) * s / self.spread.sqrt());
        Interval::around(self.slope, half)
    }

    /// 95 % interval of the line (not of a further point) at `x`.
    pub fn band(&self, x: f64) -> Interval {
        let lever = 1.0 / self.n as f64 + (x - self.middle).powi(2) / self.spread;
        let half = self.deviation().map_or(f64::INFINITY, |s| t95(self.n as f64 - 2.0) * s * lever.sqrt());
        Interval::around(self.at(x), half)
    }

    /// Root mean square error of leave-one-out predictions; none where a point is the only one at its x and all others share
    /// another x.
    pub fn left_out(&self, points: &[(f64, f64)]) -> Option<f64> {
        let error = |(x, y): &(f64, f64)| {
            let lever = 1.0 / self.n as f64 + (x - self.middle).powi(2) / self.spread;
            (1.0 - lever > 1e-9).then(|| ((y - self.at(*x)) / (1.0 - lever)).powi(2))
        };
        let finite = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let squares: Vec<f64> = finite.map(error).collect::<Option<_>>()?;
        (squares.len() > 2).then(|| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt())
    }

    /// The line of Theil (1950) and Sen (1968): the median of the slopes of all pairs, through the medians. It tolerates up to
    /// 29 % of outliers. None where least squares has none.
    pub fn robust(points: &[(f64, f64)]) -> Option<(f64, f64)> {
        let points: Vec<_> = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
        let pairs = points.iter().enumerate().flat_map(|(i, a)| points[..i].iter().map(move |b| (a, b)));
        let slope = median(pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| (a.1 - b.1) / (a.0 - b.0)))?;
        let intercept = median(points.iter().map(|(x, y)| y - slope * x))?;
        Some((slope, intercept))
    }
}

/// Akaike's information criterion with the correction for few points (Hurvich and Tsai 1989), of a least-squares fit with
/// `parameters` besides the variance; none where there are too few points. `floor` is the smallest error that is believed,
/// so that a fit through every point is not infinitely likely.
pub fn aicc(residual: f64, n: usize, parameters: usize, floor: f64) -> Option<f64> {
    let (n, k) = (n as f64, parameters as f64 + 1.0);
    let variance = (residual / n).max(floor * floor).max(f64::MIN_POSITIVE);
    (n - k - 1.0 > 0.0).then(|| n * variance.ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::noise::Noise;
    use proptest::prelude::*;

    #[test]
    fn too_little_to_draw_a_line_through_is_no_line() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(1.0, 2.0)]), None);
        assert_eq!(Line::through(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(Line::through(&[(f64::NAN, 2.0), (1.0, 3.0)]), None);
        assert_eq!(Line::robust(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn two_points_exclude_no_slope() {
        let line = Line::through(&[(1.0, 2.0), (2.0, 3.0)]).unwrap();
        assert_eq!((line.slope_interval().low, line.band(1.5).high), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn the_slopes_interval_holds_the_truth_nineteen_times_in_twenty() {
        let mut noise = Noise::new(1);
        let held = (0..2000).filter(|_| {
            let points: Vec<_> = (0..8).map(|i| (f64::from(i), 3.0 + 0.5 * f64::from(i) + noise.normal())).collect();
            Line::through(&points).unwrap().slope_interval().contains(0.5)
        });
        let share = held.count() as f64 / 2000.0;
        assert!((0.935..0.965).contains(&share), "{share}");
    }

    #[test]
    fn leaving_out_is_what_it_says() {
        let points = [(1.0, 1.2), (2.0, 1.9), (3.0, 3.3), (5.0, 4.6), (8.0, 8.5)];
        let without = |i: usize| {
            let rest: Vec<_> = points.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, p)| *p).collect();
            Line::through(&rest).unwrap().at(points[i].0) - points[i].1
        };
        let by_hand = ((0..5).map(|i| without(i).powi(2)).sum::<f64>() / 5.0).sqrt();
        let short = Line::through(&points).unwrap().left_out(&points).unwrap();
        assert!((short - by_hand).abs() < 1e-12, "{short} {by_hand}");
    }

    #[test]
    fn an_outlier_moves_least_squares_and_not_theil_and_sen() {
        let mut points: Vec<_> = (0..12).map(|i| (f64::from(i), 2.0 * f64::from(i))).collect();
        points[11].1 = 500.0;
        assert!(Line::through(&points).unwrap().slope > 10.0);
        assert!((Line::robust(&points).unwrap().0 - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_criterion_needs_points_and_believes_no_perfect_fit() {
        assert_eq!(aicc(1.0, 4, 2, 0.0), None);
        assert!(aicc(0.0, 8, 2, 0.1).unwrap().is_finite());
        assert_eq!(aicc(0.0, 8, 2, 0.1), aicc(1e-9, 8, 2, 0.1));
    }

    proptest! {
        #[test]
        fn a_line_is_found_again(slope in -50.0..50.0f64, intercept in -50.0..50.0f64, n in 2usize..40) {
            let points: Vec<_> = (0..n).map(|i| (i as f64, intercept + slope * i as f64)).collect();
            let line = Line::through(&points).unwrap();
            prop_assert!((line.slope - slope).abs() < 1e-6 && (line.intercept - intercept).abs() < 1e-6);
            prop_assert!(line.r2 > 0.999_999);
        }

        #[test]
        fn anything_finite_gives_numbers_or_nothing(
            points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..30),
        ) {
            if let Some(line) = Line::through(&points) {
                prop_assert!(line.slope.is_finite() && (0.0..=1.0).contains(&line.r2), "{line:?}");
                let _ = (line.slope_interval(), line.left_out(&points), Line::robust(&points));
            }
        }
    }
}
