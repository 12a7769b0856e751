//! The outcome of a record: figures, or an error.

use crate::session::measured::Failed;
use serde::Serialize;

/// Figures, or an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome<F> {
    /// It was measured.
    Measured(Box<F>),
    /// It failed.
    Failed {
        /// Why.
        error: String,
        /// Whether the device ran out of memory.
        out_of_memory: bool,
        /// Bytes asked for, where the device said.
        requested_bytes: Option<u64>,
    },
}

impl<F> Outcome<F> {
    /// The outcome of a step with these figures, or with this failure.
    pub fn of(figures: Result<F, &Failed>) -> Self {
        match figures {
            Ok(figures) => Self::Measured(Box::new(figures)),
            Err(failed) => Self::Failed {
                error: failed.to_string(),
                out_of_memory: matches!(failed, Failed::OutOfMemory { .. }),
                requested_bytes: match failed {
                    Failed::OutOfMemory { requested_bytes, .. } => *requested_bytes,
                    _ => None,
                },
            },
        }
    }

    /// Whether it was measured.
    pub const fn is_measured(&self) -> bool {
        matches!(self, Self::Measured(_))
    }
}
