//! Scrapes of made-up sessions, and the endpoint asked over TCP.

use super::{Exporter, Listen, encode, totals::Metrics};
use crate::{
    event::{Body, Event, Graph, Header, Link, LinkState, NetworkFacts, Precision, Quantity, RunId, SensorId, Tagged},
    testing::{Events, config, sensor},
};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

/// A session with everything in it that a scrape can tell.
fn session() -> Vec<Event> {
    let mut events = Events::default();
    let header = Header { host: "bench \"1\"\n".to_owned(), version: "1.2.3".to_owned(), ..Header::default() };
    events.push(Body::Header(header));
    let state = LinkState::Up { rtt_ns: Some(12_500_000), down_bytes_per_s: 2_400.0, up_bytes_per_s: 30.0 };
    events.push(Body::Link(Link { command: "ssh bench".to_owned(), host: Some("bench".to_owned()), state }));
    let quantities = [Quantity::PowerInstant, Quantity::Energy, Quantity::Utilisation, Quantity::ComputeClock];
    let mut sensors: Vec<_> = (0..).zip(quantities).map(|(id, q)| sensor(id, "cpu", q, None)).collect();
    sensors.push(sensor(9, "cpu", Quantity::Fan, Some("no fan")));
    events.push(Body::Sensors { sensors });
    let read = |w: f64, j: f64| Body::Samples { values: [(0, w), (1, j), (2, 50.0), (3, 1500.0)].to_vec() };
    events.push(read(10.0, 0.0));
    let config = config("resnet18", 4);
    events.push(Body::EngineStarted { pid: 7, device: "cpu".to_owned() });
    let run: RunId = 1;
    events.warm_up(run, &config);
    let why = "exact, 1.8 times as fast".to_owned();
    events.push(Body::Graph(Graph { run, used: true, why, eager_ns: None, replay_ns: None }));
    events.batches(run, 20, 100_000_000);
    events.push(read(30.0, 40.0));
    events.idle(1);
    events.push(read(32.0, 72.0));
    events.push(Body::Throttle { device: "cpu".to_owned(), reasons: vec!["too hot".to_owned()] });
    events.push(Body::OutOfMemory { run: 2, config, requested_bytes: None, message: "no".to_owned() });
    events.take()
}

fn metrics(events: &[Event]) -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::default());
    events.iter().for_each(|event| metrics.lock().apply(&event.into()));
    metrics
}

#[test]
fn a_scrape_tells_everything_with_its_unit() {
    let events = session();
    // While the run is in progress, before the out-of-memory that ends it.
    insta::assert_snapshot!(encode::text(&metrics(&events[..events.len() - 1])));
}

#[test]
fn what_was_counted_stays_when_the_run_is_over() {
    let text = encode::text(&metrics(&session()));
    let has = |start: &str, value: &str| text.lines().any(|line| line.starts_with(start) && line.ends_with(value));
    assert!(has("wattscope_images_total{", " 80"), "{text}");
    assert!(has("wattscope_batch_latency_seconds_count{", " 20"), "{text}");
    assert!(has("wattscope_out_of_memory_total{", " 1"), "{text}");
    assert!(!text.contains("wattscope_run_"), "no run is in progress: {text}");
}

#[test]
fn sensors_that_are_lost_are_not_read_out_any_more() {
    let mut events = session();
    let lost: Vec<SensorId> = vec![0];
    events.push(Event { t: u64::MAX, body: Body::SensorsLost { sensors: lost, reason: "unplugged".to_owned() } });
    let text = encode::text(&metrics(&events));
    assert!(!text.contains("wattscope_power_instant_watts"), "{text}");
    assert!(text.contains("wattscope_energy_joules_total"), "{text}");
}

