//! The zones of the powercap tree: which there are, and which of them are the same counter.

use crate::{
    event::Nanos,
    telemetry::{
        derive::{Advance, Counter},
        files::{self, FileError, PolledFile},
    },
};
use std::{path::Path, thread, time::Duration};

/// Counters of two dies that differ by more than this are different ones, µJ. The same counter advances by less between two
/// reads, even if the thread is interrupted in between.
const SAME_COUNTER_UJ: u64 = 50_000_000;

/// Attempts to see two counters alike, and the time between them: a counter is updated every millisecond.
const ATTEMPTS: u32 = 20;
const ATTEMPT: Duration = Duration::from_millis(2);

/// Why a counter that should advance all the time has no value.
const STANDS_STILL: &str = "the energy counter stands still";

/// One zone and its counter.
pub struct Zone {
    /// `package-0`, `package-0 core`.
    pub name: String,
    /// The device of its sensors, if it is registered on its own.
    pub device: String,
    /// How many other zones have turned out to be the same counter.
    pub same_counters: usize,
    /// The number of the package, if it is a whole package or a die of one.
    package: Option<u32>,
    /// Whether the counter of a running host always advances. Virtual machines may show one that does not.
    always_advances: bool,
    energy: PolledFile,
    counter: Counter,
}

/// The zones of a host.
#[derive(Default)]
pub struct Zones {
    /// Packages, or dies with counters of their own: their sum is the processor.
    pub packages: Vec<Zone>,
    /// The platform and the subzones.
    pub others: Vec<Zone>,
}

/// The zones in `tree`. Each package is there once, although there may be several zones of its counter.
pub fn find(tree: &Path) -> Zones {
    let mut zones = Zones::default();
    for prefix in ["intel-rapl:", "intel-rapl-mmio:"] {
        let (packages, others): (Vec<_>, Vec<_>) =
            all(tree, prefix).into_iter().partition(|zone| zone.package.is_some());
        zones.packages = distinct(packages);
        let known: Vec<String> = zones.others.iter().map(|zone| zone.name.clone()).collect();
        zones.others.extend(others.into_iter().filter(|zone| !known.contains(&zone.name)));
        if !zones.packages.is_empty() {
            break;
        }
    }
    zones
}

fn all(tree: &Path, prefix: &str) -> Vec<Zone> {
    let directories = files::sorted_entries(tree);
    let zones =
        directories.iter().filter(|path| files::file_name(path).strip_prefix(prefix).is_some_and(|id| !id.is_empty()));
    zones.filter_map(|path| Zone::open(tree, path)).collect()
}

/// One zone of each counter. Two zones of the same name are the same package through two drivers.
fn distinct(zones: Vec<Zone>) -> Vec<Zone> {
    let mut distinct: Vec<Zone> = Vec::new();
    for mut zone in zones {
        if distinct.iter().any(|known| known.name == zone.name) {
            continue;
        }
        let package = zone.package;
        let mut same_package = distinct.iter_mut().filter(|known| known.package == package);
        match same_package.find_map(|known| known.is_same_counter(&mut zone).then_some(known)) {
            Some(known) => {
                known.same_counters += 1;
                if let Some(package) = known.package {
                    (known.name, known.device) = (format!("package-{package}"), format!("cpu/package-{package}"));
                }
            }
            None => distinct.push(zone),
        }
    }
    distinct
}

impl Zone {
    fn open(tree: &Path, path: &Path) -> Option<Self> {
        let own = files::read_trimmed(&path.join("name"))?;
        let id = files::file_name(path);
        // `intel-rapl:1:0` is a subzone of `intel-rapl:1`.
        let parent = id.rsplit_once(':').and_then(|(parent, _)| files::read_trimmed(&tree.join(parent).join("name")));
        let package = package_number(&own).filter(|_| parent.is_none());
        let always_advances = parent.is_none() && (package.is_some() || own == "psys");
        let (device, name) = match parent {
            Some(parent) => (format!("cpu/{parent}/{own}"), format!("{parent} {own}")),
            None if own == "psys" => ("board".to_string(), own),
            None => (format!("cpu/{own}"), own),
        };
        let range = files::read_trimmed(&path.join("max_energy_range_uj")).and_then(|range| range.parse().ok());
        let counter = Counter::new(1e-6, range.filter(|range| *range > 0));
        let energy = PolledFile::new(path.join("energy_uj"));
        Some(Self { name, device, same_counters: 0, package, always_advances, energy, counter })
    }

    /// The same zone with a reader of its own.
    pub fn reopened(&self) -> Self {
        Self {
            name: self.name.clone(),
            device: self.device.clone(),
            same_counters: self.same_counters,
            package: self.package,
            always_advances: self.always_advances,
            energy: self.energy.reopened(),
            counter: self.counter.clone(),
        }
    }

    /// Whether it is a die of a package.
    pub fn is_die(&self) -> bool {
        self.name.contains("-die-")
    }

    /// Reads the counter once, to see whether that works.
    pub fn probe(&mut self) -> Result<(), FileError> {
        self.energy.number::<u64>().map(drop)
    }

    /// Reads the counter. `now` is called right after that.
    ///
    /// # Errors
    /// Why there is no value.
    pub fn read(&mut self, now: impl FnOnce() -> Nanos) -> Result<Advance, String> {
        let raw = self.energy.number().map_err(|error| reason(&error))?;
        if self.always_advances && self.counter.last() == Some(raw) {
            // The next derivative spans this reading too, in case the counter is only updated more slowly than it is read.
            return Err(STANDS_STILL.into());
        }
        Ok(self.counter.push(now(), raw))
    }

    /// The next reading starts anew.
    pub fn restart(&mut self) {
        self.counter.restart();
    }

    /// Whether two zones show the same counter: then the value of one lies between two values of the other that are read just
    /// before and just after, and does so at two different times. Counters of different dies would have to agree within some
    /// microjoules out of the 262 kJ of their range.
    fn is_same_counter(&mut self, other: &mut Self) -> bool {
        let mut seen = None;
        for _ in 0..ATTEMPTS {
            let (Ok(before), Ok(between), Ok(after)) =
                (self.energy.number::<u64>(), other.energy.number::<u64>(), self.energy.number::<u64>())
            else {
                return false;
            };
            if between.abs_diff(after) > SAME_COUNTER_UJ {
                return false;
            }
            if (before..=after).contains(&between) && *seen.get_or_insert(between) != between {
                return true;
            }
            thread::sleep(ATTEMPT);
        }
        // Alike, and without an advance: both stand still.
        seen.is_some()
    }
}

/// The number in `package-0` and in `package-0-die-1`.
fn package_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("package")?;
    let number = number.split_once("-die-").map_or(number, |(number, _)| number);
    number.strip_prefix('-').map_or(Some(0), |number| number.parse().ok())
}

/// Why a counter can't be read. The kernel made them readable by root only after it was shown that power traces leak keys.
pub fn reason(error: &FileError) -> String {
    match error {
        FileError::Denied(_) => format!("{error} (closed to users in 2020, CVE-2020-8694)"),
        _ => error.to_string(),
    }
}
