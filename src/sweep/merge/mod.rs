//! Joins the files of several parts of one sweep: every step once. Steps that were measured twice and steps that are missing
//! are reported.
//!
//! Each station of each file becomes a station of the new file, so that every run keeps its host and device. The wall clocks
//! in the headers put all files on one clock.

use crate::{
    event::{Body, Config, Event, FLEET_SCHEMA, Nanos, Outcome, Plan, RunId, StationId, Tagged},
    output,
    session::{
        Fleet, Input, Reader, State,
        read::{Losses, ReadError, shown},
        record::{RecordError, Whole, shifted},
    },
};
use jiff::Timestamp;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    fmt,
    path::{Path, PathBuf},
};

/// Why files can't be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new file can't be written.
    #[error(transparent)]
    Write(#[from] RecordError),
    /// A file holds no sweep.
    #[error("{} is a recording without a sweep in it", .0.display())]
    NoSweep(PathBuf),
    /// A file holds a whole sweep, not a part of one.
    #[error(
        "{} holds a whole sweep, not a part of one: `wattscope report` shows several files side by side", .0.display()
    )]
    Whole(PathBuf),
    /// Two files hold parts of different sweeps.
    #[error("{} and {} are of different sweeps: {}", .first.display(), .path.display(), .differences.join("; "))]
    Different {
        /// The first file.
        first: PathBuf,
        /// The file that differs from it.
        path: PathBuf,
        /// The differences: "here" is the first file, "there" the other.
        differences: Vec<String>,
    },
    /// The new file exists.
    #[error("{} exists: choose another name, or --force to write over it", .0.display())]
    Exists(PathBuf),
    /// There are more stations than a session can have.
    #[error("{0} stations are more than a session can have")]
    TooMany(usize),
}

/// The outcome of a merge.
#[derive(Debug, Default)]
pub struct Merged {
    /// Number of stations.
    pub stations: usize,
    /// Steps of the plan.
    pub steps: usize,
    /// Steps that were measured.
    pub measured: usize,
    /// Steps that failed or were skipped.
    pub failed: usize,
    /// Steps that more than one stream holds.
    pub duplicates: Vec<Duplicate>,
    /// Steps that no stream holds.
    pub missing: Vec<(usize, Config)>,
    /// What of each file could not be read.
    pub losses: Vec<(PathBuf, Losses)>,
}

impl fmt::Display for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stations, steps, measured, failed, .. } = self;
        let several = if *stations == 1 { "" } else { "s" };
        write!(f, "{measured} of {steps} steps measured on {stations} station{several}")?;
        if *failed > 0 {
            write!(f, ", {failed} failed or skipped")?;
        }
        match self.missing.len() {
            0 => Ok(()),
            missing => write!(f, ", {missing} missing"),
        }
    }
}

/// A step that was done twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its number.
    pub step: usize,
    /// Its configuration.
    pub config: Config,
    /// The file whose result is kept.
    pub kept: PathBuf,
    /// The file whose result is left out.
    pub dropped: PathBuf,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, config, kept, dropped } = self;
        write!(f, "step {}, {config}, of {} is left out: {} has it", step + 1, dropped.display(), kept.display())
    }
}

/// A step that is done in a stream.
#[derive(Clone, Debug)]
struct Claim {
    file: usize,
    station: StationId,
    step: usize,
    outcome: Outcome,
    /// Its run.
    run: Option<RunId>,
}

/// A file that is joined.
struct Part {
    input: Input,
    /// Wall clock at t = 0.
    started: Option<Timestamp>,
    /// The final states of its stations.
    fleet: Fleet,
    losses: Losses,
}

impl Part {
    /// Its file, as it is shown.
    fn path(&self) -> PathBuf {
        self.input.path().to_owned()
    }
}

