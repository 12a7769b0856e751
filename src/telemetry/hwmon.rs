//! Power that the kernel's hardware monitors show: the rails of a Jetson, AMD graphics cards, power meters of boards.
//!
//! | where | files | unit |
//! |---|---|---|
//! | `class/hwmon/*` named `ina3221` (Jetson, JetPack 5 and newer) | `in1_label`, `in1_input`, `curr1_input` | mV, mA |
//! | `bus/i2c/drivers/ina3221x/*/iio:device*` (older JetPacks, as on the TX1) | `rail_name_0`, `in_power0_input` | mW |
//! | `class/hwmon/*` named `amdgpu` | `power1_average`, `power1_input`, `temp1_input`, `freq1_input`, `power1_cap` | µW, m°C, Hz |
//! | `class/hwmon/*` with a known name (`METERS`) | `power1_input`, `power1_average`, `energy1_input` | µW, µJ |

use crate::{
    event::{Quantity, SensorId},
    telemetry::{
        Draft, Opened, Options, Outlet, Source,
        derive::{Counter, Integral},
        files::{self, Trouble, Watched},
    },
};
use std::path::{Path, PathBuf};

/// Monitors whose power is clearly that of a whole part, by the name of their driver, and the device that it is.
/// Others are left alone: a bare `power1_input` may be anything from a fan to a port.
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

/// Rails that feed everything on a Jetson module.
const BOARD_RAILS: [&str; 2] = ["VDD_IN", "POM_5V_IN"];

/// How a reading comes about.
enum Feed {
    /// One number in a unit of so much.
    Scaled(Watched, f64),
    /// mV times mA.
    Product { millivolts: Watched, milliamperes: Watched },
    /// An energy counter.
    Energy(Watched, Counter),
}

/// A sensor that was found, before it is known whether it can be read.
struct Found {
    device: String,
    quantity: Quantity,
    label: String,
    method: Option<&'static str>,
    feed: Feed,
}

/// A sensor that is read.
struct Reader {
    feed: Feed,
    /// The quantity that the feed gives.
    own: SensorId,
    /// Energy of a power sensor, power of an energy counter.
    derived: Option<SensorId>,
    integral: Integral,
}

/// The hwmon source.
pub struct Hwmon {
    sys: PathBuf,
    /// The only CUDA device, which a Jetson's GPU rail feeds then.
    gpu: String,
    readers: Vec<Reader>,
}

impl Hwmon {
    /// Looks under the sysfs of `options`.
    pub fn new(options: &Options) -> Self {
        let gpu = match &options.cuda[..] {
            [only] => only.name.clone(),
            _ => "gpu".into(),
        };
        Self { sys: options.sys.clone(), gpu, readers: Vec::new() }
    }

    fn announce(&mut self, mut found: Found, out: &mut Outlet) {
        let mut own = Draft::new(&found.device, found.quantity, &found.label);
        if let Some(method) = found.method {
            own = own.method(method);
        }
        if let Err(trouble) = found.feed.probe() {
            out.absent(own, trouble.to_string());
            return;
        }
        let derived = match found.quantity {
            Quantity::PowerInstant | Quantity::PowerAverage => {
                let method = format!("integral of {}", found.label);
                Some(Draft::new(&found.device, Quantity::Energy, &found.label).method(method))
            }
            Quantity::Energy => {
                let method = format!("derivative of the energy counter over {} ms", out.period().as_millis());
                Some(Draft::new(&found.device, Quantity::PowerInstant, &found.label).method(method))
            }
            _ => None,
        };
        let own = out.present(own);
        let derived = derived.map(|draft| out.present(draft));
        self.readers.push(Reader { feed: found.feed, own, derived, integral: Integral::default() });
    }
}

impl Source for Hwmon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn open(&mut self, out: &mut Outlet) -> Opened {
        self.readers.clear();
        let monitors = self.sys.join("class/hwmon");
        let mut found: Vec<Found> =
            files::entries(&monitors).iter().flat_map(|path| monitor(path, &self.gpu)).collect();
        found.extend(old_rails(&self.sys.join("bus/i2c/drivers/ina3221x"), &self.gpu));
        if found.is_empty() {
            let reason = format!("no power monitor in {}", monitors.display());
            out.absent(Draft::new("board", Quantity::PowerInstant, "hwmon"), reason);
        }
        for found in numbered(found) {
            self.announce(found, out);
        }
        if self.readers.is_empty() { Opened::Nothing } else { Opened::Sampling }
    }

    fn sample(&mut self, out: &mut Outlet) {
        out.reading(|out| {
            for reader in &mut self.readers {
                if let Err(trouble) = reader.read(out) {
                    let reason = trouble.to_string();
                    out.fail(reader.own, &reason);
                    if let Some(derived) = reader.derived {
                        out.fail(derived, reason);
                    }
                }
            }
        });
    }
}

