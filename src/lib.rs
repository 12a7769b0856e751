//! wattscope: an oscilloscope for neural networks, in the terminal.
//!
//! One stream of [`event::Event`]s joins the parts: an engine runs a network on a device, an agent samples the sensors
//! and watches over the engine, and screens and reports are functions of what the stream said.

pub mod agent;
pub mod analysis;
pub mod backend;
pub mod check;
pub mod clock;
pub mod commands;
pub mod engine;
pub mod event;
pub mod exporter;
pub mod format;
pub mod host;
pub mod images;
pub mod logging;
pub mod model;
pub mod output;
pub mod report;
pub mod session;
pub mod sweep;
pub mod table;
pub mod telemetry;
pub mod ui;

#[cfg(test)]
mod testing;
