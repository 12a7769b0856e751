//! A sweep's session file: begun, or gone on with after an interruption.

use super::job::{Observer, recall};
use crate::{
    event::{Config, DeviceInfo, Plan, StationId},
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

/// Why a file can't be a sweep's.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is a session in which nobody planned a sweep.
    #[error("{} is a recording without a sweep in it: choose another name, or --force to write over it", .0.display())]
    NoSweep(PathBuf),
    /// It holds another sweep.
    #[error(
        "{} holds another sweep: {}; ask for the same to go on with it, choose another name, or --force to write over it",
        .path.display(), .differences.join("; ")
    )]
    Another {
        /// The file.
        path: PathBuf,
        /// What is there and what was asked for.
        differences: Vec<String>,
    },
    /// It is no session.
    #[error("{0}: choose another name, or --force to write over it")]
    Read(#[from] ReadError),
    /// It can't be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It can't be removed, or what it holds can't be printed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A session file that a sweep goes into.
#[derive(Debug)]
pub struct SweepFile {
    /// Where events go; none where nothing is to be done any more.
    pub recorder: Option<Recorder>,
    /// What the file has come to so far; nothing where it is new.
    pub fleet: Fleet,
    /// Of each place that was asked for, the station that it is in the file, and what it is to measure.
    pub agents: Vec<(StationId, Plan)>,
    /// What of it could not be read.
    pub losses: Losses,
}

/// Where a sweep is to be measured: a device of a host.
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
    /// What the device calls itself.
    fn title(&self) -> String {
        title(self.devices, self.device)
    }

    /// Whether a station is this place.
    fn is(&self, state: &State) -> bool {
        let host = state.header.as_ref().is_some_and(|header| header.host == self.host);
        host && state.device() == Some(self.device) && title(&state.devices, self.device) == self.title()
    }
}

fn title(devices: &[DeviceInfo], name: &str) -> String {
    devices.iter().find(|d| d.name == name).map(|d| d.title.clone()).unwrap_or_default()
}

/// What is asked of a file.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What is to be measured, on whatever device.
    pub plan: &'a Plan,
    /// Whether its seed was asked for, too: otherwise any will do.
    pub seed: bool,
    /// Where.
    pub places: &'a [Place<'a>],
}

impl Asked<'_> {
    /// Whether there are, or may be, other stations than those of the file: a part of a sweep is anybody's to go on with.
    fn is_open(&self) -> bool {
        self.plan.is_shared() || self.places.len() > 1
    }
}

/// Opens a new file, or one that holds this very sweep, interrupted or complete; the observer is told of what is done in it.
///
/// # Errors
/// If the file holds something else, or can't be written.
pub fn open(path: &Path, asked: &Asked<'_>, observer: &mut impl Observer) -> Result<SweepFile, FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    // An empty file holds nothing that could be lost: whoever made it wants this name.
    if fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0) {
        fs::remove_file(path).map_err(failed)?;
    }
    let plan_of = |plan: &Plan, place: &Place<'_>| plan.clone().on(place.device);
    if !path.exists() {
        let recorder = Some(Recorder::create(path, &Fleet::default())?);
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

/// Whether anything is left to do for those who are asked.
fn is_on(fleet: &Fleet, agents: &[(StationId, Plan)]) -> bool {
    match fleet.shared_sweep() {
        Some(sweep) => sweep.is_on(),
        None => agents.iter().any(|(on, _)| {
            let state = fleet.get((*on).into());
            state.and_then(|state| state.sweep.as_ref()).is_none_or(Sweep::is_on)
        }),
    }
}

/// Which station of a file each place is: the one that it was before, or a new one.
fn stations(there: &Fleet, asked: &Asked<'_>) -> Vec<StationId> {
    let mut taken: Vec<StationId> = Vec::new();
    let mut new = there.len() as StationId;
    for place in asked.places {
        let known = there.iter().find(|(on, state)| !taken.contains(on) && place.is(state)).map(|(on, _)| on);
        // A single one that is not open to others is what it was, or refused.
        let alone = (!asked.is_open() && !there.is_several()).then_some(0);
        taken.push(known.or(alone).unwrap_or_else(|| {
            new += 1;
            new - 1
        }));
    }
    taken
}

/// What a file's sweep and the one that was asked for differ in.
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
    let dealt = |plan: &Plan| if plan.dealt { "one of the stations" } else { "each station" }.to_owned();
    differ("measured by", dealt(plan), dealt(wanted));
    for state in there.stations().iter().filter_map(|state| state.header.as_ref()) {
        differ("wattscope", state.version.clone(), env!("CARGO_PKG_VERSION").to_owned());
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

/// What the configurations of a plan have for a property, each once.
fn list(plan: &Plan, of: impl Fn(&Config) -> String) -> String {
    let all: BTreeSet<String> = plan.configs.iter().map(of).collect();
    all.iter().map(|s| s.trim()).collect::<Vec<_>>().join(",")
}

/// The seed of a sweep of which a file holds a part, if one of some files does: shards that begin later join the others.
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
