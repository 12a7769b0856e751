//! Shards cut off anywhere, done twice and joined in any order: every step at most once, and none lost that was there.

use super::*;
use crate::{
    event::{Header, SCHEMA},
    session::replay::fold_all,
    sweep::{plan::plan, shard::Shard},
    testing::{Events, config},
};
use proptest::prelude::*;
use std::fs;

const STEPS: u32 = 12;

fn whole() -> Plan {
    plan((1..=6).map(|batch| config("alexnet", batch)).collect(), 2, Some(7), 1.0, 0.0)
}

/// The stream of a shard on a host that began so many seconds after the first one, `rest` of its steps left out, and its
/// end.
fn stream(shard: Shard, host: &str, after: u64, rest: usize) -> Vec<Event> {
    let plan = Plan { shard: Some((shard.index, shard.count)), ..whole() };
    let mut events = Events::default();
    let started = format!("2026-01-02T03:{:02}:{:02}Z", after / 60, after % 60);
    events.push(Body::Header(Header { schema: SCHEMA, host: host.to_owned(), started, ..Header::default() }));
    events.push(Body::Plan(plan.clone()));
    events.push(Body::EngineStarted { pid: 1, device: "cpu".to_owned() });
    let own: Vec<usize> = (0..plan.steps()).filter(|step| plan.has(*step)).collect();
    for step in &own[..own.len().saturating_sub(rest)] {
        let config = plan.config(*step).unwrap().clone();
        let run = *step as RunId + 1;
        if config.batch == 6 {
            let (reason, step) = ("no memory".to_owned(), *step as u32);
            let outcome = Outcome::Failed { reason, out_of_memory: true, requested_bytes: None };
            events.push(Body::StepDone { step, outcome });
            continue;
        }
        events.warm_up(run, &config);
        events.batches(run, 20, 100_000_000);
        events.push(Body::StepDone { step: *step as u32, outcome: Outcome::Measured });
    }
    events.take()
}

