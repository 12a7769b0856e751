//! Description of a sensor.

use crate::event::Quantity;
use std::time::Duration;

/// Describes a sensor that is about to be registered with a [`SensorWriter`](super::SensorWriter), which gives it its number.
#[derive(Clone, Debug)]
pub struct SensorBuilder {
    pub(super) device: String,
    pub(super) quantity: Quantity,
    pub(super) label: String,
    pub(super) method: Option<String>,
    pub(super) period: Option<Duration>,
}

impl SensorBuilder {
    /// A sensor that is read directly, once a tick.
    pub fn new(device: &str, quantity: Quantity, label: impl Into<String>) -> Self {
        Self { device: device.into(), quantity, label: label.into(), method: None, period: None }
    }

    /// Says how its values come about, if they are not read directly.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Sets the time between two readings, if that is not the source's period.
    pub fn every(mut self, period: Duration) -> Self {
        self.period = Some(period);
        self
    }
}
