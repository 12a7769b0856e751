//! Which of several sensors stands for a quantity of a device.
//!
//! Hosts often have several sensors of the same thing: RAPL and `amd_energy` read the same counters, a card has an instant
//! and an averaged power. Exactly one of them stands for the device, by the fixed rank in `TABLE`. Sensors of the same
//! thing are never summed, and the order in which they were announced plays no role, because sources start on threads of
//! their own.
//!
//! A sensor of the device itself precedes one of the whole board, whatever their ranks: [`scopes`].

use crate::event::{Quantity, Sensor};

/// The pseudo-device of sensors that measure the whole board or host.
pub const BOARD: &str = "board";

/// The quantities that are a power, the preferred one first.
pub const POWER: [Quantity; 2] = [Quantity::PowerInstant, Quantity::PowerAverage];

/// The devices whose power sensors may stand for `device`, the preferred one first.
pub const fn scopes(device: &str) -> [&str; 2] {
    [device, BOARD]
}

/// Whether a sensor can stand for its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It measures the whole device.
    Whole,
    /// It measures a part of the device, so it never stands for it.
    Part,
}

/// A kind of sensor, by its source and the beginning of its label.
struct Row {
    source: &'static str,
    label: &'static str,
    role: Role,
}

const fn whole(source: &'static str, label: &'static str) -> Row {
    Row { source, label, role: Role::Whole }
}

const fn part(source: &'static str, label: &'static str) -> Row {
    Row { source, label, role: Role::Part }
}

/// The rank of all sensors, the best first; within a row instant power precedes averaged power. Sensors without a row come
/// last: each is the only one of its device, such as the GPU rail of a Jetson.
const TABLE: [Row; 23] = [
    // NVIDIA cards. The driver's instant power is the nearest to now. Its 1 s average lags behind a change of load. The
    // derivative of the energy counter is only registered if the card has neither. Rails and the kernel's own monitors come
    // after the driver, which knows the whole board with its memory.
    whole("nvml", "NVML instant"),
    whole("nvml", "NVML average"),
    whole("nvml", "NVML power usage"),
    whole("nvml", ""),
    // AMD cards and integrated GPUs: the same sensor, instant on newer cards, averaged by the firmware on older ones.
    whole("hwmon", "amdgpu power1_input"),
    whole("hwmon", "amdgpu power1_average"),
    // Intel GPUs: `card` includes memory and regulators, `pkg` is the chip alone.
    whole("hwmon", "xe card"),
    whole("hwmon", "xe"),
    whole("hwmon", "i915"),
    whole("hwmon", "nouveau"),
    // Processors. The counters of the packages, with a resolution of 1 ms.
    whole("rapl", "RAPL package"),
    // The same counters through another driver. Cores are parts of the sockets.
    whole("hwmon", "amd_energy socket"),
    whole("hwmon", "amd_energy Esocket"),
    part("hwmon", "amd_energy"),
    // The package by RAPL through this driver, then the rails at the voltage regulator, without its losses. The rail of the
    // cores stands for the processor only where there is no other.
    whole("hwmon", "zenpower RAPL_P_Package"),
    whole("hwmon", "zenpower rails"),
    whole("hwmon", "zenpower SVI2_P_Core"),
    part("hwmon", "zenpower"),
    // An estimate from the processor's activity.
    whole("hwmon", "fam15h_power"),
    // Boards, the meter nearest to the computing parts first: the platform's counter, the system power of a laptop with Apple
    // silicon, the ACPI meter of a server (averaged over about 1 s), the power supply (with its losses). A Jetson has only
    // its input rail.
    whole("rapl", "RAPL psys"),
    whole("hwmon", "macsmc_hwmon"),
    whole("hwmon", "power_meter"),
    whole("hwmon", "corsairpsu"),
];

/// Position of a sensor among those of its device and quantity; the least stands for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank<'a> {
    row: usize,
    averaged: bool,
    /// A counter of energy precedes an integral of power.
    integrated: bool,
    /// Breaks ties: `power_meter power1` precedes `power_meter power1 #2`.
    label: (usize, &'a str),
}

