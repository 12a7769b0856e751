//! A sweep into a file, interrupted and gone on with: nothing is lost, and nothing counts twice.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};
use wattscope::{
    event::{Body, Event},
    session::{Reader, State},
};

fn sweep(directory: &Path, file: &str, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
    let line =
        "sweep --networks squeezenet1.1 --batches 1,2 --device cpu --seconds 0.3 --repeat 2 --cooldown 0.1s --json";
    command.args(line.split(' ')).args(more.split_whitespace()).arg("-o").arg(file);
    command.current_dir(directory).env("XDG_STATE_HOME", directory);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn events(path: &Path) -> Vec<Event> {
    Reader::open(path).unwrap().flatten().map(|tagged| tagged.event).collect()
}

/// Runs a sweep until it has printed `lines` results, and sends it a signal.
fn interrupt(mut command: Command, lines: usize, signal: i32) -> Option<i32> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(out.lines().take(lines).count(), lines);
    // SAFETY: a signal to a child that has not been waited for, so its id is still its own.
    unsafe { libc::kill(child.id() as i32, signal) };
    child.wait().unwrap().code()
}

/// What a complete file must be: every step done once, every run kept once, and time never running backwards.
fn check(path: &Path) {
    let events = events(path);
    // Sensors and engine stamp what they say by themselves: it may arrive a little out of order.
    assert!(events.windows(2).all(|pair| pair[0].t <= pair[1].t + 500_000_000), "one clock");
    assert_eq!(events.iter().filter(|e| matches!(e.body, Body::Plan(_))).count(), 1);
    let done: Vec<u32> = events
        .iter()
        .filter_map(|e| if let Body::StepDone { step, .. } = e.body { Some(step) } else { None })
        .collect();
    assert_eq!((done.len(), done.iter().collect::<BTreeSet<_>>().len()), (4, 4), "{done:?}");
    let mut state = State::default();
    events.iter().for_each(|event| state.apply(event));
    let runs: BTreeSet<_> = state.runs.iter().map(|run| (run.result.config.batch, run.repeat)).collect();
    assert_eq!((runs.len(), state.runs.len()), (4, 4), "{runs:?}");
    assert!(!state.sweeping() && state.run.is_none());
    let numbers: BTreeSet<_> = state.runs.iter().map(|run| run.result.run).collect();
    assert_eq!(numbers.len(), 4, "a session numbers its runs once");
}

#[test]
fn an_interrupted_sweep_goes_on_where_it_was() {
    for (file, signal, code) in [("killed.jsonl", libc::SIGKILL, None), ("asked.jsonl.zst", libc::SIGINT, Some(130))] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(file);
        assert_eq!(interrupt(sweep(directory.path(), file, ""), 2, signal), code);
        let before = events(&path).len();
        let Output { status, stdout, stderr } = sweep(directory.path(), file, "").output().unwrap();
        let stderr = text(&stderr);
        assert!(status.success(), "{stderr}");
        assert!(stderr.contains("of 4 steps are done"), "{stderr}");
        assert!((2..4).contains(&text(&stdout).lines().count()), "only what was missing: {stderr}");
        assert!(events(&path).len() > before, "nothing that was there is lost");
        check(&path);
        let again = sweep(directory.path(), file, "").output().unwrap();
        assert!(again.status.success() && again.stdout.is_empty());
        assert!(text(&again.stderr).contains("all 4 steps are done already"), "{}", text(&again.stderr));
    }
}

#[test]
fn another_sweep_is_not_mixed_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.jsonl");
    assert_eq!(interrupt(sweep(directory.path(), "x.jsonl", ""), 1, libc::SIGINT), Some(130));
    let held = std::fs::read(&path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
    let line = "sweep --networks squeezenet1.1 --batches 1..4 --device cpu --seconds 0.3 --repeat 1 -o x.jsonl";
    let output = command.args(line.split(' ')).current_dir(directory.path()).output().unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for said in ["batch sizes 1,2 there, 1,2,4 asked for", "rounds: 2 there, 1 asked for", "--force"] {
        assert!(stderr.contains(said), "{stderr}");
    }
    std::fs::write(directory.path().join("notes.txt"), "mine").unwrap();
    let output = sweep(directory.path(), "notes.txt", "").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(directory.path().join("notes.txt")).unwrap(), b"mine");
    assert_eq!(std::fs::read(&path).unwrap(), held);
}
