//! Rails of a Jetson: shunts in the supplies of the module, behind an INA3221.

use super::candidate::{Candidate, Input};
use crate::{
    event::Quantity,
    telemetry::files::{self, PolledFile},
};
use std::path::Path;

/// Rails that feed a whole module.
const BOARD_RAILS: [&str; 2] = ["VDD_IN", "POM_5V_IN"];

/// The device that a rail feeds.
fn rail_device(rail: &str, gpu: &str) -> String {
    if BOARD_RAILS.contains(&rail) {
        return "board".into();
    }
    match (rail.contains("GPU"), rail.contains("CPU")) {
        (true, false) => gpu.into(),
        (false, true) => "cpu".into(),
        // Rails that several parts share, memory, I/O.
        _ => "host".into(),
    }
}

/// The rails of an INA3221 as a monitor.
pub fn rails(path: &Path, gpu: &str) -> Vec<Candidate> {
    let rail = |channel: u32| {
        let file = |name: &str| path.join(name.replace('#', &channel.to_string()));
        let label = files::read_trimmed(&file("in#_label"))?;
        let off = files::read_trimmed(&file("in#_enable")).is_some_and(|enable| enable == "0");
        if off || !file("curr#_input").exists() {
            return None;
        }
        let input = Input::Product {
            millivolts: PolledFile::new(file("in#_input")),
            milliamperes: PolledFile::new(file("curr#_input")),
        };
        let method = Some("voltage times current of the rail".to_owned());
        Some(Candidate { device: rail_device(&label, gpu), quantity: Quantity::PowerInstant, label, method, input })
    };
    (1..=3).filter_map(rail).collect()
}

/// The rails of the same chip with the driver of older JetPacks, an industrial I/O device.
pub fn iio_rails(driver: &Path, gpu: &str) -> Vec<Candidate> {
    let chips = files::sorted_entries(driver);
    let monitors = chips.iter().flat_map(|chip| files::sorted_entries(chip));
    let monitors = monitors.filter(|path| files::file_name(path).starts_with("iio:device"));
    let rail = |path: &Path, channel: u32| {
        let power = path.join(format!("in_power{channel}_input"));
        let label = files::read_trimmed(&path.join(format!("rail_name_{channel}")))?;
        let input = power.exists().then(|| Input::scaled(power, 1e-3))?;
        let device = rail_device(&label, gpu);
        Some(Candidate { device, quantity: Quantity::PowerInstant, label, method: None, input })
    };
    monitors.flat_map(|path| (0..3).filter_map(move |channel| rail(&path, channel)).collect::<Vec<_>>()).collect()
}
