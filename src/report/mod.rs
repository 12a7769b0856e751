//! What a sweep found, for people (a table) and for programs (one JSON object a configuration).
//!
//! A value that could not be had is null, never 0, and [`Figures::absent`] says why. `assets/run.schema.json` describes the
//! objects; [`SCHEMA`] is raised whenever a reader of the old ones would misread the new.

mod chart;
mod contents;
mod document;
mod figures;
mod html;
mod markdown;
mod paint;
mod place;
mod source;
mod write;

pub use source::Source;
pub use write::{ReportError, Written, report};

use crate::{
    analysis::stats::Percentiles,
    event::{self, Config, DeviceKind, Header, Memory, OthersLoad, Precision, Quantity, Weights},
    format::{bytes, percent, significant},
    session::{
        RunResult, State,
        run::{CROWD, Power},
    },
    sweep::{Failed, Measured},
    table::Table,
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Version of the objects of `wattscope run --json`.
pub const SCHEMA: u32 = 1;

/// What was measured, where, and by what.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    /// Registry id of the network.
    pub network: String,
    /// Images in one batch.
    pub batch: u32,
    /// Arithmetic.
    pub precision: Precision,
    /// Device name: `cpu`, `cuda:0`.
    pub device: String,
    /// What the device calls itself.
    pub device_title: Option<String>,
    /// The network's weights: `seeded 2016`, or a file and the first eight digits of its SHA-256; null before it is built.
    pub weights: Option<String>,
    /// Whether its batch norms were folded into the layers before them.
    pub folded: bool,
    /// Host name.
    pub host: Option<String>,
    /// Operating system and kernel.
    pub os: Option<String>,
    /// Processor name.
    pub cpu: Option<String>,
    /// Version of wattscope.
    pub wattscope: String,
    /// Version of Burn.
    pub burn: Option<String>,
    /// Driver version of the card.
    pub driver: Option<String>,
    /// Whether the device could have replayed a captured graph: only then is there something to say of one.
    #[serde(skip)]
    pub graphs: bool,
}

impl Origin {
    /// That of a configuration, as the stream has it.
    pub fn of(state: &State, config: &Config, weights: Option<&Weights>) -> Self {
        let header = state.header.as_ref();
        let said = |of: fn(&Header) -> &String| header.map(of).filter(|text| !text.is_empty()).cloned();
        Self {
            network: config.network.clone(),
            batch: config.batch,
            precision: config.precision,
            device: config.device.clone(),
            device_title: state.devices.iter().find(|d| d.name == config.device).map(|d| d.title.clone()),
            weights: weights.map(ToString::to_string),
            folded: header.is_some_and(|h| h.folded),
            host: said(|h| &h.host),
            os: said(|h| &h.os),
            cpu: said(|h| &h.cpu),
            wattscope: env!("CARGO_PKG_VERSION").to_owned(),
            burn: said(|h| &h.burn),
            driver: state.cards.get(&config.device).and_then(|card| card.driver.clone()),
            graphs: state.traits(&config.device).graphs,
        }
    }
}

/// What became of one configuration, with what it takes to believe it later (MLPerf Power rules, arXiv 2410.12032).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was measured, where, and by what.
    #[serde(flatten)]
    pub origin: Origin,
    /// When the configuration was asked for, RFC 3339.
    pub started: Option<String>,
    /// Newest CUDA version that the driver supports.
    pub cuda: Option<String>,
    /// Whether the card's clocks are locked or float, or why that is not known.
    pub clock_policy: Option<String>,
    /// Power limit in force, W.
    pub power_cap_w: Option<f64>,
    /// What `wattscope check` found for this network on this device in this precision; null if that was not checked.
    pub checked: Option<Checked>,
    /// Which of the rounds of a sweep it belongs to, from 1.
    pub round: u32,
    /// Figures, or an error.
    #[serde(flatten)]
    pub outcome: Outcome<Figures>,
}

/// How far a network's logits are from the reference's on this device, in standard deviations of the logits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// Largest difference; null where it is not finite.
    pub error: Option<f64>,
    /// What it may be at most.
    pub bound: f64,
    /// Whether it is.
    pub pass: bool,
}

impl Checked {
    const fn of(checked: &event::Checked) -> Self {
        Self { error: checked.error, bound: checked.bound, pass: checked.pass }
    }
}

