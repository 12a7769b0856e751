//! A sweep from the live screen: which one is asked for, and what follows from the stream while it runs.

use crate::{
    event::{Command, Config, Event, Plan},
    session::State,
    sweep::{Stepper, plan::plan},
};
use crossterm::event::KeyCode;

/// Steady batches of each configuration, s: MEASURING.md's least window.
const SECONDS: f64 = 5.0;

/// What a step takes beyond its steady batches, s: building, tuning, the least warm-up.
const OVERHEAD_S: f64 = 3.0;

/// Batches that a step runs at the least: the first ones, a warm-up that can be judged, a steady one.
const LEAST_BATCHES: f64 = 11.0;

/// Largest batch sizes to choose from: powers of two up to this one's.
const LARGEST: u32 = 10;

/// Most rounds to choose.
const ROUNDS: u32 = 9;

/// Which networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Networks {
    /// The one that is looked at.
    #[default]
    This,
    /// The paper's.
    Paper,
    /// Every one.
    All,
}

impl Networks {
    /// In the order of the panel.
    pub const CHOICES: [Self; 3] = [Self::This, Self::Paper, Self::All];
}

/// The question which sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Line of the panel that the keys change.
    pub row: usize,
    /// Which networks.
    pub networks: Networks,
    /// Logarithm of the largest batch size; every power of two from 1 on is measured.
    pub largest: u32,
    /// How many rounds.
    pub rounds: u32,
}

impl Default for Choice {
    fn default() -> Self {
        Self { row: 0, networks: Networks::This, largest: 6, rounds: 1 }
    }
}

/// What a key does to the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is still open.
    Open,
    /// Begin.
    Begin,
    /// Don't.
    Never,
}

impl Choice {
    /// Lines of the panel that can be changed.
    pub const ROWS: usize = 3;

    /// Handles a key.
    pub fn press(&mut self, key: KeyCode) -> Answer {
        match key {
            KeyCode::Up => self.row = self.row.saturating_sub(1),
            KeyCode::Down => self.row = (self.row + 1).min(Self::ROWS - 1),
            KeyCode::Left => self.change(false),
            KeyCode::Right => self.change(true),
            KeyCode::Enter | KeyCode::Char('w') => return Answer::Begin,
            KeyCode::Esc | KeyCode::Char('q') => return Answer::Never,
            _ => {}
        }
        Answer::Open
    }

    fn change(&mut self, up: bool) {
        let step = |value: u32, least: u32, most: u32| {
            if up { (value + 1).min(most) } else { value.saturating_sub(1).max(least) }
        };
        match self.row {
            0 => {
                let at = Networks::CHOICES.iter().position(|n| *n == self.networks).unwrap_or(0) as u32;
                self.networks = Networks::CHOICES[step(at, 0, Networks::CHOICES.len() as u32 - 1) as usize];
            }
            1 => self.largest = step(self.largest, 0, LARGEST),
            _ => self.rounds = step(self.rounds, 1, ROUNDS),
        }
    }

    /// The largest batch size.
    pub const fn largest_batch(&self) -> u32 {
        1 << self.largest
    }

    /// What would be measured from `config` on: its device and precision, in random order.
    pub fn plan(&self, config: &Config, all: &[String], paper: &[String], seed: u64) -> Plan {
        let this = [config.network.clone()];
        let networks: &[String] = match self.networks {
            Networks::This => &this,
            Networks::Paper => paper,
            Networks::All => all,
        };
        let of = |network: &String| {
            let network = network.clone();
            (0..=self.largest).map(move |i| (network.clone(), 1 << i))
        };
        let config = |(network, batch)| Config { network, batch, ..config.clone() };
        plan(networks.iter().flat_map(of).map(config).collect(), self.rounds, Some(seed), SECONDS, 0.0)
    }
}

/// How long a plan may take, s: from the multiply-accumulates a second that `state` saw last on this device. A guess, since
/// networks differ in that by several times.
pub fn expected_seconds(plan: &Plan, state: &State) -> f64 {
    let macs = |config: &Config| state.networks.get(&config.network).map(|facts| facts.macs as f64);
    let newest = state.current_result().or_else(|| state.results.last().cloned());
    let rate = newest.and_then(|r| Some(macs(&r.config)? * r.images_per_s)).filter(|rate| *rate > 0.0);
    let batch_s = |config: &Config| Some(macs(config)? * f64::from(config.batch) / rate?);
    let step = |config: &Config| {
        let batch = batch_s(config).unwrap_or(0.0);
        OVERHEAD_S + SECONDS.max(batch) + LEAST_BATCHES * batch
    };
    plan.configs.iter().map(step).sum::<f64>() * f64::from(plan.repeat)
}

/// A sweep that this screen runs.
#[derive(Clone, Debug)]
pub struct Conduct {
    stepper: Stepper,
    /// What was looked at before it, and is again after it.
    pub before: Config,
}

impl Conduct {
    /// Begins a sweep; gives its first commands.
    pub fn begin(plan: Plan, before: Config, state: &State) -> (Self, Vec<Command>) {
        let mut stepper = Stepper::new(plan, true);
        let commands = stepper.begin(state);
        (Self { stepper, before }, commands)
    }

    /// The commands that follow from an event.
    pub fn after(&mut self, state: &State, event: &Event) -> Vec<Command> {
        self.stepper.after(state, event)
    }

    /// Whether everything was measured.
    pub fn is_over(&self) -> bool {
        self.stepper.is_over()
    }
}

/// What a sweep came to, in words.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    fn the_question_stays_within_what_there_is() {
        let mut choice = Choice::default();
        (0..9).for_each(|_| _ = choice.press(KeyCode::Right));
        assert_eq!(choice.networks, Networks::All);
        (0..9).for_each(|_| _ = choice.press(KeyCode::Left));
        choice.press(KeyCode::Down);
        (0..20).for_each(|_| _ = choice.press(KeyCode::Left));
        assert_eq!((choice.networks, choice.largest_batch()), (Networks::This, 1));
        (0..9).for_each(|_| _ = choice.press(KeyCode::Down));
        (0..20).for_each(|_| _ = choice.press(KeyCode::Right));
        assert_eq!((choice.row, choice.rounds), (2, ROUNDS));
        assert_eq!([KeyCode::Enter, KeyCode::Esc].map(|k| choice.press(k)), [Answer::Begin, Answer::Never]);
    }

    #[test]
    fn a_plan_is_every_power_of_two_of_every_network() {
        let (all, paper) = (["a", "b", "c"].map(str::to_owned), ["b".to_owned()]);
        let plan = |networks, largest| Choice { networks, largest, ..Choice::default() };
        let plan = |networks, largest| plan(networks, largest).plan(&config("a", 7), &all, &paper, 1);
        let batches: Vec<u32> = plan(Networks::This, 3).configs.iter().map(|c| c.batch).collect();
        assert_eq!(batches, [1, 2, 4, 8]);
        assert_eq!(plan(Networks::All, 1).configs.len(), 6);
        assert!(plan(Networks::Paper, 1).configs.iter().all(|c| c.network == "b" && c.device == "cpu"));
    }
}
