//! Every command and flag.

use crate::{
    agent::remote::Target,
    backend::{DeviceError, device},
    event::{Config, DeviceInfo, Nanos, Plan, Precision},
    model::{self, Model, zoo},
    session::export::{Format, Table},
    sweep::{plan, shard},
    ui::timeline,
};
use clap::{
    ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

const EXAMPLES: &str = "\
Examples:
  wattscope                                    the live screen, on the first GPU or else the CPU
  wattscope --network vgg16 --batch 8          … with another network
  wattscope run --network resnet50 --batch 1,8,32 --precision f32,f16
                                               the same measurements as a table
  wattscope run --network all --json > run.jsonl
                                               … as one JSON object a line
  wattscope sweep --networks paper -o paper.jsonl.zst
                                               … of every network of the paper at every batch size, kept
  wattscope --on \"ssh gpu-box\"                 the live screen of another host's engine
  wattscope replay                             what the live screen showed last, again
  wattscope networks                           what can be measured
  wattscope devices                            on what, and why not on more";

const RUN_EXAMPLES: &str = "\
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

const LAYERS_HELP: &str = "\
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
  130  Ctrl-C; what was measured until then is printed

assets/layers.schema.json describes the objects of --json, one a line for each batch size and precision.";

const SWEEP_HELP: &str = "\
Every configuration is measured to steady state: warm-up until the latency has converged, then S seconds of batches, and of
power from one second later on, with at least 32 readings where S is below 5. Idle power is read before the first
engine starts and after the last one was stopped.

FILE is the session itself, compressed if its name ends in .zst. After an interruption the same command goes on with it:
what is done is not measured again. What did not fit into memory is recorded as such, and so are the larger batches that
are not tried then.

Several devices, or several --on, share the work: each step goes to whoever is free, and one that is lost gives its step
back. Under a scheduler each of N processes measures its part, every Nth step of one plan, into FILE with the part in its name
(x.1of4.jsonl.zst), and `wattscope merge` joins them. --shard auto reads SLURM_PROCID and SLURM_NTASKS, those of a job array
too, or JOB_COMPLETION_INDEX of an indexed Kubernetes Job; of how many, Kubernetes does not say: auto/N, or JOB_COMPLETIONS
in the pod's environment. The seed is the job's number, or 2016 where there is none; any host goes on with any part.

Examples:
  wattscope sweep -o session.jsonl.zst
  wattscope sweep --networks resnet18,vgg16 --batches 1..32,48 --repeat 1 -o x.jsonl
  wattscope sweep --networks all --precisions f32,f16 --device cuda:0 --cooldown 5s -o card.jsonl.zst
  wattscope sweep --on \"ssh box1\" --on \"ssh box2\" -o both.jsonl.zst
  srun -N 4 wattscope sweep --shard auto -o x.jsonl.zst && wattscope merge x.?of4.jsonl.zst -o x.jsonl.zst

Exit status:
  0    everything was measured
  1    something failed; the rest is measured all the same
  2    bad usage, or FILE holds something else
  130  Ctrl-C; what was measured until then is in FILE";

const MERGE_HELP: &str = "\
Of a step that several files hold the first one that was measured counts, in the order of the files; what is left out is
said. Every run keeps its host and device. Steps that no file holds are listed: OUT is written all the same, and merged
again with the missing files later on.

Examples:
  wattscope merge x.*of4.jsonl.zst -o x.jsonl.zst
  wattscope merge x.jsonl.zst x.3of4.jsonl.zst -o x.jsonl.zst

Exit status:
  0  every step of the plan is in OUT
  1  some are missing, or a file is of another sweep
  2  bad usage";

const REPORT_HELP: &str = "\
DIR then holds report.html (one file, nothing loaded from elsewhere), report.md and figures/*.svg: Figures 1 to 10 of
Canziani et al. (arXiv 1605.07678) from these measurements, the verdicts on the paper's four findings, tables, method and
environment. Several files stand side by side, as do several devices or precisions of one. A figure whose data is missing
says why.

Examples:
  wattscope report card.jsonl.zst -o report
  wattscope report h100.jsonl.zst a100.jsonl.zst -o both";

const CHECK_HELP: &str = "\
The error is the largest difference of a logit over two images, in standard deviations of the logits, from two references:
PyTorch's result in double precision (38 logits, which are built in) and f32 on this CPU without folding (all 2000).

Bounds, and how each was set: the largest errors of all 21 networks on a CPU are 8.6e-6 in f32, 5.3e-3 in f16 and 4.2e-2 in
bf16, with Burn's own kernels 9.0e-3 and 4.5e-2 (VGG-19 each time). f32 may be off by 1e-4, which leaves room for another
order of summation; f16 by 1e-2, and tf32, which rounds as f16 does, as much; bf16 by 5e-2, and with --no-fold by 2e-1, for
every batch norm of Burn's then rounds once more (1.1e-1 in Inception-v3).

Results are kept in wattscope/checks.jsonl in the user's state directory, until wattscope or the driver changes. The live
screen and the records of `run` say what was found for the network in use.

Examples:
  wattscope check resnet50 --precision f16
  wattscope check --device cuda:0 --json

Exit status:
  0  everything is within its bound
  1  something is not, or could not be run
  2  bad usage";

const INFER_HELP: &str = "\
A photograph is resized, cropped and normalised as the source of the network's weights does, to the last bit of Pillow's \
resampling. JPEGs decode to within 4 steps of 255 of what Pillow has, PNG and lossless WebP exactly. An EXIF orientation is \
ignored, as PyTorch's transforms ignore it.

Examples:
  wattscope infer resnet50 --weights resnet50-0676ba61.pth --image cat.jpg dog.png
  wattscope infer inception-v3 --weights inception_v3.safetensors --input input.safetensors --logits logits.safetensors

Exit status:
  0  everything was answered
  1  something could not be read or run
  2  bad usage, or weights of another network";

const ACCURACY_HELP: &str = "\
Images are in ImageNet's validation layout, DIR/n01440764/*.JPEG, or all in DIR with --labels: a line an image, its name and \
its class, as an index from 0 to 999 or as n01440764, or the table LOC_val_solution.csv from Kaggle. Images are taken in an \
order that has nothing to do with their classes, so that --limit and what Ctrl-C leaves are fair samples. What is done is \
kept in the user's state directory: the same command goes on from there.

Examples:
  wattscope accuracy resnet50 --weights resnet50-0676ba61.pth --images imagenet/val
  wattscope accuracy vgg16 --weights vgg16.safetensors --images val --labels labels.txt --limit 1000 --json

Exit status:
  0    every image that can be read was measured; those that can't are listed
  1    something failed; what was measured is kept
  2    bad usage, or weights of another network
  130  Ctrl-C; what was measured is printed and kept";

const EXPORT_HELP: &str = "\
Times are in seconds from the recording's beginning and as wall clock (UTC); units are in the columns' names, but for \
the readings of sensors, whose `value` is in their `unit`.

Examples:
  wattscope export demo.jsonl.zst --format csv                 a row a run
  wattscope export demo.jsonl.zst --table samples -o demo.parquet
                                                               a row a reading of a sensor";

const REPLAY_HELP: &str = "\
Every live screen is recorded, compressed, to wattscope/sessions in the user's state directory ($XDG_STATE_HOME, or \
else ~/.local/state); the last ten files of 20 MB at the most are kept. R on the live screen, or --record, makes a \
recording that stays. A recording of a program that was killed ends half a second earlier.

Examples:
  wattscope replay                             the newest recording that has no name
  wattscope replay demo.jsonl.zst --speed 4
  wattscope replay demo.jsonl.zst --from 1:30";

/// An oscilloscope for neural networks: latency, utilisation and watts, live in the terminal.
///
/// Runs reference networks on a GPU or the CPU and shows what one batch takes, how busy the device is and what it
/// draws, while you turn the knobs: network, batch size, precision.
#[derive(Clone, Debug, Parser)]
#[command(name = "wattscope", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; the live screen if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of the live screen.
    #[command(flatten)]
    pub live: Live,
    /// Write the log to FILE instead of wattscope/wattscope.log in the user's state directory
    #[arg(long, value_name = "FILE", global = true)]
    pub log: Option<PathBuf>,
}

