//! The results of `run`, `layers` and `sweep`: in what form, and where.

use super::failure::Failure;
use crate::output;
use std::path::Path;

/// In what form results are printed, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// JSON objects on standard output, as soon as there are any.
    Json,
    /// Tables on standard output.
    Tables,
    /// Tables on standard error: on standard output is a recording.
    TablesAside,
}

impl Results {
    /// How results are printed beside a recording.
    ///
    /// # Errors
    /// If JSON objects and the recording would be mixed.
    pub fn beside(recording: Option<&Path>, json: bool) -> Result<Self, Failure> {
        match (recording.is_some_and(output::is_standard_output), json) {
            (true, true) => Err(Failure::usage(
                "--json prints results on standard output, and -o - the recording: name a file for one of them",
            )),
            (true, false) => Ok(Self::TablesAside),
            (false, true) => Ok(Self::Json),
            (false, false) => Ok(Self::Tables),
        }
    }

    /// Whether they are JSON.
    pub fn is_json(self) -> bool {
        self == Self::Json
    }

    /// Prints a table.
    pub fn print_table(self, table: &str) {
        match self {
            Self::TablesAside => output::say(table.trim_end()),
            Self::Json | Self::Tables => output::print(table),
        }
    }
}
