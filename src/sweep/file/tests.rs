//! A shard that another host resumes, and the sweeps that a file refuses.

use super::*;
use crate::{
    agent::fleet::{FleetHandle, Member},
    event::{Body, Header, Outcome, Precision, SCHEMA},
    session::replay::fold_all,
    sweep::{End, Job, Measured, measure, plan::plan},
    testing::{Events, Script, config},
};

struct Count(usize);

impl Observer for Count {
    fn progress(&mut self, _: &Fleet) {}

    fn measured(&mut self, _: &Fleet, _: StationId, _: Measured) -> io::Result<()> {
        self.0 += 1;
        Ok(())
    }
}

fn devices(title: &str) -> Vec<DeviceInfo> {
    let (name, title) = ("cpu".to_owned(), title.to_owned());
    vec![DeviceInfo { name, title, precisions: vec![Precision::F32], ..DeviceInfo::default() }]
}

fn header(host: &str) -> Body {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Body::Header(Header { schema: SCHEMA, host: host.to_owned(), version, folded: true, ..Header::default() })
}

fn shard(index: u32) -> Plan {
    let all = plan((1..=6).map(|batch| config("vgg16", batch)).collect(), 1, Some(3), 1.0, 0.0);
    Plan { shard: Some((index, 2)), ..all }
}

/// A shard of three steps of which a host did the first one and was killed in the middle of the second.
fn begun(path: &Path, plan: &Plan) {
    let mut events = Events::default();
    events.push(header("node1"));
    events.push(Body::Devices { devices: devices("Some CPU") });
    events.push(Body::Plan(plan.clone()));
    let steps: Vec<usize> = (0..plan.steps()).filter(|step| plan.has(*step)).collect();
    for (run, step) in (1..).zip(&steps[..2]) {
        events.warm_up(run, plan.config(*step).unwrap());
        events.batches(run, 100, 20_000_000);
        if run == 1 {
            events.push(Body::StepDone { step: *step as u32, outcome: Outcome::Measured });
        }
    }
    let mut recorder = Recorder::create(path, &Fleet::default()).unwrap();
    events.take().iter().for_each(|event| recorder.send(event).unwrap());
    recorder.finish().unwrap();
}

fn opened(path: &Path, plan: &Plan, host: &str, title: &str) -> Result<(SweepFile, usize), FileError> {
    let devices = devices(title);
    let places = [Place { host, device: "cpu", devices: &devices }];
    let mut seen = Count(0);
    let asked = Asked { plan, seed: false, places: &places, folded: true, overwrite: false };
    open(path, &asked, &mut seen).map(|file| (file, seen.0))
}

#[test]
fn a_sweep_that_computes_something_else_is_another_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.jsonl");
    let all = Plan { shard: None, ..shard(0) };
    begun(&path, &all);
    let devices = devices("Some CPU");
    let places = [Place { host: "node1", device: "cpu", devices: &devices }];
    let asked = Asked { plan: &all, seed: false, places: &places, folded: false, overwrite: false };
    let said = open(&path, &asked, &mut Count(0)).unwrap_err().to_string();
    assert!(said.contains("batch norms folded there, not folded asked for"), "{said}");
}

#[tokio::test]
async fn another_host_goes_on_with_a_shard_as_another_station_and_no_step_is_done_twice() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.2of2.jsonl");
    begun(&path, &shard(1));
    let (file, seen) = opened(&path, &shard(1), "node2", "Another CPU").unwrap();
    assert_eq!((seen, &file.agents), (1, &vec![(1, shard(1))]));
    let (agent, _script) = Script::start(vec![header("node2")], |events, run, config| {
        events.warm_up(run, config);
        events.batches(run, 100, 20_000_000);
    });
    let handle = FleetHandle::join(vec![Member { agent, device: None }]);
    let mut job = Job::new(file.fleet, file.recorder, file.agents, true);
    let mut measured = Count(0);
    let end = measure(handle, &mut job, std::future::pending(), &mut measured).await.unwrap();
    assert_eq!((end, measured.0), (End::Complete, 2), "two were left");
    let (there, losses, several) = fold_all(&path).unwrap();
    assert!(several && losses.is_empty(), "{losses}");
    assert_eq!(there.names(true), ["node1", "node2"]);
    assert_eq!(there.stations().iter().map(|state| state.runs.len()).collect::<Vec<_>>(), [1, 2]);
    assert!(!there.sweeping());
    // Complete: there is nothing left to do for any host.
    let (again, seen) = opened(&path, &shard(1), "node1", "Some CPU").unwrap();
    assert!(again.recorder.is_none() && seen == 3);
    let (again, _) = opened(&path, &shard(1), "node3", "").unwrap();
    assert!(again.recorder.is_none() && again.agents[0].0 == 2);
}

#[test]
fn the_same_host_goes_on_as_it_was_and_another_shard_is_another_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.1of2.jsonl.zst");
    begun(&path, &shard(0));
    let (file, seen) = opened(&path, &shard(0), "node1", "Some CPU").unwrap();
    assert_eq!((seen, file.agents[0].0, file.fleet.len()), (1, 0, 1));
    drop(file);
    assert!(!Reader::open(&path).unwrap().is_several(), "a file of one station stays one");
    let said = |plan: &Plan, host| opened(&path, plan, host, "Some CPU").unwrap_err().to_string();
    assert!(said(&shard(1), "node1").contains("steps: shard 1 of 2 there, shard 2 of 2 asked for"));
    let all = Plan { shard: None, ..shard(0) };
    assert!(said(&all, "node1").contains("steps: shard 1 of 2 there, all asked for"));
    let whole = directory.path().join("whole.jsonl");
    begun(&whole, &all);
    let said = opened(&whole, &all, "node2", "Some CPU").unwrap_err().to_string();
    assert!(said.contains("host node1 there, node2 asked for"), "what is one host's is not another's: {said}");
    assert_eq!(seed_of([path, whole].into_iter(), &plan(all.configs.clone(), 1, Some(9), 1.0, 0.0)), Some(3));
    let other = plan(all.configs, 2, Some(9), 1.0, 0.0);
    assert_eq!(seed_of(std::iter::once(directory.path().join("whole.jsonl")), &other), None);
}