/// Figures, or an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome<F> {
    /// It was measured.
    Measured(Box<F>),
    /// It was not.
    Failed {
        /// Why.
        error: String,
        /// Whether memory was what it lacked.
        out_of_memory: bool,
        /// Bytes asked for, where the device said.
        requested_bytes: Option<u64>,
    },
}

impl<F> Outcome<F> {
    /// The figures, or why there are none.
    pub fn of(figures: Result<F, &Failed>) -> Self {
        match figures {
            Ok(figures) => Self::Measured(Box::new(figures)),
            Err(failed) => Self::Failed {
                error: failed.to_string(),
                out_of_memory: matches!(failed, Failed::OutOfMemory { .. }),
                requested_bytes: match failed {
                    Failed::OutOfMemory { requested_bytes, .. } => *requested_bytes,
                    _ => None,
                },
            },
        }
    }

    /// Whether it was measured.
    pub const fn is_measured(&self) -> bool {
        matches!(self, Self::Measured(_))
    }
}

/// Everything measured about one configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Device-synchronised wall latency of one batch, ms.
    pub latency_ms: Latency,
    /// Device time of one batch by the device's own clock, of those that it timed, ms.
    pub device_ms: Option<Latency>,
    /// Images a second, gaps between batches included.
    pub images_per_s: f64,
    /// Batches counted.
    pub batches: u64,
    /// Time that they took, s.
    pub seconds: f64,
    /// Whether its batches replayed a captured graph; null where the recording does not tell.
    pub graph: Option<Graph>,
    /// How the warm-up ended.
    pub warm_up: Option<WarmUp>,
    /// Utilisation of the device as its driver has it, %.
    pub utilisation_percent: Option<f64>,
    /// Processor time of everybody but the engine, % of all processors; of the CPU only.
    pub others_percent: Option<f64>,
    /// Operations a second over the measured peak, %; 2 operations a multiply-accumulate.
    pub flop_utilisation_percent: Option<f64>,
    /// The measured peak, operations/s.
    pub peak_flops: Option<f64>,
    /// How it was measured.
    pub peak_source: Option<String>,
    /// Mean power while steady, settling left out, W.
    pub power_w: Option<f64>,
    /// The same without the idle power, W.
    pub power_net_w: Option<f64>,
    /// Mean power before the engine started, W.
    pub power_idle_w: Option<f64>,
    /// Standard deviation of the readings, W.
    pub power_deviation_w: Option<f64>,
    /// Readings of power.
    pub power_readings: Option<u64>,
    /// The sensor that read it.
    pub power_sensor: Option<String>,
    /// Why there is no power, or how it came about and what it is worth.
    pub power_note: String,
    /// Energy an image, gross, J.
    pub joules_per_image: Option<f64>,
    /// `energy counter` or `mean power × time`.
    pub energy_source: Option<String>,
    /// Memory, bytes.
    pub memory: MemoryFigures,
    /// Share of the power readings taken while the card was throttled.
    pub throttled_share: Option<f64>,
    /// Mean clock of the compute units, MHz.
    pub compute_clock_mhz: Option<f64>,
    /// Mean clock of the memory, MHz.
    pub memory_clock_mhz: Option<f64>,
    /// Mean temperature, °C.
    pub temperature_c: Option<f64>,
    /// Other processes on the card at the end: their load is in the figures.
    pub neighbours: Vec<String>,
    /// Why a figure is null, by its name.
    pub absent: BTreeMap<&'static str, String>,
}

/// Whether launches were replayed as one captured graph, and what was timed to decide it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Graph {
    /// Whether they were.
    pub used: bool,
    /// Why.
    pub why: String,
    /// Median latency of a batch launched kernel by kernel, ms; null where it did not come to that.
    pub eager_ms: Option<f64>,
    /// The same of a batch replayed, ms.
    pub replay_ms: Option<f64>,
}

impl Graph {
    fn of(graph: &event::Graph) -> Self {
        let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
        Self { used: graph.used, why: graph.why.clone(), eager_ms: ms(graph.eager_ns), replay_ms: ms(graph.replay_ns) }
    }
}

/// Order statistics of a latency, ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Lower end of the median's 95 % interval.
    pub p50_low: f64,
    /// Upper end of the median's 95 % interval.
    pub p50_high: f64,
}

impl From<Percentiles> for Latency {
    fn from(p: Percentiles) -> Self {
        Self { p50: p.p50, p90: p.p90, p99: p.p99, p50_low: p.p50_low, p50_high: p.p50_high }
    }
}

