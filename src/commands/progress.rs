//! What `run` and `sweep` print as they measure: progress on standard error, results on standard output.

use super::{bar::bar, results::Results};
use crate::{
    event::{self, LinkState, Nanos, Phase, StationId},
    format::{roughly, significant},
    output,
    session::{
        Fleet, State, Sweep,
        record::RecordError,
        records::{Figures, Outcome, Record, table},
    },
    sweep::{End, Measured, Observer},
};
use indicatif::ProgressBar;
use std::{collections::BTreeSet, io, process::ExitCode};

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What failed.
    Failures,
    /// A line for every step.
    Steps,
}

/// Prints what a sweep finds: on standard error a line of progress while that is a terminal, and results as JSON lines at once
/// or as a table at the end.
pub struct Printer {
    results: Results,
    detail: Detail,
    bar: ProgressBar,
    records: Vec<Record>,
    /// For each record the index of its configuration in the plan, its round and its station: the order of the table.
    order: Vec<(usize, u32, StationId)>,
    /// Whether the results that come are read from a file, and were printed when they were measured.
    restoring: bool,
    /// Stations whose host was unreachable when they were last looked at.
    lost: BTreeSet<StationId>,
}

impl Printer {
    /// A printer that has printed nothing.
    pub fn new(results: Results, detail: Detail) -> Self {
        let bar = bar(Some(0), "{spinner} {bar:20} {pos}/{len}  {wide_msg}");
        Self { results, detail, bar, records: Vec::new(), order: Vec::new(), restoring: false, lost: BTreeSet::new() }
    }

    /// Whether the results that follow were measured, and printed, by an earlier process: they go into the table only.
    pub fn restore(&mut self, restoring: bool) {
        self.restoring = restoring;
    }

    /// Says something on standard error, above the progress.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| output::say(text));
    }

    /// Says what is wrong on standard error, above the progress.
    fn warn(&self, text: &str) {
        self.bar.suspend(|| output::warn(text));
    }

    /// Clears the progress and prints the table, unless JSON was printed all along. Gives what was measured.
    pub fn finish(self) -> Vec<Record> {
        self.bar.finish_and_clear();
        let mut ordered: Vec<_> = self.order.into_iter().zip(self.records).collect();
        ordered.sort_by_key(|(place, _)| *place);
        let records: Vec<Record> = ordered.into_iter().map(|(_, record)| record).collect();
        if !self.results.is_json() && !records.is_empty() {
            self.results.print_table(&table(&records));
        }
        records
    }

    /// Says when the host of a station is lost, and when it is reached again.
    fn link(&mut self, on: StationId, state: &State) {
        let Some(link) = &state.link else { return };
        let lost = self.lost.contains(&on);
        match &link.state {
            LinkState::Lost { reason, retry_in_s } if !lost => {
                self.lost.insert(on);
                let next = if retry_in_s.is_some() { "; trying again" } else { "" };
                self.warn(&format!("\"{}\" is lost: {reason}{next}", link.command));
            }
            LinkState::Lost { reason, retry_in_s: None } => {
                self.warn(&format!("\"{}\" is given up: {reason}", link.command))
            }
            LinkState::Up { .. } if lost => {
                self.lost.remove(&on);
                self.say(&format!("\"{}\" is reached again", link.command));
            }
            _ => {}
        }
    }

    fn draw(&self, (count, total): (usize, usize), message: String) {
        self.bar.set_length(total as u64);
        self.bar.set_position(count as u64);
        self.bar.set_message(message);
        self.bar.tick();
    }

    /// Keeps the record of a step and says how it ended. The station's `name` is given where there are several; `counted`
    /// says how far the sweep has come, where it is one.
    fn note(
        &mut self,
        state: &State,
        (on, name): (StationId, Option<String>),
        measured: Measured,
        counted: Option<&Counted>,
    ) -> serde_json::Result<()> {
        let record = Record::of(state, &measured);
        let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
        if !self.restoring {
            match (&record.outcome, self.detail, counted) {
                (Outcome::Measured(_), Detail::Steps, Some(counted)) => {
                    self.say(&step(counted, &name, &measured, &record));
                }
                (Outcome::Failed { .. }, Detail::Steps, Some(counted)) => {
                    self.warn(&step(counted, &name, &measured, &record));
                }
                (Outcome::Failed { error, .. }, ..) => self.warn(&format!("{name}{}: {error}", measured.config)),
                _ => {}
            }
            if self.results.is_json() {
                let line = serde_json::to_string(&record)? + "\n";
                self.bar.suspend(|| output::print(&line));
            }
        }
        let configs = state.sweep.as_ref().map(|sweep| sweep.plan.configs.as_slice()).unwrap_or_default();
        let place = configs.iter().position(|config| *config == measured.config).unwrap_or(configs.len());
        self.order.push((place, measured.round, on));
        self.records.push(record);
        Ok(())
    }
}

impl Observer for Printer {
    fn progress(&mut self, fleet: &Fleet) {
        fleet.iter().for_each(|(on, state)| self.link(on, state));
        if self.bar.is_hidden() {
            return;
        }
        let sweeps = fleet.sweeps();
        let sum = |of: fn(&Sweep) -> usize| sweeps.iter().map(of).sum::<usize>();
        let seconds = seconds_left(fleet, &sweeps.iter().collect::<Vec<_>>(), working(fleet));
        let left = if seconds > 0.0 { format!(" · about {} left", roughly(seconds)) } else { String::new() };
        let names = fleet.names(true).into_iter().zip(fleet.stations());
        let named = |(name, state)| if fleet.is_several() { format!("{name}: {}", line(state)) } else { line(state) };
        let lines: Vec<String> = names.map(named).collect();
        self.draw((sum(Sweep::count), sum(Sweep::total)), lines.join(" │ ") + &left);
    }

