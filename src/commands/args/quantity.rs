//! Quantities with units: times and bytes.

use clap::Args;
use std::time::Duration;

/// Longest time that an option takes, s: a year.
const MOST_SECONDS: f64 = 365.0 * 86_400.0;

/// How a time is written.
const TIMES: &str = "such as 90 (seconds), 500ms, 2min, 1.5h or 1:30";

/// How long is measured.
#[derive(Clone, Copy, Debug, Args)]
pub struct Seconds {
    /// Time of steady batches to measure of each configuration; with a power sensor, after power has settled
    #[arg(short, long, value_name = "TIME", default_value = "5s", value_parser = time_above_zero)]
    pub seconds: Duration,
}

/// Parser of a time: seconds, or a number with a unit, or minutes and seconds, or hours too: `90`, `500ms`, `1:30`, `1:00:00`.
pub fn time(s: &str) -> Result<Duration, String> {
    let seconds = if s.contains(':') { clock(s) } else { with_unit(s)? };
    match seconds {
        Some(seconds) if (0.0..=MOST_SECONDS).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        Some(seconds) if seconds > MOST_SECONDS => Err(format!("a time of at most a year, {TIMES}")),
        _ => Err(format!("a time, {TIMES}")),
    }
}

/// Parser of a time that is not zero.
pub fn time_above_zero(s: &str) -> Result<Duration, String> {
    match time(s)? {
        Duration::ZERO => Err(format!("a time above 0, {TIMES}")),
        time => Ok(time),
    }
}

/// A number with a unit of time, s; none where the number is none.
fn with_unit(s: &str) -> Result<Option<f64>, String> {
    let (number, unit) = number_and_unit(s);
    let factor = match unit.to_lowercase().as_str() {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "min" => 60.0,
        "h" => 3600.0,
        _ if number.is_empty() => return Ok(None),
        _ => return Err(format!("unknown unit '{unit}': ms, s, min or h; none is seconds")),
    };
    Ok(number.parse::<f64>().ok().map(|number| number * factor))
}

/// Minutes and seconds, or hours too, s.
fn clock(s: &str) -> Option<f64> {
    let parts: Vec<&str> = s.trim().split(':').collect();
    let (seconds, whole) = parts.split_last().filter(|(_, whole)| whole.len() <= 2)?;
    let plain = seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = seconds.parse::<f64>().ok().filter(|seconds| plain && *seconds < 60.0)?;
    let whole = whole.iter().map(|part| part.parse::<u32>().ok()).collect::<Option<Vec<_>>>()?;
    Some(whole.into_iter().fold(0.0, |minutes, part| minutes * 60.0 + f64::from(part)) * 60.0 + seconds)
}

/// Parser of bytes, with a unit or without: `4096`, `4GiB`, `500M`.
pub fn bytes(s: &str) -> Result<u64, String> {
    let (number, unit) = number_and_unit(s);
    let factor = match unit.to_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0_f64.powi(2),
        "gib" => 1024.0_f64.powi(3),
        "tib" => 1024.0_f64.powi(4),
        _ if number.is_empty() => return Err(not_bytes()),
        _ => return Err(format!("unknown unit '{unit}': kB, MB, GB, TB, KiB, MiB, GiB, TiB; none is bytes")),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 => Ok((number * factor) as u64),
        _ => Err(not_bytes()),
    }
}

fn not_bytes() -> String {
    "a number of bytes, such as 4096, 500MB or 4GiB".to_owned()
}

/// A number, and what follows it. A number without a unit may be written with an exponent.
fn number_and_unit(s: &str) -> (&str, &str) {
    let s = s.trim();
    let begins = |s: &str| s.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '+');
    if begins(s) && s.parse::<f64>().is_ok() {
        return (s, "");
    }
    let end = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, unit) = s.split_at(end);
    (number, unit.trim())
}
