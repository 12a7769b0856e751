//! The sink that a source writes to: it registers sensors, timestamps their values and drops implausible ones.

use super::{builder::SensorBuilder, derive::MAX_POWER_W, rank::BOARD};
use crate::{
    clock::Clock,
    event::{Body, Card, Event, Level, Nanos, Neighbour, Quantity, Sensor, SensorId},
};
use std::{
    collections::BTreeMap,
    mem,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc::UnboundedSender;

/// A sensor is reported lost after this long without a valid reading, and at least [`MIN_FAILURES`] failures.
const LOST_AFTER: Nanos = 1_000_000_000;
const MIN_FAILURES: u32 = 3;

/// A registered sensor.
struct Channel {
    sensor: Sensor,
    lost: bool,
    /// When the failures in a row began, and their count.
    failing: Option<(Nanos, u32)>,
}

/// Registers the sensors of a source and sends their values.
///
/// A sensor that gives only errors or implausible values for a second is reported lost; its next valid reading announces it
/// again.
pub struct SensorWriter {
    source: &'static str,
    period: Duration,
    clock: Clock,
    sink: UnboundedSender<Event>,
    ids: Arc<AtomicU16>,
    channels: BTreeMap<SensorId, Channel>,
    announced: Vec<Sensor>,
    values: Vec<(SensorId, f64)>,
    lost: BTreeMap<String, Vec<SensorId>>,
    /// Why the next values start anew; none if they follow the last ones.
    gap: Option<String>,
    /// Other events during a reading, to be sent with its timestamp; none outside of one.
    pending: Option<Vec<Body>>,
}

impl SensorWriter {
    /// A writer for a source that ticks every `period`; `ids` is shared by all sources of a session.
    pub fn new(
        source: &'static str,
        period: Duration,
        clock: Clock,
        sink: UnboundedSender<Event>,
        ids: Arc<AtomicU16>,
    ) -> Self {
        Self {
            source,
            period,
            clock,
            sink,
            ids,
            channels: BTreeMap::new(),
            announced: Vec::new(),
            values: Vec::new(),
            lost: BTreeMap::new(),
            gap: None,
            pending: None,
        }
    }

    /// Nanoseconds since the session began.
    pub fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Whether the receiver is gone.
    pub fn closed(&self) -> bool {
        self.sink.is_closed()
    }

    /// Registers a sensor that can be read. One that was registered before keeps its number.
    pub fn register(&mut self, sensor: SensorBuilder) -> SensorId {
        self.announce(sensor, None)
    }

    /// Registers a sensor that can't be read, with the reason.
    pub fn register_absent(&mut self, sensor: SensorBuilder, reason: impl Into<String>) {
        self.announce(sensor, Some(reason.into()));
    }

    fn announce(&mut self, new: SensorBuilder, absent: Option<String>) -> SensorId {
        let same = |s: &Sensor| s.device == new.device && s.quantity == new.quantity && s.label == new.label;
        let known = self.channels.iter().find(|(_, channel)| same(&channel.sensor)).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.ids.fetch_add(1, Ordering::Relaxed));
        let sensor = Sensor {
            id,
            source: self.source.into(),
            device: new.device,
            quantity: new.quantity,
            label: new.label,
            method: new.method,
            period_ms: new.period.unwrap_or(self.period).as_millis() as u32,
            absent,
        };
        self.announced.push(sensor.clone());
        self.channels.insert(id, Channel { sensor, lost: false, failing: None });
        id
    }

    /// Runs `read` and sends the values that it writes as one event, whose timestamp is the middle of the time that it took.
    /// Other events from `read` are sent before the values, with the same timestamp.
    pub fn sample<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        self.flush_sensors();
        self.mark_gap();
        let from = self.now();
        self.pending = Some(Vec::new());
        let result = read(self);
        let t = from + (self.now() - from) / 2;
        let lost = mem::take(&mut self.lost).into_iter();
        let mut bodies: Vec<Body> = lost.map(|(reason, sensors)| Body::SensorsLost { sensors, reason }).collect();
        bodies.append(&mut self.pending.take().unwrap_or_default());
        if !self.announced.is_empty() {
            bodies.push(Body::Sensors { sensors: mem::take(&mut self.announced) });
        }
        if !self.values.is_empty() {
            bodies.push(Body::Samples { values: mem::take(&mut self.values) });
        }
        bodies.into_iter().for_each(|body| self.send_at(t, body));
        result
    }

    /// Marks the next values as a new start after a time in which nothing could be read, for this `reason`: their sensors are
    /// reported lost and registered again, so that no curve and no difference bridges the gap.
    pub fn gap(&mut self, reason: impl Into<String>) {
        self.gap = Some(reason.into());
    }

    fn mark_gap(&mut self) {
        let Some(reason) = self.gap.take() else { return };
        let sampled = |channel: &&Channel| channel.sensor.absent.is_none() && !channel.lost;
        let sampled: Vec<Sensor> =
            self.channels.values().filter(sampled).map(|channel| channel.sensor.clone()).collect();
        if !sampled.is_empty() {
            self.send(Body::SensorsLost { sensors: sampled.iter().map(|sensor| sensor.id).collect(), reason });
            self.send(Body::Sensors { sensors: sampled });
        }
    }

    /// Writes a value in the unit of its sensor's quantity. An implausible value counts as a failure.
    pub fn write(&mut self, id: SensorId, value: f64) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.sensor.absent.is_some() {
            return;
        }
        let quantity = channel.sensor.quantity;
        if !plausible(&channel.sensor, value) {
            self.fail(id, format!("only implausible readings, the last one {value} {}", quantity.unit()));
            return;
        }
        channel.failing = None;
        if mem::take(&mut channel.lost) {
            self.announced.push(channel.sensor.clone());
        }
        self.values.push((id, value));
    }

    /// Reports that reading a sensor failed this time.
    pub fn fail(&mut self, id: SensorId, reason: impl Into<String>) {
        let now = self.now();
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.lost) else { return };
        let (since, readings) = channel.failing.get_or_insert((now, 0));
        *readings += 1;
        if *readings >= MIN_FAILURES && now - *since >= LOST_AFTER {
            channel.lost = true;
            self.lost.entry(reason.into()).or_default().push(id);
        }
    }

    /// Reports that a sensor is lost until it is registered again.
    pub fn lose(&mut self, id: SensorId, reason: &str) {
        if let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.lost) {
            channel.lost = true;
            self.send(Body::SensorsLost { sensors: vec![id], reason: reason.into() });
        }
    }

    /// Reports that all sensors of a device are lost until they are registered again.
    pub fn lose_device(&mut self, device: &str, reason: &str) {
        let readable = |channel: &Channel| channel.sensor.device == device && channel.sensor.absent.is_none();
        let mut sensors = Vec::new();
        for (id, channel) in self.channels.iter_mut().filter(|(_, channel)| readable(channel) && !channel.lost) {
            channel.lost = true;
            sensors.push(*id);
        }
        self.values.retain(|(id, _)| !sensors.contains(id));
        self.send(Body::SensorsLost { sensors, reason: reason.into() });
    }

    /// Sends the static information of a card.
    pub fn card(&mut self, card: Card) {
        self.send(Body::Card(card));
    }

    /// Reports why a card has lowered its clocks.
    pub fn throttle(&mut self, device: &str, reasons: Vec<String>) {
        self.send(Body::Throttle { device: device.into(), reasons });
    }

    /// Reports the other processes on a card.
    pub fn neighbours(&mut self, device: &str, processes: Vec<Neighbour>) {
        self.send(Body::Neighbours { device: device.into(), processes });
    }

    /// Sends a message for the user.
    pub fn notice(&mut self, level: Level, text: String) {
        self.send(Body::Notice { level, text });
    }

    /// Sends the registrations so far as one event.
    pub fn flush_sensors(&mut self) {
        if !self.announced.is_empty() {
            let sensors = mem::take(&mut self.announced);
            self.send(Body::Sensors { sensors });
        }
    }

    /// Advances the session's clock.
    #[cfg(test)]
    pub fn advance(&mut self, time: Duration) {
        self.clock = Clock::since(self.clock.epoch() - time.as_nanos() as u64);
    }

    fn send(&mut self, body: Body) {
        match &mut self.pending {
            Some(pending) => pending.push(body),
            None => self.send_at(self.now(), body),
        }
    }

    fn send_at(&self, t: Nanos, body: Body) {
        // If the receiver is gone, the sampler notices by itself and ends.
        self.sink.send(Event { t, body }).ok();
    }
}