/// Everything but the live screen.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure without a screen and print a table, or JSON
    #[command(after_help = RUN_EXAMPLES)]
    Run(Run),
    /// Measure where the time of a batch goes, layer by layer, and what limits each layer
    #[command(after_help = LAYERS_HELP)]
    Layers(Layers),
    /// Measure many configurations, in rounds and in random order, into a session file
    #[command(after_help = SWEEP_HELP)]
    Sweep(Sweep),
    /// Join the files of a sweep's shards into one, each step once
    #[command(after_help = MERGE_HELP)]
    Merge(Merge),
    /// Show a recording on the live screen: pause, rewind, any speed
    #[command(after_help = REPLAY_HELP)]
    Replay(Replay),
    /// Turn a recording into tables for other programs
    #[command(after_help = EXPORT_HELP)]
    Export(Export),
    /// Turn recordings into the paper's figures, verdicts and tables: HTML, Markdown, SVG
    #[command(after_help = REPORT_HELP)]
    Report(Report),
    /// List the networks with their static costs and published accuracies
    Networks {
        /// Print an array of JSON objects instead of a table
        #[arg(long)]
        json: bool,
    },
    /// List the devices of this host, or of another one, the missing ones with the reason
    Devices {
        /// Where they are.
        #[command(flatten)]
        place: Place,
        /// Print an array of JSON objects instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Compare what a device computes with the CPU: same weights, same input, logits side by side
    #[command(after_help = CHECK_HELP)]
    Check(Check),
    /// Say what a network takes photographs for
    #[command(after_help = INFER_HELP)]
    Infer(Infer),
    /// Measure a network's accuracy over labelled images
    #[command(after_help = ACCURACY_HELP)]
    Accuracy(Accuracy),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  wattscope completions bash > ~/.local/share/bash-completion/completions/wattscope"
    )]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page (roff)
    #[command(after_help = "Examples:\n  wattscope man | man -l -\n  wattscope man run | man -l -")]
    Man {
        /// The command whose page is wanted; the main page if none is given
        #[arg(value_parser = [
 "run", "layers", "sweep", "merge", "replay", "export", "report", "networks", "devices", "check", "infer", "accuracy",
 "completions",
])]
        command: Option<String>,
    },
    /// The far side of --on: started by the other side, not by people
    #[command(hide = true)]
    Agent,
    /// The process that runs networks: started by the agent, not by people
    #[command(hide = true)]
    Engine {
        /// The host's monotonic nanoseconds at the session's zero
        #[arg(long)]
        epoch: u64,
        /// Limit of the data segment on the CPU, bytes
        #[arg(long)]
        memory_limit: Option<u64>,
        /// Weights of one network
        #[arg(long, requires = "weights_of")]
        weights: Option<PathBuf>,
        /// That network
        #[arg(long, requires = "weights")]
        weights_of: Option<String>,
        /// Leave batch norms unfolded
        #[arg(long)]
        no_fold: bool,
        /// Replay no captured graph
        #[arg(long)]
        no_graph: bool,
    },
}

