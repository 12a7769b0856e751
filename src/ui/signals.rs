//! The signals that end, suspend or resume a terminal program.

use std::io;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A signal that was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT from another process; Ctrl-C is a key while the terminal is in raw mode.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP.
    HangUp,
    /// SIGQUIT.
    Quit,
    /// SIGTSTP from another process; Ctrl-Z is a key while the terminal is in raw mode.
    Suspend,
    /// SIGCONT.
    Continue,
}

/// Handlers of all of them, installed for as long as the process lives.
#[derive(Debug)]
pub struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hang_up: Stream,
    quit: Stream,
    suspend: Stream,
    cont: Stream,
}

impl Signals {
    /// Installs the handlers.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
            suspend: signal(SignalKind::from_raw(libc::SIGTSTP))?,
            cont: signal(SignalKind::from_raw(libc::SIGCONT))?,
        })
    }

    /// The next signal; those that end the program come first.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.hang_up.recv() => Signal::HangUp,
            Some(()) = self.quit.recv() => Signal::Quit,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            Some(()) = self.suspend.recv() => Signal::Suspend,
            Some(()) = self.cont.recv() => Signal::Continue,
            // Signal streams do not end.
            else => std::future::pending().await,
        }
    }
}
