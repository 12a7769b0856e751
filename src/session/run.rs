//! One configuration measured: what its steady batches, and the sensors read meanwhile, add up to.

use crate::{
    analysis::stats::{Moments, Percentiles},
    event::{Batches, Config, Graph, Memory, Nanos, Phase, PhaseChange, Quantity, RunId, SensorId, WarmUp, Weights},
};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Part of a steady phase in which power still rises to its level: sensors that look at a quarter of every 100 ms, and
/// boards with large capacitors, need it (arXiv 2312.02741). Readings in it do not count.
pub const SETTLING: Nanos = 1_000_000_000;

/// A run in progress or just ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// What is measured.
    pub config: Config,
    /// Where it stands.
    pub phase: Phase,
    /// When it entered that phase.
    pub phase_since: Nanos,
    /// How its warm-up ended.
    pub warm_up: Option<WarmUp>,
    /// Batches measured before steady; they do not count.
    pub warm_up_batches: u64,
    /// The weights of its network, once it is built.
    pub weights: Option<Weights>,
    /// Whether its batches replay a captured graph, once that is decided.
    pub graph: Option<Graph>,
    /// Memory it holds.
    pub memory: Memory,
    /// When the engine last left its batches to measure layers, or came back to them, and whether it is at that now.
    pub aside: Option<(Nanos, bool)>,
    /// What counts.
    pub steady: Steady,
}

/// Everything counted since a run became steady or its statistics were reset.
#[derive(Clone, Debug, PartialEq)]
pub struct Steady {
    /// When counting began.
    pub since: Nanos,
    /// End of the last batch counted.
    pub until: Nanos,
    /// Batches counted.
    pub batches: u64,
    /// Time that they took, gaps between them included. ns.
    pub span_ns: u64,
    /// Wall latency of each. ns.
    pub wall: Histogram<u64>,
    /// Device time of those that the device's own clock timed. ns.
    pub device: Histogram<u64>,
    /// Readings of each sensor after the power had settled.
    pub sensors: BTreeMap<SensorId, Reading>,
    /// Readings of power taken while the card was throttled, among all that counted.
    pub throttled: u64,
    /// Readings of power that counted.
    pub power_readings: u64,
}

/// What a sensor read during the steady phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Mean and spread.
    pub moments: Moments,
    /// First value and its time.
    pub first: (Nanos, f64),
    /// Last value and its time.
    pub last: (Nanos, f64),
}

impl Steady {
    fn new(since: Nanos) -> Self {
        Self {
            since,
            until: since,
            batches: 0,
            span_ns: 0,
            wall: histogram(),
            device: histogram(),
            sensors: BTreeMap::new(),
            throttled: 0,
            power_readings: 0,
        }
    }

    /// Images a second, gaps between batches included; none before the first batch.
    pub fn images_per_s(&self, batch: u32) -> Option<f64> {
        (self.span_ns > 0).then(|| self.batches as f64 * f64::from(batch) / (self.span_ns as f64 / 1e9))
    }
}

/// Nanoseconds up to an hour, to three digits.
#[expect(clippy::expect_used)]
fn histogram() -> Histogram<u64> {
    // Cannot fail: low < high / 2 and 3 digits are what the crate asks of its constants.
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("constant bounds")
}

/// Counts times, equal ones at once: reports of fast batches are mostly that.
fn record(histogram: &mut Histogram<u64>, times: &[u64]) {
    times.chunk_by(|a, b| a == b).for_each(|same| histogram.saturating_record_n(same[0].max(1), same.len() as u64));
}

impl Run {
    /// A run that has just entered its first phase.
    pub fn begin(t: Nanos, change: &PhaseChange) -> Self {
        let mut run = Self {
            id: change.run,
            config: change.config.clone(),
            phase: change.phase,
            phase_since: t,
            warm_up: change.warm_up,
            warm_up_batches: 0,
            weights: None,
            graph: None,
            memory: Memory::default(),
            aside: None,
            steady: Steady::new(t),
        };
        run.enter(t, change);
        run
    }

    /// Enters the next phase.
    pub fn enter(&mut self, t: Nanos, change: &PhaseChange) {
        self.phase = change.phase;
        self.phase_since = t;
        self.aside = None;
        if change.phase == Phase::Steady {
            self.warm_up = change.warm_up;
            self.steady = Steady::new(t);
        }
    }

    /// Forgets what was counted; counting begins again at `t`.
    pub fn reset(&mut self, t: Nanos) {
        self.steady = Steady::new(t);
    }

