//! How long the first engine waits so that idle power is measured just before it starts (MEASURING.md, rule 11).

use crate::{
    backend::device,
    event::{Body, DeviceKind, Quantity, Sensor},
};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

/// A card's driver takes this long at most to say whether it tells power.
const CARD_PATIENCE: Duration = Duration::from_secs(3);
/// Files of the host are read faster.
const HOST_PATIENCE: Duration = Duration::from_millis(400);

/// What the sources have said of their power sensors.
#[derive(Debug)]
pub struct IdleGate {
    began: Instant,
    announced: BTreeSet<String>,
    /// Devices with a power sensor that can be read, and since when.
    power: Vec<(String, Instant)>,
}

impl IdleGate {
    /// Nothing was announced yet.
    pub fn new(now: Instant) -> Self {
        Self { began: now, announced: BTreeSet::new(), power: Vec::new() }
    }

    /// Takes note of what a source announces.
    pub fn see(&mut self, now: Instant, body: &Body) {
        let Body::Sensors { sensors } = body else { return };
        let power =
            |s: &&Sensor| s.absent.is_none() && matches!(s.quantity, Quantity::PowerInstant | Quantity::PowerAverage);
        self.announced.extend(sensors.iter().map(|s| s.source.clone()));
        self.power.extend(sensors.iter().filter(power).map(|s| (s.device.clone(), now)));
    }

    /// When an engine on `device` may start, given `idle` of reading first; none where it may at once.
    pub fn opens(&self, device: &str, idle: Duration) -> Option<Instant> {
        if let Some((_, since)) = self.power.iter().find(|(d, _)| d == device || d == "board") {
            return Some(*since + idle);
        }
        let all = device::sensors_of(device).iter().all(|source| self.announced.contains(*source));
        let patience = match device::traits_of(device).kind {
            DeviceKind::Card => CARD_PATIENCE,
            DeviceKind::Processor => HOST_PATIENCE,
        };
        (!all).then(|| self.began + patience)
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
        assert_eq!(gate.opens("cuda:0", idle), Some(now + CARD_PATIENCE));
        assert_eq!(gate.opens("cpu", idle), Some(now + HOST_PATIENCE));
        gate.see(now, &sensors("rapl", "cpu", Some("root only")));
        gate.see(now, &sensors("hwmon", "cpu", Some("none")));
        assert_eq!(gate.opens("cpu", idle), None);
        gate.see(now, &sensors("nvml", "cuda:0", None));
        assert_eq!(gate.opens("cuda:0", idle), Some(now + idle));
    }
}
