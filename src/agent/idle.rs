//! Delays the first engine until idle power has been measured, because net power is gross power less the idle power just
//! before.

use crate::{
    backend::device,
    event::{Body, DeviceKind, Sensor, SensorId},
    telemetry::rank::{self, POWER},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// Longest wait for a card's driver to report whether it has a power sensor.
const CARD_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the sensors in sysfs, which open faster.
const HOST_TIMEOUT: Duration = Duration::from_millis(400);

/// Sources that may have a power sensor of the board, which stands for any device without one of its own.
const BOARD_SOURCES: [&str; 2] = ["rapl", "hwmon"];

/// The power sensors that have been announced so far.
#[derive(Debug)]
pub struct IdleGate {
    began: Instant,
    /// The sources that are sampled.
    sources: Vec<&'static str>,
    announced: BTreeSet<String>,
    /// Power sensors that can be read, and since when.
    power: BTreeMap<SensorId, (Sensor, Instant)>,
}

impl IdleGate {
    /// No sensors so far; those of `sources` will come.
    pub fn new(now: Instant, sources: Vec<&'static str>) -> Self {
        Self { began: now, sources, announced: BTreeSet::new(), power: BTreeMap::new() }
    }

    /// Takes note of announced and lost sensors.
    pub fn on_event(&mut self, now: Instant, body: &Body) {
        match body {
            Body::Sensors { sensors } => sensors.iter().for_each(|sensor| self.announce(now, sensor)),
            Body::SensorsLost { sensors, .. } => self.power.retain(|id, _| !sensors.contains(id)),
            _ => {}
        }
    }

    fn announce(&mut self, now: Instant, sensor: &Sensor) {
        self.announced.insert(sensor.source.clone());
        if sensor.absent.is_none() && POWER.contains(&sensor.quantity) {
            self.power.entry(sensor.id).or_insert_with(|| (sensor.clone(), now));
        }
    }

    /// When an engine on `device` may start if idle power is measured for `idle` first; none if it may start at once.
    ///
    /// The sensor that counts is the one that will stand for the device's power, so all sources have to be heard first.
    pub fn opens(&self, device: &str, idle: Duration) -> Option<Instant> {
        let own = device::sensors_of(device);
        let matters = |source: &&&str| own.contains(*source) || BOARD_SOURCES.contains(*source);
        let complete = self.sources.iter().filter(matters).all(|source| self.announced.contains(*source));
        let timeout = match device::traits_of(device).kind {
            DeviceKind::Card => CARD_TIMEOUT,
            DeviceKind::Processor => HOST_TIMEOUT,
        };
        let of = |scope: &str| {
            let own = self.power.values().filter(|(sensor, _)| sensor.device == scope);
            own.filter_map(|(sensor, since)| Some((rank::rank(sensor)?, *since))).min()
        };
        let measured = rank::scopes(device).into_iter().find_map(of).map(|(_, since)| since + idle);
        let all_heard = (!complete).then(|| self.began + timeout);
        measured.max(all_heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Quantity;

    fn sensors(source: &str, device: &str, absent: Option<&str>) -> Body {
        Body::Sensors {
            sensors: vec![Sensor {
                id: source.len() as SensorId,
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
    fn the_sensor_that_stands_for_the_device_decides_not_the_first_that_comes() {
        let (now, idle) = (Instant::now(), Duration::from_secs(1));
        let mut gate = IdleGate::new(now, vec!["nvml", "rapl", "hwmon"]);
        gate.on_event(now, &sensors("hwmon", "board", None));
        assert_eq!(gate.opens("cpu", Duration::ZERO), Some(now + HOST_TIMEOUT), "RAPL may still come");
        let later = now + Duration::from_millis(300);
        gate.on_event(later, &sensors("rapl", "cpu", None));
        assert_eq!(gate.opens("cpu", idle), Some(later + idle));
    }

    #[test]
    fn an_engine_waits_for_idle_power_only_where_there_is_a_sensor_for_it() {
        let now = Instant::now();
        let idle = Duration::from_secs(1);
        let mut gate = IdleGate::new(now, vec!["nvml", "rapl", "hwmon"]);
        assert_eq!(gate.opens("cuda:0", idle), Some(now + CARD_TIMEOUT));
        assert_eq!(gate.opens("cpu", idle), Some(now + HOST_TIMEOUT));
        gate.on_event(now, &sensors("rapl", "cpu", Some("root only")));
        gate.on_event(now, &sensors("hwmon", "cpu", Some("none")));
        assert_eq!(gate.opens("cpu", idle), None);
        gate.on_event(now, &sensors("nvml", "cuda:0", None));
        assert_eq!(gate.opens("cuda:0", idle), Some(now + idle));
    }
}
