//! The log: a file of bounded size, because the screen belongs to the screen.

use crate::{host, output};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// A log that has grown beyond this becomes `….old`, and the `….old` before it is gone: 10 MB at most on disk.
const LIMIT: u64 = 5_000_000;

/// What is logged, unless the environment variable of this name says otherwise (as `RUST_LOG` does elsewhere).
const FILTER: &str = "WATTSCOPE_LOG";

/// Sends the log to `path`, or to `wattscope/wattscope.log` in the user's state directory (`$XDG_STATE_HOME`, or else
/// `~/.local/state`).
///
/// # Errors
/// If the file can't be written, or a log is there already. Nothing is logged then; the caller carries on and says so.
pub fn to_file(path: Option<&Path>) -> io::Result<()> {
    let path = match path {
        Some(path) => path.to_owned(),
        None => default_path()?,
    };
    let file = BoundedFile::open(path, LIMIT)?;
    subscribe(Mutex::new(file))
}

/// Sends the log to stderr, a line an event, as [`line()`] reads it: for the engine, whose agent listens there and has the
/// time and the file.
///
/// # Errors
/// If a log is there already.
pub fn to_stderr() -> io::Result<()> {
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter()).with_ansi(false).with_writer(|| output::StandardError);
    subscriber.without_time().try_init().map_err(io::Error::other)
}

/// The level and the text of a line that [`to_stderr`] has written; none of anything else that stands on stderr.
pub fn line(line: &str) -> Option<(Level, &str)> {
    let (level, text) = line.trim_start().split_once(' ')?;
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let level = levels.into_iter().find(|known| known.as_str() == level)?;
    // A target, and what was said.
    text.contains(": ").then_some((level, text))
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("warn,wattscope=info,engine=info"))
}

fn subscribe(writer: impl for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static) -> io::Result<()> {
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter()).with_ansi(false).with_writer(writer);
    // A log that can't be written must not say so by `eprintln!`: that would stand in the middle of the screen, or panic.
    subscriber.log_internal_errors(false).try_init().map_err(io::Error::other)
}

fn default_path() -> io::Result<PathBuf> {
    Ok(host::state_folder()?.join("wattscope.log"))
}

/// A file that is appended to, and begun afresh when it has grown to its limit.
struct BoundedFile {
    path: PathBuf,
    file: File,
    length: u64,
    limit: u64,
}

impl BoundedFile {
    fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        let file = output::open_log(&path)?;
        let length = file.metadata()?.len();
        let mut bounded = Self { path, file, length, limit };
        bounded.turn_over(0)?;
        Ok(bounded)
    }

    /// Begins a new file if `more` bytes don't fit.
    fn turn_over(&mut self, more: u64) -> io::Result<()> {
        // A device or a pipe given with --log has no length to bound, and must not be renamed.
        if self.length + more <= self.limit || !self.file.metadata()?.is_file() {
            return Ok(());
        }
        let mut old = self.path.clone().into_os_string();
        old.push(".old");
        fs::rename(&self.path, old)?;
        self.file = output::open_log(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

impl Write for BoundedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn_over(bytes.len() as u64)?;
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_stays_within_twice_its_limit_and_keeps_the_newest_lines() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/deep/log");
        for round in 0..3 {
            let mut log = BoundedFile::open(path.clone(), 100).unwrap();
            for i in 0..20 {
                writeln!(log, "round {round} line {i}").unwrap();
            }
        }
        let log = fs::read_to_string(&path).unwrap();
        assert!(log.ends_with("round 2 line 19\n"), "{log}");
        let sizes = [path.clone(), directory.path().join("state/deep/log.old")].map(|p| fs::metadata(p).unwrap().len());
        assert!(sizes.iter().all(|size| *size <= 100), "{sizes:?}");
    }

    #[test]
    fn what_the_engine_logs_is_told_from_its_last_words() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(Mutex::new(file.reopen().unwrap()));
        tracing::subscriber::with_default(log.finish(), || {
            tracing::warn!(reason = "not: supported", "no graph was captured");
            tracing::info!(target: "cubecl_cuda", "a pool");
        });
        let text = fs::read_to_string(file.path()).unwrap();
        let lines: Vec<_> = text.lines().map(|written| line(written).unwrap()).collect();
        assert_eq!(lines[1], (Level::INFO, "cubecl_cuda: a pool"), "{text}");
        assert!(lines[0].0 == Level::WARN && lines[0].1.contains("no graph was captured"), "{text}");
        for words in
            ["panic: index out of bounds (src/x.rs:7)", "ERROR: nvrtc", "memory allocation of 7 bytes failed", ""]
        {
            assert_eq!(line(words), None);
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_no_panic() {
        assert!(BoundedFile::open(PathBuf::from("/proc/no/such/log"), 100).is_err());
    }
}
