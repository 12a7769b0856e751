//! Why there is no connection, in words that say what to do about it.

use super::command::RemoteCommand;
use crate::agent::{engine_process::describe, wire::Versions};
use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no shell.
    #[error("no shell could be started: {0}")]
    Shell(#[source] io::Error),
    /// This host does not have the command.
    #[error("\"{0}\" was not found on this host")]
    NoCommand(String),
    /// The remote host does not have wattscope.
    #[error(
        "{program} was not found at the far end of \"{on}\" ({said}): build it there (cargo install --path .) or copy this one \
         there ({copy}); --far names it where it is not in the PATH"
    )]
    NotThere {
        /// The command.
        on: String,
        /// The program that was looked for.
        program: String,
        /// The line that says so.
        said: String,
        /// How to copy this very program.
        copy: String,
    },
    /// The remote wattscope has no `agent` subcommand.
    #[error("wattscope at the far end of \"{on}\" is too old to be reached: install {} there", env!("CARGO_PKG_VERSION"))]
    TooOld {
        /// The command.
        on: String,
    },
    /// The command runs wattscope in a pseudo-terminal, as `ssh -t` does. A terminal echoes, breaks lines and turns bytes into
    /// signals.
    #[error(
        "\"{on}\" gives the far end a pseudo-terminal, which changes what passes through it: leave it out (ssh without -t, \
         docker and kubectl exec with -i and without -t): {said}"
    )]
    Terminal {
        /// The command.
        on: String,
        /// What wattscope said there.
        said: String,
    },
    /// The two sides speak different versions of the protocol.
    #[error(
        "\"{on}\" has wattscope {} (wire {}, schema {}) and this is {} (wire {}, schema {}): install {} there, or {} here",
        .there.version, .there.wire, .there.schema, .here.version, .here.wire, .here.schema, .here.version, .there.version
    )]
    Versions {
        /// The command.
        on: String,
        /// The remote side's.
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
        /// The last line of its output, after a colon.
        said: String,
    },
    /// A program that is not wattscope answers.
    #[error("what answers at the far end of \"{on}\" is no wattscope: {said}")]
    NotWattscope {
        /// The command.
        on: String,
        /// What it printed.
        said: String,
    },
}

/// How a command ended, in words. A shell reports a program that was killed by a signal as exit code 128 + signal.
pub fn describe_end(status: ExitStatus) -> String {
    match status.code() {
        Some(code @ 129..160) => describe(ExitStatus::from_raw(code - 128)),
        _ => describe(status),
    }
}

/// What `wattscope agent` prints in a terminal.
const IN_A_TERMINAL: &str = "is the far side of --on";

/// Why a command ended before its hello, from its exit status and the lines that it printed on stderr and on stdout. In a
/// pseudo-terminal everything that the remote host prints comes on stdout.
pub fn explain(
    remote: &RemoteCommand,
    status: Option<ExitStatus>,
    stderr: &[String],
    stdout: &[String],
) -> ConnectError {
    let on = remote.on.clone();
    let code = status.and_then(|status| status.code());
    let line = |text: &str| stderr.iter().chain(stdout).find(|line| line.contains(text)).cloned();
    let missing = |name: &str| stderr.iter().chain(stdout).find(|line| is_missing(line, name, code)).cloned();
    if let Some(said) = line(IN_A_TERMINAL) {
        return ConnectError::Terminal { on, said };
    }
    if let Some(said) = missing(remote.remote_program()) {
        return ConnectError::NotThere { on, program: remote.program.clone(), said, copy: remote.copy_hint() };
    }
    if code == Some(NOT_FOUND) && missing(remote.local_program()).is_some() {
        return ConnectError::NoCommand(remote.local_program().to_owned());
    }
    if line("unrecognized subcommand 'agent'").is_some() {
        return ConnectError::TooOld { on };
    }
    let how = status.map_or_else(|| "its pipes are closed".to_owned(), describe_end);
    let unattended = ["Permission denied (", "Host key verification failed", "passphrase", "password"];
    let mut said = telling_line(stderr, stdout).map(|said| format!(": {said}")).unwrap_or_default();
    if unattended.iter().any(|sign| said.contains(sign)) {
        said += "; it has to get in without asking, by a key that it can use and a host that it knows";
    }
    ConnectError::Ended { on, how, said }
}

/// Exit code of a shell, and of programs like `env`, for a command that was not found.
const NOT_FOUND: i32 = 127;