/// Joins files into a new one; `-` among them is standard input.
///
/// # Errors
/// If one can't be read, they are not parts of one sweep, or the new one can't be written.
pub fn merge(files: &[PathBuf], to: &Path, force: bool) -> Result<Merged, MergeError> {
    let same = |a: &Path| a.canonicalize().ok().zip(to.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    // A file that is itself joined may be replaced: the new file holds everything that is in it.
    if output::is_regular(to) && !force && !files.iter().any(|file| same(file)) {
        return Err(MergeError::Exists(to.to_owned()));
    }
    let (mut parts, mut claims) = (Vec::new(), Vec::new());
    let mut plan: Option<Plan> = None;
    for (number, path) in files.iter().enumerate() {
        let part = survey(path, number, &mut claims)?;
        check(&part, files, &mut plan)?;
        parts.push(part);
    }
    check_folding(&parts)?;
    let plan = plan.unwrap_or_default();
    let stations: usize = parts.iter().map(|part| part.fleet.len()).sum();
    if stations > crate::event::MOST_STATIONS {
        return Err(MergeError::TooMany(stations));
    }
    let (counted, dropped) = judge(claims);
    let merged = Merged {
        stations,
        steps: plan.steps(),
        measured: counted.values().filter(|claim| claim.outcome == Outcome::Measured).count(),
        failed: counted.values().filter(|claim| claim.outcome != Outcome::Measured).count(),
        duplicates: dropped.iter().filter_map(|claim| duplicate(claim, &counted, &plan, &parts)).collect(),
        missing: (0..plan.steps())
            .filter(|step| !counted.contains_key(step))
            .filter_map(|step| Some((step, plan.config(step)?.clone())))
            .collect(),
        losses: parts.iter().filter(|p| !p.losses.is_empty()).map(|p| (p.path(), p.losses.clone())).collect(),
    };
    copy(&parts, &dropped, to)?;
    Ok(merged)
}

/// Reads a file once: its final states, and the steps that are done in it.
fn survey(path: &Path, file: usize, claims: &mut Vec<Claim>) -> Result<Part, MergeError> {
    let input = Input::of(path)?;
    let mut reader = input.reader()?;
    let (mut fleet, mut started) = (Fleet::default(), None);
    for tagged in reader.by_ref().flatten() {
        if let (Body::Header(header), None) = (&tagged.event.body, started) {
            started = header.started.parse().ok();
        }
        let on = usize::from(tagged.station);
        let done = |fleet: &Fleet, step: usize| {
            let sweep = fleet.get(on).and_then(|state| state.sweep.as_ref());
            sweep.is_some_and(|sweep| sweep.steps.get(step).is_some_and(Option::is_some))
        };
        let Body::StepDone { step, outcome } = &tagged.event.body else {
            fleet.apply(&tagged);
            continue;
        };
        let (step, run) = (*step as usize, fleet.get(on).and_then(|state| state.run.as_ref()).map(|run| run.id));
        let before = done(&fleet, step);
        fleet.apply(&tagged);
        // Only a step that the fold accepts counts.
        if !before && done(&fleet, step) {
            claims.push(Claim { file, station: tagged.station, step, outcome: outcome.clone(), run });
        }
    }
    Ok(Part { input, started, fleet, losses: reader.losses().clone() })
}

/// Checks that a file is a part of the same sweep as those before it.
fn check(part: &Part, files: &[PathBuf], plan: &mut Option<Plan>) -> Result<(), MergeError> {
    let sweeps = part.fleet.stations().iter().filter_map(|state| state.sweep.as_ref());
    let mut any = false;
    for sweep in sweeps {
        any = true;
        if !sweep.plan.is_shared() {
            return Err(MergeError::Whole(part.path()));
        }
        let first = plan.get_or_insert_with(|| sweep.plan.clone());
        first.is_like(&sweep.plan).map_err(|differences| MergeError::Different {
            first: shown(&files[0]).to_owned(),
            path: part.path(),
            differences,
        })?;
    }
    if any { Ok(()) } else { Err(MergeError::NoSweep(part.path())) }
}

/// Checks that all stations of all files computed the same: batch norms folded, or not.
fn check_folding(parts: &[Part]) -> Result<(), MergeError> {
    let folded = |part: &Part| -> BTreeSet<bool> {
        part.fleet.stations().iter().filter_map(|state| Some(state.header.as_ref()?.folded)).collect()
    };
    let Some((first, others)) = parts.split_first() else { return Ok(()) };
    let words = |folded: BTreeSet<bool>| {
        folded.into_iter().map(|folded| if folded { "folded" } else { "not folded" }).collect::<Vec<_>>().join(", ")
    };
    match others.iter().find(|part| folded(part) != folded(first)) {
        None => Ok(()),
        Some(part) => Err(MergeError::Different {
            first: first.path(),
            path: part.path(),
            differences: vec![format!("batch norms {} here, {} there", words(folded(first)), words(folded(part)))],
        }),
    }
}

/// The claim that counts for each step, and the claims that do not: the first that was measured counts, or else the first
/// that failed, or else the first that was skipped.
fn judge(claims: Vec<Claim>) -> (BTreeMap<usize, Claim>, Vec<Claim>) {
    let worth = |claim: &Claim| match claim.outcome {
        Outcome::Measured => 2,
        Outcome::Failed { .. } => 1,
        Outcome::Skipped { .. } => 0,
    };
    let (mut counted, mut dropped) = (BTreeMap::<usize, Claim>::new(), Vec::new());
    for claim in claims {
        match counted.get_mut(&claim.step) {
            None => _ = counted.insert(claim.step, claim),
            Some(known) if worth(&claim) > worth(known) => dropped.push(std::mem::replace(known, claim)),
            Some(_) => dropped.push(claim),
        }
    }
    (counted, dropped)
}

fn duplicate(claim: &Claim, counted: &BTreeMap<usize, Claim>, plan: &Plan, parts: &[Part]) -> Option<Duplicate> {
    let path = |claim: &Claim| Some(parts.get(claim.file)?.path());
    let (kept, dropped) = (path(counted.get(&claim.step)?)?, path(claim)?);
    Some(Duplicate { step: claim.step, config: plan.config(claim.step)?.clone(), kept, dropped })
}

/// The steps and runs of a file that are left out.
#[derive(Default)]
struct Dropped {
    steps: BTreeSet<(StationId, u32)>,
    runs: BTreeSet<(StationId, RunId)>,
}

impl Dropped {
    fn of(file: usize, claims: &[Claim]) -> Self {
        let own = || claims.iter().filter(|claim| claim.file == file);
        Self {
            steps: own().map(|claim| (claim.station, claim.step as u32)).collect(),
            runs: own().filter_map(|claim| Some((claim.station, claim.run?))).collect(),
        }
    }

    fn has(&self, tagged: &Tagged) -> bool {
        if let Body::StepDone { step, .. } = tagged.event.body {
            return self.steps.contains(&(tagged.station, step));
        }
        tagged.event.body.run().is_some_and(|run| self.runs.contains(&(tagged.station, run)))
    }
}

/// A file that is being copied into the new one.
struct Source<'a> {
    part: &'a Part,
    reader: Reader,
    dropped: Dropped,
    /// Number of its first station in the new file.
    first: usize,
    /// Offset that is added to its times. ns.
    shift: i64,
    /// Events that are appended at the end of the file.
    ends: Vec<Tagged>,
}

