//! The measuring loop against an agent that is a script.

use super::*;
use crate::{
    event::{Batches, PhaseChange, Precision, Quantity, RunId, Sensor, WarmUp},
    testing::{Script, config, sensor},
};
use tokio::sync::mpsc::unbounded_channel;

/// Keeps what it is told.
#[derive(Default)]
struct Notes {
    measured: Vec<Measured>,
    events: usize,
}

impl Observer for Notes {
    fn progress(&mut self, _: &State, _: usize) {
        self.events += 1;
    }

    fn measured(&mut self, _: &State, measured: Measured) -> io::Result<()> {
        self.measured.push(measured);
        Ok(())
    }
}

fn plan(configs: &[Config], seconds: f64) -> Plan {
    Plan { configs: configs.to_vec(), seconds }
}

#[tokio::test]
async fn steady_configurations_are_measured_in_order_and_the_agent_is_stopped() {
    let (agent, script) = Script::start(vec![], |events, run, config| {
        events.warm_up(run, config);
        (0..5).for_each(|_| events.batches(run, 10, 40_000_000));
        events.idle(3600);
    });
    let (a, b) = (config("resnet18", 1), config("resnet18", 8));
    let mut notes = Notes::default();
    let end = measure(agent, &plan(&[a.clone(), b.clone()], 1.0), std::future::pending(), &mut notes).await.unwrap();
    assert_eq!(end, End::Complete);
    let results: Vec<_> = notes.measured.iter().map(|m| (m.config.clone(), m.outcome.clone().unwrap())).collect();
    assert_eq!([&results[0].0, &results[1].0], [&a, &b]);
    // Enough after the third of five reports: 10 batches of 40 ms each.
    assert_eq!((results[0].1.batches, results[0].1.seconds), (30, 1.2));
    assert!((results[1].1.images_per_s - 200.0).abs() < 1.0);
    assert!(results[0].1.power.is_err());
    assert_eq!(script.await.unwrap(), [Command::Run { config: a }, Command::Run { config: b }, Command::Stop]);
}

#[tokio::test]
async fn one_failure_does_not_stop_the_others() {
    let (agent, _script) = Script::start(vec![], |events, run, config| match config.batch {
        512 => events.push(Body::OutOfMemory {
            run,
            config: config.clone(),
            requested_bytes: Some(1 << 40),
            message: "1 TiB asked for".to_owned(),
        }),
        2 => events.push(Body::Failing { run, config: config.clone(), reason: "illegal address".to_owned() }),
        _ => {
            events.warm_up(run, config);
            events.batches(run, 100, 20_000_000);
        }
    });
    let configs = [512, 2, 1].map(|batch| config("vgg16", batch));
    let mut notes = Notes::default();
    let end = measure(agent, &plan(&configs, 1.0), std::future::pending(), &mut notes).await.unwrap();
    assert_eq!(end, End::Complete);
    let failed = |i: usize| notes.measured[i].outcome.clone().unwrap_err();
    assert!(matches!(failed(0), Failed::OutOfMemory { requested_bytes: Some(bytes), .. } if bytes == 1 << 40));
    assert_eq!(failed(1).to_string(), "illegal address");
    assert_eq!(notes.measured[2].outcome.as_ref().unwrap().batches, 100);
}

