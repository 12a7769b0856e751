//! What a command is.

use super::failure::Failure;
use std::{path::PathBuf, process::ExitCode};

/// A command: its fields are its flags.
pub trait Execute {
    /// Does what the flags say.
    ///
    /// # Errors
    /// If that can't be done.
    fn execute(self, global: &Global) -> Result<ExitCode, Failure>;
}

/// What every command gets.
#[derive(Clone, Debug)]
pub struct Global {
    /// The log; by default a file in the user's state directory.
    pub log: Option<PathBuf>,
    /// The whole command line, for the manual page and the completions.
    pub command_line: clap::Command,
}
