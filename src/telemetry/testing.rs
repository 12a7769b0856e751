//! A harness for tests of sources: ticks and time are under the test's control, and the events can be read back.

use super::{
    source::{Opened, Source},
    writer::SensorWriter,
};
use crate::{
    clock::Clock,
    event::{Body, Event, Quantity, Sensor, SensorId},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A source under test.
pub struct Harness<S> {
    pub source: S,
    pub out: SensorWriter,
    events: UnboundedReceiver<Event>,
    pub seen: Vec<Event>,
}

impl<S: Source> Harness<S> {
    pub fn new(source: S) -> Self {
        let (sink, events) = unbounded_channel();
        let period = source.period(Duration::from_millis(50));
        let out = SensorWriter::new(source.name(), period, Clock::start(), sink, Arc::default());
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

    /// Advances the session's clock.
    pub fn wait(&mut self, time: Duration) {
        self.out.advance(time);
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