fn write(path: &Path, events: &[Event], cut: usize) {
    let mut text: Vec<u8> =
        events.iter().flat_map(|e| [serde_json::to_vec(e).unwrap(), vec![b'\n']].concat()).collect();
    // The header is always there: a file without one is none.
    let header = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let plan = header + text[header..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    text.truncate(text.len().saturating_sub(cut).max(plan));
    fs::write(path, text).unwrap();
}

/// Steps that are done in a file, each with how often.
fn steps(path: &Path) -> BTreeMap<u32, usize> {
    let mut found = BTreeMap::new();
    for tagged in Reader::open(path).unwrap().flatten() {
        if let Body::StepDone { step, .. } = tagged.event.body {
            *found.entry(step).or_default() += 1;
        }
    }
    found
}

fn all_steps(paths: &[PathBuf]) -> BTreeSet<u32> {
    paths.iter().flat_map(|path| steps(path).into_keys()).collect()
}

/// What a merged file must be.
fn check(merged: &Merged, path: &Path, expected: &BTreeSet<u32>) -> Result<(), TestCaseError> {
    let found = steps(path);
    prop_assert!(found.values().all(|times| *times == 1), "{:?}", found);
    prop_assert_eq!(&found.keys().copied().collect::<BTreeSet<_>>(), expected);
    prop_assert_eq!(merged.measured + merged.failed, expected.len());
    prop_assert_eq!(merged.missing.len(), STEPS as usize - expected.len());
    let (fleet, losses, _) = fold_all(path).unwrap();
    prop_assert!(losses.is_empty(), "{}", losses);
    let runs: usize = fleet.stations().iter().map(|state| state.all_results().len().max(state.runs.len())).sum();
    prop_assert_eq!(runs, merged.measured, "every measured step is a run, and no other is");
    let sweep = fleet.shared_sweep().unwrap();
    prop_assert_eq!((sweep.count(), sweep.is_on()), (expected.len(), expected.len() < sweep.total()));
    let times: Vec<Nanos> = Reader::open(path).unwrap().flatten().map(|tagged| tagged.event.t).collect();
    prop_assert!(times.is_sorted(), "one clock");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_split_with_duplicates_and_cut_off_ends_merges_to_each_step_once(
        count in 1u32..5,
        parts in prop::collection::vec((0u32..5, 0usize..4, 0usize..900, 0u64..300), 1..7),
        reverse in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut files: Vec<PathBuf> = Vec::new();
        for (i, (index, rest, cut, after)) in parts.into_iter().enumerate() {
            let shard = Shard { index: index % count, count };
            let path = directory.path().join(format!("{i}.jsonl"));
            write(&path, &stream(shard, &format!("node{i}"), after, rest), cut);
            files.push(path);
        }
        if reverse {
            files.reverse();
        }
        let expected = all_steps(&files);
        let out = directory.path().join("all.jsonl.zst");
        let merged = merge(&files, &out, false).unwrap();
        check(&merged, &out, &expected)?;
        let claims: usize = files.iter().map(|file| steps(file).len()).sum();
        prop_assert_eq!(merged.duplicates.len(), claims - expected.len());
        // Some first, and the others later, into the same file.
        let (some, others) = files.split_at(files.len() / 2 + 1);
        let gaps = directory.path().join("gaps.jsonl");
        check(&merge(some, &gaps, false).unwrap(), &gaps, &all_steps(some))?;
        let later = merge(&[std::slice::from_ref(&gaps), others].concat(), &gaps, false).unwrap();
        check(&later, &gaps, &expected)?;
    }
}

#[test]
fn every_run_keeps_its_host_and_the_first_measurement_wins() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let [a, b, again] = ["a.jsonl", "b.jsonl", "again.jsonl"].map(path);
    let shard = |index| Shard { index, count: 2 };
    write(&a, &stream(shard(0), "node1", 0, 0), 0);
    write(&b, &stream(shard(1), "node2", 90, 0), 0);
    write(&again, &stream(shard(1), "node3", 4, 3), 0);
    let out = path("out.jsonl");
    let merged = merge(&[a.clone(), b.clone(), again.clone()], &out, false).unwrap();
    assert!(merged.missing.is_empty() && merged.losses.is_empty());
    assert_eq!((merged.stations, merged.steps, merged.measured, merged.failed), (3, 12, 10, 2));
    assert!(merged.duplicates.iter().all(|d| d.kept == b && d.dropped == again), "{:?}", merged.duplicates);
    let said = merged.duplicates[0].to_string();
    assert!(said.contains("alexnet · batch") && said.contains("again.jsonl is left out"), "{said}");
    let (fleet, ..) = fold_all(&out).unwrap();
    let hosts: Vec<_> = fleet.stations().iter().map(|state| state.header.clone().unwrap().host).collect();
    assert_eq!(hosts, ["node1", "node2", "node3"]);
    assert!(fleet[2].runs.is_empty() && fleet[1].now > 90_000_000_000, "its clock began 90 s later");
    let first = fs::read_to_string(&out).unwrap().lines().next().unwrap().to_owned();
    assert!(first.contains("\"schema\":2") && first.contains("\"stations\":3") && first.contains("node1"), "{first}");
    let exists = merge(&[a.clone(), b.clone()], &out, false).unwrap_err().to_string();
    assert!(exists.contains("out.jsonl exists"), "{exists}");
    assert_eq!(merge(&[a, b], &out, true).unwrap().stations, 2);
}

#[test]
fn what_is_no_part_of_the_same_sweep_is_refused_with_the_differences() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let [a, other, alone, none] = ["a.jsonl", "other.jsonl", "alone.jsonl", "none.jsonl"].map(path);
    let shard = Shard { index: 0, count: 2 };
    write(&a, &stream(shard, "node1", 0, 0), 0);
    let with = |path: &Path, change: &dyn Fn(&mut Plan)| {
        let mut events = stream(shard, "node2", 0, 0);
        if let Body::Plan(plan) = &mut events[1].body {
            change(plan);
        }
        write(path, &events, 0);
    };
    let said = |second: &Path| merge(&[a.clone(), second.to_owned()], &path("out"), false).unwrap_err().to_string();
    with(&other, &|plan| (plan.seed, plan.seconds) = (Some(8), 5.0));
    let different = said(&other);
    assert!(different.contains("seconds: 1 here, 5 there; order of seed 7 here, of seed 8 there"), "{different}");
    with(&other, &|plan| plan.order.reverse());
    assert!(said(&other).contains("another order of the same"));
    with(&other, &|plan| plan.configs.iter_mut().for_each(|config| config.device = "cuda:0".into()));
    merge(&[a.clone(), other.clone()], &path("fine"), false).unwrap();
    let mut folded = stream(shard, "node2", 0, 0);
    if let Body::Header(header) = &mut folded[0].body {
        header.folded = true;
    }
    write(&other, &folded, 0);
    assert!(said(&other).contains("batch norms not folded here, folded there"));
    with(&alone, &|plan| plan.shard = None);
    assert!(said(&alone).contains("holds a whole sweep"));
    write(&none, &[stream(shard, "node3", 0, 0)[0].clone(), Event { t: 1, body: Body::Reset }], 0);
    assert!(said(&none).contains("without a sweep"));
    assert!(!path("out").exists() && !path("out.part").exists());
}
