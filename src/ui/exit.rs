//! How the screen ends: the reasons with their exit codes, and the errors that keep it from starting.

use std::io;

/// Why the screen was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A key.
    Quit,
    /// Ctrl-C, as a key or as SIGINT.
    Interrupted,
    /// SIGTERM.
    Terminated,
    /// SIGHUP, or a terminal that vanished without one.
    HungUp,
    /// SIGQUIT.
    Quitted,
}

impl Exit {
    /// Exit code of the process: 128 and the signal's number, as in shells, so that a script stops on an interrupt, too.
    pub const fn code(self) -> u8 {
        match self {
            Self::Quit => 0,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Quitted => 131,
            Self::Terminated => 143,
        }
    }
}

/// Why the screen did not start.
#[derive(Debug, thiserror::Error)]
pub enum UiError {
    /// Input or output is a file or a pipe.
    #[error("no terminal: the screen needs one for input and output")]
    NoTerminal,
    /// The terminal could not be set to raw mode or to its alternate screen.
    #[error("the terminal could not be set up: {0}")]
    Terminal(#[source] io::Error),
    /// Signal handlers could not be installed.
    #[error("signals could not be caught: {0}")]
    Signals(#[source] io::Error),
}
