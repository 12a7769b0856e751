//! Comparison of two measurements: how much they differ, and whether the difference is larger than their errors.

/// A measured value and half of its 95 % interval, in the value's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Half of its 95 % interval.
    pub error: f64,
}

/// The direction in which a quantity is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Less is better: time, energy.
    Less,
    /// More is better: throughput.
    More,
    /// Neither is better by itself: utilisation.
    Neither,
}

/// The judgement of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The difference is within the errors.
    Same,
    /// B is better than A.
    Better,
    /// B is worse than A.
    Worse,
    /// B differs, which is neither good nor bad.
    Other,
}

/// The difference of B from A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Relative difference (B − A) / A.
    pub share: f64,
    /// Half of its 95 % interval. The two errors are independent, so their squares add up.
    pub error: f64,
    /// Its judgement.
    pub judgement: Judgement,
}

impl Difference {
    /// The difference of `b` from `a`; none where `a` is not positive or `b` is not a number.
    pub fn between(a: Estimate, b: Estimate, better: Better) -> Option<Self> {
        let ratio = b.value / a.value;
        if a.value <= 0.0 || !ratio.is_finite() {
            return None;
        }
        // The relative errors of a ratio add up. That of B is written so that it is defined for B = 0, too.
        let error = (b.error / a.value).hypot(ratio * a.error / a.value);
        let share = ratio - 1.0;
        let judgement = match (share.abs() <= error, better) {
            (true, _) => Judgement::Same,
            (_, Better::Neither) => Judgement::Other,
            (_, Better::Less) if share < 0.0 => Judgement::Better,
            (_, Better::More) if share > 0.0 => Judgement::Better,
            _ => Judgement::Worse,
        };
        Some(Self { share, error, judgement })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn about(value: f64, error: f64) -> Estimate {
        Estimate { value, error }
    }

    #[test]
    fn a_difference_within_the_errors_is_none() {
        let judge = |a, b, better| Difference::between(a, b, better).map(|d| d.judgement);
        assert_eq!(judge(about(100.0, 3.0), about(104.0, 3.0), Better::Less), Some(Judgement::Same));
        assert_eq!(judge(about(100.0, 2.0), about(104.0, 2.0), Better::Less), Some(Judgement::Worse));
        assert_eq!(judge(about(100.0, 2.0), about(104.0, 2.0), Better::More), Some(Judgement::Better));
        assert_eq!(judge(about(100.0, 2.0), about(90.0, 2.0), Better::Neither), Some(Judgement::Other));
        assert_eq!(judge(about(0.0, 0.0), about(90.0, 2.0), Better::Less), None, "no share of nothing");
        assert_eq!(judge(about(1.0, 0.0), about(f64::NAN, 2.0), Better::Less), None);
    }

    proptest! {
        #[test]
        fn swapping_the_two_turns_better_into_worse(a in 1.0..1e6f64, b in 1.0..1e6f64) {
            let (a, b) = (about(a, 0.0), about(b, 0.0));
            let judge = |a, b| Difference::between(a, b, Better::More).unwrap();
            let (there, back) = (judge(a, b), judge(b, a));
            prop_assert!(((1.0 + there.share) * (1.0 + back.share) - 1.0).abs() < 1e-9);
            prop_assert!((there.judgement == Judgement::Better) == (back.judgement == Judgement::Worse) || a == b);
        }
    }
}
