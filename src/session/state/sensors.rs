//! Sensors: how readings are folded, and which sensor stands for a quantity of a device.

use super::{
    State,
    entries::{Engine, SensorState},
};
use crate::{
    analysis::stats::Moments,
    event::{IdleReading, Nanos, Quantity, Sensor, SensorId},
    telemetry::rank::{self, POWER, Rank},
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

    /// Marks sensors that stopped answering as absent. Their values in the current run end here.
    pub(super) fn lose(&mut self, t: Nanos, lost: &[SensorId], reason: &str) {
        if let Some(run) = &mut self.run {
            run.lose(lost);
        }
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

    /// The sensors that can stand for a quantity of a device, with their ranks.
    fn ranked<'a, 'b>(
        &'a self,
        device: &'b str,
        quantities: &'b [Quantity],
    ) -> impl Iterator<Item = (Rank<'a>, SensorId, &'a SensorState)> + use<'a, 'b> {
        let of = move |s: &&SensorState| s.info.device == device && quantities.contains(&s.info.quantity);
        let all = self.sensors.iter().map(|(id, s)| (*id, s)).filter(move |(_, s)| of(s));
        all.filter_map(|(id, s)| Some((rank::rank(&s.info)?, id, s)))
    }

    /// The sensor that stands for a quantity of a device by its [`rank`]; an absent one only if none can be read.
    pub fn sensor(&self, device: &str, quantity: Quantity) -> Option<(SensorId, &SensorState)> {
        let quantities = [quantity];
        let best = self.ranked(device, &quantities).min_by_key(|(rank, _, s)| (s.info.absent.is_some(), *rank));
        best.map(|(_, id, s)| (id, s))
    }

    /// The sensor that stands for the power of a device by its [`rank`]: one of its own, or else one of the whole board.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn power_sensor(&self, device: &str) -> Result<(SensorId, &SensorState), String> {
        let readable = |scope| self.ranked(scope, &POWER).filter(|(_, _, s)| s.info.absent.is_none());
        let best = |scope| readable(scope).min_by_key(|(rank, ..)| *rank);
        if let Some((_, id, sensor)) = rank::scopes(device).into_iter().find_map(best) {
            return Ok((id, sensor));
        }
        match self.absent_power(device, None) {
            reasons if reasons.is_empty() => Err(format!("no power sensor for {device}")),
            reasons => Err(format!("no power sensor: {}", reasons.join("; "))),
        }
    }

    /// Why power sensors of a device, or of its board, that would precede `chosen` can't be read, the best of them first. All
    /// reasons but the first name their sensor.
    pub(super) fn absent_power(&self, device: &str, chosen: Option<SensorId>) -> Vec<String> {
        let mut reasons: Vec<(&str, &str)> = Vec::new();
        'scopes: for scope in rank::scopes(device) {
            let mut sensors: Vec<_> = self.ranked(scope, &POWER).collect();
            sensors.sort_by_key(|(rank, ..)| *rank);
            for (_, id, sensor) in sensors {
                if Some(id) == chosen {
                    break 'scopes;
                }
                if let Some(reason) =
                    sensor.info.absent.as_deref().filter(|r| reasons.iter().all(|(_, known)| known != r))
                {
                    reasons.push((&sensor.info.label, reason));
                }
            }
        }
        let text = |(i, (label, reason)): (usize, (&str, &str))| match i {
            0 => reason.to_owned(),
            _ => format!("{label}: {reason}"),
        };
        reasons.into_iter().enumerate().map(text).collect()
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
