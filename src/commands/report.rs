//! `wattscope report`: recordings as the paper's figures, verdicts and tables.

use super::{
    args::file,
    execute::{Execute, Global},
    failure::Failure,
};
use crate::{
    output,
    report::{self, Source},
};
use clap::{Args, ValueHint};
use std::{path::PathBuf, process::ExitCode};

const HELP: &str = "\
DIR then holds report.html (one file, nothing loaded from elsewhere), report.md and figures/*.svg: Figures 1 to 10 of \
Canziani et al. (arXiv 1605.07678) from these measurements, the verdicts on the paper's four findings, tables, method and \
environment. Several files stand side by side, as do several devices or precisions of one. A figure whose data is missing \
says why.

Examples:
  wattscope report card.jsonl.zst -o report
  wattscope report h100.jsonl.zst a100.jsonl.zst -o both";

/// Turn recordings into the paper's figures, verdicts and tables: HTML, Markdown, SVG
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Report {
    /// Recordings: of `sweep`, of `run -o` or of `--record`; - for standard input
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Directory to write into; it is made where it is missing
    #[arg(short, long, value_name = "DIR", value_parser = file::named("a report is a folder of files: name it"),
          value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Write into DIR even where it holds other files
    #[arg(long)]
    pub force: bool,
}

impl Execute for Report {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        file::check_input(&self.files).map_err(Failure::usage)?;
        let sources = self.files.iter().map(|file| Source::open(file)).collect::<Result<Vec<_>, _>>()?.concat();
        let written = report::report(&sources, &self.output, self.force)?;
        for losses in &written.losses {
            output::warn(&format!("{losses}: the report is of what could be read"));
        }
        output::print(&format!("{}\n{}\n", written.html.display(), written.markdown.display()));
        Ok(ExitCode::SUCCESS)
    }
}
