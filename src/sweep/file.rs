//! A sweep's session file: begun, or gone on with after an interruption.

use super::{Observer, fold};
use crate::{
    event::{Config, DeviceInfo, Plan},
    session::{
        Reader, Recorder, State,
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
    pub state: State,
    /// What of it could not be read.
    pub losses: Losses,
    /// Whether it goes on with what it holds.
    pub resumed: bool,
}

/// What is asked of a file.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What is to be measured.
    pub plan: &'a Plan,
    /// Whether its seed was asked for, too: otherwise any will do.
    pub seed: bool,
    /// The host that measures.
    pub host: &'a str,
    /// Its devices.
    pub devices: &'a [DeviceInfo],
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
    if !path.exists() {
        let recorder = Recorder::create(path, &State::default())?;
        return Ok(SweepFile {
            recorder: Some(recorder),
            state: State::default(),
            losses: Losses::default(),
            resumed: false,
        });
    }
    let (there, losses) = crate::session::replay::fold(path)?;
    let Some(sweep) = &there.sweep else { return Err(FileError::NoSweep(path.to_owned())) };
    let differences = differences(&there, &sweep.plan, asked);
    if !differences.is_empty() {
        return Err(FileError::Another { path: path.to_owned(), differences });
    }
    let recorder = if there.sweeping() { Some(Recorder::resume(path)?.0) } else { None };
    let mut state = State::default();
    for event in Reader::open(path)?.flatten() {
        fold(&mut state, &event, observer).map_err(failed)?;
    }
    Ok(SweepFile { recorder, state, losses, resumed: true })
}

/// What a file's sweep and the one that was asked for differ in.
fn differences(there: &State, plan: &Plan, asked: &Asked<'_>) -> Vec<String> {
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
    differ("device", list(plan, |c| c.device.clone()), list(wanted, |c| c.device.clone()));
    differ("rounds:", plan.repeat.to_string(), wanted.repeat.to_string());
    differ("seconds:", plan.seconds.to_string(), wanted.seconds.to_string());
    differ("cooldown:", format!("{} s", plan.cooldown_s), format!("{} s", wanted.cooldown_s));
    let order = |plan: &Plan| if plan.seed.is_some() { "random" } else { "given" }.to_owned();
    differ("order:", order(plan), order(wanted));
    if let (true, Some(there), Some(here)) = (asked.seed, plan.seed, wanted.seed) {
        differ("seed", there.to_string(), here.to_string());
    }
    if let Some(header) = &there.header {
        differ("host", header.host.clone(), asked.host.to_owned());
        differ("wattscope", header.version.clone(), env!("CARGO_PKG_VERSION").to_owned());
    }
    let title = |devices: &[DeviceInfo]| {
        let name = wanted.configs.first().map(|config| config.device.clone());
        devices.iter().find(|d| Some(&d.name) == name.as_ref()).map(|d| d.title.clone()).unwrap_or_default()
    };
    if !there.devices.is_empty() {
        differ("its device is", title(&there.devices), title(asked.devices));
    }
    found
}

/// What the configurations of a plan have for a property, each once.
fn list(plan: &Plan, of: impl Fn(&Config) -> String) -> String {
    let all: BTreeSet<String> = plan.configs.iter().map(of).collect();
    all.iter().map(|s| s.trim()).collect::<Vec<_>>().join(",")
}
