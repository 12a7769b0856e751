//! Sensors: how readings are folded, and which sensor stands for a quantity of a device.

use super::{
    State,
    entries::{Engine, SensorState},
};
use crate::{
    analysis::stats::Moments,
    event::{IdleReading, Nanos, Quantity, Sensor, SensorId},
};

/// Sensors that are kept; eight cards and every rail of a board are about a hundred.
const SENSORS: usize = 512;

/// Time for which power still falls after the engine was stopped: readings in it do not count as idle power. ns.
pub const COOLING: Nanos = 3_000_000_000;

impl State {
    /// Adds a sensor, or updates its description. A sensor of the previous agent keeps its curve.
    pub(super) fn announce(&mut self, t: Nanos, sensor: &Sensor) {
        if self.sensors.len() >= SENSORS && !self.sensors.contains_key(&sensor.id) {
            return;
        }
        let same = |known: &Sensor| {
            (&known.source, &known.device, known.quantity, &known.label)
                == (&sensor.source, &sensor.device, sensor.quantity, &sensor.label)
        };
        let former = &mut self.former;
        let known = self.sensors.entry(sensor.id).or_insert_with(|| {
            let before = former.iter().position(|s| same(&s.info)).map(|at| former.swap_remove(at).series);
            let mut series = before.unwrap_or_default();
            series.gap(t);
            SensorState { info: sensor.clone(), series, idle: Moments::default(), idle_after: Moments::default() }
        });
        known.info = sensor.clone();
    }

    /// Folds one reading: into the sensor's curve, and into idle power or the current run, depending on the engine.
    pub(super) fn sample(&mut self, t: Nanos, id: SensorId, value: f64) {
        let Some(sensor) = self.sensors.get_mut(&id) else { return };
        sensor.series.push(t, value);
        match (&self.engine, &mut self.run) {
            (Engine::Absent, _) => sensor.idle.add(value),
            (Engine::Stopped { since }, _) if t >= since + COOLING => sensor.idle_after.add(value),
            (Engine::Running { .. }, Some(run)) => {
                let throttled = self.throttle.get(&run.config.device).is_some_and(|reasons| !reasons.is_empty());
                run.read(t, id, sensor.info.quantity, value, throttled);
            }
            _ => {}
        }
    }

    /// Marks sensors that stopped answering as absent.
    pub(super) fn lose(&mut self, t: Nanos, lost: &[SensorId], reason: &str) {
        for id in lost {
            if let Some(sensor) = self.sensors.get_mut(id) {
                sensor.series.gap(t);
                sensor.info.absent = Some(reason.to_owned());
            }
        }
    }

    /// Takes over idle readings from before this client joined the stream.
    pub(super) fn idle(&mut self, idle: &IdleReading) {
        if let Some(sensor) = self.sensors.get_mut(&idle.sensor) {
            sensor.idle = Moments::of(idle.readings, idle.mean, idle.deviation);
        }
    }

    /// The sensor of a quantity of a device: the first one that can be read, or else the first absent one.
    pub fn sensor(&self, device: &str, quantity: Quantity) -> Option<(SensorId, &SensorState)> {
        let of = |s: &&SensorState| s.info.device == device && s.info.quantity == quantity;
        let all = || self.sensors.iter().filter(|(_, s)| of(s)).map(|(id, s)| (*id, s));
        all().find(|(_, s)| s.info.absent.is_none()).or_else(|| all().next())
    }

    /// The sensor that stands for the power of a device: one of its own, instant before averaged, or else a rail that feeds
    /// the whole board.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn power_sensor(&self, device: &str) -> Result<(SensorId, &SensorState), String> {
        let quantities = [Quantity::PowerInstant, Quantity::PowerAverage];
        let candidates = || [device, "board"].into_iter().flat_map(|d| quantities.map(|q| self.sensor(d, q))).flatten();
        if let Some(found) = candidates().find(|(_, s)| s.info.absent.is_none()) {
            return Ok(found);
        }
        match candidates().find_map(|(_, s)| s.info.absent.clone()) {
            Some(reason) => Err(format!("no power sensor: {reason}")),
            None => Err(format!("no power sensor for {device}")),
        }
    }

    /// The power limit in force on a device, W: as its sensor reads it, or else as the card reported it.
    pub fn power_cap(&self, device: &str) -> Option<f64> {
        let card = || self.cards.get(device).and_then(|c| c.power_cap_w);
        self.reading(device, Quantity::PowerCap).or_else(card).filter(|w| *w > 0.0)
    }

    /// The newest reading of a quantity of a device.
    pub fn reading(&self, device: &str, quantity: Quantity) -> Option<f64> {
        self.sensor(device, quantity).and_then(|(_, s)| s.series.last()).map(|(_, v)| v)
    }

    /// Idle power of a device before the first engine started and after the last one stopped, W; none where either was not
    /// read.
    pub fn idle_drift(&self, device: &str) -> Option<(f64, f64)> {
        let (_, sensor) = self.power_sensor(device).ok()?;
        Some((sensor.idle.mean()?, sensor.idle_after.mean()?))
    }
}
