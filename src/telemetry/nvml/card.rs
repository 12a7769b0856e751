//! One card: which of its values can be read, and reading them.

use super::{
    errors::{check_loss, reason, value_unless_lost},
    info::{self, OwnProcesses},
    power::Powers,
};
use crate::{
    event::{Level, Nanos, Neighbour, Quantity, SensorId},
    telemetry::{
        builder::SensorBuilder,
        derive::{Counter, Integral, Watchdog},
        writer::SensorWriter,
    },
};
use nvml_wrapper::{
    Device,
    enum_wrappers::device::{Clock, PcieUtilCounter, TemperatureSensor},
    error::NvmlError,
};
use std::time::Duration;

/// Label of the energy counter.
const ENERGY: &str = "NVML energy counter";

/// Up to two quantities from one call of NVML.
struct Group {
    /// Milliseconds between readings; 0 for every tick.
    every_ms: u64,
    sensors: &'static [(Quantity, &'static str)],
    method: Option<&'static str>,
    read: fn(&Device<'_>) -> Result<[f64; 2], NvmlError>,
}

/// All quantities but power and energy, which need more than one call. NVML measures PCIe traffic for 20 ms per call, so that
/// is read seldom.
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

/// Milliseconds between readings of the other processes on the card.
const NEIGHBOURS_MS: u64 = 1000;

fn one(value: u32) -> [f64; 2] {
    [value.into(), 0.0]
}

// NVML says KB and counts 1,024 bytes.
fn kib_per_s(value: u32) -> [f64; 2] {
    [f64::from(value) * 1024.0, 0.0]
}

/// A card that can be read.
pub struct Card {
    device: String,
    index: u32,
    powers: Powers,
    energy: Option<Energy>,
    fast: Vec<(&'static Group, Vec<SensorId>)>,
    /// The last throttle reasons that were sent, as bits. The inner `None`: none sent yet; the outer one: NVML has none.
    throttle: Option<Option<u64>>,
    slow: Vec<Slow>,
}

/// Where the energy comes from.
enum Energy {
    Counter { id: SensorId, watchdog: Watchdog, derivative: Option<Derivative> },
    Integral(SensorId, Integral),
}

/// Power from the energy counter, for a card without another power sensor.
struct Derivative {
    id: SensorId,
    counter: Counter,
    due: Nanos,
}

/// Time between two values of a [`Derivative`]: some drivers update the counter only every 100 ms.
const DERIVATIVE_MS: u64 = 1000;

/// A slow reading with a period of its own.
struct Slow {
    due: Nanos,
    every: Nanos,
    what: What,
}

enum What {
    Group(&'static Group, Vec<SensorId>),
    /// The last neighbours that were sent; `None` before the first.
    Neighbours(Option<Vec<Neighbour>>),
}

impl Card {
    /// Reads everything once and registers it: what can be read is sampled from now on, the rest is absent with the reason.
    pub fn register(handle: &Device<'_>, index: u32, device: &str, out: &mut SensorWriter) -> Self {
        let powers = Powers::register(handle, device, out);
        let mut card = Self {
            device: device.into(),
            index,
            powers,
            energy: None,
            fast: Vec::new(),
            throttle: None,
            slow: Vec::new(),
        };
        card.energy = match handle.total_energy_consumption() {
            Ok(_) => {
                let id = out.register(SensorBuilder::new(device, Quantity::Energy, ENERGY));
                let derivative = card.powers.best().is_none().then(|| Derivative::register(device, out));
                Some(Energy::Counter { id, watchdog: Watchdog::default(), derivative })
            }
            Err(error) => card.integrate(&reason(&error), out),
        };
        for group in &GROUPS {
            card.register_group(handle, group, out);
        }
        card.register_events(handle, out);
        card
    }

    fn register_group(&mut self, handle: &Device<'_>, group: &'static Group, out: &mut SensorWriter) {
        let every = Duration::from_millis(group.every_ms).max(out.period());
        let sensors = group.sensors.iter().map(|(quantity, label)| {
            let sensor = SensorBuilder::new(&self.device, *quantity, *label).every(every);
            match group.method {
                Some(method) => sensor.method(method),
                None => sensor,
            }
        });
        match (group.read)(handle) {
            Err(error) => sensors.for_each(|sensor| out.register_absent(sensor, reason(&error))),
            Ok(_) => {
                let ids = sensors.map(|sensor| out.register(sensor)).collect();
                if group.every_ms == 0 {
                    self.fast.push((group, ids));
                } else {
                    self.later(group.every_ms, What::Group(group, ids));
                }
            }
        }
    }

