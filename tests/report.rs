//! `wattscope report` as its user meets it.

// Tests may panic: that is how they fail. clippy.toml knows test functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use std::{fs, path::Path};
use wattscope::event::{Batches, Body, Config, Event, Header, Phase, PhaseChange, Precision, SCHEMA};

/// A recording of one run.
fn record(path: &Path) {
    let config = Config { network: "vgg16".into(), batch: 4, precision: Precision::F32, device: "cpu".into() };
    let phase = |phase| Body::Phase(PhaseChange { run: 1, config: config.clone(), phase, warm_up: None });
    let batches =
        Batches { run: 1, steady: true, span_ns: 800_000_000, wall_ns: vec![100_000_000; 8], device_ns: vec![] };
    let bodies = [
        Body::Header(Header { schema: SCHEMA, host: "bench <b>".into(), ..Header::default() }),
        phase(Phase::WarmingUp),
        phase(Phase::Steady),
        Body::Batches(batches),
    ];
    let line =
        |(i, body): (usize, Body)| serde_json::to_string(&Event { t: i as u64 * 1_000_000_000, body }).unwrap() + "\n";
    fs::write(path, bodies.into_iter().enumerate().map(line).collect::<String>()).unwrap();
}

fn report(files: &[&Path], dir: &Path) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_wattscope")).arg("report").args(files).arg("-o").arg(dir).assert()
}

#[test]
fn recordings_become_a_page_and_mistakes_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (file, out) = (dir.path().join("a.jsonl"), dir.path().join("out"));
    record(&file);
    let said = report(&[&file], &out).success().get_output().stdout.clone();
    assert!(String::from_utf8(said).unwrap().contains("report.html"));
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("bench &lt;b&gt;") && !page.contains("<b>"));
    let text = fs::read_to_string(out.join("report.md")).unwrap();
    assert!(text.contains("| vgg16 | 4 | 100 |"), "{text}");
    assert!(fs::read_to_string(out.join("figures/figure-03.svg")).unwrap().contains("vgg16"));

    let error =
        |assert: assert_cmd::assert::Assert| String::from_utf8(assert.failure().get_output().stderr.clone()).unwrap();
    assert!(error(report(&[&file], dir.path())).contains("holds other files"));
    fs::write(dir.path().join("b.jsonl"), "no session\n").unwrap();
    assert!(error(report(&[&dir.path().join("b.jsonl")], &out)).contains("is no recording"));
    assert!(error(report(&[&dir.path().join("missing")], &out)).contains("can't be read"));
}
