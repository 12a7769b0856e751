//! One card: which of its numbers can be read, and the reading of them.

use super::{
    facts::{self, Ours},
    reason,
};
use crate::{
    event::{Level, Nanos, Neighbour, Quantity, SensorId},
    telemetry::{
        Draft, Outlet,
        derive::{Integral, Watchdog},
    },
};
use nvml_wrapper::{
    Device,
    enum_wrappers::device::{Clock, PcieUtilCounter, TemperatureSensor},
    enums::device::{DeviceArchitecture, SampleValue},
    error::NvmlError,
    structs::device::FieldId,
    sys_exports::field_id::{NVML_FI_DEV_POWER_AVERAGE, NVML_FI_DEV_POWER_INSTANT},
};
use std::time::Duration;

/// Label of the energy sensor, whether read or integrated.
const ENERGY: &str = "NVML energy counter";

/// What one call of NVML tells: up to two quantities.
struct Group {
    /// Milliseconds between readings; 0 for every tick.
    every_ms: u64,
    sensors: &'static [(Quantity, &'static str)],
    method: Option<&'static str>,
    read: fn(&Device<'_>) -> Result<[f64; 2], NvmlError>,
}

/// Everything but power and energy, which need more than a call. NVML measures PCIe traffic by watching it for 20 ms,
/// so that is read seldom.
const GROUPS: [Group; 9] = [
    Group {
        every_ms: 0,
        sensors: &[(Quantity::Utilisation, "NVML"), (Quantity::MemoryUtilisation, "NVML")],
        method: Some("share of the driver's last sample period (1/6 s to 1 s)"),
        read: |card| card.utilization_rates().map(|busy| [busy.gpu.into(), busy.memory.into()]),
    },
    Group {
        every_ms: 100,
        sensors: &[(Quantity::ComputeClock, "NVML SM")],
        method: None,
        read: |card| card.clock_info(Clock::SM).map(one),
    },
    Group {
        every_ms: 250,
        sensors: &[(Quantity::MemoryClock, "NVML memory")],
        method: None,
        read: |card| card.clock_info(Clock::Memory).map(one),
    },
    Group {
        every_ms: 250,
        sensors: &[(Quantity::MemoryUsed, "NVML"), (Quantity::MemoryTotal, "NVML")],
        method: None,
        read: |card| card.memory_info().map(|memory| [memory.used as f64, memory.total as f64]),
    },
    Group {
        every_ms: 500,
        sensors: &[(Quantity::Temperature, "NVML")],
        method: None,
        read: |card| card.temperature(TemperatureSensor::Gpu).map(one),
    },
    Group {
        every_ms: 1000,
        sensors: &[(Quantity::Fan, "NVML fan 0")],
        method: None,
        read: |card| card.fan_speed(0).map(one),
    },
    Group {
        every_ms: 1000,
        sensors: &[(Quantity::PowerCap, "NVML enforced limit")],
        method: None,
        read: |card| card.enforced_power_limit().map(|mw| [f64::from(mw) * 1e-3, 0.0]),
    },
    Group {
        every_ms: 1000,
        sensors: &[(Quantity::PcieReceive, "NVML")],
        method: Some("over 20 ms"),
        read: |card| card.pcie_throughput(PcieUtilCounter::Receive).map(kib_per_s),
    },
    Group {
        every_ms: 1000,
        sensors: &[(Quantity::PcieSend, "NVML")],
        method: Some("over 20 ms"),
        read: |card| card.pcie_throughput(PcieUtilCounter::Send).map(kib_per_s),
    },
];

/// Milliseconds between looks at who else is on the card.
const NEIGHBOURS_MS: u64 = 1000;

fn one(value: u32) -> [f64; 2] {
    [value.into(), 0.0]
}

// NVML says KB and counts 1,024 bytes.
fn kib_per_s(value: u32) -> [f64; 2] {
    [f64::from(value) * 1024.0, 0.0]
}

/// A card that answers.
pub struct Card {
    device: String,
    index: u32,
    instant: Option<Power>,
    average: Option<Power>,
    energy: Option<Energy>,
    fast: Vec<(&'static Group, Vec<SensorId>)>,
    /// The last throttle reasons said, as bits; `None` inside before the first, `None` outside where NVML tells none.
    throttle: Option<Option<u64>>,
    slow: Vec<Slow>,
}

/// A power sensor and where it comes from.
type Power = (SensorId, Meter);

/// Where a power comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meter {
    /// A field of `nvmlDeviceGetFieldValues`, which says which power it is.
    Field,
    /// `nvmlDeviceGetPowerUsage`, whose meaning depends on the card's architecture.
    Usage,
}