/// Tells monitors apart that call themselves the same: `power_meter power1`, `power_meter power1 #2`.
fn numbered(mut found: Vec<Found>) -> Vec<Found> {
    for i in (0..found.len()).rev() {
        let (before, this) = found.split_at_mut(i);
        let this = &mut this[0];
        let same = |f: &&Found| (&f.device, f.quantity, &f.label) == (&this.device, this.quantity, &this.label);
        let earlier = before.iter().filter(same).count();
        if earlier > 0 {
            this.label += &format!(" #{}", earlier + 1);
        }
    }
    found
}

impl Reader {
    fn read(&mut self, out: &mut Outlet) -> Result<(), Trouble> {
        let (value, derived) = match &mut self.feed {
            Feed::Energy(file, counter) => {
                let raw = file.number()?;
                let advance = counter.push(out.now(), raw);
                (advance.joules, advance.watts)
            }
            feed => {
                let value = feed.value()?;
                (value, self.derived.map(|_| self.integral.push(out.now(), value)))
            }
        };
        out.put(self.own, value);
        if let Some((id, value)) = self.derived.zip(derived) {
            out.put(id, value);
        }
        Ok(())
    }
}

impl Feed {
    fn scaled(path: PathBuf, unit: f64) -> Self {
        Self::Scaled(Watched::new(path), unit)
    }

    /// Whether it can be read.
    fn probe(&mut self) -> Result<(), Trouble> {
        self.value().map(drop)
    }

    fn value(&mut self) -> Result<f64, Trouble> {
        Ok(match self {
            Self::Scaled(file, unit) => file.number::<i64>()? as f64 * *unit,
            Self::Product { millivolts, milliamperes } => {
                millivolts.number::<i64>()? as f64 * milliamperes.number::<i64>()? as f64 * 1e-6
            }
            Self::Energy(file, _) => file.number::<u64>()? as f64,
        })
    }
}

/// What a monitor's directory offers.
fn monitor(path: &Path, gpu: &str) -> Vec<Found> {
    let Some(name) = files::word(&path.join("name")) else { return Vec::new() };
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
        // Shared rails, memory, input and output.
        _ => "host".into(),
    }
}

fn rails(path: &Path, gpu: &str) -> Vec<Found> {
    let rail = |channel: u32| {
        let file = |name: &str| path.join(name.replace('#', &channel.to_string()));
        let label = files::word(&file("in#_label"))?;
        let off = files::word(&file("in#_enable")).is_some_and(|enable| enable == "0");
        if off || !file("curr#_input").exists() {
            return None;
        }
        let feed = Feed::Product {
            millivolts: Watched::new(file("in#_input")),
            milliamperes: Watched::new(file("curr#_input")),
        };
        let method = Some("voltage times current of the rail");
        Some(Found { device: rail_device(&label, gpu), quantity: Quantity::PowerInstant, label, method, feed })
    };
    (1..=3).filter_map(rail).collect()
}

fn old_rails(driver: &Path, gpu: &str) -> Vec<Found> {
    let chips = files::entries(driver);
    let monitors = chips.iter().flat_map(|chip| files::entries(chip));
    let monitors = monitors.filter(|path| files::file_name(path).starts_with("iio:device"));
    let rail = |path: &Path, channel: u32| {
        let power = path.join(format!("in_power{channel}_input"));
        let label = files::word(&path.join(format!("rail_name_{channel}")))?;
        let feed = power.exists().then(|| Feed::scaled(power, 1e-3))?;
        let device = rail_device(&label, gpu);
        Some(Found { device, quantity: Quantity::PowerInstant, label, method: None, feed })
    };
    monitors.flat_map(|path| (0..3).filter_map(move |channel| rail(&path, channel)).collect::<Vec<_>>()).collect()
}

fn amdgpu(path: &Path) -> Vec<Found> {
    // The PCI address tells two cards apart.
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
    let found = offered.map(|(file, quantity, unit, method)| Found {
        device: device.clone(),
        quantity,
        label: format!("amdgpu {file}"),
        method,
        feed: Feed::scaled(path.join(file), unit),
    });
    found.collect()
}