/// Flags of the live screen.
#[derive(Clone, Debug, Args)]
pub struct Live {
    /// Network to begin with (`wattscope networks` lists them)
    #[arg(short, long, value_name = "ID", default_value = "alexnet-owt", value_parser = network(), hide_possible_values = true)]
    pub network: String,
    /// Images in a batch to begin with
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Arithmetic to begin with; the device's first if not given
    #[arg(short, long, value_name = "P", value_parser = precision())]
    pub precision: Option<Precision>,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …; several, separated by commas, side by side
    #[arg(short, long, value_name = "NAME,…", value_delimiter = ',', default_value = "auto", value_parser = device_name)]
    pub device: Vec<String>,
    /// Weights of the network to begin with, .pth or .safetensors; every other network keeps made-up ones
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// Where the engine is.
    #[command(flatten)]
    pub place: Place,
    /// What the screen looks like.
    #[command(flatten)]
    pub look: Look,
    /// Memory the engine may take on the CPU, such as 4GiB; by default 90 % of what is available
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_limit: Option<u64>,
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    pub no_fold: bool,
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

/// Where metrics are served.
#[derive(Clone, Copy, Debug, Args)]
pub struct Metrics {
    /// Serve OpenMetrics at this address while it runs, such as 127.0.0.1:9464, or 9464 for that
    #[arg(long = "metrics", value_name = "ADDRESS", value_parser = metrics_address)]
    pub address: Option<SocketAddr>,
}

/// Whether graphs are replayed.
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
    /// Whether they may be.
    pub const fn wanted(self) -> bool {
        self.graph || !self.no_graph
    }
}

/// Where the engine is.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// Command that leads to the host to measure on, such as "ssh gpu-box"; the same wattscope has to be there. Several
    /// --on are several hosts, side by side, but for `layers`
    #[arg(long, value_name = "COMMAND", value_parser = command_line, value_hint = ValueHint::CommandString)]
    pub on: Vec<String>,
    /// wattscope at the far end of --on, where it is not in the PATH there
    #[arg(long, value_name = "PROGRAM", default_value = "wattscope", value_parser = command_line, requires = "on")]
    pub far: String,
}

impl Place {
    /// The far ends; none where the engine is on this host.
    pub fn targets(&self) -> Vec<Target> {
        self.on.iter().map(|on| Target { on: on.clone(), program: self.far.clone() }).collect()
    }
}

/// What the screen looks like.
#[derive(Clone, Debug, Args)]
pub struct Look {
    /// What curves are drawn with
    #[arg(long, value_enum, default_value_t)]
    pub marker: Marker,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Colours
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: Color,
}

/// `wattscope replay`.
#[derive(Clone, Debug, Args)]
pub struct Replay {
    /// The recording; the newest one that has no name if not given
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How fast, times the speed of life: 1/16 to 256
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Where to begin: 90, 1:30 or 1:00:00 from its beginning
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = moment)]
    pub from: Nanos,
    /// What the screen looks like.
    #[command(flatten)]
    pub look: Look,
}

/// `wattscope export`.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Format; by default what OUT ends in, or else CSV
    #[arg(short, long, value_enum)]
    pub format: Option<Format>,
    /// Table
    #[arg(short, long, value_enum, default_value_t)]
    pub table: Table,
    /// File to write the table to; standard output if not given
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,
}