/// Where the energy comes from.
enum Energy {
    Counter(SensorId, Watchdog),
    Integral(SensorId, Integral),
}

/// Something that is read when it is due.
struct Slow {
    due: Nanos,
    every: Nanos,
    what: What,
}

enum What {
    Group(&'static Group, Vec<SensorId>),
    /// The last neighbours said; `None` before the first.
    Neighbours(Option<Vec<Neighbour>>),
}

impl Card {
    /// Tries everything once and announces it: what answers is read from now on, the rest is absent with its reason.
    pub fn announce(handle: &Device<'_>, index: u32, device: &str, out: &mut Outlet) -> Self {
        let (instant, average) = announce_power(handle, device, out);
        let mut card = Self {
            device: device.into(),
            index,
            instant,
            average,
            energy: None,
            fast: Vec::new(),
            throttle: None,
            slow: Vec::new(),
        };
        card.energy = match handle.total_energy_consumption() {
            Ok(_) => {
                let id = out.present(Draft::new(device, Quantity::Energy, ENERGY));
                Some(Energy::Counter(id, Watchdog::default()))
            }
            Err(error) => card.integrate(&reason(&error), out),
        };
        for group in &GROUPS {
            card.announce_group(handle, group, out);
        }
        card.announce_events(handle, out);
        card
    }

    fn announce_group(&mut self, handle: &Device<'_>, group: &'static Group, out: &mut Outlet) {
        let every = Duration::from_millis(group.every_ms).max(out.period());
        let drafts = group.sensors.iter().map(|(quantity, label)| {
            let draft = Draft::new(&self.device, *quantity, *label).every(every);
            match group.method {
                Some(method) => draft.method(method),
                None => draft,
            }
        });
        match (group.read)(handle) {
            Err(error) => drafts.for_each(|draft| out.absent(draft, reason(&error))),
            Ok(_) => {
                let ids = drafts.map(|draft| out.present(draft)).collect();
                if group.every_ms == 0 {
                    self.fast.push((group, ids));
                } else {
                    self.later(group.every_ms, What::Group(group, ids));
                }
            }
        }
    }

    /// Throttle reasons and neighbours are no sensors: where they are missing, a notice says so.
    fn announce_events(&mut self, handle: &Device<'_>, out: &mut Outlet) {
        let device = &self.device;
        match facts::throttle_bits(handle) {
            Ok(_) => self.throttle = Some(None),
            Err(error) => {
                let text = format!("{device}: throttling can't be seen: {}", reason(&error));
                out.notice(Level::Warning, text);
            }
        }
        match facts::processes(handle) {
            Ok(_) => self.later(NEIGHBOURS_MS, What::Neighbours(None)),
            Err(error) => {
                let text = format!("{device}: other processes on the card can't be seen: {}", reason(&error));
                out.notice(Level::Info, text);
            }
        }
    }

    fn later(&mut self, every_ms: u64, what: What) {
        self.slow.push(Slow { due: 0, every: every_ms * 1_000_000, what });
    }

    /// Its index in NVML's list.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// When the first of its slow readings is due.
    pub fn due(&self) -> Option<Nanos> {
        self.slow.iter().map(|slow| slow.due).min()
    }

    /// Reads what changes fast. An error means that the card is lost.
    pub fn read_fast(&mut self, handle: &Device<'_>, out: &mut Outlet) -> Result<(), NvmlError> {
        let power = self.read_power(handle, out)?;
        self.read_energy(handle, power, out)?;
        for (group, ids) in &self.fast {
            read_group(handle, group, ids, out)?;
        }
        if let Some(said) = self.throttle {
            let bits = survive(handle, facts::throttle_bits(handle))?;
            if let Some(bits) = bits.filter(|bits| said != Some(*bits)) {
                self.throttle = Some(Some(bits));
                let reasons = facts::throttle_words(bits);
                if said.is_none_or(|said| facts::throttle_words(said) != reasons) {
                    out.throttle(&self.device, reasons);
                }
            }
        }
        Ok(())
    }

    /// Reads the one slow thing that is most overdue. An error means that the card is lost.
    pub fn read_due(&mut self, handle: &Device<'_>, ours: &Ours<'_>, out: &mut Outlet) -> Result<(), NvmlError> {
        let Some(slow) = self.slow.iter_mut().min_by_key(|slow| slow.due) else { return Ok(()) };
        slow.due = out.now() + slow.every;
        match &mut slow.what {
            What::Group(group, ids) => out.reading(|out| read_group(handle, group, ids, out)),
            What::Neighbours(said) => {
                let Some(processes) = survive(handle, facts::processes(handle))? else { return Ok(()) };
                let neighbours = facts::neighbours(processes, ours);
                if said.as_ref().is_none_or(|said| !facts::same_processes(said, &neighbours)) {
                    out.neighbours(&self.device, neighbours.clone());
                    *said = Some(neighbours);
                }
                Ok(())
            }
        }
    }

