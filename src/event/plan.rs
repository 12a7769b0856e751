//! The plan of a sweep, and the outcome of each of its steps.

use super::config::{Config, Precision};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a sweep measures, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Every configuration once, in the order in which they were asked for.
    pub configs: Vec<Config>,
    /// Rounds: each one measures every configuration.
    pub repeat: u32,
    /// Seed of the random order; absent where the rounds follow the order of `configs`.
    pub seed: Option<u64>,
    /// What each step measures: indices into `configs`, round after round.
    pub order: Vec<u32>,
    /// Time of steady batches of each configuration, s.
    pub seconds: f64,
    /// Time that the engine rests between two steps, s.
    pub cooldown_s: f64,
    /// The part of the steps that this plan covers, as (index, count): every `count`-th step from `index` on. All steps
    /// where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<(u32, u32)>,
    /// Whether the steps are distributed over several stations, each of which has the same plan and does some of them.
    #[serde(rename = "dealt", default, skip_serializing_if = "is_false")]
    pub distributed: bool,
}

// serde passes a reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Plan {
    /// How many steps it has: rounds times configurations.
    pub fn steps(&self) -> usize {
        self.order.len()
    }

    /// The configuration of a step; none beyond the last one.
    pub fn config(&self, step: usize) -> Option<&Config> {
        self.configs.get(*self.order.get(step)? as usize)
    }

    /// The round that a step belongs to, from 1.
    pub fn round(&self, step: usize) -> u32 {
        1 + (step / self.configs.len().max(1)) as u32
    }

    /// Whether a step belongs to this shard.
    pub fn has(&self, step: usize) -> bool {
        self.shard.is_none_or(|(index, count)| step % count.max(1) as usize == index as usize)
    }

    /// Whether other stations or processes do some of its steps.
    pub const fn is_shared(&self) -> bool {
        self.distributed || self.shard.is_some()
    }

    /// Whether it is the same sweep as another, on any device and with any distribution of the steps.
    ///
    /// # Errors
    /// Says what differs: what is here, and what is there.
    pub fn is_like(&self, other: &Self) -> Result<(), Vec<String>> {
        let pairs = self.properties().into_iter().zip(other.properties());
        let differ = pairs.filter(|((_, here), (_, there))| here != there);
        let mut differences: Vec<String> =
            differ.map(|((name, here), (_, there))| format!("{name} {here} here, {there} there")).collect();
        let same = || self.configs.len() == other.configs.len() && self.order == other.order;
        let alike = || self.configs.iter().zip(&other.configs).all(|(a, b)| but_device(a) == but_device(b));
        if differences.is_empty() && !(same() && alike()) {
            differences.push("another order of the same".to_owned());
        }
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    /// Its properties in words, apart from the device.
    fn properties(&self) -> [(&'static str, String); 7] {
        let list = |of: fn(&Config) -> String| {
            let all: BTreeSet<String> = self.configs.iter().map(of).collect();
            all.iter().map(|s| s.trim()).collect::<Vec<_>>().join(",")
        };
        [
            ("networks", list(|c| c.network.clone())),
            // Padded, so that they sort as numbers.
            ("batch sizes", list(|c| format!("{:>9}", c.batch))),
            ("precisions", list(|c| c.precision.to_string())),
            ("rounds:", self.repeat.to_string()),
            ("seconds:", self.seconds.to_string()),
            ("cooldown:", format!("{} s", self.cooldown_s)),
            ("order", self.seed.map_or_else(|| "as given".to_owned(), |seed| format!("of seed {seed}"))),
        ]
    }

    /// The same plan on another device.
    #[must_use]
    pub fn on(mut self, device: &str) -> Self {
        self.configs.iter_mut().for_each(|config| device.clone_into(&mut config.device));
        self
    }
}

/// A configuration without its device.
fn but_device(config: &Config) -> (&str, u32, Precision) {
    (&config.network, config.batch, config.precision)
}

/// The outcome of a step of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured: the run in progress is its result.
    Measured,
    /// It can't run.
    Failed {
        /// Why.
        reason: String,
        /// Whether the device ran out of memory.
        out_of_memory: bool,
        /// Bytes asked for, where the device said.
        requested_bytes: Option<u64>,
    },
    /// It was not tried.
    Skipped {
        /// Why.
        reason: String,
    },
}
