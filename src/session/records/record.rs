//! The record of one run.

use super::{absent, figures::Figures, origin::Origin, outcome::Outcome};
use crate::{
    clock, event,
    session::{State, measured::Measured},
};
use serde::Serialize;

/// Version of the objects of `wattscope run --json`.
pub const SCHEMA: u32 = 1;

/// The record of one run, with everything that is needed to believe it later (MLPerf Power rules, arXiv 2410.12032).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What was measured, where, and by what.
    #[serde(flatten)]
    pub origin: Origin,
    /// When the configuration was asked for, RFC 3339.
    pub started: Option<String>,
    /// Newest CUDA version that the driver supports.
    pub cuda: Option<String>,
    /// Whether the card's clocks are locked or floating, or why that is not known.
    pub clock_policy: Option<String>,
    /// Power limit in force, W.
    pub power_cap_w: Option<f64>,
    /// What `wattscope check` found for this network on this device in this precision; null if that was not checked.
    pub checked: Option<Checked>,
    /// Its round in a sweep, from 1.
    pub round: u32,
    /// Figures, or an error.
    #[serde(flatten)]
    pub outcome: Outcome<Figures>,
}

impl Record {
    /// The record of a step that is just done. `state` must still hold its run: the means of clocks and temperature are
    /// taken from it.
    pub fn of(state: &State, measured: &Measured) -> Self {
        let config = &measured.config;
        let card = state.cards.get(&config.device);
        let result = measured.outcome.as_ref();
        Self {
            schema: SCHEMA,
            origin: Origin::of(state, config, result.ok().and_then(|result| result.weights.as_ref())),
            started: state.header.as_ref().and_then(|h| clock::wall(&h.started, measured.began)),
            cuda: card.and_then(|c| c.cuda.clone()),
            clock_policy: card.and_then(|c| c.clock_policy.clone()),
            power_cap_w: card.and_then(|c| c.power_cap_w),
            checked: state.checked(config).map(Checked::of),
            round: measured.round,
            outcome: Outcome::of(result.map(|result| {
                let figures = Figures::of(state, result);
                Figures { absent: absent::reasons(&figures, state, result), ..figures }
            })),
        }
    }

    /// Its figures, if it was measured.
    pub fn figures(&self) -> Option<&Figures> {
        match &self.outcome {
            Outcome::Measured(figures) => Some(figures),
            Outcome::Failed { .. } => None,
        }
    }

    /// Whether it was measured.
    pub const fn is_measured(&self) -> bool {
        self.outcome.is_measured()
    }
}

/// The error of a network's logits on this device against the reference, in standard deviations of the logits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// Largest error; null where it is not finite.
    pub error: Option<f64>,
    /// Upper bound of the error.
    pub bound: f64,
    /// Whether the error is within the bound.
    pub pass: bool,
}

impl Checked {
    const fn of(checked: &event::Checked) -> Self {
        Self { error: checked.error, bound: checked.bound, pass: checked.pass }
    }
}
