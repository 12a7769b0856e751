//! Energy from power and power from energy: pure arithmetic over timestamped readings.

use crate::event::Nanos;

/// Longest gap between two power readings that an integral bridges: the power during a longer one is not known.
pub const MAX_GAP: Nanos = 1_000_000_000;

/// Upper limit of the power of a board, watts: a reading above it is an error of the sensor.
pub const MAX_POWER_W: f64 = 10_000.0;

/// Seconds in a span of the session's clock.
pub fn seconds(span: Nanos) -> f64 {
    span as f64 * 1e-9
}

/// Energy as the integral of power over time by the trapezoidal rule, without gaps longer than [`MAX_GAP`].
#[derive(Clone, Debug, Default)]
pub struct Integral {
    last: Option<(Nanos, f64)>,
    joules: f64,
}

impl Integral {
    /// Takes a reading of `watts` at `t` and returns the joules so far.
    pub fn push(&mut self, t: Nanos, watts: f64) -> f64 {
        if !(0.0..=MAX_POWER_W).contains(&watts) {
            return self.joules;
        }
        if let Some((before, was)) = self.last {
            let span = t.saturating_sub(before);
            if span <= MAX_GAP {
                self.joules += 0.5 * (was + watts) * seconds(span);
            }
        }
        self.last = Some((t, watts));
        self.joules
    }

    /// The next reading starts anew: nothing is integrated between the last one and it.
    pub fn restart(&mut self) {
        self.last = None;
    }
}

/// The result of a reading of a [`Counter`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advance {
    /// Energy since the first reading, joules.
    pub joules: f64,
    /// Mean power since the previous reading, watts; none at the first reading, after a reset of the counter and after a pause.
    pub watts: Option<f64>,
}

/// Power that any counter may show after a wrap around, watts. More is accepted only if the power was high before.
const WRAP_SLACK_W: f64 = 1_000.0;

/// An energy counter that grows, wraps around at its range, and may be reset: its increments and its derivative.
///
/// A value below the previous one is either a wrap around or a restart at 0 (the host was suspended, a driver reloaded). It
/// is a wrap around if the power that follows from it fits the power before, and otherwise a restart, whose step counts as
/// no energy.
#[derive(Clone, Debug)]
pub struct Counter {
    joules_per_unit: f64,
    range: Option<u64>,
    last: Option<(Nanos, u64)>,
    units: u64,
    /// The last derivative, watts.
    watts: f64,
}

impl Counter {
    /// A counter in steps of `joules_per_unit` that starts again from 0 after `range`, if it wraps at all.
    pub const fn new(joules_per_unit: f64, range: Option<u64>) -> Self {
        Self { joules_per_unit, range, last: None, units: 0, watts: 0.0 }
    }

    /// Takes the counter's `raw` value at `t`. A step of more than [`MAX_POWER_W`] is an error of the counter, not energy.
    pub fn push(&mut self, t: Nanos, raw: u64) -> Advance {
        let before = self.last.replace((t, raw));
        let watts = before.and_then(|(then, was)| {
            let (step, wraps) = self.step(was, raw)?;
            let span = t.checked_sub(then).filter(|span| *span > 0)?;
            let watts = step as f64 * self.joules_per_unit / seconds(span);
            let limit = if wraps { WRAP_SLACK_W + 4.0 * self.watts } else { MAX_POWER_W };
            (watts <= limit.min(MAX_POWER_W)).then(|| {
                self.units = self.units.saturating_add(step);
                self.watts = watts;
                watts
            })
        });
        Advance { joules: self.units as f64 * self.joules_per_unit, watts }
    }

    /// The last value.
    pub fn last(&self) -> Option<u64> {
        self.last.map(|(_, raw)| raw)
    }

    /// The next reading starts anew: the counter's advance since the last one counts neither as energy nor as power.
    pub fn restart(&mut self) {
        self.last = None;
    }

    /// Units since `was`, and whether the counter would have wrapped around.
    fn step(&self, was: u64, raw: u64) -> Option<(u64, bool)> {
        match self.range {
            _ if raw >= was => Some((raw - was, false)),
            Some(range) if was <= range => Some(((range - was).saturating_add(raw), true)),
            _ => None,
        }
    }
}

