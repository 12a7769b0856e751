//! Files that are read and written. `-` is standard input or standard output where that makes sense, and refused with the
//! reason where it does not; a file of that name is `./-`.

use crate::output::{Compression, STANDARD_OUTPUT};
use clap::{
    Args, ValueHint,
    builder::{PathBufValueParser, TypedValueParser},
};
use std::{
    ffi::OsStr,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

/// The path that stands for standard input or output.
const STANDARD: &str = "-";

/// Endings of tables. A recording is none, and would be taken for one.
const TABLES: [&str; 7] = ["csv", "tsv", "parquet", "arrow", "xls", "xlsx", "ods"];

/// A recording beside results.
#[derive(Clone, Debug, Args)]
pub struct Record {
    /// Record to a new file, one JSON object a line, compressed if it ends in .zst or .gz, or to standard output if it is -;
    /// `wattscope replay` shows it
    #[arg(short, long, alias = "record", value_name = "FILE", value_parser = recording(), value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Parser of a file to write to; `-` is standard output.
pub fn output() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(standard_output)
}

/// Parser of a recording to write; `-` is standard output.
pub fn recording() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| no_table(standard_output(path)))
}

/// Parser of a recording to write that can't be standard output, for a reason.
pub fn named_recording(reason: &'static str) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(move |path| has_name(path, reason).and_then(no_table))
}

/// Parser of a file or a folder that can't be standard input or output, for a reason.
pub fn named(reason: &'static str) -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(move |path| has_name(path, reason))
}

fn standard_output(path: PathBuf) -> PathBuf {
    if is_standard(&path) { PathBuf::from(STANDARD_OUTPUT) } else { path }
}

fn has_name(path: PathBuf, reason: &str) -> Result<PathBuf, String> {
    match is_standard(&path) {
        true => Err(format!("{reason} (one that is called - is ./-)")),
        false => Ok(path),
    }
}

fn no_table(path: PathBuf) -> Result<PathBuf, String> {
    let (_, name) = Compression::of(&path);
    let ending = name.extension().and_then(OsStr::to_str).unwrap_or_default().to_lowercase();
    if TABLES.contains(&ending.as_str()) {
        return Err(
            "a recording is no table: name it like runs.jsonl.zst, and make a table of it with `wattscope export \
                    runs.jsonl.zst -o runs.csv`"
                .to_owned(),
        );
    }
    Ok(path)
}

/// Whether a path stands for standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// Standard input can't be what a command line takes it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StandardInputError {
    /// It can be read once.
    #[error("- is standard input, which can be read only once: name it once")]
    Twice,
    /// Nobody types what is to be read.
    #[error("- is standard input, which is a terminal here: pipe something into it, or name a file")]
    Terminal,
}

/// Checks that of the files to read at most one is standard input, and that it is no terminal.
///
/// # Errors
/// If not.
pub fn check_input<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), StandardInputError> {
    match files.into_iter().filter(|path| is_standard(path)).count() {
        0 => Ok(()),
        1 if io::stdin().is_terminal() => Err(StandardInputError::Terminal),
        1 => Ok(()),
        _ => Err(StandardInputError::Twice),
    }
}
