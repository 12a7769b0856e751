//! Energy counters of the processor (RAPL: Intel, and AMD since Zen) from the kernel's powercap tree.
//!
//! `/sys/class/powercap/intel-rapl:0/{name,energy_uj,max_energy_range_uj}`: µJ since boot, wrapping around at the range,
//! updated by the processor about every millisecond. The sum of the packages is the device `cpu`. Their subzones (`core`,
//! `dram` …) are devices of their own, because their power is part of a package's.

use super::{
    builder::SensorBuilder,
    derive::{Advance, Counter},
    files::{self, FileError, PolledFile},
    options::Options,
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::event::{Quantity, SensorId};
use std::path::{Path, PathBuf};

/// The counter of one zone.
struct Zone {
    name: String,
    /// Whether it is a whole package, not a subzone.
    package: bool,
    energy: PolledFile,
    counter: Counter,
}

/// A pair of sensors: of one zone, or of the sum of all packages.
struct Meter {
    zones: Vec<Zone>,
    energy: SensorId,
    power: SensorId,
}

/// The RAPL source.
pub struct Rapl {
    tree: PathBuf,
    meters: Vec<Meter>,
}

impl Rapl {
    /// A source of the sysfs in `options`.
    pub fn new(options: &Options) -> Self {
        Self { tree: options.sys.join("class/powercap"), meters: Vec::new() }
    }

    fn register(&mut self, device: &str, mut zones: Vec<Zone>, out: &mut SensorWriter) {
        let label = label(&zones);
        let sum = if zones.len() > 1 { format!(", sum of {} packages", zones.len()) } else { String::new() };
        let method = format!("derivative of the energy counter over {} ms{sum}", out.period().as_millis());
        let power = SensorBuilder::new(device, Quantity::PowerInstant, &label).method(method);
        let mut energy = SensorBuilder::new(device, Quantity::Energy, &label);
        if zones.len() > 1 {
            energy = energy.method(format!("sum of {} packages", zones.len()));
        }
        match zones.iter_mut().try_for_each(|zone| zone.energy.number::<u64>().map(drop)) {
            Ok(()) => {
                let (energy, power) = (out.register(energy), out.register(power));
                self.meters.push(Meter { zones, energy, power });
            }
            Err(error) => {
                let reason = reason(&error);
                out.register_absent(energy, &reason);
                out.register_absent(power, reason);
            }
        }
    }
}

impl Source for Rapl {
    fn name(&self) -> &'static str {
        "rapl"
    }

    fn open(&mut self, out: &mut SensorWriter) -> Opened {
        self.meters.clear();
        let (packages, parts): (Vec<_>, Vec<_>) = zones(&self.tree).into_iter().partition(|(_, zone)| zone.package);
        if packages.is_empty() && parts.is_empty() {
            let reason = format!("no RAPL zones in {}: not an x86 host, or a virtual one", self.tree.display());
            out.register_absent(SensorBuilder::new("cpu", Quantity::PowerInstant, "RAPL"), reason);
            return Opened::Nothing;
        }
        if packages.len() > 1 {
            for (device, zone) in &packages {
                self.register(device, vec![zone.reopened()], out);
            }
        }
        if !packages.is_empty() {
            self.register("cpu", packages.into_iter().map(|(_, zone)| zone).collect(), out);
        }
        for (device, zone) in parts {
            self.register(&device, vec![zone], out);
        }
        if self.meters.is_empty() { Opened::Nothing } else { Opened::Sampling }
    }

    fn sample(&mut self, out: &mut SensorWriter) {
        out.sample(|out| {
            for meter in &mut self.meters {
                match meter.read(out) {
                    Ok(Advance { joules, watts }) => {
                        out.write(meter.energy, joules);
                        if let Some(watts) = watts {
                            out.write(meter.power, watts);
                        }
                    }
                    Err(error) => {
                        let reason = reason(&error);
                        out.fail(meter.energy, &reason);
                        out.fail(meter.power, reason);
                    }
                }
            }
        });
    }
}

impl Zone {
    /// The same zone with a reader of its own.
    fn reopened(&self) -> Self {
        Self {
            name: self.name.clone(),
            package: self.package,
            energy: self.energy.reopened(),
            counter: self.counter.clone(),
        }
    }
}

