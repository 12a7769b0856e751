//! The steps of a sweep as a state machine over the stream: given an event, which commands to send. The measuring loop
//! without a screen and the live screen both use it.

use super::enough::enough;
use crate::{
    event::{Body, Command, Config, Event, Nanos, Outcome, Plan},
    session::{
        State,
        state::{COOLING, Engine},
    },
};

/// Time for which idle power is read at the end (MEASURING.md, rules 4 and 11). ns.
const IDLE_WINDOW: Nanos = 5_000_000_000;

/// Goes through the steps of a plan: all of them in order, or those that a scheduler assigns to it.
#[derive(Clone, Debug)]
pub struct Stepper {
    /// The plan, until it was sent to the stream; none where the sweep of the state is resumed.
    plan: Option<Plan>,
    /// Whether idle power is read once more at the end.
    idle_after: bool,
    /// Whether steps are assigned by [`Self::take`] instead of taken in order.
    assigned: bool,
    stage: Stage,
}

/// What the stepper waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For the event that the sweep began.
    Beginning,
    /// Idle: for the next step to be assigned.
    Ready,
    /// For a step to be measured long enough, or to fail.
    Measuring(usize),
    /// For the event that a step is done. `ran`: the engine ran for it.
    Noting { step: usize, ran: bool },
    /// For the end of the rest between two steps.
    Resting { until: Nanos },
    /// For idle power to be read.
    Idling,
    /// For nothing: the sweep is over.
    Over,
}

impl Stepper {
    /// A stepper for a new sweep.
    pub fn new(plan: Plan, idle_after: bool) -> Self {
        Self { plan: Some(plan), idle_after, assigned: false, stage: Stage::Beginning }
    }

    /// A stepper that resumes the interrupted sweep of the state.
    pub fn resuming() -> Self {
        Self { plan: None, idle_after: true, assigned: false, stage: Stage::Beginning }
    }

    /// The same stepper, but it only begins steps that [`Self::take`] assigns to it.
    #[must_use]
    pub fn assigned(self) -> Self {
        Self { assigned: true, ..self }
    }

    /// Whether it is idle: it waits for [`Self::take`] or [`Self::finish`].
    pub fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// The step in progress: being measured, or about to be reported as done.
    pub const fn in_hand(&self) -> Option<usize> {
        match self.stage {
            Stage::Measuring(step) | Stage::Noting { step, .. } => Some(step),
            _ => None,
        }
    }

    /// Gives up the step in progress, because its station is lost: another station takes it over.
    pub const fn lose(&mut self) {
        match self.stage {
            Stage::Measuring(_) | Stage::Noting { .. } | Stage::Resting { .. } => self.stage = Stage::Ready,
            Stage::Idling => self.stage = Stage::Over,
            Stage::Beginning | Stage::Ready | Stage::Over => {}
        }
    }

    /// Whether every step is done.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether every step is done and only idle power is still read.
    pub fn is_idling(&self) -> bool {
        self.stage == Stage::Idling
    }

    /// The first commands to send.
    pub fn begin(&mut self, state: &State) -> Vec<Command> {
        match self.plan.take() {
            Some(plan) => vec![Command::Plan { plan }],
            None => self.go_on(state),
        }
    }

