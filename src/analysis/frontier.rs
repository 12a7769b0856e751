//! Pareto frontier of cost and gain, a straight upper bound above it, and a test whether cost bounds gain at all.

use super::{distribution::Interval, noise::Noise};

/// Upper bound on the points of a bound: the number of pairs grows with the square.
const MOST: usize = 64;

/// Share of the points below a bound: nearly all, or all of fewer than twenty.
const BELOW: f64 = 0.95;

/// Resamples for the interval of a bound, and shuffles for a probability.
const RESAMPLES: u32 = 400;

/// Indices of the points of the Pareto frontier, by ascending cost. `cheap`: whether a low x is good (energy, time) or a
/// high one (images/s).
pub fn frontier(points: &[(f64, f64)], cheap: bool) -> Vec<usize> {
    // Adding 0 turns −0 into 0.
    let cost = |i: usize| if cheap { points[i].0 } else { -points[i].0 } + 0.0;
    let mut order: Vec<usize> = (0..points.len()).filter(|i| finite(&points[*i])).collect();
    order.sort_by(|a, b| cost(*a).total_cmp(&cost(*b)).then(points[*b].1.total_cmp(&points[*a].1)));
    let mut best = f64::NEG_INFINITY;
    order.retain(|i| {
        let better = points[*i].1 > best;
        best = best.max(points[*i].1);
        better
    });
    order
}

fn finite(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// A straight upper bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Slope.
    pub slope: f64,
    /// Value at x = 0.
    pub intercept: f64,
    /// 95 % interval of the slope, by the bootstrap.
    pub slope_interval: Interval,
}

impl Bound {
    /// The line below which 95 % of the points lie (all of fewer than twenty): quantile regression (Koenker and Bassett
    /// 1978). None for fewer than three points or two distinct x.
    pub fn above(points: &[(f64, f64)]) -> Option<Self> {
        let mut points: Vec<_> = points.iter().copied().filter(finite).collect();
        points.truncate(MOST);
        if points.len() < 3 {
            return None;
        }
        let (slope, intercept) = quantile_line(&points)?;
        let mut noise = Noise::new(0x5eed);
        let again = |_| {
            let resample: Vec<_> = points.iter().map(|_| points[noise.below(points.len())]).collect();
            quantile_line(&resample).map(|l| l.0)
        };
        let mut slopes: Vec<f64> = (0..resamples(points.len())).filter_map(again).collect();
        slopes.sort_by(f64::total_cmp);
        let at = |q: f64| slopes.get(((slopes.len().max(1) - 1) as f64 * q).round() as usize).copied();
        let slope_interval = Interval { low: at(0.025).unwrap_or(slope), high: at(0.975).unwrap_or(slope) };
        Some(Self { slope, intercept, slope_interval })
    }

    /// Its height at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// Number of resamples: fewer for many points, whose line varies less.
const fn resamples(n: usize) -> u32 {
    if n > 24 { RESAMPLES / 4 } else { RESAMPLES }
}

/// Slope and intercept of the quantile's line. It passes through two of the points, so all pairs are tried.
fn quantile_line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let loss = |slope: f64, intercept: f64| {
        let of = |(x, y): &(f64, f64)| {
            let d = y - intercept - slope * x;
            if d > 0.0 { BELOW * d } else { (BELOW - 1.0) * d }
        };
        points.iter().map(of).sum::<f64>()
    };
    let pairs = points.iter().enumerate().flat_map(|(i, a)| points[..i].iter().map(move |b| (a, b)));
    let lines = pairs.filter(|(a, b)| a.0 != b.0).map(|(a, b)| {
        let slope = (a.1 - b.1) / (a.0 - b.0);
        (slope, a.1 - slope * a.0)
    });
    let scored = lines.map(|(s, i)| (loss(s, i), s, i)).filter(|l| l.0.is_finite());
    scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, s, i)| (s, i))
}

/// How much a budget limits the gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bite {
    /// Mean, over the costs of all points, of the gain of the best point beyond the best gain at that cost, in units of y.
    pub shortfall: f64,
    /// Probability of a mean at least as large if costs and gains are independent.
    pub p: f64,
}

