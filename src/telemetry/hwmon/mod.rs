//! Power from the kernel's hardware monitors (hwmon): rails of a Jetson, graphics cards, processors, power meters of boards.
//!
//! | where | files | unit |
//! |---|---|---|
//! | `class/hwmon/*` named `ina3221` (Jetson, JetPack 5 and newer) | `in1_label`, `in1_input`, `curr1_input` | mV, mA |
//! | `bus/i2c/drivers/ina3221x/*/iio:device*` (older JetPacks, as on the TX1) | `rail_name_0`, `in_power0_input` | mW |
//! | `class/hwmon/*` named `amdgpu` | `power1_average`, `power1_input`, `temp1_input`, `freq1_input`, `power1_cap` | µW, m°C, Hz |
//! | `class/hwmon/*` with a known name (`METERS`) | `power1_input`, `power1_average`, `energy1_input` | µW, µJ |
//!
//! The files of a monitor are in `hwmonN/`, or in `hwmonN/device/` if its driver uses the kernel's old interface (the ACPI
//! power meter). Several sensors of one processor (sockets, rails) are summed in `processor`; which of the sensors stands for
//! a device is decided by [`rank`](super::rank), not here.

mod amdgpu;
mod candidate;
mod jetson;
mod meter;
mod processor;

use super::{
    builder::SensorBuilder,
    files,
    options::Options,
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::event::Quantity;
use candidate::{Candidate, Reader};
use std::path::{Path, PathBuf};

/// Drivers whose power is that of a whole device, and that device. Other drivers are ignored: their `power1_input` may be
/// that of a fan, of a port, or what a battery is charged with.
const METERS: [(&str, &str); 9] = [
    ("power_meter", "board"),
    ("corsairpsu", "board"),
    ("macsmc_hwmon", "board"),
    ("zenpower", "cpu"),
    ("fam15h_power", "cpu"),
    ("amd_energy", "cpu"),
    ("nouveau", "gpu"),
    ("i915", "gpu"),
    ("xe", "gpu"),
];

/// The hwmon source.
pub struct Hwmon {
    sys: PathBuf,
    /// Name of the device that a Jetson's GPU rail feeds: the only CUDA device, if there is one.
    gpu: String,
    readers: Vec<Reader>,
}

impl Hwmon {
    /// A source of the sysfs in `options`.
    pub fn new(options: &Options) -> Self {
        let gpu = match &options.cuda[..] {
            [only] => only.name.clone(),
            _ => "gpu".into(),
        };
        Self { sys: options.sys.clone(), gpu, readers: Vec::new() }
    }
}

impl Source for Hwmon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn open(&mut self, out: &mut SensorWriter) -> Opened {
        self.readers.clear();
        let monitors = self.sys.join("class/hwmon");
        let mut found: Vec<Candidate> =
            files::sorted_entries(&monitors).iter().flat_map(|path| monitor(path, &self.gpu)).collect();
        found.extend(jetson::iio_rails(&self.sys.join("bus/i2c/drivers/ina3221x"), &self.gpu));
        if found.is_empty() {
            let reason = format!("no power monitor in {}", monitors.display());
            out.register_absent(SensorBuilder::new("board", Quantity::PowerInstant, "hwmon"), reason);
        }
        let found = numbered(processor::summed(found));
        self.readers = found.into_iter().filter_map(|candidate| candidate.register(out)).collect();
        if self.readers.is_empty() { Opened::Nothing } else { Opened::Sampling }
    }

    fn sample(&mut self, out: &mut SensorWriter) {
        out.sample(|out| self.readers.iter_mut().for_each(|reader| reader.read(out)));
    }

    fn restart(&mut self) {
        self.readers.iter_mut().for_each(Reader::restart);
    }
}

/// The sensors of a monitor.
fn monitor(path: &Path, gpu: &str) -> Vec<Candidate> {
    let files = attributes(path);
    let Some(name) = files::read_trimmed(&files.join("name")) else { return Vec::new() };
    match name.as_str() {
        "ina3221" => jetson::rails(&files, gpu),
        "amdgpu" => amdgpu::sensors(&files, &gpu_device(path)),
        _ => match METERS.iter().find(|(driver, _)| *driver == name) {
            Some((_, "gpu")) => meter::sensors(&files, &name, &gpu_device(path)),
            Some((_, device)) => meter::sensors(&files, &name, device),
            None => Vec::new(),
        },
    }
}

/// The directory with the files of a monitor.
fn attributes(path: &Path) -> PathBuf {
    let device = path.join("device");
    if !path.join("name").exists() && device.join("name").exists() { device } else { path.to_owned() }
}

/// The device name of a graphics card; its PCI address distinguishes several.
fn gpu_device(path: &Path) -> String {
    let pci = path.join("device").canonicalize().ok();
    match pci.as_deref().map(files::file_name).filter(|name| name.contains(':')) {
        Some(address) => format!("gpu {address}"),
        None => "gpu".into(),
    }
}

/// Numbers sensors with the same label: `power_meter power1`, `power_meter power1 #2`.
fn numbered(mut found: Vec<Candidate>) -> Vec<Candidate> {
    for i in (0..found.len()).rev() {
        let (before, this) = found.split_at_mut(i);
        let this = &mut this[0];
        let same = |f: &&Candidate| (&f.device, f.quantity, &f.label) == (&this.device, this.quantity, &this.label);
        let earlier = before.iter().filter(same).count();
        if earlier > 0 {
            this.label += &format!(" #{}", earlier + 1);
        }
    }
    found
}

#[cfg(test)]
mod tests;
