//! Labels of ticks.

use crate::format;

/// Metric prefixes, the largest first: the least end of a linear axis that has it, its factor, its letter.
const PREFIXES: [(f64, f64, &str); 8] = [
    (1e15, 1e15, " P"),
    (1e12, 1e12, " T"),
    (1e9, 1e9, " G"),
    (1e6, 1e6, " M"),
    (1e5, 1e3, " k"),
    (1e-3, 1.0, ""),
    (1e-6, 1e-3, " m"),
    (0.0, 1e-6, " µ"),
];

/// Label of a value on a linear axis: as many decimals as its first tick and its step have, and the metric prefix of its
/// largest tick.
pub fn linear_label(value: f64, (first, step): (f64, f64), largest: f64) -> String {
    if value.abs() < step * 1e-9 {
        return "0".to_owned();
    }
    if !(1e-9..1e18).contains(&largest) {
        return format!("{value:.2e}");
    }
    let prefix = PREFIXES.into_iter().find(|(from, ..)| largest >= *from);
    let (scale, letter) = prefix.map_or((1.0, ""), |(_, scale, letter)| (scale, letter));
    let value = value / scale;
    let whole = |decimals: &i32| {
        let digits = |number: f64| (number / scale * 10f64.powi(*decimals)).abs();
        let is_whole = |digits: f64| (digits - digits.round()).abs() < 1e-4 + 1e-12 * digits;
        digits(step) > 0.5 && is_whole(digits(step)) && is_whole(digits(first))
    };
    let decimals = (0..9).find(whole).unwrap_or(9) as usize;
    match decimals {
        0 if value > 0.0 => format!("{}{letter}", format::grouped(value.round() as u64)),
        _ => format!("{value:.decimals$}{letter}"),
    }
}

/// Label of a value on a logarithmic axis: three digits at most, and a metric prefix from a thousand on.
pub fn log_label(value: f64) -> String {
    if !(1e-6..1e18).contains(&value) {
        return format!("{value:.0e}");
    }
    let prefix = PREFIXES.into_iter().find(|(_, factor, _)| *factor >= 1.0 && value >= 0.9995 * factor);
    let (factor, letter) = prefix.map_or((1.0, ""), |(_, factor, letter)| (factor, letter));
    let number = format::significant(value / factor, 3);
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { &number };
    format!("{number}{letter}")
}
