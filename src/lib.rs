//! wattscope: an oscilloscope for neural networks, in the terminal.
//!
//! One stream of [`event::Event`]s joins the parts: an engine runs a network on a device, an agent samples the sensors
//! and watches over the engine, and screens and reports are functions of what the stream said.

pub mod accuracy;
pub mod agent;
pub mod analysis;
pub mod check;
pub mod cli;
pub mod clock;
pub mod cpu;
pub mod engine;
pub mod event;
pub mod exporter;
pub mod format;
pub mod host;
pub mod images;
pub mod infer;
pub mod layers;
pub mod listing;
pub mod logging;
pub mod progress;
pub mod report;
pub mod session;
pub mod sweep;
pub mod table;
pub mod telemetry;
pub mod ui;
pub mod zoo;

#[cfg(test)]
mod testing;
