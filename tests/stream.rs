//! The stream as bytes: every event survives a line of JSON, and a line that is none is an error, never a panic.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use proptest::prelude::*;
use wattscope::event::*;

fn config() -> impl Strategy<Value = Config> {
    let precision = prop::sample::select(Precision::ALL.to_vec());
    (".{0,12}", any::<u32>(), precision, "[a-z:0-9]{1,8}").prop_map(|(network, batch, precision, device)| Config {
        network,
        batch,
        precision,
        device,
    })
}

fn body() -> impl Strategy<Value = Body> {
    // As sensors give them: thousandths of a unit.
    let number = any::<i32>().prop_map(|n| f64::from(n) / 1000.0);
    let times = || prop::collection::vec(any::<u64>(), 0..6);
    prop_oneof![
        Just(Body::Header(Header { schema: SCHEMA, command: vec!["wattscope".into()], ..Header::default() })),
        Just(Body::Network(NetworkFacts {
            top1: Some(76.13),
            layers: vec![LayerFacts::default()],
            ..Default::default()
        })),
        Just(Body::Card(Card { power_cap_w: Some(700.0), ..Card::default() })),
        Just(Body::Reset),
        (prop::option::of(".{0,12}"), any::<Option<u64>>(), number.clone()).prop_map(|(said, rtt_ns, x)| {
            let state = match (said, rtt_ns) {
                (Some(reason), Some(_)) => LinkState::Lost { reason, retry_in_s: Some(x) },
                (None, Some(_)) => LinkState::Up { rtt_ns, down_bytes_per_s: x, up_bytes_per_s: x },
                (said, None) => LinkState::Connecting { said },
            };
            Body::Link(Link { command: "ssh gpu-box".into(), host: None, state })
        }),
        (config(), prop::option::of(number.clone())).prop_map(|(config, error)| {
            let Config { network, precision, device, .. } = config;
            Body::Checks { checks: vec![Checked { network, device, precision, error, bound: 1e-4, pass: false }] }
        }),
        any::<bool>().prop_map(|engine_stopped| Body::Resting { engine_stopped }),
        (config(), any::<Option<u64>>(), prop::collection::vec(any::<u32>(), 0..4)).prop_map(
            |(config, seed, order)| {
                let shard = seed.map(|seed| (seed as u32 % 4, 4));
                let distributed = seed.is_none();
                let (configs, repeat, seconds, cooldown_s) = (vec![config], 2, 5.0, 0.5);
                Body::Plan(Plan { configs, repeat, seed, order, seconds, cooldown_s, shard, distributed })
            }
        ),
        (any::<u32>(), ".*", any::<Option<u64>>()).prop_map(|(step, reason, requested_bytes)| {
            let outcome = match step % 3 {
                0 => Outcome::Measured,
                1 => Outcome::Failed { reason, out_of_memory: true, requested_bytes },
                _ => Outcome::Skipped { reason },
            };
            Body::StepDone { step, outcome }
        }),
        prop::collection::vec((any::<u16>(), number), 0..8).prop_map(|values| Body::Samples { values }),
        (any::<u64>(), config(), any::<bool>()).prop_map(|(run, config, warm)| {
            let warm_up = warm.then_some(WarmUp { seconds: 1.5, batches: 9, error_percent: 0.5, converged: true });
            Body::Phase(PhaseChange { run, config, phase: Phase::Steady, warm_up })
        }),
        (any::<u64>(), any::<bool>(), ".*", any::<Option<u64>>()).prop_map(|(run, used, why, eager_ns)| {
            Body::Graph(Graph { run, used, why, eager_ns, replay_ns: eager_ns.map(|ns| ns / 2) })
        }),
        (any::<u64>(), any::<bool>(), times(), times()).prop_map(|(run, steady, wall_ns, device_ns)| {
            Body::Batches(Batches { run, steady, span_ns: 7, wall_ns, device_ns })
        }),
        (any::<u64>(), config(), any::<Option<u64>>(), ".*").prop_map(|(run, config, requested_bytes, message)| {
            Body::OutOfMemory { run, config, requested_bytes, message }
        }),
        (any::<u64>(), config(), ".*").prop_map(|(run, config, reason)| Body::Failing { run, config, reason }),
        ".*".prop_map(|text| Body::Notice { level: Level::Warning, text }),
        (any::<u64>(), config(), any::<Option<usize>>(), times()).prop_map(|(run, config, within, output)| {
            let layer = LayerTime { kind: "conv".into(), output, time_ns: run, within, ..LayerTime::default() };
            let (clock, layers) = (LayerClock::Device, vec![layer, LayerTime::default()]);
            let (passes, ns) = (30, run);
            Body::Layers(Layers {
                run,
                config,
                passes,
                clock,
                whole_ns: ns,
                sum_ns: ns,
                whole_wall_ns: ns,
                instrumented_wall_ns: ns,
                layers,
            })
        }),
        (any::<u64>(), config(), ".*").prop_map(|(run, config, reason)| Body::NoLayers { run, config, reason }),
        any::<u64>().prop_map(|run| Body::LayersBegun { run }),
        any::<u32>().prop_map(|bytes| Body::Bandwidth {
            device: "cpu".into(),
            bytes_per_s: f64::from(bytes) * 1e6,
            how: "a copy".into()
        }),
        ".*".prop_map(|reason| Body::Gone { reason }),
        any::<Option<u64>>().prop_map(|in_use| Body::Memory(Memory { run: 1, in_use, ..Memory::default() })),
    ]
}

