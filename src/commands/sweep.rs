//! `wattscope sweep`: many configurations, in rounds and in random order, into a session file.

use super::{
    args::{Devices, EngineArgs, Graph, Grid, Hosts, JsonLines, Metrics, Networks, Seconds, choice, file, time},
    execute::{Execute, Global},
    failure::Failure,
    progress::{Detail, Printer, exit_code, seconds_left},
    results::Results,
    setup, suspend,
};
use crate::{
    agent::{
        self,
        targets::{self, ResolvedTarget},
    },
    backend::{DeviceError, device},
    clock::Clock,
    event::{Body, DeviceInfo, Event, Level, Plan, StationId},
    format::{roughly, significant},
    session::{Fleet, Recorder, Recording, Sweep as Sweeping, read::Losses},
    sweep::{
        self, End, Job,
        file::{self as sweep_file, SweepFile},
        plan, shard,
    },
};
use clap::{Args, ValueEnum, ValueHint};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

const HELP: &str = "\
Every configuration is measured to steady state: warm-up until the latency has converged, then batches for --seconds, and \
power from one second later on, with at least 32 readings where that is less than 5 s. Idle power is read before the first \
engine starts and after the last one was stopped.

FILE is the session itself, compressed if its name ends in .zst or .gz. After an interruption the same command continues it: \
what is done is not measured again. What did not fit into memory is recorded as such, and so are the larger batches that \
are not tried then.

Several devices, or several --on, share the work: an idle one takes the next step, and the step of one that is lost goes to \
another. Under a scheduler each of N processes measures its part, every Nth step of one plan, into FILE with the part in its name \
(x.1of4.jsonl.zst), and `wattscope merge` joins them. --shard auto reads SLURM_PROCID and SLURM_NTASKS, those of a job array \
too, or JOB_COMPLETION_INDEX of an indexed Kubernetes Job; of how many, Kubernetes does not say: auto/N, or JOB_COMPLETIONS \
in the pod's environment. The seed is the job's number, or 2016 where there is none; any host can continue any part.

Examples:
  wattscope sweep -o session.jsonl.zst
  wattscope sweep --network resnet18,vgg16 --batch 1..32,48 --repeat 1 -o x.jsonl
  wattscope sweep --network all --precision f32,f16 --device cuda:0 --cooldown 5s -o card.jsonl.zst
  wattscope sweep --on \"ssh box1\" --on \"ssh box2\" -o both.jsonl.zst
  srun -N 4 wattscope sweep --shard auto -o x.jsonl.zst && wattscope merge x.?of4.jsonl.zst -o x.jsonl.zst

Exit status:
  0    everything was measured
  1    something failed; the rest is measured all the same
  2    bad usage, or FILE holds something else
  130  Ctrl-C; what was measured until then is in FILE";

/// Measure many configurations, in rounds and in random order, into a session file
#[derive(Clone, Debug, Args)]
#[command(
    after_help = HELP,
    mut_arg("network", |network| network.default_value("paper")),
    mut_arg("batch", |batch| batch.default_value("1..64"))
)]
pub struct Sweep {
    /// The networks.
    #[command(flatten)]
    pub networks: Networks,
    /// The configurations of each network.
    #[command(flatten)]
    pub grid: Grid,
    /// The devices.
    #[command(flatten)]
    pub devices: Devices,
    /// How long each configuration is measured.
    #[command(flatten)]
    pub seconds: Seconds,
    /// Rounds; each measures every configuration once
    #[arg(short, long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(plan::MOST_ROUNDS)))]
    pub repeat: u32,
    /// Order of each round: random against drift, or as given
    #[arg(long, default_value = "random", value_name = "ORDER", value_parser = choice::<Order>())]
    pub order: Order,
    /// Seed of the random order; a new one each time, that of FILE where a sweep is continued, and that of the job for shards
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Time in which the engine rests between two configurations
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = time)]
    pub cooldown: Duration,
    /// The hosts to measure on.
    #[command(flatten)]
    pub hosts: Hosts,
    /// With several devices or hosts: measure everything on each, instead of sharing the steps out to those that are idle
    #[arg(long)]
    pub each: bool,
    /// Measure one of N parts only, into a file of its own: I/N, or auto, as the scheduler says; auto/N where it does not
    /// say of how many
    #[arg(long, value_name = "I/N", value_parser = shard_of)]
    pub shard: Option<shard::Asked>,
    /// The session file; an interrupted sweep that it holds is continued, if it is the same
    #[arg(short, long, value_name = "FILE", value_parser = file::named_recording(CONTINUES), value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Begin anew, whatever FILE holds
    #[arg(long)]
    pub force: bool,
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
}

/// Why a sweep needs a file.
const CONTINUES: &str =
    "a sweep continues from its file after an interruption, and standard output can't be read back: name a file";

/// Parser of a shard, whatever its case.
fn shard_of(s: &str) -> Result<shard::Asked, String> {
    s.trim().to_lowercase().parse()
}

/// In which order a sweep measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Each round in another
    Random,
    /// Networks, then precisions, then batch sizes
    Given,
}

