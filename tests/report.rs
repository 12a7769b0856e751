//! `wattscope report` as its user meets it.

// Tests may panic: that is how they fail. clippy.toml knows test functions only, not their helpers.
#![allow(clippy::unwrap_used)]

use assert_cmd::Command;
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};
use wattscope::{
    event::{Batches, Body, Config, Event, Header, Phase, PhaseChange, Precision, SCHEMA},
    report::{self, Source},
    session::{
        export::{Format, Table, export},
        replay::{self, Player},
    },
};

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

/// Every session file among the tests.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(recordings(&path)),
            false if path.to_string_lossy().contains(".jsonl") => files.push(path),
            false => {}
        }
    }
    files.sort();
    files
}

fn digest(parts: impl IntoIterator<Item = Vec<u8>>) -> String {
    let mut sha = Sha256::new();
    parts.into_iter().for_each(|part| sha.update(part));
    sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seeking back and forth ends in the same state as folding the whole file.
fn replayed(file: &Path) {
    let (fleet, losses, _) = replay::fold_all(file).unwrap();
    assert!(losses.is_empty(), "{}: {losses}", file.display());
    let (player, losses) = Player::load(file).unwrap();
    assert!(losses.is_empty(), "{}: {losses}", file.display());
    let mut cursor = player.first();
    for part in [2, 1, 0, 3] {
        player.seek(&mut cursor, player.end() / 3 * part);
    }
    player.seek(&mut cursor, player.end());
    assert_eq!(cursor.fleet, fleet, "{}", file.display());
}

fn exported(file: &Path, table: Table) -> String {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("table.csv");
    assert!(export(file, table, Format::Csv, Some(&to)).unwrap().is_empty());
    fs::read_to_string(to).unwrap()
}

/// The report's text, and a digest of its figures.
fn reported(file: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let written = report::report(&Source::open(file).unwrap(), folder.path(), true).unwrap();
    assert!(written.losses.is_empty());
    assert!(fs::read_to_string(written.html).unwrap().contains("</html>"));
    let text = fs::read_to_string(written.markdown).unwrap();
    let version = concat!("wattscope ", env!("CARGO_PKG_VERSION"));
    let mut figures: Vec<_> =
        fs::read_dir(folder.path().join("figures")).unwrap().map(|entry| entry.unwrap().path()).collect();
    figures.sort();
    let count = figures.len();
    let digest = digest(figures.into_iter().map(|figure| fs::read(figure).unwrap()));
    format!("{}\n{count} figures, SHA-256 {digest}\n", text.replace(version, "wattscope VERSION"))
}

/// Recorded by the first edition, which also made the first version of these snapshots: whatever differs since was meant to.
#[test]
fn recordings_of_the_first_edition_open_as_they_did() {
    let files = recordings(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        replayed(&file);
        let name = file.file_name().unwrap().to_string_lossy().split('.').next().unwrap().replace('-', "_");
        for (of, table) in [("runs", Table::Runs), ("layers", Table::Layers), ("samples", Table::Samples)] {
            let mut text = exported(&file, table);
            if table == Table::Samples {
                let lines: Vec<&str> = text.lines().collect();
                let (count, last) = (lines.len(), lines[lines.len() - 1]);
                let digest = digest([text.as_bytes().to_vec()]);
                text = format!("{}\n…\n{last}\n{count} lines, SHA-256 {digest}\n", lines[..30].join("\n"));
            }
            insta::assert_snapshot!(format!("{name}_{of}"), text);
        }
        let text = reported(&file);
        insta::assert_snapshot!(format!("{name}_report"), text);
    }
}
