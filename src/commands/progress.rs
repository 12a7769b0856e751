//! How a sweep gets on, on stderr, and its results on stdout as they come.

use crate::{
    commands::layers,
    event::{LinkState, Nanos, Phase, Plan, StationId},
    format::{roughly, significant},
    session::{
        Fleet, State, Sweep,
        read::Losses,
        records::{Figures, Outcome, Record, table},
    },
    sweep::{Measured, Observer},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
};

/// How much is said on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What failed.
    Failures,
    /// A line for every step.
    Steps,
}

/// Prints what a sweep finds: on stderr a line of progress while that is a terminal, and on `out` JSON lines at once or a
/// table at the end.
pub struct Printer<W> {
    out: W,
    json: bool,
    detail: Detail,
    bar: ProgressBar,
    records: Vec<Record>,
    /// Of each record its place in the plan, its round and its station, to print the table in that order.
    places: Vec<(usize, u32, StationId)>,
    /// Whether what comes is read from a file: it was printed when it was measured.
    recalling: bool,
    /// Far ends that were lost when they were last looked at.
    lost: BTreeSet<StationId>,
}

impl<W: Write> Printer<W> {
    /// A printer that has printed nothing.
    pub fn new(out: W, json: bool, detail: Detail) -> Self {
        // Draws nothing unless stderr is a terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        // The template is a constant that the tests draw; were it wrong, the bar would look otherwise and work.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {bar:20} {pos}/{len}  {wide_msg}") {
            bar.set_style(style.progress_chars("━╸ "));
        }
        Self {
            out,
            json,
            detail,
            bar,
            records: Vec::new(),
            places: Vec::new(),
            recalling: false,
            lost: BTreeSet::new(),
        }
    }

    /// What was printed so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Whether what follows was measured, and printed, by an earlier process: it goes into the table only.
    pub fn recall(&mut self, recalling: bool) {
        self.recalling = recalling;
    }

    /// Says something on stderr, above the progress.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Clears the progress and prints the table, unless it printed JSON all along.
    ///
    /// # Errors
    /// If `out` can't be written.
    pub fn finish(mut self) -> io::Result<Vec<Record>> {
        self.bar.finish_and_clear();
        let mut placed: Vec<_> = self.places.into_iter().zip(self.records).collect();
        placed.sort_by_key(|(place, _)| *place);
        let records: Vec<Record> = placed.into_iter().map(|(_, record)| record).collect();
        if !self.json && !records.is_empty() {
            self.out.write_all(table(&records).as_bytes())?;
        }
        self.out.flush()?;
        Ok(records)
    }
}

