//! Tables read back by other readers than what wrote them.

use super::*;
use crate::{
    event::*,
    session::{Fleet, Recorder},
    testing::{Events, config, sensor},
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use serde_json::Value;

/// Two runs, one that does not fit, one of them with a comma in its name and a reading that is none.
fn recording() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.jsonl.zst");
    let mut events = Events::default();
    let started = "2026-01-02T03:04:05Z".to_owned();
    events.push(Body::Header(Header { schema: SCHEMA, host: "a \"host\", here".into(), started, ..Header::default() }));
    events.push(Body::Sensors { sensors: vec![sensor(2, "cpu", Quantity::PowerInstant, None)] });
    events.push(Body::Samples { values: vec![(2, 70.0)] });
    events.push(Body::EngineStarted { pid: 7, device: "cpu".into() });
    for (run, batch) in [(1, 1), (2, 8)] {
        events.warm_up(run, &config("alexnet", batch));
        events.idle(1);
        events.batches(run, 100, 10_000_000);
        events.push(Body::Samples { values: vec![(2, 300.0), (2, f64::NAN)] });
    }
    let layer = |kind: &str, macs, bytes, time_ns, within| LayerTime {
        kind: kind.into(),
        output: vec![8, 64, 7, 7],
        macs,
        bytes,
        time_ns,
        within,
        ..LayerTime::default()
    };
    events.push(Body::LayersBegun { run: 2 });
    let precision = Precision::F32;
    events.push(Body::Peak { device: "cpu".into(), precision, flops: 100e9, how: "multiply-adds".into() });
    events.push(Body::Bandwidth { device: "cpu".into(), bytes_per_s: 10e9, how: "a copy".into() });
    events.push(Body::Layers(Layers {
        run: 2,
        config: config("alexnet", 8),
        passes: 5,
        clock: LayerClock::Wall,
        whole_ns: 4_100_000,
        sum_ns: 4_000_000,
        whole_wall_ns: 4_100_000,
        instrumented_wall_ns: 4_200_000,
        layers: vec![
            layer("conv", 75_000_000, 1_000_000, 3_000_000, None),
            layer("relu", 0, 0, 0, Some(0)),
            layer("max pool", 0, 5_000_000, 1_000_000, None),
        ],
    }));
    let (message, config) = ("no memory".to_owned(), config("alexnet", 512));
    events.push(Body::OutOfMemory { run: 3, config, requested_bytes: None, message });
    let mut recorder = Recorder::create(&path, &Fleet::default()).unwrap();
    events.take().iter().for_each(|event| recorder.send(event).unwrap());
    recorder.finish().unwrap();
    (directory, path)
}

fn exported(table: Table, format: Format) -> (tempfile::TempDir, PathBuf) {
    let (directory, path) = recording();
    let to = directory.path().join("table");
    assert!(export(&path, table, format, Some(&to)).unwrap().is_empty());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no part is left");
    (directory, to)
}

#[test]
fn runs_are_a_row_each_whatever_became_of_them() {
    let (_directory, path) = exported(Table::Runs, Format::Json);
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert_eq!(rows.len(), 3);
    let all = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(all("outcome"), ["measured", "measured", "out of memory"]);
    assert_eq!(all("batch_images"), [1, 8, 512]);
    assert_eq!(all("throughput_images_per_s"), [Value::from(100.0), 800.0.into(), Value::Null]);
    assert_eq!(all("power_net_w"), [Value::from(230.0), 230.0.into(), Value::Null]);
    assert_eq!(all("error"), [Value::Null, Value::Null, "no memory".into()]);
    assert_eq!(rows[0]["began"], "2026-01-02T03:04:05.100Z");
    assert!(rows.iter().all(|row| row.as_object().unwrap().len() == runs::COLUMNS.len()));
}