fn meter(path: &Path, name: &str, device: &str) -> Vec<Found> {
    let entries = files::entries(path);
    let found = entries.iter().filter_map(|file| {
        let (stem, kind) = files::file_name(file).split_once('_')?;
        let (quantity, feed, method) = match (stem.trim_end_matches(|c: char| c.is_ascii_digit()), kind) {
            ("power", "input") => (Quantity::PowerInstant, Feed::scaled(file.clone(), 1e-6), None),
            ("power", "average") => {
                (Quantity::PowerAverage, Feed::scaled(file.clone(), 1e-6), Some("averaged by the meter"))
            }
            ("energy", "input") => (Quantity::Energy, Feed::Energy(Watched::new(file), Counter::new(1e-6, None)), None),
            _ => return None,
        };
        let own = files::word(&path.join(format!("{stem}_label"))).unwrap_or_else(|| stem.to_string());
        // A power supply shows the rails beside their sum: only the sum is the board.
        if name == "corsairpsu" && own != "power total" {
            return None;
        }
        Some(Found { device: device.into(), quantity, label: format!("{name} {own}"), method, feed })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{CudaDevice, outlet::testing::Bench};
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

    fn bench(dir: &tempfile::TempDir) -> Bench<Hwmon> {
        let cuda = vec![CudaDevice { name: "cuda:0".into(), uuid: None }];
        Bench::new(Hwmon::new(&Options { sys: dir.path().into(), cuda, ..Options::default() }))
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
        let mut bench = bench(&dir);
        assert_eq!(bench.open(), Opened::Sampling);
        bench.sample();
        assert_eq!(bench.value("board", Quantity::PowerInstant), Some(12.0));
        assert_eq!(bench.value("host", Quantity::PowerInstant), Some(2.48));
        assert_eq!(bench.present(Quantity::PowerInstant).count(), 2);
        let energy = bench.present(Quantity::Energy).next().unwrap();
        assert_eq!((energy.device.as_str(), energy.method.as_deref()), ("board", Some("integral of VDD_IN")));
        bench.wait(Duration::from_millis(500));
        bench.sample();
        let joules = bench.value("board", Quantity::Energy).unwrap();
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
        let mut bench = bench(&dir);
        bench.open();
        bench.sample();
        let power = |device| bench.value(device, Quantity::PowerInstant);
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
        let mut bench = bench(&dir);
        bench.open();
        bench.sample();
        let value = |quantity| bench.value("gpu", quantity).map(f64::round);
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
        let mut bench = bench(&dir);
        bench.open();
        bench.sample();
        let labels: Vec<_> = bench.present(Quantity::PowerInstant).map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["zenpower SVI2_P_Core", "corsairpsu power total", "amd_energy Esocket0"]);
        assert_eq!(bench.value("board", Quantity::PowerInstant), Some(400.0));
    }

    #[test]
    fn a_counter_gives_power_too() {
        let dir = tree(&[("class/hwmon/hwmon3/name", "i915"), ("class/hwmon/hwmon3/energy1_input", "7000000")]);
        let mut bench = bench(&dir);
        bench.open();
        bench.sample();
        write(&dir, "class/hwmon/hwmon3/energy1_input", "8000000");
        bench.wait(Duration::from_millis(100));
        bench.sample();
        assert_eq!(bench.value("gpu", Quantity::Energy), Some(1.0));
        let watts = bench.value("gpu", Quantity::PowerInstant).unwrap();
        assert!((1.0..=10.0).contains(&watts), "{watts}");
        let method = bench.present(Quantity::PowerInstant).next().unwrap().method.clone();
        assert_eq!(method.as_deref(), Some("derivative of the energy counter over 50 ms"));
    }

    #[test]
    fn namesakes_are_numbered() {
        let dir = tree(&[
            ("class/hwmon/hwmon0/name", "power_meter"),
            ("class/hwmon/hwmon0/power1_average", "100000000"),
            ("class/hwmon/hwmon1/name", "power_meter"),
            ("class/hwmon/hwmon1/power1_average", "200000000"),
        ]);
        let mut bench = bench(&dir);
        bench.open();
        let labels: Vec<_> = bench.present(Quantity::PowerAverage).map(|s| s.label.as_str()).collect();
        assert_eq!(labels, ["power_meter power1", "power_meter power1 #2"]);
    }

    #[test]
    fn nothing_is_absent_with_a_reason() {
        let mut bench = bench(&tree(&[]));
        assert_eq!(bench.open(), Opened::Nothing);
        assert!(bench.absent(Quantity::PowerInstant)[0].starts_with("no power monitor in "));
    }

    #[test]
    fn unreadable_is_absent_and_garbage_is_dropped() {
        let dir = tree(&[
            ("class/hwmon/hwmon0/name", "power_meter"),
            ("class/hwmon/hwmon0/power1_average", "n/a"),
            ("class/hwmon/hwmon0/power2_average", "99000000000000"),
        ]);
        let mut bench = bench(&dir);
        bench.open();
        bench.sample();
        assert!(bench.absent(Quantity::PowerAverage)[0].ends_with("holds \"n/a\\n\", not a whole number"));
        assert_eq!(bench.value("board", Quantity::PowerAverage), None);
    }
}