/// `wattscope run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// Networks to measure, separated by commas, or `all`
    #[arg(short, long, value_name = "ID,…", required = true, value_delimiter = ',', value_parser = network_or_all(),
          hide_possible_values = true)]
    pub network: Vec<String>,
    /// Batch sizes, separated by commas
    #[arg(short, long, value_name = "N,…", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Vec<u32>,
    /// Precisions, separated by commas; the device's first if not given
    #[arg(short, long, value_name = "P,…", value_delimiter = ',', value_parser = precision())]
    pub precision: Vec<Precision>,
    /// Steady batches to measure of each configuration, seconds; with a power sensor, after power has settled
    #[arg(short, long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …; several, separated by commas, side by side
    #[arg(short, long, value_name = "NAME,…", value_delimiter = ',', default_value = "auto", value_parser = device_name)]
    pub device: Vec<String>,
    /// Weights of the network, .pth or .safetensors, instead of made-up ones; for one network only
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// Where the engine is.
    #[command(flatten)]
    pub place: Place,
    /// Print each result as a JSON object on a line of its own, as soon as it is measured
    #[arg(long)]
    pub json: bool,
    /// Memory the engine may take on the CPU, such as 4GiB; by default 90 % of what is available
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_limit: Option<u64>,
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    pub no_fold: bool,
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

/// `wattscope layers`.
#[derive(Clone, Debug, Args)]
pub struct Layers {
    /// Network (`wattscope networks` lists them)
    #[arg(value_name = "NETWORK", value_parser = network(), hide_possible_values = true)]
    pub network: String,
    /// Batch sizes, separated by commas
    #[arg(short, long, value_name = "N,…", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Vec<u32>,
    /// Precisions, separated by commas; the device's first if not given
    #[arg(short, long, value_name = "P,…", value_delimiter = ',', value_parser = precision())]
    pub precision: Vec<Precision>,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …
    #[arg(short, long, value_name = "NAME", default_value = "auto", value_parser = device_name)]
    pub device: String,
    /// Weights of the network, .pth or .safetensors, instead of made-up ones
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// Where the engine is: one --on at the most.
    #[command(flatten)]
    pub place: Place,
    /// Print a JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Memory the engine may take on the CPU, such as 4GiB; by default 90 % of what is available
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_limit: Option<u64>,
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    pub no_fold: bool,
    /// Record to a new file, one JSON object a line, compressed if it ends in .zst; `wattscope replay` shows it
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// `wattscope sweep`.
#[derive(Clone, Debug, Args)]
pub struct Sweep {
    /// Networks to measure, separated by commas; `paper` for the 14 of Canziani et al. (2016), `all` for every one
    #[arg(short, long, value_name = "ID,…", value_delimiter = ',', default_value = "paper",
          value_parser = network_or_set(), hide_possible_values = true)]
    pub networks: Vec<String>,
    /// Batch sizes, separated by commas; 1..256 stands for the powers of two from 1 to 256
    #[arg(short, long, value_name = "N,…", value_delimiter = ',', default_value = "1..64", value_parser = batches)]
    pub batches: Vec<Batches>,
    /// Precisions, separated by commas; the device's first if not given
    #[arg(short, long, value_name = "P,…", value_delimiter = ',', value_parser = precision())]
    pub precisions: Vec<Precision>,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …; several, separated by commas, side by side
    #[arg(short, long, value_name = "NAME,…", value_delimiter = ',', default_value = "auto", value_parser = device_name)]
    pub device: Vec<String>,
    /// Steady batches to measure of each configuration, seconds; with a power sensor, after power has settled
    #[arg(short, long, value_name = "S", default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Rounds; each measures every configuration once
    #[arg(short, long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::MOST_ROUNDS)))]
    pub repeat: u32,
    /// Order of each round: random against drift, or as given
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    pub order: Order,
    /// Seed of the random order; a new one each time, that of FILE where a sweep goes on, and that of the job for shards
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Time in which the engine rests between two configurations, such as 2s or 500ms
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = cooldown)]
    pub cooldown: Duration,
    /// Where the engine is.
    #[command(flatten)]
    pub place: Place,
    /// With several devices or hosts: measure everything on each, instead of dealing steps to whoever is free
    #[arg(long)]
    pub each: bool,
    /// Measure one of N parts only, into a file of its own: I/N, or auto, as the scheduler says; auto/N where it does not
    /// say of how many
    #[arg(long, value_name = "I/N", value_parser = str::parse::<shard::Asked>)]
    pub shard: Option<shard::Asked>,
    /// The session file; one that holds this very sweep, interrupted, is gone on with
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Begin anew, whatever FILE holds
    #[arg(long)]
    pub force: bool,
    /// Print each result as a JSON object on a line of its own, as soon as it is measured
    #[arg(long)]
    pub json: bool,
    /// Memory the engine may take on the CPU, such as 4GiB; by default 90 % of what is available
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory_limit: Option<u64>,
    /// Whether graphs are replayed.
    #[command(flatten)]
    pub graph: Graph,
    /// Where metrics are served.
    #[command(flatten)]
    pub metrics: Metrics,
}

/// In which order a sweep measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Each round in another
    #[default]
    Random,
    /// Networks, then precisions, then batch sizes
    Given,
}

