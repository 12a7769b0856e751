//! Parse, dispatch, exit code.

use clap::{Parser, error::ErrorKind};
use color_eyre::eyre::{self, WrapErr};
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};
use tokio::signal::unix::{SignalKind, signal};
use wattscope::{
    agent,
    cli::{self, Cli, Color, Command, Live, Marker},
    clock::Clock,
    engine::{self, device},
    listing, logging,
    progress::Printer,
    report::Record,
    sweep::{self, End, Plan},
    ui, zoo,
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
        Some(Command::Networks { json }) => networks(json),
        Some(Command::Devices { json }) => devices(json),
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
        Some(Command::Engine { epoch, memory_limit }) => engine::run(Clock::since(epoch), memory_limit),
    }
}

/// The live screen.
fn live(args: Live, log: Option<&Path>) -> eyre::Result<ExitCode> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        eprintln!("error: the live screen needs a terminal for input and output.");
        eprintln!("Without one: wattscope run --network {} (wattscope run --help)", args.network);
        return Ok(ExitCode::from(2));
    }
    start_log(log);
    let options = ui::Options {
        networks: zoo::registry().iter().map(|entry| entry.id.to_owned()).collect(),
        wishes: ui::Wishes {
            network: Some(args.network),
            batch: Some(args.batch),
            precision: args.precision,
            device: Some(args.device),
        },
        marker: match args.marker {
            Marker::Braille => ui::Marker::Braille,
            Marker::Block => ui::Marker::Block,
            Marker::Ascii => ui::Marker::Ascii,
        },
        depth: match args.color {
            Color::Auto => None,
            Color::Never => Some(ui::Depth::None),
            Color::Sixteen => Some(ui::Depth::Ansi16),
            Color::Palette => Some(ui::Depth::Ansi256),
            Color::True => Some(ui::Depth::Rgb),
        },
        no_mouse: args.no_mouse,
        ..ui::Options::default()
    };
    let agent = agent_options(true, args.memory_limit)?;
    let exit = runtime()?.block_on(ui::run(options, || agent::start(agent, Clock::start())))?;
    Ok(ExitCode::from(exit.code()))
}

/// `wattscope run`.
fn run(args: &cli::Run, log: Option<&Path>) -> eyre::Result<ExitCode> {
    let configs = args.configs(&device::enumerate()).unwrap_or_else(|error| refuse(error));
    start_log(log);
    let plan = Plan { configs, seconds: args.seconds };
    let options = agent_options(false, args.memory_limit)?;
    let mut printer = Printer::new(io::stdout().lock(), args.json, plan.configs.len());
    let mut code = ExitCode::SUCCESS;
    let end = runtime()?.block_on(async {
        let interrupt = async { code = ExitCode::from(interrupted().await) };
        sweep::measure(agent::start(options, Clock::start()), &plan, interrupt, &mut printer).await
    })?;
    let records = printer.finish()?;
    Ok(match end {
        End::Interrupted => code,
        End::Complete if records.iter().all(Record::is_measured) => ExitCode::SUCCESS,
        End::Complete | End::StreamEnded => ExitCode::FAILURE,
    })
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

fn devices(json: bool) -> eyre::Result<ExitCode> {
    let devices = device::enumerate();
    if json { print_json(&devices) } else { print(listing::device_table(&devices).as_bytes()) }
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

/// A log that can't be written is no reason to stop.
fn start_log(path: Option<&Path>) {
    if let Err(error) = logging::to_file(path) {
        eprintln!("no log is written: {error}");
    }
}

fn agent_options(step_back: bool, memory_limit: Option<u64>) -> eyre::Result<agent::Options> {
    let program = std::env::current_exe().wrap_err("the engine is this very program, which could not be found")?;
    Ok(agent::Options { step_back, memory_limit, ..agent::Options::new(program) })
}

/// One thread: all it does is wait.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
