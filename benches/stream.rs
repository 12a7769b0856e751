//! What a long session costs: memory over ten million events, the size of an hour on disk, and how long that takes to
//! open. `cargo bench --bench stream` prints it; nothing here is a test.
//!
//! The stream is made up: a card and a host with every sensor at its usual rate, and a network that takes a third of a
//! millisecond, which is the most that a stream has to say.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a benchmark fails by panicking

use std::{
    fs::File,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};
use wattscope::{
    event::*,
    host,
    session::{
        State,
        record::FLUSH,
        replay::{self, Player},
    },
    ui::{App, Options},
};
use zstd::stream::write::Encoder;

const EVENTS: usize = 10_000_000;
const HOUR: Nanos = 3_600_000_000_000;
const TICK: Nanos = 50_000_000;
const MB: f64 = 1e6;

fn main() {
    memory();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hour.jsonl.zst");
    let (text, events) = record(&path);
    let bytes = path.metadata().unwrap().len();
    println!("an hour: {events} events, {:.1} MB of text, {:.2} MB compressed", text as f64 / MB, bytes as f64 / MB);
    open(&path);
}

/// Feeds the live screen.
fn memory() {
    let mut app = App::new(Options::default(), Options::default().theme());
    let mut stream = Stream::default();
    let (start, began) = (resident(), Instant::now());
    for million in 1..=EVENTS / 1_000_000 {
        (0..1_000_000).for_each(|_| _ = app.apply(&stream.next().unwrap()));
        let hours = app.state().now as f64 / HOUR as f64;
        println!("{million:>3} M events, {hours:>5.1} h of stream: {:>6.1} MB resident", resident() / MB);
    }
    let rate = EVENTS as f64 / began.elapsed().as_secs_f64();
    println!("it began at {:.1} MB; {:.0} thousand events/s", start / MB, rate / 1e3);
}

fn resident() -> f64 {
    host::resident(std::process::id()).unwrap() as f64
}

/// Writes an hour as the recorder does; gives bytes of text and events.
fn record(path: &Path) -> (usize, usize) {
    let mut encoder = Encoder::new(File::create(path).unwrap(), 3).unwrap();
    let (mut text, mut events, mut flushed) = (0, 0, 0);
    for event in Stream::default().take_while(|event| event.t <= HOUR) {
        let mut line = serde_json::to_vec(&event).unwrap();
        line.push(b'\n');
        encoder.write_all(&line).unwrap();
        (text, events) = (text + line.len(), events + 1);
        if Duration::from_nanos(event.t - flushed) >= FLUSH {
            encoder.flush().unwrap();
            flushed = event.t;
        }
    }
    encoder.finish().unwrap();
    (text, events)
}

fn open(path: &Path) {
    let began = Instant::now();
    let (player, losses) = Player::load(path).unwrap();
    println!("opened in {:.3} s", began.elapsed().as_secs_f64());
    assert!(losses.is_empty(), "{losses}");
    let mut cursor = player.first();
    for part in [1.0, 0.5, 0.51, 0.0, 0.99] {
        let began = Instant::now();
        player.seek(&mut cursor, (HOUR as f64 * part) as Nanos);
        println!("  to {:>2.0} %: {:.1} ms", 100.0 * part, began.elapsed().as_secs_f64() * 1e3);
    }
    let began = Instant::now();
    let (state, _): (State, _) = replay::fold(path).unwrap();
    println!("folded in {:.3} s, {} results", began.elapsed().as_secs_f64(), state.all_results().len());
}

/// Events for ever, another configuration every minute.
#[derive(Default)]
struct Stream {
    t: Nanos,
    noise: u64,
    joules: f64,
    run: RunId,
    queue: std::collections::VecDeque<Event>,
    /// Reports of batches, made once and sent in turn.
    reports: Vec<(Vec<u64>, Vec<u64>)>,
}

impl Iterator for Stream {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.queue.is_empty() {
            self.tick();
        }
        self.queue.pop_front()
    }
}

impl Stream {
    fn say(&mut self, body: Body) {
        self.queue.push_back(Event { t: self.t, body });
    }

    /// From -1 to 1.
    fn noise(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.noise >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    }

    fn tick(&mut self) {
        if self.t == 0 {
            self.begin();
        }
        if self.t.is_multiple_of(60_000_000_000) {
            self.configuration();
        }
        self.t += TICK;
        let n = self.t / TICK;
        let watts = (612_000.0 + 4_000.0 * self.noise()).round() / 1e3;
        self.joules = ((self.joules + watts * 0.05) * 1e3).round() / 1e3;
        let busy = (96.0 + 2.0 * self.noise()).round();
        let card = [(0, watts), (1, self.joules), (2, 700.0), (3, busy), (4, 1980.0), (5, 61.0), (6, 12e9), (7, 41.0)];
        self.say(Body::Samples { values: card.into() });
        let host = (0..3).map(|i| (8 + i, 12.0 + self.noise())).collect();
        self.say(Body::Samples { values: host });
        if n.is_multiple_of(4) {
            self.batches();
        }
        if n.is_multiple_of(20) {
            let memory = Memory { run: self.run, in_use: Some(1_500_000_000), ..Memory::default() };
            self.say(Body::Memory(memory));
        }
    }

    fn begin(&mut self) {
        let started = "2026-01-02T03:04:05Z".to_owned();
        self.say(Body::Header(Header { schema: SCHEMA, started, ..Header::default() }));
        let quantities = [
            Quantity::PowerInstant,
            Quantity::Energy,
            Quantity::PowerCap,
            Quantity::Utilisation,
            Quantity::ComputeClock,
            Quantity::Temperature,
            Quantity::MemoryUsed,
            Quantity::MemoryUtilisation,
            Quantity::PowerAverage,
            Quantity::EngineUtilisation,
            Quantity::EngineMemory,
        ];
        let sensors = quantities.into_iter().zip(0..).map(|(quantity, id)| Sensor {
            id,
            source: "nvml".into(),
            device: "cuda:0".into(),
            quantity,
            label: "NVML".into(),
            method: None,
            period_ms: 50,
            absent: None,
        });
        let sensors = sensors.collect();
        self.say(Body::Sensors { sensors });
        self.say(Body::EngineStarted { pid: 1, device: "cuda:0".into() });
    }

    /// Two hundred of them in turn.
    fn configuration(&mut self) {
        self.run += 1;
        let batch = 1 + (self.run % 200) as u32;
        let config = Config { network: "alexnet".into(), batch, precision: Precision::F16, device: "cuda:0".into() };
        for phase in [Phase::Building, Phase::Tuning, Phase::WarmingUp, Phase::Steady] {
            self.say(Body::Phase(PhaseChange { run: self.run, config: config.clone(), phase, warm_up: None }));
        }
    }

    fn batches(&mut self) {
        if self.reports.is_empty() {
            self.reports = (0..64).map(|_| (self.times(330_000.0), self.times(290_000.0))).collect();
        }
        let (wall_ns, device_ns) = self.reports[(self.t / TICK / 4 % 64) as usize].clone();
        self.say(Body::Batches(Batches { run: self.run, steady: true, span_ns: 200_000_000, wall_ns, device_ns }));
    }

    /// A fifth of a second of batches that take `mean` ± 1 %, to four digits and sorted, as engines report them. ns.
    fn times(&mut self, mean: f64) -> Vec<u64> {
        let times = (0..600).map(|_| ((mean + mean / 100.0 * self.noise()) as u64 + 50) / 100 * 100);
        let mut times: Vec<u64> = times.collect();
        times.sort_unstable();
        times
    }
}