/// `wattscope merge`.
#[derive(Clone, Debug, Args)]
pub struct Merge {
    /// Files of shards, of a dealt sweep, or merged before
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// The new file, compressed if its name ends in .zst; it may be one of those that are joined
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Write over OUT, whatever it holds
    #[arg(long)]
    pub force: bool,
}

/// `wattscope report`.
#[derive(Clone, Debug, Args)]
pub struct Report {
    /// Recordings: of `sweep`, or of `--record`
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Directory to write into; it is made where it is missing
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Write into DIR even where it holds other files
    #[arg(long)]
    pub force: bool,
}

/// `wattscope check`.
#[derive(Clone, Debug, Args)]
pub struct Check {
    /// Networks to check; all of them if none is given
    #[arg(value_name = "ID", value_parser = network(), hide_possible_values = true)]
    pub networks: Vec<String>,
    /// Precisions, separated by commas; every one that the device has if not given
    #[arg(short, long, value_name = "P,…", value_delimiter = ',', value_parser = precision())]
    pub precision: Vec<Precision>,
    /// Device to check: auto (the first GPU, or else the CPU), cpu, cuda:0 …
    #[arg(short, long, value_name = "NAME", default_value = "auto", value_parser = device_name)]
    pub device: String,
    /// Print each result as a JSON object on a line of its own
    #[arg(long)]
    pub json: bool,
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    pub no_fold: bool,
}

/// `wattscope infer`.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct Infer {
    /// Network (`wattscope networks` lists them)
    #[arg(value_name = "ID", value_parser = network(), hide_possible_values = true)]
    pub network: String,
    /// Its weights, .pth or .safetensors; made-up ones if not given
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// Photographs: JPEG, PNG or WebP
    #[arg(short, long, value_name = "FILE", num_args = 1.., group = "what", value_hint = ValueHint::FilePath)]
    pub image: Vec<PathBuf>,
    /// A prepared input instead: safetensors with one tensor `input` of [n, 3, px, px]
    #[arg(long, value_name = "FILE", group = "what", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Likeliest classes to print
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub top: u16,
    /// Write the logits to a safetensors file, as a tensor `logits` of [n, 1000]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub logits: Option<PathBuf>,
    /// Arithmetic; the device's first if not given
    #[arg(short, long, value_name = "P", value_parser = precision())]
    pub precision: Option<Precision>,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …
    #[arg(short, long, value_name = "NAME", default_value = "auto", value_parser = device_name)]
    pub device: String,
    /// Run batch norms as they are, instead of folding them into the layer before them
    #[arg(long)]
    pub no_fold: bool,
    /// Print each answer as a JSON object on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// `wattscope accuracy`.
#[derive(Clone, Debug, Args)]
pub struct Accuracy {
    /// Network (`wattscope networks` lists them)
    #[arg(value_name = "ID", value_parser = network(), hide_possible_values = true)]
    pub network: String,
    /// Its weights, .pth or .safetensors
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub weights: PathBuf,
    /// Labelled images: a folder with a folder a class, such as ImageNet's validation set
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub images: PathBuf,
    /// Labels of images that are all in one folder
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub labels: Option<PathBuf>,
    /// Images in a batch
    #[arg(short, long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: u32,
    /// Images to measure, a fair sample of them; all if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Begin again, even if a part was measured before
    #[arg(long)]
    pub restart: bool,
    /// Arithmetic; the device's first if not given
    #[arg(short, long, value_name = "P", value_parser = precision())]
    pub precision: Option<Precision>,
    /// Device to run on: auto (the first GPU, or else the CPU), cpu, cuda:0 …
    #[arg(short, long, value_name = "NAME", default_value = "auto", value_parser = device_name)]
    pub device: String,
    /// Print the result as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// What curves are drawn with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Marker {
    /// Eight dots a cell
    #[default]
    Braille,
    /// Two halves a cell
    Block,
    /// Nothing beyond ASCII
    Ascii,
}

/// How many colours the screen may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// What the terminal says it can
    #[default]
    Auto,
    /// None
    Never,
    /// The terminal's own 16
    #[value(name = "16")]
    Sixteen,
    /// The 256 of xterm
    #[value(name = "256")]
    Palette,
    /// 24 bits
    True,
}

/// Configurations that can't be measured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The host lacks the device, or the device a precision.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// One file is the weights of one network.
    #[error("--weights is the file of one network, and --network names several")]
    WeightsOfSeveral,
}

/// Devices that can't be stations side by side.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DevicesError {
    /// Two engines on one device would measure each other.
    #[error("{0} is named twice: two engines on one device would measure each other")]
    Twice(String),
    /// Which device it stands for is known too late.
    #[error("auto stands for one device: name each of several, as in --device cuda:0,cuda:1")]
    Auto,
}

/// Checks that several devices are several.
///
/// # Errors
/// If one is there twice, or is not named.
pub fn check_devices(devices: &[String]) -> Result<(), DevicesError> {
    if devices.len() > 1 && devices.iter().any(|device| device == "auto") {
        return Err(DevicesError::Auto);
    }
    match devices.iter().enumerate().find(|(i, device)| devices[..*i].contains(device)) {
        Some((_, device)) => Err(DevicesError::Twice(device.clone())),
        None => Ok(()),
    }
}

