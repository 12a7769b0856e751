//! Intervals, and the quantiles and tails of the distributions that they are computed from.

use statrs::distribution::{ChiSquared, ContinuousCDF, FisherSnedecor, StudentsT};

/// z of a two-sided 95 % interval of the normal distribution.
pub const Z95: f64 = 1.959_963_984_540_054;

/// A range of values that the data does not exclude, at 95 % unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// `value` ± `half`.
    pub fn around(value: f64, half: f64) -> Self {
        Self { low: value - half.abs(), high: value + half.abs() }
    }

    /// The interval of an increasing function of the quantity.
    #[must_use]
    pub fn map(self, rising: impl Fn(f64) -> f64) -> Self {
        Self { low: rising(self.low), high: rising(self.high) }
    }

    /// Whether a value lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Half its width.
    pub fn half(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// Student's t for a two-sided 95 % interval; infinite without a degree of freedom.
pub fn t95(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// 95 % quantile of Fisher's F; infinite without a degree of freedom.
pub fn f95(between: f64, within: f64) -> f64 {
    // F with one numerator degree of freedom is t², whose inverse is exact, while that of F is bisected.
    if between == 1.0 {
        return t95(within).powi(2);
    }
    FisherSnedecor::new(between, within).map_or(f64::INFINITY, |f| f.inverse_cdf(0.95))
}

/// Tail probability of Fisher's F; 1 where it is not defined.
pub fn f_tail(f: f64, between: f64, within: f64) -> f64 {
    match FisherSnedecor::new(between, within) {
        Ok(_) if f == f64::INFINITY => 0.0,
        Ok(distribution) if f >= 0.0 => distribution.sf(f).clamp(0.0, 1.0),
        _ => 1.0,
    }
}

/// 95 % interval of an estimated standard deviation for normal errors, from chi-squared with that many degrees of freedom.
pub fn deviation_interval(deviation: f64, freedom: f64) -> Interval {
    let Ok(chi) = ChiSquared::new(freedom) else { return Interval { low: 0.0, high: f64::INFINITY } };
    let at = |p: f64| deviation * (freedom / chi.inverse_cdf(p)).sqrt();
    Interval { low: at(0.975), high: at(0.025) }
}

/// 95 % interval of Pearson's r by Fisher's z. Everything from −1 to 1 for fewer than four pairs.
pub fn correlation_interval(r: f64, n: usize) -> Interval {
    fisher(r.clamp(-0.999_999, 0.999_999), n, 1.0)
}

/// 95 % interval of Spearman's ρ, whose z varies 6 % more (Fieller, Hartley and Pearson 1957). A few ranks in perfect order
/// are not a perfect correlation, so ρ is kept half a step, the smallest difference that it can have, from ±1.
pub fn rank_interval(rho: f64, n: usize) -> Interval {
    let count = n as f64;
    let most = 1.0 - 6.0 / (count * (count * count - 1.0)).max(6.0);
    fisher(rho.clamp(-most, most), n, 1.06)
}

fn fisher(r: f64, n: usize, inflation: f64) -> Interval {
    if n < 4 || !r.is_finite() {
        return Interval { low: -1.0, high: 1.0 };
    }
    let z = r.atanh();
    let half = Z95 * (inflation / (n as f64 - 3.0)).sqrt();
    Interval::around(z, half).map(f64::tanh)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, table: f64) -> bool {
        (value - table).abs() < 2e-3 * table
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!(near(t95(1.0), 12.706) && near(t95(5.0), 2.5706) && near(t95(1e6), 1.95996));
        assert!(near(f95(1.0, 10.0), 4.9646) && near(f95(3.0, 10.0), 3.7083));
        assert!(near(f_tail(3.7083, 3.0, 10.0), 0.05));
        // Nine values: s/1.48 to s·1.92.
        let interval = deviation_interval(1.0, 8.0);
        assert!(near(interval.low, 0.675_5) && near(interval.high, 1.915_8), "{interval:?}");
        let r = correlation_interval(0.5, 28);
        assert!(near(r.low, 0.156) && near(r.high, 0.736), "{r:?}");
    }

    #[test]
    fn six_ranks_in_order_prove_no_perfect_correlation() {
        assert!((0.6..0.8).contains(&rank_interval(1.0, 6).low), "{:?}", rank_interval(1.0, 6));
        assert!(rank_interval(1.0, 40).low > 0.99);
    }

    #[test]
    fn what_is_not_defined_excludes_nothing() {
        assert_eq!(t95(0.0), f64::INFINITY);
        assert_eq!(f95(2.0, 0.0), f64::INFINITY);
        assert_eq!((f_tail(f64::NAN, 2.0, 5.0), f_tail(3.0, 0.0, 5.0)), (1.0, 1.0));
        assert_eq!(deviation_interval(1.0, 0.0).high, f64::INFINITY);
        assert_eq!(correlation_interval(1.0, 3), Interval { low: -1.0, high: 1.0 });
    }
}
