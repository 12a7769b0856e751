//! The command that reaches a remote host, as a process with three pipes.

use super::{
    command::RemoteCommand,
    error::{ConnectError, describe_end, explain},
};
use crate::agent::wire::{self, Hello, LineBuffer, Versions};
use std::{
    collections::VecDeque,
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

/// Lines of output that are kept to explain why there is no connection.
const KEPT_LINES: usize = 20;

/// Characters that are kept of each of them.
const KEPT_CHARACTERS: usize = 300;

/// Bytes on stdout after which no hello is expected any more.
const MAX_PREAMBLE_BYTES: u64 = 64 << 10;

/// How long a command may take to exit after its pipes have closed.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// The last lines that a process printed; clones share them.
#[derive(Clone, Debug, Default)]
pub struct OutputTail(Arc<Mutex<VecDeque<String>>>);

impl OutputTail {
    fn push(&self, line: &[u8]) {
        let printable = String::from_utf8_lossy(line);
        let line: String = printable.chars().filter(|c| !c.is_control()).take(KEPT_CHARACTERS).collect();
        if line.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line.trim().to_owned());
    }

    /// The last line.
    pub fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The running command. Dropping it kills its process group.
#[derive(Debug)]
pub struct RemoteProcess {
    child: Child,
    group: libc::pid_t,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    buffer: Vec<u8>,
    /// Lines from stdout.
    pub lines: LineBuffer,
    /// Bytes received on stdout.
    pub received: u64,
    /// The last lines on stderr.
    pub stderr: OutputTail,
    stderr_reader: JoinHandle<()>,
    remote: RemoteCommand,
}

impl Drop for RemoteProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RemoteProcess {
    /// Starts the command.
    ///
    /// # Errors
    /// If there is no shell.
    pub fn start(remote: &RemoteCommand) -> Result<Self, ConnectError> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(remote.line());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A session of its own, without a controlling terminal: Ctrl-C and Ctrl-Z go to the screen only, and a command that
        // wants to ask for a password fails at once instead of waiting behind the screen.
        // SAFETY: setsid is async-signal-safe, as required between fork and exec.
        unsafe {
            command.pre_exec(|| if libc::setsid() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
        }
        let mut child = command.spawn().map_err(ConnectError::Shell)?;
        let gone = || ConnectError::Shell(io::Error::other("its pipes are missing"));
        let group = child.id().and_then(|id| libc::pid_t::try_from(id).ok()).ok_or_else(gone)?;
        let stdin = Some(child.stdin.take().ok_or_else(gone)?);
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let stderr = OutputTail::default();
        let stderr_reader = tokio::spawn(read_stderr(child.stderr.take().ok_or_else(gone)?, stderr.clone()));
        let (buffer, lines, remote) = (vec![0; 1 << 16], LineBuffer::default(), remote.clone());
        Ok(Self { child, group, stdin, stdout, buffer, lines, received: 0, stderr, stderr_reader, remote })
    }

    /// The process's stdin, which can be taken once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Waits for more of stdout; false at its end. Cancellation safe.
    pub async fn read(&mut self) -> bool {
        let n = self.stdout.read(&mut self.buffer).await.unwrap_or(0);
        self.received += n as u64;
        self.lines.push(&self.buffer[..n]);
        n > 0
    }

    /// Waits for the remote agent's hello; what a login shell prints before it is skipped.
    ///
    /// # Errors
    /// If there is none, or it is of another version.
    pub async fn hello(&mut self) -> Result<Hello, ConnectError> {
        let preamble = OutputTail::default();
        loop {
            while let Some(line) = self.lines.next_line() {
                let Ok(line) = line else { return Err(self.not_wattscope(&preamble)) };
                let Some(there) = wire::parse_handshake::<Versions>(line) else {
                    tracing::info!(target: "far", "{}", String::from_utf8_lossy(line));
                    preamble.push(line);
                    continue;
                };
                return check_hello(&self.remote, there, wire::parse_handshake(line));
            }
            if self.received > MAX_PREAMBLE_BYTES {
                return Err(self.not_wattscope(&preamble));
            }
            if !self.read().await {
                preamble.push(self.lines.rest());
                let status = self.wait_for_exit().await;
                return Err(explain(&self.remote, status, &self.stderr.all(), &preamble.all()));
            }
        }
    }

    fn not_wattscope(&self, preamble: &OutputTail) -> ConnectError {
        let said = preamble.last().unwrap_or_else(|| "a line without an end".to_owned());
        ConnectError::NotWattscope { on: self.remote.on.clone(), said }
    }

    /// Closes stdin, then waits [`EXIT_TIMEOUT`] for the exit, and as long for the end of stderr.
    async fn wait_for_exit(&mut self) -> Option<ExitStatus> {
        drop(self.stdin.take());
        let status = timeout(EXIT_TIMEOUT, self.child.wait()).await.ok()?.ok();
        if !self.stderr_reader.is_finished() {
            // A background process that the command has left may still hold the pipe.
            let _ = timeout(EXIT_TIMEOUT, &mut self.stderr_reader).await;
        }
        status
    }

    /// Why an established connection has ended.
    pub async fn into_reason(mut self) -> String {
        let how = match self.wait_for_exit().await {
            Some(status) if !status.success() => format!(" ({})", describe_end(status)),
            _ => String::new(),
        };
        let said = self.stderr.last().map(|said| format!(": {said}")).unwrap_or_default();
        format!("the connection ended{how}{said}")
    }

    /// Waits a moment for the command to exit by itself, then kills it.
    pub async fn end(mut self) {
        if self.wait_for_exit().await.is_none() {
            tracing::warn!("\"{}\" did not end by itself", self.remote.on);
        }
    }

    fn kill(&mut self) {
        if self.child.id().is_some() {
            // SAFETY: the process has not been waited for, so neither its id nor that of its group has been reused.
            unsafe { libc::kill(-self.group, libc::SIGKILL) };
        }
    }
}

/// Logs and keeps the lines of stderr.
async fn read_stderr(stderr: ChildStderr, tail: OutputTail) {
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        tracing::info!(target: "far", "{}", String::from_utf8_lossy(&line));
        tail.push(&line);
    }
}

/// The hello, if its versions fit this program's. The versions are parsed on their own first, because a hello of another
/// version may be incomplete.
fn check_hello(
    remote: &RemoteCommand,
    there: serde_json::Result<Versions>,
    hello: Option<serde_json::Result<Hello>>,
) -> Result<Hello, ConnectError> {
    let invalid =
        |error: serde_json::Error| ConnectError::NotWattscope { on: remote.on.clone(), said: error.to_string() };
    let (there, here) = (there.map_err(invalid)?, Versions::own());
    match hello {
        Some(hello) if there.fit(&here) => hello.map_err(invalid),
        _ => Err(ConnectError::Versions { on: remote.on.clone(), there, here }),
    }
}
