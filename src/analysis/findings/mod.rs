//! The four findings of Canziani, Paszke and Culurciello (2016) as questions to what was measured here.
//!
//! A verdict is never stronger than its data: it is read off intervals, and an interval that straddles its threshold is
//! undecided and says what would decide it. Every threshold is a constant with its reason, so that a reader can disagree.

mod budget;
mod energy;
mod hyperbola;
mod operations;
mod power;

pub use budget::{Affordable, affordable};

use super::{data::Observation, distribution::Interval, figure::Figure, stats::median};
use crate::event::Precision;
use std::collections::{BTreeMap, BTreeSet};

/// Networks below which nothing is said about networks.
pub const FEWEST_NETWORKS: usize = 3;

/// Networks below which curves through networks are not compared: the criterion needs them.
pub const FEWEST_FOR_CURVES: usize = 6;

/// What the data says about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was measured agrees.
    Supported,
    /// What was measured disagrees.
    Contradicted,
    /// What was measured is compatible with both.
    Undecided {
        /// What would decide it: a noun phrase, `2 more networks`.
        needs: String,
    },
}

impl Verdict {
    /// As printed.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Contradicted => "contradicted",
            Self::Undecided { .. } => "undecided",
        }
    }

    /// What would decide it, where it is undecided.
    pub fn needs(&self) -> Option<&str> {
        match self {
            Self::Undecided { needs } => Some(needs),
            _ => None,
        }
    }

    fn undecided(needs: impl Into<String>) -> Self {
        Self::Undecided { needs: needs.into() }
    }
}

/// A number behind a verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its 95 % interval, where it has one.
    pub interval: Option<Interval>,
    /// Its unit; empty for a plain number.
    pub unit: &'static str,
    /// What the paper has in its place.
    pub paper: Option<f64>,
}

impl Estimate {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, interval: None, unit, paper: None }
    }

    fn within(mut self, interval: Interval) -> Self {
        self.interval = Some(interval);
        self
    }

    fn beside(mut self, paper: f64) -> Self {
        self.paper = Some(paper);
        self
    }
}

/// A claim of the paper and what was measured about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// 1 to 4, as the paper's abstract counts them.
    pub number: u8,
    /// What it is about, in a word or two.
    pub title: &'static str,
    /// What the paper found.
    pub claim: &'static str,
    /// Which configurations the data is of.
    pub scope: String,
    /// What the data says.
    pub verdict: Verdict,
    /// The same in a sentence with its numbers, or why there are none.
    pub says: String,
    /// Points that the verdict rests on.
    pub n: usize,
    /// The numbers behind the verdict.
    pub estimates: Vec<Estimate>,
    /// The figures, the main one first; without data, without points.
    pub figures: Vec<Figure>,
}

impl Finding {
    fn new(number: u8, title: &'static str, claim: &'static str, scope: String) -> Self {
        let (verdict, says) = (Verdict::undecided(""), String::new());
        Self { number, title, claim, scope, verdict, says, n: 0, estimates: Vec::new(), figures: Vec::new() }
    }

    /// The same, for want of `needs`.
    fn needs(mut self, needs: impl Into<String>, says: impl Into<String>) -> Self {
        self.verdict = Verdict::undecided(needs);
        self.says = says.into();
        self
    }
}

/// The four findings over what was measured on one device in one precision: two cards, or two kinds of arithmetic, in
/// one verdict would compare what the paper did not. Other precisions of the same device are shown beside it.
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

/// The batch size at which most networks were measured, the larger one of two.
pub fn common_batch(data: &[Observation<'_>]) -> Option<u32> {
    let mut networks: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    for o in data {
        networks.entry(o.config().batch).or_default().insert(&o.config().network);
    }
    networks.iter().max_by_key(|(batch, ids)| (ids.len(), **batch)).map(|(batch, _)| *batch)
}

/// One run a network at that batch size, its accuracy being one number however often it was measured: the run whose time
/// is the median of all.
fn per_network<'a>(data: &[Observation<'a>], batch: Option<u32>) -> Vec<Observation<'a>> {
    let mut networks: BTreeMap<&str, Vec<Observation<'a>>> = BTreeMap::new();
    for o in data.iter().filter(|o| Some(o.config().batch) == batch) {
        networks.entry(&o.config().network).or_default().push(*o);
    }
    let median_of = |runs: Vec<Observation<'a>>| {
        let middle = median(runs.iter().filter_map(Observation::ms_per_image))?;
        let distance = |o: &Observation<'_>| o.ms_per_image().map_or(f64::INFINITY, |ms| (ms - middle).abs());
        runs.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    networks.into_values().filter_map(median_of).collect()
}

/// `1 more network`, `3 more networks`.
fn more(n: usize, what: &str) -> String {
    if n == 1 { format!("1 more {what}") } else { format!("{n} more {what}s") }
}

/// Fewest more values from which an interval that shrinks as they grow would no longer straddle; none within reason.
fn until(n: usize, clear: impl Fn(usize) -> bool) -> Option<usize> {
    (n + 1..=n + 40).find(|n| clear(*n)).map(|wanted| wanted - n)
}

#[cfg(test)]
mod tests;
