//! Energy counters of the processor (RAPL: Intel, and AMD since Zen) from the kernel's powercap tree.
//!
//! `/sys/class/powercap/intel-rapl:0/{name,energy_uj,max_energy_range_uj}`: µJ since boot, wrapping around at the range,
//! updated by the processor about every millisecond.
//!
//! ```text
//! intel-rapl:0     package-0     the device cpu; several packages are summed, and are also cpu/package-0 …
//! intel-rapl:0:0     core        cpu/package-0/core: a part of the package
//! intel-rapl:0:1     dram        cpu/package-0/dram: beside the package on a server, a part of it on a client
//! intel-rapl:1     psys          the device board: the whole platform
//! intel-rapl-mmio:0              the same package through memory: used only if there is no package above
//! ```
//!
//! On processors of several dies the zones are `package-0-die-0`, `package-0-die-1` … Some of them have a counter per die,
//! whose sum is the package; on others every die shows the counter of the package (`zones`).

mod zones;

use super::{
    builder::SensorBuilder,
    derive::Advance,
    options::Options,
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::event::{Quantity, SensorId};
use std::path::PathBuf;
use zones::{Zone, Zones, reason};

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
        let (label, notes) = (label(&zones), notes(&zones));
        let derivative = format!("derivative of the energy counter over {} ms", out.period().as_millis());
        let method = [vec![derivative], notes.clone()].concat().join(", ");
        let power = SensorBuilder::new(device, Quantity::PowerInstant, &label).method(method);
        let mut energy = SensorBuilder::new(device, Quantity::Energy, &label);
        if !notes.is_empty() {
            energy = energy.method(notes.join(", "));
        }
        match zones.iter_mut().try_for_each(Zone::probe) {
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
        let Zones { packages, others } = zones::find(&self.tree);
        if packages.is_empty() && others.is_empty() {
            let reason = format!("no RAPL zones in {}: not an x86 host, or a virtual one", self.tree.display());
            out.register_absent(SensorBuilder::new("cpu", Quantity::PowerInstant, "RAPL"), reason);
            return Opened::Nothing;
        }
        if packages.len() > 1 {
            for zone in &packages {
                self.register(&zone.device, vec![zone.reopened()], out);
            }
        }
        if packages.is_empty() {
            // A part of the processor does not stand for it.
            let names: Vec<&str> = others.iter().map(|zone| zone.name.as_str()).collect();
            let reason = format!("RAPL shows no package here, but {}", names.join(", "));
            out.register_absent(SensorBuilder::new("cpu", Quantity::PowerInstant, "RAPL"), reason);
        } else {
            self.register("cpu", packages, out);
        }
        for zone in others {
            self.register(&zone.device.clone(), vec![zone], out);
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
                    Err(reason) => {
                        out.fail(meter.energy, &reason);
                        out.fail(meter.power, reason);
                    }
                }
            }
        });
    }

    fn restart(&mut self) {
        self.meters.iter_mut().flat_map(|meter| &mut meter.zones).for_each(Zone::restart);
    }
}

impl Meter {
    /// The sum of its zones. The counters are read one after the other, so each has a derivative of its own.
    fn read(&mut self, out: &SensorWriter) -> Result<Advance, String> {
        let mut sum = Advance { joules: 0.0, watts: Some(0.0) };
        for zone in &mut self.zones {
            let advance = zone.read(|| out.now())?;
            sum.joules += advance.joules;
            sum.watts = sum.watts.zip(advance.watts).map(|(all, one)| all + one);
        }
        Ok(sum)
    }
}

fn label(zones: &[Zone]) -> String {
    match zones {
        [zone] => format!("RAPL {}", zone.name),
        _ => "RAPL packages".into(),
    }
}

/// What is to be known about the value of a meter, beside its label.
fn notes(zones: &[Zone]) -> Vec<String> {
    let mut notes = Vec::new();
    if zones.len() > 1 {
        let what = if zones.iter().any(|zone| zone.is_die()) { "dies" } else { "packages" };
        notes.push(format!("sum of {} {what}", zones.len()));
    }
    if let Some(dies) = zones.iter().map(|zone| zone.same_counters + 1).max().filter(|dies| *dies > 1) {
        notes.push(format!("{dies} dies of a package show the same counter, which counts once"));
    }
    notes
}

#[cfg(test)]
mod tests;
