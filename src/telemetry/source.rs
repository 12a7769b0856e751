//! The trait of a source of sensors.

use super::writer::SensorWriter;
use std::time::Duration;

/// Something that sensors are read from, by a thread of its own.
pub trait Source: Send {
    /// Its name in [`Sensor::source`](crate::event::Sensor::source).
    fn name(&self) -> &'static str;

    /// Time between two ticks, given the requested one; longer if a shorter one would only repeat values.
    fn period(&self, requested: Duration) -> Duration {
        requested
    }

    /// Finds the sensors and registers them with `out`; those that can't be read with the reason. May take long.
    fn open(&mut self, out: &mut SensorWriter) -> Opened;

    /// Reads the values of one tick into `out`.
    fn sample(&mut self, out: &mut SensorWriter);

    /// The process has not run since the last tick (it was stopped, or the host suspended): the next tick starts anew, and
    /// nothing is computed from a difference to readings before.
    fn restart(&mut self) {}
}

/// Whether a source has anything to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// At least one sensor: it is sampled.
    Sampling,
    /// Nothing, also later: its thread ends.
    Nothing,
}
