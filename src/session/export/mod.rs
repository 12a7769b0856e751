//! Exports a recording as a table for other programs: a row per run, per sensor reading or per layer, with units in the names
//! of the columns. Where there are several stations, the first column names the station.

mod cell;
mod formats;
mod layers;
mod runs;
mod samples;

use cell::{Column, Named, Rows, STATION};

use super::read::{Losses, ReadError, Reader};
use clap::ValueEnum;
use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
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
    /// The format by the extension of a file's name; none where the extension is unknown.
    pub fn of(path: &Path) -> Option<Self> {
        Self::from_str(path.extension()?.to_str()?, true).ok()
    }
}

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

/// Writes a table of a recording to a file, or to standard output. The file appears when it is complete. Returns what could
/// not be read of the recording.
///
/// # Errors
/// If the recording can't be read, or the table can't be written.
pub fn export(recording: &Path, table: Table, format: Format, to: Option<&Path>) -> Result<Losses, ExportError> {
    let reader = Reader::open(recording)?;
    let Some(to) = to else {
        return write(reader, table, format, io::stdout()).map_err(failed("standard output"));
    };
    let same = |a: &Path, b: &Path| fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b);
    if same(recording, to) {
        return Err(ExportError::Itself(to.to_owned()));
    }
    let mut part = to.file_name().unwrap_or_default().to_owned();
    part.push(".part");
    let part = to.with_file_name(part);
    let file = File::create(&part).map_err(failed(&to.display().to_string()))?;
    let written = write(reader, table, format, file).and_then(|losses| fs::rename(&part, to).map(|()| losses));
    if written.is_err() {
        // An incomplete table is removed.
        let _ = fs::remove_file(&part);
    }
    written.map_err(failed(&to.display().to_string()))
}

fn failed(to: &str) -> impl FnOnce(io::Error) -> ExportError {
    let to = to.to_owned();
    move |source| ExportError::Write { to, source }
}

fn write(mut reader: Reader, table: Table, format: Format, out: impl Write + Send) -> io::Result<Losses> {
    let own = match table {
        Table::Runs => runs::COLUMNS,
        Table::Samples => samples::COLUMNS,
        Table::Layers => layers::COLUMNS,
    };
    let columns: Vec<Column> = reader.is_several().then_some(STATION).into_iter().chain(own.iter().copied()).collect();
    let columns = columns.as_slice();
    let out = BufWriter::new(out);
    match format {
        Format::Csv => {
            let mut rows = formats::Csv::new(out, columns)?;
            fill(&mut reader, table, &mut rows)?;
            rows.finish()?;
        }
        Format::Json => {
            let mut rows = formats::Json::new(out, columns);
            fill(&mut reader, table, &mut rows)?;
            rows.finish()?;
        }
        Format::Parquet => {
            let mut rows = formats::Parquet::new(out, columns, &format!("{table:?}"))?;
            fill(&mut reader, table, &mut rows)?;
            rows.finish()?;
        }
    }
    Ok(reader.losses().clone())
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
