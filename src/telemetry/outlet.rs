//! What a source writes to: it numbers the sensors, stamps the readings and lets no nonsense through.

use crate::{
    clock::Clock,
    event::{Body, Card, Event, Level, Nanos, Neighbour, Quantity, Sensor, SensorId},
    telemetry::derive::MAX_POWER_W,
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

/// A sensor gives up after this long without one good reading, and after at least [`PATIENCE_READINGS`] bad ones.
const PATIENCE: Nanos = 1_000_000_000;
const PATIENCE_READINGS: u32 = 3;

/// What a source knows of a sensor before it has a number.
#[derive(Clone, Debug)]
pub struct Draft {
    device: String,
    quantity: Quantity,
    label: String,
    method: Option<String>,
    period: Option<Duration>,
}

impl Draft {
    /// A plain reading, once a tick.
    pub fn new(device: &str, quantity: Quantity, label: impl Into<String>) -> Self {
        Self { device: device.into(), quantity, label: label.into(), method: None, period: None }
    }

    /// Says how the value comes about, where it is no plain reading.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Says that it is read this often instead of every tick.
    pub fn every(mut self, period: Duration) -> Self {
        self.period = Some(period);
        self
    }
}

struct Channel {
    sensor: Sensor,
    lost: bool,
    /// When the bad readings in a row began, and how many there were.
    bad: Option<(Nanos, u32)>,
}

/// Where a source's sensors and values go.
///
/// A sensor that gives only nonsense or errors for a second is reported lost; its next good reading announces it again.
pub struct Outlet {
    source: &'static str,
    period: Duration,
    clock: Clock,
    sink: UnboundedSender<Event>,
    ids: Arc<AtomicU16>,
    channels: BTreeMap<SensorId, Channel>,
    announced: Vec<Sensor>,
    values: Vec<(SensorId, f64)>,
    lost: BTreeMap<String, Vec<SensorId>>,
    /// What else happened during a reading, to be sent with its moment.
    happened: Option<Vec<Body>>,
}

impl Outlet {
    /// An outlet for a source that ticks every `period`; `ids` is shared by all sources of a session.
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
            happened: None,
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

    /// Whether nobody listens any more.
    pub fn closed(&self) -> bool {
        self.sink.is_closed()
    }

    /// Announces a sensor that can be read. One that was announced before keeps its number.
    pub fn present(&mut self, draft: Draft) -> SensorId {
        self.announce(draft, None)
    }

    /// Announces a sensor that can't be read, and why.
    pub fn absent(&mut self, draft: Draft, reason: impl Into<String>) {
        self.announce(draft, Some(reason.into()));
    }

    fn announce(&mut self, draft: Draft, absent: Option<String>) -> SensorId {
        let same = |s: &Sensor| s.device == draft.device && s.quantity == draft.quantity && s.label == draft.label;
        let known = self.channels.iter().find(|(_, channel)| same(&channel.sensor)).map(|(id, _)| *id);
        let id = known.unwrap_or_else(|| self.ids.fetch_add(1, Ordering::Relaxed));
        let sensor = Sensor {
            id,
            source: self.source.into(),
            device: draft.device,
            quantity: draft.quantity,
            label: draft.label,
            method: draft.method,
            period_ms: draft.period.unwrap_or(self.period).as_millis() as u32,
            absent,
        };
        self.announced.push(sensor.clone());
        self.channels.insert(id, Channel { sensor, lost: false, bad: None });
        id
    }

    /// Reads: the values that `read` puts down are sent as one event, stamped with the middle of the time it took.
    /// Whatever else it says is sent before them, with the same stamp.
    pub fn reading<R>(&mut self, read: impl FnOnce(&mut Self) -> R) -> R {
        self.flush_sensors();
        let from = self.now();
        self.happened = Some(Vec::new());
        let result = read(self);
        let t = from + (self.now() - from) / 2;
        let lost = mem::take(&mut self.lost).into_iter();
        let mut bodies: Vec<Body> = lost.map(|(reason, sensors)| Body::SensorsLost { sensors, reason }).collect();
        bodies.append(&mut self.happened.take().unwrap_or_default());
        if !self.announced.is_empty() {
            bodies.push(Body::Sensors { sensors: mem::take(&mut self.announced) });
        }
        if !self.values.is_empty() {
            bodies.push(Body::Samples { values: mem::take(&mut self.values) });
        }
        bodies.into_iter().for_each(|body| self.send_at(t, body));
        result
    }

    /// Puts down a value, in the unit of its sensor's quantity, unless it can't be true.
    pub fn put(&mut self, id: SensorId, value: f64) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.sensor.absent.is_some() {
            return;
        }
        let quantity = channel.sensor.quantity;
        if !plausible(quantity, value) {
            self.fail(id, format!("only implausible readings, the last one {value} {}", quantity.unit()));
            return;
        }
        channel.bad = None;
        if mem::take(&mut channel.lost) {
            self.announced.push(channel.sensor.clone());
        }
        self.values.push((id, value));
    }

    /// Says that a sensor could not be read this time.
    pub fn fail(&mut self, id: SensorId, reason: impl Into<String>) {
        let now = self.now();
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.lost) else { return };
        let (since, readings) = channel.bad.get_or_insert((now, 0));
        *readings += 1;
        if *readings >= PATIENCE_READINGS && now - *since >= PATIENCE {
            channel.lost = true;
            self.lost.entry(reason.into()).or_default().push(id);
        }
    }

    /// Says that a sensor is gone for good, or until it is announced again.
    pub fn lose(&mut self, id: SensorId, reason: &str) {
        if let Some(channel) = self.channels.get_mut(&id).filter(|channel| !channel.lost) {
            channel.lost = true;
            self.send(Body::SensorsLost { sensors: vec![id], reason: reason.into() });
        }
    }

    /// Says that all sensors of a device are gone until they are announced again.
    pub fn lose_device(&mut self, device: &str, reason: &str) {
        let gone = |channel: &Channel| channel.sensor.device == device && channel.sensor.absent.is_none();
        let mut sensors = Vec::new();
        for (id, channel) in self.channels.iter_mut().filter(|(_, channel)| gone(channel) && !channel.lost) {
            channel.lost = true;
            sensors.push(*id);
        }
        self.values.retain(|(id, _)| !sensors.contains(id));
        self.send(Body::SensorsLost { sensors, reason: reason.into() });
    }

    /// Says what a card says about itself.
    pub fn card(&mut self, card: Card) {
        self.send(Body::Card(card));
    }

    /// Says why a card lowered its clocks.
    pub fn throttle(&mut self, device: &str, reasons: Vec<String>) {
        self.send(Body::Throttle { device: device.into(), reasons });
    }

    /// Says who else is on a card.
    pub fn neighbours(&mut self, device: &str, processes: Vec<Neighbour>) {
        self.send(Body::Neighbours { device: device.into(), processes });
    }

    /// Says something that the user should read.
    pub fn notice(&mut self, level: Level, text: String) {
        self.send(Body::Notice { level, text });
    }

    /// Sends the announcements made so far as one event.
    pub fn flush_sensors(&mut self) {
        if !self.announced.is_empty() {
            let sensors = mem::take(&mut self.announced);
            self.send(Body::Sensors { sensors });
        }
    }

    fn send(&mut self, body: Body) {
        match &mut self.happened {
            Some(happened) => happened.push(body),
            None => self.send_at(self.now(), body),
        }
    }

    fn send_at(&self, t: Nanos, body: Body) {
        // Nobody listens: the sampler sees that by itself and ends.
        self.sink.send(Event { t, body }).ok();
    }
}