    /// Puts down both powers and returns the one nearest to now, watts.
    fn read_power(&self, handle: &Device<'_>, out: &mut Outlet) -> Result<Option<f64>, NvmlError> {
        let uses = |meter| [self.instant, self.average].iter().flatten().any(|(_, with)| *with == meter);
        let fields = uses(Meter::Field).then(|| field_powers(handle));
        let usage = uses(Meter::Usage).then(|| handle.power_usage().map(watts));
        let mut read = |sensor: Option<Power>, field: usize| {
            let (id, meter) = sensor?;
            let read = match (meter, &fields, &usage) {
                (Meter::Field, Some(fields), _) => fields[field].as_ref(),
                (Meter::Usage, _, Some(usage)) => usage.as_ref(),
                _ => return None,
            };
            match read {
                Ok(watts) => out.put(id, *watts),
                Err(error) => out.fail(id, reason(error)),
            }
            read.ok().copied()
        };
        let (instant, average) = (read(self.instant, 0), read(self.average, 1));
        let [first, second] = fields.unwrap_or([Ok(0.0), Ok(0.0)]);
        for result in [first, second, usage.unwrap_or(Ok(0.0))] {
            survive(handle, result)?;
        }
        Ok(instant.or(average))
    }

    fn read_energy(&mut self, handle: &Device<'_>, power: Option<f64>, out: &mut Outlet) -> Result<(), NvmlError> {
        match &mut self.energy {
            None => {}
            Some(Energy::Integral(id, integral)) => {
                if let Some(power) = power {
                    out.put(*id, integral.push(out.now(), power));
                }
            }
            Some(Energy::Counter(id, watchdog)) => {
                let id = *id;
                match lose(handle, handle.total_energy_consumption())? {
                    Err(error) => out.fail(id, reason(&error)),
                    Ok(millijoules) => match watchdog.push(out.now(), millijoules, power) {
                        Ok(()) => out.put(id, millijoules as f64 * 1e-3),
                        Err(wrong) => {
                            out.lose(id, &wrong);
                            self.energy = self.integrate(&wrong, out);
                        }
                    },
                }
            }
        }
        Ok(())
    }

