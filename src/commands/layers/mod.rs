//! `wattscope layers`: where the time of a batch goes, layer by layer.

mod measure;
mod record;

use super::{
    args::{Device, EngineArgs, Grid, Hosts, JsonLines, NamedNetwork, Weights, file::Record as RecordTo},
    bar::bar,
    execute::{Execute, Global},
    failure::Failure,
    progress::line,
    results::Results,
    setup, suspend,
};
use crate::{
    agent::{self, fleet::FleetHandle, targets::ResolvedTarget},
    backend::DeviceError,
    clock::Clock,
    event::{Config, DeviceInfo},
    output,
    session::{Recording, State, record::RecordError, records::Outcome},
    sweep::End,
};
use clap::Args;
use indicatif::ProgressBar;
use measure::{Observer, measure};
use record::Record;
use std::{io, process::ExitCode, time::Duration};

const HELP: &str = "\
The network runs until it is steady, then passes whose layers are timed take turns, for about a second, with passes of the \
whole batch. Every time is the mean over the middle half of the passes, so that the layers add up. The clock is the \
device's own where it has one, and otherwise wall time, synchronised at both ends of each layer. What is computed in one \
with another layer is marked `in #N`, and N's time holds both. `none` takes no time: parts of a concatenation that are \
written where they belong.

FLOP/s are two a multiply-accumulate of convolutions and linear layers. Bytes are those that must cross the memory at \
the least: what a layer reads of others, its weights, and what others read of it, each once. The roof is the lower of what \
the device computes and what its memory delivers at the layer's FLOP/byte; both are measured on the device. Above 100 % of \
the memory's roof, a cache delivers.

Examples:
  wattscope layers resnet50 --batch 8
  wattscope layers mobilenet-v2 --precision f16 --json > layers.json
  wattscope layers vgg16 --batch 1,32 --device cuda:0

Exit status:
  0    everything was measured
  1    something failed; the rest is measured all the same
  2    bad usage
  130  Ctrl-C; the results that were complete until then are printed

assets/layers.schema.json describes the objects of --json, one a line for each batch size and precision.";

/// Measure where the time of a batch goes, layer by layer, and what limits each layer
#[derive(Clone, Debug, Args)]
#[command(after_help = HELP)]
pub struct Layers {
    /// The network.
    #[command(flatten)]
    pub network: NamedNetwork,
    /// Its configurations.
    #[command(flatten)]
    pub grid: Grid,
    /// The device.
    #[command(flatten)]
    pub device: Device,
    /// Its weights.
    #[command(flatten)]
    pub weights: Weights,
    /// The host to measure on: one --on at the most.
    #[command(flatten)]
    pub hosts: Hosts,
    /// Whether results are JSON: an object for each batch size and precision.
    #[command(flatten)]
    pub json: JsonLines,
    /// How the engine runs.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// The recording.
    #[command(flatten)]
    pub record: RecordTo,
}

impl Execute for Layers {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let runtime = setup::runtime()?;
        let (weights, recording) = (self.weights.weights.as_deref(), self.record.output.as_deref());
        let results = Results::beside(recording, self.json.json)?;
        setup::refuse_remote_weights(&self.hosts, weights)?;
        if let [_, another, ..] = &self.hosts.on[..] {
            let reason = format!("--on \"{another}\": layers are measured in one place at a time");
            return Err(Failure::usage(reason));
        }
        let targets = setup::targets(&self.hosts, std::slice::from_ref(&self.device.device))?;
        let targets = runtime.block_on(setup::connect(targets))?;
        // One host and one device are one target.
        let Some(ResolvedTarget { host, .. }) = targets.into_iter().next() else { return Ok(ExitCode::FAILURE) };
        let configs = self.configs(&host.devices).map_err(Failure::usage)?;
        let weights = weights.map(|path| setup::weights_file(self.network.name(), path)).transpose()?;
        let recorder = setup::recorder(recording)?;
        setup::start_log(global.log.as_deref());
        // No figure here is of power, so no idle power is read.
        let (fold, idle) = (self.engine.fold.wanted(), Duration::ZERO);
        let options = agent::Options { weights, fold, idle, ..setup::agent_options(false, self.engine.memory_limit)? };
        let mut printer = Printer::new(results);
        let mut code = ExitCode::SUCCESS;
        let mut recording = Recording::from(recorder);
        let end = runtime.block_on(async {
            let agents = FleetHandle::from(host.start(options, Clock::start()));
            suspend::answer(&agents);
            measure(agents, &configs, &mut recording, setup::interruption(&mut code), &mut printer).await
        })?;
        let recorded = setup::recorded(&recording);
        Ok(match end {
            End::Interrupted => code,
            End::Complete if !printer.failed && recorded => ExitCode::SUCCESS,
            End::Complete | End::StreamEnded => ExitCode::FAILURE,
        })
    }
}

impl Layers {
    /// The configurations asked for, each once: precisions, then batch sizes.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision.
    pub fn configs(&self, devices: &[DeviceInfo]) -> Result<Vec<Config>, DeviceError> {
        self.grid.configs(&[self.network.name().to_owned()], &self.device.device, devices)
    }
}

/// Prints layers as they are measured: a line of progress on standard error while that is a terminal, tables or JSON lines
/// where results go.
struct Printer {
    results: Results,
    bar: ProgressBar,
    failed: bool,
    printed: bool,
}

impl Printer {
    /// A printer that has printed nothing.
    fn new(results: Results) -> Self {
        Self { results, bar: bar(None, "{spinner} {wide_msg}"), failed: false, printed: false }
    }
}

impl Observer for Printer {
    fn recording_ended(&mut self, error: &RecordError) {
        if !error.is_broken_pipe() {
            self.bar.suspend(|| output::warn(&error.to_string()));
        }
    }

    fn progress(&mut self, state: &State) {
        if self.bar.is_hidden() {
            return;
        }
        let aside = state.run.as_ref().is_some_and(|run| run.aside.is_some_and(|(_, away)| away));
        self.bar.set_message(line(state) + if aside { " · measuring its layers" } else { "" });
        self.bar.tick();
    }

    fn measured(&mut self, _: &State, record: Record) -> io::Result<()> {
        self.bar.finish_and_clear();
        if let Outcome::Failed { error, .. } = &record.outcome {
            self.failed = true;
            output::warn(&format!("{}: {error}", record.title()));
        }
        if self.results.is_json() {
            output::print(&(serde_json::to_string(&record)? + "\n"));
        } else if record.is_measured() {
            let gap = if self.printed { "\n" } else { "" };
            self.results.print_table(&format!("{gap}{}", record.text()));
            self.printed = true;
        }
        self.bar.reset();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
