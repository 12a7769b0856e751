//! The engine's process as its agent sees it: a pipe for commands, a stream of events, and how it ended.

use crate::{
    backend::device,
    clock::Clock,
    engine::WeightsFile,
    event::{EngineCommand, Event},
    logging,
};
use std::{collections::VecDeque, ffi::OsString, path::PathBuf, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::mpsc::UnboundedSender,
    task::JoinHandle,
};
use tracing::Level;

/// Lines of stderr that are kept to tell why an engine died.
const TAIL: usize = 12;

/// Something an engine did; the number says which engine.
#[derive(Debug)]
pub enum FromEngine {
    /// It reported an event.
    Event(u64, Box<Event>),
    /// Its process is gone: why, in words.
    Gone(u64, Death),
}

/// How an engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// `killed by signal 9 (SIGKILL)`, `exit code 3: the device …`.
    pub reason: String,
    /// Its last words on stderr.
    pub stderr: String,
}

/// How to start an engine.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program: this very binary, but for tests.
    pub program: PathBuf,
    /// Clock that its events are stamped with.
    pub clock: Clock,
    /// Limit of its data segment, bytes; none for a card, whose driver reserves far more than it uses.
    pub memory_limit: Option<u64>,
    /// Weights that are not seeded.
    pub weights: Option<WeightsFile>,
    /// Whether it folds batch norms.
    pub fold: bool,
    /// Whether it may replay captured graphs.
    pub graph: bool,
}

impl Launch {
    /// After the death of an engine on a device that replays graphs: a graph replays into memory that nothing checks, so the engines to come
    /// replay none, whatever the cause was. Says so, once.
    pub fn suspect_graphs(&mut self, device: &str) -> Option<String> {
        let suspect = device::traits_of(device).graphs && std::mem::take(&mut self.graph);
        suspect.then(|| "an engine died: the next ones replay no graphs".to_owned())
    }

    /// The arguments of the program that make it an engine.
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

impl EngineProcess {
    /// Starts an engine whose doings arrive at `sink`.
    ///
    /// # Errors
    /// Where the process can't be started.
    pub fn start(
        launch: &Launch,
        number: u64,
        device: &str,
        sink: UnboundedSender<FromEngine>,
    ) -> std::io::Result<Self> {
        let mut command = Command::new(&launch.program);
        command.args(launch.arguments());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // With backtraces the allocator's last words would be pages; a panic says by itself where it was.
        command.env("RUST_BACKTRACE", "0");
        // A group of its own: Ctrl-C and Ctrl-Z on the terminal are the screen's to answer, not the engine's.
        command.process_group(0);
        let mut child = command.spawn()?;
        let gone = || std::io::Error::other("the engine's pipes are missing");
        let stdin = child.stdin.take().ok_or_else(gone)?;
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let stderr = child.stderr.take().ok_or_else(gone)?;
        let pid = child.id().ok_or_else(gone)?;
        let watcher = tokio::spawn(watch(number, child, stdout, stderr, sink));
        Ok(Self { number, pid, device: device.to_owned(), stdin, watcher })
    }

    /// Stops the process where it is, or lets it go on.
    pub fn pause(&self, paused: bool) {
        let signal = if paused { libc::SIGSTOP } else { libc::SIGCONT };
        // SAFETY: the process is this struct's own and has not been waited for, so its id is not anybody else's.
        unsafe { libc::kill(self.pid as libc::pid_t, signal) };
    }

    /// Sends a command.
    ///
    /// # Errors
    /// Where the process is gone; its end is reported by itself.
    pub async fn send(&mut self, command: &EngineCommand) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        self.stdin.write_all(&line).await?;
        self.stdin.flush().await
    }
}

/// Reads both pipes to their ends, then says how the process ended.
async fn watch(
    number: u64,
    mut child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    sink: UnboundedSender<FromEngine>,
) {
    let tail = tokio::spawn(last_words(BufReader::new(stderr).lines()));
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(event) => drop(sink.send(FromEngine::Event(number, Box::new(event)))),
            Err(error) => tracing::warn!(%error, line, "not an event"),
        }
    }
    let status = child.wait().await;
    let stderr = tail.await.unwrap_or_default();
    let how = status.map_or_else(|error| error.to_string(), describe);
    // The first panic is the cause; what other threads say after it is its echo.
    let panic = stderr.lines().find(|line| line.starts_with("panic: "));
    let last = panic.or_else(|| stderr.lines().rev().find(|line| !line.trim().is_empty()));
    let reason = last.map_or(how.clone(), |last| format!("{how}: {}", last.trim()));
    let _ = sink.send(FromEngine::Gone(number, Death { reason, stderr }));
}

async fn last_words(mut lines: Lines<BufReader<ChildStderr>>) -> String {
    let mut tail = VecDeque::new();
    while let Ok(Some(line)) = lines.next_line().await {
        match logging::line(&line) {
            // What it logged is no reason of its death.
            Some((Level::ERROR, text)) => tracing::error!(target: "engine", "{text}"),
            Some((Level::WARN, text)) => tracing::warn!(target: "engine", "{text}"),
            Some((_, text)) => tracing::info!(target: "engine", "{text}"),
            None => {
                tracing::info!(target: "engine", "{line}");
                // A backtrace says where, not what; the log has it.
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line);
            }
        }
    }
    Vec::from(tail).join("\n")
}

/// How a process ended, in words.
pub(super) fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
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

    fn launch(fold: bool, graph: bool) -> Launch {
        Launch {
            program: "wattscope".into(),
            clock: Clock::start(),
            memory_limit: Some(1 << 30),
            weights: Some(WeightsFile { network: "vgg16".into(), path: "a.pth".into() }),
            fold,
            graph,
        }
    }

    #[test]
    fn a_death_on_a_card_ends_graphs_and_is_said_once() {
        let mut launch = launch(true, true);
        assert_eq!((launch.suspect_graphs("cpu"), launch.graph), (None, true), "a CPU has none to suspect");
        assert!(launch.suspect_graphs("cuda:0").is_some() && !launch.graph);
        assert_eq!(launch.suspect_graphs("cuda:0"), None);
    }
}