#[test]
fn a_lost_link_is_down_and_has_no_round_trip() {
    let mut events = session();
    let state = LinkState::Lost { reason: "ssh ended".to_owned(), retry_in_s: Some(2.0) };
    events.push(Event { t: u64::MAX, body: Body::Link(Link { command: "ssh bench".to_owned(), host: None, state }) });
    let text = encode::text(&metrics(&events));
    let up = text.lines().find(|line| line.starts_with("wattscope_link_up{")).unwrap();
    assert!(up.contains("command=\"ssh bench\"") && up.ends_with(" 0"), "{text}");
    assert!(!text.contains("wattscope_link_round_trip") && !text.contains("wattscope_link_receive"), "{text}");
}

fn listen(address: &str) -> Listen {
    address.parse().unwrap()
}

/// Asks for a path with further headers; returns the whole answer.
fn ask(address: SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_endpoint_answers_until_it_is_dropped() {
    let exporter = Exporter::start(&listen("0")).unwrap();
    let address = exporter.addresses()[0];
    assert!(address.ip().is_loopback() && address.port() > 0 && exporter.addresses().len() == 1);
    assert_eq!(exporter.url(), format!("http://127.0.0.1:{}/metrics", address.port()));
    session().iter().for_each(|event| exporter.observe(&event.into()));
    let ask = |path: &str| ask(address, path, "");
    let answer = ask("/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("application/openmetrics-text; version=1.0.0"), "{answer}");
    assert!(answer.trim_end().ends_with("# EOF"), "{answer}");
    assert!(ask("/secrets").starts_with("HTTP/1.1 404"));
    let taken = Exporter::start(&listen(&address.to_string())).unwrap_err().to_string();
    assert!(taken.contains(&address.to_string()) && taken.contains("--metrics"), "{taken}");
    drop(exporter);
    assert!(TcpStream::connect(address).is_err(), "nothing listens any more");
}

#[test]
fn a_collector_that_asks_for_prometheus_text_gets_that() {
    let exporter = Exporter::start(&listen("127.0.0.1:0")).unwrap();
    let events = session();
    events[..events.len() - 1].iter().for_each(|event| exporter.observe(&event.into()));
    let answer = ask(exporter.addresses()[0], "/metrics", "Accept: text/plain;version=0.0.4\r\n");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.to_lowercase().contains("vary: accept"), "{head}");
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    for line in [
        "# TYPE wattscope_images_total counter",
        "# HELP wattscope_images_total Images of steady batches",
        "# TYPE wattscope_energy_joules_total counter",
        "# TYPE wattscope_build_info gauge",
        "# TYPE wattscope_batch_latency_seconds histogram",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}: {text}");
    }
    let typed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).map(|(name, _)| name).collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        assert!(typed.contains(name) || family.is_some_and(|family| typed.contains(family)), "no type: {line}");
    }
    let open = encode::text(&metrics(&events[..events.len() - 1]));
    let samples =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(samples(text), samples(&open), "the samples are the same");
}

#[test]
fn a_name_stands_for_all_of_its_addresses_and_a_port_for_the_loopback() {
    let exporter = Exporter::start(&listen("localhost:0")).unwrap();
    let port = exporter.addresses()[0].port();
    assert!(exporter.addresses().iter().all(|address| address.ip().is_loopback() && address.port() == port));
    for address in exporter.addresses() {
        assert!(ask(*address, "/metrics", "").starts_with("HTTP/1.1 200 OK"), "{address}");
    }
    let all = Exporter::start(&listen(":0")).unwrap();
    let port = all.addresses()[0].port();
    assert!(all.addresses()[0].ip().is_unspecified());
    assert!(ask(([127, 0, 0, 1], port).into(), "/metrics", "").starts_with("HTTP/1.1 200 OK"));
    for (text, shown) in [
        ("9464", "127.0.0.1:9464"),
        ("0", "127.0.0.1:0"),
        (":9464", ":9464"),
        ("*:9464", ":9464"),
        ("gpu-box.local:9464", "gpu-box.local:9464"),
        ("[::1]:9464", "[::1]:9464"),
        ("10.0.0.7:80", "10.0.0.7:80"),
    ] {
        assert_eq!(listen(text).to_string(), shown);
    }
    for wrong in ["", "x", "localhost", "localhost:", "::1:9464", "[x]:1", "1:70000", "-1", "a b:1", "http://a:1"] {
        assert!(wrong.parse::<Listen>().unwrap_err().contains("localhost:9464"), "{wrong}");
    }
    let unknown = Exporter::start(&listen("no-such-host.invalid:9464")).unwrap_err().to_string();
    assert!(unknown.contains("no-such-host.invalid:9464") && unknown.contains("--metrics"), "{unknown}");
}