proptest! {
    #[test]
    fn an_event_is_one_line_and_comes_back_as_it_was(t in any::<u64>(), body in body()) {
        let event = Event { t, body };
        let line = serde_json::to_string(&event).unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(&Event::parse(line.as_bytes()).unwrap(), &event);
        prop_assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }

    #[test]
    fn a_line_knows_its_station_and_is_its_event_alone_on_the_first(on in any::<u16>(), t in any::<u64>(), body in body()) {
        let event = Event { t, body };
        let (alone, tagged) = (serde_json::to_string(&event).unwrap(), Tagged { station: on, event });
        let line = serde_json::to_string(&tagged).unwrap();
        match on {
            0 => prop_assert_eq!(&line, &alone),
            _ => prop_assert_eq!(&line, &format!("{{\"on\":{on},{}", &alone[1..])),
        }
        prop_assert_eq!(&Tagged::parse(line.as_bytes()).unwrap(), &tagged);
        prop_assert_eq!(&serde_json::from_str::<Tagged>(&line).unwrap(), &tagged);
        prop_assert_eq!(Tagged::parse(alone.as_bytes()).unwrap(), Tagged::from(tagged.event));
    }

    #[test]
    fn equal_times_are_written_once_and_read_as_often_as_they_were(
        runs in prop::collection::vec((0u64..5, 1usize..5), 0..20),
    ) {
        let wall_ns: Vec<u64> = runs.iter().flat_map(|(time, count)| vec![*time; *count]).collect();
        let body = Body::Batches(Batches { run: 1, steady: true, span_ns: 7, wall_ns, device_ns: vec![5; 100_000] });
        let line = serde_json::to_string(&Event { t: 1, body: body.clone() }).unwrap();
        prop_assert!(line.len() < 400 && line.contains("[5,100000]"), "{}", line);
        prop_assert_eq!(Event::parse(line.as_bytes()).unwrap().body, body);
    }

    #[test]
    fn what_is_no_event_is_an_error(line in ".*", cut in 0usize..200, body in body()) {
        prop_assert_eq!(Event::parse(line.as_bytes()).is_ok(), serde_json::from_str::<Event>(&line).is_ok());
        prop_assert_eq!(Tagged::parse(line.as_bytes()).is_ok(), serde_json::from_str::<Tagged>(&line).is_ok());
        let whole = serde_json::to_string(&Event { t: 1, body }).unwrap();
        let end = whole.char_indices().map(|(i, _)| i).take_while(|i| *i <= cut).last().unwrap_or(0);
        prop_assert!(Event::parse(&whole.as_bytes()[..end.min(whole.len() - 1)]).is_err());
    }
}
