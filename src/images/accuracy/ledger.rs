//! What a measurement has done, image by image, in a file: a run that was interrupted goes on from there.

use super::{
    dataset::Dataset,
    tally::{Done, Tally},
};
use crate::{event::Accuracy, host, output};
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// What makes two measurements the same, so that one may go on where the other ended.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Work<'a> {
    /// Registry id.
    pub network: &'a str,
    /// Which weights.
    pub weights: &'a str,
    /// Device.
    pub device: &'a str,
    /// Precision.
    pub precision: &'a str,
    /// The folder.
    pub images: &'a Path,
    /// The label file.
    pub labels: Option<&'a Path>,
}

/// A file that can't be used.
#[derive(Debug, Error)]
#[error("{}: {error}", path.display())]
pub struct LedgerError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

/// The images that are done. They are written to a file as long as that works.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    out: Result<BufWriter<File>, LedgerError>,
    known: HashSet<String>,
    tally: Tally,
}

impl Work<'_> {
    /// Its file below the user's state directory: readable at its beginning, unmistakable at its end.
    ///
    /// # Errors
    /// Where the user has no home.
    pub fn file(&self) -> io::Result<PathBuf> {
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let all = (self.network, self.weights, self.device, self.precision, real(self.images), self.labels.map(real));
        let digest = Sha256::digest(format!("{all:?}"));
        let short: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{}-{}-{short}.jsonl", self.network, self.precision);
        Ok(host::state_folder()?.join("accuracy").join(name))
    }
}

impl Ledger {
    /// Opens a file, made where it is missing, emptied where `afresh`, and counts what it says of the images of a data set.
    /// Where it can't be written, what it says counts all the same, and nothing is added to it.
    pub fn open(path: PathBuf, afresh: bool, dataset: &Dataset) -> Self {
        let failed = |error| LedgerError { path: path.clone(), error };
        let text = if afresh { String::new() } else { read(&path) };
        let out = begin(&path, afresh, &text).map(BufWriter::new).map_err(failed);
        let mut ledger = Self { path, out, known: HashSet::new(), tally: Tally::default() };
        // A line that was cut off when a computer lost its power is an image that is done again.
        let wanted: HashMap<&str, usize> = dataset.samples.iter().map(|s| (s.name.as_str(), s.class)).collect();
        for done in text.lines().filter_map(|line| serde_json::from_str::<Done>(line).ok()) {
            if wanted.get(done.image.as_str()) == Some(&done.class) {
                ledger.count(&done);
            }
        }
        ledger
    }

    /// A ledger that keeps nothing, and why.
    pub fn nowhere(error: io::Error) -> Self {
        let path = PathBuf::from("the user's state directory");
        let out = Err(LedgerError { path: path.clone(), error });
        Self { path, out, known: HashSet::new(), tally: Tally::default() }
    }

    /// Whether an image is done.
    pub fn knows(&self, image: &str) -> bool {
        self.known.contains(image)
    }

    /// What is done adds up to this.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Adds images and hands them to the operating system.
    pub fn add(&mut self, done: Vec<Done>) {
        if let Ok(out) = &mut self.out {
            let line = |done: &Done| Ok(writeln!(out, "{}", serde_json::to_string(done)?)?);
            if let Err(error) = done.iter().try_for_each(line).and_then(|()| out.flush()) {
                self.out = Err(LedgerError { path: self.path.clone(), error });
            }
        }
        done.iter().for_each(|done| self.count(done));
    }

    /// Why what is done is not kept, if it is not.
    pub fn failure(self) -> Option<LedgerError> {
        self.out.err()
    }

    fn count(&mut self, done: &Done) {
        if self.known.insert(done.image.clone()) {
            self.tally.add(done);
        }
    }
}

/// What a file holds; nothing where it can't be read.
fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A file that holds `text`, its end ready for a new line.
fn begin(path: &Path, afresh: bool, text: &str) -> io::Result<File> {
    let mut file = output::open_log(path)?;
    if afresh {
        file.set_len(0)?;
    }
    if !text.is_empty() && !text.ends_with('\n') {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// The file of the figures that were measured on this host, the newest last.
///
/// # Errors
/// Where the user has no home.
pub fn figures_file() -> io::Result<PathBuf> {
    Ok(host::state_folder()?.join("accuracy.jsonl"))
}

/// Writes a figure down for the screens to show, unless it is there.
///
/// # Errors
/// Where the file can't be written.
pub fn keep(path: &Path, accuracy: &Accuracy) -> Result<(), LedgerError> {
    if kept(path).contains(accuracy) {
        return Ok(());
    }
    let written = serde_json::to_string(accuracy).map_err(io::Error::from).and_then(|line| {
        let mut file = begin(path, false, &read(path))?;
        writeln!(file, "{line}")
    });
    written.map_err(|error| LedgerError { path: path.to_owned(), error })
}

/// The figure of each network with its newest weights, over the most images; what can't be read is not there.
pub fn kept(path: &Path) -> Vec<Accuracy> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut newest: Vec<Accuracy> = Vec::new();
    for accuracy in text.lines().rev().filter_map(|line| serde_json::from_str::<Accuracy>(line).ok()) {
        match newest.iter_mut().find(|known| known.network == accuracy.network) {
            None => newest.push(accuracy),
            Some(known) if known.weights == accuracy.weights && known.images < accuracy.images => *known = accuracy,
            Some(_) => {}
        }
    }
    newest
}
