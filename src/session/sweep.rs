//! The state of a sweep: its plan, the outcome of each step so far, and an estimate of the time that is left.

use crate::{
    analysis::stats::Moments,
    event::{Config, Nanos, Outcome, Plan, Precision},
};
use std::collections::BTreeMap;

/// Estimated time of a step beyond its steady batches, as long as none was measured: building, warm-up, settling. s.
const OVERHEAD_S: f64 = 4.0;

/// A sweep in progress or over.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Its plan.
    pub plan: Plan,
    /// The outcome of each step of the plan; none for steps that are still to come.
    pub steps: Vec<Option<Step>>,
    /// Whether it was ended before its last step.
    pub ended: bool,
    /// When the current step began.
    pub since: Nanos,
}

/// A step that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its outcome.
    pub outcome: Outcome,
    /// Its duration, with the rest before it. s.
    pub seconds: f64,
}

impl Sweep {
    /// A sweep that begins now.
    pub fn new(plan: Plan, now: Nanos) -> Self {
        let steps = vec![None; plan.steps()];
        Self { plan, steps, ended: false, since: now }
    }

    /// Stores the outcome of a step. Steps that are not in the plan, or belong to another shard, are ignored.
    pub fn done(&mut self, step: usize, outcome: Outcome, now: Nanos) {
        let seconds = now.saturating_sub(self.since) as f64 / 1e9;
        if let Some(slot) = self.steps.get_mut(step).filter(|_| self.plan.has(step)) {
            *slot = Some(Step { outcome, seconds });
        }
        self.since = now;
    }

    /// Adds the outcomes of another part of the same sweep.
    pub fn add(&mut self, other: &Self) {
        for (own, step) in self.steps.iter_mut().zip(&other.steps) {
            let measured = |step: &Option<Step>| step.as_ref().is_some_and(|step| step.outcome == Outcome::Measured);
            if own.is_none() || measured(step) && !measured(own) {
                own.clone_from(step);
            }
        }
    }

    /// Whether steps are still to come.
    pub fn is_on(&self) -> bool {
        !self.ended && self.next().is_some()
    }

    /// The first step that is not done, and its configuration.
    pub fn next(&self) -> Option<(usize, &Config)> {
        let step = self.to_come().next()?;
        self.plan.config(step).map(|config| (step, config))
    }

    /// Steps that are not done, in their order.
    pub fn to_come(&self) -> impl Iterator<Item = usize> {
        self.steps.iter().enumerate().filter(|(i, step)| step.is_none() && self.plan.has(*i)).map(|(i, _)| i)
    }

    /// How many steps there are to do, those of other shards left out.
    pub fn total(&self) -> usize {
        (0..self.steps.len()).filter(|step| self.plan.has(*step)).count()
    }

    /// Steps that are done, with their configurations.
    pub fn finished(&self) -> impl Iterator<Item = (&Config, &Step)> {
        self.steps.iter().enumerate().filter_map(|(i, step)| Some((self.plan.config(i)?, step.as_ref()?)))
    }

    /// How many steps are done.
    pub fn count(&self) -> usize {
        self.steps.iter().flatten().count()
    }

    /// How many steps failed or were skipped.
    pub fn failures(&self) -> usize {
        self.steps.iter().flatten().filter(|step| step.outcome != Outcome::Measured).count()
    }

    /// Why a configuration need not be tried: it, or a smaller batch of the same, was out of memory.
    pub fn hopeless(&self, config: &Config) -> Option<String> {
        let lacked = |(tried, step): &(&Config, &Step)| {
            matches!(step.outcome, Outcome::Failed { out_of_memory: true, .. })
                && tried.batch <= config.batch
                && but_batch(tried) == but_batch(config)
        };
        let smallest = self.finished().filter(lacked).map(|(tried, _)| tried.batch).min()?;
        Some(format!("skipped: batch {smallest} was out of memory"))
    }

    /// Time that the steps to come may take, s: of each what it took before, or else its nearest batch of the same network,
    /// or else the mean of all.
    pub fn seconds_left(&self, now: Nanos) -> f64 {
        let known = Known::of(self);
        let to_come = self.to_come().filter_map(|step| self.plan.config(step));
        let all: f64 = to_come.map(|config| self.expected(config, &known)).sum();
        let gone = now.saturating_sub(self.since) as f64 / 1e9;
        let current = self.next().map_or(0.0, |(_, config)| self.expected(config, &known));
        all - gone.min(current)
    }

    fn expected(&self, config: &Config, known: &Known<'_>) -> f64 {
        let distance = |batch: u32| (f64::from(batch).ln() - f64::from(config.batch).ln()).abs();
        let alike = known.alike.get(&but_batch(config)).into_iter().flatten();
        let nearest = alike.min_by(|a, b| distance(a.0).total_cmp(&distance(b.0))).map(|(_, seconds)| *seconds);
        nearest.or_else(|| known.all.mean()).unwrap_or(self.plan.seconds + self.plan.cooldown_s + OVERHEAD_S)
    }
}

