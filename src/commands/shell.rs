//! `wattscope completions` and `wattscope man`: what shells and manual readers know of the command line.

use super::{
    args::{Choice, choice},
    execute::{Execute, Global},
    failure::Failure,
};
use crate::output;
use clap::{Args, builder::PossibleValue};
use clap_complete::Shell;
use std::{io, process::ExitCode};

/// Name of the command that prints manual pages.
pub const MAN: &str = "man";

/// Print a completion script for a shell
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  wattscope completions bash > ~/.local/share/bash-completion/completions/wattscope")]
pub struct Completions {
    /// The shell
    #[arg(value_parser = choice::<Shell>())]
    shell: Shell,
}

impl Execute for Completions {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut global.command_line.clone(), "wattscope", &mut script);
        output::print(&String::from_utf8_lossy(&script));
        Ok(ExitCode::SUCCESS)
    }
}

/// Print the manual page (roff)
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  wattscope man | man -l -\n  wattscope man run | man -l -")]
pub struct Man {
    /// The command whose page is wanted; the main page if none is given
    command: Option<String>,
}

impl Execute for Man {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let mut page = Vec::new();
        manual(global.command_line.clone(), self.command.as_deref(), &mut page)?;
        output::print(&String::from_utf8_lossy(&page));
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes the pages of these commands the ones that `man` takes; its own is left out.
pub fn offer_pages(man: clap::Command, commands: &[&'static str]) -> clap::Command {
    let pages = commands.iter().filter(|name| **name != MAN);
    let pages = Choice::new(pages.map(|name| (PossibleValue::new(*name), (*name).to_owned())));
    man.mut_arg("command", |arg| arg.value_parser(pages))
}

/// Writes the manual page of a command, or the main one.
fn manual(mut root: clap::Command, command: Option<&str>, out: &mut impl io::Write) -> io::Result<()> {
    root.build();
    let page = command.and_then(|name| root.find_subcommand(name)).unwrap_or(&root).clone();
    clap_mangen::Man::new(page).render(out)
}
