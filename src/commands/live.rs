//! The live screen: `wattscope` without a command.

use super::{
    args::{Batch, Devices, EngineArgs, Graph, Hosts, Metrics, Network, OnePrecision, ScreenArgs, Weights, file},
    failure::Failure,
    setup,
};
use crate::{
    agent::{self, targets},
    clock::Clock,
    exporter::Exporter,
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
    /// The network to begin with.
    #[command(flatten)]
    pub network: Network,
    /// The batch size to begin with.
    #[command(flatten)]
    pub batch: Batch,
    /// The precision to begin with.
    #[command(flatten)]
    pub precision: OnePrecision,
    /// The devices.
    #[command(flatten)]
    pub devices: Devices,
    /// Weights of the network to begin with. Every other network keeps made-up ones.
    #[command(flatten)]
    pub weights: Weights,
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
    /// Record to a new file, one JSON object a line, compressed if it ends in .zst or .gz; `wattscope replay` shows it
    #[arg(short = 'o', long, alias = "output", value_name = "FILE",
          value_parser = file::named_recording("the screen is on standard output: name a file"), value_hint = ValueHint::FilePath)]
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
                self.network.network
            )));
        }
        let targets = setup::targets(&self.hosts, &self.devices.device)?;
        let (network, weights) = (self.network.network, self.weights.weights.as_deref());
        setup::refuse_remote_weights(&self.hosts, weights)?;
        let weights = weights.map(|path| setup::weights_file(&network, path)).transpose()?;
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
                network: Some(network),
                batch: Some(self.batch.batch),
                precision: self.precision.precision,
                device: self.devices.device.first().cloned(),
            },
            stations: match &targets[..] {
                [_] => Vec::new(),
                several => several.iter().map(|target| target.device.clone()).collect(),
            },
            metrics: exporter.as_ref().map(Exporter::url),
            ..self.screen.options()
        };
        let (fold, graph) = (self.engine.fold.wanted(), self.graph.wanted());
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
