//! Parse, run the command, exit code.

use std::process::ExitCode;
use wattscope::{
    commands::{Cli, Failure},
    output,
};

fn main() -> ExitCode {
    let cli = match Cli::parse_from(std::env::args_os()) {
        Ok(cli) => cli,
        Err(usage) => return print_usage(&usage),
    };
    cli.execute().unwrap_or_else(|failure| report(&failure))
}

/// Prints help and version on standard output, and what is wrong with a command line on standard error.
fn print_usage(usage: &clap::Error) -> ExitCode {
    match usage.print() {
        Err(error) if !usage.use_stderr() => report(&error.into()),
        // clap's codes are 0 and 2.
        _ => ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2)),
    }
}

fn report(failure: &Failure) -> ExitCode {
    if let Some(message) = failure.message() {
        output::warn(&message);
    }
    failure.code()
}
