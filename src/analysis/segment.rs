//! The level of a segment of readings: the mean, with an interval that takes autocorrelation into account.

use super::{
    distribution::{Interval, t95},
    stats::{Moments, median},
};
use crate::event::Nanos;

/// Least number of readings for a level.
pub const FEWEST: usize = 8;

/// Relative difference between the two halves of a segment above which it is a slope and not a level: half of the largest
/// gain error of a board's sensor (arXiv 2312.02741).
const LEVEL: f64 = 0.025;

/// The level of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Mean.
    pub mean: f64,
    /// 95 % interval of the mean, without the gain error of the sensor.
    pub interval: Interval,
    /// The range of 95 % of the readings: the band that one sees.
    pub band: Interval,
    /// Number of readings.
    pub n: usize,
    /// Effective number of independent readings.
    pub effective: f64,
    /// 1 if it rises, -1 if it falls, 0 if it is level.
    pub trend: i8,
}

/// The level of the readings between `from` + `settling` and `to`; none of too few. Values that are not finite are gaps.
pub fn level(
    readings: impl IntoIterator<Item = (Nanos, f64)>,
    from: Nanos,
    to: Nanos,
    settling: Nanos,
) -> Option<Level> {
    let counts = |t: Nanos| t >= from.saturating_add(settling) && t <= to;
    let values: Vec<f64> = readings.into_iter().filter(|(t, v)| counts(*t) && v.is_finite()).map(|(_, v)| v).collect();
    if values.len() < FEWEST {
        return None;
    }
    let moments: Moments = values.iter().copied().collect();
    let (mean, deviation) = (moments.mean()?, moments.deviation()?);
    let effective = values.len() as f64 / inflation(&values, mean);
    // With fewer than two independent readings, one degree of freedom gives a very wide interval.
    let half = t95((effective - 1.0).max(1.0)) * deviation / effective.sqrt();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
    Some(Level {
        mean,
        interval: Interval::around(mean, half),
        band: Interval { low: at(0.025), high: at(0.975) },
        n: values.len(),
        effective,
        trend: trend(&values, mean),
    })
}

/// Integrated autocorrelation time, in readings: 1 + 2 Σ ρ(k), summed up to the first pair of lags whose autocorrelations do
/// not add up to more than 0 (Geyer 1992). At least 1.
fn inflation(values: &[f64], mean: f64) -> f64 {
    let n = values.len();
    let lagged = |k: usize| values.iter().zip(&values[k..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let variance = lagged(0);
    if variance <= 0.0 || !variance.is_finite() {
        return 1.0;
    }
    let mut sum = 0.0;
    for k in (1..n / 2).step_by(2) {
        let pair = (lagged(k) + lagged(k + 1)) / variance;
        if pair <= 0.0 {
            break;
        }
        sum += pair;
    }
    (1.0 + 2.0 * sum).clamp(1.0, n as f64)
}

/// Whether the median of the second half differs from that of the first by more than [`LEVEL`]; medians, so that a spike is
/// not a trend.
fn trend(values: &[f64], mean: f64) -> i8 {
    let (first, second) = values.split_at(values.len() / 2);
    let halves = median(first.iter().copied()).zip(median(second.iter().copied()));
    match halves.map_or(0.0, |(first, second)| (second - first) / mean.abs()) {
        d if d > LEVEL => 1,
        d if d < -LEVEL => -1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::noise::Noise;
    use proptest::prelude::*;

    const MS: Nanos = 1_000_000;

    /// Readings every 50 ms of a sensor that moves a share `memory` of the way less to a new value each time.
    fn readings(n: usize, memory: f64, noise: &mut Noise) -> Vec<(Nanos, f64)> {
        let mut state = noise.normal();
        let next = |i: usize| {
            state = memory * state + (1.0 - memory * memory).sqrt() * noise.normal();
            (i as Nanos * 50 * MS, 600.0 + 4.0 * state)
        };
        (0..n).map(next).collect()
    }

    fn held(memory: f64) -> f64 {
        let mut noise = Noise::new(11);
        let all = (0..1000).filter(|_| {
            let readings = readings(400, memory, &mut noise);
            level(readings, 0, Nanos::MAX, 0).unwrap().interval.contains(600.0)
        });
        all.count() as f64 / 1000.0
    }

    #[test]
    fn the_interval_holds_the_truth_though_neighbours_are_alike() {
        assert!((0.93..0.97).contains(&held(0.0)), "{}", held(0.0));
        assert!((0.90..0.98).contains(&held(0.8)), "{}", held(0.8));
    }

    #[test]
    fn the_rise_after_a_change_does_not_count() {
        let mut readings: Vec<_> = (0..20).map(|i| (i * 50 * MS, 100.0 + 25.0 * i as f64)).collect();
        readings.extend((20..100).map(|i| (i * 50 * MS, 600.0)));
        let settled = level(readings.clone(), 0, 5_000 * MS, 1_000 * MS).unwrap();
        assert_eq!((settled.mean, settled.n, settled.trend), (600.0, 80, 0));
        assert!(level(readings, 0, 5_000 * MS, 0).unwrap().mean < 580.0);
    }

    #[test]
    fn a_slope_is_no_level() {
        let ramp = (0..100).map(|i| (i * 50 * MS, 500.0 + i as f64));
        assert_eq!(level(ramp, 0, Nanos::MAX, 0).unwrap().trend, 1);
        let fall = (0..100).map(|i| (i * 50 * MS, 500.0 - i as f64));
        assert_eq!(level(fall, 0, Nanos::MAX, 0).unwrap().trend, -1);
    }

    #[test]
    fn one_spike_is_outside_the_band() {
        let mut noise = Noise::new(2);
        let mut readings = readings(200, 0.0, &mut noise);
        readings[50].1 = 2_000.0;
        let level = level(readings, 0, Nanos::MAX, 0).unwrap();
        assert!(level.band.high < 620.0 && level.trend == 0);
    }

    proptest! {
        #[test]
        fn anything_gives_numbers_or_nothing(
            readings in prop::collection::vec((any::<u32>(), prop::num::f64::ANY), 0..60), from in any::<u32>(),
        ) {
            let readings = readings.into_iter().map(|(t, v)| (Nanos::from(t), v));
            if let Some(level) = level(readings, Nanos::from(from), Nanos::MAX, 0) {
                prop_assert!(level.n >= FEWEST && level.effective >= 1.0 && level.band.low <= level.band.high);
            }
        }
    }
}
