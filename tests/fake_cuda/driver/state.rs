//! The file that the fake NVML reads (`FAKE_CUDA_STATE`): what a card draws, how busy it is and how much of its memory is
//! taken follow what this process has it do.
//!
//! One `key.N value` a line, N the card's slot, as `tests/fake_nvml` reads its control file. Several processes may write the
//! same file: each replaces the lines of the cards that it has a context on, and keeps the others.

use super::{Board, driver, init, locked, report};
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Mutex, Once},
    thread,
    time::{Duration, Instant},
};

/// When a card was busy, in real time.
#[derive(Default)]
pub struct Activity(Mutex<Busy>);

#[derive(Default)]
struct Busy {
    since: Option<Instant>,
    total: Duration,
}

impl Activity {
    /// The card begins to work, or still does.
    pub fn busy(&self) {
        locked(&self.0).since.get_or_insert_with(Instant::now);
    }

    /// The card has nothing to do.
    pub fn idle(&self) {
        {
            let mut busy = locked(&self.0);
            if let Some(since) = busy.since.take() {
                busy.total += since.elapsed();
            }
        }
        driver().report.write_counts_seldom();
    }

    /// How long it was busy, all in all.
    fn total(&self) -> Duration {
        let busy = locked(&self.0);
        busy.total + busy.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// How often the file is written.
const PERIOD: Duration = Duration::from_millis(50);
/// What the average of power reaches back.
const AVERAGE: f64 = 1.0;
/// A card at work draws this share of its limit.
const FULL: f64 = 0.93;

/// What a card is at.
#[derive(Clone, Copy, Default)]
struct Reading {
    /// From 0 to 1.
    utilisation: f64,
    power_w: f64,
    average_w: f64,
    energy_j: f64,
}

impl Reading {
    /// The reading after `seconds` in which the card was busy for a share of the time.
    fn next(&self, board: &Board, busy: f64, seconds: f64) -> Self {
        let (idle, limit) = (f64::from(board.card.idle_w), f64::from(board.card.power_w));
        // Utilisation is over a longer time than the period, as NVML's is.
        let utilisation = self.utilisation + (busy - self.utilisation) * 0.3;
        let power_w = idle + (limit * FULL - idle) * utilisation;
        let share = (seconds / AVERAGE).min(1.0);
        Self {
            utilisation,
            power_w,
            average_w: self.average_w + (power_w - self.average_w) * share,
            energy_j: self.energy_j + power_w * seconds,
        }
    }

    fn at_rest(board: &Board, energy_j: f64) -> Self {
        let power_w = board.card.idle_w.into();
        Self { utilisation: 0.0, power_w, average_w: power_w, energy_j }
    }

    /// The lines of the card.
    fn lines(&self, board: &Board, pid: Option<u32>) -> Vec<(String, String)> {
        let (card, slot) = (&board.card, board.slot);
        let milli = |value: f64| format!("{:.0}", value * 1e3);
        let used = board.used.load(std::sync::atomic::Ordering::Acquire);
        [
            ("name", card.name.to_owned()),
            ("uuid", init::uuid_text(slot)),
            ("pci_device_id", (card.pci_device << 16 | 0x10de).to_string()),
            ("architecture", card.architecture.to_string()),
            ("busy", format!("{:.0}", self.utilisation * 100.0)),
            ("instant", milli(self.power_w)),
            ("average", milli(self.average_w)),
            ("usage", milli(self.average_w)),
            ("energy", milli(self.energy_j)),
            ("limit", milli(card.power_w.into())),
            ("memory_used", used.to_string()),
            ("memory_total", (card.memory_mib << 20).to_string()),
            ("compute", pid.map(|pid| pid.to_string()).unwrap_or_default()),
        ]
        .map(|(key, value)| (format!("{key}.{slot}"), value))
        .to_vec()
    }
}

fn read(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn write(path: &Path, changed: impl IntoIterator<Item = (String, String)>) {
    let mut lines = read(path);
    lines.insert("cards".to_owned(), driver().settings.cards.len().to_string());
    lines.extend(changed);
    let text: String = lines.iter().map(|(key, value)| format!("{key} {value}\n")).collect();
    if let Err(why) = report::replace(path, &text) {
        driver().report.finding(&format!("FAKE_CUDA_STATE can't be written to {}: {why}", path.display()));
    }
}

/// The energy that the file tells of a card: its counter goes on where it stood.
fn energy_of(path: &Path, board: &Board) -> f64 {
    let known = read(path).get(&format!("energy.{}", board.slot)).and_then(|energy| energy.parse::<f64>().ok());
    known.unwrap_or(0.0) / 1e3
}

/// Says that the cards are there and at rest, unless a process has said more.
pub fn announce() {
    let driver = driver();
    if let Some(path) = driver.settings.state.as_ref().filter(|path| !path.exists()) {
        write(path, driver.boards.iter().flat_map(|board| Reading::at_rest(board, 0.0).lines(board, None)));
    }
}

/// Keeps the file current from now on.
pub fn start() {
    static STARTED: Once = Once::new();
    let Some(path) = &driver().settings.state else { return };
    STARTED.call_once(|| {
        thread::spawn(move || {
            let boards = &driver().boards;
            let mut readings: Vec<Reading> =
                boards.iter().map(|board| Reading::at_rest(board, energy_of(path, board))).collect();
            let mut totals = vec![Duration::ZERO; boards.len()];
            let mut last = Instant::now();
            loop {
                thread::sleep(PERIOD);
                let seconds = last.elapsed().as_secs_f64();
                last = Instant::now();
                let mut lines = Vec::new();
                for ((board, reading), total) in boards.iter().zip(&mut readings).zip(&mut totals) {
                    let now = board.activity.total();
                    let busy = (now.saturating_sub(*total)).as_secs_f64() / seconds;
                    *total = now;
                    *reading = reading.next(board, busy.min(1.0), seconds);
                    if board.in_use() {
                        lines.extend(reading.lines(board, Some(std::process::id())));
                    }
                }
                write(path, lines);
            }
        });
    });
}

/// Says that this process uses the cards no more.
pub fn rest() {
    let driver = driver();
    if let Some(path) = &driver.settings.state {
        let used = driver.boards.iter().filter(|board| board.in_use());
        let lines: Vec<_> =
            used.flat_map(|board| Reading::at_rest(board, energy_of(path, board)).lines(board, None)).collect();
        write(path, lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::Card;

    #[test]
    fn power_follows_what_the_card_does() {
        let board = Board::new(3, Card::named("sm_90").unwrap());
        let mut reading = Reading::at_rest(&board, 5.0);
        assert_eq!(reading.power_w, 70.0);
        for _ in 0..100 {
            reading = reading.next(&board, 1.0, 0.05);
        }
        assert!((640.0..=700.0).contains(&reading.power_w) && reading.average_w > 600.0, "{}", reading.power_w);
        assert!(reading.utilisation > 0.99 && reading.energy_j > 5.0 * 500.0);
        let lines = reading.lines(&board, Some(7));
        assert!(lines.contains(&("busy.3".to_owned(), "100".to_owned())));
        assert!(lines.contains(&("compute.3".to_owned(), "7".to_owned())));
        for _ in 0..100 {
            reading = reading.next(&board, 0.0, 0.05);
        }
        assert!(reading.power_w < 71.0);
    }
}
