//! The metrics endpoint: what the stream holds, for a metrics collector, over HTTP, with the unit in every name.
//!
//! The exporter folds the same events as the screen and answers a scrape from the state, so a dashboard shows what the
//! screen shows. Sensors are gauges with their newest reading. Batches and images are counters since the program began, by
//! configuration, so that rates are right whatever the collector's period is. Where there are several stations, labels tell
//! them apart by host and device. A scrape is in OpenMetrics or in Prometheus' text format, as the collector asks.

mod encode;
mod labels;
mod listen;
mod negotiate;
mod quantity;
mod server;
mod totals;

pub use listen::{Listen, ListenError};
pub use server::{Exporter, ExporterError};

#[cfg(test)]
mod tests;