/// Whether a value can be true at all: drivers return all ones, negative temperatures and 65,535 % at times.
fn plausible(quantity: Quantity, value: f64) -> bool {
    let range: RangeInclusive<f64> = match quantity {
        Quantity::PowerInstant | Quantity::PowerAverage | Quantity::PowerCap => 0.0..=MAX_POWER_W,
        Quantity::Energy => 0.0..=1e15,
        Quantity::Utilisation | Quantity::MemoryUtilisation | Quantity::EngineUtilisation => 0.0..=100.0,
        // NVML: a fan may turn faster than its nominal maximum.
        Quantity::Fan => 0.0..=200.0,
        Quantity::ComputeClock | Quantity::MemoryClock => 0.0..=50_000.0,
        Quantity::Temperature => -50.0..=200.0,
        Quantity::MemoryUsed | Quantity::MemoryTotal | Quantity::EngineMemory => 0.0..=1e15,
        Quantity::PcieReceive | Quantity::PcieSend => 0.0..=1e12,
    };
    range.contains(&value)
}

/// A source on a bench: ticked by hand, its time moved on at will, what it sent read back.
#[cfg(test)]
pub mod testing {
    use super::*;
    use crate::telemetry::{Opened, Source};
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    pub struct Bench<S> {
        pub source: S,
        pub out: Outlet,
        events: UnboundedReceiver<Event>,
        pub seen: Vec<Event>,
    }

    impl<S: Source> Bench<S> {
        pub fn new(source: S) -> Self {
            let (sink, events) = unbounded_channel();
            let period = source.period(Duration::from_millis(50));
            let out = Outlet::new(source.name(), period, Clock::start(), sink, Arc::default());
            Self { source, out, events, seen: Vec::new() }
        }

        pub fn open(&mut self) -> Opened {
            let opened = self.source.open(&mut self.out);
            self.out.flush_sensors();
            self.collect();
            opened
        }

        pub fn sample(&mut self) {
            self.source.sample(&mut self.out);
            self.collect();
        }

        /// Moves time on by making the session older.
        pub fn wait(&mut self, time: Duration) {
            self.out.clock = Clock::since(self.out.clock.epoch() - time.as_nanos() as u64);
        }

        fn collect(&mut self) {
            self.seen.extend(std::iter::from_fn(|| self.events.try_recv().ok()));
        }

        fn sensors(&self) -> impl Iterator<Item = &Sensor> {
            let announced = self.seen.iter().filter_map(|event| match &event.body {
                Body::Sensors { sensors } => Some(sensors),
                _ => None,
            });
            announced.flatten()
        }

