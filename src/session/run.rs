//! A run: one configuration, the statistics of its steady batches and of the sensors read meanwhile, and its result.

use crate::{
    analysis::stats::{Moments, Percentiles},
    event::{
        Batches, Compiling, Config, Graph, Memory, Nanos, Phase, PhaseChange, Quantity, RunId, SensorId, WarmUp,
        Weights,
    },
};
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, btree_map::Entry};

/// Beginning of a steady phase in which readings do not count, because power still rises to its level: sensors that average
/// over a quarter of every 100 ms, and boards with large capacitors, take that long (arXiv 2312.02741). ns.
pub const SETTLING: Nanos = 1_000_000_000;

/// A run in progress or just ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Its configuration.
    pub config: Config,
    /// Its phase.
    pub phase: Phase,
    /// When it entered that phase.
    pub phase_since: Nanos,
    /// How its warm-up ended.
    pub warm_up: Option<WarmUp>,
    /// Batches of the warm-up, which do not count.
    pub warm_up_batches: u64,
    /// The weights of its network, once it is built.
    pub weights: Option<Weights>,
    /// How far its kernels are compiled and tuned, where that was told.
    pub compiling: Option<Compiling>,
    /// Whether its batches replay a captured graph, once that is decided.
    pub graph: Option<Graph>,
    /// Memory it holds.
    pub memory: Memory,
    /// When the engine last began or ended to measure layers between batches, and whether it is measuring them now.
    pub aside: Option<(Nanos, bool)>,
    /// The statistics of its steady phase.
    pub steady: Steady,
}

/// Statistics since a run became steady, or since they were reset.
#[derive(Clone, Debug, PartialEq)]
pub struct Steady {
    /// When counting began.
    pub since: Nanos,
    /// End of the last batch counted.
    pub until: Nanos,
    /// Number of batches.
    pub batches: u64,
    /// Time of the batches, gaps between them included. ns.
    pub span_ns: u64,
    /// Wall latency of the batches. ns.
    pub wall: Histogram<u64>,
    /// Device time of the batches that the device's own clock timed. ns.
    pub device: Histogram<u64>,
    /// Readings of each sensor after power has settled.
    pub sensors: BTreeMap<SensorId, Reading>,
    /// Power readings that were taken while the card was throttled.
    pub throttled: u64,
    /// Power readings.
    pub power_readings: u64,
}

/// The readings of a sensor during the steady phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Mean and standard deviation.
    pub moments: Moments,
    /// Last value and its time.
    last: (Nanos, f64),
    /// Increase of the value, and the time in which it increased, over all pairs of successive readings that belong to the
    /// run. For an energy counter: J, ns.
    increase: (f64, Nanos),
    /// Whether the sensor was lost since the last reading.
    lost: bool,
}

impl Reading {
    /// A first reading.
    fn first(t: Nanos, value: f64) -> Self {
        Self { moments: [value].into_iter().collect(), last: (t, value), increase: (0.0, 0), lost: false }
    }

    /// A further reading. If the run was interrupted or the sensor lost between the two, the increase in between does not
    /// count.
    fn add(&mut self, t: Nanos, value: f64, interrupted: bool) {
        self.moments.add(value);
        let (before, was) = std::mem::replace(&mut self.last, (t, value));
        // A counter that has decreased was reset.
        if !interrupted && !std::mem::take(&mut self.lost) && value >= was {
            self.increase.0 += value - was;
            self.increase.1 += t.saturating_sub(before);
        }
    }

    /// Mean power by an energy counter, W, and the time over which it was read, s; none where the counter has not advanced, or
    /// was read for less than half a second.
    pub fn counted(&self) -> Option<(f64, f64)> {
        let (joules, span) = self.increase;
        let seconds = span as f64 / 1e9;
        (seconds >= 0.5 && joules > 0.0).then(|| (joules / seconds, seconds))
    }
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

    /// Images/s, gaps between batches included; none before the first batch.
    pub fn images_per_s(&self, batch: u32) -> Option<f64> {
        (self.span_ns > 0).then(|| self.batches as f64 * f64::from(batch) / (self.span_ns as f64 / 1e9))
    }
}

/// A histogram of times up to an hour, to three digits. ns.
#[expect(clippy::expect_used)]
fn histogram() -> Histogram<u64> {
    // Cannot fail: the crate requires low < high / 2 and at most 5 digits.
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("constant bounds")
}

