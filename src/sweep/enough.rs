//! When a configuration has been measured for long enough.

use crate::{
    event::{Config, Nanos, Phase, Quantity},
    session::{Run, State, run::SETTLING},
};

/// Length of a power window for which a handful of readings is enough. A sensor that averages over 25 ms of every 100 ms
/// needs 5 s or 32 repetitions for an error of 5 % (arXiv 2312.02741; MEASURING.md, rule 4). A reading counts as a
/// repetition, since batches are far shorter than the averaging window of a sensor. ns.
const WINDOW: Nanos = 5_000_000_000;

/// Readings with which a shorter window is enough, too.
const REPETITIONS: u64 = 32;

/// Least readings in a window of full length: two readings of a slow sensor are not enough.
const READINGS: u64 = 8;

/// Additional time to wait for a sensor that hardly answers. ns.
const PATIENCE: Nanos = 5_000_000_000;

/// Whether a configuration has been measured for long enough: `seconds` of steady batches and, where its device has a power
/// sensor, `seconds` of power after settling, with enough readings.
pub fn enough(state: &State, config: &Config, seconds: f64) -> bool {
    let Some(run) = state.run.as_ref().filter(|run| run.config == *config && run.phase == Phase::Steady) else {
        return false;
    };
    run.steady.span_ns as f64 >= seconds * 1e9 && enough_readings(state, run, seconds)
}

fn enough_readings(state: &State, run: &Run, seconds: f64) -> bool {
    let device = run.config.device.as_str();
    let wanted = (seconds * 1e9) as Nanos;
    let settled = state.now.saturating_sub(run.steady.since + SETTLING);
    let readings = |id| run.steady.sensors.get(&id).map_or(0, |reading| reading.moments.count());
    let enough = |n| n >= REPETITIONS || n >= READINGS && settled >= WINDOW;
    let patience = wanted.max(WINDOW) + PATIENCE;
    let power = state.power_sensor(device).ok();
    let busy = state.sensor(device, Quantity::Utilisation).filter(|(_, sensor)| sensor.info.absent.is_none());
    power.is_none_or(|(id, _)| settled >= wanted && (enough(readings(id)) || settled >= patience))
        && busy.is_none_or(|(id, _)| readings(id) > 0 || settled >= PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Batches, Body, Event, PhaseChange, RunId, Sensor, WarmUp},
        testing::{config, sensor},
    };

    /// A state that has been steady for `seconds`, with `readings` of an instant power sensor since power settled.
    fn steady(seconds: f64, sensors: Vec<Sensor>, readings: u64) -> State {
        let config = config("vgg16", 1);
        let mut state = State::default();
        let mut apply = |t: Nanos, body: Body| state.apply(&Event { t, body });
        apply(0, Body::Sensors { sensors });
        apply(0, Body::EngineStarted { pid: 1, device: config.device.clone() });
        let warm_up = WarmUp { seconds: 1.0, batches: 9, error_percent: 0.4, converged: true };
        let change = PhaseChange { run: 1 as RunId, config, phase: Phase::Steady, warm_up: Some(warm_up) };
        apply(0, Body::Phase(change));
        let until = (seconds * 1e9) as Nanos;
        for i in 0..readings {
            apply(SETTLING + i * (until - SETTLING) / readings, Body::Samples { values: vec![(1, 300.0)] });
        }
        let batches = Batches { run: 1, steady: true, span_ns: until, wall_ns: vec![until], device_ns: vec![] };
        apply(until, Body::Batches(batches));
        state
    }

    #[test]
    fn power_is_waited_for_where_there_is_a_sensor() {
        let config = config("vgg16", 1);
        let power = || vec![sensor(1, &config.device, Quantity::PowerInstant, None)];
        let absent = vec![sensor(1, &config.device, Quantity::PowerInstant, Some("no driver"))];
        assert!(enough(&steady(5.1, vec![], 0), &config, 5.0), "nothing to wait for");
        assert!(enough(&steady(5.1, absent, 0), &config, 5.0), "an absent sensor is not waited for");
        assert!(!enough(&steady(5.1, power(), 50), &config, 5.0), "power has not settled for 5 s");
        assert!(enough(&steady(6.1, power(), 9), &config, 5.0));
        assert!(!enough(&steady(6.1, power(), 3), &config, 5.0), "too few readings");
        assert!(enough(&steady(11.1, power(), 3), &config, 5.0), "it will not get better");
        assert!(!enough(&steady(2.1, power(), 20), &config, 1.0), "a short window needs 32 readings");
        assert!(enough(&steady(2.1, power(), 32), &config, 1.0));
        let busy = || vec![sensor(1, &config.device, Quantity::Utilisation, None)];
        assert!(!enough(&steady(0.9, busy(), 0), &config, 0.5), "utilisation has not been read yet");
        assert!(enough(&steady(1.1, busy(), 1), &config, 0.5));
        assert!(enough(&steady(6.1, busy(), 0), &config, 0.5), "utilisation is not waited for any longer");
        assert!(!enough(&steady(6.1, power(), 50), &Config { batch: 2, ..config }, 5.0), "another configuration");
    }
}