/// Tests whether cost bounds gain, by permutation. Every frontier rises; a bound differs from a coincidence in that the cheap
/// points together reach less than they would if costs were assigned at random. None for fewer than three points.
pub fn bite(points: &[(f64, f64)]) -> Option<Bite> {
    let mut points: Vec<_> = points.iter().copied().filter(finite).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut gains: Vec<f64> = points.iter().map(|p| p.1).collect();
    let costs: Vec<f64> = points.iter().map(|p| p.0).collect();
    if gains.len() < 3 {
        return None;
    }
    let seen = shortfall(&costs, &gains);
    let mut noise = Noise::new(0xb17e);
    let shuffles = 2 * RESAMPLES;
    let as_much = (0..shuffles)
        .filter(|_| {
            noise.shuffle(&mut gains);
            shortfall(&costs, &gains) >= seen - 1e-12 * seen.abs()
        })
        .count();
    Some(Bite { shortfall: seen, p: (as_much as f64 + 1.0) / f64::from(shuffles + 1) })
}

/// Costs in ascending order, each with its gain; of equal costs the best gain counts.
fn shortfall(costs: &[f64], gains: &[f64]) -> f64 {
    let most = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut best, mut sum, mut i) = (f64::NEG_INFINITY, 0.0, 0);
    while i < costs.len() {
        let same = costs[i..].iter().take_while(|c| **c == costs[i]).count().max(1);
        best = gains[i..i + same].iter().copied().fold(best, f64::max);
        sum += (most - best) * same as f64;
        i += same;
    }
    sum / costs.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_frontier_is_what_nothing_beats() {
        let points = [(1.0, 50.0), (2.0, 70.0), (3.0, 60.0), (4.0, 75.0), (4.0, 74.0), (f64::NAN, 99.0)];
        assert_eq!(frontier(&points, true), [0, 1, 3]);
        // By speed: who is faster and more accurate.
        assert_eq!(frontier(&[(10.0, 70.0), (20.0, 72.0), (30.0, 60.0)], false), [2, 1]);
        assert!(frontier(&[], true).is_empty());
    }

    #[test]
    fn a_bound_lies_above_and_close() {
        let mut noise = Noise::new(4);
        let points: Vec<_> = (0..18)
            .map(|i| {
                let x = f64::from(i) * 100.0;
                let below = if i % 3 == 0 { 0.0 } else { 15.0 * noise.uniform() };
                (x, 80.0 - 0.01 * x - below)
            })
            .collect();
        let bound = Bound::above(&points).unwrap();
        assert!((bound.slope + 0.01).abs() < 1e-9, "{bound:?}");
        assert!(points.iter().all(|(x, y)| *y <= bound.at(*x) + 1e-9));
        assert!(bound.slope_interval.contains(-0.01), "{bound:?}");
    }

    #[test]
    fn a_budget_bites_where_it_does_and_seldom_where_it_does_not() {
        let law: Vec<_> = (0..9).map(|i| (f64::from(i), 50.0 + 3.0 * f64::from(i))).collect();
        assert!(bite(&law).unwrap().p < 0.01);
        let mut noise = Noise::new(8);
        let found = (0..200).filter(|_| {
            let points: Vec<_> = (0..9).map(|i| (f64::from(i), 70.0 + 5.0 * noise.normal())).collect();
            bite(&points).unwrap().p < 0.05
        });
        let found = found.count();
        assert!(found <= 20, "{found} of 200");
    }

    #[test]
    fn equal_costs_allow_the_best_of_them() {
        assert_eq!(shortfall(&[1.0, 1.0, 2.0], &[50.0, 80.0, 70.0]), 0.0);
        assert_eq!(shortfall(&[1.0, 1.0, 2.0], &[50.0, 60.0, 90.0]), 20.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn anything_gives_numbers_or_nothing(
            points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..12),
        ) {
            let front = frontier(&points, true);
            prop_assert!(front.windows(2).all(|w| points[w[0]].0 < points[w[1]].0 && points[w[0]].1 < points[w[1]].1));
            if let Some(bite) = bite(&points) {
                prop_assert!(bite.p > 0.0 && bite.p <= 1.0);
            }
            if let Some(bound) = Bound::above(&points) {
                prop_assert!(bound.slope.is_finite() && bound.intercept.is_finite());
            }
        }
    }
}
