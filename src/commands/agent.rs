//! `wattscope agent`: the remote side of `--on`.

use super::{
    execute::{Execute, Global},
    failure::Failure,
    setup,
};
use crate::agent::serve;
use clap::Args;
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};

/// The far side of --on: started by the other side, not by people
#[derive(Clone, Copy, Debug, Args)]
#[command(hide = true)]
pub struct Agent {}

impl Execute for Agent {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        if io::stdin().is_terminal() {
            return Err(Failure::usage(
                "`wattscope agent` is the far side of --on, and is started by the other side:\nwattscope --on \"ssh HOST\"",
            ));
        }
        setup::start_log(global.log.as_deref());
        let options = setup::agent_options(true, None)?;
        let why = setup::runtime()?.block_on(serve::serve(options))?;
        tracing::info!("{why}");
        // A thread may be blocked in a read of standard input, which only the end of the process ends.
        std::process::exit(0)
    }
}
