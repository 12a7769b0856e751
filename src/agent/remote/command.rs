//! The command that reaches a far end, as a process with three pipes, and in words why it did not reach it.

use super::Target;
use crate::agent::{
    child::describe,
    wire::{self, Hello, Lines, Versions},
};
use std::{
    collections::VecDeque,
    io,
    os::unix::process::ExitStatusExt,
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

/// Lines of stderr, and of what a login shell prints, that are kept to tell why there is no connection.
const TAIL: usize = 20;

/// Characters of such a line.
const WIDTH: usize = 300;

/// Bytes before the hello after which no hello is expected any more.
const PREAMBLE: usize = 64 << 10;

/// How long a command whose pipes have ended may take to end.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no shell.
    #[error("no shell could be started: {0}")]
    Shell(#[source] io::Error),
    /// This host does not have the command.
    #[error("\"{0}\" was not found on this host")]
    NoCommand(String),
    /// The far host does not have wattscope.
    #[error(
        "{program} was not found at the far end of \"{on}\": build it there (cargo install --path .) or copy this one there \
         ({copy}); --far names it where it is not in the PATH"
    )]
    NotThere {
        /// The command.
        on: String,
        /// What was looked for there.
        program: String,
        /// How to copy this very program.
        copy: String,
    },
    /// The far wattscope does not know how to serve.
    #[error("wattscope at the far end of \"{on}\" is too old to be reached: install {} there", env!("CARGO_PKG_VERSION"))]
    TooOld {
        /// The command.
        on: String,
    },
    /// The two sides don't understand each other.
    #[error(
        "\"{on}\" has wattscope {} (wire {}, schema {}) and this is {} (wire {}, schema {}): install {} there, or {} here",
        .there.version, .there.wire, .there.schema, .here.version, .here.wire, .here.schema, .here.version, .there.version
    )]
    Versions {
        /// The command.
        on: String,
        /// The far side's.
        there: Versions,
        /// This side's.
        here: Versions,
    },
    /// The command ended.
    #[error("\"{on}\" ended ({how}){said}")]
    Ended {
        /// The command.
        on: String,
        /// `exit code 255`.
        how: String,
        /// What it said, behind a colon.
        said: String,
    },
    /// Something else talks there.
    #[error("what answers at the far end of \"{on}\" is no wattscope: {said}")]
    Stranger {
        /// The command.
        on: String,
        /// What it said.
        said: String,
    },
}

/// The newest lines that a process said.
#[derive(Clone, Debug, Default)]
pub struct Said(Arc<Mutex<VecDeque<String>>>);

impl Said {
    fn push(&self, line: &[u8]) {
        let line: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).take(WIDTH).collect();
        if line.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL {
            lines.pop_front();
        }
        lines.push_back(line.trim().to_owned());
    }

    /// The newest one.
    pub fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).back().cloned()
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// The running command. Dropping it kills it and all that it started here.
#[derive(Debug)]
pub struct FarProcess {
    child: Child,
    group: libc::pid_t,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    buffer: Vec<u8>,
    /// What came on stdout.
    pub lines: Lines,
    /// Bytes that came on stdout.
    pub received: u64,
    /// What came on stderr.
    pub said: Said,
    listener: JoinHandle<()>,
    target: Target,
}

impl Drop for FarProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