        pub fn present(&self, quantity: Quantity) -> impl Iterator<Item = &Sensor> {
            self.sensors().filter(move |sensor| sensor.quantity == quantity && sensor.absent.is_none())
        }

        pub fn absent(&self, quantity: Quantity) -> Vec<String> {
            self.sensors().filter(|sensor| sensor.quantity == quantity).filter_map(|s| s.absent.clone()).collect()
        }

        /// The newest value of a device's first sensor of that quantity.
        pub fn value(&self, device: &str, quantity: Quantity) -> Option<f64> {
            let id = self.present(quantity).find(|sensor| sensor.device == device)?.id;
            self.seen.iter().rev().find_map(|event| match &event.body {
                Body::Samples { values } => values.iter().find(|(of, _)| *of == id).map(|(_, value)| *value),
                _ => None,
            })
        }

        pub fn lost(&self) -> Vec<(Vec<SensorId>, String)> {
            let lost = self.seen.iter().filter_map(|event| match &event.body {
                Body::SensorsLost { sensors, reason } => Some((sensors.clone(), reason.clone())),
                _ => None,
            });
            lost.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn outlet() -> (Outlet, UnboundedReceiver<Event>) {
        let (sink, events) = unbounded_channel();
        (Outlet::new("test", Duration::from_millis(50), Clock::start(), sink, Arc::default()), events)
    }

    fn bodies(events: &mut UnboundedReceiver<Event>) -> Vec<Body> {
        std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.body).collect()
    }

    #[test]
    fn announces_before_it_samples_and_keeps_numbers() {
        let (mut out, mut events) = outlet();
        let power = || Draft::new("cuda:0", Quantity::PowerInstant, "x");
        let id = out.present(power());
        out.reading(|out| out.put(id, 71.0));
        let sent = bodies(&mut events);
        assert!(matches!(&sent[0], Body::Sensors { sensors } if sensors[0].id == id && sensors[0].period_ms == 50));
        assert_eq!(sent[1], Body::Samples { values: vec![(id, 71.0)] });
        assert_eq!(out.present(power()), id);
        assert_ne!(out.present(Draft::new("cuda:1", Quantity::PowerInstant, "x")), id);
    }

    #[test]
    fn drops_nonsense() {
        let (mut out, mut events) = outlet();
        let power = out.present(Draft::new("cuda:0", Quantity::PowerInstant, "x"));
        let busy = out.present(Draft::new("cuda:0", Quantity::Utilisation, "x"));
        let warm = out.present(Draft::new("cuda:0", Quantity::Temperature, "x"));
        out.reading(|out| {
            out.put(power, f64::from(u32::MAX) / 1e3);
            out.put(power, f64::NAN);
            out.put(power, -1.0);
            out.put(busy, 101.0);
            out.put(warm, 255.0);
        });
        assert!(matches!(&bodies(&mut events)[..], [Body::Sensors { .. }]));
    }

    #[test]
    fn loses_what_gives_only_nonsense_and_takes_it_back() {
        let (sink, mut events) = unbounded_channel();
        // Time is moved on by making the session older.
        let mut out = Outlet::new("test", Duration::from_millis(50), Clock::start(), sink, Arc::default());
        let id = out.present(Draft::new("cuda:0", Quantity::Temperature, "x"));
        let wait = |out: &mut Outlet| out.clock = Clock::since(out.clock.epoch().saturating_sub(600_000_000));
        for _ in 0..4 {
            out.reading(|out| out.put(id, 65_535.0));
            wait(&mut out);
        }
        let sent = bodies(&mut events);
        let reason = "only implausible readings, the last one 65535 °C".to_string();
        assert_eq!(sent[1..], [Body::SensorsLost { sensors: vec![id], reason }]);
        out.reading(|out| out.put(id, 61.0));
        let sent = bodies(&mut events);
        assert!(matches!(&sent[0], Body::Sensors { sensors } if sensors[0].id == id));
        assert_eq!(sent[1], Body::Samples { values: vec![(id, 61.0)] });
    }

    #[test]
    fn absent_sensors_have_no_values() {
        let (mut out, mut events) = outlet();
        out.absent(Draft::new("cuda:0", Quantity::Fan, "x"), "no fan");
        out.reading(|out| out.put(0, 3.0));
        let sent = bodies(&mut events);
        assert_eq!(sent.len(), 1);
        assert!(matches!(&sent[0], Body::Sensors { sensors } if sensors[0].absent.as_deref() == Some("no fan")));
    }

    #[test]
    fn a_lost_device_takes_its_values_along() {
        let (mut out, mut events) = outlet();
        let here = out.present(Draft::new("cuda:0", Quantity::PowerInstant, "x"));
        let there = out.present(Draft::new("cuda:1", Quantity::PowerInstant, "x"));
        out.reading(|out| {
            out.put(here, 1.0);
            out.put(there, 2.0);
            out.lose_device("cuda:0", "gone");
        });
        let sent = bodies(&mut events);
        assert_eq!(sent[1], Body::SensorsLost { sensors: vec![here], reason: "gone".into() });
        assert_eq!(sent[2], Body::Samples { values: vec![(there, 2.0)] });
    }
}
