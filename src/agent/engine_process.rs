//! The engine's process: commands go to its stdin, events come from its stdout, and its exit is explained from its stderr.

use crate::{
    backend::device,
    clock::Clock,
    engine::WeightsFile,
    event::{EngineCommand, Event},
    logging,
};
use std::{collections::VecDeque, ffi::OsString, os::unix::process::ExitStatusExt, path::PathBuf, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
};
use tracing::Level;

/// Lines of stderr that are kept to explain an exit.
const STDERR_LINES: usize = 12;

/// A message from an engine, with the engine's number.
#[derive(Debug)]
pub enum FromEngine {
    /// It reported an event.
    Event(u64, Box<Event>),
    /// Its process has exited.
    Exited(u64, EngineExit),
}

/// How an engine exited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineExit {
    /// `killed by signal 9 (SIGKILL)`, `exit code 3: the device …`.
    pub reason: String,
    /// Whether it was killed by a SIGKILL, as the kernel does where memory is out.
    pub killed: bool,
    /// Its last lines on stderr.
    pub stderr: String,
}

/// How engines are started.
#[derive(Clone, Debug)]
pub struct EngineLauncher {
    /// The program: this binary, except in tests.
    pub program: PathBuf,
    /// Clock of the timestamps of its events.
    pub clock: Clock,
    /// Limit of its data segment, bytes; none for a card, because its driver reserves far more address space than it uses.
    pub memory_limit: Option<u64>,
    /// Weights from a file.
    pub weights: Option<WeightsFile>,
    /// Whether it folds batch norms.
    pub fold: bool,
    /// Whether it may replay captured graphs.
    pub graph: bool,
}

impl EngineLauncher {
    /// Turns graph replay off after an engine on `device` has died, if it replays graphs, because a replayed graph accesses
    /// memory without any check. Returns a notice the first time.
    pub fn suspect_graphs(&mut self, device: &str) -> Option<String> {
        let suspect = device::traits_of(device).graphs && std::mem::take(&mut self.graph);
        suspect.then(|| "an engine died: the next ones replay no graphs".to_owned())
    }

    /// The arguments of the `engine` subcommand.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            vec!["engine".into(), "--epoch".into(), self.clock.epoch().to_string().into()];
        if let Some(limit) = self.memory_limit {
            arguments.extend(["--memory-limit".into(), limit.to_string().into()]);
        }
        if let Some(WeightsFile { network, path }) = &self.weights {
            arguments.extend(["--weights-of".into(), network.into(), "--weights".into(), path.into()]);
        }
        let choices = [(self.fold, "--no-fold"), (self.graph, "--no-graph")];
        arguments.extend(choices.into_iter().filter(|(made, _)| !made).map(|(_, flag)| flag.into()));
        arguments
    }
}

/// A running engine. Dropping it kills the process.
#[derive(Debug)]
pub struct EngineProcess {
    /// Which of the agent's engines this is.
    pub number: u64,
    /// Its process id.
    pub pid: u32,
    /// The device that it was started for.
    pub device: String,
    stdin: ChildStdin,
    watcher: JoinHandle<()>,
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        // The watcher owns the child, which is killed when it is dropped.
        self.watcher.abort();
    }
}

/// Has the system kill the process when the one that starts it is gone. An engine ends when its stdin does, but one that is
/// stopped reads nothing, and the system continues the stopped processes of an orphaned group only if they had already
/// stopped when it was orphaned.
#[cfg(target_os = "linux")]
fn die_with_this_process(command: &mut Command) {
    let parent = std::process::id();
    let ask = move || {
        // SAFETY: both calls are async-signal-safe and take no pointers.
        let (asked, still) = unsafe { (libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL), libc::getppid()) };
        if asked != 0 {
            return Err(std::io::Error::last_os_error());
        }
        // It may have died before it was asked for.
        if u32::try_from(still) == Ok(parent) { Ok(()) } else { Err(std::io::ErrorKind::Interrupted.into()) }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(ask) };
}

