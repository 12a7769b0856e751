//! The figures of a run.

use crate::{
    analysis::stats::Percentiles,
    event::{self, Memory, Quantity},
    format::duration,
    session::{RunResult, State, run::Power},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Everything that was measured in a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Device-synchronised wall latency of one batch, ms.
    pub latency_ms: Latency,
    /// Device time of one batch, by the device's own clock, over the batches that it timed, ms.
    pub device_ms: Option<Latency>,
    /// Images/s, gaps between batches included.
    pub images_per_s: f64,
    /// Number of steady batches.
    pub batches: u64,
    /// Time of the steady batches, s.
    pub seconds: f64,
    /// Whether its batches replayed a captured graph; null where the recording does not say.
    pub graph: Option<Graph>,
    /// How the warm-up ended.
    pub warm_up: Option<WarmUp>,
    /// Utilisation of the device, as its driver reports it, %.
    pub utilisation_percent: Option<f64>,
    /// Processor time of all processes but the engine, % of all processors; only for the CPU.
    pub others_percent: Option<f64>,
    /// FLOP utilisation: operations/s over the measured peak, 2 operations per multiply-accumulate, %.
    pub flop_utilisation_percent: Option<f64>,
    /// The measured peak, operations/s.
    pub peak_flops: Option<f64>,
    /// How the peak was measured.
    pub peak_source: Option<String>,
    /// Mean power of the steady phase without settling, W.
    pub power_w: Option<f64>,
    /// Mean power less idle power, W.
    pub power_net_w: Option<f64>,
    /// Mean power before the engine started, W.
    pub power_idle_w: Option<f64>,
    /// Standard deviation of the readings, W.
    pub power_deviation_w: Option<f64>,
    /// Number of power readings.
    pub power_readings: Option<u64>,
    /// The power sensor.
    pub power_sensor: Option<String>,
    /// How power was measured and how accurate it is, or why it is absent.
    pub power_note: String,
    /// Gross energy per image, J.
    pub joules_per_image: Option<f64>,
    /// `energy counter` or `mean power × time`.
    pub energy_source: Option<String>,
    /// Memory, bytes.
    pub memory: MemoryFigures,
    /// Share of the power readings that were taken while the card was throttled. On the CPU under a limit of processor time
    /// the share of its periods in which it ran out.
    pub throttled_share: Option<f64>,
    /// Mean clock of the compute units, MHz.
    pub compute_clock_mhz: Option<f64>,
    /// Mean clock of the memory, MHz.
    pub memory_clock_mhz: Option<f64>,
    /// Mean temperature, °C.
    pub temperature_c: Option<f64>,
    /// Other processes on the card at the end; their load is in the figures.
    pub neighbours: Vec<String>,
    /// The reasons of figures that are null, by name.
    pub absent: BTreeMap<&'static str, String>,
}

impl Figures {
    /// Whether the latency had converged when the run was measured; true, too, where that is not known.
    pub fn is_steady(&self) -> bool {
        self.warm_up.is_none_or(|warm_up| warm_up.converged)
    }

    /// The figures of a result, without the reasons for those that are absent.
    pub(super) fn of(state: &State, result: &RunResult) -> Self {
        let device = result.config.device.as_str();
        let run = state.run.as_ref().filter(|run| run.id == result.run);
        let mean =
            |q| run.zip(state.sensor(device, q)).and_then(|(run, (id, _))| run.steady.sensors.get(&id)?.moments.mean());
        let peak = state.peaks.get(&(device.to_owned(), result.config.precision));
        let power = result.power.as_ref().ok();
        let Memory { in_use, reserved, resident, .. } = result.memory;
        Self {
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
            power_deviation_w: power.and_then(|p| p.deviation_w),
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
        }
    }
}

/// How a power was measured, and how accurate it is.
fn power_note(power: &Power) -> String {
    let method = match (power.counted_s, power.method.as_deref().unwrap_or("read as it is")) {
        // The deviation is still that of the derivatives.
        (Some(seconds), method) => format!(
            "difference of its energy counter over {} after 1 s of settling, deviation of {} readings ({method})",
            duration(seconds),
            power.readings
        ),
        (None, method) => format!("{method}, mean of {} readings after 1 s of settling", power.readings),
    };
    let instead = match power.in_place_of.join("; ") {
        reasons if reasons.is_empty() => reasons,
        reasons => format!("; no better sensor: {reasons}"),
    };
    format!("{}, {method}; the gain of a board's sensor is off by up to ±5 %{instead}", power.sensor)
}

fn neighbours(state: &State, device: &str) -> Vec<String> {
    let all = state.neighbours.get(device).map(Vec::as_slice).unwrap_or_default();
    all.iter().map(|n| format!("{} ({})", n.name, n.pid)).collect()
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
    /// Lower end of the median's 95 % interval; null of fewer than 6 batches.
    pub p50_low: Option<f64>,
    /// Upper end of the median's 95 % interval; null of fewer than 6 batches.
    pub p50_high: Option<f64>,
}

impl From<Percentiles> for Latency {
    fn from(p: Percentiles) -> Self {
        let (p50_low, p50_high) = p.p50_interval.map(|interval| (interval.low, interval.high)).unzip();
        Self { p50: p.p50, p90: p.p90, p99: p.p99, p50_low, p50_high }
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
