//! `wattscope engine`: the process that runs networks. Its agent starts it.

use super::{
    execute::{Execute, Global},
    failure::Failure,
};
use crate::{
    clock::Clock,
    engine::{self, Choices, WeightsFile},
    logging,
};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// The process that runs networks: started by the agent, not by people
#[derive(Clone, Debug, Args)]
#[command(hide = true)]
pub struct Engine {
    /// The host's monotonic nanoseconds at the session's zero
    #[arg(long)]
    pub epoch: u64,
    /// Limit of the data segment on the CPU, bytes
    #[arg(long)]
    pub memory_limit: Option<u64>,
    /// Weights of one network
    #[arg(long, requires = "weights_of")]
    pub weights: Option<PathBuf>,
    /// That network
    #[arg(long, requires = "weights")]
    pub weights_of: Option<String>,
    /// Leave batch norms unfolded
    #[arg(long)]
    pub no_fold: bool,
    /// Replay no captured graph
    #[arg(long)]
    pub no_graph: bool,
}

impl Execute for Engine {
    fn execute(self, _: &Global) -> Result<ExitCode, Failure> {
        let weights = self.weights_of.zip(self.weights).map(|(network, path)| WeightsFile { network, path });
        let choices = Choices { fold: !self.no_fold, graph: !self.no_graph };
        // An engine without a log computes all the same.
        let _ = logging::to_stderr();
        engine::run(Clock::since(self.epoch), self.memory_limit, weights, choices)
    }
}
