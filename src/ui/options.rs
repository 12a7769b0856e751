//! How the screen is started.

use super::{
    knobs::InitialConfig,
    theme::{Depth, Marker, Theme},
};
use std::{path::PathBuf, time::Duration};

/// Highest frame rate, frames/s: enough for the eye, and little enough for a slow connection.
pub const MAX_FRAME_RATE: f64 = 10.0;

/// How the screen is started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Registry ids of the networks, in the order in which ↑ and ↓ go through them.
    pub networks: Vec<String>,
    /// Those of them that are in the paper: a sweep can be limited to them.
    pub paper: Vec<String>,
    /// The configuration to begin with.
    pub initial: InitialConfig,
    /// The devices of several stations, in their order; empty for a single station, on the device of `initial`.
    pub stations: Vec<String>,
    /// What curves are drawn with.
    pub marker: Marker,
    /// Colour depth; detected from the environment by default.
    pub depth: Option<Depth>,
    /// Leave the mouse to the terminal.
    pub no_mouse: bool,
    /// Frame rate, frames/s: [`MAX_FRAME_RATE`] at most and by default.
    pub frames_per_s: Option<f64>,
    /// The stream is a recording, or another program's: no commands are sent.
    pub watch_only: bool,
    /// Where metrics are served, as a URL; none where they are not.
    pub metrics: Option<String>,
    /// Directory of recordings that are started by a key; the current one by default.
    pub record_to: PathBuf,
}

impl Options {
    /// Colour depth and marker.
    pub fn theme(&self) -> Theme {
        let depth = self.depth.unwrap_or_else(|| Depth::detect(|name| std::env::var(name).ok()));
        Theme { depth, marker: self.marker }
    }

    /// Least time between two frames.
    pub fn frame_time(&self) -> Duration {
        let rate = self.frames_per_s.filter(|r| r.is_finite()).unwrap_or(MAX_FRAME_RATE);
        Duration::from_secs_f64(1.0 / rate.clamp(0.1, MAX_FRAME_RATE))
    }
}
