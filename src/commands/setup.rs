//! What commands do before they measure: find devices and hosts, check weights, open recordings and the metrics endpoint;
//! and how a measurement is interrupted.

use super::{
    args::{self, Hosts, Metrics},
    failure::{Failure, about},
};
use crate::{
    agent::{
        self,
        fleet::FleetHandle,
        targets::{self, ResolvedTarget, Target},
    },
    backend::device,
    check,
    engine::WeightsFile,
    event::Precision,
    exporter::Exporter,
    host,
    images::accuracy::ledger,
    logging,
    model::{self, Model, weights::checkpoint::Checkpoint},
    output,
    session::{Fleet, Recorder, Recording},
};
use std::{
    env, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{self, ExitCode},
};
use tokio::signal::unix::{SignalKind, signal};

/// Each device of each host, once.
///
/// # Errors
/// If a device is named twice.
pub fn targets(hosts: &Hosts, devices: &[String]) -> Result<Vec<Target>, Failure> {
    args::check_devices(devices).map_err(Failure::usage)?;
    Ok(targets::targets(&hosts.targets(), devices))
}

/// Connects to the hosts to measure on.
///
/// # Errors
/// If one is not reached, or the user interrupts.
pub async fn connect(targets: Vec<Target>) -> Result<Vec<ResolvedTarget>, Failure> {
    tokio::select! {
        resolved = targets::resolve(targets, |line| output::say(&line)) => resolved.map_err(Failure::explained),
        // The commands that were started are killed as their handles are dropped.
        code = interrupted() => Err(Failure::Interrupted(code)),
    }
}

/// Refuses weights for a remote host: they are files of this one.
///
/// # Errors
/// If both are given.
pub fn refuse_remote_weights(hosts: &Hosts, weights: Option<&Path>) -> Result<(), Failure> {
    match (hosts.on.first(), weights) {
        (Some(on), Some(weights)) => Err(Failure::usage(format!(
            "--weights {} is a file of this host, and \"{on}\" leads to another one",
            weights.display()
        ))),
        _ => Ok(()),
    }
}

/// Weights for a network, once they are known to fit it.
///
/// # Errors
/// If they can't be read, or are those of another network.
pub fn weights_file(network: &str, path: &Path) -> Result<WeightsFile, Failure> {
    checkpoint(&model::find(network).map_err(Failure::usage)?, path)?;
    Ok(WeightsFile { network: network.to_owned(), path: path.to_owned() })
}

/// A checkpoint that fits a network.
///
/// # Errors
/// If it can't be read, or is that of another network.
pub fn checkpoint(model: &Model, path: &Path) -> Result<Checkpoint, Failure> {
    let opened = Checkpoint::open(path).and_then(|checkpoint| checkpoint.check(model).map(|()| checkpoint));
    opened.map_err(Failure::usage)
}

/// The device of a name, and a precision that it has: the one asked for, or else its first. This process can then work on it.
///
/// # Errors
/// If this host lacks the device, or the device the precision.
pub fn device_and_precision(name: &str, precision: Option<Precision>) -> Result<(String, Precision), Failure> {
    let devices = device::enumerate();
    let device = device::resolve(name, &devices).map_err(Failure::usage)?;
    let precision = precision.or(device.precisions.first().copied()).unwrap_or(Precision::F32);
    device::check_precision(device, precision).map_err(Failure::usage)?;
    enter_environment(&device.name)?;
    Ok((device.name.clone(), precision))
}

/// Starts this program anew in the environment that work on a device needs, where this process was started without it: the loader
/// reads its path when a process starts.
///
/// # Errors
/// If what the device needs can't be prepared, or the program can't be started.
pub fn enter_environment(device: &str) -> Result<(), Failure> {
    let environment = device::environment(device).map_err(Failure::usage)?;
    if environment.iter().all(|(name, value)| env::var_os(name).as_ref() == Some(value)) {
        return Ok(());
    }
    let program = env::current_exe().map_err(about("this program"))?;
    let error = process::Command::new(&program).args(env::args_os().skip(1)).envs(environment).exec();
    Err(about(program.display())(error).into())
}

/// The metrics endpoint, if one is asked for.
///
/// # Errors
/// If its port is taken.
pub fn exporter(metrics: &Metrics) -> Result<Option<Exporter>, Failure> {
    metrics.address.as_ref().map(Exporter::start).transpose().map_err(Failure::usage)
}

/// The metrics endpoint, if one is asked for; says where it is, for the port may be any free one.
///
/// # Errors
/// If its port is taken.
pub fn announced_exporter(metrics: &Metrics) -> Result<Option<Exporter>, Failure> {
    let exporter = exporter(metrics)?;
    if let Some(exporter) = &exporter {
        output::say(&format!("metrics: {}", exporter.url()));
    }
    Ok(exporter)
}

/// Agents whose events the metrics endpoint sees too, if there is one.
pub fn with_metrics(agents: FleetHandle, exporter: Option<Exporter>) -> FleetHandle {
    match exporter {
        Some(exporter) => exporter.tap(agents),
        None => agents,
    }
}

/// A recording to a file that must not be there yet, if one is asked for.
///
/// # Errors
/// If the file can't be made.
pub fn recorder(path: Option<&Path>) -> Result<Option<Recorder>, Failure> {
    path.map(|path| Recorder::create(path, &Fleet::default())).transpose().map_err(Failure::usage)
}

/// Says once more at the end why a recording is not complete, after everything that was printed since. Returns whether it is
/// complete; one whose reader has left is as long as the reader wanted it.
pub fn recorded(recording: &Recording) -> bool {
    let failed = recording.error().filter(|error| !error.is_broken_pipe());
    if let Some(error) = failed {
        output::warn(&error.to_string());
    }
    failed.is_none()
}

/// Starts the log. One that can't be written is said, and is no reason to stop.
pub fn start_log(path: Option<&Path>) {
    if let Err(error) = logging::to_file(path) {
        output::warn(&format!("no log is written: {error}"));
    }
}

/// An agent's options with this program as its engine.
///
/// # Errors
/// If the path of this program is not known.
pub fn agent_options(step_back: bool, memory_limit: Option<u64>) -> Result<agent::Options, Failure> {
    let program = std::env::current_exe();
    let program = program.map_err(about("the engine is this very program, which could not be found"))?;
    let (accuracies, checks) = (ledger::figures_file().ok(), check::default_file().ok());
    Ok(agent::Options { step_back, memory_limit, accuracies, checks, ..agent::Options::new(program) })
}

/// Where unnamed recordings of the live screen are kept, in the user's state directory.
///
/// # Errors
/// If the user has no home.
pub fn sessions_folder() -> io::Result<PathBuf> {
    host::state_folder().map(|folder| folder.join("sessions"))
}

/// A runtime of one thread: all it does is wait.
///
/// # Errors
/// If the operating system refuses.
pub fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Waits for Ctrl-C or a SIGTERM: the exit code that shells give to the signal.
pub async fn interrupted() -> u8 {
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

/// Waits for an interruption and puts its exit code into `code`.
pub async fn interruption(code: &mut ExitCode) {
    *code = ExitCode::from(interrupted().await);
}
