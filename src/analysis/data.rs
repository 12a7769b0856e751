//! Observations, on which findings are based: a run with the facts of its network and the limits of its device.

use super::figure::Point;
use crate::{
    event::{Config, NetworkFacts},
    session::{RunResult, State, run::Power},
};
use std::collections::{BTreeMap, BTreeSet};

/// Share of the power cap above which a card counts as limited by it: its firmware keeps it just below the cap.
const AT_THE_CAP: f64 = 0.97;

/// Share of throttled readings above which a run counts as throttled.
const THROTTLED: f64 = 0.5;

/// Relative error that is assumed of the median of a few batches, which has no interval.
pub const FEW_BATCHES: f64 = 0.1;

/// A run, its network and its device.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The result.
    pub result: &'a RunResult,
    /// Static facts about its network, where they were read.
    pub facts: Option<&'a NetworkFacts>,
    /// Power limit of its device, W.
    pub cap_w: Option<f64>,
}

/// Power limits of the devices that these runs were measured on.
pub fn power_caps(results: &[RunResult], state: &State) -> BTreeMap<String, f64> {
    let devices = results.iter().map(|r| r.config.device.as_str()).collect::<BTreeSet<_>>();
    devices.into_iter().filter_map(|d| Some((d.to_owned(), state.power_cap(d)?))).collect()
}

/// Joins runs with what is known about their networks, by id, and with power limits, by device.
pub fn observations<'a>(
    results: &'a [RunResult],
    networks: &'a BTreeMap<String, NetworkFacts>,
    caps: &BTreeMap<String, f64>,
) -> Vec<Observation<'a>> {
    let of = |result: &'a RunResult| Observation {
        result,
        facts: networks.get(&result.config.network),
        cap_w: caps.get(&result.config.device).copied(),
    };
    results.iter().map(of).collect()
}

impl<'a> Observation<'a> {
    /// Its configuration.
    pub fn config(&self) -> &'a Config {
        &self.result.config
    }

    /// Name of the network as printed.
    pub fn title(&self) -> &'a str {
        self.facts.map_or(self.config().network.as_str(), |f| f.title.as_str())
    }

    /// Family of the network; its own id where it is not known.
    pub fn family(&self) -> &'a str {
        let known = self.facts.map(|f| f.family.as_str()).filter(|f| !f.is_empty());
        known.unwrap_or(self.config().network.as_str())
    }

    /// Power, where it was read.
    pub fn power(&self) -> Option<&'a Power> {
        self.result.power.as_ref().ok()
    }

    /// Time per image, ms.
    pub fn ms_per_image(&self) -> Option<f64> {
        let rate = self.result.images_per_s;
        (rate > 0.0 && rate.is_finite()).then(|| 1e3 / rate)
    }

    /// Relative error of its time within the run; [`FEW_BATCHES`] where too few batches were measured to tell.
    pub fn error(&self) -> f64 {
        self.result.latency_ms.relative_confidence().unwrap_or(FEW_BATCHES)
    }

    /// Published top-1 accuracy, per cent.
    pub fn top1(&self) -> Option<f64> {
        self.facts?.top1
    }

    /// Operations per image by the paper's rule, in units of 10⁹.
    pub fn giga_ops(&self) -> Option<f64> {
        self.facts.map(|f| f.ops as f64 / 1e9).filter(|g| *g > 0.0)
    }

    /// Values that convolutions and linear layers write per image, in units of 10⁶.
    pub fn mega_activations(&self) -> Option<f64> {
        self.facts.map(|f| f.activations as f64 / 1e6).filter(|a| *a > 0.0)
    }

    /// Parameters, in units of 10⁶.
    pub fn mega_params(&self) -> Option<f64> {
        self.facts.map(|f| f.params as f64 / 1e6).filter(|p| *p > 0.0)
    }

    /// Least memory traffic per image of any implementation, MB: outputs of convolutions and linear layers are written once
    /// and read once, and parameters are read once per batch.
    pub fn megabytes(&self) -> Option<f64> {
        let (values, params) = (2.0 * self.mega_activations()?, self.mega_params()?);
        let batch = f64::from(self.config().batch.max(1));
        Some((values + params / batch) * self.config().precision.bytes() as f64)
    }

    /// Memory, bytes: reserved by the allocator, or else the closest quantity that is known.
    pub fn memory_bytes(&self) -> Option<u64> {
        let memory = &self.result.memory;
        memory.reserved.or(memory.in_use).or(self.result.device_memory_used).or(memory.resident)
    }

    /// Whether the power cap limited the card: power was just below it, or clocks were lowered most of the time.
    pub fn capped(&self) -> bool {
        let at_cap = self.power().zip(self.cap_w).is_some_and(|(p, cap)| p.gross_w >= AT_THE_CAP * cap);
        at_cap || self.result.throttled.is_some_and(|share| share >= THROTTLED)
    }

    /// The observation as a point of a figure.
    pub fn point(&self, x: f64, y: f64) -> Point {
        let config = self.config();
        Point {
            x,
            y,
            network: config.network.clone(),
            title: self.title().to_owned(),
            family: self.family().to_owned(),
            batch: config.batch,
            precision: config.precision,
            device: config.device.clone(),
            run: self.result.run,
        }
    }
}
