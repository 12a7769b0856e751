//! `wattscope export`: a recording as tables for other programs.

use super::{
    args::{choice, file},
    execute::{Execute, Global},
    failure::Failure,
};
use crate::{
    output,
    session::{
        export::{self, ExportError, Format, Table},
        read::shown,
    },
};
use clap::{Args, ValueHint};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

const HELP: &str = "\
Times are in seconds from the recording's beginning and as wall clock (UTC); units are in the columns' names, but for \
the readings of sensors, whose `value` is in their `unit`.

Examples:
  wattscope export demo.jsonl.zst --format csv                 a row a run
  wattscope export demo.jsonl.zst --table samples -o demo.parquet
                                                               a row a reading of a sensor
  ssh gpu-box cat demo.jsonl.zst | wattscope export - -o demo.csv.gz";

/// Turn a recording into tables for other programs
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Export {
    /// The recording; - for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Format; by default what --output ends in, or else CSV
    #[arg(short, long, value_name = "FORMAT", value_parser = choice::<Format>())]
    pub format: Option<Format>,
    /// Table
    #[arg(short, long, value_name = "TABLE", default_value = "runs", value_parser = choice::<Table>())]
    pub table: Table,
    /// File to write the table to, compressed if it ends in .gz or .zst; standard output if not given, or if it is -
    #[arg(short, long, value_name = "FILE", value_parser = file::output(), value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

impl Execute for Export {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        file::check_input([&self.file]).map_err(Failure::usage)?;
        let output = self.output.as_deref().filter(|path| !output::is_standard_output(path));
        let by_name = |output: &Path| Format::of(output).map_err(Failure::usage);
        let format = match self.format {
            Some(format) => format,
            None => output.map(by_name).transpose()?.flatten().unwrap_or(Format::Csv),
        };
        if format == Format::Parquet && output.is_none() && io::stdout().is_terminal() {
            return Err(Failure::usage("Parquet is no text for a terminal: name a file with -o"));
        }
        let exported = export::export(&self.file, self.table, format, output);
        let losses = exported.map_err(|error| match error {
            // Its cause may be a reader that has left.
            ExportError::Write { .. } => error.into(),
            error => Failure::explained(error),
        })?;
        if !losses.is_empty() {
            output::warn(&format!("{}: not everything could be read: {losses}", shown(&self.file).display()));
        }
        Ok(ExitCode::SUCCESS)
    }
}