/// How a warm-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WarmUp {
    /// Time it took after tuning, s.
    pub seconds: f64,
    /// Batches in it.
    pub batches: u64,
    /// Whether the latency converged; otherwise time ran out.
    pub converged: bool,
    /// Relative standard error of the latency at its end, %.
    pub error_percent: f64,
}

/// Memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MemoryFigures {
    /// In use in the device's allocator.
    pub allocator_in_use: Option<u64>,
    /// Reserved by it.
    pub allocator_reserved: Option<u64>,
    /// Resident set of the engine's process.
    pub resident: Option<u64>,
    /// In use on the device by everybody.
    pub device_used: Option<u64>,
}

impl Record {
    /// The record of a configuration. Take it as soon as the configuration is done: means of clocks and temperature come
    /// from the run that `state` then still holds.
    pub fn of(state: &State, measured: &Measured) -> Self {
        let config = &measured.config;
        let card = state.cards.get(&config.device);
        let result = measured.outcome.as_ref();
        Self {
            schema: SCHEMA,
            origin: Origin::of(state, config, result.ok().and_then(|result| result.weights.as_ref())),
            started: state.header.as_ref().and_then(|h| wall_clock(&h.started, measured.began)),
            cuda: card.and_then(|c| c.cuda.clone()),
            clock_policy: card.and_then(|c| c.clock_policy.clone()),
            power_cap_w: card.and_then(|c| c.power_cap_w),
            checked: state.checked(config).map(Checked::of),
            round: measured.round,
            outcome: Outcome::of(result.map(|result| Figures::of(state, result))),
        }
    }

    /// Whether it was measured.
    pub const fn is_measured(&self) -> bool {
        self.outcome.is_measured()
    }
}

/// The wall clock `nanos` after `started`, to the millisecond; none if `started` is no RFC 3339 time.
pub fn wall_clock(started: &str, nanos: u64) -> Option<String> {
    let started: Timestamp = started.parse().ok()?;
    let then = started.checked_add(SignedDuration::from_nanos(i64::try_from(nanos).ok()?)).ok()?;
    Some(format!("{then:.3}"))
}

impl Figures {
    fn of(state: &State, result: &RunResult) -> Self {
        let device = result.config.device.as_str();
        let run = state.run.as_ref().filter(|run| run.id == result.run);
        let mean =
            |q| run.zip(state.sensor(device, q)).and_then(|(run, (id, _))| run.steady.sensors.get(&id)?.moments.mean());
        let peak = state.peaks.get(&(device.to_owned(), result.config.precision));
        let power = result.power.as_ref().ok();
        let Memory { in_use, reserved, resident, .. } = result.memory;
        let mut figures = Self {
            latency_ms: result.latency_ms.into(),
            device_ms: result.device_ms.map(Into::into),
            images_per_s: result.images_per_s,
            batches: result.batches,
            seconds: result.seconds,
            graph: result.graph.as_ref().map(Graph::of),
            warm_up: result.warm_up.map(|w| WarmUp {
                seconds: w.seconds,
                batches: w.batches,
                converged: w.converged,
                error_percent: w.error_percent,
            }),
            utilisation_percent: result.utilisation,
            others_percent: result.others,
            flop_utilisation_percent: result.flop_utilisation,
            peak_flops: peak.map(|(flops, _)| *flops),
            peak_source: peak.map(|(_, how)| how.clone()),
            power_w: power.map(|p| p.gross_w),
            power_net_w: power.and_then(|p| p.net_w),
            power_idle_w: power.and_then(|p| p.idle_w),
            power_deviation_w: power.map(|p| p.deviation_w),
            power_readings: power.map(|p| p.readings),
            power_sensor: power.map(|p| p.sensor.clone()),
            power_note: result.power.as_ref().map_or_else(Clone::clone, power_note),
            joules_per_image: power.map(|p| p.joules_per_image),
            energy_source: power.map(|p| p.energy_source.clone()),
            memory: MemoryFigures {
                allocator_in_use: in_use,
                allocator_reserved: reserved,
                resident,
                device_used: result.device_memory_used,
            },
            throttled_share: result.throttled,
            compute_clock_mhz: mean(Quantity::ComputeClock),
            memory_clock_mhz: mean(Quantity::MemoryClock),
            temperature_c: mean(Quantity::Temperature),
            neighbours: neighbours(state, device),
            absent: BTreeMap::new(),
        };
        figures.absent = figures.reasons(state, result);
        figures
    }

