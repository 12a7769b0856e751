//! What can be wrong with a device that was asked for.

use crate::event::Precision;
use thiserror::Error;

/// A device or precision that can't be had.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeviceError {
    /// No such name.
    #[error("unknown device '{name}': {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A device of that kind could exist, but does not here.
    #[error("{name}: {reason}")]
    Absent {
        /// What was asked for.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The device does not compute in that precision.
    #[error("{device} has no {asked}: it has {has}{hint}")]
    Precision {
        /// The device.
        device: String,
        /// What was asked for.
        asked: Precision,
        /// What it has.
        has: String,
        /// What to ask for instead, where that is not obvious.
        hint: &'static str,
    },
    /// Burn does not find what the driver has.
    #[error("Burn finds no device {0}, though the driver does")]
    Hidden(String),
}
