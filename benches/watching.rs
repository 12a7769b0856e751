//! What watching costs: throughput with the live screen against `wattscope run`, the first frame, and bytes to the
//! terminal. `cargo bench` prints ratios of interleaved rounds on this machine; nothing here is a test.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test fails by panicking

#[path = "../tests/support/terminal.rs"]
#[allow(dead_code)] // the tests use what the benchmark does not
mod support;

use std::{
    process::Command,
    time::{Duration, Instant},
};
use support::Terminal;
use wattscope::event::{Body, Event};

const ROUNDS: usize = 3;
const SECONDS: u64 = 8;
const NETWORKS: [(&str, &str); 2] = [("alexnet-owt", "1"), ("resnet50", "4")];

fn main() {
    println!("first frame: {:.1} ms (median of 9)", median((0..9).map(|_| first_frame()).collect()));
    for (network, batch) in NETWORKS {
        let mut ratios = Vec::new();
        let mut bytes = Vec::new();
        for round in 1..=ROUNDS {
            // The order alternates, so that a machine that warms up favours neither.
            let (with, without) = if round % 2 == 0 {
                let without = by_run(network, batch);
                (live(network, batch), without)
            } else {
                let with = live(network, batch);
                (with, by_run(network, batch))
            };
            println!("  {network} batch {batch}, round {round}: live {:.2} images/s, run {without:.2}", with.0);
            ratios.push(with.0 / without);
            bytes.push(with.1);
        }
        println!(
            "{network} batch {batch}: live / run = {:.3} (median of {ROUNDS}), {:.1} kB/s to a terminal of 150×34",
            median(ratios),
            median(bytes) / 1e3
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds from the start of the process to its first output.
fn first_frame() -> f64 {
    let started = Instant::now();
    let terminal = Terminal::start(&["--device", "cpu"], 34, 150);
    terminal.wait_for("a frame", 5.0, |screen| screen.contains("wattscope"));
    terminal.first_output().map_or(f64::NAN, |first| (first - started).as_secs_f64() * 1e3)
}

/// Images/s and bytes/s to the terminal of a live screen, by its recording.
fn live(network: &str, batch: &str) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("live.jsonl");
    let args = ["--device", "cpu", "--network", network, "--batch", batch, "--record", file.to_str().unwrap()];
    let mut terminal = Terminal::start(&args, 34, 150);
    terminal.wait_for("steady", 60.0, |screen| screen.contains("STEADY"));
    let (bytes, from) = (terminal.bytes(), Instant::now());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let bytes = (terminal.bytes() - bytes) as f64 / from.elapsed().as_secs_f64();
    terminal.press("q");
    terminal.wait_exit(10.0);
    (images_per_s(&file, batch), bytes)
}

fn by_run(network: &str, batch: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let status = Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args(["run", "--device", "cpu", "--network", network, "--batch", batch, "--json"])
        .args(["--seconds", &SECONDS.to_string(), "--record"])
        .arg(&file)
        .output()
        .expect("wattscope runs")
        .status;
    assert!(status.success());
    images_per_s(&file, batch)
}

/// Images/s of the steady batches in a recording, whatever lies between them included.
fn images_per_s(file: &std::path::Path, batch: &str) -> f64 {
    let text = std::fs::read_to_string(file).expect("a recording");
    let mut reports = text.lines().filter_map(|line| match Event::parse(line.as_bytes()) {
        Ok(Event { t, body: Body::Batches(batches) }) if batches.steady => Some((t, batches.wall_ns.len())),
        _ => None,
    });
    let (from, _) = reports.next().expect("a steady batch");
    let (until, batches) = reports.fold((from, 0), |(_, sum), (t, n)| (t, sum + n));
    batches as f64 * batch.parse::<f64>().unwrap() / ((until - from) as f64 / 1e9)
}
