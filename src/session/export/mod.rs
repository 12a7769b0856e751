//! Exports a recording as a table for other programs: a row per run, per sensor reading or per layer, with units in the names
//! of the columns. Where there are several stations, the first column names the station.

mod cell;
mod formats;
mod layers;
mod runs;
mod samples;

use cell::{Column, Named, Rows, STATION};

use super::read::{Losses, ReadError, Reader};
use crate::output::{Compressed, Compression, NewFile, StandardOutput};
use clap::ValueEnum;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The table to export.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Table {
    /// A row a configuration, each time it was measured or failed
    #[default]
    Runs,
    /// A row a sensor reading
    Samples,
    /// A row a layer, for each configuration whose layers were measured
    Layers,
}

/// The format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Comma-separated values (RFC 4180), empty where there is no value
    Csv,
    /// An array of JSON objects, null where there is no value
    Json,
    /// Apache Parquet, compressed with zstd
    Parquet,
}

impl Format {
    /// The endings of file names that say the format; `.gz` or `.zst` may follow those of text.
    pub const ENDINGS: &str = ".csv, .json, .parquet, .csv.gz, .csv.zst, .json.gz, .json.zst";

    /// The format by the ending of a file's name; none where the name has no ending.
    ///
    /// # Errors
    /// If the ending is no format's.
    pub fn of(path: &Path) -> Result<Option<Self>, UnknownEnding> {
        let (compression, name) = Compression::of(path);
        let Some(ending) = name.extension() else {
            return match compression {
                Compression::None => Ok(None),
                _ => Err(UnknownEnding(path.to_owned())),
            };
        };
        let format = ending.to_str().and_then(|ending| Self::from_str(ending, true).ok());
        // Parquet compresses its columns itself, and its readers expect that.
        let compressed_twice = format == Some(Self::Parquet) && compression != Compression::None;
        format.filter(|_| !compressed_twice).map(Some).ok_or_else(|| UnknownEnding(path.to_owned()))
    }
}

/// A file whose name does not say a format that tables are written in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: an ending that says no format of a table: {}; or --format", .0.display(), Format::ENDINGS)]
pub struct UnknownEnding(PathBuf);

/// Why a table could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The recording can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The table can't be written.
    #[error("{to} can't be written: {source}")]
    Write {
        /// The file, or standard output.
        to: String,
        /// What the system said.
        source: io::Error,
    },
    /// The table would replace the recording.
    #[error("{} is the recording itself: choose another name for the table", .0.display())]
    Itself(PathBuf),
}

/// Writes a table of a recording to a file, compressed where its name ends in `.gz` or `.zst`, or to standard output. A file
/// appears when it is complete. Returns what could not be read of the recording.
///
/// # Errors
/// If the recording can't be read, or the table can't be written.
pub fn export(recording: &Path, table: Table, format: Format, to: Option<&Path>) -> Result<Losses, ExportError> {
    let reader = Reader::open(recording)?;
    let Some(to) = to else {
        let out = Compressed::new(StandardOutput, Compression::None);
        return match out.and_then(|out| write(reader, table, format, out)) {
            Ok((losses, _)) => Ok(losses),
            // The reader has left, and has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Losses::default()),
            Err(error) => Err(failed("standard output")(error)),
        };
    };
    let same = |a: &Path, b: &Path| fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b);
    if same(recording, to) {
        return Err(ExportError::Itself(to.to_owned()));
    }
    let out = NewFile::create(to).and_then(|file| Compressed::new(file, Compression::of(to).0));
    let written = out.and_then(|out| write(reader, table, format, out));
    let finished = written.and_then(|(losses, file)| file.finish().map(|()| losses));
    finished.map_err(failed(&to.display().to_string()))
}

fn failed(to: &str) -> impl FnOnce(io::Error) -> ExportError {
    let to = to.to_owned();
    move |source| ExportError::Write { to, source }
}

/// Writes a table; gives back what it was written to, too.
fn write<W: Write + Send>(
    mut reader: Reader,
    table: Table,
    format: Format,
    mut out: Compressed<W>,
) -> io::Result<(Losses, W)> {
    let own = match table {
        Table::Runs => runs::COLUMNS,
        Table::Samples => samples::COLUMNS,
        Table::Layers => layers::COLUMNS,
    };
    let columns: Vec<Column> = reader.is_several().then_some(STATION).into_iter().chain(own.iter().copied()).collect();
    let columns = columns.as_slice();
    match format {
        Format::Csv => {
            let mut rows = formats::Csv::new(&mut out, columns)?;
            fill(&mut reader, table, &mut rows)?;
            rows.finish()?;
        }
        Format::Json => {
            let mut rows = formats::Json::new(&mut out, columns);
            fill(&mut reader, table, &mut rows)?;
            rows.finish()?;
        }
        Format::Parquet => {
            let mut rows = formats::Parquet::new(&mut out, columns, &format!("{table:?}"))?;
            fill(&mut reader, table, &mut rows)?;
            rows.finish()?;
        }
    }
    Ok((reader.losses().clone(), out.finish()?))
}

fn fill(reader: &mut Reader, table: Table, rows: &mut dyn Rows) -> io::Result<()> {
    let mut rows = Named { several: reader.is_several(), rows };
    match table {
        Table::Runs => runs::fill(reader.flatten(), &mut rows),
        Table::Samples => samples::fill(reader.flatten(), &mut rows),
        Table::Layers => layers::fill(reader.flatten(), &mut rows),
    }
}

#[cfg(test)]
mod tests;
