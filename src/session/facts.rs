//! The facts that a client needs which joins a stream late, so that the following events make sense to it.

use super::state::{Engine, State};
use crate::event::{Body, IdleReading, Layers, Phase, PhaseChange};

/// Events that give a new state what `state` knows about host, devices, sensors, networks, the engine and the run in
/// progress. Empty where `state` has no header yet.
///
/// Readings, results and notices are not repeated: they belong to the time before. The statistics of the run in progress
/// start again.
pub fn of(state: &State) -> Vec<Body> {
    let Some(header) = &state.header else { return Vec::new() };
    let mut facts = vec![Body::Header(header.clone())];
    if !state.devices.is_empty() {
        facts.push(Body::Devices { devices: state.devices.clone() });
    }
    facts.extend(state.networks.values().cloned().map(Body::Network));
    facts.extend(state.accuracies.values().cloned().map(Body::Accuracy));
    facts.extend(state.checks.clone().map(|checks| Body::Checks { checks }));
    facts.extend(sensors(state));
    facts.extend(state.cards.values().cloned().map(Body::Card));
    let throttle = state.throttle.iter();
    facts.extend(throttle.map(|(d, r)| Body::Throttle { device: d.clone(), reasons: r.clone() }));
    let neighbours = state.neighbours.iter();
    facts.extend(neighbours.map(|(d, p)| Body::Neighbours { device: d.clone(), processes: p.clone() }));
    facts.extend(state.peaks.iter().map(|((device, precision), (flops, how))| Body::Peak {
        device: device.clone(),
        precision: *precision,
        flops: *flops,
        how: how.clone(),
    }));
    facts.extend(state.bandwidths.iter().map(|(device, (bytes_per_s, how))| Body::Bandwidth {
        device: device.clone(),
        bytes_per_s: *bytes_per_s,
        how: how.clone(),
    }));
    facts.extend(state.link.clone().map(Body::Link));
    facts.extend(running(state));
    facts.extend(state.gone.clone().map(|reason| Body::Gone { reason }));
    facts
}

/// The sensors, and their idle readings from before the engine started.
fn sensors(state: &State) -> Vec<Body> {
    let all: Vec<_> = state.sensors.values().map(|s| s.info.clone()).collect();
    let idle = |(id, s): (&u16, &super::state::SensorState)| {
        let (readings, deviation) = (s.idle.count(), s.idle.deviation().unwrap_or(0.0));
        Some(IdleReading { sensor: *id, readings, mean: s.idle.mean()?, deviation })
    };
    let idle: Vec<_> = state.sensors.iter().filter_map(idle).collect();
    let mut facts = Vec::new();
    if !all.is_empty() {
        facts.push(Body::Sensors { sensors: all });
    }
    if !idle.is_empty() {
        facts.push(Body::Idle { sensors: idle });
    }
    facts
}

fn running(state: &State) -> Vec<Body> {
    let mut facts = Vec::new();
    if let Engine::Running { pid, device } = &state.engine {
        facts.push(Body::EngineStarted { pid: *pid, device: device.clone() });
    }
    if let Some(run) = &state.run {
        let warm_up = run.warm_up.filter(|_| run.phase == Phase::Steady);
        facts.push(Body::Phase(PhaseChange { run: run.id, config: run.config.clone(), phase: run.phase, warm_up }));
        facts.push(Body::Memory(run.memory));
        // Layers are measured once, so the client would not get them otherwise.
        facts.extend(match state.layers(&run.config) {
            Some(Ok(layers)) => Some(Body::Layers(Layers { run: run.id, ..Layers::clone(layers) })),
            Some(Err(reason)) => {
                Some(Body::NoLayers { run: run.id, config: run.config.clone(), reason: reason.to_owned() })
            }
            None => None,
        });
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Header, Quantity, SCHEMA},
        testing::{Events, config, sensor},
    };

    #[test]
    fn a_state_that_is_given_the_facts_knows_what_the_other_knew_and_counts_from_zero() {
        let mut events = Events::default();
        events.push(Body::Header(Header { schema: SCHEMA, host: "bench".into(), ..Header::default() }));
        events.push(Body::Sensors { sensors: vec![sensor(3, "cpu", Quantity::PowerInstant, None)] });
        [70.0, 72.0].iter().for_each(|watts| events.push(Body::Samples { values: vec![(3, *watts)] }));
        events.push(Body::EngineStarted { pid: 7, device: "cpu".into() });
        events.warm_up(4, &config("alexnet", 8));
        events.batches(4, 10, 1_000_000);
        events.push(Body::Bandwidth { device: "cpu".into(), bytes_per_s: 1e10, how: "a copy".into() });
        let config = config("alexnet", 8);
        events.push(Body::NoLayers { run: 4, config: config.clone(), reason: "an operation".into() });
        let mut old = State::default();
        events.take().iter().for_each(|event| old.apply(event));

        let mut new = State::default();
        of(&old).into_iter().for_each(|body| new.apply(&Event { t: old.now, body }));
        assert_eq!((&new.header, &new.engine, &new.devices), (&old.header, &old.engine, &old.devices));
        assert_eq!(new.bandwidths, old.bandwidths);
        assert_eq!((new.layers(&config), old.layers(&config)), (Some(Err("an operation")), Some(Err("an operation"))));
        let idle = |s: &State| (s.sensors[&3].info.clone(), s.sensors[&3].idle.count(), s.sensors[&3].idle.mean());
        assert_eq!(idle(&new), idle(&old));
        let (new, old) = (new.run.unwrap(), old.run.unwrap());
        assert_eq!((new.id, &new.config, new.phase, new.warm_up), (old.id, &old.config, old.phase, old.warm_up));
        assert_eq!((new.steady.batches, old.steady.batches), (0, 10));
        assert!(of(&State::default()).is_empty());
    }
}