/// Whether a line says that the program `name` was not found. In other languages only the exit code says so.
fn is_missing(line: &str, name: &str, code: Option<i32>) -> bool {
    let signs = ["not found", "no such file", "unknown command", "cannot find"];
    let lower = line.to_lowercase();
    names(line, name) && (code == Some(NOT_FOUND) || signs.iter().any(|sign| lower.contains(sign)))
}

/// Whether a line has a path or a program as a word: `wattscope` is no word of `./wattscope-ssh`.
fn names(line: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || ['_', '-', '.', '/'].contains(&c);
    let is_word = |at: usize| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    };
    !name.is_empty() && line.match_indices(name).any(|(at, _)| is_word(at))
}

/// The line that explains an end best: the last one that calls itself an error, or else the last one. What follows an error is
/// advice, or a goodbye.
fn telling_line<'a>(stderr: &'a [String], stdout: &'a [String]) -> Option<&'a String> {
    let is_error = |line: &&String| line.to_lowercase().starts_with("error:");
    let error = |lines: &'a [String]| lines.iter().rfind(is_error);
    error(stderr).or(error(stdout)).or(stderr.last()).or(stdout.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(on: &str, code: i32, stderr: &str) -> String {
        let remote = RemoteCommand { on: on.into(), program: "wattscope".into() };
        let lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
        explain(&remote, Some(ExitStatus::from_raw(code << 8)), &lines, &[]).to_string()
    }

    #[test]
    fn a_program_that_is_missing_is_named_with_the_host_that_lacks_it() {
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
            let text = explained(on, code, stderr);
            assert!(text.starts_with(there) && text.contains(on) && text.contains("--far"), "{text}");
            assert_eq!(text.contains("scp "), on == "ssh gpu-box", "{text}");
        }
        assert_eq!(explained("sshh gpu-box", 127, "sh: 1: sshh: not found"), "\"sshh\" was not found on this host");
        let own = explained("./wattscope-ssh gpu-box", 127, "sh: 1: ./wattscope-ssh: not found");
        assert_eq!(own, "\"./wattscope-ssh\" was not found on this host");
        let german = explained("ssh a", 127, "bash: Zeile 1: wattscope: Kommando nicht gefunden.");
        assert!(german.starts_with(there) && german.contains("Kommando nicht gefunden"), "{german}");
        assert!(explained("ssh a", 2, "error: unrecognized subcommand 'agent'").contains("too old"));
    }

    #[test]
    fn what_ssh_prints_is_passed_on() {
        let text = explained("ssh a", 255, "ssh: connect to host a port 22: Connection refused");
        assert_eq!(text, "\"ssh a\" ended (exit code 255): ssh: connect to host a port 22: Connection refused");
        let text = explained("ssh a", 255, "me@a: Permission denied (publickey).");
        assert!(text.contains("Permission denied (publickey)") && text.contains("without asking"), "{text}");
        assert_eq!(explained("ssh a", 137, ""), "\"ssh a\" ended (killed by signal 9 (SIGKILL))");
        assert_eq!(explained("true", 0, ""), "\"true\" ended (exit code 0)");
    }

    fn in_a_terminal(program: &str, code: i32, stdout: &str) -> String {
        let remote = RemoteCommand { on: "ssh -t a".into(), program: program.into() };
        let lines: Vec<String> = stdout.lines().map(str::to_owned).collect();
        let stderr = ["Connection to a closed.".to_owned()];
        explain(&remote, Some(ExitStatus::from_raw(code << 8)), &stderr, &lines).to_string()
    }

    #[test]
    fn in_a_pseudo_terminal_the_reason_is_on_stdout() {
        let agent = "error: `wattscope agent` is the far side of --on, and is started by the other side:\nwattscope --on \"ssh HOST\"";
        let text = in_a_terminal("wattscope", 2, agent);
        assert!(text.contains("pseudo-terminal") && text.ends_with("is started by the other side:"), "{text}");
        let missing = "bash: line 1: /nope/wattscope: No such file or directory";
        let text = in_a_terminal("/nope/wattscope", 127, missing);
        assert!(text.starts_with("/nope/wattscope was not found at the far end") && text.contains(missing), "{text}");
        let text = in_a_terminal("wattscope", 1, "error: no GPU is allocated\n\nFor more information, try '--help'.");
        assert!(text.ends_with(": error: no GPU is allocated"), "{text}");
    }
}