impl Run {
    /// The configurations asked for on one of the devices, each once: networks, then precisions, then batch sizes.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision, or weights are given for several networks.
    pub fn configs(&self, device: &str, devices: &[DeviceInfo]) -> Result<Vec<Config>, ConfigError> {
        let configs = configs(&self.network, &self.precision, &self.batch, device, devices)?;
        if self.weights.is_some() && configs.iter().any(|config| config.network != configs[0].network) {
            return Err(ConfigError::WeightsOfSeveral);
        }
        Ok(configs)
    }
}

impl Layers {
    /// The configurations asked for, each once: precisions, then batch sizes.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision.
    pub fn configs(&self, devices: &[DeviceInfo]) -> Result<Vec<Config>, DeviceError> {
        configs(std::slice::from_ref(&self.network), &self.precision, &self.batch, &self.device, devices)
    }
}

impl Sweep {
    /// What is to be measured on one of the devices, in the order of a seed.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision.
    pub fn plan(&self, device: &str, devices: &[DeviceInfo], seed: u64) -> Result<Plan, DeviceError> {
        let batches = self.batches.iter().flat_map(|batches| batches.0.iter().copied()).collect::<Vec<_>>();
        let configs = configs(&self.networks, &self.precisions, &batches, device, devices)?;
        let seed = (self.order == Order::Random).then_some(self.seed.unwrap_or(seed));
        Ok(plan::plan(configs, self.repeat, seed, self.seconds, self.cooldown.as_secs_f64()))
    }
}

/// Every combination once: networks, then precisions, then batch sizes.
fn configs(
    networks: &[String],
    precisions: &[Precision],
    batches: &[u32],
    device: &str,
    devices: &[DeviceInfo],
) -> Result<Vec<Config>, DeviceError> {
    let device = device::resolve(device, devices)?;
    precisions.iter().try_for_each(|precision| device::check_precision(device, *precision))?;
    let networks = networks.iter().flat_map(|name| named(name));
    // A device that computes in nothing has no configurations: nothing of the kind is enumerated.
    let by_default: Vec<_> = device.precisions.iter().take(1).copied().collect();
    let precisions = if precisions.is_empty() { &by_default } else { precisions };
    let mut configs: Vec<Config> = Vec::new();
    for (network, precision) in networks.flat_map(|n| precisions.iter().map(move |p| (n.clone(), *p))) {
        for batch in batches {
            let (network, device) = (network.to_owned(), device.name.clone());
            let config = Config { network, batch: *batch, precision, device };
            if !configs.contains(&config) {
                configs.push(config);
            }
        }
    }
    Ok(configs)
}

/// The networks that a name on the command line stands for.
fn named(name: &str) -> Vec<String> {
    let these = |of: fn(&Model) -> bool| model::list().into_iter().filter(of).map(|model| model.name).collect();
    match name {
        "all" => these(|_| true),
        "paper" => these(|model| model.provenance.in_paper),
        _ => vec![name.to_owned()],
    }
}

/// The whole command line, for completions, the manual page and errors found after parsing.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Writes the manual page of a command, or the main one.
///
/// # Errors
/// If `out` can't be written.
pub fn manual(command: Option<&str>, out: &mut impl std::io::Write) -> std::io::Result<()> {
    let mut root = self::command();
    root.build();
    let page = command.and_then(|name| root.find_subcommand(name)).unwrap_or(&root).clone();
    clap_mangen::Man::new(page).render(out)
}

/// A command for a shell: not an empty one.
fn command_line(s: &str) -> Result<String, String> {
    match s.trim() {
        "" => Err("a command, such as \"ssh gpu-box\"".to_owned()),
        command => Ok(command.to_owned()),
    }
}

/// A device's name in the form that the registry of devices has it in.
fn device_name(s: &str) -> Result<String, String> {
    device::full_name(s)
}

/// Where metrics are served: an address and a port, or a port of the loopback. Other hosts are let in only by naming an
/// address that they reach.
fn metrics_address(s: &str) -> Result<SocketAddr, String> {
    let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
    s.parse().or_else(|_| s.parse().map(loopback)).map_err(|_| {
        "an address with a port, such as 127.0.0.1:9464 or [::1]:9464, or a port of the loopback alone".to_owned()
    })
}

fn network() -> PossibleValuesParser {
    PossibleValuesParser::new(zoo::registry().iter().map(|entry| PossibleValue::new(entry.id).help(entry.title)))
}

fn network_or_all() -> PossibleValuesParser {
    let all = PossibleValue::new("all").help("Every network");
    let entries = zoo::registry().iter().map(|entry| PossibleValue::new(entry.id).help(entry.title));
    PossibleValuesParser::new(entries.chain([all]))
}