/// Whether a value is physically possible: drivers return all ones, negative temperatures and 65,535 % at times.
fn plausible(sensor: &Sensor, value: f64) -> bool {
    let range: RangeInclusive<f64> = match sensor.quantity {
        // The host is running, so it draws power.
        Quantity::PowerInstant | Quantity::PowerAverage if sensor.device == BOARD => f64::MIN_POSITIVE..=MAX_POWER_W,
        Quantity::PowerInstant | Quantity::PowerAverage | Quantity::PowerCap => 0.0..=MAX_POWER_W,
        Quantity::Energy => 0.0..=1e15,
        Quantity::Utilisation | Quantity::MemoryUtilisation | Quantity::EngineUtilisation | Quantity::CpuThrottled => {
            0.0..=100.0
        }
        // NVML: a fan may spin faster than its nominal maximum.
        Quantity::Fan => 0.0..=200.0,
        Quantity::ComputeClock | Quantity::MemoryClock => 0.0..=50_000.0,
        Quantity::Temperature => -50.0..=200.0,
        Quantity::MemoryUsed | Quantity::MemoryTotal | Quantity::EngineMemory => 0.0..=1e15,
        Quantity::PcieReceive | Quantity::PcieSend => 0.0..=1e12,
    };
    range.contains(&value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn writer() -> (SensorWriter, UnboundedReceiver<Event>) {
        let (sink, events) = unbounded_channel();
        (SensorWriter::new("test", Duration::from_millis(50), Clock::start(), sink, Arc::default()), events)
    }

    fn bodies(events: &mut UnboundedReceiver<Event>) -> Vec<Body> {
        std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.body).collect()
    }

    #[test]
    fn registers_before_it_samples_and_keeps_numbers() {
        let (mut out, mut events) = writer();
        let power = || SensorBuilder::new("cuda:0", Quantity::PowerInstant, "x");
        let id = out.register(power());
        out.sample(|out| out.write(id, 71.0));
        let sent = bodies(&mut events);
        assert!(matches!(&sent[0], Body::Sensors { sensors } if sensors[0].id == id && sensors[0].period_ms == 50));
        assert_eq!(sent[1], Body::Samples { values: vec![(id, 71.0)] });
        assert_eq!(out.register(power()), id);
        assert_ne!(out.register(SensorBuilder::new("cuda:1", Quantity::PowerInstant, "x")), id);
    }

    #[test]
    fn drops_implausible_values() {
        let (mut out, mut events) = writer();
        let power = out.register(SensorBuilder::new("cuda:0", Quantity::PowerInstant, "x"));
        let busy = out.register(SensorBuilder::new("cuda:0", Quantity::Utilisation, "x"));
        let warm = out.register(SensorBuilder::new("cuda:0", Quantity::Temperature, "x"));
        out.sample(|out| {
            out.write(power, f64::from(u32::MAX) / 1e3);
            out.write(power, f64::NAN);
            out.write(power, -1.0);
            out.write(busy, 101.0);
            out.write(warm, 255.0);
        });
        assert!(matches!(&bodies(&mut events)[..], [Body::Sensors { .. }]));
    }

    #[test]
    fn a_sensor_with_only_implausible_values_is_lost_until_the_next_valid_one() {
        let (sink, mut events) = unbounded_channel();
        let mut out = SensorWriter::new("test", Duration::from_millis(50), Clock::start(), sink, Arc::default());
        let id = out.register(SensorBuilder::new("cuda:0", Quantity::Temperature, "x"));
        for _ in 0..4 {
            out.sample(|out| out.write(id, 65_535.0));
            out.advance(Duration::from_millis(600));
        }
        let sent = bodies(&mut events);
        let reason = "only implausible readings, the last one 65535 °C".to_string();
        assert_eq!(sent[1..], [Body::SensorsLost { sensors: vec![id], reason }]);
        out.sample(|out| out.write(id, 61.0));
        let sent = bodies(&mut events);
        assert!(matches!(&sent[0], Body::Sensors { sensors } if sensors[0].id == id));
        assert_eq!(sent[1], Body::Samples { values: vec![(id, 61.0)] });
    }

    #[test]
    fn a_gap_is_marked_before_the_next_values() {
        let (mut out, mut events) = writer();
        let id = out.register(SensorBuilder::new("cpu", Quantity::PowerInstant, "x"));
        out.register_absent(SensorBuilder::new("cpu", Quantity::Fan, "x"), "no fan");
        out.sample(|out| out.write(id, 40.0));
        bodies(&mut events);
        out.gap("stopped for 9 s");
        out.sample(|out| out.write(id, 41.0));
        let sent = bodies(&mut events);
        assert_eq!(sent[0], Body::SensorsLost { sensors: vec![id], reason: "stopped for 9 s".into() });
        assert!(matches!(&sent[1], Body::Sensors { sensors } if sensors.len() == 1 && sensors[0].absent.is_none()));
        assert_eq!(sent[2], Body::Samples { values: vec![(id, 41.0)] });
        out.sample(|out| out.write(id, 42.0));
        assert_eq!(bodies(&mut events).len(), 1, "it is marked once");
    }

    #[test]
    fn a_board_without_power_is_implausible() {
        let (mut out, mut events) = writer();
        let board = out.register(SensorBuilder::new(BOARD, Quantity::PowerAverage, "power_meter power1"));
        let card = out.register(SensorBuilder::new("cuda:0", Quantity::PowerInstant, "x"));
        out.sample(|out| {
            out.write(board, 0.0);
            out.write(card, 0.0);
        });
        assert_eq!(bodies(&mut events)[1], Body::Samples { values: vec![(card, 0.0)] });
    }

    #[test]
    fn absent_sensors_have_no_values() {
        let (mut out, mut events) = writer();
        out.register_absent(SensorBuilder::new("cuda:0", Quantity::Fan, "x"), "no fan");
        out.sample(|out| out.write(0, 3.0));
        let sent = bodies(&mut events);
        assert_eq!(sent.len(), 1);
        assert!(matches!(&sent[0], Body::Sensors { sensors } if sensors[0].absent.as_deref() == Some("no fan")));
    }

    #[test]
    fn a_lost_device_takes_its_values_along() {
        let (mut out, mut events) = writer();
        let here = out.register(SensorBuilder::new("cuda:0", Quantity::PowerInstant, "x"));
        let there = out.register(SensorBuilder::new("cuda:1", Quantity::PowerInstant, "x"));
        out.sample(|out| {
            out.write(here, 1.0);
            out.write(there, 2.0);
            out.lose_device("cuda:0", "gone");
        });
        let sent = bodies(&mut events);
        assert_eq!(sent[1], Body::SensorsLost { sensors: vec![here], reason: "gone".into() });
        assert_eq!(sent[2], Body::Samples { values: vec![(there, 2.0)] });
    }
}
