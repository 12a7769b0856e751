//! The run in progress and those that are over.

use super::{
    State,
    entries::{FinishedRun, KEPT, Mark},
};
use crate::{
    event::{Batches, Nanos, Phase, PhaseChange},
    session::run::{Run, RunResult},
};

/// Runs that are kept: three rounds of every network, batch size and precision.
const KEPT_RUNS: usize = 10_000;

impl State {
    /// Folds a change of phase; the first phase of a new run number begins that run.
    pub(super) fn phase(&mut self, t: Nanos, change: &PhaseChange) {
        match &mut self.run {
            Some(run) if run.id == change.run => run.enter(t, change),
            _ => {
                self.end_run(t);
                self.resting = false;
                self.last_run = self.last_run.max(change.run);
                self.failures.remove(&change.config);
                self.marks.push_back(Mark { t, config: change.config.clone(), steady: None, until: None });
                self.marks.drain(..self.marks.len().saturating_sub(KEPT));
                self.run = Some(Run::begin(t, change));
            }
        }
        if change.phase == Phase::Steady {
            self.mark_steady(Some(t));
        }
    }

    /// Counts the batches of the run in progress and extends the curves of latency and throughput.
    pub(super) fn batches(&mut self, t: Nanos, batches: &Batches) {
        let Some(run) = self.run.as_mut().filter(|run| run.id == batches.run) else { return };
        if !run.count(t, batches) {
            return;
        }
        let mut sorted = batches.wall_ns.clone();
        sorted.sort_unstable();
        if let Some(median) = sorted.get(sorted.len() / 2) {
            self.latency.push(t, *median as f64 / 1e6);
        }
        if batches.span_ns > 0 {
            let images = sorted.len() as f64 * f64::from(run.config.batch);
            self.throughput.push(t, images / (batches.span_ns as f64 / 1e9));
        }
    }

    /// Drops the statistics of the run in progress.
    pub(super) fn reset(&mut self, t: Nanos) {
        if let Some(run) = &mut self.run {
            run.reset(t);
            self.latency.gap(t);
            self.throughput.gap(t);
        }
    }

    /// Sets the time since which the run in progress is steady; none: it is not steady.
    pub(super) fn mark_steady(&mut self, since: Option<Nanos>) {
        let steady = self.run.as_ref().is_some_and(|run| run.phase == Phase::Steady);
        if let Some(mark) = self.marks.back_mut() {
            mark.steady = since.filter(|_| steady);
        }
    }

    /// Ends the run in progress and keeps its result. In a sweep the result is kept by the step instead, and an
    /// interrupted step has none.
    pub(super) fn end_run(&mut self, t: Nanos) {
        if !self.sweeping()
            && let Some(result) = self.current_result()
        {
            self.keep(t, result);
        }
        self.drop_run(t);
    }

    /// Ends the run in progress without a result, and with it the curves of latency and throughput.
    pub(super) fn drop_run(&mut self, t: Nanos) {
        if self.run.take().is_some() {
            if let Some(mark) = self.marks.back_mut() {
                mark.until = Some(t);
            }
            self.latency.gap(t);
            self.throughput.gap(t);
        }
    }

    /// Keeps the result of a run that is over.
    pub(super) fn keep(&mut self, t: Nanos, result: RunResult) {
        let same = self.runs.iter().filter(|run| run.result.config == result.config);
        let repeat = same.map(|run| run.repeat + 1).max().unwrap_or(0);
        self.runs.push_back(FinishedRun { t, repeat, result: result.clone() });
        self.runs.drain(..self.runs.len().saturating_sub(KEPT_RUNS));
        match self.results.iter_mut().find(|kept| kept.config == result.config) {
            Some(kept) => *kept = result,
            None => self.results.push(result),
        }
        self.results.drain(..self.results.len().saturating_sub(KEPT));
    }
}