fn network_or_set() -> PossibleValuesParser {
    let sets = [("paper", "The 14 of Canziani et al. (2016)"), ("all", "Every network")];
    let sets = sets.map(|(name, help)| PossibleValue::new(name).help(help));
    let entries = zoo::registry().iter().map(|entry| PossibleValue::new(entry.id).help(entry.title));
    PossibleValuesParser::new(entries.chain(sets))
}

/// Batch sizes that one item of a list stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batches(pub Vec<u32>);

fn batches(s: &str) -> Result<Batches, String> {
    plan::batches(s).map(Batches)
}

fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::name)).try_map(|name| name.parse())
}

fn seconds(s: &str) -> Result<f64, String> {
    match s.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("a number of seconds above 0 and at most a day (86400)".to_owned()),
    }
}

fn speed(s: &str) -> Result<f64, String> {
    let number = match s.trim_end_matches(['x', '×']).split_once('/') {
        Some((over, under)) => {
            over.parse::<f64>().ok().zip(under.parse::<f64>().ok()).map(|(over, under)| over / under)
        }
        None => s.trim_end_matches(['x', '×']).parse().ok(),
    };
    let valid = |x: &f64| (timeline::SLOWEST..=timeline::FASTEST).contains(x);
    number.filter(valid).ok_or_else(|| "a number of times from 1/16 to 256, such as 4 or 0.5".to_owned())
}

/// A time from the beginning: seconds, minutes and seconds, or hours too.
fn moment(s: &str) -> Result<Nanos, String> {
    let wrong = || "a time such as 90, 1:30, 1:30.5 or 1:00:00".to_owned();
    let parts: Vec<&str> = s.split(':').collect();
    let (seconds, whole) = parts.split_last().ok_or_else(wrong)?;
    let seconds = seconds.parse::<f64>().ok().filter(|s| (0.0..1e8).contains(s) && (whole.is_empty() || *s < 60.0));
    let mut minutes = 0_u64;
    for part in whole {
        let part = part.parse::<u32>().map_err(|_| wrong())?;
        minutes = minutes.saturating_mul(60).saturating_add(part.into());
    }
    let seconds = seconds.filter(|_| whole.len() <= 2).ok_or_else(wrong)?;
    Ok(minutes.saturating_mul(60_000_000_000).saturating_add((seconds * 1e9) as Nanos))
}

/// A time with an optional unit: `2s`, `500ms`, `1min`; seconds by default.
fn cooldown(s: &str) -> Result<Duration, String> {
    let digits = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, unit) = s.split_at(digits);
    let factor = match unit.trim() {
        "" | "s" => 1.0,
        "ms" => 1e-3,
        "min" => 60.0,
        _ => return Err(format!("unknown unit '{unit}': ms, s or min")),
    };
    match number.parse::<f64>().map(|number| number * factor) {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a time of at most an hour, such as 2s, 500ms or 1min".to_owned()),
    }
}

