//! Parse, dispatch, exit code.

use clap::{Parser, error::ErrorKind};
use color_eyre::eyre::{self, WrapErr};
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};
use wattscope::{
    agent::{
        self,
        fleet::FleetHandle,
        posts::{self, Post, Seat},
        serve,
    },
    backend::device,
    check::{self, Kept, Reference},
    clock::Clock,
    commands::cli::{self, Cli, Color, Command, Live, Look, Marker, Place},
    commands::layers,
    commands::listing,
    commands::progress::{self, Detail, LayersPrinter, Printer},
    engine::{self, Choices, WeightsFile},
    event::{Body, DeviceInfo, DeviceMemory, Event, Level, Plan, Precision, StationId},
    exporter::Exporter,
    format, host,
    images::accuracy::{
        self, Report,
        dataset::Dataset,
        ledger::{self, Ledger, Work},
    },
    images::infer::{self, Predictor},
    logging,
    model::{self, Model, weights::checkpoint::Checkpoint},
    report::{self, Source},
    session::{
        Fleet, Recorder, Recordings,
        export::{self, ExportError, Format},
        recordings,
        records::Record,
        replay::Player,
    },
    sweep::{
        self, End, Job,
        file::{self, SweepFile},
        plan::plan,
    },
    ui,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match color_eyre::install().and_then(|()| dispatch(cli)) {
        Ok(code) => code,
        // Whoever read our output has had enough of it.
        Err(report) if is_broken_pipe(&report) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("Error: {report:?}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> eyre::Result<ExitCode> {
    let log = cli.log.as_deref();
    match cli.command {
        None => live(cli.live, log),
        Some(Command::Run(args)) => run(&args, log),
        Some(Command::Layers(args)) => layers(&args, log),
        Some(Command::Replay(args)) => replay(args, log),
        Some(Command::Export(args)) => export(&args),
        Some(Command::Sweep(args)) => sweep(&args, log),
        Some(Command::Merge(args)) => merge(&args),
        Some(Command::Report(args)) => report(&args),
        Some(Command::Networks { json }) => networks(json),
        Some(Command::Devices { place, json }) => devices(&place, json),
        Some(Command::Check(args)) => check(&args),
        Some(Command::Infer(args)) => infer(&args),
        Some(Command::Accuracy(args)) => accuracy(&args, log),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "wattscope", &mut script);
            print(&script)
        }
        Some(Command::Man { command }) => {
            let mut page = Vec::new();
            cli::manual(command.as_deref(), &mut page)?;
            print(&page)
        }
        Some(Command::Agent) => far_side(log),
        Some(Command::Engine { epoch, memory_limit, weights, weights_of, no_fold, no_graph }) => {
            let weights = weights_of.zip(weights).map(|(network, path)| WeightsFile { network, path });
            let choices = Choices { fold: !no_fold, graph: !no_graph };
            // One that can't log computes all the same.
            let _ = logging::to_stderr();
            engine::run(Clock::since(epoch), memory_limit, weights, choices)
        }
    }
}

/// The live screen.
fn live(args: Live, log: Option<&Path>) -> eyre::Result<ExitCode> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        eprintln!("error: the live screen needs a terminal for input and output.");
        eprintln!("Without one: wattscope run --network {} (wattscope run --help)", args.network);
        return Ok(ExitCode::from(2));
    }
    let posts = posts(&args.place, &args.device);
    refuse_weights(&args.place, args.weights.as_deref());
    let weights = args.weights.map(|path| weights_file(&args.network, path));
    let named = args.record.as_deref().map(record_to);
    let exporter = exporter(args.metrics);
    start_log(log);
    let directory = host::state_folder().map(|directory| directory.join(SESSIONS));
    let (mut recordings, error) = Recordings::begin(named, directory.ok().as_deref());
    if let Some(error) = error {
        // It is the one that nobody asked for: no reason to keep the screen from whoever asked for that.
        tracing::warn!("no unnamed recording is made: {error}");
    }
    let options = ui::Options {
        initial: ui::InitialConfig {
            network: Some(args.network),
            batch: Some(args.batch),
            precision: args.precision,
            device: args.device.first().cloned(),
        },
        stations: if posts.len() > 1 { posts.iter().map(|post| post.device.clone()).collect() } else { Vec::new() },
        ..looks(&args.look)
    };
    let (fold, graph) = (!args.no_fold, args.graph.wanted());
    let agent = agent::Options { weights, fold, graph, ..agent_options(true, args.memory_limit)? };
    let start = || served(posts::start(&posts, &agent, Clock::start()), exporter);
    let exit = runtime()?.block_on(ui::run(options, &mut recordings, start))?;
    match recordings.stop() {
        Ok(Some(file)) => eprintln!("recorded {} ({})", file.path.display(), format::bytes(file.bytes)),
        Ok(None) => {}
        Err(error) => eprintln!("{error}"),
    }
    Ok(ExitCode::from(exit.code()))
}

