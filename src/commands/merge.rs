//! `wattscope merge`: the files of a sweep's shards as one.

use super::{
    args::file,
    execute::{Execute, Global},
    failure::Failure,
};
use crate::{output, sweep::merge};
use clap::{Args, ValueHint};
use std::{path::PathBuf, process::ExitCode};

const HELP: &str = "\
Of a step that several files hold the first one that was measured counts, in the order of the files; what is left out is \
said. Every run keeps its host and device. Steps that no file holds are listed: the new file is written all the same, and merged \
again with the missing files later on.

Examples:
  wattscope merge x.*of4.jsonl.zst -o x.jsonl.zst
  wattscope merge x.jsonl.zst x.3of4.jsonl.zst -o x.jsonl.zst

Exit status:
  0  every step of the plan is in the new file
  1  some are missing, or a file is of another sweep
  2  bad usage";

/// Join the files of a sweep's shards into one, each step once
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Merge {
    /// Files of shards, of a sweep that several hosts or devices shared, or merged before; - for standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The new file, compressed if its name ends in .zst or .gz; it may be one of those that are joined, or - for standard output
    #[arg(short, long, value_name = "FILE", value_parser = file::recording(), value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Write over the new file, whatever it holds
    #[arg(long)]
    pub force: bool,
}

impl Execute for Merge {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        file::check_input(&self.files).map_err(Failure::usage)?;
        let merged = merge::merge(&self.files, &self.output, self.force).map_err(Failure::explained)?;
        for (path, losses) in &merged.losses {
            output::warn(&format!("{}: not everything could be read: {losses}", path.display()));
        }
        merged.duplicates.iter().for_each(|duplicate| output::warn(&duplicate.to_string()));
        for (step, config) in &merged.missing {
            output::warn(&format!("missing: step {}, {config}", step + 1));
        }
        match output::is_standard_output(&self.output) {
            true => output::say(&merged.to_string()),
            false => output::print(&format!("{}: {merged}\n", self.output.display())),
        }
        Ok(if merged.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