impl FarProcess {
    /// Starts the command.
    ///
    /// # Errors
    /// Where there is no shell.
    pub fn start(target: &Target) -> Result<Self, ConnectError> {
        let line = format!("{} {} agent", target.on, target.program);
        let mut command = Command::new("sh");
        command.arg("-c").arg(&line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A session of its own: Ctrl-C and Ctrl-Z on the terminal are the screen's to answer, and a command that wants to ask
        // for a password there says that it can't, instead of waiting behind the screen.
        // SAFETY: setsid is a system call and nothing else, and allowed between fork and exec.
        unsafe {
            command.pre_exec(|| if libc::setsid() < 0 { Err(io::Error::last_os_error()) } else { Ok(()) });
        }
        let mut child = command.spawn().map_err(ConnectError::Shell)?;
        let gone = || ConnectError::Shell(io::Error::other("its pipes are missing"));
        let group = child.id().and_then(|id| libc::pid_t::try_from(id).ok()).ok_or_else(gone)?;
        let stdin = Some(child.stdin.take().ok_or_else(gone)?);
        let stdout = child.stdout.take().ok_or_else(gone)?;
        let said = Said::default();
        let listener = tokio::spawn(listen(child.stderr.take().ok_or_else(gone)?, said.clone()));
        let (buffer, lines, target) = (vec![0; 1 << 16], Lines::default(), target.clone());
        Ok(Self { child, group, stdin, stdout, buffer, lines, received: 0, said, listener, target })
    }

    /// The pipe to the far end; given once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Waits for more lines; false at the end. May be cancelled at any time.
    pub async fn read(&mut self) -> bool {
        let n = self.stdout.read(&mut self.buffer).await.unwrap_or(0);
        self.received += n as u64;
        self.lines.push(&self.buffer[..n]);
        n > 0
    }

    /// Waits for the far end's hello; what comes before it is passed over.
    ///
    /// # Errors
    /// Where there is none, or it is that of another version.
    pub async fn hello(&mut self) -> Result<Hello, ConnectError> {
        let before = Said::default();
        loop {
            while let Some(line) = self.lines.line() {
                let Ok(line) = line else { return Err(self.stranger(&before)) };
                let Some(there) = wire::introduced::<Versions>(line) else {
                    tracing::info!(target: "far", "{}", String::from_utf8_lossy(line));
                    before.push(line);
                    continue;
                };
                return self::greeting(&self.target, there, wire::introduced(line));
            }
            if self.received > PREAMBLE as u64 {
                return Err(self.stranger(&before));
            }
            if !self.read().await {
                before.push(self.lines.rest());
                return Err(self.explain(&before).await);
            }
        }
    }

    fn stranger(&self, before: &Said) -> ConnectError {
        let said = before.last().unwrap_or_else(|| "a line without an end".to_owned());
        ConnectError::Stranger { on: self.target.on.clone(), said }
    }

    /// Why the command ended before it said hello.
    async fn explain(&mut self, before: &Said) -> ConnectError {
        let status = self.ended().await;
        explain(&self.target, status, &self.said.all(), &before.all())
    }

    /// Waits a little for the command's end, and until all that it said is read.
    async fn ended(&mut self) -> Option<ExitStatus> {
        drop(self.stdin.take());
        let status = timeout(PATIENCE, self.child.wait()).await.ok()?.ok();
        if !self.listener.is_finished() {
            // What it has left running may still hold the pipe.
            let _ = timeout(PATIENCE, &mut self.listener).await;
        }
        status
    }

    /// Why a connection that was there is there no more.
    pub async fn lost(mut self) -> String {
        let how = match self.ended().await {
            Some(status) if status.success() => String::new(),
            Some(status) => format!(" ({})", ended(status)),
            None => String::new(),
        };
        let said = self.said.last().map(|said| format!(": {said}")).unwrap_or_default();
        format!("the connection ended{how}{said}")
    }

    /// Waits a little for the command to end by itself, then makes it.
    pub async fn end(mut self) {
        if self.ended().await.is_none() {
            tracing::warn!("\"{}\" did not end by itself", self.target.on);
        }
    }

    fn kill(&mut self) {
        if self.child.id().is_some() {
            // SAFETY: the process has not been waited for, so neither its id nor that of its group is anybody else's.
            unsafe { libc::kill(-self.group, libc::SIGKILL) };
        }
    }
}

/// Keeps what a process says on stderr.
async fn listen(stderr: ChildStderr, said: Said) {
    let mut lines = BufReader::new(stderr).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        tracing::info!(target: "far", "{}", String::from_utf8_lossy(&line));
        said.push(&line);
    }
}

/// How the command ended, in words; a shell says of a program that a signal killed that it gave back 128 and the signal.
fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code @ 129..160) => describe(ExitStatus::from_raw(code - 128)),
        _ => describe(status),
    }
}

/// A hello whose versions fit.
fn greeting(
    target: &Target,
    there: serde_json::Result<Versions>,
    hello: Option<serde_json::Result<Hello>>,
) -> Result<Hello, ConnectError> {
    let stranger = |error: serde_json::Error| ConnectError::Stranger { on: target.on.clone(), said: error.to_string() };
    let (there, here) = (there.map_err(stranger)?, Versions::own());
    match hello {
        Some(hello) if there.fit(&here) => hello.map_err(stranger),
        _ => Err(ConnectError::Versions { on: target.on.clone(), there, here }),
    }
}

