//! What the analysis made of the results, kept from frame to frame: it takes milliseconds, and a frame is drawn ten times
//! a second beside what is being measured.

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

/// A quantity whose shape against batch size is looked for.
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
            // The fit knows no bound; the quantity does.
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

/// What the analysis says about a device in a precision.
#[derive(Debug)]
pub struct Insight {
    /// The four findings.
    pub findings: [Finding; 4],
    /// The shape of each quantity of the network against batch size.
    pub courses: BTreeMap<Quantity, Course>,
}

impl Insight {
    /// Analyses what a state holds about a configuration's device and precision, and about its network there.
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

/// What an insight depends on.
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

/// A number that changes when the run in progress has come to say something else: with every doubling of its steady time
/// at first, later every few seconds. Its every batch is no news, and the analysis must not take part in what is measured.
fn age(state: &State) -> u64 {
    let Some(run) = &state.run else { return 0 };
    let seconds = run.steady.span_ns / 1_000_000_000;
    let counted = u64::from(run.steady.batches > 0) + u64::from(run.steady.power_readings > 0);
    counted + if seconds < 8 { u64::from((seconds + 1).ilog2()) } else { seconds / 8 + 2 }
}

/// The newest insight.
#[derive(Debug, Default)]
pub struct Memo(RefCell<Option<(Key, Rc<Insight>)>>);

impl Memo {
    /// The insight into what a state holds, made anew only where it may have changed.
    pub fn insight(&self, state: &State, config: &Config) -> Rc<Insight> {
        let key = Key {
            network: config.network.clone(),
            device: config.device.clone(),
            precision: config.precision,
            results: state.results.len(),
            networks: state.networks.len(),
            run: state.run.as_ref().map(|r| r.id),
            age: age(state),
        };
        if let Some((_, insight)) = self.0.borrow().as_ref().filter(|(known, _)| *known == key) {
            return Rc::clone(insight);
        }
        let insight = Rc::new(Insight::of(state, config));
        *self.0.borrow_mut() = Some((key, Rc::clone(&insight)));
        insight
    }
}
