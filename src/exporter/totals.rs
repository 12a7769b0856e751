//! What a scrape is answered from: the states of all stations, and counters beside them.

use crate::{
    event::{Batches, Body, Config, Event, Phase, StationId, Tagged},
    session::{Fleet, State},
};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Latency buckets: first upper bound in s, factor, count; 0.1 ms to 13 s.
const BUCKETS: (f64, f64, u16) = (1e-4, 2.0, 18);

/// Upper bound on the configurations that are counted: a day of interactive use has fewer, and every one costs the collector.
const CONFIGS: usize = 1_000;

/// The metrics, shared with the server's thread.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Totals>);

/// The states of all stations, as on the screen, and counters beside them.
#[derive(Debug, Default)]
pub struct Totals {
    /// The states of all stations.
    pub fleet: Fleet,
    /// Counters by station.
    pub counts: BTreeMap<StationId, Counts>,
}

/// Counters of one station.
#[derive(Debug, Default)]
pub struct Counts {
    /// Steady batches by configuration.
    pub counted: BTreeMap<Config, Counted>,
    /// Engine processes that died.
    pub engine_deaths: u64,
    /// Batches that ran out of memory.
    pub out_of_memory: u64,
}

/// Steady batches of one configuration.
#[derive(Debug)]
pub struct Counted {
    /// Wall latency, s.
    pub latency: Histogram,
    /// Number of images.
    pub images: u64,
}

impl Default for Counted {
    fn default() -> Self {
        let (first, factor, length) = BUCKETS;
        Self { latency: Histogram::new(exponential_buckets(first, factor, length)), images: 0 }
    }
}

impl Metrics {
    /// The totals. A poisoned lock is ignored: a panic leaves nothing half-written in them.
    pub fn lock(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    /// Folds an event in.
    pub fn apply(&mut self, tagged: &Tagged) {
        self.fleet.apply(tagged);
        let Some(state) = self.fleet.get(tagged.station.into()) else { return };
        self.counts.entry(tagged.station).or_default().apply(state, &tagged.event);
    }
}

impl Counts {
    /// Counts an event that was folded into `state`.
    fn apply(&mut self, state: &State, event: &Event) {
        match &event.body {
            Body::Batches(batches) if batches.steady => self.count(state, batches),
            Body::EngineDied { .. } => self.engine_deaths += 1,
            Body::OutOfMemory { .. } => self.out_of_memory += 1,
            _ => {}
        }
    }

    fn count(&mut self, state: &State, batches: &Batches) {
        let Some(run) = state.run.as_ref().filter(|run| run.id == batches.run) else { return };
        if run.phase != Phase::Steady || (self.counted.len() >= CONFIGS && !self.counted.contains_key(&run.config)) {
            return;
        }
        let counted = self.counted.entry(run.config.clone()).or_default();
        counted.images += batches.wall_ns.len() as u64 * u64::from(run.config.batch);
        batches.wall_ns.iter().for_each(|ns| counted.latency.observe(*ns as f64 / 1e9));
    }
}
