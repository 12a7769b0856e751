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

fn labels(harness: &Harness<Hwmon>, device: &str) -> Vec<String> {
    harness.present(Quantity::PowerInstant).filter(|s| s.device == device).map(|s| s.label.clone()).collect()
}

/// As the kernel's `amd_energy` shows a host of `sockets` with two cores each.
fn amd_energy(sockets: u64) -> tempfile::TempDir {
    let dir = tree(&[("class/hwmon/hwmon2/name", "amd_energy")]);
    for core in 0..2 * sockets {
        write(&dir, &format!("class/hwmon/hwmon2/energy{}_label", core + 1), &format!("Ecore{core:03}"));
        write(&dir, &format!("class/hwmon/hwmon2/energy{}_input", core + 1), "1000000");
    }
    for socket in 0..sockets {
        write(
            &dir,
            &format!("class/hwmon/hwmon2/energy{}_label", 2 * sockets + socket + 1),
            &format!("Esocket{socket}"),
        );
        write(&dir, &format!("class/hwmon/hwmon2/energy{}_input", 2 * sockets + socket + 1), "7000000");
    }
    dir
}

#[test]
fn cores_are_parts_and_a_socket_is_the_processor() {
    let dir = amd_energy(1);
    let mut harness = harness(&dir);
    harness.open();
    assert_eq!(labels(&harness, "cpu"), ["amd_energy Esocket0"]);
    assert_eq!(labels(&harness, "cpu/core1"), ["amd_energy Ecore001"]);
}

#[test]
fn several_sockets_are_summed() {
    let dir = amd_energy(2);
    let mut harness = harness(&dir);
    harness.open();
    harness.sample();
    write(&dir, "class/hwmon/hwmon2/energy5_input", "8000000");
    write(&dir, "class/hwmon/hwmon2/energy6_input", "9000000");
    harness.wait(Duration::from_millis(100));
    harness.sample();
    assert_eq!(labels(&harness, "cpu"), ["amd_energy sockets"]);
    assert_eq!(harness.value("cpu", Quantity::Energy), Some(3.0));
    assert_eq!(harness.value("cpu/socket1", Quantity::Energy), Some(2.0));
    let method = harness.present(Quantity::Energy).find(|s| s.device == "cpu").unwrap().method.clone();
    assert_eq!(method.as_deref(), Some("sum of 2 sockets"));
}

#[test]
fn hundreds_of_cores_leave_room_for_other_sensors() {
    let dir = amd_energy(100);
    let mut harness = harness(&dir);
    harness.open();
    assert_eq!(harness.present(Quantity::Energy).filter(|s| s.device.starts_with("cpu/core")).count(), 64);
    assert_eq!(labels(&harness, "cpu"), ["amd_energy sockets"]);
}

#[test]
fn rails_of_a_zen_processor_are_summed() {
    let dir = tree(&[
        ("class/hwmon/hwmon4/name", "zenpower"),
        ("class/hwmon/hwmon4/power1_label", "SVI2_P_Core"),
        ("class/hwmon/hwmon4/power1_input", "45000000"),
        ("class/hwmon/hwmon4/power2_label", "SVI2_P_SoC"),
        ("class/hwmon/hwmon4/power2_input", "11000000"),
        ("class/hwmon/hwmon4/temp1_input", "51000"),
    ]);
    let mut harness = harness(&dir);
    harness.open();
    harness.sample();
    assert_eq!(labels(&harness, "cpu"), ["zenpower rails"]);
    assert_eq!(harness.value("cpu", Quantity::PowerInstant), Some(56.0));
    assert_eq!(harness.value("cpu/SVI2_P_SoC", Quantity::PowerInstant), Some(11.0));
}

#[test]
fn an_acpi_meter_has_its_files_below_device() {
    let dir = tree(&[
        ("class/hwmon/hwmon0/device/name", "power_meter"),
        ("class/hwmon/hwmon0/device/power1_average", "120000000"),
        ("class/hwmon/hwmon0/device/power1_average_interval", "1000"),
        ("class/hwmon/hwmon0/device/power1_is_battery", "0"),
        ("class/hwmon/hwmon1/device/name", "power_meter"),
        ("class/hwmon/hwmon1/device/power1_average", "9000000"),
        ("class/hwmon/hwmon1/device/power1_is_battery", "1"),
    ]);
    let mut harness = harness(&dir);
    assert_eq!(harness.open(), Opened::Sampling);
    harness.sample();
    assert_eq!(harness.value("board", Quantity::PowerAverage), Some(120.0));
    let meters: Vec<_> = harness.present(Quantity::PowerAverage).map(|s| s.method.clone().unwrap()).collect();
    assert_eq!(meters, ["averaged by the meter over 1000 ms"], "and what charges a battery is not the board's power");
}

#[test]
fn a_laptop_with_a_battery_and_an_amd_chip_has_no_sensor_of_its_processor() {
    let dir = tree(&[
        ("class/hwmon/hwmon0/name", "BAT0"),
        ("class/hwmon/hwmon0/power1_input", "23000000"),
        ("class/hwmon/hwmon1/name", "amdgpu"),
        ("class/hwmon/hwmon1/power1_input", "18000000"),
        ("class/hwmon/hwmon1/power1_label", "PPT"),
        ("class/hwmon/hwmon2/name", "k10temp"),
        ("class/hwmon/hwmon2/temp1_input", "51000"),
        ("class/hwmon/hwmon3/name", "nvme"),
        ("class/hwmon/hwmon3/temp1_input", "41000"),
    ]);
    let mut harness = harness(&dir);
    harness.open();
    harness.sample();
    assert_eq!(harness.value("gpu", Quantity::PowerInstant), Some(18.0));
    assert!(labels(&harness, "cpu").is_empty() && labels(&harness, "board").is_empty());
}

#[test]
fn an_apple_laptop_has_its_system_power_for_the_board() {
    let dir = tree(&[
        ("class/hwmon/hwmon0/name", "macsmc_hwmon"),
        ("class/hwmon/hwmon0/power1_label", "AC Input Power"),
        ("class/hwmon/hwmon0/power1_input", "31000000"),
        ("class/hwmon/hwmon0/power2_label", "Total System Power"),
        ("class/hwmon/hwmon0/power2_input", "12000000"),
        ("class/hwmon/hwmon0/power3_label", "3.8 V Rail Power"),
        ("class/hwmon/hwmon0/power3_input", "4000000"),
    ]);
    let mut harness = harness(&dir);
    harness.open();
    harness.sample();
    assert_eq!(labels(&harness, "board"), ["macsmc_hwmon Total System Power"]);
}

#[test]
fn a_pause_is_in_no_integral() {
    let dir = tree(&[("class/hwmon/hwmon0/name", "power_meter"), ("class/hwmon/hwmon0/power1_average", "100000000")]);
    let mut harness = harness(&dir);
    harness.open();
    harness.sample();
    harness.source.restart();
    harness.wait(Duration::from_millis(800));
    harness.sample();
    assert_eq!(harness.value("board", Quantity::Energy), Some(0.0));
}
