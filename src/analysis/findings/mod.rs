//! The four findings of Canziani, Paszke and Culurciello (2016), tested on the measurements.
//!
//! A verdict is never stronger than its data: it follows from intervals, and an interval that contains its threshold is
//! undecided and says which data would decide it. Every threshold is a constant with its reason, so that a reader can disagree.

mod budget;
mod energy;
mod finding;
mod hyperbola;
mod operations;
mod power;

pub use budget::{Affordable, affordable};
pub use finding::{Estimate, FEWEST_FOR_CURVES, FEWEST_NETWORKS, Finding, Verdict};

use super::data::Observation;
use crate::event::Precision;
use finding::per_network;
use std::collections::{BTreeMap, BTreeSet};

/// The four findings on one device in one precision: the paper had one device and one precision, and mixing several would
/// compare something else. Other precisions of the same device are shown beside it.
pub fn findings(data: &[Observation<'_>], device: &str, precision: Precision) -> [Finding; 4] {
    let here: Vec<_> = data.iter().copied().filter(|o| o.config().device == device).collect();
    let of: Vec<_> = here.iter().copied().filter(|o| o.config().precision == precision).collect();
    let setting = format!("{precision} on {device}");
    let batch = common_batch(&of);
    let fixed = batch.map_or_else(|| setting.clone(), |batch| format!("batch {batch}, {setting}"));
    let same = per_network(&of, batch);
    [
        power::finding(&of, setting),
        hyperbola::finding(&same, fixed.clone()),
        energy::finding(&same, fixed.clone()),
        operations::finding(&same, &here, fixed),
    ]
}

/// The batch size at which most networks were measured; of two the larger one.
pub fn common_batch(data: &[Observation<'_>]) -> Option<u32> {
    let mut networks: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for o in data {
        networks.entry(o.config().batch).or_default().insert(&o.config().network);
    }
    networks.iter().max_by_key(|(batch, ids)| (ids.len(), **batch)).map(|(batch, _)| *batch)
}

#[cfg(test)]
mod tests;
