//! `wattscope export`: a recording as tables for other programs.

use super::{
    execute::{Execute, Global},
    failure::Failure,
};
use crate::{
    output,
    session::export::{self, ExportError, Format, Table},
};
use clap::Args;
use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

const HELP: &str = "\
Times are in seconds from the recording's beginning and as wall clock (UTC); units are in the columns' names, but for \
the readings of sensors, whose `value` is in their `unit`.

Examples:
  wattscope export demo.jsonl.zst --format csv                 a row a run
  wattscope export demo.jsonl.zst --table samples -o demo.parquet
                                                               a row a reading of a sensor";

/// Turn a recording into tables for other programs
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Export {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Format; by default what OUT ends in, or else CSV
    #[arg(short, long, value_enum)]
    pub format: Option<Format>,
    /// Table
    #[arg(short, long, value_enum, default_value_t)]
    pub table: Table,
    /// File to write the table to; standard output if not given
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

impl Execute for Export {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        let by_name = |output: &PathBuf| Format::of(output).map_err(Failure::usage);
        let format = match self.format {
            Some(format) => format,
            None => self.output.as_ref().map(by_name).transpose()?.flatten().unwrap_or(Format::Csv),
        };
        if format == Format::Parquet && self.output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage("Parquet is no text for a terminal: name a file with -o"));
        }
        let exported = export::export(&self.file, self.table, format, self.output.as_deref());
        let losses = exported.map_err(|error| match error {
            // Its cause may be a reader that has left.
            ExportError::Write { .. } => error.into(),
            error => Failure::explained(error),
        })?;
        if !losses.is_empty() {
            output::warn(&format!("{}: not everything could be read: {losses}", self.file.display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