/// Network, precision and device.
type Family<'a> = (&'a str, Precision, &'a str);

/// What the steps so far took.
#[derive(Default)]
struct Known<'a> {
    /// Batch sizes and seconds of what differs in nothing else.
    alike: BTreeMap<Family<'a>, Vec<(u32, f64)>>,
    /// Seconds of all.
    all: Moments,
}

impl<'a> Known<'a> {
    fn of(sweep: &'a Sweep) -> Self {
        let mut known = Self::default();
        for (config, step) in sweep.finished().filter(|(_, step)| step.outcome == Outcome::Measured) {
            known.alike.entry(but_batch(config)).or_default().push((config.batch, step.seconds));
            known.all.add(step.seconds);
        }
        known
    }
}

/// What two configurations that differ in their batch size alone share.
fn but_batch(config: &Config) -> Family<'_> {
    (&config.network, config.precision, &config.device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    const S: Nanos = 1_000_000_000;

    fn plan(batches: &[u32], repeat: u32) -> Plan {
        let configs: Vec<Config> = batches.iter().map(|batch| config("vgg16", *batch)).collect();
        let order = (0..repeat).flat_map(|_| 0..configs.len() as u32).collect();
        Plan { configs, repeat, seed: None, order, seconds: 5.0, cooldown_s: 1.0, ..Plan::default() }
    }

    fn out_of_memory() -> Outcome {
        Outcome::Failed { reason: "too much".to_owned(), out_of_memory: true, requested_bytes: None }
    }

    #[test]
    fn what_is_larger_than_what_was_out_of_memory_is_hopeless() {
        let mut sweep = Sweep::new(plan(&[1, 8, 64, 512], 2), 0);
        sweep.done(2, out_of_memory(), S);
        assert_eq!(sweep.hopeless(&config("vgg16", 8)), None);
        assert_eq!(sweep.hopeless(&config("vgg16", 64)).unwrap(), "skipped: batch 64 was out of memory");
        assert!(sweep.hopeless(&config("vgg16", 512)).is_some());
        assert_eq!(sweep.hopeless(&config("vgg19", 512)), None, "another network");
        let other = Config { precision: Precision::F16, ..config("vgg16", 512) };
        assert_eq!(sweep.hopeless(&other), None, "another precision");
        assert_eq!((sweep.count(), sweep.failures(), sweep.next().unwrap().0), (1, 1, 0));
    }

    #[test]
    fn the_time_left_follows_what_was_measured() {
        let mut sweep = Sweep::new(plan(&[1, 2, 64], 2), 0);
        assert_eq!(sweep.seconds_left(0), 60.0, "6 steps of 5 + 1 + 4 s");
        sweep.done(0, Outcome::Measured, 8 * S);
        assert_eq!(sweep.seconds_left(8 * S), 40.0, "5 as long as the only one");
        sweep.done(1, Outcome::Measured, 16 * S);
        sweep.done(2, Outcome::Measured, 116 * S);
        assert_eq!(sweep.seconds_left(116 * S), 116.0, "each as long as in the first round");
        assert_eq!(sweep.seconds_left(120 * S), 112.0, "time passes");
        assert_eq!(sweep.seconds_left(999 * S), 108.0, "a step that takes longer is not negative");
    }

    #[test]
    fn a_shard_is_every_nth_step_and_all_shards_are_all_steps() {
        let all = plan(&[1, 2, 4, 8, 16], 2);
        let shard = |index| Sweep::new(Plan { shard: Some((index, 4)), ..all.clone() }, 0);
        let mut taken: Vec<usize> = (0..4).flat_map(|i| shard(i).to_come().collect::<Vec<_>>()).collect();
        assert_eq!(shard(3).to_come().collect::<Vec<_>>(), [3, 7]);
        taken.sort_unstable();
        assert_eq!(taken, (0..10).collect::<Vec<_>>());
        let mut sweep = shard(3);
        sweep.done(3, Outcome::Measured, S);
        sweep.done(7, Outcome::Measured, 2 * S);
        assert!(!sweep.is_on() && sweep.total() == 2 && sweep.seconds_left(2 * S) == 0.0);
        assert!(!Sweep::new(Plan { shard: Some((7, 0)), ..all }, 0).is_on(), "no shard is of none");
    }

    #[test]
    fn a_plan_that_does_not_hold_together_ends_early_and_panics_nowhere() {
        let mut broken = plan(&[1], 1);
        broken.order = vec![0, 7];
        let mut sweep = Sweep::new(broken, 0);
        sweep.done(0, Outcome::Measured, S);
        sweep.done(9, Outcome::Measured, S);
        assert_eq!(sweep.next(), None);
        assert!(!sweep.is_on());
        let empty = Sweep::new(Plan::default(), 0);
        assert!(!empty.is_on() && empty.seconds_left(5) == 0.0);
        assert_eq!(Plan::default().round(3), 4);
    }
}