/// The endpoint of metrics, if there is to be one.
fn exporter(metrics: cli::Metrics) -> Option<Exporter> {
    metrics.address.map(Exporter::start).transpose().unwrap_or_else(|error| refuse(error))
}

/// Agents, all that they say served as metrics, too, if it is to be.
fn served(agents: FleetHandle, exporter: Option<Exporter>) -> FleetHandle {
    match exporter {
        Some(exporter) => exporter.tap(agents),
        None => agents,
    }
}

/// Where to measure: each device of each place, once.
fn posts(place: &Place, devices: &[String]) -> Vec<Post> {
    cli::check_devices(devices).unwrap_or_else(|error| refuse(error));
    posts::posts(&place.targets(), devices)
}

/// Where unnamed recordings are, in the user's state directory.
const SESSIONS: &str = "sessions";

/// What a screen looks like.
fn looks(look: &Look) -> ui::Options {
    ui::Options {
        networks: model::list().into_iter().map(|model| model.name).collect(),
        paper: model::list().into_iter().filter(|model| model.provenance.in_paper).map(|model| model.name).collect(),
        marker: match look.marker {
            Marker::Braille => ui::Marker::Braille,
            Marker::Block => ui::Marker::Block,
            Marker::Ascii => ui::Marker::Ascii,
        },
        depth: match look.color {
            Color::Auto => None,
            Color::Never => Some(ui::Depth::None),
            Color::Sixteen => Some(ui::Depth::Ansi16),
            Color::Palette => Some(ui::Depth::Ansi256),
            Color::True => Some(ui::Depth::Rgb),
        },
        no_mouse: look.no_mouse,
        ..ui::Options::default()
    }
}

/// A recording to a file that must not be there yet.
fn record_to(path: &Path) -> Recorder {
    Recorder::create(path, &Fleet::default()).unwrap_or_else(|error| refuse(error))
}

/// `wattscope replay`.
fn replay(args: cli::Replay, log: Option<&Path>) -> eyre::Result<ExitCode> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        eprintln!("error: a replay needs a terminal for input and output.");
        return Ok(ExitCode::from(2));
    }
    start_log(log);
    let newest = || recordings::newest(&host::state_folder().ok()?.join(SESSIONS));
    let Some(path) = args.file.or_else(newest) else {
        eprintln!("error: there is no unnamed recording yet: name a file, or start the live screen once");
        return Ok(ExitCode::FAILURE);
    };
    let (tape, losses) = match Player::load(&path) {
        Ok(loaded) => loaded,
        Err(error) => return Ok(sorry(&error)),
    };
    let said = (!losses.is_empty()).then(|| format!("{}: {losses}", path.display()));
    let screen = ui::replay(looks(&args.look), tape, (args.from, args.speed), said);
    Ok(ExitCode::from(runtime()?.block_on(screen)?.code()))
}

