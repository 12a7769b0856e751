//! What the driver tells about the program: a log, counts for each kernel, and what was not given back at the end.

use super::{driver, error::Error, locked};
use crate::{interpreter::Counts, settings::Settings};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

/// Log and counts.
pub struct Report {
    log: Option<Mutex<File>>,
    counts_file: Option<PathBuf>,
    counts: Mutex<Counted>,
    /// How often each line was said: what is said a thousand times is one line and a number.
    said: Mutex<HashMap<String, u64>>,
}

#[derive(Default)]
struct Counted {
    kernels: BTreeMap<String, Counts>,
    written: Option<Instant>,
}

/// A line is repeated at these times of being said.
fn worth_saying(nth: u64) -> bool {
    nth <= 3 || nth.is_power_of_two()
}

/// Counts go to their file this often at most while the card has nothing to do.
const SELDOM: Duration = Duration::from_millis(500);

/// So many allocations at most are listed one by one at the end.
const LISTED: usize = 20;

/// Replaces a file by a new one at once, so that nobody reads half of it.
pub fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    fs::write(&name, text)?;
    fs::rename(&name, path)
}

impl Report {
    pub fn new(settings: &Settings) -> Self {
        let open = |path: &PathBuf| match File::options().create(true).append(true).open(path) {
            Ok(file) => Some(Mutex::new(file)),
            Err(why) => {
                eprintln!("fake CUDA driver: FAKE_CUDA_LOG={}: {why}", path.display());
                std::process::exit(2);
            }
        };
        Self {
            log: settings.log.as_ref().and_then(open),
            counts_file: settings.counts.clone(),
            counts: Mutex::default(),
            said: Mutex::default(),
        }
    }

    /// A line of the log, which several processes may share.
    fn line(&self, text: &str, also_without_log: bool) {
        let nth = {
            let mut said = locked(&self.said);
            let nth = said.entry(text.to_owned()).or_insert(0);
            *nth += 1;
            *nth
        };
        if !worth_saying(nth) {
            return;
        }
        let times = if nth > 1 { format!(" (said {nth} times)") } else { String::new() };
        match &self.log {
            Some(log) => {
                let line = format!("{} {text}{times}\n", std::process::id());
                // A log that can't be written is no reason to stop.
                let _ = locked(log).write_all(line.as_bytes());
            }
            None if also_without_log => eprintln!("fake CUDA driver: {text}{times}"),
            None => {}
        }
    }

    /// A function refused a call.
    pub fn refused(&self, function: &str, error: Error) {
        self.line(&format!("refused: {function} returns {} ({})", error.0, error.name()), false);
    }

    /// The program did what it should not, or what is about to go wrong.
    pub fn finding(&self, text: &str) {
        self.line(&format!("finding: {text}"), true);
    }

    /// The card can't go on.
    pub fn fault(&self, text: &str) {
        self.line(&format!("fault: {text}"), true);
    }

    /// Adds what a launch of a kernel cost.
    pub fn count(&self, kernel: &str, counts: &Counts) {
        let mut counted = locked(&self.counts);
        match counted.kernels.get_mut(kernel) {
            Some(sum) => sum.add(counts),
            None => {
                counted.kernels.insert(kernel.to_owned(), counts.clone());
            }
        }
    }

    /// Writes the counts of all kernels, a JSON line each.
    pub fn write_counts(&self) {
        let mut counted = locked(&self.counts);
        let Some(path) = self.counts_file.as_ref().filter(|_| !counted.kernels.is_empty()) else { return };
        let text: String = counted.kernels.iter().map(|(kernel, counts)| json(kernel, counts)).collect();
        counted.written = Some(Instant::now());
        drop(counted);
        if let Err(why) = replace(path, &text) {
            self.line(&format!("the counts can't be written to {}: {why}", path.display()), true);
        }
    }

    /// Writes them if that was long ago: a program that is killed has its counts, too.
    pub fn write_counts_seldom(&self) {
        let recent = locked(&self.counts).written.is_some_and(|at| at.elapsed() < SELDOM);
        if self.counts_file.is_some() && !recent {
            self.write_counts();
        }
    }

    /// Lists what was not given back.
    fn leaks(&self) {
        let driver = driver();
        let memory = driver.memory.snapshot();
        for range in memory.live().iter().take(LISTED) {
            self.line(&format!("leak: {} was not freed", range.describe()), false);
        }
        let live = memory.live().len();
        if live > LISTED {
            self.line(&format!("leak: {} more allocations were not freed", live - LISTED), false);
        }
        let left = [
            ("modules", driver.modules.len()),
            ("graphs", driver.graphs.len()),
            ("executable graphs", driver.executables.len()),
            ("streams", driver.streams.len()),
            ("events", driver.events.len()),
            ("contexts", driver.contexts.len()),
        ];
        for (what, count) in left.into_iter().filter(|(_, count)| *count > 0) {
            self.line(&format!("leak: {count} {what} were not given back"), false);
        }
    }
}

fn json(kernel: &str, counts: &Counts) -> String {
    // Names in PTX have no character that JSON would quote.
    let mut line = format!("{{\"kernel\":\"{kernel}\"");
    for (name, value) in counts.fields() {
        // Writing to a String does not fail.
        let _ = write!(line, ",\"{name}\":{value}");
    }
    line + "}\n"
}

/// The last that the library does: it runs when the process ends, unless a signal ends it.
extern "C" fn at_exit() {
    if let Some(driver) = super::DRIVER.get() {
        driver.report.leaks();
        driver.report.write_counts();
        super::state::rest();
    }
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_lines_of_json() {
        let counts = Counts { launches: 3, ..Counts::default() };
        let line = json("kernel_1", &counts);
        assert!(line.starts_with("{\"kernel\":\"kernel_1\",\"launches\":3,\"blocks\":0"), "{line}");
        assert!(line.ends_with("}\n"));
    }
}
