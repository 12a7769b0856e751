//! Session files that are read more than once, standard input included.

use super::read::{ReadError, Reader, is_standard_input, shown};
use std::{
    io::{self, Cursor, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Bytes of standard input that are kept to be read again.
const MOST_HELD: u64 = 1 << 30;

/// A session file that can be read again and again.
#[derive(Clone, Debug)]
pub struct Input {
    path: PathBuf,
    /// All of standard input.
    held: Option<Arc<[u8]>>,
}

impl Input {
    /// The session file of a path. Standard input is read to its end.
    ///
    /// # Errors
    /// If standard input can't be read, or is longer than 1 GiB.
    pub fn of(path: &Path) -> Result<Self, ReadError> {
        let held = is_standard_input(path).then(hold).transpose();
        let path = shown(path).to_owned();
        let held = held.map_err(|error| ReadError::Io { path: path.clone(), source: error.into() })?;
        Ok(Self { path, held })
    }

    /// The path as it is shown.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A reader at its beginning.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn reader(&self) -> Result<Reader, ReadError> {
        match &self.held {
            Some(bytes) => Reader::of(Cursor::new(bytes.clone()), &self.path),
            None => Reader::open(&self.path),
        }
    }
}

fn hold() -> io::Result<Arc<[u8]>> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MOST_HELD + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MOST_HELD {
        true => Err(io::Error::other(format!("it is longer than {} GiB: name a file", MOST_HELD >> 30))),
        false => Ok(bytes.into()),
    }
}
