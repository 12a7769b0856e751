//! How a sweep gets on, on stderr, and its results on stdout as they come.

use crate::{
    event::Phase,
    report::{Outcome, Record, table},
    session::State,
    sweep::{Measured, Observer},
    table::significant,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, Write};

/// Prints what a sweep finds: a line of progress while stderr is a terminal, and on `out` JSON lines at once or a table at
/// the end.
pub struct Printer<W> {
    out: W,
    json: bool,
    bar: ProgressBar,
    records: Vec<Record>,
}

impl<W: Write> Printer<W> {
    /// A printer for that many configurations.
    pub fn new(out: W, json: bool, configurations: usize) -> Self {
        // Draws nothing unless stderr is a terminal.
        let bar = ProgressBar::with_draw_target(Some(configurations as u64), ProgressDrawTarget::stderr());
        // The template is a constant that the tests draw; were it wrong, the bar would look otherwise and work.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len}  {wide_msg}") {
            bar.set_style(style);
        }
        Self { out, json, bar, records: Vec::new() }
    }

    /// What was printed so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Clears the progress and prints the table, unless it printed JSON all along.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn finish(mut self) -> io::Result<Vec<Record>> {
        self.bar.finish_and_clear();
        if !self.json && !self.records.is_empty() {
            self.out.write_all(table(&self.records).as_bytes())?;
        }
        self.out.flush()?;
        Ok(self.records)
    }
}

impl<W: Write> Observer for Printer<W> {
    fn progress(&mut self, state: &State, index: usize) {
        if !self.bar.is_hidden() {
            self.bar.set_position(index as u64);
            self.bar.set_message(line(state));
            self.bar.tick();
        }
    }

    fn measured(&mut self, state: &State, measured: Measured) -> io::Result<()> {
        let record = Record::of(state, &measured);
        if let Outcome::Failed { error, .. } = &record.outcome {
            self.bar.suspend(|| eprintln!("{}: {error}", measured.config));
        }
        if self.json {
            let line = serde_json::to_string(&record)?;
            let out = &mut self.out;
            self.bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
        }
        self.records.push(record);
        Ok(())
    }
}

/// One line on the run in progress: where it stands, how many batches, what one takes, what it draws.
pub fn line(state: &State) -> String {
    let Some(run) = &state.run else { return "starting the engine".to_owned() };
    let (phase, batches) = match run.phase {
        Phase::Building => ("building", 0),
        Phase::Tuning => ("tuning", 0),
        Phase::WarmingUp => ("warming up", run.warm_up_batches),
        Phase::Steady => ("steady", run.steady.batches),
    };
    let mut line = format!("{} · {phase}", run.config);
    if batches > 0 {
        line += &format!(" · {batches} batches");
    }
    if let Some((_, ms)) = state.latency.last() {
        line += &format!(" · {} ms", significant(ms, 3));
    }
    let power = state.power_sensor(&run.config.device).ok().and_then(|(_, sensor)| sensor.series.last());
    if let Some((_, watts)) = power {
        line += &format!(" · {} W", significant(watts, 3));
    }
    line
}