impl Source<'_> {
    /// Its next event, as it is in the new file.
    fn next(&mut self, stations: usize) -> Option<Tagged> {
        loop {
            let Some(tagged) = self.reader.by_ref().flatten().next() else { return self.ends.pop() };
            // Events of a station without a header are dropped.
            if usize::from(tagged.station) >= self.part.fleet.len() || self.dropped.has(&tagged) {
                continue;
            }
            return Some(self.placed(tagged, stations));
        }
    }

    fn placed(&self, tagged: Tagged, stations: usize) -> Tagged {
        let mut event = shifted(tagged.event, self.shift);
        if let (Body::Header(header), true) = (&mut event.body, stations > 1) {
            (header.schema, header.stations) = (FLEET_SCHEMA, StationId::try_from(stations).ok());
        }
        // At most MOST_STATIONS, as checked before anything is written.
        Tagged { station: (self.first + usize::from(tagged.station)) as StationId, event }
    }
}

/// Writes the new file: the events of all files in order of time, without those that are left out.
fn copy(parts: &[Part], dropped: &[Claim], to: &Path) -> Result<(), MergeError> {
    let zero = parts.iter().filter_map(|part| part.started).min();
    let stations: usize = parts.iter().map(|part| part.fleet.len()).sum();
    let mut sources = Vec::new();
    let mut first = 0;
    for (number, part) in parts.iter().enumerate() {
        let since = part.started.zip(zero).map_or(0, |(own, zero)| own.duration_since(zero).as_nanos());
        let shift = i64::try_from(since).unwrap_or(0);
        let reader = part.input.reader()?;
        let mut source = Source { part, reader, dropped: Dropped::of(number, dropped), first, shift, ends: Vec::new() };
        source.ends = ends(part).map(|tagged| source.placed(tagged, stations)).collect();
        first += part.fleet.len();
        sources.push(source);
    }
    let mut out = Whole::create(to)?;
    let mut heads: Vec<Option<Tagged>> = sources.iter_mut().map(|source| source.next(stations)).collect();
    let time = |head: &Option<Tagged>| head.as_ref().map(|tagged| tagged.event.t);
    let mut queue: BinaryHeap<Reverse<(Nanos, usize)>> =
        heads.iter().enumerate().filter_map(|(i, head)| Some(Reverse((time(head)?, i)))).collect();
    while let Some(Reverse((_, i))) = queue.pop() {
        let next = sources[i].next(stations);
        queue.extend(time(&next).map(|t| Reverse((t, i))));
        if let Some(tagged) = std::mem::replace(&mut heads[i], next) {
            out.write(&tagged)?;
        }
    }
    Ok(out.finish()?)
}

/// The events at the end of a file: its stations send nothing more.
fn ends(part: &Part) -> impl Iterator<Item = Tagged> {
    let t = part.fleet.now();
    let alone = part.fleet.iter().filter(|(_, state)| state.gone.is_none() && state.header.is_some());
    alone.map(move |(on, state): (StationId, &State)| {
        let reason = match &state.sweep {
            Some(sweep) if sweep.plan.shard.is_some() => "the recording of this shard ends here".to_owned(),
            _ => "its recording ends here".to_owned(),
        };
        Tagged { station: on, event: Event { t, body: Body::Gone { reason } } }
    })
}

#[cfg(test)]
mod tests;
