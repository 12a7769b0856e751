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

/// Images/s by the batches that the status line counts, and bytes/s to the terminal.
fn live(network: &str, batch: &str) -> (f64, f64) {
    let terminal = Terminal::start(&["--device", "cpu", "--network", network, "--batch", batch], 34, 150);
    terminal.wait_for("steady", 60.0, |screen| batches(screen).is_some());
    let count = |after: u64| {
        let before = batches(&terminal.screen()).unwrap_or(0);
        let wait = Duration::from_secs(after);
        std::thread::sleep(wait);
        // The moment at which the count moves is the moment that it speaks of.
        let screen = terminal.wait_for("a count", 30.0, |s| batches(s).is_some_and(|n| n > before));
        (batches(&screen).unwrap_or(0), terminal.bytes(), Instant::now())
    };
    let from = count(0);
    let to = count(SECONDS);
    let seconds = (to.2 - from.2).as_secs_f64();
    let images = (to.0 - from.0) as f64 * batch.parse::<f64>().unwrap_or(1.0);
    (images / seconds, (to.1 - from.1) as f64 / seconds)
}

fn batches(screen: &str) -> Option<u64> {
    let line = screen.lines().find(|line| line.contains("STEADY"))?;
    line.split(" batches").next()?.rsplit(' ').next()?.replace(',', "").parse().ok()
}

fn by_run(network: &str, batch: &str) -> f64 {
    let output = Command::new(env!("CARGO_BIN_EXE_wattscope"))
        .args(["run", "--device", "cpu", "--network", network, "--batch", batch])
        .args(["--seconds", &SECONDS.to_string(), "--json"])
        .output()
        .expect("wattscope runs");
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    record["images_per_s"].as_f64().expect("a throughput")
}
