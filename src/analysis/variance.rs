//! Two-way analysis of variance of unbalanced data: how much of the variance two factors explain.
//!
//! Sums of squares are of type II (Yates 1934; Langsrud 2003): each factor after the other, so that the effect of networks
//! that were measured at large batches only is not attributed to the batches. In unbalanced data they need not add up to the
//! total; the shares are of the total all the same.

use super::distribution::f_tail;

/// The variance that a factor explains beyond the other one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// η²: its sum of squares over the total.
    pub share: f64,
    /// ω²: the same for the population, which η² overestimates (Hays 1963). At least 0.
    pub unbiased: f64,
    /// Probability of at least that much by chance; 1 where there is no residual to compare with.
    pub p: f64,
    /// Degrees of freedom: distinguishable levels less one.
    pub freedom: usize,
}

/// A variance split into two factors and the residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decomposition {
    /// The first factor, beyond the second.
    pub first: Effect,
    /// The second factor, beyond the first.
    pub second: Effect,
    /// Both together.
    pub both: Effect,
    /// Residual share of the total sum of squares: interaction and noise.
    pub rest: f64,
    /// Degrees of freedom of the residual.
    pub rest_freedom: usize,
    /// Standard deviation of the residual, in the unit of the values; none without a degree of freedom.
    pub rest_deviation: Option<f64>,
}

/// Splits the variance of values, each with its level of both factors (numbered from 0). None for fewer than three values or
/// values that do not differ. Values that are not finite are left out.
pub fn decompose(values: &[(f64, usize, usize)]) -> Option<Decomposition> {
    let values: Vec<_> = values.iter().copied().filter(|(y, ..)| y.is_finite()).collect();
    let n = values.len();
    if n < 3 {
        return None;
    }
    let (first, second) = (dummies(&values, |v| v.1), dummies(&values, |v| v.2));
    let both: Vec<_> = first.iter().chain(&second).cloned().collect();
    let (none, _) = left(&values, &[]);
    let (without_second, rank_first) = left(&values, &first);
    let (without_first, rank_second) = left(&values, &second);
    let (rest, rank) = left(&values, &both);
    // Rounding errors of equal values are not variance.
    let scale = values.iter().map(|v| v.0 * v.0).sum::<f64>();
    if !none.is_finite() || none <= 1e-18 * scale {
        return None;
    }
    let rest_freedom = n - 1 - rank;
    let noise = Noise { total: none, rest, freedom: rest_freedom };
    Some(Decomposition {
        first: noise.effect(without_first - rest, rank - rank_second),
        second: noise.effect(without_second - rest, rank - rank_first),
        both: noise.effect(none - rest, rank),
        rest: (rest / none).clamp(0.0, 1.0),
        rest_freedom,
        rest_deviation: (rest_freedom > 0).then(|| (rest / rest_freedom as f64).sqrt()),
    })
}

struct Noise {
    total: f64,
    rest: f64,
    freedom: usize,
}

impl Noise {
    fn effect(&self, squares: f64, freedom: usize) -> Effect {
        let (squares, df) = (squares.max(0.0), freedom as f64);
        let noise = self.rest / self.freedom as f64;
        // Where every level has one value there is no residual, and nothing can be tested.
        let (unbiased, p) = if self.freedom == 0 || freedom == 0 {
            (0.0, 1.0)
        } else {
            let f = if noise > 0.0 { squares / df / noise } else { f64::INFINITY };
            (((squares - df * noise) / (self.total + noise)).max(0.0), f_tail(f, df, self.freedom as f64))
        };
        Effect { share: (squares / self.total).clamp(0.0, 1.0), unbiased, p, freedom }
    }
}

type Values = [(f64, usize, usize)];

/// Indicator columns of the levels of a factor.
fn dummies(values: &Values, level: impl Fn(&(f64, usize, usize)) -> usize) -> Vec<Vec<f64>> {
    let mut levels: Vec<usize> = values.iter().map(&level).collect();
    levels.sort_unstable();
    levels.dedup();
    let column = |l: usize| values.iter().map(|v| f64::from(u8::from(level(v) == l))).collect();
    levels.into_iter().map(column).collect()
}

