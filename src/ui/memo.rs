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
    /// The shape of each quantity of each network against batch size.
    pub courses: BTreeMap<(String, Quantity), Course>,
}

impl Insight {
    /// Analyses what a state holds.
    pub fn of(state: &State, device: &str, precision: Precision) -> Self {
        let results = state.all_results();
        let caps = power_caps(&results, state);
        let data = observations(&results, &state.networks, &caps);
        let mut courses: BTreeMap<(String, Quantity), Vec<At>> = BTreeMap::new();
        for o in data.iter().filter(|o| o.config().device == device && o.config().precision == precision) {
            for quantity in Quantity::ALL {
                courses.entry((o.config().network.clone(), quantity)).or_default().extend(quantity.at(o));
            }
        }
        Self {
            findings: findings(&data, device, precision),
            courses: courses.into_iter().map(|(key, points)| (key.clone(), key.1.course(&points))).collect(),
        }
    }
}

/// What an insight depends on. The run in progress changes with every batch: once a second is often enough to look.
#[derive(Clone, Debug, PartialEq)]
struct Key {
    device: String,
    precision: Precision,
    results: usize,
    networks: usize,
    run: Option<RunId>,
    second: u64,
}

/// The newest insight.
#[derive(Debug, Default)]
pub struct Memo(RefCell<Option<(Key, Rc<Insight>)>>);

impl Memo {
    /// The insight into what a state holds about a configuration's device and precision.
    pub fn insight(&self, state: &State, config: &Config) -> Rc<Insight> {
        let key = Key {
            device: config.device.clone(),
            precision: config.precision,
            results: state.results.len(),
            networks: state.networks.len(),
            run: state.run.as_ref().map(|r| r.id),
            second: state.now / 1_000_000_000,
        };
        if let Some((_, insight)) = self.0.borrow().as_ref().filter(|(known, _)| *known == key) {
            return Rc::clone(insight);
        }
        let insight = Rc::new(Insight::of(state, &config.device, config.precision));
        *self.0.borrow_mut() = Some((key, Rc::clone(&insight)));
        insight
    }
}
