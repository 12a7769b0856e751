//! The session file of a sweep: a new one, or one that is resumed after an interruption.

use super::job::{Observer, recall};
use crate::{
    event::{Config, DeviceInfo, Plan, StationId},
    output,
    session::{
        Fleet, Reader, Recorder, State, Sweep,
        read::{Losses, ReadError},
        record::RecordError,
    },
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

/// Why a sweep can't be recorded to a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It holds a session without a sweep.
    #[error("{} is a recording without a sweep in it: choose another name, or --force to write over it", .0.display())]
    NoSweep(PathBuf),
    /// It holds another sweep.
    #[error(
        "{} holds another sweep: {}; ask for the same to continue it, choose another name, or --force to write over it",
        .path.display(), .differences.join("; ")
    )]
    Another {
        /// The file.
        path: PathBuf,
        /// The differences between the sweep in the file and the one that was asked for.
        differences: Vec<String>,
    },
    /// It is not a session.
    #[error("{0}: choose another name, or --force to write over it")]
    Read(#[from] ReadError),
    /// It can't be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its results can't be printed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The session file of a sweep, opened.
#[derive(Debug)]
pub struct SweepFile {
    /// The recorder; none where every step is done already.
    pub recorder: Option<Recorder>,
    /// The states of the stations in the file; empty where it is new.
    pub fleet: Fleet,
    /// For each place that was asked for: its station in the file, and its plan.
    pub agents: Vec<(StationId, Plan)>,
    /// The parts of the file that could not be read.
    pub losses: Losses,
}

/// A place to measure: a device of a host.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the host.
    pub host: &'a str,
    /// Name of the device.
    pub device: &'a str,
    /// The devices of that host.
    pub devices: &'a [DeviceInfo],
}

impl Place<'_> {
    /// The title of the device.
    fn title(&self) -> String {
        title(self.devices, self.device)
    }

    /// Whether a station of the file is this place.
    fn is(&self, state: &State) -> bool {
        let host = state.header.as_ref().is_some_and(|header| header.host == self.host);
        host && state.device() == Some(self.device) && title(&state.devices, self.device) == self.title()
    }
}

fn title(devices: &[DeviceInfo], name: &str) -> String {
    devices.iter().find(|d| d.name == name).map(|d| d.title.clone()).unwrap_or_default()
}

/// The sweep that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its plan; the device is given by the places.
    pub plan: &'a Plan,
    /// Whether the user gave a seed. Otherwise any seed in the file is accepted.
    pub seed: bool,
    /// The places to measure.
    pub places: &'a [Place<'a>],
    /// Whether batch norms run folded into the layers before them.
    pub folded: bool,
    /// Whether the sweep begins anew, whatever the file holds.
    pub overwrite: bool,
}

impl Asked<'_> {
    /// Whether stations may take part that are not in the file yet: any station may resume a part of a sweep.
    fn is_open(&self) -> bool {
        self.plan.is_shared() || self.places.len() > 1
    }
}

/// Opens a new file, or one that holds the same sweep, interrupted or complete. The observer is told of every step that is
/// done in it.
///
/// # Errors
/// If the file holds anything else, or can't be written.
pub fn open(path: &Path, asked: &Asked<'_>, observer: &mut impl Observer) -> Result<SweepFile, FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    let plan_of = |plan: &Plan, place: &Place<'_>| plan.clone().on(place.device);
    // An empty file, as one that mktemp has made, holds nothing that could be lost, and nothing can be read back of a device
    // or a pipe.
    let holds_something = output::is_regular(path) && fs::metadata(path).is_ok_and(|file| file.len() > 0);
    if asked.overwrite || !holds_something {
        let recorder = Some(Recorder::overwrite(path, &Fleet::default())?);
        let agents = (0..).zip(asked.places).map(|(on, place)| (on, plan_of(asked.plan, place))).collect();
        let fleet = Fleet::of(asked.places.len());
        return Ok(SweepFile { recorder, fleet, agents, losses: Losses::default() });
    }
    let (there, losses, _) = crate::session::replay::fold_all(path)?;
    let Some(sweep) = there.stations().iter().find_map(|state| state.sweep.as_ref()) else {
        return Err(FileError::NoSweep(path.to_owned()));
    };
    let stations = stations(&there, asked);
    let differences = differences(&there, &sweep.plan, asked, &stations);
    if !differences.is_empty() {
        return Err(FileError::Another { path: path.to_owned(), differences });
    }
    let agents: Vec<(StationId, Plan)> =
        stations.iter().zip(asked.places).map(|(on, place)| (*on, plan_of(&sweep.plan, place))).collect();
    let several = there.is_several() || agents.iter().any(|(on, _)| *on > 0);
    let recorder = if is_on(&there, &agents) { Some(Recorder::resume(path, several)?.0) } else { None };
    let mut fleet = Fleet::default();
    for tagged in Reader::open(path)?.flatten() {
        recall(&mut fleet, &tagged, observer).map_err(failed)?;
    }
    Ok(SweepFile { recorder, fleet, agents, losses })
}

