//! `wattscope run`: measurements without a screen, as a table or as JSON.

use super::{
    args::{self, EngineArgs, Graph, Grid, Hosts, Metrics},
    execute::{Execute, Global},
    failure::Failure,
    progress::{Detail, Printer, exit_code},
    setup, suspend,
};
use crate::{
    agent::{
        self,
        targets::{self, ResolvedTarget},
    },
    clock::Clock,
    event::{Config, DeviceInfo, Plan},
    session::Fleet,
    sweep::{self, Job, plan::plan},
};
use clap::{Args, ValueHint};
use std::{io, path::PathBuf, process::ExitCode};

const HELP: &str = "\
Examples:
  wattscope run --network alexnet,resnet50 --batch 1,16
  wattscope run --network all --batch 1 --seconds 10 --json > all.jsonl
  wattscope run --network vgg16 --device cuda:0 --precision f32,f16
  wattscope run --network vgg16 --on \"srun --gres=gpu:1\"

Exit status:
  0    everything was measured
  1    something failed; the rest is measured all the same
  2    bad usage
  130  Ctrl-C; what was measured until then is printed

assets/run.schema.json describes the objects of --json; `schema` in them says which version.";

/// Measure without a screen and print a table, or JSON
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Run {
    /// Networks to measure, separated by commas, or `all`
    #[arg(short, long, value_name = "ID,…", required = true, value_delimiter = ',', value_parser = args::network_or_all(),
          hide_possible_values = true)]
    pub network: Vec<String>,
    /// The configurations of each network.
    #[command(flatten)]
    pub grid: Grid,
    /// Steady batches to measure of each configuration, seconds; with a power sensor, after power has settled
    #[arg(short, long, value_name = "S", default_value_t = 5.0, value_parser = args::seconds)]
    pub seconds: f64,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …; several, separated by commas, side by side
    #[arg(short, long, value_name = "NAME,…", value_delimiter = ',', default_value = "auto", value_parser = args::device_name)]
    pub device: Vec<String>,
    /// Weights of the network, .pth or .safetensors, instead of made-up ones; for one network only
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// The hosts to measure on.
    #[command(flatten)]
    pub hosts: Hosts,
    /// Print each result as a JSON object on a line of its own, as soon as it is measured
    #[arg(long)]
    pub json: bool,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Whether graphs are replayed.
    #[command(flatten)]
    pub graph: Graph,
    /// Where metrics are served.
    #[command(flatten)]
    pub metrics: Metrics,
    /// Record to a new file, one JSON object a line, compressed if it ends in .zst; `wattscope replay` shows it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

impl Execute for Run {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let runtime = setup::runtime()?;
        setup::refuse_remote_weights(&self.hosts, self.weights.as_deref())?;
        // Before any host is reached, which may take long: a port that is taken is said at once.
        let exporter = setup::exporter(&self.metrics)?;
        let targets = runtime.block_on(setup::connect(setup::targets(&self.hosts, &self.device)?))?;
        let plan_of = |target: &ResolvedTarget| {
            let configs = self.configs(&target.device, &target.host.devices)?;
            Ok(plan(configs, 1, None, self.seconds, 0.0))
        };
        let plans = targets.iter().map(plan_of).collect::<Result<Vec<Plan>, Failure>>()?;
        let weights = self.weights.clone().zip(plans[0].configs.first());
        let weights = weights.map(|(path, config)| setup::weights_file(&config.network, path)).transpose()?;
        let recorder = setup::recorder(self.record.as_deref())?;
        setup::start_log(global.log.as_deref());
        let (fold, graph) = (!self.engine.no_fold, self.graph.wanted());
        let options = agent::Options { weights, fold, graph, ..setup::agent_options(false, self.engine.memory_limit)? };
        let mut printer = Printer::new(self.json, Detail::Failures);
        let mut code = ExitCode::SUCCESS;
        let (end, recording) = runtime.block_on(async {
            let (fleet, each) = (Fleet::of(targets.len()), (0..).zip(plans).collect());
            let mut job = Job::new(fleet, recorder, each, false);
            let agents = setup::with_metrics(targets::connect(targets, &options, &[], Clock::start()), exporter);
            suspend::answer(&agents);
            let end = sweep::measure(agents, &mut job, setup::interruption(&mut code), &mut printer).await?;
            io::Result::Ok((end, job.recording))
        })?;
        let records = printer.finish();
        Ok(exit_code(end, code, &records, setup::recorded(&recording)))
    }
}

impl Run {
    /// The configurations asked for on one of the devices, each once: networks, then precisions, then batch sizes.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision, or weights are given for several networks.
    pub fn configs(&self, device: &str, devices: &[DeviceInfo]) -> Result<Vec<Config>, Failure> {
        let configs = args::configs(&self.network, &self.grid.precision, &self.grid.batch, device, devices);
        let configs = configs.map_err(Failure::usage)?;
        if self.weights.is_some() && configs.iter().any(|config| config.network != configs[0].network) {
            return Err(Failure::usage("--weights is the file of one network, and --network names several"));
        }
        Ok(configs)
    }
}