#[tokio::test]
async fn an_engine_that_died_and_came_back_is_measured_from_its_new_beginning() {
    let (agent, _script) = Script::start(vec![], |events, run, config| {
        events.warm_up(run, config);
        events.batches(run, 10, 20_000_000);
        events.push(Body::EngineDied { reason: "killed".to_owned(), in_a_row: 1, run, config: config.clone() });
        events.push(Body::EngineStarted { pid: 2, device: config.device.clone() });
        events.warm_up(run + 1000, config);
        events.batches(run + 1000, 60, 20_000_000);
    });
    let mut notes = Notes::default();
    let plan = plan(&[config("vgg16", 1)], 1.0);
    measure(agent, &plan, std::future::pending(), &mut notes).await.unwrap();
    assert_eq!(notes.measured[0].outcome.as_ref().unwrap().batches, 60);
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_sweep_with_an_error() {
    let (commands, _commands) = unbounded_channel();
    let (_, events) = unbounded_channel();
    let mut notes = Notes::default();
    let configs = [config("vgg16", 1), config("vgg16", 2)];
    let agent = AgentHandle { commands, events };
    let end = measure(agent, &plan(&configs, 1.0), std::future::pending(), &mut notes).await.unwrap();
    assert_eq!(end, End::StreamEnded);
    assert_eq!(notes.measured.len(), 1);
    assert_eq!(notes.measured[0].outcome, Err(Failed::StreamEnded));
}

#[tokio::test]
async fn an_interrupt_stops_the_agent_and_keeps_what_was_measured() {
    let (agent, script) = Script::start(vec![], |events, run, config| {
        events.warm_up(run, config);
        // The second configuration never gets anywhere.
        if config.batch == 1 {
            events.batches(run, 100, 20_000_000);
        }
    });
    let (told, interrupted) = tokio::sync::oneshot::channel::<()>();
    struct Interrupter(Notes, Option<tokio::sync::oneshot::Sender<()>>);
    impl Observer for Interrupter {
        fn progress(&mut self, _: &State, index: usize) {
            if index == 1 {
                self.1.take().map(|told| told.send(()));
            }
        }
        fn measured(&mut self, state: &State, measured: Measured) -> io::Result<()> {
            self.0.measured(state, measured)
        }
    }
    let mut notes = Interrupter(Notes::default(), Some(told));
    let plan = plan(&[config("vgg16", 1), config("vgg16", 2)], 1.0);
    let interrupt = async { _ = interrupted.await };
    assert_eq!(measure(agent, &plan, interrupt, &mut notes).await.unwrap(), End::Interrupted);
    assert_eq!(notes.0.measured.len(), 1);
    assert_eq!(script.await.unwrap().last(), Some(&Command::Stop));
}

#[tokio::test]
async fn an_output_that_is_gone_stops_the_agent() {
    struct Gone;
    impl Observer for Gone {
        fn progress(&mut self, _: &State, _: usize) {}
        fn measured(&mut self, _: &State, _: Measured) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let (agent, script) = Script::start(vec![], |events, run, config| {
        events.warm_up(run, config);
        events.batches(run, 100, 20_000_000);
    });
    let plan = plan(&[config("vgg16", 1), config("vgg16", 2)], 1.0);
    let error = measure(agent, &plan, std::future::pending(), &mut Gone).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(script.await.unwrap().last(), Some(&Command::Stop));
}

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
    let config = Config { precision: Precision::F32, ..config("vgg16", 1) };
    let power = || vec![sensor(1, &config.device, Quantity::PowerInstant, None)];
    let absent = vec![sensor(1, &config.device, Quantity::PowerInstant, Some("no driver"))];
    assert!(enough(&steady(5.1, vec![], 0), &config, 5.0), "nothing to wait for");
    assert!(enough(&steady(5.1, absent, 0), &config, 5.0), "an absent sensor is not waited for");
    assert!(!enough(&steady(5.1, power(), 50), &config, 5.0), "power has not settled for 5 s");
    assert!(enough(&steady(6.1, power(), 50), &config, 5.0));
    assert!(!enough(&steady(6.1, power(), 3), &config, 5.0), "too few readings");
    assert!(enough(&steady(11.1, power(), 3), &config, 5.0), "it will not get better");
    let busy = || vec![sensor(1, &config.device, Quantity::Utilisation, None)];
    assert!(!enough(&steady(0.9, busy(), 0), &config, 0.5), "nobody has said yet how busy the device is");
    assert!(enough(&steady(1.1, busy(), 1), &config, 0.5));
    assert!(enough(&steady(6.1, busy(), 0), &config, 0.5), "nobody will");
    assert!(!enough(&steady(6.1, power(), 50), &Config { batch: 2, ..config }, 5.0), "another configuration");
}
