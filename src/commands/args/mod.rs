//! Options that several commands share. Each is defined once, so that its name, its value and its help are the same everywhere:
//! a command takes a group of them with `#[command(flatten)]` and changes a default with `mut_arg`.
//!
//! Values are read by the parsers here, too: [`Choice`] one of a list of words, [`time()`] a time, [`file`](mod@file) what is read and written.

mod choice;
mod device;
mod engine;
pub mod file;
mod grid;
mod hosts;
mod json;
mod metrics;
mod network;
mod quantity;
mod screen;

pub use choice::{Choice, choice};
pub use device::{Device, Devices, check_devices};
pub use engine::{EngineArgs, Fold, Graph, Weights};
pub use grid::{Batch, Grid, OnePrecision, precisions};
pub use hosts::Hosts;
pub use json::{JsonArray, JsonLines};
pub use metrics::Metrics;
pub use network::{NamedNetwork, NamedNetworks, Network, Networks};
pub use quantity::{Seconds, time};
pub use screen::ScreenArgs;

#[cfg(test)]
mod tests;