/// Residual sum of squares after the mean and these columns, and the number of independent columns: modified Gram–Schmidt,
/// which drops a column that the ones before it span already.
fn left(values: &Values, columns: &[Vec<f64>]) -> (f64, usize) {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
    let mut rest: Vec<f64> = values.iter().map(|v| v.0 - mean).collect();
    let mut basis = vec![vec![1.0 / n.sqrt(); values.len()]];
    for column in columns {
        let mut new = column.clone();
        // Twice is enough; once would leave the rounding errors of a nearly dependent column.
        for _ in 0..2 {
            basis.iter().for_each(|b| remove(&mut new, b));
        }
        let length = dot(&new, &new).sqrt();
        if length > 1e-8 * n.sqrt() {
            new.iter_mut().for_each(|v| *v /= length);
            remove(&mut rest, &new);
            basis.push(new);
        }
    }
    (dot(&rest, &rest), basis.len() - 1)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Subtracts the projection of `values` on a unit vector.
fn remove(values: &mut [f64], along: &[f64]) {
    let share = dot(values, along);
    values.iter_mut().zip(along).for_each(|(v, a)| *v -= share * a);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::noise::Noise;
    use proptest::prelude::*;

    #[test]
    fn balanced_data_splits_as_the_textbook_says() {
        // y = 10 + 2·row + 5·column: no rest, shares by the effects' squares.
        let mut values = Vec::new();
        for (row, column) in (0..3).flat_map(|r| (0..2).map(move |c| (r, c))) {
            values.push((10.0 + 2.0 * row as f64 + 5.0 * column as f64, row, column));
        }
        let d = decompose(&values).unwrap();
        // Rows: 2 × (4 + 0 + 4) = 16; columns: 6 × 2.5² = 37.5.
        assert!((d.first.share - 16.0 / 53.5).abs() < 1e-12 && (d.second.share - 37.5 / 53.5).abs() < 1e-12);
        assert!(d.rest < 1e-12 && d.rest_freedom == 2 && d.both.p < 1e-6);
        assert_eq!((d.first.freedom, d.second.freedom, d.both.freedom), (2, 1, 3));
    }

    #[test]
    fn what_the_batches_did_is_not_blamed_on_the_networks() {
        // Network 0 was measured at small batches only, network 1 at large ones, and only the batch matters.
        let mut noise = Noise::new(5);
        let mut values = Vec::new();
        for (network, batches) in [(0, 0..5), (1, 2..7)] {
            for batch in batches {
                values.push((100.0 + 50.0 * batch as f64 + noise.normal(), batch, network));
            }
        }
        let d = decompose(&values).unwrap();
        assert!(d.first.share > 0.5 && d.first.p < 0.01, "{d:?}");
        assert!(d.second.share < 0.01 && d.second.p > 0.01, "{d:?}");
    }

    #[test]
    fn where_there_is_nothing_it_is_found_once_in_twenty() {
        let mut noise = Noise::new(9);
        let mut found = 0;
        let mut unbiased = 0.0;
        for _ in 0..2000 {
            let cells = (0..6).flat_map(|b| (0..4).map(move |n| (b, n)));
            let values: Vec<_> = cells.map(|(b, n)| (300.0 + 20.0 * noise.normal(), b, n)).collect();
            let d = decompose(&values).unwrap();
            found += u32::from(d.first.p < 0.05);
            unbiased += d.both.unbiased / 2000.0;
        }
        assert!((70..130).contains(&found), "{found} of 2000");
        assert!(unbiased < 0.1, "{unbiased}");
    }

    #[test]
    fn one_value_a_level_leaves_nothing_to_test_by() {
        let d = decompose(&[(1.0, 0, 0), (5.0, 0, 1), (9.0, 0, 2)]).unwrap();
        assert_eq!((d.rest_freedom, d.second.p, d.rest_deviation), (0, 1.0, None));
        assert_eq!(decompose(&[(3.0, 0, 0), (3.0, 1, 1), (3.0, 0, 1)]), None);
        assert_eq!(decompose(&[(3.0, 0, 0), (4.0, 1, 1)]), None);
    }

    proptest! {
        #[test]
        fn shares_are_shares(
            values in prop::collection::vec((prop::num::f64::ANY, 0usize..5, 0usize..5), 0..40),
        ) {
            if let Some(d) = decompose(&values) {
                for e in [d.first, d.second, d.both] {
                    prop_assert!((0.0..=1.0).contains(&e.share) && (0.0..=1.0).contains(&e.p), "{d:?}");
                    prop_assert!((0.0..=1.0).contains(&e.unbiased), "{d:?}");
                }
            }
        }
    }
}