/// Checks a card's energy counter against its power sensor, because some counters stand still.
#[derive(Clone, Debug, Default)]
pub struct Watchdog {
    last: Option<u64>,
    since: Nanos,
    drawn: Integral,
    drawn_at_advance: f64,
}

impl Watchdog {
    /// Longest time without an increment while power is drawn; the slowest known counter is updated every 100 ms.
    const STANDSTILL: Nanos = 3_000_000_000;
    /// Energy that must have been drawn meanwhile, joules: more than the coarsest step of any counter.
    const DRAWN_J: f64 = 10.0;

    /// Takes the counter's value and, if it was read, the power at `t`.
    ///
    /// # Errors
    /// What is wrong with the counter.
    pub fn push(&mut self, t: Nanos, raw: u64, watts: Option<f64>) -> Result<(), String> {
        let drawn = watts.map_or(self.drawn.joules, |watts| self.drawn.push(t, watts));
        match self.last.replace(raw) {
            Some(was) if raw < was => return Err("the energy counter went back".into()),
            Some(was) if raw == was => {}
            _ => (self.since, self.drawn_at_advance) = (t, drawn),
        }
        let (still, missed) = (t.saturating_sub(self.since), drawn - self.drawn_at_advance);
        if still > Self::STANDSTILL && missed > Self::DRAWN_J {
            return Err(format!(
                "the energy counter stood still for {:.0} s while {missed:.0} J were drawn",
                seconds(still)
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Nanos = 1_000_000;

    #[test]
    fn integral_of_a_ramp_is_its_area() {
        let mut integral = Integral::default();
        let joules = (0..=100).map(|i| integral.push(i * 10 * MS, i as f64)).last();
        assert!((joules.unwrap() - 50.0).abs() < 1e-9, "{joules:?}");
    }

    #[test]
    fn integral_does_not_bridge_a_gap() {
        let mut integral = Integral::default();
        integral.push(0, 100.0);
        integral.push(100 * MS, 100.0);
        integral.push(60_000 * MS, 100.0);
        assert!((integral.push(60_100 * MS, 100.0) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn integral_ignores_implausible_power() {
        let mut integral = Integral::default();
        integral.push(0, 100.0);
        integral.push(50 * MS, f64::NAN);
        integral.push(60 * MS, 4_294_967.3);
        assert!((integral.push(100 * MS, 100.0) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn counter_wraps_around() {
        let mut counter = Counter::new(1e-6, Some(1_000_000));
        assert_eq!(counter.push(0, 900_000), Advance { joules: 0.0, watts: None });
        let after = counter.push(100 * MS, 100_000);
        assert!((after.joules - 0.2).abs() < 1e-9);
        assert!((after.watts.unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn counter_that_is_reset_adds_nothing() {
        let mut counter = Counter::new(1e-3, None);
        counter.push(0, 5_000);
        counter.push(100 * MS, 6_000);
        assert_eq!(counter.push(200 * MS, 10), Advance { joules: 1.0, watts: None });
        assert_eq!(counter.push(300 * MS, 1_010), Advance { joules: 2.0, watts: Some(10.0) });
    }

    #[test]
    fn a_reset_that_looks_like_a_wrap_adds_nothing() {
        let mut counter = Counter::new(1e-6, Some(262_143_328_850));
        counter.push(0, 9_000_000_000);
        let after = counter.push(50 * MS, 1_000);
        assert_eq!((after.joules, after.watts), (0.0, None));
    }

    #[test]
    fn a_restart_just_before_the_range_is_no_wrap_around() {
        // 0.2 J before its range of 262 kJ the counter restarts, and shows 150 J after 50 ms: 3 kW, after 40 W.
        let range = 262_143_328_850;
        let mut counter = Counter::new(1e-6, Some(range));
        counter.push(0, range - 2_200_000);
        assert_eq!(counter.push(50 * MS, range - 200_000).watts, Some(40.0));
        assert_eq!(counter.push(100 * MS, 150_000_000), Advance { joules: 2.0, watts: None });
        assert_eq!(counter.push(150 * MS, 152_000_000), Advance { joules: 4.0, watts: Some(40.0) });
    }

    #[test]
    fn nothing_is_counted_over_a_pause() {
        let mut counter = Counter::new(1e-6, Some(262_143_328_850));
        counter.push(0, 0);
        counter.push(100 * MS, 4_000_000);
        counter.restart();
        assert_eq!(counter.push(600 * MS, 9_000_000), Advance { joules: 4.0, watts: None });
        assert_eq!(counter.push(700 * MS, 13_000_000), Advance { joules: 8.0, watts: Some(40.0) });
        let mut integral = Integral::default();
        integral.push(0, 40.0);
        integral.push(100 * MS, 40.0);
        integral.restart();
        integral.push(600 * MS, 40.0);
        assert!((integral.push(700 * MS, 40.0) - 8.0).abs() < 1e-9);
    }

    #[test]
    fn watchdog_reports_a_counter_that_stands_still() {
        let mut watchdog = Watchdog::default();
        let reported = (0..200).find_map(|i| watchdog.push(i * 50 * MS, 7, Some(70.0)).err());
        assert!(reported.unwrap().starts_with("the energy counter stood still for 3 s"));
    }

    #[test]
    fn watchdog_accepts_slow_and_idle_counters() {
        let mut slow = Watchdog::default();
        assert!((0..200).all(|i| slow.push(i * 50 * MS, i / 20, Some(300.0)).is_ok()));
        let mut idle = Watchdog::default();
        assert!((0..2000).all(|i| idle.push(i * 50 * MS, 7, Some(0.0)).is_ok()));
        let mut without_power = Watchdog::default();
        assert!((0..2000).all(|i| without_power.push(i * 50 * MS, 7, None).is_ok()));
    }

    #[test]
    fn watchdog_reports_a_counter_that_goes_back() {
        let mut watchdog = Watchdog::default();
        assert!(watchdog.push(0, 7, None).is_ok());
        assert_eq!(watchdog.push(MS, 6, None), Err("the energy counter went back".into()));
    }

    proptest! {
        #[test]
        fn counter_sums_its_steps_over_any_wraps(
            start in 0u64..1_000_000,
            steps in prop::collection::vec((1u64..1_000_000, 1u64..500), 1..100),
        ) {
            // One unit is a µJ: no step is ever more than the largest plausible power, 1 J in 1 ms being 1 kW.
            let range = 1_000_000;
            let mut counter = Counter::new(1e-6, Some(range));
            let (mut t, mut raw, mut sum) = (0, start, 0);
            counter.push(t, raw);
            for (step, ms) in steps {
                t += ms * MS;
                raw = if raw + step > range { raw + step - range } else { raw + step };
                sum += step;
                let advance = counter.push(t, raw);
                prop_assert!((advance.joules - sum as f64 * 1e-6).abs() < 1e-9);
                let watts = step as f64 * 1e-6 / (ms as f64 * 1e-3);
                prop_assert!((advance.watts.unwrap() - watts).abs() < 1e-6 * watts);
            }
        }

        #[test]
        fn counter_survives_anything(
            range in prop::option::of(any::<u64>()),
            readings in prop::collection::vec(any::<(u64, u64)>(), 0..50),
        ) {
            let mut counter = Counter::new(1e-6, range);
            let mut before = 0.0;
            for (t, raw) in readings {
                let advance = counter.push(t, raw);
                prop_assert!(advance.joules >= before);
                prop_assert!(advance.watts.is_none_or(|w| (0.0..=MAX_POWER_W).contains(&w)));
                before = advance.joules;
            }
        }

        #[test]
        fn integral_of_a_constant_is_power_times_time(
            watts in 0.0..2000.0f64,
            gaps in prop::collection::vec(0..MAX_GAP, 0..100),
        ) {
            let mut integral = Integral::default();
            let mut t = 5;
            let mut joules = integral.push(t, watts);
            for gap in &gaps {
                t += gap;
                joules = integral.push(t, watts);
            }
            let expected = watts * seconds(gaps.iter().sum());
            prop_assert!((joules - expected).abs() <= 1e-9 * expected.max(1.0));
        }

        #[test]
        fn integral_never_falls(readings in prop::collection::vec(any::<(u64, f64)>(), 0..50)) {
            let mut integral = Integral::default();
            let mut before = 0.0;
            for (t, watts) in readings {
                let joules = integral.push(t, watts);
                prop_assert!(joules >= before);
                before = joules;
            }
        }
    }
}