    /// Counts batches that ended at `t`; false for those that began before a reset or a pause and belong to neither side.
    pub fn count(&mut self, t: Nanos, batches: &Batches) -> bool {
        let n = batches.wall_ns.len() as u64;
        if self.steady.batches == 0 && t.saturating_sub(batches.span_ns) < self.steady.since {
            return false;
        }
        if !batches.steady || self.phase != Phase::Steady {
            self.warm_up_batches = self.warm_up_batches.saturating_add(n);
            return true;
        }
        self.steady.batches = self.steady.batches.saturating_add(n);
        self.steady.span_ns = self.steady.span_ns.saturating_add(batches.span_ns);
        self.steady.until = t;
        record(&mut self.steady.wall, &batches.wall_ns);
        record(&mut self.steady.device, &batches.device_ns);
        true
    }

    /// The engine leaves its batches to measure layers (`away`), or is back: until power has settled again after that,
    /// readings are not the network's.
    pub fn step_aside(&mut self, t: Nanos, away: bool) {
        self.aside = Some((t, away));
    }

    /// Counts a reading of a sensor.
    pub fn read(&mut self, t: Nanos, sensor: SensorId, quantity: Quantity, value: f64, throttled: bool) {
        let settled = |since: Nanos| t >= since.saturating_add(SETTLING);
        if self.phase != Phase::Steady || !settled(self.steady.since) {
            return;
        }
        if self.aside.is_some_and(|(since, away)| away || !settled(since)) {
            return;
        }
        let reading = self.steady.sensors.entry(sensor).or_insert(Reading {
            moments: Moments::default(),
            first: (t, value),
            last: (t, value),
        });
        if self.aside.is_some_and(|(back, _)| reading.last.0 < back) {
            // A counter ran on meanwhile: what it counts from here on is the network's again.
            reading.first = (t, value);
        }
        reading.moments.add(value);
        reading.last = (t, value);
        if quantity == Quantity::PowerInstant {
            self.steady.power_readings += 1;
            self.steady.throttled += u64::from(throttled);
        }
    }
}

/// What a run came to: the figures of a table row, a plot's point and a record.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// Its number.
    pub run: RunId,
    /// What was measured.
    pub config: Config,
    /// Batches counted, all of them steady.
    pub batches: u64,
    /// Time that they took. s.
    pub seconds: f64,
    /// The weights of its network, where the stream says.
    pub weights: Option<Weights>,
    /// Whether its batches replayed a captured graph, where the stream says.
    pub graph: Option<Graph>,
    /// How its warm-up ended.
    pub warm_up: Option<WarmUp>,
    /// Device-synchronised wall latency of one batch. ms.
    pub latency_ms: Percentiles,
    /// Device time of one batch by the device's own clock, of those batches that it timed. ms.
    pub device_ms: Option<Percentiles>,
    /// Images a second, gaps between batches included.
    pub images_per_s: f64,
    /// Operations a second over the peak measured on the device, %; 2 operations a multiply-accumulate.
    pub flop_utilisation: Option<f64>,
    /// Utilisation of the device while steady, %.
    pub utilisation: Option<f64>,
    /// Processor time of everybody but the engine while steady, % of all processors; of the CPU only, since a card's driver
    /// names the processes instead.
    pub others: Option<f64>,
    /// Power while steady; absent with the reason.
    pub power: Result<Power, String>,
    /// Memory held.
    pub memory: Memory,
    /// Memory in use on the device by everybody at the end, bytes.
    pub device_memory_used: Option<u64>,
    /// Share of the power readings taken while the card was throttled.
    pub throttled: Option<f64>,
}

/// Share of all processors from which on others are said to disturb a run, %: wattscope itself, its screen included, stays
/// below it on two cores.
pub const CROWD: f64 = 10.0;

impl RunResult {
    /// What others took of the processors, %, where it was enough to be in the figures.
    pub fn crowd(&self) -> Option<f64> {
        self.others.filter(|share| *share >= CROWD)
    }
}

/// Power and energy of a steady phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    /// The sensor that read it.
    pub sensor: String,
    /// How its value came about, where it is not a plain reading.
    pub method: Option<String>,
    /// Mean over the steady phase, settling left out. W.
    pub gross_w: f64,
    /// Standard deviation of the readings. W.
    pub deviation_w: f64,
    /// Readings.
    pub readings: u64,
    /// Mean before the engine started. W.
    pub idle_w: Option<f64>,
    /// Gross minus idle. W.
    pub net_w: Option<f64>,
    /// Energy an image, gross. J.
    pub joules_per_image: f64,
    /// Where the energy comes from: `energy counter` or `mean power × time`.
    pub energy_source: String,
}
