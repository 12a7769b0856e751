//! The screen: keys in, frames out, the stream folded in between.
//!
//! - The vocabulary: [`action`], [`binding`], [`options`], [`exit`], [`theme`].
//! - What the user controls: [`knobs`], [`station_control`], [`stations`], [`sweep_driver`], [`timeline`], [`view_state`].
//! - [`view`] is all that a frame is drawn from. [`widgets`] draw pieces, [`screens`] what is between header and status row, and
//!   [`frame`] everything around them.
//! - [`app`] holds the state; [`event_loop`] joins it with the [`terminal`], the signals and the agents.
//!
//! A new screen is a file in `screens/` and a line in [`screens::ALL`].

pub mod action;
pub mod analysis_cache;
pub mod app;
pub mod batch_prompt;
pub mod binding;
pub mod event_loop;
pub mod exit;
pub mod frame;
pub mod keymap;
pub mod knobs;
pub mod options;
pub mod pin;
pub mod screen;
pub mod screens;
mod signals;
pub mod station_control;
pub mod stations;
pub mod status;
pub mod sweep_dialog;
pub mod sweep_driver;
pub mod terminal;
pub mod theme;
pub mod timeline;
pub mod view;
pub mod view_state;
pub mod widgets;

#[cfg(test)]
mod tests;

pub use app::App;
pub use event_loop::{replay, run};
pub use exit::{Exit, UiError};
pub use knobs::InitialConfig;
pub use options::Options;
pub use theme::{Depth, Marker, Theme};
