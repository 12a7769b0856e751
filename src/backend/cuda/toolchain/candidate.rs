//! Every NVRTC of this host, and which of them the driver takes.

use super::{nvrtc, places::Place};
use crate::backend::cuda::version::Version;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// An NVRTC that can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The library.
    pub nvrtc: PathBuf,
    /// What it says of itself.
    pub version: Version,
    /// The index of its place.
    pub place: usize,
    /// Whether the user named its place.
    pub named: bool,
}

/// Every NVRTC in these places, each file once.
pub fn list(places: &[Place]) -> Vec<Candidate> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (place, of) in places.iter().enumerate() {
        for library in of.libraries.iter().flat_map(|folder| libraries(folder)) {
            let Ok(file) = fs::canonicalize(&library) else { continue };
            if !seen.insert(file) {
                continue;
            }
            if let Some(version) = nvrtc::version(&library) {
                found.push(Candidate { nvrtc: library, version, place, named: of.named });
            }
        }
    }
    found
}

/// Files of a folder that NVRTC may be: `libnvrtc.so`, and with a version, but not `libnvrtc-builtins`.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("libnvrtc.so"));
    let mut found: Vec<PathBuf> = named.map(|entry| entry.path()).collect();
    // The name without a version first: the version behind a link is the same file.
    found.sort();
    found
}

/// Those that a driver takes, the best first: one that the user named, then the newest, then by place. A driver takes PTX of its
/// own version and older.
pub fn ranked(candidates: &[Candidate], driver: Version) -> Vec<&Candidate> {
    let mut usable: Vec<&Candidate> = candidates.iter().filter(|candidate| candidate.version <= driver).collect();
    usable.sort_by(|a, b| (b.named, b.version, a.place).cmp(&(a.named, a.version, b.place)));
    usable
}