/// Records times. Equal ones in a row are recorded at once, since reports of fast batches consist mostly of them.
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
            compiling: None,
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

    /// Drops the statistics and starts again at `t`.
    pub fn reset(&mut self, t: Nanos) {
        self.steady = Steady::new(t);
    }

    /// Counts batches that ended at `t`. Returns false for batches that began before a reset or a pause, which do not count.
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

    /// The engine begins (`away`) or ends to measure layers. Readings do not count until power has settled again after that.
    pub fn step_aside(&mut self, t: Nanos, away: bool) {
        self.aside = Some((t, away));
    }

    /// Takes note that sensors were lost. What an energy counter advances until they are read again does not count.
    pub fn lose(&mut self, sensors: &[SensorId]) {
        for sensor in sensors {
            if let Some(reading) = self.steady.sensors.get_mut(sensor) {
                reading.lost = true;
            }
        }
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
        match self.steady.sensors.entry(sensor) {
            Entry::Vacant(entry) => _ = entry.insert(Reading::first(t, value)),
            Entry::Occupied(mut entry) => {
                // An energy counter has advanced while layers were measured.
                let interrupted = self.aside.is_some_and(|(back, _)| entry.get().last.0 < back);
                entry.get_mut().add(t, value, interrupted);
            }
        }
        if quantity == Quantity::PowerInstant {
            self.steady.power_readings += 1;
            self.steady.throttled += u64::from(throttled);
        }
    }
}

/// The result of a run: a row of a table, a point of a plot, a record.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// Its number.
    pub run: RunId,
    /// Its configuration.
    pub config: Config,
    /// Number of steady batches.
    pub batches: u64,
    /// Time of the steady batches. s.
    pub seconds: f64,
    /// The weights of its network, where the stream has them.
    pub weights: Option<Weights>,
    /// Whether its batches replayed a captured graph, where the stream says so.
    pub graph: Option<Graph>,
    /// How its warm-up ended.
    pub warm_up: Option<WarmUp>,
    /// Device-synchronised wall latency of one batch. ms.
    pub latency_ms: Percentiles,
    /// Device time of one batch, by the device's own clock, over the batches that it timed. ms.
    pub device_ms: Option<Percentiles>,
    /// Images/s, gaps between batches included.
    pub images_per_s: f64,
    /// FLOP utilisation: operations/s over the measured peak, 2 operations per multiply-accumulate. %.
    pub flop_utilisation: Option<f64>,
    /// Utilisation of the device in the steady phase. %.
    pub utilisation: Option<f64>,
    /// Processor time of all processes but the engine in the steady phase, % of all processors. Only for the CPU: a card's
    /// driver names the processes instead.
    pub others: Option<f64>,
    /// Power in the steady phase, or why it is not known.
    pub power: Result<Power, String>,
    /// Memory of the engine.
    pub memory: Memory,
    /// Memory in use on the device by all processes at the end, bytes.
    pub device_memory_used: Option<u64>,
    /// Share of the power readings that were taken while the card was throttled, 0 to 1. On the CPU under a limit of
    /// processor time the share of its periods in which it ran out.
    pub throttled: Option<f64>,
}

/// Share of all processors above which other processes are reported as a disturbance, %. wattscope itself, its screen
/// included, stays below it on two cores.
pub const CROWD: f64 = 10.0;

impl RunResult {
    /// Share of the processors that other processes took, %, where it is large enough to be visible in the figures.
    pub fn crowd(&self) -> Option<f64> {
        self.others.filter(|share| *share >= CROWD)
    }
}

/// Power and energy of a steady phase.
#[derive(Clone, Debug, PartialEq)]
pub struct Power {
    /// The sensor.
    pub sensor: String,
    /// How the sensor's value is obtained, where it is not a plain reading.
    pub method: Option<String>,
    /// Why sensors that would precede it in the rank could not be read.
    pub in_place_of: Vec<String>,
    /// Mean over the steady phase without settling: the difference of the energy counter over its time, where the sensor is
    /// derived from a counter, otherwise the mean of the readings. W.
    pub gross_w: f64,
    /// Time between the first and the last reading of the energy counter, where the mean is its difference. s.
    pub counted_s: Option<f64>,
    /// Standard deviation of the readings; none of a single one. W.
    pub deviation_w: Option<f64>,
    /// Number of readings.
    pub readings: u64,
    /// Mean before the engine started. W.
    pub idle_w: Option<f64>,
    /// Gross minus idle. W.
    pub net_w: Option<f64>,
    /// Gross energy per image. J.
    pub joules_per_image: f64,
    /// Source of the energy: `energy counter` or `mean power × time`.
    pub energy_source: String,
}
