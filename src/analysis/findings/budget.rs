//! The best networks within an energy budget.

use super::finding::Finding;
use crate::analysis::figure::Point;

/// The best networks within a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affordable<'a> {
    /// Most accurate network; y is its top-1, %.
    pub best: Option<&'a Point>,
    /// Network with the most operations; y is 10⁹ operations per image.
    pub largest: Option<&'a Point>,
    /// Number of networks within the budget.
    pub fit: usize,
    /// Number of networks that were measured.
    pub of: usize,
}

/// The best of the third finding's networks within a budget, J per image.
pub fn affordable(energy: &Finding, budget: f64) -> Affordable<'_> {
    let points = |figure: usize| energy.figures.get(figure).map_or(&[][..], |f| &f.points);
    let most = |figure: usize| points(figure).iter().filter(|p| p.x <= budget).max_by(|a, b| a.y.total_cmp(&b.y));
    let all = points(0);
    Affordable { best: most(0), largest: most(1), fit: all.iter().filter(|p| p.x <= budget).count(), of: all.len() }
}
