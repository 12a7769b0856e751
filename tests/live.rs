//! The live screen as a user has it: the program in a real pseudo-terminal, on the CPU, with keys pressed.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "support/terminal.rs"]
#[allow(dead_code)] // the benchmark uses what the tests do not, and the other way round
mod support;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use support::{Terminal, alive, engines};

/// One terminal at a time: an engine uses every core.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const RIGHT: &str = "\x1b[C";
const DOWN: &str = "\x1b[B";
const LEFT: &str = "\x1b[D";

/// Counted batches on the status line.
fn batches(screen: &str) -> Option<u64> {
    let line = screen.lines().find(|line| line.contains("STEADY"))?;
    let before = line.split(" batches").next()?;
    before.rsplit(' ').next()?.replace(',', "").parse().ok()
}

fn steady(screen: &str, header: &[&str]) -> bool {
    let first = screen.lines().next().unwrap_or_default();
    header.iter().all(|part| first.contains(part)) && batches(screen).is_some_and(|n| n > 0)
}

fn gone(pids: &[i32], seconds: f64) {
    let deadline = Instant::now() + Duration::from_secs_f64(seconds);
    while pids.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "an engine is still there after {seconds} s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_first_run_is_steady_and_the_keys_turn_the_knobs() {
    let _alone = alone();
    let mut terminal = Terminal::start(&["--device", "cpu"], 36, 120);
    terminal.wait_for("alexnet-owt steady at batch 1", 15.0, |s| steady(s, &["AlexNet-OWT", "batch 1 ", "f32", "cpu"]));
    let counted = batches(&terminal.screen());
    terminal.wait_for("more batches", 5.0, |s| batches(s) > counted);
    terminal.press(RIGHT);
    terminal.wait_for("batch 2 steady", 20.0, |s| steady(s, &["AlexNet-OWT", "batch 2 "]));
    terminal.press(DOWN);
    terminal
        .wait_for("another network", 20.0, |s| steady(s, &["batch 2 "]) && !s.lines().next().unwrap().contains("OWT"));
    for (key, screen) in [("2", "ENERGY ["), ("3", "MobileNet"), ("4", "power"), ("5", "conv"), ("1", "BATCH")] {
        terminal.press(key);
        terminal.wait_for(screen, 3.0, |s| s.to_lowercase().contains(&screen.to_lowercase()));
    }
    terminal.press("5");
    terminal.wait_for("the layers' times", 20.0, |s| s.contains("ROOFLINE") && s.contains("in #1"));
    let engine = engines(terminal.pid());
    assert!(!engine.is_empty());
    terminal.press("q");
    assert_eq!(terminal.wait_exit(3.0).exit_code(), 0);
    gone(&engine, 2.0);
}

#[test]
fn a_killed_engine_is_reported_and_replaced() {
    let _alone = alone();
    let terminal = Terminal::start(&["--device", "cpu", "--network", "squeezenet1.1"], 36, 120);
    terminal.wait_for("steady", 15.0, |s| steady(s, &["SqueezeNet"]));
    let first = engines(terminal.pid());
    first.iter().for_each(|pid| assert_eq!(unsafe { libc::kill(*pid, libc::SIGKILL) }, 0));
    terminal.wait_for("the reason", 5.0, |s| s.contains("SIGKILL"));
    terminal.wait_for("steady again", 20.0, |s| steady(s, &["SqueezeNet"]));
    assert_ne!(engines(terminal.pid()), first);
}

#[test]
fn out_of_memory_is_shown_on_its_batch_and_the_last_good_one_goes_on() {
    let _alone = alone();
    let args = ["--device", "cpu", "--network", "squeezenet1.1", "--memory-limit", "400MiB"];
    let mut terminal = Terminal::start(&args, 36, 120);
    terminal.wait_for("steady", 15.0, |s| steady(s, &["SqueezeNet"]));
    terminal.press("b512\r");
    terminal.wait_for("OOM on the rail", 15.0, |s| s.contains("OOM"));
    let screen = terminal.wait_for("batch 1 again", 20.0, |s| steady(s, &["SqueezeNet", "batch 1 "]));
    assert!(screen.contains("512 OOM"), "{screen}");
}

#[test]
fn whatever_ends_the_program_ends_the_engine_too() {
    let _alone = alone();
    let ends: [(&str, i32, Option<u32>); 4] = [
        ("SIGTERM", libc::SIGTERM, Some(143)),
        ("SIGHUP", libc::SIGHUP, Some(129)),
        ("SIGQUIT", libc::SIGQUIT, Some(131)),
        ("SIGINT", libc::SIGINT, Some(130)),
    ];
    for (name, signal, code) in ends {
        let mut terminal = Terminal::start(&["--device", "cpu", "--network", "squeezenet1.1"], 24, 80);
        terminal.wait_for("an engine", 15.0, |s| s.contains("STEADY") || s.contains("WARMING"));
        let engine = engines(terminal.pid());
        unsafe { libc::kill(terminal.pid(), signal) };
        let status = terminal.wait_exit(3.0);
        assert_eq!(Some(status.exit_code()), code, "{name}");
        gone(&engine, 2.0);
    }
    let mut terminal = Terminal::start(&["--device", "cpu", "--network", "squeezenet1.1"], 24, 80);
    terminal.wait_for("an engine", 15.0, |s| s.contains("STEADY") || s.contains("WARMING"));
    let engine = engines(terminal.pid());
    terminal.vanish();
    terminal.wait_exit(5.0);
    gone(&engine, 2.0);
}

#[test]
fn no_size_is_refused() {
    let _alone = alone();
    let mut terminal = Terminal::start(&["--device", "cpu", "--network", "squeezenet1.1"], 1, 1);
    for (rows, cols) in [(2, 9), (5, 200), (60, 12), (36, 120)] {
        terminal.resize(rows, cols);
    }
    terminal.wait_for("steady", 20.0, |s| steady(s, &["SqueezeNet"]));
    terminal.press("\x03");
    assert_eq!(terminal.wait_exit(3.0).exit_code(), 130, "Ctrl-C");
}

#[test]
fn without_a_terminal_it_points_to_run() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_wattscope")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("wattscope run"));
}

#[test]
fn a_sweep_measures_and_comes_back_to_where_it_began() {
    let _alone = alone();
    let args = ["--device", "cpu", "--network", "squeezenet1.1", "--batch", "2"];
    let mut terminal = Terminal::start(&args, 36, 120);
    terminal.wait_for("steady", 20.0, |s| steady(s, &["SqueezeNet", "batch 2 "]));
    terminal.press("w");
    terminal.wait_for("the question", 3.0, |s| s.contains("SWEEP") && s.contains("measurements"));
    terminal.press(DOWN);
    (0..6).for_each(|_| terminal.press(LEFT));
    terminal.wait_for("one batch size", 3.0, |s| s.contains("1 measurement,"));
    terminal.press("\r");
    terminal.wait_for("its progress", 10.0, |s| s.contains("0/1") && s.contains("esc stops it"));
    terminal.press(RIGHT);
    terminal.wait_for("the hint that knobs are locked", 3.0, |s| s.contains("a sweep is running"));
    terminal.wait_for("its end", 60.0, |s| s.contains("sweep done: 1 measured"));
    terminal.wait_for("what was before", 30.0, |s| steady(s, &["SqueezeNet", "batch 2 "]));
    terminal.press("q");
    assert_eq!(terminal.wait_exit(3.0).exit_code(), 0);
}
