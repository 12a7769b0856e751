//! Every object against the schema, and the table against a snapshot.

use super::*;
use crate::{
    event::{
        self, Body, Card, Config, DeviceInfo, Header, Memory, Neighbour, NetworkFacts, Phase, PhaseChange, Precision,
        Quantity, StationId,
    },
    session::{Fleet, measured::Measured},
    sweep::{End, Job, Observer, measure, plan::plan},
    testing::{Events, Script, config, sensor},
};
use std::io;

const GPU: &str = "cuda:0";

fn header() -> Body {
    Body::Header(Header {
        schema: crate::event::SCHEMA,
        version: "0.1.0".to_owned(),
        burn: "0.22.1".to_owned(),
        started: "2026-11-22T21:50:00Z".to_owned(),
        host: "bench".to_owned(),
        os: "Linux 6.12".to_owned(),
        cpu: "a processor".to_owned(),
        ..Header::default()
    })
}

fn device(name: &str, title: &str) -> DeviceInfo {
    DeviceInfo {
        name: name.to_owned(),
        title: title.to_owned(),
        precisions: vec![Precision::F32],
        memory_bytes: Some(80 << 30),
        ..DeviceInfo::default()
    }
}

/// A host with one card, every sensor of which answers.
fn gpu_host() -> Vec<Body> {
    use Quantity::{ComputeClock, Energy, MemoryUsed, PowerInstant, Temperature, Utilisation};
    let sensors = [PowerInstant, Utilisation, ComputeClock, Temperature, MemoryUsed, Energy].into_iter().enumerate();
    let card = Card {
        device: GPU.to_owned(),
        driver: Some("580.65".to_owned()),
        cuda: Some("13.0".to_owned()),
        clock_policy: Some("floating".to_owned()),
        power_cap_w: Some(700.0),
        ..Card::default()
    };
    let facts = NetworkFacts { id: "resnet18".to_owned(), macs: 1_814_073_344, ..NetworkFacts::default() };
    let neighbour = Neighbour { pid: 7, name: "python".to_owned(), memory_bytes: None };
    vec![
        header(),
        Body::Devices { devices: vec![device("cpu", "a processor"), device(GPU, "NVIDIA H100")] },
        Body::Sensors { sensors: sensors.map(|(i, q)| sensor(i as u16, GPU, q, None)).collect() },
        Body::Samples { values: vec![(0, 70.0)] },
        Body::Card(card),
        Body::Network(facts),
        Body::Neighbours { device: GPU.to_owned(), processes: vec![neighbour] },
        Body::Peak { device: GPU.to_owned(), precision: Precision::F32, flops: 50e12, how: "a product".to_owned() },
        Body::EngineStarted { pid: 1, device: GPU.to_owned() },
    ]
}

/// A host with a processor only.
fn cpu_host() -> Vec<Body> {
    let absent = sensor(9, "cpu", Quantity::PowerInstant, Some("/sys/class/powercap: permission denied"));
    // By what `answer` reads: 96 % of all processors, of which the engine takes 61.
    let busy = [(1, Quantity::Utilisation), (3, Quantity::EngineUtilisation)].map(|(id, q)| sensor(id, "cpu", q, None));
    vec![
        header(),
        Body::Devices { devices: vec![device("cpu", "a processor")] },
        Body::Sensors { sensors: [vec![absent], busy.into()].concat() },
        Body::EngineStarted { pid: 1, device: "cpu".to_owned() },
    ]
}

/// Batches of 5 ms for seven seconds, sampled every 100 ms; batch 64 is too much.
fn answer(events: &mut Events, run: u64, config: &Config) {
    if config.batch == 64 {
        let message = "9.3 GiB asked for".to_owned();
        return events.push(Body::OutOfMemory { run, config: config.clone(), requested_bytes: Some(9 << 30), message });
    }
    events.warm_up(run, config);
    if config.device == GPU {
        let used = config.batch == 1;
        let why = if used { "exact, 1.84 times as fast" } else { "not faster: 9.20 ms, eager 9.20 ms" }.to_owned();
        let (eager_ns, replay_ns) = (Some(9_200_000), Some(if used { 5_000_000 } else { 9_200_000 }));
        events.push(Body::Graph(event::Graph { run, used, why, eager_ns, replay_ns }));
    }
    events.push(Body::Memory(Memory { run, in_use: Some(512 << 20), reserved: Some(1 << 30), resident: None }));
    for tick in 0..70 {
        events.batches(run, 20, 5_000_000);
        let energy = 300.0 * 0.1 * f64::from(tick);
        let values = [300.0 + f64::from(tick % 5), 96.0, 1980.0, 61.0, 5e9, energy];
        events.push(Body::Samples { values: values.into_iter().enumerate().map(|(i, v)| (i as u16, v)).collect() });
    }
}

/// Takes the record of each step.
struct Collector(Vec<Record>);

impl Observer for Collector {
    fn progress(&mut self, _: &Fleet) {}

    fn measured(&mut self, fleet: &Fleet, station: StationId, measured: Measured) -> io::Result<()> {
        self.0.push(Record::of(&fleet[station.into()], &measured));
        Ok(())
    }
}

