//! A finding: a claim, the verdict of the data on it, and what the verdict is based on.

use crate::analysis::{data::Observation, distribution::Interval, figure::Figure, stats::median};
use std::collections::BTreeMap;

/// Least number of networks for a statement about networks.
pub const FEWEST_NETWORKS: usize = 3;

/// Least number of networks for a comparison of curves, as the criterion requires.
pub const FEWEST_FOR_CURVES: usize = 6;

/// The verdict of the data on a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The data agrees with it.
    Supported,
    /// The data contradicts it.
    Contradicted,
    /// The data is compatible with both.
    Undecided {
        /// The data that would decide it, as a noun phrase: `2 more networks`.
        needs: String,
    },
}

impl Verdict {
    /// The word that is printed.
    pub const fn words(&self) -> &'static str {
        match self {
            Self::Supported => "supported",
            Self::Contradicted => "contradicted",
            Self::Undecided { .. } => "undecided",
        }
    }

    /// The data that would decide it, where it is undecided.
    pub fn needs(&self) -> Option<&str> {
        match self {
            Self::Undecided { needs } => Some(needs),
            _ => None,
        }
    }

    pub(super) fn undecided(needs: impl Into<String>) -> Self {
        Self::Undecided { needs: needs.into() }
    }
}

/// An estimate that a verdict is based on.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// Its 95 % interval, where it has one.
    pub interval: Option<Interval>,
    /// Its unit; empty for a plain number.
    pub unit: &'static str,
    /// The paper's value.
    pub paper: Option<f64>,
}

impl Estimate {
    pub(super) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, interval: None, unit, paper: None }
    }

    pub(super) fn within(mut self, interval: Interval) -> Self {
        self.interval = Some(interval);
        self
    }

    pub(super) fn beside(mut self, paper: f64) -> Self {
        self.paper = Some(paper);
        self
    }
}

/// A claim of the paper and the verdict on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// 1 to 4, in the order of the paper's abstract.
    pub number: u8,
    /// Its topic, in a few words.
    pub title: &'static str,
    /// The claim of the paper.
    pub claim: &'static str,
    /// The configurations that the data comes from.
    pub scope: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The verdict in a sentence with its numbers, or why there is none.
    pub says: String,
    /// Number of measurements that the verdict is based on.
    pub n: usize,
    /// The estimates that the verdict is based on.
    pub estimates: Vec<Estimate>,
    /// The figures, the main one first; without points where there is no data.
    pub figures: Vec<Figure>,
}

impl Finding {
    pub(super) fn new(number: u8, title: &'static str, claim: &'static str, scope: String) -> Self {
        let (verdict, says) = (Verdict::undecided(""), String::new());
        Self { number, title, claim, scope, verdict, says, n: 0, estimates: Vec::new(), figures: Vec::new() }
    }

    /// The finding as undecided: it needs more data.
    pub(super) fn needs(mut self, needs: impl Into<String>, says: impl Into<String>) -> Self {
        self.verdict = Verdict::undecided(needs);
        self.says = says.into();
        self
    }
}

/// One run per network at a batch size: the one with the median time. The accuracy of a network is one number, however often
/// its time was measured.
pub(super) fn per_network<'a>(data: &[Observation<'a>], batch: Option<u32>) -> Vec<Observation<'a>> {
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
pub(super) fn more(n: usize, what: &str) -> String {
    if n == 1 { format!("1 more {what}") } else { format!("{n} more {what}s") }
}

/// Number of further values with which an interval no longer contains its threshold; none up to 40.
pub(super) fn until(n: usize, clear: impl Fn(usize) -> bool) -> Option<usize> {
    (n + 1..=n + 40).find(|n| clear(*n)).map(|wanted| wanted - n)
}