#[test]
fn layers_are_a_row_each_under_their_roof() {
    let (_directory, path) = exported(Table::Layers, Format::Json);
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let all = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(all("kind"), ["conv", "relu", "max pool"]);
    assert_eq!(all("within"), [Value::Null, 1.into(), Value::Null]);
    assert_eq!(all("time_ms"), [Value::from(3.0), Value::Null, 1.0.into()]);
    assert_eq!(all("share_percent"), [Value::from(75.0), Value::Null, 25.0.into()]);
    assert_eq!(all("roof"), [Value::from("compute"), Value::Null, "memory".into()]);
    assert_eq!(all("roof_percent"), [Value::from(50.0), Value::Null, 50.0.into()]);
    assert!(rows.iter().all(|row| row["batch_images"] == 8 && row["clock"] == "wall"));
}

#[test]
fn csv_has_a_cell_a_column_and_its_quotes_in_order() {
    let (_directory, path) = exported(Table::Runs, Format::Csv);
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    assert!(names.iter().eq(runs::COLUMNS.iter().map(|column| column.0)), "no station where there is one");
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| rows[row][names.iter().position(|n| n == name).unwrap()].to_owned();
    assert_eq!((cell(0, "host"), cell(2, "latency_p50_ms")), ("a \"host\", here".to_owned(), String::new()));
    assert_eq!(cell(0, "power_gross_w").parse::<f64>(), Ok(300.0));
}

#[test]
fn parquet_has_types_and_nulls() {
    let (_directory, path) = exported(Table::Samples, Format::Parquet);
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 5);
    let at = |name: &str| samples::COLUMNS.iter().position(|column| column.0 == name).unwrap();
    assert_eq!(rows[0].get_double(at("value")).unwrap(), 70.0);
    assert_eq!(rows[0].get_string(at("quantity")).unwrap(), "power_instant");
    assert_eq!(rows[0].get_string(at("unit")).unwrap(), "W");
    assert!(rows[0].get_long(at("run")).is_err(), "nothing ran then");
    assert!(rows[2].get_double(at("value")).is_err(), "no number, no value");
    assert_eq!(rows[3].get_long(at("batch_images")).unwrap(), 8);
    assert_eq!(rows[3].get_string(at("phase")).unwrap(), "steady");
}

#[test]
fn a_recording_is_not_replaced_by_its_own_table() {
    let (directory, path) = recording();
    let before = fs::read(&path).unwrap();
    let error = export(&path, Table::Runs, Format::Csv, Some(&path)).unwrap_err();
    assert!(error.to_string().contains("the recording itself"), "{error}");
    let error = export(&path, Table::Runs, Format::Csv, Some(&directory.path().join("no/such"))).unwrap_err();
    assert!(error.to_string().contains("no/such can't be written"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn of_a_sweep_every_finished_step_is_a_row_and_an_interrupted_one_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sweep.jsonl");
    let configs = vec![config("alexnet", 1), config("alexnet", 2)];
    let plan = Plan { configs: configs.clone(), repeat: 1, order: vec![0, 1], seconds: 1.0, ..Plan::default() };
    let mut events = Events::default();
    let header = || Body::Header(Header { schema: SCHEMA, ..Header::default() });
    events.push(header());
    events.push(Body::Plan(plan));
    let measure = |events: &mut Events, run: RunId, step: Option<u32>| {
        events.push(Body::EngineStarted { pid: 7, device: "cpu".into() });
        events.warm_up(run, &configs[step.unwrap_or(1) as usize]);
        events.batches(run, 100, 10_000_000);
        if let Some(step) = step {
            events.push(Body::StepDone { step, outcome: Outcome::Measured });
            events.push(Body::Resting { engine_stopped: false });
        }
    };
    measure(&mut events, 1, Some(0));
    measure(&mut events, 2, None);
    events.push(header());
    measure(&mut events, 3, Some(1));
    let mut recorder = Recorder::create(&path, &Fleet::default()).unwrap();
    events.take().iter().for_each(|event| recorder.send(event).unwrap());
    recorder.finish().unwrap();
    let to = directory.path().join("runs.json");
    assert!(export(&path, Table::Runs, Format::Json, Some(&to)).unwrap().is_empty());
    let rows: Vec<Value> = serde_json::from_slice(&fs::read(to).unwrap()).unwrap();
    let runs: Vec<_> = rows.iter().map(|row| (row["run"].as_u64(), row["batch_images"].as_u64())).collect();
    assert_eq!(runs, [(Some(1), Some(1)), (Some(3), Some(2))]);
}