impl EngineProcess {
    /// Starts an engine that reports to `sink`.
    ///
    /// # Errors
    /// If the process can't be started.
    pub fn start(
        launcher: &EngineLauncher,
        number: u64,
        device: &str,
        sink: UnboundedSender<FromEngine>,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(&launcher.program);
        command.args(launcher.arguments());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A backtrace would push the message that explains the exit out of the kept lines; a panic names its line anyway.
        command.env("RUST_BACKTRACE", "0");
        // Where that can't be prepared the engine says why when it opens the device.
        command.envs(device::environment(device).unwrap_or_default());
        // A process group of its own: Ctrl-C and Ctrl-Z on the terminal go to the screen only.
        command.process_group(0);
        #[cfg(target_os = "linux")]
        die_with_this_process(&mut command);
        let mut child = command.spawn()?;
        let gone = || std::io::Error::other("the engine's pipes are missing");
        let stdin = child.stdin.take().ok_or_else(gone)?;
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let stderr = child.stderr.take().ok_or_else(gone)?;
        let pid = child.id().ok_or_else(gone)?;
        let watcher = tokio::spawn(watch(number, child, stdout, stderr, sink));
        Ok(Self { number, pid, device: device.to_owned(), stdin, watcher })
    }

    /// Suspends or resumes the process.
    pub fn pause(&self, paused: bool) {
        let signal = if paused { libc::SIGSTOP } else { libc::SIGCONT };
        // SAFETY: the process has not been waited for, so its id has not been reused.
        unsafe { libc::kill(self.pid as libc::pid_t, signal) };
    }

    /// Sends a command.
    ///
    /// # Errors
    /// If the process has exited; the exit itself is reported through the sink.
    pub async fn send(&mut self, command: &EngineCommand) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.stdin.write_all(&line).await?;
        self.stdin.flush().await
    }
}

/// Reads both pipes to their ends, then reports the exit.
async fn watch(
    number: u64,
    mut child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    sink: UnboundedSender<FromEngine>,
) {
    let tail = tokio::spawn(read_stderr(BufReader::new(stderr).lines()));
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(event) => drop(sink.send(FromEngine::Event(number, Box::new(event)))),
            Err(error) => tracing::warn!(%error, line, "not an event"),
        }
    }
    let status = child.wait().await;
    let stderr = tail.await.unwrap_or_default();
    let killed = status.as_ref().is_ok_and(|status| status.signal() == Some(libc::SIGKILL));
    let how = status.map_or_else(|error| error.to_string(), describe);
    // The first panic is the cause; panics of other threads follow from it.
    let panic = stderr.lines().find(|line| line.starts_with("panic: "));
    let last = panic.or_else(|| stderr.lines().rev().find(|line| !line.trim().is_empty()));
    let reason = last.map_or(how.clone(), |last| format!("{how}: {}", last.trim()));
    let _ = sink.send(FromEngine::Exited(number, EngineExit { reason, killed, stderr }));
}

/// Logs stderr and returns its last lines that are not log messages.
async fn read_stderr(mut lines: Lines<BufReader<ChildStderr>>) -> String {
    let mut tail = VecDeque::new();
    while let Ok(Some(line)) = lines.next_line().await {
        match logging::line(&line) {
            Some((Level::ERROR, text)) => tracing::error!(target: "engine", "{text}"),
            Some((Level::WARN, text)) => tracing::warn!(target: "engine", "{text}"),
            Some((_, text)) => tracing::info!(target: "engine", "{text}"),
            None => {
                tracing::info!(target: "engine", "{line}");
                if tail.len() == STDERR_LINES {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
        }
    }
    Vec::from(tail).join("\n")
}

/// How a process exited, in words.
pub fn describe(status: std::process::ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}{}", signal_name(signal)),
        (None, None) => status.to_string(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGBUS => " (SIGBUS)",
        libc::SIGILL => " (SIGILL)",
        libc::SIGTERM => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(fold: bool, graph: bool) -> EngineLauncher {
        EngineLauncher {
            program: "wattscope".into(),
            clock: Clock::start(),
            memory_limit: Some(1 << 30),
            weights: Some(WeightsFile { network: "vgg16".into(), path: "a.pth".into() }),
            fold,
            graph,
        }
    }

    #[test]
    fn graphs_are_turned_off_once_after_an_exit_on_a_card() {
        let mut launcher = launcher(true, true);
        assert_eq!((launcher.suspect_graphs("cpu"), launcher.graph), (None, true), "a CPU has none to suspect");
        assert!(launcher.suspect_graphs("cuda:0").is_some() && !launcher.graph);
        assert_eq!(launcher.suspect_graphs("cuda:0"), None);
    }
}
