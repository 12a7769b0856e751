//! A sweep in parts and joined, as a user does it; two devices where there is one.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output},
};
use wattscope::{
    event::Body,
    session::{Reader, replay},
};

fn wattscope(directory: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
    command.args(line.split_whitespace()).current_dir(directory).env("XDG_STATE_HOME", directory);
    for scheduler in ["SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "JOB_COMPLETION_INDEX"] {
        command.env_remove(scheduler);
    }
    command
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

const SWEEP: &str = "sweep --networks squeezenet1.1 --batches 1,2 --device cpu --seconds 0.2 --repeat 2 --cooldown 0s";

#[test]
fn shards_are_parts_of_one_plan_and_join_into_every_step_once() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let none = wattscope(home, &format!("{SWEEP} --shard auto -o x.jsonl")).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(said(&none).contains("no scheduler says which shard this is"), "{}", said(&none));
    // The first by a scheduler, the second by hand, later and outside of its job: the plan is that of the first.
    let mut first = wattscope(home, &format!("{SWEEP} --shard auto -o x.jsonl"));
    let first = first.envs([("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_JOB_ID", "77")]).output().unwrap();
    assert!(first.status.success(), "{}", said(&first));
    assert!(
        said(&first).contains("shard 1 of 2, 2 of 4 steps") && said(&first).contains("seed 77"),
        "{}",
        said(&first)
    );
    let gaps = wattscope(home, "merge x.1of2.jsonl -o x.jsonl").output().unwrap();
    assert_eq!(gaps.status.code(), Some(1));
    assert_eq!(said(&gaps).matches("missing: step").count(), 2, "{}", said(&gaps));
    let second = wattscope(home, &format!("{SWEEP} --shard 2/2 -o x.jsonl")).output().unwrap();
    assert!(second.status.success() && said(&second).contains("seed 77"), "{}", said(&second));
    let merged = wattscope(home, "merge x.jsonl x.2of2.jsonl -o x.jsonl").output().unwrap();
    assert!(merged.status.success(), "{}", said(&merged));
    let text = String::from_utf8(merged.stdout).unwrap();
    assert!(text.contains("x.jsonl: 4 of 4 steps measured on 2 stations"), "{text}");
    let mut steps = BTreeMap::<u32, usize>::new();
    for tagged in Reader::open(&home.join("x.jsonl")).unwrap().flatten() {
        if let Body::StepDone { step, .. } = tagged.event.body {
            *steps.entry(step).or_default() += 1;
        }
    }
    assert!(steps.keys().copied().eq(0..4) && steps.values().all(|n| *n == 1), "{steps:?}");
    let (fleet, losses, several) = replay::fold_all(&home.join("x.jsonl")).unwrap();
    assert!(several && losses.is_empty() && fleet.stations().iter().all(|state| state.runs.len() == 2));

    let table = wattscope(home, "export x.jsonl --format csv").output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("station,run,") && table.lines().count() == 5, "{table}");
    assert!(wattscope(home, "report x.jsonl -o report").output().unwrap().status.success());
    let report = std::fs::read_to_string(home.join("report/report.md")).unwrap();
    assert!(report.contains("4 runs in 2 configurations of 1 network"), "both shards are one device's: {report}");
}

#[test]
fn several_hosts_are_measured_side_by_side_and_a_sweep_is_distributed_over_them() {
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    let ends = format!("--on env --on env --far {} --device cpu", env!("CARGO_BIN_EXE_wattscope"));
    let run = format!("run --network squeezenet1.1 --seconds 0.3 --json --record run.jsonl {ends}");
    let run = wattscope(home, &run).output().unwrap();
    assert!(run.status.success(), "{}", said(&run));
    let rows = String::from_utf8(run.stdout).unwrap();
    assert_eq!(rows.matches("\"network\":\"squeezenet1.1\"").count(), 2, "{rows}");
    let (fleet, losses, several) = replay::fold_all(&home.join("run.jsonl")).unwrap();
    assert!(several && losses.is_empty() && fleet.len() == 2, "{losses}");
    assert!(fleet.stations().iter().all(|state| state.all_results().len() == 1 && state.link.is_some()));

    let sweep = format!("{SWEEP} -o x.jsonl.zst").replace("--device cpu", &ends);
    let output = wattscope(home, &sweep).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("distributed over 2 stations") && said(&output).contains("[4/4] "),
        "{}",
        said(&output)
    );
    let (fleet, losses, _) = replay::fold_all(&home.join("x.jsonl.zst")).unwrap();
    assert!(losses.is_empty() && !fleet.sweeping(), "{losses}");
    let runs: Vec<usize> = fleet.stations().iter().map(|state| state.runs.len()).collect();
    assert!(runs.len() == 2 && runs.iter().sum::<usize>() == 4 && runs.iter().all(|n| *n > 0), "{runs:?}");
    let again = wattscope(home, &sweep).output().unwrap();
    assert!(again.status.success() && said(&again).contains("all 4 steps are done already"), "{}", said(&again));
}

#[test]
fn one_device_is_not_two() {
    let directory = tempfile::tempdir().unwrap();
    for line in [
        "run --network alexnet --device cpu,cpu",
        "sweep --device cpu,cpu -o x.jsonl",
        "run --network alexnet --device auto,cpu",
    ] {
        let refused = wattscope(directory.path(), line).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{line}");
        let said = said(&refused);
        assert!(said.contains("cpu is named twice") || said.contains("auto stands for one device"), "{said}");
    }
    assert!(!directory.path().join("x.jsonl").exists());
}
