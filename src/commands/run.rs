//! `wattscope run`: measurements without a screen, as a table or as JSON.

use super::{
    args::{Devices, EngineArgs, Graph, Grid, Hosts, JsonLines, Metrics, Networks, Seconds, Weights, file::Record},
    execute::{Execute, Global},
    failure::Failure,
    progress::{Detail, Printer, exit_code},
    results::Results,
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
use clap::Args;
use std::{io, process::ExitCode};

const HELP: &str = "\
Examples:
  wattscope run --network alexnet,resnet50 --batch 1,16
  wattscope run --network all --batch 1 --seconds 10 --json > all.jsonl
  wattscope run --network vgg16 --device cuda:0 --precision f32,f16
  wattscope run --network vgg16 --on \"srun --gres=gpu:1\"
  wattscope run --network resnet50 --batch 1..64 -o resnet50.jsonl.zst

Exit status:
  0    everything was measured
  1    something failed; the rest is measured all the same
  2    bad usage
  130  Ctrl-C; the results that were complete until then are printed

assets/run.schema.json describes the objects of --json; `schema` in them says which version.";

/// Measure without a screen and print a table, or JSON
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP, mut_arg("network", |network| network.required(true)))]
pub struct Run {
    /// The networks.
    #[command(flatten)]
    pub networks: Networks,
    /// The configurations of each network.
    #[command(flatten)]
    pub grid: Grid,
    /// How long each is measured.
    #[command(flatten)]
    pub seconds: Seconds,
    /// The devices.
    #[command(flatten)]
    pub devices: Devices,
    /// Weights, for one network only.
    #[command(flatten)]
    pub weights: Weights,
    /// The hosts to measure on.
    #[command(flatten)]
    pub hosts: Hosts,
    /// Whether results are JSON.
    #[command(flatten)]
    pub json: JsonLines,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Whether graphs are replayed.
    #[command(flatten)]
    pub graph: Graph,
    /// Where metrics are served.
    #[command(flatten)]
    pub metrics: Metrics,
    /// The recording.
    #[command(flatten)]
    pub record: Record,
}

impl Execute for Run {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let runtime = setup::runtime()?;
        let (weights, recording) = (self.weights.weights.as_deref(), self.record.output.as_deref());
        let results = Results::beside(recording, self.json.json)?;
        setup::refuse_remote_weights(&self.hosts, weights)?;
        // Before any host is reached, which may take long: a port that is taken is said at once.
        let exporter = setup::announced_exporter(&self.metrics)?;
        let targets = runtime.block_on(setup::connect(setup::targets(&self.hosts, &self.devices.device)?))?;
        let plan_of = |target: &ResolvedTarget| {
            let configs = self.configs(&target.device, &target.host.devices)?;
            Ok(plan(configs, 1, None, self.seconds.seconds.as_secs_f64(), 0.0))
        };
        let plans = targets.iter().map(plan_of).collect::<Result<Vec<Plan>, Failure>>()?;
        let weights = weights.zip(plans[0].configs.first());
        let weights = weights.map(|(path, config)| setup::weights_file(&config.network, path)).transpose()?;
        let recorder = setup::recorder(recording)?;
        setup::start_log(global.log.as_deref());
        let (fold, graph) = (self.engine.fold.wanted(), self.graph.wanted());
        let options = agent::Options { weights, fold, graph, ..setup::agent_options(false, self.engine.memory_limit)? };
        let mut printer = Printer::new(results, Detail::Failures);
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
        let configs = self.grid.configs(&self.networks.names(), device, devices).map_err(Failure::usage)?;
        if self.weights.weights.is_some() && configs.iter().any(|config| config.network != configs[0].network) {
            return Err(Failure::usage("--weights is the file of one network, and --network names several"));
        }
        Ok(configs)
    }
}
