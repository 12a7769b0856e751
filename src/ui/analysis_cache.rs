//! The analysis of the results, cached from frame to frame: it takes milliseconds, frames are drawn ten times a second, and
//! the CPU time is taken from what is being measured.

use crate::{
    analysis::{
        data::{Observation, observations, power_caps},
        findings::{Finding, findings},
        plateau::{At, Course, course},
    },
    event::{Config, Precision, RunId},
    session::State,
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// A quantity whose shape against batch size is analysed: does it rise, or reach a plateau?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Images a second.
    Throughput,
    /// Gross power.
    Power,
    /// The driver's utilisation.
    Utilisation,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Throughput, Self::Power, Self::Utilisation];

    fn of(self, o: &Observation<'_>) -> Option<f64> {
        match self {
            Self::Throughput => Some(o.result.images_per_s),
            Self::Power => o.power().map(|p| p.gross_w),
            Self::Utilisation => o.result.utilisation,
        }
    }

    fn course(self, points: &[At]) -> Course {
        let mut course = course(points);
        if let (Self::Utilisation, Some((_, interval))) = (self, &mut course.level) {
            // The fit is unbounded, the quantity is not.
            interval.high = interval.high.min(100.0);
        }
        course
    }

    fn at(self, o: &Observation<'_>) -> Option<At> {
        let error = if self == Self::Throughput { o.error() } else { 0.0 };
        let capped = self == Self::Power && o.capped();
        Some(At { batch: o.config().batch, value: self.of(o)?, error, capped })
    }
}

/// The analysis of a device in a precision.
#[derive(Debug)]
pub struct Analysis {
    /// The four findings.
    pub findings: [Finding; 4],
    /// The shape of each quantity against batch size, of one network.
    pub courses: BTreeMap<Quantity, Course>,
}

impl Analysis {
    /// Analyses the results on a configuration's device in its precision, and the shapes of its network among them.
    pub fn of(state: &State, config: &Config) -> Self {
        let results = state.all_results();
        let caps = power_caps(&results, state);
        let data = observations(&results, &state.networks, &caps);
        let same =
            |c: &Config| (&c.network, &c.device, c.precision) == (&config.network, &config.device, config.precision);
        let own: Vec<_> = data.iter().filter(|o| same(o.config())).collect();
        let course = |quantity: Quantity| {
            let points: Vec<At> = own.iter().filter_map(|o| quantity.at(o)).collect();
            (quantity, quantity.course(&points))
        };
        Self {
            findings: findings(&data, &config.device, config.precision),
            courses: Quantity::ALL.into_iter().map(course).collect(),
        }
    }
}

/// What an analysis depends on.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    network: String,
    device: String,
    precision: Precision,
    results: usize,
    networks: usize,
    run: Option<RunId>,
    age: u64,
}

/// A number that changes when the result of the run in progress may have changed: with every doubling of its steady time at
/// first, every 8 s later. Not with every batch, so that the analysis takes no CPU time from the measurement.
fn age(state: &State) -> u64 {
    let Some(run) = &state.run else { return 0 };
    let seconds = run.steady.span_ns / 1_000_000_000;
    let counted = u64::from(run.steady.batches > 0) + u64::from(run.steady.power_readings > 0);
    counted + if seconds < 8 { u64::from((seconds + 1).ilog2()) } else { seconds / 8 + 2 }
}

/// The newest analysis.
#[derive(Debug, Default)]
pub struct AnalysisCache(RefCell<Option<(Key, Rc<Analysis>)>>);

impl AnalysisCache {
    /// The analysis of what a state holds; computed only where it may have changed since the last call.
    pub fn get(&self, state: &State, config: &Config) -> Rc<Analysis> {
        let key = Key {
            network: config.network.clone(),
            device: config.device.clone(),
            precision: config.precision,
            results: state.results.len(),
            networks: state.networks.len(),
            run: state.run.as_ref().map(|r| r.id),
            age: age(state),
        };
        if let Some((_, analysis)) = self.0.borrow().as_ref().filter(|(known, _)| *known == key) {
            return Rc::clone(analysis);
        }
        let analysis = Rc::new(Analysis::of(state, config));
        *self.0.borrow_mut() = Some((key, Rc::clone(&analysis)));
        analysis
    }
}