/// `wattscope export`.
fn export(args: &cli::Export) -> eyre::Result<ExitCode> {
    let by_name = args.output.as_deref().and_then(Format::of);
    let format = args.format.or(by_name).unwrap_or(Format::Csv);
    if format == Format::Parquet && args.output.is_none() && io::stdout().is_terminal() {
        refuse("Parquet is no text for a terminal: name a file with -o");
    }
    let losses = match export::export(&args.file, args.table, format, args.output.as_deref()) {
        Ok(losses) => losses,
        // Whoever reads the table may have had enough of it.
        Err(error @ ExportError::Write { .. }) => return Err(error.into()),
        Err(error) => return Ok(sorry(&error)),
    };
    if !losses.is_empty() {
        eprintln!("{}: not everything could be read: {losses}", args.file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// `wattscope report`.
fn report(args: &cli::Report) -> eyre::Result<ExitCode> {
    let sources = args.files.iter().map(|file| Source::open(file)).collect::<Result<Vec<_>, _>>()?.concat();
    let written = report::report(&sources, &args.output, args.force)?;
    for losses in &written.losses {
        eprintln!("{losses}: the report is of what could be read");
    }
    print(format!("{}\n{}\n", written.html.display(), written.markdown.display()).as_bytes())
}

/// `wattscope run`.
fn run(args: &cli::Run, log: Option<&Path>) -> eyre::Result<ExitCode> {
    let runtime = runtime()?;
    refuse_weights(&args.place, args.weights.as_deref());
    // Before anything far is reached: a port that is taken is said at once.
    let exporter = exporter(args.metrics);
    let seats = match runtime.block_on(reach(posts(&args.place, &args.device))) {
        Ok(seats) => seats,
        Err(code) => return Ok(code),
    };
    let plan_of = |seat: &Seat| {
        let configs = args.configs(&seat.device, &seat.site.devices).unwrap_or_else(|error| refuse(error));
        plan(configs, 1, None, args.seconds, 0.0)
    };
    let plans: Vec<Plan> = seats.iter().map(plan_of).collect();
    let weights = args.weights.clone().zip(plans[0].configs.first());
    let weights = weights.map(|(path, config)| weights_file(&config.network, path));
    let recorder = args.record.as_deref().map(record_to);
    start_log(log);
    let (fold, graph) = (!args.no_fold, args.graph.wanted());
    let options = agent::Options { weights, fold, graph, ..agent_options(false, args.memory_limit)? };
    let mut printer = Printer::new(io::stdout().lock(), args.json, Detail::Failures);
    let mut code = ExitCode::SUCCESS;
    let end = runtime.block_on(async {
        let interrupt = async { code = ExitCode::from(interrupted().await) };
        let (fleet, each) = (Fleet::of(seats.len()), (0..).zip(plans).collect());
        let mut job = Job::new(fleet, recorder, each, false);
        let agents = served(posts::sit(seats, &options, &[], Clock::start()), exporter);
        sweep::measure(agents, &mut job, interrupt, &mut printer).await
    })?;
    let records = printer.finish()?;
    Ok(exit_code(end, code, &records))
}

/// `wattscope layers`.
fn layers(args: &cli::Layers, log: Option<&Path>) -> eyre::Result<ExitCode> {
    let runtime = runtime()?;
    refuse_weights(&args.place, args.weights.as_deref());
    if let [_, another, ..] = &args.place.on[..] {
        refuse(format!("--on \"{another}\": layers are measured in one place at a time"));
    }
    let seats = match runtime.block_on(reach(posts(&args.place, std::slice::from_ref(&args.device)))) {
        Ok(seats) => seats,
        Err(code) => return Ok(code),
    };
    // One place and one device.
    let Some(Seat { site, .. }) = seats.into_iter().next() else { return Ok(ExitCode::FAILURE) };
    let configs = args.configs(&site.devices).unwrap_or_else(|error| refuse(error));
    let weights = args.weights.clone().map(|path| weights_file(&args.network, path));
    let recorder = args.record.as_deref().map(record_to);
    start_log(log);
    let options = agent::Options {
        weights,
        fold: !args.no_fold,
        // No figure here is of power.
        idle: Duration::ZERO,
        ..agent_options(false, args.memory_limit)?
    };
    let mut printer = LayersPrinter::new(io::stdout().lock(), args.json);
    let mut code = ExitCode::SUCCESS;
    let end = runtime.block_on(async {
        let interrupt = async { code = ExitCode::from(interrupted().await) };
        layers::measure(site.start(options, Clock::start()).into(), &configs, recorder, interrupt, &mut printer).await
    })?;
    Ok(match end {
        End::Interrupted => code,
        End::Complete if printer.all_measured() => ExitCode::SUCCESS,
        End::Complete | End::StreamEnded => ExitCode::FAILURE,
    })
}

/// `wattscope sweep`.
fn sweep(args: &cli::Sweep, log: Option<&Path>) -> eyre::Result<ExitCode> {
    let runtime = runtime()?;
    let exporter = exporter(args.metrics);
    let mut seats = match runtime.block_on(reach(posts(&args.place, &args.device))) {
        Ok(seats) => seats,
        Err(code) => return Ok(code),
    };
    let Order { plan, seeded, output } = order(args, &seats);
    if args.force && output.exists() {
        std::fs::remove_file(&output).wrap_err_with(|| output.display().to_string())?;
    }
    let mut printer = Printer::new(io::stdout().lock(), args.json, Detail::Steps);
    printer.recall(true);
    seats.iter_mut().for_each(|seat| seat.device = resolved(seat));
    let places: Vec<_> = seats.iter().map(place).collect();
    let asked = file::Asked { plan: &plan, seed: seeded, places: &places };
    let SweepFile { mut recorder, mut fleet, agents, losses } =
        file::open(&output, &asked, &mut printer).unwrap_or_else(|error| refuse(error));
    printer.recall(false);
    start_log(log);
    printer.say(&progress::introduction(&plan, places.len(), &fleet, &output, &losses));
    if let Some(recorder) = &mut recorder {
        welcome(recorder, &fleet, &agents, &seats, &printer)?;
    }
    let (mut code, mut end) = (ExitCode::SUCCESS, End::Complete);
    if let Some(recorder) = recorder {
        let (idle, graph) = (sweep::IDLE_BEFORE, args.graph.wanted());
        let options = agent::Options { idle, graph, ..agent_options(false, args.memory_limit)? };
        (fleet, end) = runtime.block_on(async {
            let interrupt = async { code = ExitCode::from(interrupted().await) };
            let last_run = |(on, _): &(StationId, Plan)| fleet.get((*on).into()).map_or(0, |state| state.last_run);
            let last_runs: Vec<_> = agents.iter().map(last_run).collect();
            let handle = served(posts::sit(seats, &options, &last_runs, Clock::start()), exporter);
            let mut job = Job::new(fleet, Some(recorder), agents, true);
            let end = sweep::measure(handle, &mut job, interrupt, &mut printer).await?;
            io::Result::Ok((job.fleet, end))
        })?;
    }
    printer.say(&progress::conclusion(&fleet, &output));
    let records = printer.finish()?;
    Ok(exit_code(end, code, &records))
}

/// A seat as the file of a sweep knows it.
fn place(Seat { site, device }: &Seat) -> file::Place<'_> {
    file::Place { host: &site.host, device, devices: &site.devices }
}

/// What a sweep is asked to do.
struct Order {
    plan: Plan,
    /// Whether the seed was asked for.
    seeded: bool,
    /// Where it goes: for a shard a file of its own.
    output: PathBuf,
}

fn order(args: &cli::Sweep, seats: &[Seat]) -> Order {
    let variable = |name: &str| std::env::var(name).ok();
    let shard = args.shard.map(|asked| asked.resolve(variable).unwrap_or_else(|error| refuse(error)));
    // Six digits are typed without a mistake, and make orders enough.
    let new = || jiff::Timestamp::now().as_nanosecond().unsigned_abs() as u64 / 1000 % 1_000_000;
    let seed = shard.map_or_else(new, |(_, seed)| seed);
    let first = &seats[0];
    let plan_of = |seed| args.plan(&first.device, &first.site.devices, seed).unwrap_or_else(|error| refuse(error));
    let plan = plan_of(seed);
    // Each of the others must be there, too, and compute so.
    for Seat { site, device } in seats {
        let device = device::resolve(device, &site.devices).unwrap_or_else(|error| refuse(error));
        let offered = plan.configs.iter().try_for_each(|config| device::check_precision(device, config.precision));
        offered.unwrap_or_else(|error| refuse(error));
    }
    let distributed = seats.len() > 1 && !args.each;
    let Some((shard, _)) = shard else {
        return Order { plan: Plan { distributed, ..plan }, seeded: args.seed.is_some(), output: args.output.clone() };
    };
    // Shards that are begun later, by another job even, join those that are there.
    let known = file::seed_of(shard.files(&args.output), &plan).filter(|_| args.seed.is_none());
    let plan = known.map_or(plan, plan_of);
    let part = Some((shard.index, shard.count));
    Order {
        plan: Plan { shard: part, distributed, ..plan },
        seeded: args.seed.is_some(),
        output: shard.file(&args.output),
    }
}

/// The name of a device as it is listed.
fn resolved(Seat { site, device }: &Seat) -> String {
    device::resolve(device, &site.devices).unwrap_or_else(|error| refuse(error)).name.clone()
}

/// Says in the stream and on the terminal that another host goes on with what one began.
fn welcome(
    recorder: &mut Recorder,
    fleet: &Fleet,
    agents: &[(StationId, Plan)],
    seats: &[Seat],
    printer: &Printer<impl Write>,
) -> eyre::Result<()> {
    let new = agents.iter().zip(seats).filter(|((on, _), _)| fleet.get((*on).into()).is_none());
    let new: Vec<&str> = new.map(|(_, seat)| seat.site.host.as_str()).collect();
    if !fleet.has_begun() || new.is_empty() {
        return Ok(());
    }
    let (before, now) = (fleet.names(false).join(", "), new.join(", "));
    let text = format!("{now} goes on with what was begun on {before}");
    printer.say(&text);
    let body = Body::Notice { level: Level::Info, text };
    // On the clock of what goes on: its zero.
    Ok(recorder.send(Event { t: 0, body })?)
}

/// `wattscope merge`.
fn merge(args: &cli::Merge) -> eyre::Result<ExitCode> {
    let merged = match sweep::merge::merge(&args.files, &args.output, args.force) {
        Ok(merged) => merged,
        Err(error) => return Ok(sorry(&error)),
    };
    for (path, losses) in &merged.losses {
        eprintln!("{}: not everything could be read: {losses}", path.display());
    }
    merged.duplicates.iter().for_each(|duplicate| eprintln!("{duplicate}"));
    merged.missing.iter().for_each(|(step, config)| eprintln!("missing: step {}, {config}", step + 1));
    print(format!("{}: {merged}\n", args.output.display()).as_bytes())?;
    Ok(if merged.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `wattscope agent`.
fn far_side(log: Option<&Path>) -> eyre::Result<ExitCode> {
    if io::stdin().is_terminal() {
        eprintln!("error: `wattscope agent` is the far side of --on, and is started by the other side:");
        eprintln!("wattscope --on \"ssh HOST\"");
        return Ok(ExitCode::from(2));
    }
    start_log(log);
    let options = agent_options(true, None)?;
    let why = runtime()?.block_on(serve::serve(options))?;
    tracing::info!("{why}");
    // A thread may still wait for a line of stdin, which may never come: the end of the process does not.
    std::process::exit(0)
}

/// The hosts to measure on, once they are reached; otherwise says why one is not.
async fn reach(posts: Vec<Post>) -> Result<Vec<Seat>, ExitCode> {
    tokio::select! {
        reached = posts::reach(posts, |said| eprintln!("{said}")) => reached.map_err(|error| sorry(&error)),
        // What was started ends with it.
        code = interrupted() => Err(ExitCode::from(code)),
    }
}

/// Weights are files of this host, and a far end has others.
fn refuse_weights(place: &Place, weights: Option<&Path>) {
    if let (Some(on), Some(weights)) = (place.on.first(), weights) {
        refuse(format!("--weights {} is a file of this host, and \"{on}\" leads to another one", weights.display()));
    }
}

/// What a script is told: `interrupted` is the code of the signal that came, if one did.
fn exit_code(end: End, interrupted: ExitCode, records: &[Record]) -> ExitCode {
    match end {
        End::Interrupted => interrupted,
        End::Complete if records.iter().all(Record::is_measured) => ExitCode::SUCCESS,
        End::Complete | End::StreamEnded => ExitCode::FAILURE,
    }
}

/// Waits for somebody to end this: the exit code that shells give to the signal.
async fn interrupted() -> u8 {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        // Signals that can't be caught end the process by themselves.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}

fn networks(json: bool) -> eyre::Result<ExitCode> {
    let networks = listing::networks().map_err(|(id, error)| eyre::Report::new(error).wrap_err(id))?;
    if json { print_json(&networks) } else { print(listing::network_table(&networks).as_bytes()) }
}

fn devices(place: &Place, json: bool) -> eyre::Result<ExitCode> {
    let seats = match runtime()?.block_on(reach(posts(place, &["auto".to_owned()]))) {
        Ok(seats) => seats,
        Err(code) => return Ok(code),
    };
    let devices: Vec<&[DeviceInfo]> = seats.iter().map(|seat| &seat.site.devices[..]).collect();
    match (&devices[..], json) {
        ([devices], true) => print_json(devices),
        (all, true) => print_json(&all),
        ([devices], false) => print(listing::device_table(devices).as_bytes()),
        _ => {
            let table = |seat: &Seat| format!("{}\n{}", seat.site.host, listing::device_table(&seat.site.devices));
            print(seats.iter().map(table).collect::<Vec<_>>().join("\n").as_bytes())
        }
    }
}

/// `wattscope check`.
fn check(args: &cli::Check) -> eyre::Result<ExitCode> {
    let devices = device::enumerate();
    let device = device::resolve(&args.device, &devices).unwrap_or_else(|error| refuse(error));
    let precisions = if args.precision.is_empty() { &device.precisions } else { &args.precision };
    let offered = precisions.iter().try_for_each(|p| device::check_precision(device, *p));
    offered.unwrap_or_else(|error| refuse(error));
    engine::setup::keep_caches();
    let all = || model::list().into_iter().map(|model| model.name).collect();
    let networks = if args.networks.is_empty() { all() } else { args.networks.clone() };
    let mut kept = Vec::new();
    let (mut made, mut failed) = (0, 0);
    for network in &networks {
        let reference = Reference::of(network);
        for precision in precisions {
            let checked = match &reference {
                Ok(reference) => reference.check(&device.name, *precision, !args.no_fold).map_err(|e| e.to_string()),
                Err(error) => Err(error.to_string()),
            };
            let line = check::line(network, &device.name, *precision, &checked, args.json)?;
            print((line + "\n").as_bytes())?;
            made += 1;
            failed += usize::from(!checked.as_ref().is_ok_and(|checked| checked.pass));
            kept.extend(checked.ok().map(|checked| Kept::new(checked, device, !args.no_fold)));
        }
    }
    keep(&kept);
    if !args.json {
        eprintln!("{} of {made} within bounds", made - failed);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Keeps what was found for the live screen and the records; without it, a check is still a check.
fn keep(checks: &[Kept]) {
    let kept = check::default_file().and_then(|file| check::keep(&file, checks));
    if let Err(error) = kept {
        eprintln!("the results are not kept for the live screen and the records: {error}");
    }
}

/// `wattscope infer`.
fn infer(args: &cli::Infer) -> eyre::Result<ExitCode> {
    let model = model::find(&args.network).unwrap_or_else(|error| refuse(error));
    let (device, precision) = device_and_precision(&args.device, args.precision);
    let checkpoint = args.weights.as_deref().map(|path| checkpoint(&model, path));
    engine::setup::keep_caches();
    let predictor = Predictor::build(&model, &device, precision, checkpoint.as_ref(), !args.no_fold)?;
    let inputs = match &args.input {
        Some(path) => predictor.tensor(path)?,
        None => predictor.photographs(&args.image)?,
    };
    let answers = predictor.answers(inputs, usize::from(args.top))?;
    if let Some(path) = &args.logits {
        infer::write_logits(path, &answers)?;
    }
    if args.json {
        let lines: Result<Vec<_>, _> = answers.iter().map(serde_json::to_string).collect();
        return print(lines?.iter().map(|line| format!("{line}\n")).collect::<String>().as_bytes());
    }
    let tables: Vec<_> = answers.iter().map(infer::table).collect();
    let made_up = "The weights are made up, and so are the answers: --weights FILE loads real ones.\n";
    let note = if checkpoint.is_none() { made_up } else { "" };
    print(format!("{}\n{note}\n{}", predictor.title(), tables.join("\n")).as_bytes())
}

/// `wattscope accuracy`.
fn accuracy(args: &cli::Accuracy, log: Option<&Path>) -> eyre::Result<ExitCode> {
    let model = model::find(&args.network).unwrap_or_else(|error| refuse(error));
    let classes = model.classifier().unwrap_or_else(|error| refuse(error)).classes;
    let (device, precision) = device_and_precision(&args.device, args.precision);
    let checkpoint = checkpoint(&model, &args.weights);
    let mut dataset =
        Dataset::open(&args.images, args.labels.as_deref(), classes).unwrap_or_else(|error| unusable(error));
    dataset.samples.truncate(args.limit.map_or(usize::MAX, |limit| limit as usize));
    if device::traits_of(&device).memory == DeviceMemory::Host {
        accuracy::check_memory(&model, args.batch, precision).unwrap_or_else(|error| unusable(error));
    }
    start_log(log);
    engine::setup::keep_caches();
    let predictor = Predictor::build(&model, &device, precision, Some(&checkpoint), true)?;
    let work = Work {
        network: &model.name,
        weights: &predictor.weights.to_string(),
        device: &device,
        precision: precision.name(),
        images: &args.images,
        labels: args.labels.as_deref(),
    };
    let ledger = Ledger::open(work.file()?, args.restart, &dataset)?;
    let batch = args.batch as usize;
    let (code, outcome) = until_interrupted(|stop| accuracy::measure(&predictor, &dataset, ledger, batch, stop))?;
    let outcome = outcome?;
    if let Some(accuracy) = outcome.accuracy.as_ref().filter(|_| outcome.complete) {
        ledger::keep(&ledger::figures_file()?, accuracy)?;
    }
    match (Report::of(&outcome), &outcome.accuracy) {
        (Some(report), _) if args.json => print((serde_json::to_string(&report)? + "\n").as_bytes())?,
        (_, Some(accuracy)) => print(accuracy::text(&predictor, accuracy, &dataset).as_bytes())?,
        _ => ExitCode::FAILURE,
    };
    eprint!("{}", accuracy::complaints(&outcome, &dataset));
    Ok(match outcome.accuracy {
        _ if !outcome.complete => code,
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}

/// Works on another thread until it is done or somebody interrupts it: the exit code of that, and what came of the work.
fn until_interrupted<T: Send>(work: impl FnOnce(&AtomicBool) -> T + Send) -> eyre::Result<(ExitCode, T)> {
    let stop = AtomicBool::new(false);
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let runtime = runtime()?;
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = work(&stop);
            // Whoever waited for this may have been interrupted.
            let _ = done.send(());
            result
        });
        let code = runtime.block_on(async {
            tokio::select! {
                code = interrupted() => ExitCode::from(code),
                _ = ended => ExitCode::SUCCESS,
            }
        });
        stop.store(true, Ordering::Relaxed);
        match worker.join() {
            Ok(result) => Ok((code, result)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// The device of a name, and a precision that it has; otherwise the end of the process.
fn device_and_precision(name: &str, precision: Option<Precision>) -> (String, Precision) {
    let devices = device::enumerate();
    let device = device::resolve(name, &devices).unwrap_or_else(|error| refuse(error));
    let precision = precision.or(device.precisions.first().copied()).unwrap_or(Precision::F32);
    device::check_precision(device, precision).unwrap_or_else(|error| refuse(error));
    (device.name.clone(), precision)
}

fn print_json(value: &impl Serialize) -> eyre::Result<ExitCode> {
    print((serde_json::to_string_pretty(value)? + "\n").as_bytes())
}

fn print(bytes: &[u8]) -> eyre::Result<ExitCode> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn is_broken_pipe(report: &eyre::Report) -> bool {
    let of = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    report.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(of))
}

/// Ends the process over what the command line asks for and this host has not, as clap does over bad usage.
fn refuse(error: impl Display) -> ! {
    cli::command().error(ErrorKind::InvalidValue, error).exit()
}

/// Weights for a network, once they are known to be its own; otherwise the end of the process.
fn weights_file(network: &str, path: PathBuf) -> WeightsFile {
    let model = model::find(network).unwrap_or_else(|error| refuse(error));
    checkpoint(&model, &path);
    WeightsFile { network: network.to_owned(), path }
}

/// A checkpoint that fits a network; otherwise the end of the process.
fn checkpoint(model: &Model, path: &Path) -> Checkpoint {
    let opened = Checkpoint::open(path).and_then(|checkpoint| checkpoint.check(model).map(|()| checkpoint));
    opened.unwrap_or_else(|error| unusable(error))
}

/// Ends the process over a file that the command line names, without the usage, which is right.
fn unusable(error: impl Display) -> ! {
    eprintln!("error: {error}");
    std::process::exit(2)
}

/// Says what is wrong with a file that the user named: nothing that a backtrace explains.
fn sorry(error: &impl Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// A log that can't be written is no reason to stop.
fn start_log(path: Option<&Path>) {
    if let Err(error) = logging::to_file(path) {
        eprintln!("no log is written: {error}");
    }
}

fn agent_options(step_back: bool, memory_limit: Option<u64>) -> eyre::Result<agent::Options> {
    let program = std::env::current_exe().wrap_err("the engine is this very program, which could not be found")?;
    let (accuracies, checks) = (ledger::figures_file().ok(), check::default_file().ok());
    Ok(agent::Options { step_back, memory_limit, accuracies, checks, ..agent::Options::new(program) })
}

/// One thread: all it does is wait.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
