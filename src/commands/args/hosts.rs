//! The hosts to measure on.

use crate::agent::remote::RemoteCommand;
use clap::{Args, ValueHint};

/// The hosts whose engines measure: this one, or those that commands lead to.
#[derive(Clone, Debug, Args)]
pub struct Hosts {
    /// Command that leads to the host to measure on, such as "ssh gpu-box"; the same wattscope has to be there. Several
    /// --on are several hosts, side by side; `layers` takes one
    #[arg(long, value_name = "COMMAND", value_parser = command_line, value_hint = ValueHint::CommandString)]
    pub on: Vec<String>,
    /// wattscope at the far end of --on, where it is not in the PATH there
    #[arg(long, value_name = "PROGRAM", default_value = "wattscope", value_parser = command_line, requires = "on")]
    pub far: String,
}

impl Hosts {
    /// The remote hosts; none where the engine runs on this host.
    pub fn targets(&self) -> Vec<RemoteCommand> {
        self.on.iter().map(|on| RemoteCommand { on: on.clone(), program: self.far.clone() }).collect()
    }
}

/// Parser of a command for a shell, which is not empty.
fn command_line(s: &str) -> Result<String, String> {
    match s.trim() {
        "" => Err("a command, such as \"ssh gpu-box\"".to_owned()),
        command => Ok(command.to_owned()),
    }
}
