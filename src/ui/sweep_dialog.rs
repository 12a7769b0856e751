//! The dialog that asks for a sweep: which networks, up to which batch size, how many rounds.

use crate::{
    event::{Config, Plan},
    session::State,
    sweep::plan::plan,
};
use crossterm::event::KeyCode;

/// Steady time of each configuration, s: the shortest window of MEASURING.md.
const SECONDS: f64 = 5.0;

/// What a step takes beyond its steady batches, s: building, tuning, the shortest warm-up.
const OVERHEAD_S: f64 = 3.0;

/// Fewest batches of a step: the first ones, a warm-up that can be judged, and a steady one.
const FEWEST_BATCHES: f64 = 11.0;

/// Base-2 logarithm of the largest batch size on offer.
const LARGEST: u32 = 10;

/// Most rounds on offer.
const ROUNDS: u32 = 9;

/// The networks of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Networks {
    /// The current one.
    #[default]
    Current,
    /// Those of the paper.
    Paper,
    /// Every one.
    All,
}

impl Networks {
    /// In the order of the dialog.
    pub const CHOICES: [Self; 3] = [Self::Current, Self::Paper, Self::All];
}

/// The dialog and what is chosen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepDialog {
    /// The row that ← and → change.
    pub row: usize,
    /// The networks.
    pub networks: Networks,
    /// Base-2 logarithm of the largest batch size; every power of two from 1 on is measured.
    pub largest: u32,
    /// Number of rounds.
    pub rounds: u32,
}

impl Default for SweepDialog {
    fn default() -> Self {
        Self { row: 0, networks: Networks::Current, largest: 6, rounds: 1 }
    }
}

/// What a key does to the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stays open.
    Open,
    /// It closes, and the sweep starts.
    Start,
    /// It closes without a sweep.
    Cancel,
}

impl SweepDialog {
    /// Rows that can be changed.
    pub const ROWS: usize = 3;

    /// Handles a key.
    pub fn press(&mut self, key: KeyCode) -> Answer {
        match key {
            KeyCode::Up => self.row = self.row.saturating_sub(1),
            KeyCode::Down => self.row = (self.row + 1).min(Self::ROWS - 1),
            KeyCode::Left => self.change(false),
            KeyCode::Right => self.change(true),
            KeyCode::Enter | KeyCode::Char('w') => return Answer::Start,
            KeyCode::Esc | KeyCode::Char('q') => return Answer::Cancel,
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

    /// The plan of the sweep on `config`'s device and in its precision, in random order.
    pub fn plan(&self, config: &Config, all: &[String], paper: &[String], seed: u64) -> Plan {
        let current = [config.network.clone()];
        let networks: &[String] = match self.networks {
            Networks::Current => &current,
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

/// Expected duration of a plan, s, from the newest rate of multiply-accumulates on this device. An estimate: the rate of
/// networks differs by several times.
pub fn expected_seconds(plan: &Plan, state: &State) -> f64 {
    let macs = |config: &Config| state.networks.get(&config.network).map(|facts| facts.macs as f64);
    let newest = state.current_result().or_else(|| state.results.last().cloned());
    let rate = newest.and_then(|r| Some(macs(&r.config)? * r.images_per_s)).filter(|rate| *rate > 0.0);
    let batch_s = |config: &Config| Some(macs(config)? * f64::from(config.batch) / rate?);
    let step = |config: &Config| {
        let batch = batch_s(config).unwrap_or(0.0);
        OVERHEAD_S + SECONDS.max(batch) + FEWEST_BATCHES * batch
    };
    plan.configs.iter().map(step).sum::<f64>() * f64::from(plan.repeat)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::config;

    #[test]
    fn the_dialog_stays_within_what_is_on_offer() {
        let mut dialog = SweepDialog::default();
        (0..9).for_each(|_| _ = dialog.press(KeyCode::Right));
        assert_eq!(dialog.networks, Networks::All);
        (0..9).for_each(|_| _ = dialog.press(KeyCode::Left));
        dialog.press(KeyCode::Down);
        (0..20).for_each(|_| _ = dialog.press(KeyCode::Left));
        assert_eq!((dialog.networks, dialog.largest_batch()), (Networks::Current, 1));
        (0..9).for_each(|_| _ = dialog.press(KeyCode::Down));
        (0..20).for_each(|_| _ = dialog.press(KeyCode::Right));
        assert_eq!((dialog.row, dialog.rounds), (2, ROUNDS));
        assert_eq!([KeyCode::Enter, KeyCode::Esc].map(|k| dialog.press(k)), [Answer::Start, Answer::Cancel]);
    }

    #[test]
    fn a_plan_is_every_power_of_two_of_every_network() {
        let (all, paper) = (["a", "b", "c"].map(str::to_owned), ["b".to_owned()]);
        let plan = |networks, largest| SweepDialog { networks, largest, ..SweepDialog::default() };
        let plan = |networks, largest| plan(networks, largest).plan(&config("a", 7), &all, &paper, 1);
        let batches: Vec<u32> = plan(Networks::Current, 3).configs.iter().map(|c| c.batch).collect();
        assert_eq!(batches, [1, 2, 4, 8]);
        assert_eq!(plan(Networks::All, 1).configs.len(), 6);
        assert!(plan(Networks::Paper, 1).configs.iter().all(|c| c.network == "b" && c.device == "cpu"));
    }
}
