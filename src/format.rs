//! Numbers as text, with as many digits as they deserve.

use crate::event::Nanos;

/// Significant digits that a number gets at the most: the histograms behind the medians hold three, give or take.
const MOST_DIGITS: i32 = 3;

/// A whole number with thousands set apart: `1,904`.
pub fn grouped(n: u64) -> String {
    group(&n.to_string())
}

fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Power of ten of the leading digit.
fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

/// A value rounded to a number of decimals; negative ones round to tens, hundreds….
fn decimals(value: f64, decimals: i32) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let unit = 10f64.powi(-decimals);
    let rounded = if decimals < 0 { (value / unit).round() * unit } else { value };
    let text = format!("{:.*}", decimals.max(0) as usize, rounded.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let negative = rounded < 0.0 && text.chars().any(|c| ('1'..='9').contains(&c));
    format!("{}{}{rest}", if negative { "−" } else { "" }, group(whole))
}

/// A value to `n` significant digits: `7,600`, `0.0807`.
pub fn significant(value: f64, n: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return decimals(value, 0);
    }
    // Rounding may carry into the next decade: 9.999 to three digits is 10.0, not 10.00.
    let step = 10f64.powi(n - 1 - magnitude(value));
    let rounded = (value * step).round() / step;
    decimals(value, n - 1 - magnitude(if rounded.is_finite() { rounded } else { value }))
}

/// A value to the first digit of its error and no further, three digits at the most and two at the least.
pub fn with_error(value: f64, error: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return decimals(value, 0);
    }
    let digits = if error > 0.0 && error.is_finite() { magnitude(value) - magnitude(error) + 1 } else { MOST_DIGITS };
    significant(value, digits.clamp(2, MOST_DIGITS))
}

/// A share in per cent, finer where it is small: `0.4`, `12`.
pub fn percent(value: f64) -> String {
    let value_abs = value.abs();
    decimals(value, if value_abs < 9.95 && value_abs > 0.0 { 1 } else { 0 })
}

/// Watts: whole ones from 10 on, as sensors' gain is uncertain by a few per cent anyway.
pub fn watts(value: f64) -> String {
    decimals(value, if value.abs() < 9.95 { 1 } else { 0 })
}

/// A deviation from watts that are printed as [`watts`], to the same digit; one below that says so.
pub fn watts_beside(deviation: f64, value: f64) -> String {
    let digits = if value.abs() < 9.95 { 1 } else { 0 };
    let smallest = 10f64.powi(-digits);
    if deviation > 0.0 && deviation < smallest / 2.0 { format!("<{smallest}") } else { decimals(deviation, digits) }
}

/// A relative error in per cent; what a histogram of three digits can't tell is `<0.1`.
pub fn error_percent(share: f64) -> String {
    if share < 0.001 { "<0.1".to_owned() } else { percent(100.0 * share) }
}

/// A share with its sign in per cent, as finely as its error allows: `+12.3`, `−0.4`, `+1,240`.
pub fn signed_percent(share: f64, error: f64) -> String {
    let (value, error) = (100.0 * share, 100.0 * error);
    let digits = if value.abs() >= 99.5 || error >= 1.0 { 0 } else { 1 };
    let text = decimals(value.abs(), digits);
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{text}")
}

/// A count with its thousand's letter: `25.6 M`, `4.09 G`.
pub fn si(value: f64) -> String {
    let (scale, letter) = match value.abs() {
        v if v >= 1e12 => (1e12, " T"),
        v if v >= 1e9 => (1e9, " G"),
        v if v >= 1e6 => (1e6, " M"),
        v if v >= 1e3 => (1e3, " k"),
        _ => (1.0, ""),
    };
    format!("{}{letter}", significant(value / scale, 3))
}

/// Bytes in the binary unit that fits: `512 B`, `3.21 GiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{} {unit}", significant(value, 3))
}

/// Time since the session began: `02:41`, `1:02:41`.
pub fn clock(t: Nanos) -> String {
    let s = t / 1_000_000_000;
    match s / 3600 {
        0 => format!("{:02}:{:02}", s / 60, s % 60),
        h => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

/// A stretch of time: `1.8 s`, `42 s`, `10 min`.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 9.95 => format!("{} s", decimals(s, 1)),
        s if s < 120.0 => format!("{} s", decimals(s, 0)),
        s if s < 7200.0 && (s % 60.0) < 0.5 => format!("{} min", decimals(s / 60.0, 0)),
        s => format!("{} min", decimals(s / 60.0, 1)),
    }
}

/// An estimated duration: `40 s`, `12 min`, `3.5 h`.
pub fn roughly(seconds: f64) -> String {
    match seconds / 60.0 {
        minutes if minutes < 1.0 => format!("{:.0} s", (seconds / 5.0).ceil() * 5.0),
        minutes if minutes < 90.0 => format!("{minutes:.0} min"),
        minutes => format!("{} h", significant(minutes / 60.0, 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_error() {
        assert_eq!(with_error(4.2137, 0.017), "4.21");
        assert_eq!(with_error(4.2137, 0.5), "4.2");
        assert_eq!(with_error(4.2137, 0.0), "4.21");
        assert_eq!(with_error(7601.4, 1.0), "7,600");
        assert_eq!(with_error(7601.4, 3000.0), "7,600");
        assert_eq!(with_error(0.080_7, 0.000_3), "0.0807");
        assert_eq!(with_error(f64::NAN, 1.0), "–");
    }

    #[test]
    fn carries_keep_the_count_of_digits() {
        assert_eq!(significant(9.999, 3), "10.0");
        assert_eq!(significant(999.9, 3), "1,000");
        assert_eq!(significant(1_234_567.0, 3), "1,230,000");
        assert_eq!(significant(0.0, 3), "0");
        assert_eq!(significant(-0.001_23, 2), "−0.0012");
    }

    #[test]
    fn units_fit() {
        assert_eq!(grouped(1_904), "1,904");
        assert_eq!(grouped(12), "12");
        assert_eq!(si(25_557_032.0), "25.6 M");
        assert_eq!(si(512.0), "512");
        assert_eq!([0, 512, 1 << 20, 3_446_711_910].map(bytes), ["0 B", "512 B", "1.00 MiB", "3.21 GiB"]);
        assert_eq!(clock(161_000_000_000), "02:41");
        assert_eq!(clock(3_761_000_000_000), "1:02:41");
        assert_eq!(percent(0.42), "0.4");
        assert_eq!(percent(88.3), "88");
        assert_eq!(percent(0.0), "0");
        assert_eq!(signed_percent(0.1234, 0.002), "+12.3");
        assert_eq!(signed_percent(-0.1234, 0.02), "−12");
        assert_eq!(signed_percent(12.4, 0.002), "+1,240");
        assert_eq!(watts(-0.02), "0.0");
        assert_eq!(duration(1.83), "1.8 s");
        assert_eq!(duration(600.0), "10 min");
        assert_eq!(duration(90.0), "90 s");
    }
}
