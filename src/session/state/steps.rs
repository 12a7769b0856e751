//! The steps of a sweep.

use super::{State, entries::Engine};
use crate::{
    analysis::stats::Moments,
    event::{Body, Nanos, Outcome},
    session::sweep::Sweep,
};

impl State {
    /// Folds an event of a sweep.
    pub(super) fn sweep_event(&mut self, t: Nanos, body: &Body) {
        match body {
            Body::Plan(plan) => {
                self.end_run(t);
                self.sweep = Some(Sweep::new(plan.clone(), t));
            }
            Body::StepDone { step, outcome } => self.step_done(t, *step as usize, outcome),
            Body::SweepEnded => {
                if let Some(sweep) = &mut self.sweep {
                    sweep.ended = true;
                }
            }
            Body::Resting { engine_stopped } => self.rest(t, *engine_stopped),
            _ => {}
        }
    }

    /// Notes the outcome of a step, keeps the result of its run, and ends the run.
    fn step_done(&mut self, t: Nanos, step: usize, outcome: &Outcome) {
        let Some(sweep) = &self.sweep else { return };
        let again = !sweep.plan.has(step) || sweep.steps.get(step).is_none_or(Option::is_some);
        let config = sweep.plan.config(step).cloned();
        if again {
            return;
        }
        let measured = *outcome == Outcome::Measured;
        let result = self.current_result().filter(|result| measured && Some(&result.config) == config.as_ref());
        // A step that was reported as measured but has no result, as when the link was lost at that moment, stays to be done.
        if let Some(sweep) = self.sweep.as_mut().filter(|_| result.is_some() == measured) {
            sweep.done(step, outcome.clone(), t);
        }
        if let Some(result) = result {
            self.keep(t, result);
        }
        self.drop_run(t);
    }

    /// Ends the run in progress; idle power is read from now on if the engine exits, too.
    fn rest(&mut self, t: Nanos, engine_stopped: bool) {
        self.end_run(t);
        self.resting = true;
        if engine_stopped && !matches!(self.engine, Engine::Absent) {
            self.engine = Engine::Stopped { since: t };
            self.sensors.values_mut().for_each(|sensor| sensor.idle_after = Moments::default());
        }
    }

    /// Whether a sweep has steps to come.
    pub fn sweeping(&self) -> bool {
        self.sweep.as_ref().is_some_and(Sweep::is_on)
    }
}