impl Execute for Sweep {
    fn execute(self, global: &Global) -> Result<ExitCode, Failure> {
        let runtime = setup::runtime()?;
        let exporter = setup::announced_exporter(&self.metrics)?;
        let mut targets = runtime.block_on(setup::connect(setup::targets(&self.hosts, &self.devices.device)?))?;
        let Task { plan, seeded, output } = self.task(&targets)?;
        let mut printer = Printer::new(Results::beside(Some(&output), self.json.json)?, Detail::Steps);
        printer.restore(true);
        for target in &mut targets {
            target.device = device::resolve(&target.device, &target.host.devices).map_err(Failure::usage)?.name.clone();
        }
        let places: Vec<_> = targets.iter().map(place).collect();
        let asked = sweep_file::Asked {
            plan: &plan,
            seed: seeded,
            places: &places,
            folded: self.engine.fold.wanted(),
            overwrite: self.force,
        };
        let SweepFile { mut recorder, mut fleet, agents, losses } =
            sweep_file::open(&output, &asked, &mut printer).map_err(Failure::usage)?;
        printer.restore(false);
        setup::start_log(global.log.as_deref());
        printer.say(&introduction(&plan, places.len(), &fleet, &output, &losses));
        if let Some(recorder) = &mut recorder {
            announce_new_hosts(recorder, &fleet, &agents, &targets, &printer);
        }
        let (mut code, mut end, mut recording) = (ExitCode::SUCCESS, End::Complete, Recording::default());
        if let Some(recorder) = recorder {
            let (idle, fold, graph) = (sweep::IDLE_BEFORE, self.engine.fold.wanted(), self.graph.wanted());
            let options =
                agent::Options { idle, fold, graph, ..setup::agent_options(false, self.engine.memory_limit)? };
            (fleet, end, recording) = runtime.block_on(async {
                let last_run = |(on, _): &(StationId, Plan)| fleet.get((*on).into()).map_or(0, |state| state.last_run);
                let last_runs: Vec<_> = agents.iter().map(last_run).collect();
                let handle =
                    setup::with_metrics(targets::connect(targets, &options, &last_runs, Clock::start()), exporter);
                suspend::answer(&handle);
                let mut job = Job::new(fleet, Some(recorder), agents, true);
                let end = sweep::measure(handle, &mut job, setup::interruption(&mut code), &mut printer).await?;
                io::Result::Ok((job.fleet, end, job.recording))
            })?;
        }
        printer.say(&conclusion(&fleet, &output));
        let records = printer.finish();
        Ok(exit_code(end, code, &records, setup::recorded(&recording)))
    }
}

/// What a sweep is asked to do.
struct Task {
    plan: Plan,
    /// Whether the seed was asked for.
    seeded: bool,
    /// The session file; for a shard, one of its own.
    output: PathBuf,
}

impl Sweep {
    /// The plan on one of the devices, in the order of a seed.
    ///
    /// # Errors
    /// If the host lacks the device, or the device a precision.
    pub fn plan(&self, device: &str, devices: &[DeviceInfo], seed: u64) -> Result<Plan, DeviceError> {
        let configs = self.grid.configs(&self.networks.names(), device, devices)?;
        let seed = (self.order == Order::Random).then_some(self.seed.unwrap_or(seed));
        Ok(plan::plan(configs, self.repeat, seed, self.seconds.seconds.as_secs_f64(), self.cooldown.as_secs_f64()))
    }

    /// The plan, and the file, of this process: of the whole sweep, or of its shard.
    fn task(&self, targets: &[ResolvedTarget]) -> Result<Task, Failure> {
        let variable = |name: &str| std::env::var(name).ok();
        let shard = self.shard.map(|asked| asked.resolve(variable)).transpose().map_err(Failure::usage)?;
        // Six digits are enough orders, and are typed without a mistake.
        let new = || jiff::Timestamp::now().as_nanosecond().unsigned_abs() as u64 / 1000 % 1_000_000;
        let seed = shard.map_or_else(new, |(_, seed)| seed);
        let first = &targets[0];
        let plan_of = |seed| self.plan(&first.device, &first.host.devices, seed).map_err(Failure::usage);
        let plan = plan_of(seed)?;
        // The other hosts must have the device and the precisions too.
        for ResolvedTarget { host, device } in targets {
            let device = device::resolve(device, &host.devices).map_err(Failure::usage)?;
            let offered = plan.configs.iter().try_for_each(|config| device::check_precision(device, config.precision));
            offered.map_err(Failure::usage)?;
        }
        let (seeded, distributed) = (self.seed.is_some(), targets.len() > 1 && !self.each);
        let Some((shard, _)) = shard else {
            return Ok(Task { plan: Plan { distributed, ..plan }, seeded, output: self.output.clone() });
        };
        // A shard that starts later, even in another job, takes the seed of the shards that have files already.
        let known = sweep_file::seed_of(shard.files(&self.output), &plan).filter(|_| self.seed.is_none());
        let plan = known.map_or(Ok(plan), plan_of)?;
        let part = Some((shard.index, shard.count));
        Ok(Task { plan: Plan { shard: part, distributed, ..plan }, seeded, output: shard.file(&self.output) })
    }
}