/// The rank of a sensor; none if it measures only a part of its device. Kinds that are not in the table come last.
pub fn rank(sensor: &Sensor) -> Option<Rank<'_>> {
    let matches = |row: &Row| row.source == sensor.source && sensor.label.starts_with(row.label);
    let row = TABLE.iter().position(matches);
    if row.is_some_and(|row| TABLE[row].role == Role::Part) {
        return None;
    }
    Some(Rank {
        row: row.unwrap_or(TABLE.len()),
        averaged: sensor.quantity == Quantity::PowerAverage,
        integrated: sensor.is_integral(),
        label: (sensor.label.len(), &sensor.label),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::sensor;

    fn of(source: &str, quantity: Quantity, label: &str) -> Sensor {
        Sensor { source: source.into(), label: label.into(), ..sensor(0, "x", quantity, None) }
    }

    fn best(candidates: &[(&str, Quantity, &str)]) -> Option<String> {
        let sensors: Vec<Sensor> =
            candidates.iter().map(|(source, quantity, label)| of(source, *quantity, label)).collect();
        let best = |sensors: &mut dyn Iterator<Item = &Sensor>| {
            sensors.filter_map(|s| Some((rank(s)?, s.label.clone()))).min().map(|(_, label)| label)
        };
        let found = best(&mut sensors.iter());
        assert_eq!(found, best(&mut sensors.iter().rev()), "the order of announcement plays no role");
        found
    }

    #[test]
    fn one_of_several_sensors_stands_for_a_device_whatever_their_order() {
        use Quantity::{PowerAverage, PowerInstant};
        for (candidates, stands) in [
            (
                &[("hwmon", PowerInstant, "amd_energy Esocket0"), ("rapl", PowerInstant, "RAPL package-0")][..],
                "RAPL package-0",
            ),
            (
                &[("hwmon", PowerInstant, "amd_energy Ecore000"), ("hwmon", PowerInstant, "amd_energy Esocket0")],
                "amd_energy Esocket0",
            ),
            (
                &[("hwmon", PowerInstant, "amd_energy Esocket0"), ("hwmon", PowerInstant, "amd_energy sockets")],
                "amd_energy sockets",
            ),
            (
                &[("hwmon", PowerInstant, "zenpower SVI2_P_SoC"), ("hwmon", PowerInstant, "zenpower SVI2_P_Core")],
                "zenpower SVI2_P_Core",
            ),
            (
                &[("hwmon", PowerInstant, "fam15h_power power1"), ("hwmon", PowerInstant, "zenpower rails")],
                "zenpower rails",
            ),
            (&[("nvml", PowerAverage, "NVML average"), ("nvml", PowerInstant, "NVML instant")], "NVML instant"),
            (&[("nvml", PowerAverage, "NVML power usage"), ("hwmon", PowerInstant, "VDD_GPU")], "NVML power usage"),
            (
                &[("hwmon", PowerAverage, "amdgpu power1_average"), ("hwmon", PowerInstant, "amdgpu power1_input")],
                "amdgpu power1_input",
            ),
            (&[("hwmon", PowerInstant, "xe pkg"), ("hwmon", PowerInstant, "xe card")], "xe card"),
            (&[("hwmon", PowerAverage, "power_meter power1"), ("rapl", PowerInstant, "RAPL psys")], "RAPL psys"),
            (
                &[("hwmon", PowerInstant, "corsairpsu power total"), ("hwmon", PowerAverage, "power_meter power1")],
                "power_meter power1",
            ),
            (
                &[("hwmon", PowerAverage, "power_meter power1 #2"), ("hwmon", PowerAverage, "power_meter power1")],
                "power_meter power1",
            ),
        ] {
            assert_eq!(best(candidates).as_deref(), Some(stands), "{candidates:?}");
        }
        assert_eq!(best(&[("hwmon", PowerInstant, "amd_energy Ecore000")]), None, "a core is not the processor");
    }

    #[test]
    fn an_energy_counter_precedes_an_integral() {
        let integral = Sensor { method: Some("integral of power1".into()), ..of("x", Quantity::Energy, "power1") };
        assert!(rank(&of("x", Quantity::Energy, "a longer label")) < rank(&integral));
        assert!(rank(&of("rapl", Quantity::Energy, "RAPL package-0")) < rank(&integral));
    }
}