async fn records(
    before: Vec<Body>,
    device: &str,
    batches: &[u32],
    answer: impl FnMut(&mut Events, u64, &Config) + Send + 'static,
) -> Vec<Record> {
    let of = |batch: &u32| Config { device: device.to_owned(), ..config("resnet18", *batch) };
    let configs: Vec<_> = batches.iter().map(of).collect();
    let (agent, _script) = Script::start(before, answer);
    let mut collector = Collector(Vec::new());
    let mut job = Job::new(Fleet::default(), None, vec![(0, plan(configs, 1, None, 5.0, 0.0))], false);
    let end = measure(agent.into(), &mut job, std::future::pending(), &mut collector).await.unwrap();
    assert_eq!(end, End::Complete);
    collector.0
}

fn line(record: &Record) -> String {
    serde_json::to_string(record).unwrap() + "\n"
}

async fn print(before: Vec<Body>, device: &str, json: bool) -> String {
    let records = records(before, device, &[1, 64, 8], answer).await;
    assert_eq!(records.iter().map(Record::is_measured).collect::<Vec<_>>(), [true, false, true]);
    if json { records.iter().map(line).collect() } else { table(&records) }
}

fn schema() -> jsonschema::Validator {
    let text = include_str!("../../../assets/run.schema.json");
    let schema: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(schema["properties"]["schema"]["const"], SCHEMA);
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

#[tokio::test]
async fn every_object_is_as_the_schema_says() {
    let schema = schema();
    for (host, device) in [(gpu_host(), GPU), (cpu_host(), "cpu")] {
        let printed = print(host, device, true).await;
        assert_eq!(printed.lines().count(), 3);
        for line in printed.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            let errors: Vec<_> =
                schema.iter_errors(&object).map(|e| format!("{} at {}", e, e.instance_path())).collect();
            assert!(errors.is_empty(), "{errors:#?}\n{line}");
        }
    }
}

#[tokio::test]
async fn every_field_that_is_printed_is_in_the_schema() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../../assets/run.schema.json")).unwrap();
    let known = |name: &str| {
        let of = |part: &serde_json::Value| part["properties"].get(name).is_some_and(|p| p != false);
        of(&schema) || of(&schema["$defs"]["measured"]) || of(&schema["$defs"]["failed"])
    };
    for line in print(gpu_host(), GPU, true).await.lines() {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        let strange: Vec<_> = object.keys().filter(|name| !known(name)).collect();
        assert!(strange.is_empty(), "not in the schema: {strange:?}");
    }
}

#[test]
fn the_schema_refuses_what_it_should() {
    let schema = schema();
    let both = serde_json::json!({ "schema": 1, "network": "x", "error": "e", "latency_ms": {} });
    assert!(!schema.is_valid(&both));
    assert!(!schema.is_valid(&serde_json::json!({})));
}

#[tokio::test]
async fn what_is_absent_says_why() {
    let printed = print(cpu_host(), "cpu", true).await;
    let object: serde_json::Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    assert!(object["power_w"].is_null());
    assert_eq!(object["power_note"], "no power sensor: /sys/class/powercap: permission denied");
    assert!(object["others_percent"].as_f64().is_some_and(|share| (share - 35.0).abs() < 1e-9), "{printed}");
    for (name, value) in object.as_object().unwrap() {
        let explained = ["power_", "peak_", "energy_"].iter().any(|p| name.starts_with(p));
        let about = ["driver", "cuda", "clock_policy"].contains(&name.as_str());
        assert!(
            !value.is_null() || explained || about || !object["absent"][name].is_null(),
            "{name} is null without a reason"
        );
    }
}

#[tokio::test]
async fn a_handful_of_batches_has_no_interval_and_a_run_that_did_not_converge_is_not_called_steady() {
    let answer = |events: &mut Events, run: u64, config: &Config| {
        events.warm_up(run, config);
        let converged = config.batch == 8;
        let warm_up = Some(event::WarmUp { seconds: 8.0, batches: 9, error_percent: 12.3, converged });
        let change = PhaseChange { run, config: config.clone(), phase: Phase::Steady, warm_up };
        events.push(Body::Phase(change));
        let batches = if converged { 6 } else { 1 };
        events.batches(run, batches, 6_000_000_000);
    };
    let records = records(cpu_host(), "cpu", &[1, 8], answer).await;
    let objects: Vec<serde_json::Value> = records.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
    assert!(objects.iter().all(|object| schema().is_valid(object)), "{objects:#?}");
    let latency = &objects[0]["latency_ms"];
    assert!(latency["p50"].is_f64() && latency["p50_low"].is_null() && latency["p50_high"].is_null(), "{latency}");
    assert!(objects[0]["absent"]["latency_ms.p50_low"].as_str().unwrap().contains("fewer than 6"), "{objects:#?}");
    assert!(objects[1]["latency_ms"]["p50_low"].is_f64());
    insta::assert_snapshot!(table(&records));
    let steady = table(&records[1..]);
    assert!(!steady.contains("state"), "where all are steady, nothing is said: {steady}");
}

#[tokio::test]
async fn the_table_of_a_gpu() {
    insta::assert_snapshot!(print(gpu_host(), GPU, false).await);
}

#[tokio::test]
async fn the_table_of_a_cpu() {
    insta::assert_snapshot!(print(cpu_host(), "cpu", false).await);
}