/// Why a command that ended did not reach wattscope, from its exit status and from what was said on stderr and on stdout.
fn explain(target: &Target, status: Option<ExitStatus>, stderr: &[String], stdout: &[String]) -> ConnectError {
    let on = target.on.clone();
    let command = target.on.split_whitespace().next().unwrap_or_default();
    let program = target.program.split_whitespace().last().unwrap_or_default();
    let missing = |name: &str| {
        let signs = ["not found", "no such file", "unknown command", "cannot find"];
        stderr.iter().any(|line| line.contains(name) && signs.iter().any(|sign| line.to_lowercase().contains(sign)))
    };
    if missing(program) {
        return ConnectError::NotThere { on, program: target.program.clone(), copy: copy(target) };
    }
    if status.and_then(|status| status.code()) == Some(127) && missing(command) {
        return ConnectError::NoCommand(command.to_owned());
    }
    if stderr.iter().any(|line| line.contains("unrecognized subcommand 'agent'")) {
        return ConnectError::TooOld { on };
    }
    let how = status.map_or_else(|| "its pipes are closed".to_owned(), ended);
    let unattended = ["Permission denied (", "Host key verification failed", "passphrase", "password"];
    let mut said = stderr.last().or(stdout.last()).map(|said| format!(": {said}")).unwrap_or_default();
    if unattended.iter().any(|sign| said.contains(sign)) {
        said += "; it has to get in without asking, by a key that it can use and a host that it knows";
    }
    ConnectError::Ended { on, how, said }
}

/// How this very program is copied to the far end.
fn copy(target: &Target) -> String {
    let own = std::env::current_exe().map_or_else(|_| "wattscope".to_owned(), |path| path.display().to_string());
    match target.on.split_whitespace().collect::<Vec<_>>()[..] {
        ["ssh", host] => format!("scp {own} {host}:"),
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(on: &str, code: i32, stderr: &str) -> String {
        let target = Target { on: on.into(), program: "wattscope".into() };
        let lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
        explain(&target, Some(ExitStatus::from_raw(code << 8)), &lines, &[]).to_string()
    }

    #[test]
    fn what_is_missing_is_named_where_it_is_missing() {
        let there = "wattscope was not found at the far end of";
        for (on, code, stderr) in [
            ("ssh gpu-box", 127, "bash: line 1: wattscope: command not found"),
            ("ssh gpu-box", 127, "fish: Unknown command: wattscope"),
            (
                "srun -n 1",
                2,
                "slurmstepd: error: execve(): wattscope: No such file or directory\nsrun: error: n1: exit 2",
            ),
            (
                "kubectl exec -i pod --",
                1,
                "OCI runtime exec failed: exec: \"wattscope\": executable file not found in $PATH",
            ),
            ("env A=1", 127, "env: 'wattscope': No such file or directory"),
        ] {
            let text = said(on, code, stderr);
            assert!(text.starts_with(there) && text.contains(on) && text.contains("--far"), "{text}");
            assert_eq!(text.contains("scp "), on == "ssh gpu-box", "{text}");
        }
        assert_eq!(said("sshh gpu-box", 127, "sh: 1: sshh: not found"), "\"sshh\" was not found on this host");
        assert!(said("ssh a", 2, "error: unrecognized subcommand 'agent'").contains("too old"));
    }

    #[test]
    fn what_ssh_says_is_passed_on() {
        let text = said("ssh a", 255, "ssh: connect to host a port 22: Connection refused");
        assert_eq!(text, "\"ssh a\" ended (exit code 255): ssh: connect to host a port 22: Connection refused");
        let text = said("ssh a", 255, "me@a: Permission denied (publickey).");
        assert!(text.contains("Permission denied (publickey)") && text.contains("without asking"), "{text}");
        assert_eq!(said("ssh a", 137, ""), "\"ssh a\" ended (killed by signal 9 (SIGKILL))");
        assert_eq!(said("true", 0, ""), "\"true\" ended (exit code 0)");
    }
}
