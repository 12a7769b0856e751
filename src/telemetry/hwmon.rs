//! Power from the kernel's hardware monitors (hwmon): rails of a Jetson, AMD graphics cards, power meters of boards.
//!
//! | where | files | unit |
//! |---|---|---|
//! | `class/hwmon/*` named `ina3221` (Jetson, JetPack 5 and newer) | `in1_label`, `in1_input`, `curr1_input` | mV, mA |
//! | `bus/i2c/drivers/ina3221x/*/iio:device*` (older JetPacks, as on the TX1) | `rail_name_0`, `in_power0_input` | mW |
//! | `class/hwmon/*` named `amdgpu` | `power1_average`, `power1_input`, `temp1_input`, `freq1_input`, `power1_cap` | µW, m°C, Hz |
//! | `class/hwmon/*` with a known name (`METERS`) | `power1_input`, `power1_average`, `energy1_input` | µW, µJ |

use super::{
    builder::SensorBuilder,
    derive::{Counter, Integral},
    files::{self, FileError, PolledFile},
    options::Options,
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::event::{Quantity, SensorId};
use std::path::{Path, PathBuf};

/// Drivers whose power is that of a whole device, and that device. Other drivers are ignored: their `power1_input` may be
/// that of a fan or of a port.
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

/// Rails that feed a whole Jetson module.
const BOARD_RAILS: [&str; 2] = ["VDD_IN", "POM_5V_IN"];

/// Where a value comes from.
enum Input {
    /// A file, and its unit.
    Scaled(PolledFile, f64),
    /// Voltage times current.
    Product { millivolts: PolledFile, milliamperes: PolledFile },
    /// An energy counter.
    Energy(PolledFile, Counter),
}

/// A sensor that exists; whether it can be read is not known yet.
struct Candidate {
    device: String,
    quantity: Quantity,
    label: String,
    method: Option<&'static str>,
    input: Input,
}

/// A registered sensor.
struct Reader {
    input: Input,
    /// The quantity of the input.
    own: SensorId,
    /// The energy of a power sensor, or the power of an energy counter.
    derived: Option<SensorId>,
    integral: Integral,
}

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

    fn register(&mut self, mut found: Candidate, out: &mut SensorWriter) {
        let mut own = SensorBuilder::new(&found.device, found.quantity, &found.label);
        if let Some(method) = found.method {
            own = own.method(method);
        }
        if let Err(error) = found.input.probe() {
            out.register_absent(own, error.to_string());
            return;
        }
        let derived = match found.quantity {
            Quantity::PowerInstant | Quantity::PowerAverage => {
                let method = format!("integral of {}", found.label);
                Some(SensorBuilder::new(&found.device, Quantity::Energy, &found.label).method(method))
            }
            Quantity::Energy => {
                let method = format!("derivative of the energy counter over {} ms", out.period().as_millis());
                Some(SensorBuilder::new(&found.device, Quantity::PowerInstant, &found.label).method(method))
            }
            _ => None,
        };
        let own = out.register(own);
        let derived = derived.map(|sensor| out.register(sensor));
        self.readers.push(Reader { input: found.input, own, derived, integral: Integral::default() });
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
        found.extend(old_rails(&self.sys.join("bus/i2c/drivers/ina3221x"), &self.gpu));
        if found.is_empty() {
            let reason = format!("no power monitor in {}", monitors.display());
            out.register_absent(SensorBuilder::new("board", Quantity::PowerInstant, "hwmon"), reason);
        }
        for found in numbered(found) {
            self.register(found, out);
        }
        if self.readers.is_empty() { Opened::Nothing } else { Opened::Sampling }
    }

    fn sample(&mut self, out: &mut SensorWriter) {
        out.sample(|out| {
            for reader in &mut self.readers {
                if let Err(error) = reader.read(out) {
                    let reason = error.to_string();
                    out.fail(reader.own, &reason);
                    if let Some(derived) = reader.derived {
                        out.fail(derived, reason);
                    }
                }
            }
        });
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

impl Reader {
    fn read(&mut self, out: &mut SensorWriter) -> Result<(), FileError> {
        let (value, derived) = match &mut self.input {
            Input::Energy(file, counter) => {
                let raw = file.number()?;
                let advance = counter.push(out.now(), raw);
                (advance.joules, advance.watts)
            }
            input => {
                let value = input.value()?;
                (value, self.derived.map(|_| self.integral.push(out.now(), value)))
            }
        };
        out.write(self.own, value);
        if let Some((id, value)) = self.derived.zip(derived) {
            out.write(id, value);
        }
        Ok(())
    }
}

impl Input {
    fn scaled(path: PathBuf, unit: f64) -> Self {
        Self::Scaled(PolledFile::new(path), unit)
    }

    /// Reads it once, to see whether that works.
    fn probe(&mut self) -> Result<(), FileError> {
        self.value().map(drop)
    }

    fn value(&mut self) -> Result<f64, FileError> {
        Ok(match self {
            Self::Scaled(file, unit) => file.number::<i64>()? as f64 * *unit,
            Self::Product { millivolts, milliamperes } => {
                millivolts.number::<i64>()? as f64 * milliamperes.number::<i64>()? as f64 * 1e-6
            }
            Self::Energy(file, _) => file.number::<u64>()? as f64,
        })
    }
}

/// The sensors in the directory of a monitor.
fn monitor(path: &Path, gpu: &str) -> Vec<Candidate> {
    let Some(name) = files::read_trimmed(&path.join("name")) else { return Vec::new() };
    match name.as_str() {
        "ina3221" => rails(path, gpu),
        "amdgpu" => amdgpu(path),
        _ => match METERS.iter().find(|(driver, _)| *driver == name) {
            Some((_, device)) => meter(path, &name, device),
            None => Vec::new(),
        },
    }
}

/// The device that a rail of a Jetson feeds.
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

fn rails(path: &Path, gpu: &str) -> Vec<Candidate> {
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
        let method = Some("voltage times current of the rail");
        Some(Candidate { device: rail_device(&label, gpu), quantity: Quantity::PowerInstant, label, method, input })
    };
    (1..=3).filter_map(rail).collect()
}

fn old_rails(driver: &Path, gpu: &str) -> Vec<Candidate> {
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

fn amdgpu(path: &Path) -> Vec<Candidate> {
    // The PCI address distinguishes several cards.
    let pci = path.join("device").canonicalize().ok();
    let device = match pci.as_deref().map(files::file_name).filter(|name| name.contains(':')) {
        Some(address) => format!("gpu {address}"),
        None => "gpu".into(),
    };
    const FILES: [(&str, Quantity, f64, Option<&str>); 6] = [
        ("power1_average", Quantity::PowerAverage, 1e-6, Some("averaged by the card's firmware")),
        ("power1_input", Quantity::PowerInstant, 1e-6, None),
        ("power1_cap", Quantity::PowerCap, 1e-6, None),
        ("temp1_input", Quantity::Temperature, 1e-3, None),
        ("freq1_input", Quantity::ComputeClock, 1e-6, None),
        ("freq2_input", Quantity::MemoryClock, 1e-6, None),
    ];
    let offered = FILES.into_iter().filter(|(file, ..)| path.join(file).exists());
    let found = offered.map(|(file, quantity, unit, method)| Candidate {
        device: device.clone(),
        quantity,
        label: format!("amdgpu {file}"),
        method,
        input: Input::scaled(path.join(file), unit),
    });
    found.collect()
}

fn meter(path: &Path, name: &str, device: &str) -> Vec<Candidate> {
    let entries = files::sorted_entries(path);
    let found = entries.iter().filter_map(|file| {
        let (stem, kind) = files::file_name(file).split_once('_')?;
        let (quantity, input, method) = match (stem.trim_end_matches(|c: char| c.is_ascii_digit()), kind) {
            ("power", "input") => (Quantity::PowerInstant, Input::scaled(file.clone(), 1e-6), None),
            ("power", "average") => {
                (Quantity::PowerAverage, Input::scaled(file.clone(), 1e-6), Some("averaged by the meter"))
            }
            ("energy", "input") => {
                (Quantity::Energy, Input::Energy(PolledFile::new(file), Counter::new(1e-6, None)), None)
            }
            _ => return None,
        };
        let own = files::read_trimmed(&path.join(format!("{stem}_label"))).unwrap_or_else(|| stem.to_string());
        // A power supply has sensors for its rails and for their sum: only the sum is the power of the board.
        if name == "corsairpsu" && own != "power total" {
            return None;
        }
        Some(Candidate { device: device.into(), quantity, label: format!("{name} {own}"), method, input })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{options::CudaDevice, testing::Harness};
    use std::{fs, time::Duration};

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in files {
            write(&dir, path, content);
        }
        dir
    }

    fn write(dir: &tempfile::TempDir, path: &str, content: &str) {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{content}\n")).unwrap();
    }

    fn harness(dir: &tempfile::TempDir) -> Harness<Hwmon> {
        let cuda = vec![CudaDevice { name: "cuda:0".into(), uuid: None }];
        Harness::new(Hwmon::new(&Options { sys: dir.path().into(), cuda, ..Options::default() }))
    }

    #[test]
    fn rails_of_a_jetson() {
        let dir = tree(&[
            ("class/hwmon/hwmon3/name", "ina3221"),
            ("class/hwmon/hwmon3/in1_label", "VDD_IN"),
            ("class/hwmon/hwmon3/in1_input", "5000"),
            ("class/hwmon/hwmon3/curr1_input", "2400"),
            ("class/hwmon/hwmon3/in2_label", "VDD_CPU_GPU_CV"),
            ("class/hwmon/hwmon3/in2_input", "4960"),
            ("class/hwmon/hwmon3/curr2_input", "500"),
            ("class/hwmon/hwmon3/in3_label", "VDD_SOC"),
            ("class/hwmon/hwmon3/in3_enable", "0"),
            ("class/hwmon/hwmon3/in3_input", "0"),
            ("class/hwmon/hwmon3/curr3_input", "0"),
            ("class/hwmon/hwmon3/in7_label", "sum of shunt voltages"),
            ("class/hwmon/hwmon3/in7_input", "3"),
        ]);
        let mut harness = harness(&dir);
        assert_eq!(harness.open(), Opened::Sampling);
        harness.sample();
        assert_eq!(harness.value("board", Quantity::PowerInstant), Some(12.0));
        assert_eq!(harness.value("host", Quantity::PowerInstant), Some(2.48));
        assert_eq!(harness.present(Quantity::PowerInstant).count(), 2);
        let energy = harness.present(Quantity::Energy).next().unwrap();
        assert_eq!((energy.device.as_str(), energy.method.as_deref()), ("board", Some("integral of VDD_IN")));
        harness.wait(Duration::from_millis(500));
        harness.sample();
        let joules = harness.value("board", Quantity::Energy).unwrap();
        assert!((6.0..12.0).contains(&joules), "{joules}");
    }

    #[test]
    fn rails_of_the_papers_tx1() {
        let iio = "bus/i2c/drivers/ina3221x/1-0040/iio:device0";
        let dir = tree(&[
            (&format!("{iio}/rail_name_0"), "VDD_IN"),
            (&format!("{iio}/in_power0_input"), "11800"),
            (&format!("{iio}/rail_name_1"), "VDD_GPU"),
            (&format!("{iio}/in_power1_input"), "7300"),
            (&format!("{iio}/rail_name_2"), "VDD_CPU"),
            (&format!("{iio}/in_power2_input"), "900"),
        ]);
        let mut harness = harness(&dir);
        harness.open();
        harness.sample();
        let power = |device| harness.value(device, Quantity::PowerInstant);
        assert_eq!((power("board"), power("cuda:0"), power("cpu")), (Some(11.8), Some(7.3), Some(0.9)));
    }

    #[test]
    fn an_amd_card() {
        let dir = tree(&[
            ("class/hwmon/hwmon0/name", "amdgpu"),
            ("class/hwmon/hwmon0/power1_average", "213000000"),
            ("class/hwmon/hwmon0/power1_cap", "300000000"),
            ("class/hwmon/hwmon0/temp1_input", "61000"),
            ("class/hwmon/hwmon0/freq1_input", "2100000000"),
        ]);
        let mut harness = harness(&dir);
        harness.open();
        harness.sample();
        let value = |quantity| harness.value("gpu", quantity).map(f64::round);
        assert_eq!(value(Quantity::PowerAverage), Some(213.0));
        assert_eq!(value(Quantity::PowerInstant), None);
        assert_eq!(value(Quantity::PowerCap), Some(300.0));
        assert_eq!(value(Quantity::Temperature), Some(61.0));
        assert_eq!(value(Quantity::ComputeClock), Some(2100.0));
    }

    #[test]
    fn known_meters_only() {
        let dir = tree(&[
            ("class/hwmon/hwmon0/name", "zenpower"),
            ("class/hwmon/hwmon0/power1_input", "45000000"),
            ("class/hwmon/hwmon0/power1_label", "SVI2_P_Core"),
            ("class/hwmon/hwmon1/name", "some_fan"),
            ("class/hwmon/hwmon1/power1_input", "1000000"),
            ("class/hwmon/hwmon2/name", "corsairpsu"),
            ("class/hwmon/hwmon2/power1_input", "400000000"),
            ("class/hwmon/hwmon2/power1_label", "power total"),
            ("class/hwmon/hwmon2/power2_input", "300000000"),
            ("class/hwmon/hwmon2/power2_label", "power +12v"),
            ("class/hwmon/hwmon3/name", "amd_energy"),
            ("class/hwmon/hwmon3/energy1_input", "1000000"),
            ("class/hwmon/hwmon3/energy1_label", "Esocket0"),
        ]);
        let mut harness = harness(&dir);
        harness.open();
        harness.sample();
        let labels: Vec<_> = harness.present(Quantity::PowerInstant).map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["zenpower SVI2_P_Core", "corsairpsu power total", "amd_energy Esocket0"]);
        assert_eq!(harness.value("board", Quantity::PowerInstant), Some(400.0));
    }

    #[test]
    fn a_counter_gives_power_too() {
        let dir = tree(&[("class/hwmon/hwmon3/name", "i915"), ("class/hwmon/hwmon3/energy1_input", "7000000")]);
        let mut harness = harness(&dir);
        harness.open();
        harness.sample();
        write(&dir, "class/hwmon/hwmon3/energy1_input", "8000000");
        harness.wait(Duration::from_millis(100));
        harness.sample();
        assert_eq!(harness.value("gpu", Quantity::Energy), Some(1.0));
        let watts = harness.value("gpu", Quantity::PowerInstant).unwrap();
        assert!((1.0..=10.0).contains(&watts), "{watts}");
        let method = harness.present(Quantity::PowerInstant).next().unwrap().method.clone();
        assert_eq!(method.as_deref(), Some("derivative of the energy counter over 50 ms"));
    }

    #[test]
    fn sensors_with_the_same_label_are_numbered() {
        let dir = tree(&[
            ("class/hwmon/hwmon0/name", "power_meter"),
            ("class/hwmon/hwmon0/power1_average", "100000000"),
            ("class/hwmon/hwmon1/name", "power_meter"),
            ("class/hwmon/hwmon1/power1_average", "200000000"),
        ]);
        let mut harness = harness(&dir);
        harness.open();
        let labels: Vec<_> = harness.present(Quantity::PowerAverage).map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["power_meter power1", "power_meter power1 #2"]);
    }

    #[test]
    fn an_empty_tree_is_absent_with_a_reason() {
        let mut harness = harness(&tree(&[]));
        assert_eq!(harness.open(), Opened::Nothing);
        assert!(harness.absent(Quantity::PowerInstant)[0].starts_with("no power monitor in "));
    }

    #[test]
    fn an_unreadable_sensor_is_absent_and_implausible_values_are_dropped() {
        let dir = tree(&[
            ("class/hwmon/hwmon0/name", "power_meter"),
            ("class/hwmon/hwmon0/power1_average", "n/a"),
            ("class/hwmon/hwmon0/power2_average", "99000000000000"),
        ]);
        let mut harness = harness(&dir);
        harness.open();
        harness.sample();
        assert!(harness.absent(Quantity::PowerAverage)[0].ends_with("holds \"n/a\\n\", not a whole number"));
        assert_eq!(harness.value("board", Quantity::PowerAverage), None);
    }
}
