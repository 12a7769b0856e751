//! Axes: round ends, ticks and their labels.

use crate::format;

/// Round top for an axis that must show `highest`, and the distance of its ticks, both in the unit of `highest`.
pub fn scale(highest: f64, rows: u16) -> (f64, f64) {
    if !highest.is_finite() || highest <= 0.0 {
        return (1.0, 1.0);
    }
    let wanted = highest / f64::from((rows / 2).clamp(1, 5));
    let decade = 10f64.powf(wanted.log10().floor());
    let step =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|m| m * decade).find(|s| *s >= wanted * 0.999).unwrap_or(wanted);
    let top = (highest / step - 1e-9).ceil().max(1.0) * step;
    (top, step)
}

/// Values of the ticks, from 0 up.
pub fn ticks(top: f64, step: f64) -> impl Iterator<Item = f64> {
    let n = (top / step + 1e-6).floor().clamp(1.0, 50.0) as u32;
    (0..=n).map(move |i| f64::from(i) * step)
}

/// Label of a tick, with as many decimals as the step has.
pub fn label(value: f64, step: f64) -> String {
    let decimals = (0..6).find(|d| (step * 10f64.powi(*d) - (step * 10f64.powi(*d)).round()).abs() < 1e-6).unwrap_or(6);
    match value {
        v if v >= 1e6 => format::si(v),
        v if decimals == 0 => format::grouped(v.round() as u64),
        v => format!("{v:.*}", decimals as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn axes_are_round_and_high_enough(highest in 1e-6..1e9f64, rows in 1u16..60) {
            let (top, step) = scale(highest, rows);
            prop_assert!(top >= highest * 0.999_999 && top <= highest * 12.0, "{top}");
            prop_assert!((top / step).round() <= 11.0);
        }
    }
}
