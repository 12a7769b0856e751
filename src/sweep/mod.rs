//! Sweeps: many configurations measured one after the other without a screen.
//!
//! [`plan`](mod@plan) makes the order of the steps and [`shard`] says which of them belong to this process; [`Stepper`]
//! decides from the events of one station what to do next; [`Job`] drives the steppers of all stations and distributes
//! work; [`mod@file`] opens the session file that a sweep is recorded to, and [`merge`] joins the files of several shards.
//! Nothing here reads a clock or a terminal: time comes from the events, so a scripted agent drives a test.

pub mod enough;
pub mod file;
pub mod job;
pub mod merge;
pub mod plan;
pub mod shard;
pub mod stepper;

pub use crate::session::measured::{Failed, Measured};
pub use enough::enough;
pub use job::{End, Job, Observer, measure};
pub use stepper::Stepper;

use std::time::Duration;

/// Time for which a sweep reads idle power before the first engine starts: a full window (MEASURING.md, rules 4 and 11).
pub const IDLE_BEFORE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