    /// Why each null is null.
    fn reasons(&self, state: &State, result: &RunResult) -> BTreeMap<&'static str, String> {
        let device = result.config.device.as_str();
        let sensor = |q: Quantity, what: &str| match state.sensor(device, q) {
            None => format!("no {what} sensor for {device}"),
            Some((_, s)) => {
                s.info.absent.clone().unwrap_or_else(|| format!("{}: no reading since power settled", s.info.label))
            }
        };
        let peak = || match state.networks.contains_key(&result.config.network) {
            true => format!("no peak was measured on {device} in {}", result.config.precision),
            false => "the network's cost is not known".to_owned(),
        };
        let idle = || "no idle power was read before the engine started".to_owned();
        let mut absent = BTreeMap::new();
        let mut note = |name, missing: bool, reason: &dyn Fn() -> String| {
            if missing {
                absent.insert(name, reason());
            }
        };
        note("checked", state.checked(&result.config).is_none(), &|| match &state.checks {
            Some(_) => format!("not checked: wattscope check {}", result.config.network),
            None => "the stream does not tell what was checked".to_owned(),
        });
        let traits = state.traits(device);
        note("device_ms", self.device_ms.is_none(), &|| match (traits.own_clock, traits.kind) {
            (true, _) => format!("no time by {device}'s own clock was reported"),
            (false, DeviceKind::Processor) => "the processor has no clock but the wall's".to_owned(),
            (false, DeviceKind::Card) => format!("{device} has no clock but the wall's"),
        });
        note("graph", self.graph.is_none(), &|| "the recording does not tell".to_owned());
        note("utilisation_percent", self.utilisation_percent.is_none(), &|| {
            sensor(Quantity::Utilisation, "utilisation")
        });
        note("others_percent", self.others_percent.is_none(), &|| match traits.others {
            OthersLoad::ProcessorTime => sensor(Quantity::EngineUtilisation, "processor time"),
            OthersLoad::Processes => "a card's driver names its processes instead: neighbours".to_owned(),
        });
        note("flop_utilisation_percent", self.flop_utilisation_percent.is_none(), &peak);
        note("power_w", self.power_w.is_none(), &|| self.power_note.clone());
        note("power_net_w", self.power_net_w.is_none(), &|| {
            if self.power_w.is_none() { self.power_note.clone() } else { idle() }
        });
        note("joules_per_image", self.joules_per_image.is_none(), &|| self.power_note.clone());
        note("throttled_share", self.throttled_share.is_none(), &|| "no instant power was read to count by".to_owned());
        note("compute_clock_mhz", self.compute_clock_mhz.is_none(), &|| sensor(Quantity::ComputeClock, "clock"));
        note("memory_clock_mhz", self.memory_clock_mhz.is_none(), &|| sensor(Quantity::MemoryClock, "memory clock"));
        note("temperature_c", self.temperature_c.is_none(), &|| sensor(Quantity::Temperature, "temperature"));
        absent
    }
}

/// How a power came about, and what it is worth.
fn power_note(power: &Power) -> String {
    let method = power.method.as_deref().unwrap_or("read as it is");
    format!(
        "{}, {method}, mean of {} readings after 1 s of settling; the gain of a board's sensor is off by up to ±5 %",
        power.sensor, power.readings
    )
}

fn neighbours(state: &State, device: &str) -> Vec<String> {
    let all = state.neighbours.get(device).map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|n| format!("{} ({})", n.name, n.pid)).collect()
}

/// Columns of the table; host and round where there are several, the graph where a card could have replayed one.
const COLUMNS: [&str; 19] = [
    "<host",
    "<network",
    "batch",
    "<prec",
    "<device",
    "round",
    "p50 ms",
    "±",
    "p90 ms",
    "p99 ms",
    "images/s",
    "device ms",
    "graph",
    "util %",
    "FLOP %",
    "W",
    "net W",
    "J/image",
    "memory",
];