impl Meter {
    /// The sum of its zones. The counters are read one after the other, so each has a derivative of its own.
    fn read(&mut self, out: &SensorWriter) -> Result<Advance, FileError> {
        let mut sum = Advance { joules: 0.0, watts: Some(0.0) };
        for zone in &mut self.zones {
            let raw = zone.energy.number()?;
            let advance = zone.counter.push(out.now(), raw);
            sum.joules += advance.joules;
            sum.watts = sum.watts.zip(advance.watts).map(|(all, one)| all + one);
        }
        Ok(sum)
    }
}

/// The zones in `tree` with their devices.
///
/// A package that can be read through MSRs and through MMIO is listed twice: `intel-rapl-mmio:0` is ignored.
fn zones(tree: &Path) -> Vec<(String, Zone)> {
    let directories = files::sorted_entries(tree)
        .into_iter()
        .filter(|path| files::file_name(path).strip_prefix("intel-rapl:").is_some_and(|rest| !rest.is_empty()));
    directories.filter_map(|path| zone(tree, &path)).collect()
}

fn zone(tree: &Path, path: &Path) -> Option<(String, Zone)> {
    let own = files::read_trimmed(&path.join("name"))?;
    let id = files::file_name(path);
    // `intel-rapl:1:0` is a subzone of `intel-rapl:1`.
    let parent = id.rsplit_once(':').and_then(|(parent, _)| files::read_trimmed(&tree.join(parent).join("name")));
    let package = parent.is_none() && own.starts_with("package");
    let (device, name) = match parent {
        Some(parent) => (format!("cpu/{parent}/{own}"), format!("{parent} {own}")),
        None if own == "psys" => ("board".to_string(), own),
        None => (format!("cpu/{own}"), own),
    };
    let range = files::read_trimmed(&path.join("max_energy_range_uj")).and_then(|range| range.parse().ok());
    let energy = PolledFile::new(path.join("energy_uj"));
    Some((device, Zone { name, package, energy, counter: Counter::new(1e-6, range.filter(|range| *range > 0)) }))
}

fn label(zones: &[Zone]) -> String {
    match zones {
        [zone] => format!("RAPL {}", zone.name),
        _ => "RAPL packages".into(),
    }
}

