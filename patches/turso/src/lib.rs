//! The part of turso's interface that `cubecl-environment` uses, over SQLite.
//!
//! CubeCL keeps tuning results and compiled kernels in a key-value table. turso is a whole database engine for that: a hundred
//! crates and a sixth of a clean build. SQLite reads and writes the same file format in one C file, and is the reference for
//! what several processes may do to one file at once.
//!
//! Every future here is ready when it is first polled: a statement blocks on the file system, as turso's do natively.

mod connection;
mod error;
mod value;

pub use connection::{Connection, Rows, transaction};
pub use error::{Error, Result};
pub use value::{FromValue, IntoParams, Row, Value};

use rusqlite::OpenFlags;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long opening waits for a lock that another process holds, before the caller sets a time of its own.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How a database file is to be opened.
#[derive(Clone, Debug)]
pub struct Builder {
    path: PathBuf,
    read_only: bool,
}

impl Builder {
    /// The database in the file at `path`.
    pub fn new_local(path: &str) -> Self {
        Self { path: path.into(), read_only: false }
    }

    /// Whether the file is read and never written.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// SQLite's WAL is for several processes as it is.
    #[must_use]
    pub const fn experimental_multiprocess_wal(self, _: bool) -> Self {
        self
    }

    /// SQLite has `VACUUM` as it is.
    #[must_use]
    pub const fn experimental_vacuum(self, _: bool) -> Self {
        self
    }

    /// Opens the database, and makes its file where it may be written and is missing.
    ///
    /// # Errors
    /// Where the file can't be opened so, or is no database.
    pub async fn build(self) -> Result<Database> {
        let Self { path, read_only } = self;
        let mode = match (read_only, open(&path, flags(read_only))) {
            (false, Ok(connection)) => {
                // Readers and a writer do not wait for each other; the mode is kept in the file.
                connection.pragma_update(None, "journal_mode", "WAL")?;
                Mode::Writable
            }
            (true, Ok(_)) => Mode::ReadOnly,
            (true, Err(error)) if may_be_immutable(&path, &error) => {
                open(&immutable(&path), flags(true))?;
                Mode::Immutable
            }
            (_, Err(error)) => return Err(error.into()),
        };
        Ok(Database { path, mode })
    }
}

/// A database file that could be opened.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    mode: Mode,
}

/// How its connections open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Writable,
    ReadOnly,
    /// In a folder that can't be written: SQLite can't make the `-shm` of a WAL there.
    Immutable,
}

impl Database {
    /// A connection of its own to the file.
    ///
    /// # Errors
    /// Where the file can't be opened any more.
    pub fn connect(&self) -> Result<Connection> {
        let connection = match self.mode {
            Mode::Writable | Mode::ReadOnly => open(&self.path, flags(self.mode == Mode::ReadOnly))?,
            Mode::Immutable => open(&immutable(&self.path), flags(true))?,
        };
        Ok(Connection::new(connection))
    }
}

fn flags(read_only: bool) -> OpenFlags {
    let access = if read_only {
        OpenFlags::SQLITE_OPEN_READ_ONLY
    } else {
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
    };
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI
}

/// Opens a file and reads its header: SQLite opens anything and reads nothing until the first statement.
fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open_with_flags(uri(path), flags)?;
    connection.busy_timeout(OPEN_TIMEOUT)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    Ok(connection)
}

/// A path as a URI of SQLite's, in which `?`, `#` and `%` have a meaning; one that is a URI already stays.
fn uri(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    if text.starts_with("file:") || !path.is_absolute() {
        return path.to_owned();
    }
    format!("file://{}", escaped(&text)).into()
}

fn immutable(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!("file://{}?immutable=1", escaped(&path.to_string_lossy())).into()
}

fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Whether a file that could not be opened is one that nobody can be writing: it is there, what stops SQLite is that it may
/// not write beside it, and no write waits in a WAL.
fn may_be_immutable(path: &Path, error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
    let wal = PathBuf::from(format!("{}-wal", path.display()));
    let waiting = std::fs::metadata(wal).is_ok_and(|wal| wal.len() > 0);
    path.is_file() && !waiting && matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly))
}
