//! The commands: a file each, with its flags, its help text, what it does and what it prints.
//!
//! A new command is a file in this folder, with a clap struct that implements `Execute`, and a line in the list below.
//! Nothing outside this folder uses it but `main.rs`.

mod args;
mod bar;
mod execute;
mod failure;
mod misplaced;
mod progress;
mod results;
mod setup;
mod suspend;

mod accuracy;
mod agent;
mod check;
mod devices;
mod engine;
mod export;
mod infer;
mod layers;
mod live;
mod merge;
mod networks;
mod replay;
mod report;
mod run;
mod shell;
mod sweep;
mod warm;

pub use failure::Failure;

use crate::output;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};
use execute::{Execute, Global};
use live::Live;
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

/// Makes the list of commands the subcommands of the command line.
macro_rules! commands {
    ($($word:literal: $name:ident($args:ty),)+) => {
        /// Everything but the live screen.
        #[derive(Clone, Debug, Subcommand)]
        enum Command {
            $(#[command(name = $word)] $name($args),)+
        }

        /// Every command, as it is typed.
        const WORDS: &[&str] = &[$($word),+];

        impl Execute for Command {
            fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
                match self {
                    $(Self::$name(command) => command.execute(global),)+
                }
            }
        }
    };
}

// In the order in which the help lists them.
commands! {
    "run": Run(run::Run),
    "layers": Layers(layers::Layers),
    "sweep": Sweep(sweep::Sweep),
    "merge": Merge(merge::Merge),
    "replay": Replay(replay::Replay),
    "export": Export(export::Export),
    "report": Report(report::Report),
    "networks": Networks(networks::Networks),
    "devices": Devices(devices::Devices),
    "check": Check(check::Check),
    "warm": Warm(warm::Warm),
    "infer": Infer(infer::Infer),
    "accuracy": Accuracy(accuracy::Accuracy),
    "completions": Completions(shell::Completions),
    "man": Man(shell::Man),
    "agent": Agent(agent::Agent),
    "engine": Engine(engine::Engine),
}

const EXAMPLES: &str = "\
The live screen begins with --network, --batch, --precision and --weights; keys change all but the weights.
A command's flags follow the command: wattscope devices --on \"ssh gpu-box\".

Examples:
  wattscope                                    the live screen, on the first GPU or else the CPU
  wattscope --network vgg16 --batch 8          … with another network
  wattscope run --network resnet50 --batch 1,8,32 --precision f32,f16
                                               the same measurements as a table
  wattscope run --network all --json > run.jsonl
                                               … as one JSON object a line
  wattscope sweep --network paper -o paper.jsonl.zst
                                               … of every network of the paper at every batch size, kept
  wattscope --on \"ssh gpu-box\"                 the live screen of another host's engine
  wattscope replay                             what the live screen showed last, again
  wattscope networks                           what can be measured
  wattscope devices                            on what, and why not on more";

/// An oscilloscope for neural networks: latency, utilisation and watts, live in the terminal.
///
/// Runs reference networks on a GPU or the CPU and shows what one batch takes, how busy the device is and what it
/// draws, while you turn the knobs: network, batch size, precision.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "wattscope",
    version,
    after_help = EXAMPLES,
    override_usage = "wattscope [OPTIONS]\n       wattscope <COMMAND> [OPTIONS]"
)]
pub struct Cli {
    /// What to do; the live screen if nothing is said.
    #[command(subcommand)]
    command: Option<Command>,
    /// Flags of the live screen.
    #[command(flatten)]
    live: Live,
    /// Write the log to FILE instead of wattscope/wattscope.log in the user's state directory
    #[arg(long, value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    log: Option<PathBuf>,
    /// Print results and errors only: no progress and no notes on standard error
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl Cli {
    /// Parses a command line, the program's name first.
    ///
    /// # Errors
    /// Bad usage, and the texts of `--help` and `--version`.
    pub fn parse_from(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let mut command = command_line();
        let matches = command.try_get_matches_from_mut(line)?;
        misplaced::check(&mut command, &matches)?;
        Self::from_arg_matches(&matches)
    }

    /// Does what the command line says. Results that could not be printed are a failure, whatever else went well.
    ///
    /// # Errors
    /// If it can't be done.
    pub fn execute(self) -> Result<ExitCode, Failure> {
        if self.quiet {
            output::be_quiet();
        }
        output::survive_file_limits();
        let global = Global { log: self.log, command_line: command_line() };
        let code = match self.command {
            None => self.live.execute(global.log.as_deref()),
            Some(command) => command.execute(&global),
        }?;
        match output::failure() {
            Some(error) => Err(failure::about("standard output")(error).into()),
            None => Ok(code),
        }
    }
}

/// The whole command line. The manual pages that `man` takes are those of the commands that are listed.
pub fn command_line() -> clap::Command {
    let command = Cli::command();
    let listed = |word: &&str| command.find_subcommand(word).is_some_and(|command| !command.is_hide_set());
    let pages: Vec<&str> = WORDS.iter().copied().filter(listed).collect();
    let offer = |command: clap::Command| match command.get_name() {
        shell::MAN => shell::offer_pages(command, &pages),
        _ => command,
    };
    command.mut_subcommands(offer)
}

#[cfg(test)]
mod tests;
