//! Results for programs.

use clap::Args;

/// Whether results are printed as JSON, one object a line.
#[derive(Clone, Copy, Debug, Args)]
pub struct JsonLines {
    /// Print each result as a JSON object on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Whether a list is printed as JSON.
#[derive(Clone, Copy, Debug, Args)]
pub struct JsonArray {
    /// Print an array of JSON objects instead of a table
    #[arg(long)]
    pub json: bool,
}