/// A host and device as the session file of a sweep knows them.
fn place(ResolvedTarget { host, device }: &ResolvedTarget) -> sweep_file::Place<'_> {
    sweep_file::Place { host: &host.name, device, devices: &host.devices }
}

/// Says in the stream and on the terminal that other hosts continue what some began.
fn announce_new_hosts(
    recorder: &mut Recorder,
    fleet: &Fleet,
    agents: &[(StationId, Plan)],
    targets: &[ResolvedTarget],
    printer: &Printer,
) {
    let new = agents.iter().zip(targets).filter(|((on, _), _)| fleet.get((*on).into()).is_none());
    let new: Vec<&str> = new.map(|(_, target)| target.host.name.as_str()).collect();
    if !fleet.has_begun() || new.is_empty() {
        return;
    }
    let (before, now) = (fleet.names(false).join(", "), new.join(", "));
    let text = format!("{now} continues what was begun on {before}");
    printer.say(&text);
    let body = Body::Notice { level: Level::Info, text };
    // At the zero of the clock that the resumed session has.
    // A recorder that fails says so again at the next event.
    let _ = recorder.send(Event { t: 0, body });
}

/// What a sweep is about to do, in how many places, and what of it is done.
fn introduction(plan: &Plan, places: usize, fleet: &Fleet, file: &Path, losses: &Losses) -> String {
    let file = file.display();
    let sweeps = fleet.sweeps();
    if sweeps.is_empty() {
        let seconds = Sweeping::new(plan.clone(), 0).seconds_left(0);
        let seconds = if plan.distributed { seconds / places.max(1) as f64 } else { seconds };
        let each = match (places > 1, plan.distributed) {
            (true, true) => format!(", distributed over {places} stations"),
            (true, false) => format!(", on each of {places} stations"),
            _ => String::new(),
        };
        return format!("{}{each}, into {file}; at least {}", intent(plan), roughly(seconds));
    }
    let sum = |of: fn(&Sweeping) -> usize| sweeps.iter().map(of).sum::<usize>();
    let (done, all) = (sum(Sweeping::count), sum(Sweeping::total));
    let lost = if losses.is_empty() { String::new() } else { format!("; {losses}") };
    match all - done {
        0 => format!("{file}: all {all} steps are done already{lost}"),
        to_go => {
            let seconds = seconds_left(fleet, &sweeps.iter().collect::<Vec<_>>(), places);
            format!("{file}: {done} of {all} steps are done, {to_go} to go{lost}; about {} left", roughly(seconds))
        }
    }
}

/// `48 steps: 4 networks × 4 batch sizes × 3 rounds on cpu, in random order (seed 7)`.
fn intent(plan: &Plan) -> String {
    let networks: BTreeSet<_> = plan.configs.iter().map(|c| &c.network).collect();
    let batches: BTreeSet<_> = plan.configs.iter().map(|c| c.batch).collect();
    let precisions: BTreeSet<_> = plan.configs.iter().map(|c| c.precision).collect();
    let devices: BTreeSet<_> = plan.configs.iter().map(|c| c.device.as_str()).collect();
    let counted = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let factors = [
        counted(networks.len(), "network"),
        counted(batches.len(), "batch size"),
        counted(precisions.len(), "precision"),
        counted(plan.repeat as usize, "round"),
    ];
    let order = plan.seed.map_or_else(|| "as given".to_owned(), |seed| format!("in random order (seed {seed})"));
    let devices = devices.into_iter().collect::<Vec<_>>().join(", ");
    let part = plan.shard.map(|(index, count)| {
        let own = Sweeping::new(plan.clone(), 0).total();
        format!("shard {} of {count}, {own} of ", index + 1)
    });
    let steps = counted(plan.steps(), "step");
    format!("{}{steps}: {} on {devices}, {order}", part.unwrap_or_default(), factors.join(" × "))
}

/// What a sweep came to.
fn conclusion(fleet: &Fleet, file: &Path) -> String {
    let sweeps = fleet.sweeps();
    if sweeps.is_empty() {
        return "nothing was measured".to_owned();
    }
    let sum = |of: fn(&Sweeping) -> usize| sweeps.iter().map(of).sum::<usize>();
    let (done, failed, all) = (sum(Sweeping::count), sum(Sweeping::failures), sum(Sweeping::total));
    let file = file.display();
    let mut said = format!("{} of {all} steps measured", done - failed);
    if failed > 0 {
        said += &format!(", {failed} failed or skipped");
    }
    if done < all {
        return format!("{said}; the same command continues {file}");
    }
    for (name, state) in fleet.names(true).iter().zip(fleet.stations()) {
        let name = if fleet.is_several() { format!("{name}: ") } else { String::new() };
        if let Some((before, after)) = state.idle_drift(state.device().unwrap_or_default()) {
            let drift = 100.0 * (after - before) / before;
            said += &format!(
                "; {name}idle power {} W before, {} W after ({drift:+.1} %)",
                significant(before, 3),
                significant(after, 3)
            );
        }
    }
    format!("{said}; in {file}")
}