    /// Throttle reasons and neighbours are not sensors: if they are missing, a notice says so.
    fn register_events(&mut self, handle: &Device<'_>, out: &mut SensorWriter) {
        let device = &self.device;
        match info::throttle_bits(handle) {
            Ok(_) => self.throttle = Some(None),
            Err(error) => {
                let text = format!("{device}: throttling can't be seen: {}", reason(&error));
                out.notice(Level::Warning, text);
            }
        }
        match info::processes(handle) {
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

    /// The next reading starts anew.
    pub fn restart(&mut self) {
        match &mut self.energy {
            None => {}
            Some(Energy::Integral(_, integral)) => integral.restart(),
            Some(Energy::Counter { watchdog, derivative, .. }) => {
                *watchdog = Watchdog::default();
                derivative.iter_mut().for_each(|derivative| derivative.counter.restart());
            }
        }
    }

    /// Its index in NVML's list.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// When the next slow reading is due.
    pub fn due(&self) -> Option<Nanos> {
        self.slow.iter().map(|slow| slow.due).min()
    }

    /// Reads the fast values.
    ///
    /// # Errors
    /// If the card is lost.
    pub fn read_fast(&mut self, handle: &Device<'_>, out: &mut SensorWriter) -> Result<(), NvmlError> {
        let power = self.powers.read(handle, out)?;
        self.read_energy(handle, power, out)?;
        for (group, ids) in &self.fast {
            read_group(handle, group, ids, out)?;
        }
        if let Some(said) = self.throttle {
            let bits = value_unless_lost(handle, info::throttle_bits(handle))?;
            if let Some(bits) = bits.filter(|bits| said != Some(*bits)) {
                self.throttle = Some(Some(bits));
                let reasons = info::throttle_reasons(bits);
                if said.is_none_or(|said| info::throttle_reasons(said) != reasons) {
                    out.throttle(&self.device, reasons);
                }
            }
        }
        Ok(())
    }

    /// Reads the slow value that is most overdue.
    ///
    /// # Errors
    /// If the card is lost.
    pub fn read_due(
        &mut self,
        handle: &Device<'_>,
        own: &OwnProcesses<'_>,
        out: &mut SensorWriter,
    ) -> Result<(), NvmlError> {
        let Some(slow) = self.slow.iter_mut().min_by_key(|slow| slow.due) else { return Ok(()) };
        slow.due = out.now() + slow.every;
        match &mut slow.what {
            What::Group(group, ids) => out.sample(|out| read_group(handle, group, ids, out)),
            What::Neighbours(said) => {
                let Some(processes) = value_unless_lost(handle, info::processes(handle))? else { return Ok(()) };
                let neighbours = info::neighbours(processes, own);
                if said.as_ref().is_none_or(|said| !info::same_processes(said, &neighbours)) {
                    out.neighbours(&self.device, neighbours.clone());
                    *said = Some(neighbours);
                }
                Ok(())
            }
        }
    }

    fn read_energy(
        &mut self,
        handle: &Device<'_>,
        power: Option<f64>,
        out: &mut SensorWriter,
    ) -> Result<(), NvmlError> {
        match &mut self.energy {
            None => {}
            Some(Energy::Integral(id, integral)) => {
                if let Some(power) = power {
                    out.write(*id, integral.push(out.now(), power));
                }
            }
            Some(Energy::Counter { id, watchdog, derivative }) => {
                let id = *id;
                match check_loss(handle, handle.total_energy_consumption())? {
                    Err(error) => out.fail(id, reason(&error)),
                    Ok(millijoules) => match watchdog.push(out.now(), millijoules, power) {
                        Ok(()) => {
                            out.write(id, millijoules as f64 * 1e-3);
                            if let Some(derivative) = derivative {
                                derivative.push(millijoules, out);
                            }
                        }
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

    /// Falls back to the integral of the sampled power because the counter fails with `reason`.
    fn integrate(&self, reason: &str, out: &mut SensorWriter) -> Option<Energy> {
        let Some(power) = self.powers.best() else {
            out.register_absent(SensorBuilder::new(&self.device, Quantity::Energy, ENERGY), reason);
            return None;
        };
        let method = format!("integral of the sampled {power}; no counter: {reason}");
        let id =
            out.register(SensorBuilder::new(&self.device, Quantity::Energy, "NVML power, integrated").method(method));
        Some(Energy::Integral(id, Integral::default()))
    }
}

impl Derivative {
    fn register(device: &str, out: &mut SensorWriter) -> Self {
        let every = Duration::from_millis(DERIVATIVE_MS).max(out.period());
        let method = format!("derivative of the energy counter over {} ms", every.as_millis());
        let id = out.register(SensorBuilder::new(device, Quantity::PowerInstant, ENERGY).method(method).every(every));
        Self { id, counter: Counter::new(1e-3, None), due: 0 }
    }

    /// Takes the counter's value, mJ.
    fn push(&mut self, millijoules: u64, out: &mut SensorWriter) {
        let now = out.now();
        if now < self.due {
            return;
        }
        self.due = now + DERIVATIVE_MS * 1_000_000;
        if let Some(watts) = self.counter.push(now, millijoules).watts {
            out.write(self.id, watts);
        }
    }
}

fn read_group(handle: &Device<'_>, group: &Group, ids: &[SensorId], out: &mut SensorWriter) -> Result<(), NvmlError> {
    match check_loss(handle, (group.read)(handle))? {
        Ok(values) => ids.iter().zip(values).for_each(|(id, value)| out.write(*id, value)),
        Err(error) => ids.iter().for_each(|id| out.fail(*id, reason(&error))),
    }
    Ok(())
}