/// Whether any step is left to do for these agents.
fn is_on(fleet: &Fleet, agents: &[(StationId, Plan)]) -> bool {
    match fleet.shared_sweep() {
        Some(sweep) => sweep.is_on(),
        None => agents.iter().any(|(on, _)| {
            let state = fleet.get((*on).into());
            state.and_then(|state| state.sweep.as_ref()).is_none_or(Sweep::is_on)
        }),
    }
}

/// The station of each place in the file: the one that it was before, or a new one.
fn stations(there: &Fleet, asked: &Asked<'_>) -> Vec<StationId> {
    let mut taken: Vec<StationId> = Vec::new();
    let mut new = there.len() as StationId;
    for place in asked.places {
        let known = there.iter().find(|(on, state)| !taken.contains(on) && place.is(state)).map(|(on, _)| on);
        // A single place is station 0; if it is another device than before, the file is refused.
        let alone = (!asked.is_open() && !there.is_several()).then_some(0);
        taken.push(known.or(alone).unwrap_or_else(|| {
            new += 1;
            new - 1
        }));
    }
    taken
}

/// The differences between the sweep in the file and the one that is asked for.
fn differences(there: &Fleet, plan: &Plan, asked: &Asked<'_>, stations: &[StationId]) -> Vec<String> {
    let wanted = asked.plan;
    let mut found = Vec::new();
    let mut differ = |what: &str, there: String, here: String| {
        if there != here {
            found.push(format!("{what} {there} there, {here} asked for"));
        }
    };
    differ("networks", list(plan, |c| c.network.clone()), list(wanted, |c| c.network.clone()));
    differ("batch sizes", list(plan, |c| format!("{:>9}", c.batch)), list(wanted, |c| format!("{:>9}", c.batch)));
    differ("precisions", list(plan, |c| c.precision.to_string()), list(wanted, |c| c.precision.to_string()));
    if !asked.is_open() {
        differ("device", list(plan, |c| c.device.clone()), list(wanted, |c| c.device.clone()));
    }
    differ("rounds:", plan.repeat.to_string(), wanted.repeat.to_string());
    differ("seconds:", plan.seconds.to_string(), wanted.seconds.to_string());
    differ("cooldown:", format!("{} s", plan.cooldown_s), format!("{} s", wanted.cooldown_s));
    let order = |plan: &Plan| if plan.seed.is_some() { "random" } else { "given" }.to_owned();
    differ("order:", order(plan), order(wanted));
    if let (true, Some(there), Some(here)) = (asked.seed, plan.seed, wanted.seed) {
        differ("seed", there.to_string(), here.to_string());
    }
    let part = |plan: &Plan| plan.shard.map_or_else(|| "all".to_owned(), |(i, n)| format!("shard {} of {n}", i + 1));
    differ("steps:", part(plan), part(wanted));
    let distribution = |plan: &Plan| if plan.distributed { "one of the stations" } else { "each station" }.to_owned();
    differ("measured by", distribution(plan), distribution(wanted));
    let folding = |folded: bool| if folded { "folded" } else { "not folded" }.to_owned();
    for header in there.stations().iter().filter_map(|state| state.header.as_ref()) {
        differ("wattscope", header.version.clone(), env!("CARGO_PKG_VERSION").to_owned());
        differ("batch norms", folding(header.folded), folding(asked.folded));
    }
    for (on, place) in stations.iter().zip(asked.places) {
        let Some(state) = there.get((*on).into()) else { continue };
        if let Some(header) = &state.header {
            differ("host", header.host.clone(), place.host.to_owned());
        }
        if !state.devices.is_empty() {
            differ("its device is", title(&state.devices, place.device), place.title());
        }
    }
    found.dedup();
    found
}

/// The values of a property over the configurations of a plan, each once.
fn list(plan: &Plan, of: impl Fn(&Config) -> String) -> String {
    let all: BTreeSet<String> = plan.configs.iter().map(of).collect();
    all.iter().map(|s| s.trim()).collect::<Vec<_>>().join(",")
}

/// The seed of this sweep in one of these files, if one of them holds a part of it: so that shards that start later use the
/// seed of those that started first.
pub fn seed_of(paths: impl Iterator<Item = PathBuf>, plan: &Plan) -> Option<u64> {
    let seed = |path: PathBuf| {
        let mut reader = Reader::open(&path).ok()?;
        let there = reader.by_ref().flatten().find_map(|tagged| match tagged.event.body {
            crate::event::Body::Plan(plan) => Some(plan),
            _ => None,
        })?;
        let again = super::plan::plan(plan.configs.clone(), plan.repeat, there.seed, plan.seconds, plan.cooldown_s);
        again.is_like(&there).is_ok().then_some(there.seed).flatten()
    };
    paths.filter(|path| path.exists()).find_map(seed)
}

#[cfg(test)]
mod tests;