#[test]
fn stations_are_told_apart_and_what_they_share_is_said_once() {
    let metrics = Arc::new(Metrics::default());
    let devices = ["cuda:0", "cuda:1"];
    for (on, device) in (0..).zip(devices) {
        let mut events = session();
        events.pop();
        for event in &mut events {
            match &mut event.body {
                Body::Header(header) => (header.device, header.stations) = (Some(device.to_owned()), Some(2)),
                Body::Phase(change) => device.clone_into(&mut change.config.device),
                _ => {}
            }
        }
        let engine = sensor(7, "cpu", Quantity::EngineUtilisation, None);
        events.push(Event { t: u64::MAX / 2, body: Body::Sensors { sensors: vec![engine] } });
        events.push(Event { t: u64::MAX / 2, body: Body::Samples { values: vec![(7, 50.0)] } });
        events.into_iter().for_each(|event| metrics.lock().apply(&Tagged { station: on, event }));
    }
    let text = encode::text(&metrics);
    let count = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
    for each in ["build_info", "engine_deaths_total", "images_total", "run_steady", "engine_utilisation_ratio"] {
        for device in devices {
            let lines = text.lines().filter(|line| line.starts_with(&format!("wattscope_{each}{{")));
            assert_eq!(lines.filter(|line| line.contains(&format!("\"{device}\""))).count(), 1, "{each}: {text}");
        }
    }
    assert_eq!(count("wattscope_power_instant_watts{"), 1, "the processor's, which both agents read: {text}");
    assert_eq!(count("# TYPE wattscope_images "), 1);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let series: BTreeSet<&str> = lines.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(series.len(), lines.len(), "no series twice: {text}");
}

/// The dashboard's queries, taken apart into the names that begin with ours.
fn queried() -> BTreeSet<String> {
    let dashboard: serde_json::Value = serde_json::from_str(include_str!("../../assets/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let names = targets.flat_map(|target| target["expr"].as_str().unwrap().split(word));
    names.filter(|name| name.starts_with("wattscope_")).map(str::to_owned).collect()
}

#[test]
fn the_dashboard_asks_for_what_a_card_has() {
    let mut events = session();
    let all = [
        Quantity::PowerAverage,
        Quantity::PowerCap,
        Quantity::EngineUtilisation,
        Quantity::EngineMemory,
        Quantity::MemoryClock,
        Quantity::MemoryUsed,
        Quantity::Temperature,
    ];
    let sensors = (20..).zip(all).map(|(id, q)| sensor(id, "cpu", q, None)).collect();
    let values = (20..).zip([1.0; 7]).collect();
    let facts = NetworkFacts { id: "resnet18".to_owned(), macs: 1_000_000_000, ..NetworkFacts::default() };
    let peak = Body::Peak { device: "cpu".to_owned(), precision: Precision::F32, flops: 1e12, how: String::new() };
    let bodies = [Body::Sensors { sensors }, Body::Samples { values }, Body::Network(facts), peak];
    events.splice(1..1, bodies.map(|body| Event { t: 0, body }));
    let text = encode::text(&metrics(&events[..events.len() - 1]));
    for name in queried() {
        assert!(text.contains(&format!("\n{name}{{")), "the dashboard asks for {name}, which no scrape has:\n{text}");
    }
}