impl<W: Write> Printer<W> {
    /// Says when the far end of a station is lost, and when it is there again.
    fn link(&mut self, on: StationId, state: &State) {
        let Some(link) = &state.link else { return };
        let lost = self.lost.contains(&on);
        match &link.state {
            LinkState::Lost { reason, retry_in_s } if !lost => {
                self.lost.insert(on);
                let next = if retry_in_s.is_some() { "; trying again" } else { "" };
                self.say(&format!("\"{}\" is lost: {reason}{next}", link.command));
            }
            LinkState::Lost { reason, retry_in_s: None } => {
                self.say(&format!("\"{}\" is given up: {reason}", link.command))
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

    /// Takes note of what became of a step of a station, whose name is given where there are several; `sweep` is what it is
    /// counted in.
    fn note(
        &mut self,
        state: &State,
        (on, name): (StationId, Option<String>),
        measured: Measured,
        sweep: Option<&Counted>,
    ) -> io::Result<()> {
        let record = Record::of(state, &measured);
        let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
        if !self.recalling {
            match (&record.outcome, self.detail, sweep) {
                (_, Detail::Steps, Some(counted)) => self.say(&step(counted, &name, &measured, &record)),
                (Outcome::Failed { error, .. }, ..) => self.say(&format!("{name}{}: {error}", measured.config)),
                _ => {}
            }
            if self.json {
                let line = serde_json::to_string(&record)?;
                let out = &mut self.out;
                self.bar.suspend(|| writeln!(out, "{line}").and_then(|()| out.flush()))?;
            }
        }
        let configs = state.sweep.as_ref().map(|sweep| sweep.plan.configs.as_slice()).unwrap_or_default();
        let place = configs.iter().position(|config| *config == measured.config).unwrap_or(configs.len());
        self.places.push((place, measured.round, on));
        self.records.push(record);
        Ok(())
    }
}

/// Prints layers as they are measured: on stderr a line of progress while that is a terminal, on `out` tables or JSON lines.
pub struct LayersPrinter<W> {
    out: W,
    json: bool,
    bar: ProgressBar,
    failed: bool,
    printed: bool,
}

impl<W: Write> LayersPrinter<W> {
    /// A printer that has printed nothing.
    pub fn new(out: W, json: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // As above.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        Self { out, json, bar, failed: false, printed: false }
    }

    /// Whether nothing failed.
    pub const fn all_measured(&self) -> bool {
        !self.failed
    }
}

impl<W: Write> layers::Observer for LayersPrinter<W> {
    fn progress(&mut self, state: &State) {
        if self.bar.is_hidden() {
            return;
        }
        let aside = state.run.as_ref().is_some_and(|run| run.aside.is_some_and(|(_, away)| away));
        self.bar.set_message(line(state) + if aside { " · measuring its layers" } else { "" });
        self.bar.tick();
    }

    fn measured(&mut self, _: &State, record: layers::Record) -> io::Result<()> {
        self.bar.finish_and_clear();
        if let Outcome::Failed { error, .. } = &record.outcome {
            self.failed = true;
            eprintln!("{}: {error}", record.title());
        }
        if self.json {
            writeln!(self.out, "{}", serde_json::to_string(&record)?)?;
        } else if record.is_measured() {
            let gap = if self.printed { "\n" } else { "" };
            write!(self.out, "{gap}{}", record.text())?;
            self.printed = true;
        }
        self.out.flush()?;
        self.bar.reset();
        Ok(())
    }
}

impl<W: Write> Observer for Printer<W> {
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

    fn measured(&mut self, fleet: &Fleet, on: StationId, measured: Measured) -> io::Result<()> {
        let sweeps = fleet.sweeps();
        let workers = if sweeps.iter().any(|sweep| sweep.plan.distributed) { working(fleet) } else { 1 };
        let all: Vec<_> = sweeps.iter().collect();
        let counted = (!all.is_empty()).then(|| Counted::of(&all, workers, fleet.now()));
        let name = fleet.is_several().then(|| fleet.names(true).swap_remove(on.into()));
        self.note(&fleet[on.into()], (on, name), measured, counted.as_ref())
    }
}

/// How many stations are at work on a sweep.
fn working(fleet: &Fleet) -> usize {
    fleet.stations().iter().filter(|state| state.sweep.is_some() && !state.is_lost()).count()
}

/// Time that the steps to come may take, s: of stations that share a sweep together, otherwise of the one that is last.
fn seconds_left(fleet: &Fleet, sweeps: &[&Sweep], stations: usize) -> f64 {
    let left = |sweep: &&&Sweep| sweep.seconds_left(fleet.now());
    let longest = sweeps.iter().filter(|sweep| sweep.is_on()).map(|sweep| left(&sweep)).fold(0.0, f64::max);
    let distributed = sweeps.iter().any(|sweep| sweep.plan.distributed);
    if distributed { longest / stations.max(1) as f64 } else { longest }
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
                after.done(step, crate::event::Outcome::Measured, now);
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
    let said = match &record.outcome {
        Outcome::Measured(figures) => said(figures),
        Outcome::Failed { error, .. } => error.clone(),
    };
    format!("[{number:width$}/{all}] {name}{}: {said}{left}", measured.config)
}

fn said(figures: &Figures) -> String {
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

/// What a sweep is about to do, in how many places, and what of it is done.
pub fn introduction(plan: &Plan, places: usize, fleet: &Fleet, file: &Path, losses: &Losses) -> String {
    let file = file.display();
    let sweeps = fleet.sweeps();
    if sweeps.is_empty() {
        let seconds = Sweep::new(plan.clone(), 0).seconds_left(0);
        let seconds = if plan.distributed { seconds / places.max(1) as f64 } else { seconds };
        let each = match (places > 1, plan.distributed) {
            (true, true) => format!(", distributed over {places} stations"),
            (true, false) => format!(", on each of {places} stations"),
            _ => String::new(),
        };
        return format!("{}{each}, into {file}; at least {}", intent(plan), roughly(seconds));
    }
    let sum = |of: fn(&Sweep) -> usize| sweeps.iter().map(of).sum::<usize>();
    let (done, all) = (sum(Sweep::count), sum(Sweep::total));
    let lost = if losses.is_empty() { String::new() } else { format!("; {losses}") };
    match all - done {
        0 => format!("{file}: all {all} steps are done already{lost}"),
        to_go => {
            let seconds = seconds_left(fleet, &sweeps.iter().collect::<Vec<_>>(), places);
            format!("{file}: {done} of {all} steps are done, {to_go} to go{lost}; about {} left", roughly(seconds))
        }
    }
}

/// `48 steps: 4 networks × 4 batch sizes × 3 rounds on cpu, in random order (seed 7)`.
fn intent(plan: &Plan) -> String {
    let networks: BTreeSet<_> = plan.configs.iter().map(|c| &c.network).collect();
    let batches: BTreeSet<_> = plan.configs.iter().map(|c| c.batch).collect();
    let precisions: BTreeSet<_> = plan.configs.iter().map(|c| c.precision).collect();
    let devices: BTreeSet<_> = plan.configs.iter().map(|c| c.device.as_str()).collect();
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let factors = [
        counted(networks.len(), "network"),
        counted(batches.len(), "batch size"),
        counted(precisions.len(), "precision"),
        counted(plan.repeat as usize, "round"),
    ];
    let order = plan.seed.map_or_else(|| "as given".to_owned(), |seed| format!("in random order (seed {seed})"));
    let devices = devices.into_iter().collect::<Vec<_>>().join(", ");
    let part = plan.shard.map(|(index, count)| {
        let own = Sweep::new(plan.clone(), 0).total();
        format!("shard {} of {count}, {own} of ", index + 1)
    });
    let steps = counted(plan.steps(), "step");
    format!("{}{steps}: {} on {devices}, {order}", part.unwrap_or_default(), factors.join(" × "))
}

/// What a sweep came to.
pub fn conclusion(fleet: &Fleet, file: &Path) -> String {
    let sweeps = fleet.sweeps();
    if sweeps.is_empty() {
        return "nothing was measured".to_owned();
    }
    let sum = |of: fn(&Sweep) -> usize| sweeps.iter().map(of).sum::<usize>();
    let (done, failed, all) = (sum(Sweep::count), sum(Sweep::failures), sum(Sweep::total));
    let file = file.display();
    let mut said = format!("{} of {all} steps measured", done - failed);
    if failed > 0 {
        said += &format!(", {failed} failed or skipped");
    }
    if done < all {
        return format!("{said}; the same command goes on with {file}");
    }
    for (name, state) in fleet.names(true).iter().zip(fleet.stations()) {
        let name = if fleet.is_several() { format!("{name}: ") } else { String::new() };
        if let Some((before, after)) = state.idle_drift(state.device().unwrap_or_default()) {
            let drift = 100.0 * (after - before) / before;
            said += &format!(
                "; {name}idle power {} W before, {} W after ({drift:+.1} %)",
                significant(before, 3),
                significant(after, 3)
            );
        }
    }
    format!("{said}; in {file}")
}

/// One line on the run in progress: where it stands, how many batches, what one takes, what it draws.
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
