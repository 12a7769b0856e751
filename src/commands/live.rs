//! The live screen: `wattscope` without a command.

use super::{
    args::{self, EngineArgs, Graph, Hosts, Metrics, ScreenArgs},
    failure::Failure,
    setup,
};
use crate::{
    agent::{self, targets},
    clock::Clock,
    event::Precision,
    format, output,
    session::Recordings,
    ui,
};
use clap::{Args, ValueHint};
use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Flags of the live screen.
#[derive(Clone, Debug, Args)]
pub struct Live {
    /// Network to begin with (`wattscope networks` lists them)
    #[arg(short, long, value_name = "ID", default_value = "alexnet-owt", value_parser = args::network(), hide_possible_values = true)]
    pub network: String,
    /// Images in a batch to begin with
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Arithmetic to begin with; the device's first if not given
    #[arg(short, long, value_name = "P", value_parser = args::precision())]
    pub precision: Option<Precision>,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …; several, separated by commas, side by side
    #[arg(short, long, value_name = "NAME,…", value_delimiter = ',', default_value = "auto", value_parser = args::device_name)]
    pub device: Vec<String>,
    /// Weights of the network to begin with, .pth or .safetensors; every other network keeps made-up ones
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// The hosts to measure on.
    #[command(flatten)]
    pub hosts: Hosts,
    /// How the screen is drawn.
    #[command(flatten)]
    pub screen: ScreenArgs,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Whether graphs are replayed.
    #[command(flatten)]
    pub graph: Graph,
    /// Where metrics are served.
    #[command(flatten)]
    pub metrics: Metrics,
    /// Record to a new file, one JSON object a line, compressed if it ends in .zst; `wattscope replay` shows it again
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl Live {
    /// Shows the live screen until the user leaves it.
    ///
    /// # Errors
    /// If there is no terminal, or something on the command line is not there.
    pub fn execute(self, log: Option<&Path>) -> Result<ExitCode, Failure> {
        if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(Failure::usage(format!(
                "the live screen needs a terminal for input and output.\n\
                 Without one: wattscope run --network {} (wattscope run --help)",
                self.network
            )));
        }
        let targets = setup::targets(&self.hosts, &self.device)?;
        setup::refuse_remote_weights(&self.hosts, self.weights.as_deref())?;
        let weights = self.weights.map(|path| setup::weights_file(&self.network, path)).transpose()?;
        let named = setup::recorder(self.record.as_deref())?;
        let exporter = setup::exporter(&self.metrics)?;
        setup::start_log(log);
        let (mut recordings, error) = Recordings::begin(named, setup::sessions_folder().ok().as_deref());
        if let Some(error) = error {
            // The user did not ask for this recording, and sees the screen without it.
            tracing::warn!("no unnamed recording is made: {error}");
        }
        let options = ui::Options {
            initial: ui::InitialConfig {
                network: Some(self.network),
                batch: Some(self.batch),
                precision: self.precision,
                device: self.device.first().cloned(),
            },
            stations: match &targets[..] {
                [_] => Vec::new(),
                several => several.iter().map(|target| target.device.clone()).collect(),
            },
            ..self.screen.options()
        };
        let (fold, graph) = (!self.engine.no_fold, self.graph.wanted());
        let agent = agent::Options { weights, fold, graph, ..setup::agent_options(true, self.engine.memory_limit)? };
        let start = || setup::with_metrics(targets::start(&targets, &agent, Clock::start()), exporter);
        let exit = setup::runtime()?.block_on(ui::run(options, &mut recordings, start))?;
        // Why a recording is not complete is among the failures below.
        if let Ok(Some(file)) = recordings.stop() {
            output::say(&format!("recorded {} ({})", file.path.display(), format::bytes(file.bytes)));
        }
        // The screen said so at once; it is gone now.
        recordings.failures().iter().for_each(|error| output::warn(&error.to_string()));
        Ok(ExitCode::from(if exit.code() == 0 && !recordings.failures().is_empty() { 1 } else { exit.code() }))
    }
}
