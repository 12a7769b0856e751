use super::*;
use crate::telemetry::files::FileError;
use crate::telemetry::testing::Harness;
use std::{
    fs,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

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
    let power: Vec<_> = harness.present(Quantity::PowerInstant).map(|s| (s.device.clone(), s.label.clone())).collect();
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
    harness.wait(Duration::from_millis(100));
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
    harness.wait(Duration::from_millis(100));
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
fn cores_alone_do_not_stand_for_the_processor_and_are_named() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0:0", "core", 500);
    let mut harness = tree.harness();
    assert_eq!(harness.open(), Opened::Sampling);
    assert!(harness.present(Quantity::PowerInstant).all(|sensor| sensor.device != "cpu"));
    let reason = harness.absent(Quantity::PowerInstant)[0].clone();
    assert!(reason.starts_with("RAPL shows no package here, but ") && reason.contains("core"), "{reason}");
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
        harness.wait(Duration::from_millis(600));
    }
    let lost = harness.lost();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].0.len(), 2);
    assert!(lost[0].1.ends_with("holds \"nonsense\", not a whole number"), "{lost:?}");
}

/// A zone whose counter is shown by `zones` and advances by `watts`, until dropped.
struct Running(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Running {
    fn start(tree: &Tree, zones: &'static [(&str, u64, u64)]) -> Self {
        let running = Arc::new(AtomicBool::new(true));
        let (go_on, root) = (running.clone(), tree.0.path().join("class/powercap"));
        let begin = Instant::now();
        let thread = thread::spawn(move || {
            while go_on.load(Ordering::Relaxed) {
                let micros = begin.elapsed().as_micros() as u64;
                for (id, from, watts) in zones {
                    // Padded, so that a reader never sees the end of an older number.
                    let text = format!("{:020}\n", from + micros * watts);
                    let file = fs::OpenOptions::new().write(true).open(root.join(id).join("energy_uj")).unwrap();
                    file.write_all_at(text.as_bytes(), 0).unwrap();
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        Self(running, Some(thread))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        self.1.take().map(|thread| thread.join());
    }
}

#[test]
fn dies_that_show_the_same_counter_are_one_package() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0", "package-0-die-0", 7);
    tree.zone("intel-rapl:1", "package-0-die-1", 7);
    let _running = Running::start(&tree, &[("intel-rapl:0", 7, 40), ("intel-rapl:1", 7, 40)]);
    let mut harness = tree.harness();
    harness.open();
    let power: Vec<_> =
        harness.present(Quantity::PowerInstant).map(|s| (s.device.as_str(), s.label.as_str())).collect();
    assert_eq!(power, [("cpu", "RAPL package-0")]);
    let method = harness.present(Quantity::PowerInstant).next().unwrap().method.clone().unwrap();
    assert!(method.ends_with("2 dies of a package show the same counter, which counts once"), "{method}");
}

#[test]
fn dies_with_counters_of_their_own_are_summed() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0", "package-0-die-0", 5_000_000_000);
    tree.zone("intel-rapl:1", "package-0-die-1", 4_000_000_000);
    let _running = Running::start(&tree, &[("intel-rapl:0", 5_000_000_000, 40), ("intel-rapl:1", 4_000_000_000, 40)]);
    let mut harness = tree.harness();
    harness.open();
    let cpu = harness.present(Quantity::Energy).find(|s| s.device == "cpu").unwrap();
    assert_eq!((cpu.label.as_str(), cpu.method.as_deref()), ("RAPL packages", Some("sum of 2 dies")));
    assert_eq!(harness.present(Quantity::Energy).count(), 3);
}

#[test]
fn a_package_through_two_drivers_counts_once_and_through_memory_only_where_there_is_no_other() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0", "package-0", 500);
    tree.zone("intel-rapl:1", "package-0", 1_000);
    tree.zone("intel-rapl-mmio:0", "package-0", 500);
    let mut harness = tree.harness();
    harness.open();
    let devices =
        |harness: &Harness<Rapl>| harness.present(Quantity::Energy).map(|s| s.device.clone()).collect::<Vec<_>>();
    assert_eq!(devices(&harness), ["cpu"]);
    let tree = Tree::new();
    tree.zone("intel-rapl:1", "psys", 500);
    tree.zone("intel-rapl-mmio:0", "package-0", 500);
    let mut harness = tree.harness();
    harness.open();
    assert_eq!(devices(&harness), ["cpu", "board"]);
}

#[test]
fn a_counter_that_stands_still_is_lost_and_not_zero_watts() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0", "package-0", 1_000);
    let mut harness = tree.harness();
    harness.open();
    for _ in 0..5 {
        harness.sample();
        harness.wait(Duration::from_millis(600));
    }
    assert_eq!(harness.value("cpu", Quantity::PowerInstant), None);
    assert_eq!(harness.lost()[0].1, "the energy counter stands still");
}

#[test]
fn a_pause_is_in_no_derivative() {
    let tree = Tree::new();
    tree.zone("intel-rapl:0", "package-0", 1_000_000);
    let mut harness = tree.harness();
    harness.open();
    harness.sample();
    harness.source.restart();
    tree.energy("intel-rapl:0", 9_000_000);
    harness.wait(Duration::from_secs(9));
    harness.sample();
    assert_eq!(harness.value("cpu", Quantity::PowerInstant), None);
    assert_eq!(harness.value("cpu", Quantity::Energy), Some(0.0));
}
