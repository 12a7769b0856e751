//! STUB, to be dropped: the real screen is written in another copy.

use crate::{agent::AgentHandle, event::Precision};

#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub network: Option<String>,
    pub batch: Option<u32>,
    pub precision: Option<Precision>,
    pub device: Option<String>,
}

#[derive(Clone, Copy, Debug)]
pub enum Depth {
    None,
    Ansi16,
    Ansi256,
    Rgb,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum Marker {
    #[default]
    Braille,
    Block,
    Ascii,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    pub networks: Vec<String>,
    pub wishes: Wishes,
    pub marker: Marker,
    pub depth: Option<Depth>,
    pub no_mouse: bool,
    pub frames_per_s: Option<f64>,
    pub watch_only: bool,
    pub recording: bool,
}

pub struct Exit;

impl Exit {
    pub const fn code(self) -> u8 {
        0
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no screen yet")]
pub struct UiError;

pub async fn run(_: Options, _: impl FnOnce() -> AgentHandle) -> Result<Exit, UiError> {
    Err(UiError)
}
