//! Why a command did not do what it was asked, as it is said and as scripts see it.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    error::Error,
    fmt::{self, Display},
    io,
    process::ExitCode,
};

/// A command that did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that is not there, or names a file that can't be used: exit code 2.
    Usage(String),
    /// A file or a host that the user named can't be used, and the reason explains it: no backtrace would. Exit code 1.
    Explained(String),
    /// Something went wrong on the way: exit code 1.
    Error(Box<dyn Error + Send + Sync>, Backtrace),
    /// It was interrupted: the exit code that shells give to the signal.
    Interrupted(u8),
}

impl Failure {
    /// A command line that can't be followed.
    pub fn usage(reason: impl Display) -> Self {
        Self::Usage(reason.to_string())
    }

    /// A file or a host that can't be used, for a reason that explains itself.
    pub fn explained(reason: impl Display) -> Self {
        Self::Explained(reason.to_string())
    }

    /// The exit code. A reader that has left had enough of the output: that is a success.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Error(..) if self.is_broken_pipe() => ExitCode::SUCCESS,
            Self::Explained(_) | Self::Error(..) => ExitCode::FAILURE,
            Self::Interrupted(code) => ExitCode::from(*code),
        }
    }

    /// What is said on stderr; nothing where there is nothing to say.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Usage(reason) | Self::Explained(reason) => Some(format!("error: {reason}")),
            Self::Error(..) if self.is_broken_pipe() => None,
            Self::Error(error, backtrace) => {
                let mut message = format!("error: {}", chain(error.as_ref()));
                // Captured only where RUST_BACKTRACE asks for it.
                if backtrace.status() == BacktraceStatus::Captured {
                    message += &format!("\n{backtrace}");
                }
                Some(message)
            }
            Self::Interrupted(_) => None,
        }
    }

    fn is_broken_pipe(&self) -> bool {
        let Self::Error(error, _) = self else { return false };
        let broken = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        causes(error.as_ref()).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(broken))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error), Backtrace::capture())
    }
}

/// An error, its cause, the cause of that …
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error and its causes on one line. Many errors end with the text of their cause: it is not said twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    causes(error).fold(String::new(), |said, cause| {
        let text = cause.to_string();
        match said.as_str() {
            "" => text,
            _ if said.contains(&text) => said,
            _ => format!("{said}: {text}"),
        }
    })
}

/// An error with what it is about before it.
#[derive(Debug)]
pub struct About<E> {
    what: String,
    error: E,
}

/// Puts what an error is about before it.
pub fn about<E>(what: impl Display) -> impl FnOnce(E) -> About<E> {
    move |error| About { what: what.to_string(), error }
}

impl<E: Display> Display for About<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

impl<E: Error + 'static> Error for About<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_its_causes_each_once() {
        let io = || io::Error::from(io::ErrorKind::PermissionDenied);
        let message = Failure::from(about("x.jsonl")(io())).message().unwrap();
        // A backtrace follows where the tests run with one.
        assert_eq!(message.lines().next(), Some("error: x.jsonl: permission denied"));
        let gone = Failure::from(about("standard output")(io::Error::from(io::ErrorKind::BrokenPipe)));
        assert_eq!((gone.message(), gone.code()), (None, ExitCode::SUCCESS));
        assert_eq!(Failure::usage("no such device").code(), ExitCode::from(2));
    }
}