    /// Takes the integral of the sampled power for the energy, because of `reason`.
    fn integrate(&self, reason: &str, out: &mut Outlet) -> Option<Energy> {
        let power = match (self.instant, self.average) {
            (Some(_), _) => "instant power",
            (None, Some(_)) => "1 s average power",
            (None, None) => {
                out.absent(Draft::new(&self.device, Quantity::Energy, ENERGY), reason);
                return None;
            }
        };
        let method = format!("integral of the sampled {power}; no counter: {reason}");
        let id = out.present(Draft::new(&self.device, Quantity::Energy, "NVML power, integrated").method(method));
        Some(Energy::Integral(id, Integral::default()))
    }
}

fn read_group(handle: &Device<'_>, group: &Group, ids: &[SensorId], out: &mut Outlet) -> Result<(), NvmlError> {
    match lose(handle, (group.read)(handle))? {
        Ok(values) => ids.iter().zip(values).for_each(|(id, value)| out.put(*id, value)),
        Err(error) => ids.iter().for_each(|id| out.fail(*id, reason(&error))),
    }
    Ok(())
}

/// Announces the power now and the 1 s average, each from the field that says which it is; where there is no such field,
/// `nvmlDeviceGetPowerUsage` stands in for the one of the two that it is on this architecture.
fn announce_power(handle: &Device<'_>, device: &str, out: &mut Outlet) -> (Option<Power>, Option<Power>) {
    let usage = handle.power_usage();
    let meaning = usage_meaning(handle);
    let [instant, average] = field_powers(handle);
    let mut announce = |quantity, field: Result<f64, NvmlError>, draft: Draft| match field {
        Ok(_) => Some((out.present(draft), Meter::Field)),
        Err(_) if usage.is_ok() && meaning.quantity == quantity => {
            let draft = Draft::new(device, quantity, "NVML power usage").method(meaning.method);
            Some((out.present(draft), Meter::Usage))
        }
        Err(error) => {
            out.absent(draft, reason(&error));
            None
        }
    };
    let now = Draft::new(device, Quantity::PowerInstant, "NVML instant");
    let now = if part_time(handle) { now.method("the sensor looks at about 25 ms of every 100 ms") } else { now };
    let mean = Draft::new(device, Quantity::PowerAverage, "NVML average").method("averaged by the driver over 1 s");
    (announce(Quantity::PowerInstant, instant, now), announce(Quantity::PowerAverage, average, mean))
}

/// What `nvmlDeviceGetPowerUsage` is on a card.
struct Meaning {
    quantity: Quantity,
    method: &'static str,
}

/// NVML's documentation: a 1 s average on Ampere and newer, GA100 excepted; the power now on GA100 and older.
fn usage_meaning(handle: &Device<'_>) -> Meaning {
    use DeviceArchitecture as A;
    let now =
        Meaning { quantity: Quantity::PowerInstant, method: "nvmlDeviceGetPowerUsage, the power now on this card" };
    let method = "nvmlDeviceGetPowerUsage, averaged by the driver over 1 s on this card";
    let average = Meaning { quantity: Quantity::PowerAverage, method };
    match handle.architecture() {
        Ok(A::Kepler | A::Maxwell | A::Pascal | A::Volta | A::Turing) => now,
        Ok(A::Ampere) if is_ga100(handle) => now,
        Ok(A::Ampere | A::Ada | A::Hopper | A::Blackwell) | Err(NvmlError::UnexpectedVariant(_)) => average,
        Ok(A::Unknown) | Err(_) => Meaning {
            method: "nvmlDeviceGetPowerUsage: a 1 s average on Ampere and newer; this card's architecture is not known",
            ..average
        },
    }
}

/// A100 and H100: their "instant" sensor samples a quarter of the time (arXiv 2312.02741).
fn part_time(handle: &Device<'_>) -> bool {
    matches!(handle.architecture(), Ok(DeviceArchitecture::Hopper)) || is_ga100(handle)
}

/// PCI device ids 0x20xx are GA100: A100, A30, A800.
fn is_ga100(handle: &Device<'_>) -> bool {
    handle.pci_info().is_ok_and(|pci| pci.pci_device_id >> 24 == 0x20)
}

/// Power now and 1 s average by the fields of those names, watts; one call of the driver.
fn field_powers(handle: &Device<'_>) -> [Result<f64, NvmlError>; 2] {
    let fields = [FieldId(NVML_FI_DEV_POWER_INSTANT), FieldId(NVML_FI_DEV_POWER_AVERAGE)];
    let mut values = match handle.field_values_for(&fields) {
        Ok(values) => values.into_iter(),
        // NVML's errors can't be cloned, but each is a code, and the code is an error again.
        Err(NvmlError::FailedToLoadSymbol(symbol)) => {
            return [Err(NvmlError::FailedToLoadSymbol(symbol.clone())), Err(NvmlError::FailedToLoadSymbol(symbol))];
        }
        Err(error) => {
            let code = u32::from(error);
            return [Err(code.into()), Err(code.into())];
        }
    };
    let mut next = || {
        let value = values.next().ok_or(NvmlError::NoData)??.value?;
        Ok(1e-3
            * match value {
                SampleValue::F64(value) => value,
                SampleValue::U32(value) => value.into(),
                SampleValue::U64(value) => value as f64,
                SampleValue::I64(value) => value as f64,
            })
    };
    [next(), next()]
}

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) * 1e-3
}

/// Whether an error means that the whole card is gone, not one of its numbers.
pub fn is_loss(error: &NvmlError) -> bool {
    use NvmlError as E;
    matches!(
        error,
        E::GpuLost | E::Unknown | E::Uninitialized | E::ResetRequired | E::DriverNotLoaded | E::LibRmVersionMismatch
    )
}

/// Hands on a loss as an error of the whole reading, and anything else as the result that it is.
///
/// Drivers say `Unknown` of single functions too: then the power has the last word on whether the card is gone.
fn lose<T>(handle: &Device<'_>, result: Result<T, NvmlError>) -> Result<Result<T, NvmlError>, NvmlError> {
    match result {
        Err(NvmlError::Unknown) if !handle.power_usage().is_err_and(|error| is_loss(&error)) => {
            Ok(Err(NvmlError::Unknown))
        }
        Err(error) if is_loss(&error) => Err(error),
        result => Ok(result),
    }
}

/// The value, unless this one failed; a loss stays an error.
fn survive<T>(handle: &Device<'_>, result: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    lose(handle, result).map(Result::ok)
}
