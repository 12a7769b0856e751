//! How the engine runs.

use super::{file, quantity::bytes};
use clap::{Args, ValueHint};
use std::path::PathBuf;

/// How the engine runs.
#[derive(Clone, Copy, Debug, Args)]
pub struct EngineArgs {
    /// Memory the engine may take on the CPU, such as 4GiB; by default 90 % of what is available
    #[arg(long, value_name = "BYTES", value_parser = memory_limit)]
    pub memory_limit: Option<u64>,
    /// Whether batch norms are folded.
    #[command(flatten)]
    pub fold: Fold,
}

/// Memory that an engine takes before it has a network, bytes.
const LEAST_MEMORY: u64 = 64 << 20;

/// Parser of a limit of an engine's memory.
fn memory_limit(s: &str) -> Result<u64, String> {
    match bytes(s)? {
        limit if limit < LEAST_MEMORY => Err("an engine takes 64MiB before it has a network".to_owned()),
        limit => Ok(limit),
    }
}

/// Whether batch norms are folded into the layer before them.
#[derive(Clone, Copy, Debug, Args)]
pub struct Fold {
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    no_fold: bool,
}

impl Fold {
    /// Whether they are.
    pub const fn wanted(self) -> bool {
        !self.no_fold
    }
}

/// Whether the engine replays captured CUDA graphs.
#[derive(Clone, Copy, Debug, Args)]
pub struct Graph {
    /// On CUDA: replay the launches of a batch as one captured graph where that is exact and faster (the default)
    #[arg(long, overrides_with = "no_graph")]
    graph: bool,
    /// Launch every kernel by itself, even where replaying a captured graph would be faster
    #[arg(long, overrides_with = "graph")]
    no_graph: bool,
}

impl Graph {
    /// Whether graphs may be replayed; the last of the two flags counts.
    pub const fn wanted(self) -> bool {
        self.graph || !self.no_graph
    }
}

/// Weights of one network.
#[derive(Clone, Debug, Args)]
pub struct Weights {
    /// Weights of the network, .pth or .safetensors; made-up ones if not given
    #[arg(short, long, value_name = "FILE", value_parser = file::named("weights are read more than once: name a file"),
          value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
}
