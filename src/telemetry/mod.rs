//! The sensors of this host: one [`Source`] trait, one file and one thread per source.
//!
//! Each source registers its sensors once ([`Body::Sensors`]), those that can't be read with the reason, then sends values
//! with their timestamp ([`Body::Samples`]). A value that can't be read is absent, never 0. A value that was computed (the
//! integral of a power, the derivative of an energy) says so in its sensor's `method`.
//!
//! To add a sensor: write a file with a [`Source`] and add it to [`SOURCES`] and [`start`]. If it measures what another sensor
//! measures too, [`rank`] has a row for it.
//!
//! [`Body::Sensors`]: crate::event::Body::Sensors
//! [`Body::Samples`]: crate::event::Body::Samples

mod builder;
pub mod derive;
mod files;
pub mod host;
pub mod hwmon;
pub mod nvml;
mod options;
mod pause;
pub mod rank;
pub mod rapl;
mod sampler;
mod source;
#[cfg(test)]
mod testing;
mod writer;

use crate::{clock::Clock, event::Event};
use tokio::sync::mpsc::UnboundedSender;

pub use builder::SensorBuilder;
pub use options::{CudaDevice, EnginePid, NVML_LIBRARY_ENV, Options};
pub use sampler::Telemetry;
pub use source::{Opened, Source};
pub use writer::SensorWriter;

/// The names of all sources.
pub const SOURCES: [&str; 4] = ["nvml", "hwmon", "rapl", "host"];

/// Starts sampling all sources of this host into `sink` and returns at once. Sampling ends when the handle is dropped.
pub fn start(options: Options, clock: Clock, sink: UnboundedSender<Event>) -> Telemetry {
    let mut sources: Vec<Box<dyn Source>> = vec![
        Box::new(nvml::Nvml::new(&options)),
        Box::new(hwmon::Hwmon::new(&options)),
        Box::new(rapl::Rapl::new(&options)),
        Box::new(host::Host::new(&options)),
    ];
    sources.retain(|source| !options.without.contains(&source.name()));
    Telemetry::of(sources, options.period, clock, sink)
}
