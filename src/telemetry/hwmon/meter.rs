//! Monitors with power or energy files and nothing else that counts here.

use super::candidate::{Candidate, Input};
use crate::{event::Quantity, telemetry::files};
use std::path::Path;

/// The sensor of the whole board among the sensors of a power supply or of a laptop with Apple silicon, whose other sensors
/// are rails and parts.
const TOTALS: [(&str, &str); 2] = [("corsairpsu", "power total"), ("macsmc_hwmon", "Total System Power")];

/// The power and energy sensors of a monitor of the driver `name`, as sensors of `device`.
pub fn sensors(path: &Path, name: &str, device: &str) -> Vec<Candidate> {
    let total = TOTALS.iter().find(|(driver, _)| *driver == name).map(|(_, label)| *label);
    let entries = files::sorted_entries(path);
    let found = entries.iter().filter_map(|file| {
        let (stem, kind) = files::file_name(file).split_once('_')?;
        let (quantity, input, method) = match (stem.trim_end_matches(|c: char| c.is_ascii_digit()), kind) {
            ("power", "input") => (Quantity::PowerInstant, Input::scaled(file.clone(), 1e-6), None),
            ("power", "average") => {
                (Quantity::PowerAverage, Input::scaled(file.clone(), 1e-6), Some(averaged(path, stem)))
            }
            ("energy", "input") => (Quantity::Energy, Input::energy(file.clone()), None),
            _ => return None,
        };
        let own = files::read_trimmed(&path.join(format!("{stem}_label"))).unwrap_or_else(|| stem.to_string());
        let charges = files::read_trimmed(&path.join(format!("{stem}_is_battery"))).is_some_and(|is| is == "1");
        if charges || total.is_some_and(|total| own != total) {
            return None;
        }
        Some(Candidate { device: device.into(), quantity, label: format!("{name} {own}"), method, input })
    });
    found.collect()
}

fn averaged(path: &Path, stem: &str) -> String {
    let interval = files::read_trimmed(&path.join(format!("{stem}_average_interval")));
    match interval.and_then(|ms| ms.parse::<u64>().ok()).filter(|ms| *ms > 0) {
        Some(ms) => format!("averaged by the meter over {ms} ms"),
        None => "averaged by the meter".to_owned(),
    }
}
