//! Several scripted agents: steps distributed over them, agents that are lost, and each measuring everything.

use super::*;
use crate::{
    agent::{AgentHandle, fleet::Member},
    event::{Config, Event, Header, Link, LinkState, Outcome, RunId, SCHEMA},
    sweep::plan::plan,
    testing::{Events, Script, config},
};
use std::collections::BTreeMap;
use tokio::{sync::mpsc::unbounded_channel, task::JoinHandle};

/// An observer that keeps every step.
#[derive(Default)]
struct Notes(Vec<(StationId, Measured)>);

impl Observer for Notes {
    fn progress(&mut self, _: &Fleet) {}

    fn measured(&mut self, _: &Fleet, on: StationId, measured: Measured) -> io::Result<()> {
        self.0.push((on, measured));
        Ok(())
    }
}

fn header(host: &str) -> Body {
    Body::Header(Header { schema: SCHEMA, host: host.to_owned(), ..Header::default() })
}

fn measure_it(events: &mut Events, run: RunId, config: &Config) {
    events.warm_up(run, config);
    events.batches(run, 100, 20_000_000);
}

fn asked(distributed: bool) -> Plan {
    Plan { distributed, ..plan((1..=3).map(|batch| config("vgg16", batch)).collect(), 2, Some(5), 1.0, 0.0) }
}

type Agent = (Member, JoinHandle<Vec<Command>>);

fn member((agent, script): (AgentHandle, JoinHandle<Vec<Command>>)) -> Agent {
    (Member { agent, device: Some("cpu".to_owned()) }, script)
}

fn good(host: &str) -> Agent {
    member(Script::start(vec![header(host)], measure_it))
}

/// An agent that ends when it is asked for its second run.
fn mortal(host: &str) -> Agent {
    let (commands, mut orders) = unbounded_channel::<Command>();
    let (say, events) = unbounded_channel();
    let mut out = Events::default();
    out.push(header(host));
    let script = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(command) = orders.recv().await {
            heard.push(command.clone());
            let runs = heard.iter().filter(|command| matches!(command, Command::Run { .. })).count();
            match command {
                Command::Run { .. } if runs == 2 => break,
                Command::Run { config } => measure_it(&mut out, heard.len() as RunId, &config),
                Command::Plan { plan } => out.push(Body::Plan(plan)),
                Command::StepDone { step, outcome } => out.push(Body::StepDone { step, outcome }),
                _ => {}
            }
            out.take().into_iter().for_each(|event: Event| _ = say.send(event));
        }
        heard
    });
    member((AgentHandle { commands, events }, script))
}

/// An agent behind a link that is lost when the second run is asked for, and up again as soon as it is told to rest: a
/// remote agent continues with the last thing that it was asked for.
fn flaky(host: &str) -> Agent {
    let (commands, mut orders) = unbounded_channel::<Command>();
    let (say, events) = unbounded_channel();
    let mut out = Events::default();
    let command = "ssh box".to_owned();
    let link = move |state| Body::Link(Link { command: command.clone(), host: None, state });
    let up = || LinkState::Up { rtt_ns: None, down_bytes_per_s: 0.0, up_bytes_per_s: 0.0 };
    let begin = [header(host), link(up())];
    begin.iter().cloned().for_each(|body| out.push(body));
    let script = tokio::spawn(async move {
        let mut heard = Vec::new();
        while let Some(command) = orders.recv().await {
            heard.push(command.clone());
            let runs = runs(&heard);
            match command {
                Command::Run { .. } if runs == 2 => {
                    out.push(link(LinkState::Lost { reason: "cut".to_owned(), retry_in_s: Some(1.0) }));
                }
                Command::Rest { stop_engine: false } => begin.iter().cloned().for_each(|body| out.push(body)),
                Command::Rest { stop_engine } => out.push(Body::Resting { engine_stopped: stop_engine }),
                Command::Run { config } => measure_it(&mut out, heard.len() as RunId, &config),
                Command::Plan { plan } => out.push(Body::Plan(plan)),
                Command::StepDone { step, outcome } => out.push(Body::StepDone { step, outcome }),
                Command::EndSweep => out.push(Body::SweepEnded),
                Command::Stop => break,
                _ => {}
            }
            out.take().into_iter().for_each(|event: Event| _ = say.send(event));
        }
        heard
    });
    member((AgentHandle { commands, events }, script))
}

/// Measures with these agents; returns how it ended, the steps that were reported, and the commands to each agent.
async fn measured(agents: Vec<Agent>, distributed: bool) -> (End, Job, Notes, Vec<Vec<Command>>) {
    let (members, scripts): (Vec<_>, Vec<_>) = agents.into_iter().unzip();
    let plans = (0..members.len() as StationId).map(|on| (on, asked(distributed).on("cpu"))).collect();
    let mut job = Job::new(Fleet::of(members.len()), None, plans, true);
    let mut notes = Notes::default();
    let handle = FleetHandle::join(members);
    let end = measure(handle, &mut job, std::future::pending(), &mut notes).await.unwrap();
    let mut heard = Vec::new();
    for script in scripts {
        heard.push(script.await.unwrap());
    }
    (end, job, notes, heard)
}

fn runs(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::Run { .. })).count()
}