/// The results as a table, with the reasons for what is absent or failed below it.
pub fn table(records: &[Record]) -> String {
    let repeated = records.iter().any(|record| record.round > 1);
    let hosts = records.iter().any(|record| record.origin.host != records[0].origin.host);
    let graphs = records.iter().any(|record| record.origin.graphs);
    let shown = |title: &&str| match *title {
        "<host" => hosts,
        "round" => repeated,
        "graph" => graphs,
        _ => true,
    };
    let titles: Vec<_> = COLUMNS.into_iter().filter(shown).collect();
    let mut table = Table::new(&titles);
    for record in records {
        let origin = &record.origin;
        let head =
            [origin.network.clone(), origin.batch.to_string(), origin.precision.to_string(), origin.device.clone()];
        let host = hosts.then(|| origin.host.clone().unwrap_or_default());
        let round = repeated.then(|| record.round.to_string());
        let rest = match &record.outcome {
            Outcome::Measured(figures) => cells(&mut table, figures, graphs),
            Outcome::Failed { error, .. } => vec![table.absent(error)],
        };
        table.row(host.into_iter().chain(head).chain(round).chain(rest));
    }
    table.render() + &footer(records)
}

fn cells(table: &mut Table, figures: &Figures, graphs: bool) -> Vec<String> {
    let p = &figures.latency_ms;
    let spread = if p.p50 > 0.0 { 50.0 * (p.p50_high - p.p50_low) / p.p50 } else { 0.0 };
    let mut cells = vec![
        significant(p.p50, 4),
        format!("{spread:.1} %"),
        significant(p.p90, 4),
        significant(p.p99, 4),
        significant(figures.images_per_s, 4),
    ];
    let value = |table: &mut Table, name: &str, value: Option<f64>, digits| {
        let reason = figures.absent.get(name).map_or("not known", String::as_str);
        value.map_or_else(|| table.absent(reason), |value| significant(value, digits))
    };
    cells.push(value(table, "device_ms", figures.device_ms.map(|device| device.p50), 4));
    if graphs {
        cells.push(replayed(table, figures.graph.as_ref()));
    }
    let values = [
        ("utilisation_percent", figures.utilisation_percent, 2),
        ("flop_utilisation_percent", figures.flop_utilisation_percent, 3),
        ("power_w", figures.power_w, 3),
        ("power_net_w", figures.power_net_w, 3),
        ("joules_per_image", figures.joules_per_image, 3),
    ];
    cells.extend(values.into_iter().map(|(name, figure, digits)| value(table, name, figure, digits)));
    let MemoryFigures { allocator_in_use, resident, .. } = figures.memory;
    let memory = allocator_in_use.or(resident).map(bytes);
    cells.push(memory.unwrap_or_else(|| table.absent("the engine did not report its memory")));
    cells
}

/// How many times as fast a replayed graph was as launches one by one, or why none was replayed.
fn replayed(table: &mut Table, graph: Option<&Graph>) -> String {
    match graph {
        Some(Graph { used: true, eager_ms: Some(eager), replay_ms: Some(replay), .. }) => {
            format!("{}×", significant(eager / replay, 3))
        }
        Some(Graph { used: true, .. }) => "yes".to_owned(),
        Some(graph) => table.absent(&format!("no graph: {}", graph.why)),
        None => table.absent("the recording does not tell whether a graph was replayed"),
    }
}

/// What every row shares: the devices, where the watts come from, and what else was on the card.
fn footer(records: &[Record]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |line: String| {
        if !lines.contains(&line) {
            lines.push(line);
        }
    };
    for record in records {
        let origin = &record.origin;
        let versions = [("driver", &origin.driver), ("CUDA", &record.cuda), ("clocks", &record.clock_policy)];
        let versions = versions.iter().filter_map(|(name, value)| value.as_ref().map(|v| format!(", {name} {v}")));
        let title = origin.device_title.as_deref().unwrap_or("unknown");
        say(format!("{}: {title}{}", origin.device, versions.collect::<String>()));
        let Outcome::Measured(figures) = &record.outcome else { continue };
        if let Some(weights) = &origin.weights {
            say(format!("weights: {weights}"));
        }
        if let (Some(sensor), Some(source)) = (&figures.power_sensor, &figures.energy_source) {
            say(format!("W: {sensor}, gain off by up to ±5 %; net W: less the idle power; J/image: {source}, gross"));
        }
        if figures.throttled_share.is_some_and(|share| share > 0.0) {
            say(format!("{} batch {}: the card was throttled for part of it", origin.network, origin.batch));
        }
        if let Some(others) = figures.others_percent.filter(|share| *share >= CROWD) {
            let share = percent(others);
            say(format!("{} batch {}: others took {share} % of the processors", origin.network, origin.batch));
        }
        if !figures.neighbours.is_empty() {
            say(format!("others on {}: {}", origin.device, figures.neighbours.join(", ")));
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_report;
