//! Errors by the names that turso has for them.

use rusqlite::ErrorCode;
use std::io::ErrorKind;

/// What a database call gives.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A value has another type than the one that was asked for.
    #[error("Conversion failure: `{0}`")]
    ConversionFailure(String),
    /// Another connection holds the lock.
    #[error("{0}")]
    Busy(String),
    /// A transaction that has read can't write any more, since another one has written.
    #[error("{0}")]
    BusySnapshot(String),
    /// The statement was used in a way that it is not meant for.
    #[error("{0}")]
    Misuse(String),
    /// A constraint of the schema says no.
    #[error("{0}")]
    Constraint(String),
    /// The file can't be written.
    #[error("{0}")]
    Readonly(String),
    /// The disk is full.
    #[error("{0}")]
    DatabaseFull(String),
    /// The file is no database.
    #[error("{0}")]
    NotAdb(String),
    /// The file is damaged.
    #[error("{0}")]
    Corrupt(String),
    /// The file system says no.
    #[error("I/O error ({1}): {0}")]
    IoError(ErrorKind, &'static str),
    /// Anything else.
    #[error("{0}")]
    Error(String),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let extended = match &error {
            rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
            rusqlite::Error::ExecuteReturnedResults => return Self::Misuse(text),
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..) => {
                return Self::ConversionFailure(text);
            }
            _ => 0,
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) if extended == rusqlite::ffi::SQLITE_BUSY_SNAPSHOT => {
                Self::BusySnapshot(text)
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(text),
            Some(ErrorCode::ConstraintViolation) => Self::Constraint(text),
            Some(ErrorCode::ReadOnly) => Self::Readonly(text),
            Some(ErrorCode::DiskFull) => Self::DatabaseFull(text),
            Some(ErrorCode::NotADatabase) => Self::NotAdb(text),
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt(text),
            Some(ErrorCode::ApiMisuse) => Self::Misuse(text),
            _ => Self::Error(text),
        }
    }
}