#[tokio::test]
async fn distributed_steps_are_each_measured_once_by_an_idle_worker() {
    let (end, job, notes, heard) = measured(vec![good("a"), good("b")], true).await;
    assert_eq!((end, notes.0.len()), (End::Complete, 6));
    assert!(notes.0.iter().all(|(_, measured)| measured.outcome.is_ok()));
    let mut times = BTreeMap::<_, usize>::new();
    for (_, measured) in &notes.0 {
        *times.entry((measured.config.batch, measured.round)).or_default() += 1;
    }
    assert!(times.len() == 6 && times.values().all(|n| *n == 1), "{times:?}");
    assert_eq!(runs(&heard[0]) + runs(&heard[1]), 6);
    assert!(heard.iter().all(|commands| runs(commands) > 0), "both had something to do");
    assert!(heard.iter().all(|commands| commands.contains(&Command::EndSweep)));
    assert!(!job.fleet.sweeping() && job.fleet.stations().iter().all(|state| !state.sweeping()));
    assert_eq!(job.fleet.stations().iter().map(|state| state.runs.len()).sum::<usize>(), 6);
}

#[tokio::test]
async fn the_step_of_a_lost_station_goes_to_another() {
    let (end, job, notes, heard) = measured(vec![mortal("a"), good("b")], true).await;
    assert_eq!((end, notes.0.len()), (End::Complete, 6));
    assert!(job.fleet[0].gone.is_some() && job.fleet[0].runs.len() == 1);
    assert_eq!((runs(&heard[0]), runs(&heard[1])), (2, 5));
    let (end, job, notes, _) = measured(vec![mortal("a"), mortal("b")], true).await;
    assert_eq!((end, notes.0.len()), (End::StreamEnded, 2), "no station is left");
    assert_eq!(job.fleet.shared_sweep().unwrap().count(), 2);
}

#[tokio::test]
async fn a_station_whose_link_was_lost_takes_steps_again_when_it_is_back() {
    // The other agent ends after its first step: all other steps are for the one that comes back.
    let (end, job, notes, heard) = measured(vec![flaky("a"), mortal("b")], true).await;
    assert_eq!((end, notes.0.len()), (End::Complete, 6));
    assert!(notes.0.iter().all(|(_, measured)| measured.outcome.is_ok()));
    assert_eq!((job.fleet[0].runs.len(), job.fleet[1].runs.len()), (5, 1));
    assert_eq!(runs(&heard[0]), 6, "the step in progress was asked for again");
    assert!(heard[0].contains(&Command::Rest { stop_engine: false }), "or the remote agent would continue it");
}

#[tokio::test]
async fn each_station_measures_everything_where_that_is_asked_for_and_a_lost_one_does_not_stop_the_others() {
    let (end, job, notes, heard) = measured(vec![good("a"), good("b")], false).await;
    assert_eq!((end, notes.0.len()), (End::Complete, 12));
    assert_eq!((runs(&heard[0]), runs(&heard[1])), (6, 6));
    assert!(job.fleet.stations().iter().all(|state| state.runs.len() == 6));
    let (end, _, notes, _) = measured(vec![mortal("a"), good("b")], false).await;
    assert_eq!(end, End::StreamEnded);
    let failed: Vec<_> = notes.0.iter().filter(|(_, measured)| measured.outcome.is_err()).collect();
    assert_eq!((failed.len(), failed[0].0, notes.0.len()), (1, 0, 8));
}

#[tokio::test]
async fn a_step_that_does_not_fit_on_one_station_is_done_by_another() {
    let small = || {
        Script::start(vec![header("small")], |events, run, config| match config.batch {
            1 => measure_it(events, run, config),
            _ => {
                let (config, message) = (config.clone(), "no memory".to_owned());
                events.push(Body::OutOfMemory { run, config, requested_bytes: None, message });
            }
        })
    };
    let (end, job, notes, _) = measured(vec![member(small()), good("large")], true).await;
    assert_eq!((end, notes.0.len()), (End::Complete, 6));
    let sweep = job.fleet.shared_sweep().unwrap();
    let skipped = |step: &crate::session::sweep::Step| matches!(step.outcome, Outcome::Skipped { .. });
    assert!(!sweep.finished().any(|(_, step)| skipped(step)), "the large station could: {sweep:?}");
    let (end, job, _, _) = measured(vec![member(small()), member(small())], true).await;
    assert_eq!(end, End::Complete);
    let sweep = job.fleet.shared_sweep().unwrap();
    assert!(sweep.count() == 6 && sweep.finished().any(|(_, step)| skipped(step)), "no station could: {sweep:?}");
}

/// Counts the ends of the recording, and the steps.
#[derive(Default)]
struct Ends(usize, usize);

impl Observer for Ends {
    fn progress(&mut self, _: &Fleet) {}

    fn recording_ended(&mut self, error: &RecordError) {
        assert!(error.to_string().contains("recording stopped"), "{error}");
        self.0 += 1;
    }

    fn measured(&mut self, _: &Fleet, _: StationId, measured: Measured) -> io::Result<()> {
        assert!(measured.outcome.is_ok());
        self.1 += 1;
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_ends_the_recording_and_nothing_else() {
    let (Member { agent, .. }, script) = good("a");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let recorder = Recorder::write_to(full, std::path::Path::new("/dev/full"), 0).unwrap();
    let mut job = Job::new(Fleet::default(), Some(recorder), vec![(0, asked(false))], false);
    let mut ends = Ends::default();
    let end = measure(agent.into(), &mut job, std::future::pending(), &mut ends).await.unwrap();
    assert_eq!((end, ends.0, ends.1), (End::Complete, 1, 6), "said once at once, and everything is measured");
    assert!(job.recording.error().is_some(), "and said again at the end");
    assert_eq!(runs(&script.await.unwrap()), 6);
}