    fn recording_ended(&mut self, error: &RecordError) {
        if !error.is_broken_pipe() {
            self.warn(&error.to_string());
        }
    }

    fn measured(&mut self, fleet: &Fleet, on: StationId, measured: Measured) -> io::Result<()> {
        let sweeps = fleet.sweeps();
        let workers = if sweeps.iter().any(|sweep| sweep.plan.distributed) { working(fleet) } else { 1 };
        let all: Vec<_> = sweeps.iter().collect();
        let counted = (!all.is_empty()).then(|| Counted::of(&all, workers, fleet.now()));
        let name = fleet.is_several().then(|| fleet.names(true).swap_remove(on.into()));
        Ok(self.note(&fleet[on.into()], (on, name), measured, counted.as_ref())?)
    }
}

/// How many stations are at work on a sweep.
fn working(fleet: &Fleet) -> usize {
    fleet.stations().iter().filter(|state| state.sweep.is_some() && !state.is_lost()).count()
}

/// Estimated time of the steps to come, s: that of the slowest station, or shared among `stations` where they share a sweep.
pub fn seconds_left(fleet: &Fleet, sweeps: &[&Sweep], stations: usize) -> f64 {
    let left = |sweep: &&&Sweep| sweep.seconds_left(fleet.now());
    let longest = sweeps.iter().filter(|sweep| sweep.is_on()).map(|sweep| left(&sweep)).fold(0.0, f64::max);
    let shared = sweeps.iter().any(|sweep| sweep.plan.distributed);
    if shared { longest / stations.max(1) as f64 } else { longest }
}

/// How far sweeps have come with the step that is about to be done.
struct Counted {
    number: usize,
    all: usize,
    left: String,
}

impl Counted {
    fn of(sweeps: &[&Sweep], workers: usize, now: Nanos) -> Self {
        let number = 1 + sweeps.iter().map(|sweep| sweep.count()).sum::<usize>();
        let all = sweeps.iter().map(|sweep| sweep.total()).sum();
        let after = |sweep: &&Sweep| {
            let mut after = (*sweep).clone();
            if let Some((step, _)) = sweep.next() {
                after.done(step, event::Outcome::Measured, now);
            }
            if after.is_on() { after.seconds_left(now) } else { 0.0 }
        };
        let seconds = sweeps.iter().map(after).fold(0.0, f64::max) / workers.max(1) as f64;
        let left =
            if seconds > 0.0 && number < all { format!(" · about {} left", roughly(seconds)) } else { String::new() };
        Self { number, all, left }
    }
}

/// One line on a step that is about to be done.
fn step(counted: &Counted, name: &str, measured: &Measured, record: &Record) -> String {
    let Counted { number, all, left } = counted;
    let width = all.to_string().len();
    let result = match &record.outcome {
        Outcome::Measured(figures) => result(figures),
        Outcome::Failed { error, .. } => error.clone(),
    };
    format!("[{number:width$}/{all}] {name}{}: {result}{left}", measured.config)
}

/// The main figures of a step.
fn result(figures: &Figures) -> String {
    let mut parts = vec![
        format!("{} ms", significant(figures.latency_ms.p50, 4)),
        format!("{} images/s", significant(figures.images_per_s, 4)),
    ];
    parts.extend(figures.power_w.map(|watts| format!("{} W", significant(watts, 3))));
    if let Some(share) = figures.throttled_share.filter(|share| *share > 0.0) {
        parts.push(format!("throttled {} % of the time", significant(100.0 * share, 2)));
    }
    if figures.warm_up.is_some_and(|warm_up| !warm_up.converged) {
        parts.push("not steady".to_owned());
    }
    parts.join(" · ")
}

/// One line on the run in progress: its phase, how many batches, the last latency and power.
pub fn line(state: &State) -> String {
    let Some(run) = &state.run else {
        if state.link_is_lost() {
            return "waiting for the far end".to_owned();
        }
        let resting = if state.sweeping() { "resting" } else { "reading idle power" };
        return if state.resting { resting } else { "starting the engine" }.to_owned();
    };
    let (phase, batches) = match run.phase {
        Phase::Building => ("building", 0),
        Phase::Tuning => ("tuning", 0),
        Phase::WarmingUp => ("warming up", run.warm_up_batches),
        Phase::Steady => ("steady", run.steady.batches),
    };
    let mut line = format!("{} · {phase}", run.config);
    if let (Phase::Tuning, Some(compiling)) = (run.phase, &run.compiling) {
        line += &format!(" · {} kernels, {}", compiling.kernels, compiling.newest);
    }
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

/// The exit code of a measurement: `interrupted` is that of the signal that came, if one did; `recorded` says whether the
/// recording is complete.
pub fn exit_code(end: End, interrupted: ExitCode, records: &[Record], recorded: bool) -> ExitCode {
    match end {
        End::Interrupted => interrupted,
        End::Complete if recorded && records.iter().all(Record::is_measured) => ExitCode::SUCCESS,
        End::Complete | End::StreamEnded => ExitCode::FAILURE,
    }
}
