//! Delays the first engine until idle power has been measured, because net power is gross power less the idle power just
//! before.

use crate::{
    backend::device,
    event::{Body, DeviceKind, Quantity, Sensor},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// Longest wait for a card's driver to report whether it has a power sensor.
const CARD_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the sensors in sysfs, which open faster.
const HOST_TIMEOUT: Duration = Duration::from_millis(400);

/// The power sensors that have been announced so far.
#[derive(Debug)]
pub struct IdleGate {
    began: Instant,
    announced: BTreeSet<String>,
    /// Devices with a readable power sensor, and since when.
    power: Vec<(String, Instant)>,
}

impl IdleGate {
    /// No sensors so far.
    pub fn new(now: Instant) -> Self {
        Self { began: now, announced: BTreeSet::new(), power: Vec::new() }
    }

    /// Takes note of announced sensors.
    pub fn on_event(&mut self, now: Instant, body: &Body) {
        let Body::Sensors { sensors } = body else { return };
        let power =
            |s: &&Sensor| s.absent.is_none() && matches!(s.quantity, Quantity::PowerInstant | Quantity::PowerAverage);
        self.announced.extend(sensors.iter().map(|s| s.source.clone()));
        self.power.extend(sensors.iter().filter(power).map(|s| (s.device.clone(), now)));
    }

    /// When an engine on `device` may start if idle power is measured for `idle` first; none if it may start at once.
    pub fn opens(&self, device: &str, idle: Duration) -> Option<Instant> {
        if let Some((_, since)) = self.power.iter().find(|(d, _)| d == device || d == "board") {
            return Some(*since + idle);
        }
        let all = device::sensors_of(device).iter().all(|source| self.announced.contains(*source));
        let timeout = match device::traits_of(device).kind {
            DeviceKind::Card => CARD_TIMEOUT,
            DeviceKind::Processor => HOST_TIMEOUT,
        };
        (!all).then(|| self.began + timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sensors(source: &str, device: &str, absent: Option<&str>) -> Body {
        Body::Sensors {
            sensors: vec![Sensor {
                id: 1,
                source: source.into(),
                device: device.into(),
                quantity: Quantity::PowerInstant,
                label: String::new(),
                method: None,
                period_ms: 50,
                absent: absent.map(str::to_owned),
            }],
        }
    }

    #[test]
    fn an_engine_waits_for_idle_power_only_where_there_is_a_sensor_for_it() {
        let now = Instant::now();
        let idle = Duration::from_secs(1);
        let mut gate = IdleGate::new(now);
        assert_eq!(gate.opens("cuda:0", idle), Some(now + CARD_TIMEOUT));
        assert_eq!(gate.opens("cpu", idle), Some(now + HOST_TIMEOUT));
        gate.on_event(now, &sensors("rapl", "cpu", Some("root only")));
        gate.on_event(now, &sensors("hwmon", "cpu", Some("none")));
        assert_eq!(gate.opens("cpu", idle), None);
        gate.on_event(now, &sensors("nvml", "cuda:0", None));
        assert_eq!(gate.opens("cuda:0", idle), Some(now + idle));
    }
}
