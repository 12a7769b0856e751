//! AMD graphics cards and integrated GPUs.

use super::candidate::{Candidate, Input};
use crate::event::Quantity;
use std::path::Path;

/// File, quantity, unit and method of each sensor.
const FILES: [(&str, Quantity, f64, Option<&str>); 6] = [
    ("power1_average", Quantity::PowerAverage, 1e-6, Some("averaged by the card's firmware")),
    ("power1_input", Quantity::PowerInstant, 1e-6, None),
    ("power1_cap", Quantity::PowerCap, 1e-6, None),
    ("temp1_input", Quantity::Temperature, 1e-3, None),
    ("freq1_input", Quantity::ComputeClock, 1e-6, None),
    ("freq2_input", Quantity::MemoryClock, 1e-6, None),
];

/// The sensors of a card.
pub fn sensors(path: &Path, device: &str) -> Vec<Candidate> {
    let offered = FILES.into_iter().filter(|(file, ..)| path.join(file).exists());
    let found = offered.map(|(file, quantity, unit, method)| Candidate {
        device: device.to_owned(),
        quantity,
        label: format!("amdgpu {file}"),
        method: method.map(str::to_owned),
        input: Input::scaled(path.join(file), unit),
    });
    found.collect()
}