/// Why a counter can't be read; the kernel keeps them to root since power traces were shown to leak keys.
fn reason(error: &FileError) -> String {
    match error {
        FileError::Denied(_) => format!("{error} (closed to users in 2020, CVE-2020-8694)"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::testing::Harness;
    use std::fs;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn zone(&self, id: &str, name: &str, energy: u64) {
            let zone = self.0.path().join("class/powercap").join(id);
            fs::create_dir_all(&zone).unwrap();
            fs::write(zone.join("name"), format!("{name}\n")).unwrap();
            fs::write(zone.join("max_energy_range_uj"), "262143328850\n").unwrap();
            self.energy(id, energy);
        }

        fn energy(&self, id: &str, energy: u64) {
            fs::write(self.0.path().join("class/powercap").join(id).join("energy_uj"), format!("{energy}\n")).unwrap();
        }

        fn harness(&self) -> Harness<Rapl> {
            Harness::new(Rapl::new(&Options { sys: self.0.path().into(), ..Options::default() }))
        }
    }

    #[test]
    fn one_package_and_its_subzones() {
        let tree = Tree::new();
        tree.zone("intel-rapl:0", "package-0", 1_000_000);
        tree.zone("intel-rapl:0:0", "core", 500);
        tree.zone("intel-rapl:0:1", "dram", 500);
        tree.zone("intel-rapl:1", "psys", 500);
        tree.zone("intel-rapl-mmio:0", "package-0", 1_000_000);
        let mut harness = tree.harness();
        assert_eq!(harness.open(), Opened::Sampling);
        let power: Vec<_> =
            harness.present(Quantity::PowerInstant).map(|s| (s.device.clone(), s.label.clone())).collect();
        let expected = [
            ("cpu", "RAPL package-0"),
            ("cpu/package-0/core", "RAPL package-0 core"),
            ("board", "RAPL psys"),
            ("cpu/package-0/dram", "RAPL package-0 dram"),
        ];
        assert_eq!(power.len(), 4);
        for (device, label) in expected {
            assert!(power.contains(&(device.into(), label.into())), "{device} {label} in {power:?}");
        }
        let method = harness.present(Quantity::PowerInstant).next().unwrap().method.clone().unwrap();
        assert_eq!(method, "derivative of the energy counter over 50 ms");
    }

    #[test]
    fn power_over_a_wrap_around() {
        let tree = Tree::new();
        tree.zone("intel-rapl:0", "package-0", 262_143_328_850 - 4_000_000);
        let mut harness = tree.harness();
        harness.open();
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::Energy), Some(0.0));
        assert_eq!(harness.value("cpu", Quantity::PowerInstant), None);
        tree.energy("intel-rapl:0", 1_000_000);
        harness.wait(std::time::Duration::from_millis(100));
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::Energy), Some(5.0));
        // 5 J in 100 ms, and a little more for the machine that runs the test.
        let watts = harness.value("cpu", Quantity::PowerInstant).unwrap();
        assert!((5.0..=50.0).contains(&watts), "{watts}");
    }

    #[test]
    fn packages_are_summed_and_listed_one_by_one() {
        let tree = Tree::new();
        tree.zone("intel-rapl:0", "package-0", 0);
        tree.zone("intel-rapl:1", "package-1", 0);
        let mut harness = tree.harness();
        harness.open();
        harness.sample();
        tree.energy("intel-rapl:0", 1_000_000);
        tree.energy("intel-rapl:1", 2_000_000);
        harness.wait(std::time::Duration::from_millis(100));
        harness.sample();
        assert_eq!(harness.value("cpu", Quantity::Energy), Some(3.0));
        assert_eq!(harness.value("cpu/package-1", Quantity::Energy), Some(2.0));
        let cpu = harness.present(Quantity::Energy).find(|s| s.device == "cpu").unwrap();
        assert_eq!(cpu.method.as_deref(), Some("sum of 2 packages"));
    }

    #[test]
    fn an_unreadable_counter_is_absent_with_a_reason() {
        let tree = Tree::new();
        tree.zone("intel-rapl:0", "package-0", 0);
        let energy = tree.0.path().join("class/powercap/intel-rapl:0/energy_uj");
        fs::remove_file(&energy).unwrap();
        fs::create_dir(&energy).unwrap();
        let mut harness = tree.harness();
        assert_eq!(harness.open(), Opened::Nothing);
        let reasons = harness.absent(Quantity::PowerInstant);
        assert!(reasons[0].contains("energy_uj"), "{reasons:?}");
    }

    #[test]
    fn a_denied_counter_says_since_when_and_what_to_do() {
        let denied = FileError::Denied("/sys/class/powercap/intel-rapl:0/energy_uj".into());
        assert_eq!(
            reason(&denied),
            "permission denied: /sys/class/powercap/intel-rapl:0/energy_uj is readable by root only; sudo chmod a+r \
             /sys/class/powercap/intel-rapl:0/energy_uj (closed to users in 2020, CVE-2020-8694)"
        );
    }

    #[test]
    fn a_missing_tree_is_absent_with_a_reason() {
        let mut harness = Tree::new().harness();
        assert_eq!(harness.open(), Opened::Nothing);
        assert!(harness.absent(Quantity::PowerInstant)[0].starts_with("no RAPL zones in "));
    }

    #[test]
    fn a_counter_that_vanishes_is_lost() {
        let tree = Tree::new();
        tree.zone("intel-rapl:0", "package-0", 0);
        let mut harness = tree.harness();
        harness.open();
        fs::write(tree.0.path().join("class/powercap/intel-rapl:0/energy_uj"), "nonsense").unwrap();
        for _ in 0..4 {
            harness.sample();
            harness.wait(std::time::Duration::from_millis(600));
        }
        let lost = harness.lost();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].0.len(), 2);
        assert!(lost[0].1.ends_with("holds \"nonsense\", not a whole number"), "{lost:?}");
    }
}