/// Bytes with an optional unit: `4096`, `4GiB`, `500M`.
fn bytes(s: &str) -> Result<u64, String> {
    let digits = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
    let (number, unit) = s.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("unknown unit '{unit}': kB, MB, GB, KiB, MiB, GiB or none")),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 => Ok((number * factor) as u64),
        _ => Err("a number of bytes, such as 4096, 500MB or 4GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<DeviceInfo> {
        let device = |name: &str, precisions: &[Precision], absent: Option<&str>| DeviceInfo {
            name: name.to_owned(),
            title: name.to_uppercase(),
            precisions: precisions.to_vec(),
            memory_bytes: None,
            absent: absent.map(str::to_owned),
            ..DeviceInfo::default()
        };
        vec![
            device("cpu", &[Precision::F32, Precision::F16], None),
            device("cuda", &[], Some("libcuda.so.1 not found")),
        ]
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    fn run(line: &str) -> Run {
        match parse(line).unwrap().command {
            Some(Command::Run(run)) => run,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_combination_is_measured_once_and_in_order() {
        let run = run("wattscope run --network vgg16,resnet18,vgg16 --batch 1,8 --precision f16,f32 --seconds 0.5");
        let configs = run.configs("cpu", &host()).unwrap();
        let short: Vec<_> = configs.iter().map(|c| format!("{} {} {}", c.network, c.precision, c.batch)).collect();
        let expected = ["vgg16 f16 1", "vgg16 f16 8", "vgg16 f32 1", "vgg16 f32 8"];
        assert_eq!(short[..4], expected);
        assert_eq!(configs.len(), 8);
        assert!(configs.iter().all(|c| c.device == "cpu"));
    }

    #[test]
    fn all_means_the_registry_and_no_precision_the_devices_first() {
        let configs = run("wattscope run --network all").configs("auto", &host()).unwrap();
        assert_eq!(configs.len(), zoo::registry().len());
        assert!(configs.iter().all(|c| c.precision == Precision::F32 && c.batch == 1));
    }

    fn sweep(line: &str) -> Sweep {
        match parse(line).unwrap().command {
            Some(Command::Sweep(sweep)) => sweep,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sweep_is_every_combination_in_every_round() {
        let paper = sweep("wattscope sweep -o x.jsonl").plan("auto", &host(), 7).unwrap();
        assert_eq!((paper.configs.len(), paper.steps(), paper.seed), (14 * 7, 3 * 14 * 7, Some(7)));
        assert!(paper.configs.iter().all(|c| !["alexnet-owt", "squeezenet1.1"].contains(&c.network.as_str())));
        let line = "wattscope sweep --networks vgg16,all --batches 1..4,3 --precisions f16 --repeat 1 --seed 5 -o x";
        let all = sweep(line).plan("auto", &host(), 7).unwrap();
        assert_eq!((all.configs.len(), all.seed), (4 * zoo::registry().len(), Some(5)));
        let batches: Vec<u32> = all.configs[..4].iter().map(|c| c.batch).collect();
        assert_eq!((batches, all.configs[0].network.as_str()), (vec![1, 2, 4, 3], "vgg16"));
        let given = sweep("wattscope sweep -n vgg16 -b 1,2 -r 2 --order given --cooldown 500ms -o x");
        let given = given.plan("auto", &host(), 7).unwrap();
        assert_eq!((given.order, given.seed, given.cooldown_s), (vec![0, 1, 0, 1], None, 0.5));
    }

    #[test]
    fn what_the_host_lacks_is_named_with_the_reason() {
        let error = |line| {
            let run = run(line);
            run.configs(&run.device[0], &host()).unwrap_err().to_string()
        };
        let no_cuda = error("wattscope run --network all --device cuda");
        assert_eq!(no_cuda, "cuda:0: libcuda.so.1 not found");
        let no_bf16 = error("wattscope run --network all --precision bf16");
        assert_eq!(no_bf16, "cpu has no bf16: it has f32, f16");
    }

    #[test]
    fn several_devices_are_named_and_each_once() {
        let devices = |line: &str| parse(line).unwrap().live.device;
        assert_eq!(devices("wattscope --device cuda,cuda:1"), ["cuda:0", "cuda:1"]);
        assert_eq!(check_devices(&devices("wattscope --device cuda:1,cpu")), Ok(()));
        assert_eq!(check_devices(&devices("wattscope")), Ok(()));
        let said = |line: &str| check_devices(&devices(line)).unwrap_err().to_string();
        assert!(said("wattscope --device cpu,cpu").starts_with("cpu is named twice"));
        assert!(said("wattscope --device cuda,cuda:0").starts_with("cuda:0 is named twice"));
        assert!(said("wattscope --device auto,cpu").contains("--device cuda:0,cuda:1"));
    }

    #[test]
    fn bad_input_is_named_with_what_is_valid() {
        for (line, named) in [
            ("wattscope --network resnet5", "a similar value exists"),
            ("wattscope run --network vgg1", "a similar value exists: 'vgg19'"),
            ("wattscope run --network all --precision f64", "f32, tf32, f16, bf16"),
            ("wattscope --batch 0", "0 is not in 1.."),
            ("wattscope --device gpu", "a device is auto, cpu, cuda, or cuda:N"),
            ("wattscope run --network all --seconds 0", "above 0"),
            ("wattscope replay x --from 1:90", "a time such as"),
            ("wattscope replay x --speed 0", "from 1/16 to 256"),
            ("wattscope --memory-limit 3XB", "unknown unit 'XB'"),
            ("wattscope run", "--network"),
            ("wattscope sweep", "--output"),
            ("wattscope --on= ", "such as \"ssh gpu-box\""),
            ("wattscope --far /opt/wattscope", "--on <COMMAND>"),
            ("wattscope sweep --networks papr -o x", "'paper'"),
            ("wattscope sweep --batches 1..x -o x", "1..256"),
            ("wattscope sweep --repeat 0 -o x", "1..=100"),
            ("wattscope sweep --cooldown 2h -o x", "ms, s or min"),
        ] {
            let error = parse(line).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(named), "{line}: {text}");
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn moments_and_speeds_are_read_as_people_write_them() {
        let s = |seconds: f64| Ok((seconds * 1e9) as Nanos);
        assert_eq!(["90", "1:30", "0:01:30.5", "2:00:00"].map(moment), [s(90.0), s(90.0), s(90.5), s(7200.0)]);
        assert!(["", "x", "-1", "1:2:3:4", "1:60", "nan"].map(moment).iter().all(Result::is_err));
        assert_eq!(["4", "0.5", "1/8", "2x"].map(speed), [Ok(4.0), Ok(0.5), Ok(0.125), Ok(2.0)]);
        assert!(["1/0", "inf", "nan", "-1", ""].map(speed).iter().all(Result::is_err));
    }

    #[test]
    fn bytes_come_with_and_without_a_unit() {
        assert_eq!(["4096", "4GiB", "1.5 kB", "2m"].map(bytes), [Ok(4096), Ok(4 << 30), Ok(1500), Ok(2_000_000)]);
    }
}
