//! A sweep that the screen drives: the commands that follow from each event of the station.

use crate::{
    event::{Command, Config, Event, Plan},
    session::State,
    sweep::Stepper,
};

/// A sweep on one station.
#[derive(Clone, Debug)]
pub struct SweepDriver {
    stepper: Stepper,
    /// The configuration before the sweep, to which the station returns.
    pub before: Config,
}

impl SweepDriver {
    /// Starts a sweep; gives its first commands.
    pub fn start(plan: Plan, before: Config, state: &State) -> (Self, Vec<Command>) {
        let mut stepper = Stepper::new(plan, true);
        let commands = stepper.begin(state);
        (Self { stepper, before }, commands)
    }

    /// The commands that follow from an event, which was folded into `state`.
    pub fn after(&mut self, state: &State, event: &Event) -> Vec<Command> {
        self.stepper.after(state, event)
    }

    /// Whether every step is done.
    pub fn is_over(&self) -> bool {
        self.stepper.is_over()
    }
}

/// The result of a sweep in one line. `stopped`: by the user, before it was over.
pub fn summary(state: &State, stopped: bool) -> String {
    let Some(sweep) = &state.sweep else { return "the sweep is over".to_owned() };
    let (done, failed) = (sweep.count(), sweep.failures());
    let mut text = format!("{} measured", done - failed);
    if failed > 0 {
        text += &format!(", {failed} failed or skipped");
    }
    if stopped {
        return format!("sweep stopped: {text}, {} not tried", sweep.total() - done);
    }
    let device = sweep.plan.configs.first().map(|config| config.device.as_str()).unwrap_or_default();
    if let Some((before, after)) = state.idle_drift(device) {
        text += &format!("; idle power {before:.1} W before, {after:.1} W after");
    }
    format!("sweep done: {text}")
}
