//! A session as a user has it: recorded while it is measured, killed, replayed in a real terminal, exported.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "support/terminal.rs"]
#[allow(dead_code)] // other tests use what these do not
mod support;

use assert_cmd::Command;
use std::{path::Path, time::Duration};
use support::{Terminal, engines};
use wattscope::session::{read::Damage, replay};

fn wattscope(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wattscope"));
    command.args(args).current_dir(home).env("XDG_STATE_HOME", home).timeout(Duration::from_secs(120));
    command
}

/// Seconds on the clock at the right end of the header.
fn clock(screen: &str) -> Option<u64> {
    let header = screen.lines().next()?;
    let clock = header.split_whitespace().rev().find(|word| word.contains(':') && !word.contains("cuda"))?;
    let (minutes, seconds) = clock.split_once(':')?;
    Some(minutes.parse::<u64>().ok()? * 60 + seconds.parse::<u64>().ok()?)
}

#[test]
fn what_was_recorded_survives_a_kill_and_is_replayed() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("s.jsonl.zst");
    let path = file.to_str().unwrap();
    let args = ["--device", "cpu", "--network", "squeezenet1.1", "--record", path];
    let terminal = Terminal::start(&args, 36, 120);
    terminal.wait_for("steady and recorded", 30.0, |s| s.contains("STEADY") && s.contains("REC 00:"));
    let screen = terminal.wait_for("seconds of it", 30.0, |s| clock(s).is_some_and(|t| t >= 5));
    let engine = engines(terminal.pid());
    assert_eq!(unsafe { libc::kill(terminal.pid(), libc::SIGKILL) }, 0);
    let shown = clock(&screen).unwrap();
    let (state, losses) = replay::fold(&file).unwrap();
    assert!(matches!(losses.end, Some(Damage::Truncated { .. })), "{losses}");
    let kept = state.now as f64 / 1e9;
    assert!(kept > shown as f64 - 1.0, "{kept} s are there, {shown} s were on the screen");
    assert!(state.run.is_some_and(|run| run.steady.batches > 0));
    drop(terminal);
    engine.iter().for_each(|pid| _ = unsafe { libc::kill(*pid, libc::SIGKILL) });

    let mut terminal = Terminal::start(&["replay", path, "--speed", "8"], 36, 120);
    let screen = terminal.wait_for("the end", 10.0, |s| s.contains('■') && s.contains("STEADY"));
    assert!(screen.contains("SqueezeNet"), "{screen}");
    terminal.press("\x1b[H");
    terminal.wait_for("the beginning", 5.0, |s| clock(s).is_some() && s.contains("‖ 00:00 /"));
    terminal.press("\x1b[C");
    terminal.wait_for("no knobs", 5.0, |s| s.contains("this is a recording"));
    terminal.press("q");
    assert_eq!(terminal.wait_exit(3.0).exit_code(), 0);

    let output = wattscope(home.path(), &["export", path, "--format", "csv"]).output().unwrap();
    let (table, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && table.lines().count() == 2 && table.contains("squeezenet1.1"), "{table}");
    assert!(said.contains("the file ends in the middle of line"), "{said}");
}

#[test]
fn a_run_is_recorded_to_a_new_file_and_never_over_an_old_one() {
    let home = tempfile::tempdir().unwrap();
    let run =
        ["run", "--network", "squeezenet1.1", "--device", "cpu", "--seconds", "1", "--json", "--record", "s.jsonl"];
    let output = wattscope(home.path(), &run).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = home.path().join("s.jsonl");
    let (state, losses) = replay::fold(&file).unwrap();
    assert!(losses.is_empty(), "{losses}");
    let replayed = state.all_results().pop().unwrap();
    assert!(replayed.batches >= record["batches"].as_u64().unwrap());

    let before = std::fs::read(&file).unwrap();
    let refused = wattscope(home.path(), &run).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("s.jsonl exists: choose another name"));
    assert_eq!(std::fs::read(&file).unwrap(), before);

    std::fs::write(home.path().join("no.jsonl"), "hello\n").unwrap();
    let refused = wattscope(home.path(), &["export", "no.jsonl"]).env("RUST_BACKTRACE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(said, "error: no.jsonl is no recording of wattscope: its first line is no header\n");

    let out = wattscope(home.path(), &["export", "s.jsonl", "-t", "samples", "-o", "s.parquet"]).output().unwrap();
    assert!(
        out.status.success() && std::fs::read(home.path().join("s.parquet")).unwrap().starts_with(b"PAR1"),
        "{out:?}"
    );
}

#[test]
fn a_recording_is_begun_and_ended_by_a_key_and_the_unnamed_one_is_always_there() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start_in(home.path(), &["--device", "cpu", "--network", "squeezenet1.1"], 36, 120);
    terminal.wait_for("steady", 30.0, |s| s.contains("STEADY"));
    terminal.press("R");
    terminal.wait_for("recording", 5.0, |s| s.contains("● REC 00:0") && s.contains("recording to wattscope-"));
    terminal.wait_for("a second of it", 10.0, |s| s.contains("● REC 00:02"));
    terminal.press("R");
    terminal.wait_for("the file's name", 5.0, |s| s.contains("recorded wattscope-") && !s.contains("REC"));
    terminal.press("q");
    assert_eq!(terminal.wait_exit(5.0).exit_code(), 0);
    let files = |directory: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path());
        entries.filter(|path| path.to_string_lossy().ends_with(".jsonl.zst")).collect()
    };
    let named = files(home.path());
    let unnamed = files(&home.path().join("wattscope/sessions"));
    assert_eq!((named.len(), unnamed.len()), (1, 1));
    let fold = |path: &Path| replay::fold(path).unwrap();
    let ((late, lost), (all, nothing)) = (fold(&named[0]), fold(&unnamed[0]));
    assert!(lost.is_empty() && nothing.is_empty(), "{lost} {nothing}");
    assert!(late.now >= 2_000_000_000 && late.now < all.now);
    assert!(late.networks.contains_key("squeezenet1.1") && late.run.is_some_and(|run| run.steady.batches > 0));
}
