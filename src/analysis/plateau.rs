//! Where a bigger batch stops paying.

/// Share of the best throughput that counts as having reached the plateau.
pub const REACHED: f64 = 0.9;

/// Batch sizes below which a plateau is a guess.
pub const FEWEST: usize = 3;

/// The knee of throughput against batch: the smallest batch size that reaches nine tenths of the best. None where too few
/// were measured, or where the largest one is still the only one up there: then throughput may rise further.
pub fn knee(points: &[(u32, f64)]) -> Option<u32> {
    let points: Vec<_> = points.iter().filter(|p| p.1.is_finite()).collect();
    let best = points.iter().map(|p| p.1).fold(0.0, f64::max);
    let largest = points.iter().map(|p| p.0).max()?;
    let knee = points.iter().filter(|p| p.1 >= REACHED * best).map(|p| p.0).min()?;
    (points.len() >= FEWEST && knee < largest).then_some(knee)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_where_throughput_levels_off() {
        assert_eq!(knee(&[(1, 100.0), (8, 700.0), (32, 950.0), (64, 1000.0)]), Some(32));
        assert_eq!(knee(&[(1, 100.0), (8, 700.0), (32, 1950.0)]), None, "still rising");
        assert_eq!(knee(&[(1, 100.0), (8, 100.0)]), None, "too few");
        assert_eq!(knee(&[]), None);
    }
}
