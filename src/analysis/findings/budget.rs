//! What an energy budget buys.

use super::Finding;
use crate::analysis::figure::Point;

/// The best that a budget allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affordable<'a> {
    /// Most accurate network; y is its top-1, %.
    pub best: Option<&'a Point>,
    /// Network of the most operations; y is 10⁹ of them an image.
    pub largest: Option<&'a Point>,
    /// Networks that fit.
    pub fit: usize,
    /// Networks that were measured.
    pub of: usize,
}

/// What of the third finding's networks fits into a budget, J an image.
pub fn affordable(energy: &Finding, budget: f64) -> Affordable<'_> {
    let points = |figure: usize| energy.figures.get(figure).map_or(&[][..], |f| &f.points);
    let most = |figure: usize| points(figure).iter().filter(|p| p.x <= budget).max_by(|a, b| a.y.total_cmp(&b.y));
    let all = points(0);
    Affordable { best: most(0), largest: most(1), fit: all.iter().filter(|p| p.x <= budget).count(), of: all.len() }
}
