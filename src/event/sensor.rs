//! Sensors: what each one measures, in which unit, and how.

use super::ids::SensorId;
use serde::{Deserialize, Serialize};

/// What a sensor measures. The unit follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Power, with the shortest averaging window that the sensor offers. W.
    PowerInstant,
    /// Power, averaged by the sensor itself over about a second. W.
    PowerAverage,
    /// Energy counter with an arbitrary origin: only differences are meaningful. J.
    Energy,
    /// Power limit in force. W.
    PowerCap,
    /// Share of time in which the compute units were busy. %.
    Utilisation,
    /// Share of time in which the memory was read or written. %.
    MemoryUtilisation,
    /// Clock of the compute units. MHz.
    ComputeClock,
    /// Clock of the memory. MHz.
    MemoryClock,
    /// Temperature. °C.
    Temperature,
    /// Fan speed as a share of its maximum. %.
    Fan,
    /// Memory in use by all processes. Bytes.
    MemoryUsed,
    /// Size of the memory. Bytes.
    MemoryTotal,
    /// Received over PCIe. Bytes/s.
    PcieReceive,
    /// Sent over PCIe. Bytes/s.
    PcieSend,
    /// Processor time of the engine as a share of all processors. %.
    EngineUtilisation,
    /// Resident set of the engine. Bytes.
    EngineMemory,
    /// Share of the scheduling periods in which the limit of processor time ran out. %.
    CpuThrottled,
}

impl Quantity {
    /// Unit of the values, as printed behind them.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::PowerInstant | Self::PowerAverage | Self::PowerCap => "W",
            Self::Energy => "J",
            Self::Utilisation | Self::MemoryUtilisation | Self::Fan | Self::EngineUtilisation | Self::CpuThrottled => {
                "%"
            }
            Self::ComputeClock | Self::MemoryClock => "MHz",
            Self::Temperature => "°C",
            Self::MemoryUsed | Self::MemoryTotal | Self::EngineMemory => "B",
            Self::PcieReceive | Self::PcieSend => "B/s",
        }
    }
}

/// One sensor: where a number comes from, and what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    /// Its number in [`Body::Samples`](super::Body::Samples).
    pub id: SensorId,
    /// The source that reads it: `nvml`, `hwmon`, `rapl`, `host`.
    pub source: String,
    /// What it belongs to: a device name (`cuda:0`, `cpu`), `host`, or `board` for a rail that feeds everything.
    pub device: String,
    /// What it measures.
    pub quantity: Quantity,
    /// As printed beside the number: `NVML instant`, `RAPL package-0`.
    pub label: String,
    /// How the value is obtained, where it is not a plain reading: `derivative of the energy counter over 50 ms`,
    /// `integral of the sampled power`, `averaged by the sensor over 1 s`.
    pub method: Option<String>,
    /// Time between readings, ms.
    pub period_ms: u32,
    /// Why it can't be read. An absent sensor has no samples.
    pub absent: Option<String>,
}

impl Sensor {
    /// Whether its power is computed from an energy counter: the mean power of a time is then the difference of the counter.
    pub fn is_derivative(&self) -> bool {
        self.method.as_ref().is_some_and(|method| method.starts_with("derivative of the energy counter"))
    }

    /// Whether its energy is computed from power that was sampled: then it holds no more than the readings of power do.
    pub fn is_integral(&self) -> bool {
        self.method.as_ref().is_some_and(|method| method.starts_with("integral of"))
    }
}

/// What a sensor read before the engine started.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdleReading {
    /// The sensor.
    pub sensor: SensorId,
    /// Number of readings.
    pub readings: u64,
    /// Their mean, in the unit of the sensor's quantity.
    pub mean: f64,
    /// Their standard deviation, in the same unit; 0 for a single reading.
    pub deviation: f64,
}