    /// The commands that follow from an event that was folded into `state`.
    pub fn after(&mut self, state: &State, event: &Event) -> Vec<Command> {
        match (self.stage, &event.body) {
            (Stage::Beginning, Body::Plan(_)) => self.go_on(state),
            (Stage::Measuring(step), _) => self.measuring(state, event, step),
            (Stage::Noting { ran, .. }, Body::StepDone { .. }) => self.noted(state, ran),
            (Stage::Resting { until }, _) if state.now >= until => self.go_on(state),
            (Stage::Idling, body) if idle_is_known(state, body) => {
                self.stage = Stage::Over;
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Begins the next step, or ends the sweep where there is none.
    fn go_on(&mut self, state: &State) -> Vec<Command> {
        if self.assigned {
            self.stage = Stage::Ready;
            return Vec::new();
        }
        match state.sweep.as_ref().and_then(|sweep| sweep.next()) {
            Some((step, _)) => self.take(state, step),
            None => self.finish(state),
        }
    }

    /// Begins a step; one that is certain to run out of memory is skipped.
    pub fn take(&mut self, state: &State, step: usize) -> Vec<Command> {
        let Some(sweep) = &state.sweep else { return Vec::new() };
        let Some(config) = sweep.plan.config(step) else { return Vec::new() };
        match sweep.hopeless(config) {
            Some(reason) => {
                self.stage = Stage::Noting { step, ran: false };
                vec![Command::StepDone { step: step as u32, outcome: Outcome::Skipped { reason } }]
            }
            None => {
                self.stage = Stage::Measuring(step);
                vec![Command::Run { config: config.clone() }]
            }
        }
    }

    /// Ends the sweep: reads idle power once more, where there is a power sensor.
    pub fn finish(&mut self, state: &State) -> Vec<Command> {
        if !self.idle_after || !has_power(state) {
            self.stage = Stage::Over;
            return Vec::new();
        }
        self.stage = Stage::Idling;
        vec![Command::Rest { stop_engine: true }]
    }

    fn measuring(&mut self, state: &State, event: &Event, step: usize) -> Vec<Command> {
        let Some(plan) = state.sweep.as_ref().map(|sweep| &sweep.plan) else { return Vec::new() };
        let Some(outcome) = plan.config(step).and_then(|config| outcome(state, event, config, plan.seconds)) else {
            return Vec::new();
        };
        self.stage = Stage::Noting { step, ran: true };
        vec![Command::StepDone { step: step as u32, outcome }]
    }

    fn noted(&mut self, state: &State, ran: bool) -> Vec<Command> {
        let cooldown = state.sweep.as_ref().map_or(0.0, |sweep| sweep.plan.cooldown_s);
        if ran && cooldown > 0.0 && state.sweeping() {
            self.stage = Stage::Resting { until: state.now + (cooldown * 1e9) as Nanos };
            return vec![Command::Rest { stop_engine: false }];
        }
        self.go_on(state)
    }
}

/// The outcome of a configuration, if the newest event decides it.
fn outcome(state: &State, event: &Event, config: &Config, seconds: f64) -> Option<Outcome> {
    match &event.body {
        Body::OutOfMemory { config: of, requested_bytes, message, .. } if of == config => {
            Some(Outcome::Failed { reason: message.clone(), out_of_memory: true, requested_bytes: *requested_bytes })
        }
        Body::Failing { config: of, reason, .. } if of == config => {
            Some(Outcome::Failed { reason: reason.clone(), out_of_memory: false, requested_bytes: None })
        }
        _ => enough(state, config, seconds).then_some(Outcome::Measured),
    }
}

/// Whether there is a power sensor for the device of the sweep.
fn has_power(state: &State) -> bool {
    let device = state.sweep.as_ref().and_then(|sweep| sweep.plan.configs.first()).map(|config| config.device.as_str());
    device.is_some_and(|device| state.power_sensor(device).is_ok())
}

/// Whether idle power was read for long enough after the engine was stopped.
fn idle_is_known(state: &State, body: &Body) -> bool {
    let Engine::Stopped { since } = &state.engine else { return *body == Body::Resting { engine_stopped: true } };
    !has_power(state) || state.now >= since + COOLING + IDLE_WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Quantity,
        testing::{Events, config, sensor},
    };

    const S: Nanos = 1_000_000_000;

    /// A stream that answers as an agent does.
    struct Stream {
        state: State,
        stepper: Stepper,
        events: Events,
        asked: Vec<Command>,
    }

    impl Stream {
        fn new(plan: Plan) -> Self {
            let mut stream = Self {
                state: State::default(),
                stepper: Stepper::new(plan.clone(), true),
                events: Events::default(),
                asked: Vec::new(),
            };
            stream.asked = stream.stepper.begin(&stream.state);
            assert_eq!(stream.asked, [Command::Plan { plan: plan.clone() }]);
            stream.say(Body::Plan(plan));
            stream
        }

        fn say(&mut self, body: Body) {
            self.events.push(body);
            self.go();
        }

        fn go(&mut self) {
            self.asked.clear();
            for event in self.events.take() {
                self.state.apply(&event);
                self.asked.extend(self.stepper.after(&self.state, &event));
            }
        }

        /// Reports the outcome that was decided about a step, and returns it.
        fn note(&mut self) -> (u32, Outcome) {
            let [Command::StepDone { step, outcome }] = &self.asked[..] else { panic!("{:?}", self.asked) };
            let note = (*step, outcome.clone());
            self.say(Body::StepDone { step: note.0, outcome: note.1.clone() });
            note
        }
    }

    fn plan(batches: &[u32], cooldown_s: f64) -> Plan {
        super::super::plan::plan(batches.iter().map(|b| config("vgg16", *b)).collect(), 1, None, 1.0, cooldown_s)
    }

    fn run(batch: u32) -> Vec<Command> {
        vec![Command::Run { config: config("vgg16", batch) }]
    }

    #[test]
    fn steps_follow_one_another_after_a_rest_and_idle_power_is_read_at_the_end() {
        let mut s = Stream::new(plan(&[1, 2], 2.0));
        s.say(Body::Sensors { sensors: vec![sensor(1, "cpu", Quantity::PowerAverage, None)] });
        s.stepper = Stepper::resuming();
        assert_eq!(s.stepper.begin(&s.state), run(1));
        s.say(Body::EngineStarted { pid: 1, device: "cpu".into() });
        let steady = |s: &mut Stream, id, batch| {
            s.events.warm_up(id, &config("vgg16", batch));
            for _ in 0..90 {
                s.events.batches(id, 1, S / 10);
                s.events.push(Body::Samples { values: vec![(1, 100.0)] });
                if matches!(s.asked[..], [Command::StepDone { .. }]) {
                    break;
                }
                s.go();
            }
        };
        steady(&mut s, 1, 1);
        assert_eq!(s.note(), (0, Outcome::Measured));
        assert_eq!(s.asked, [Command::Rest { stop_engine: false }]);
        s.say(Body::Resting { engine_stopped: false });
        assert_eq!(s.asked, []);
        s.events.idle(2);
        s.say(Body::Samples { values: vec![] });
        assert_eq!(s.asked, run(2));
        steady(&mut s, 2, 2);
        assert_eq!(s.note(), (1, Outcome::Measured));
        assert_eq!(s.asked, [Command::Rest { stop_engine: true }]);
        s.say(Body::Resting { engine_stopped: true });
        s.events.idle(7);
        s.say(Body::Samples { values: vec![(1, 10.0)] });
        assert!(s.stepper.is_idling());
        s.events.idle(1);
        s.say(Body::Samples { values: vec![(1, 12.0)] });
        assert!(s.stepper.is_over());
        assert_eq!(s.state.runs.len(), 2);
    }

    #[test]
    fn batches_larger_than_one_that_did_not_fit_are_skipped_and_a_failure_does_not_end_the_sweep() {
        let mut s = Stream::new(plan(&[64, 512, 8], 2.0));
        assert_eq!(s.asked, run(64));
        let lacks = |batch| Body::OutOfMemory {
            run: 1,
            config: config("vgg16", batch),
            requested_bytes: None,
            message: "no".into(),
        };
        s.say(lacks(7));
        assert_eq!(s.asked, [], "another configuration");
        s.say(lacks(64));
        assert!(matches!(s.note(), (0, Outcome::Failed { out_of_memory: true, .. })));
        s.say(Body::Resting { engine_stopped: true });
        s.events.idle(2);
        s.say(Body::Samples { values: vec![] });
        let (step, skipped) = s.note();
        assert_eq!((step, skipped), (1, Outcome::Skipped { reason: "skipped: batch 64 was out of memory".into() }));
        assert_eq!(s.asked, run(8), "no rest after a skipped step");
        s.say(Body::Failing { run: 3, config: config("vgg16", 8), reason: "dead".into() });
        assert!(matches!(s.note(), (2, Outcome::Failed { out_of_memory: false, .. })));
        assert!(s.stepper.is_over(), "no sensor, no idle power");
    }
}
