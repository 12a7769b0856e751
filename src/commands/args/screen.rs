//! How the screen is drawn.

use super::{choice::choice, network::expand};
use crate::ui;
use clap::{Args, ValueEnum};

/// How the screen is drawn: the flags of `live` and `replay`.
#[derive(Clone, Debug, Args)]
pub struct ScreenArgs {
    /// What curves are drawn with
    #[arg(long, default_value = "braille", value_parser = choice::<Marker>())]
    pub marker: Marker,
    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
    /// Colours
    #[arg(long, default_value = "auto", value_name = "WHEN", value_parser = choice::<Color>())]
    pub color: Color,
}

/// What curves are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Marker {
    /// Eight dots a cell
    Braille,
    /// Two halves a cell
    Block,
    /// Nothing beyond ASCII
    Ascii,
}

/// How many colours the screen may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// What the terminal says it can
    Auto,
    /// None
    Never,
    /// The terminal's own 16
    #[value(name = "16")]
    Sixteen,
    /// The 256 of xterm
    #[value(name = "256")]
    Palette,
    /// 24 bits
    True,
}

impl ScreenArgs {
    /// The screen's options: its looks, and every network of the registry to choose from.
    pub fn options(&self) -> ui::Options {
        ui::Options {
            networks: expand(["all"]),
            paper: expand(["paper"]),
            marker: match self.marker {
                Marker::Braille => ui::Marker::Braille,
                Marker::Block => ui::Marker::Block,
                Marker::Ascii => ui::Marker::Ascii,
            },
            depth: match self.color {
                Color::Auto => None,
                Color::Never => Some(ui::Depth::None),
                Color::Sixteen => Some(ui::Depth::Ansi16),
                Color::Palette => Some(ui::Depth::Ansi256),
                Color::True => Some(ui::Depth::Rgb),
            },
            no_mouse: self.no_mouse,
            ..ui::Options::default()
        }
    }
}
