//! Names and units of sensor readings in metrics, where units are base units and shares go from 0 to 1.

use crate::event::Quantity;
use prometheus_client::registry::Unit;

/// The metric of a quantity.
pub struct Metric {
    /// Its name without prefix and unit.
    pub name: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Factor from the sensor's unit to the metric's.
    pub factor: f64,
}

/// The metric of a quantity.
pub fn metric(quantity: Quantity) -> Metric {
    let of = |name, help, unit, factor| Metric { name, help, unit, factor };
    let hertz = || Unit::Other("hertz".to_owned());
    let ratio = ratio();
    match quantity {
        Quantity::PowerInstant => of("power_instant", "Power as near to now as the sensor gets", watts(), 1.0),
        Quantity::PowerAverage => {
            of("power_average", "Power averaged by the sensor itself over about 1 s", watts(), 1.0)
        }
        Quantity::Energy => of("energy", "Energy since some moment in the past", Unit::Joules, 1.0),
        Quantity::PowerCap => of("power_cap", "Power limit in force", watts(), 1.0),
        Quantity::Utilisation => of("utilisation", "Share of time in which the compute units were busy", ratio, 0.01),
        Quantity::MemoryUtilisation => {
            of("memory_utilisation", "Share of time in which the memory was read or written", ratio, 0.01)
        }
        Quantity::ComputeClock => of("compute_clock", "Clock of the compute units", hertz(), 1e6),
        Quantity::MemoryClock => of("memory_clock", "Clock of the memory", hertz(), 1e6),
        Quantity::Temperature => of("temperature", "Temperature", Unit::Celsius, 1.0),
        Quantity::Fan => of("fan", "Fan speed as a share of its maximum", ratio, 0.01),
        Quantity::MemoryUsed => of("memory_used", "Memory in use by everybody", Unit::Bytes, 1.0),
        Quantity::MemoryTotal => of("memory_size", "Memory that there is", Unit::Bytes, 1.0),
        Quantity::PcieReceive => of("pcie_receive", "Received over PCIe", rate(), 1.0),
        Quantity::PcieSend => of("pcie_send", "Sent over PCIe", rate(), 1.0),
        Quantity::EngineUtilisation => {
            of("engine_utilisation", "Processor time of the engine as a share of all processors", ratio, 0.01)
        }
        Quantity::CpuThrottled => {
            of("cpu_throttled", "Share of the periods in which the limit of processor time ran out", ratio, 0.01)
        }
        Quantity::EngineMemory => of("engine_resident_memory", "Resident set of the engine", Unit::Bytes, 1.0),
    }
}

/// The unit of shares from 0 to 1. Prometheus's guide asks for the singular; the crate's own unit is a plural.
pub fn ratio() -> Unit {
    Unit::Other("ratio".to_owned())
}

/// Watts.
pub fn watts() -> Unit {
    Unit::Other("watts".to_owned())
}

/// Bytes per second.
pub fn rate() -> Unit {
    Unit::Other("bytes_per_second".to_owned())
}
