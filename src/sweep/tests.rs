//! The measuring loop against an agent that is a script.

use super::*;
use crate::{
    agent::AgentHandle,
    event::{Body, Command, Config, Event, Outcome, Plan, StationId},
    session::Fleet,
    testing::{Script, config},
};
use std::{future::Future, io};
use tokio::sync::mpsc::unbounded_channel;

/// Keeps what it is told.
#[derive(Default)]
struct Notes {
    measured: Vec<Measured>,
    events: usize,
}

impl Observer for Notes {
    fn progress(&mut self, _: &Fleet) {
        self.events += 1;
    }

    fn measured(&mut self, _: &Fleet, _: StationId, measured: Measured) -> io::Result<()> {
        self.measured.push(measured);
        Ok(())
    }
}

fn plan(configs: &[Config], seconds: f64) -> Plan {
    super::plan::plan(configs.to_vec(), 1, None, seconds, 0.0)
}

/// Measures a plan from its beginning.
async fn measure_all(
    agent: AgentHandle,
    plan: Plan,
    interrupt: impl Future<Output = ()>,
    observer: &mut impl Observer,
) -> io::Result<End> {
    let mut job = Job::new(Fleet::default(), None, vec![(0, plan)], false);
    measure(agent.into(), &mut job, interrupt, observer).await
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
    let plan = plan(&[a.clone(), b.clone()], 1.0);
    let end = measure_all(agent, plan.clone(), std::future::pending(), &mut notes).await.unwrap();
    assert_eq!(end, End::Complete);
    let results: Vec<_> = notes.measured.iter().map(|m| (m.config.clone(), m.outcome.clone().unwrap())).collect();
    assert_eq!([&results[0].0, &results[1].0], [&a, &b]);
    assert_eq!((results[0].1.batches, results[0].1.seconds), (50, 2.0));
    assert!((results[1].1.images_per_s - 200.0).abs() < 1.0);
    assert!(results[0].1.power.is_err());
    let done = |step| Command::StepDone { step, outcome: Outcome::Measured };
    let (a, b) = (Command::Run { config: a }, Command::Run { config: b });
    assert_eq!(script.await.unwrap(), [Command::Plan { plan }, a, done(0), b, done(1), Command::Stop]);
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
    let end = measure_all(agent, plan(&configs, 1.0), std::future::pending(), &mut notes).await.unwrap();
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
    measure_all(agent, plan, std::future::pending(), &mut notes).await.unwrap();
    assert_eq!(notes.measured[0].outcome.as_ref().unwrap().batches, 60);
}

#[tokio::test]
async fn a_sweep_goes_on_where_another_process_left_it() {
    let answer = |events: &mut crate::testing::Events, run, config: &Config| {
        events.warm_up(run, config);
        events.batches(run, 100, 20_000_000);
    };
    let (agent, _script) = Script::start(vec![], answer);
    let configs = [1, 2, 4].map(|batch| config("vgg16", batch));
    struct Leaver(u32);
    impl Observer for Leaver {
        fn progress(&mut self, _: &Fleet) {}
        fn measured(&mut self, _: &Fleet, _: StationId, _: Measured) -> io::Result<()> {
            self.0 += 1;
            if self.0 == 2 { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
        }
    }
    let job = |fleet| Job::new(fleet, None, vec![(0, plan(&configs, 1.0))], false);
    let mut left = job(Fleet::default());
    assert!(measure(agent.into(), &mut left, std::future::pending(), &mut Leaver(0)).await.is_err());
    let (agent, script) = Script::start(vec![Body::Header(crate::event::Header::default())], answer);
    let mut notes = Notes::default();
    let mut job = job(left.fleet);
    measure(agent.into(), &mut job, std::future::pending(), &mut notes).await.unwrap();
    let batches = |n: &Notes| n.measured.iter().map(|m| m.config.batch).collect::<Vec<_>>();
    assert_eq!(batches(&notes), [2, 4]);
    assert_eq!(job.fleet.first().runs.iter().map(|r| r.result.config.batch).collect::<Vec<_>>(), [1, 2, 4]);
    let asked = script.await.unwrap();
    assert!(matches!(asked[0], Command::Run { .. }), "no second plan: {asked:?}");
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_sweep_with_an_error() {
    let (commands, _commands) = unbounded_channel();
    let (sender, events) = unbounded_channel();
    let plan = plan(&[config("vgg16", 1), config("vgg16", 2)], 1.0);
    sender.send(Event { t: 0, body: Body::Plan(plan.clone()) }).unwrap();
    drop(sender);
    let mut notes = Notes::default();
    let agent = AgentHandle { commands, events };
    let end = measure_all(agent, plan, std::future::pending(), &mut notes).await.unwrap();
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
        fn progress(&mut self, fleet: &Fleet) {
            if fleet.first().sweep.as_ref().is_some_and(|sweep| sweep.count() == 1) {
                self.1.take().map(|told| told.send(()));
            }
        }
        fn measured(&mut self, fleet: &Fleet, on: StationId, measured: Measured) -> io::Result<()> {
            self.0.measured(fleet, on, measured)
        }
    }
    let mut notes = Interrupter(Notes::default(), Some(told));
    let plan = plan(&[config("vgg16", 1), config("vgg16", 2)], 1.0);
    let interrupt = async { _ = interrupted.await };
    assert_eq!(measure_all(agent, plan, interrupt, &mut notes).await.unwrap(), End::Interrupted);
    assert_eq!(notes.0.measured.len(), 1);
    assert_eq!(script.await.unwrap().last(), Some(&Command::Stop));
}

#[tokio::test]
async fn an_output_that_is_gone_stops_the_agent() {
    struct Gone;
    impl Observer for Gone {
        fn progress(&mut self, _: &Fleet) {}
        fn measured(&mut self, _: &Fleet, _: StationId, _: Measured) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let (agent, script) = Script::start(vec![], |events, run, config| {
        events.warm_up(run, config);
        events.batches(run, 100, 20_000_000);
    });
    let plan = plan(&[config("vgg16", 1), config("vgg16", 2)], 1.0);
    let error = measure_all(agent, plan, std::future::pending(), &mut Gone).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(script.await.unwrap().last(), Some(&Command::Stop));
}
