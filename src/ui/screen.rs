//! What a screen is: a name, keys of its own, and functions of a [`View`]. A screen holds no state and knows no app; what
//! it leaves behind for the next key or click is a [`Drawn`].

use super::{action::Action, binding::Binding, view::View, view_state::Sort};
use ratatui::{buffer::Buffer, layout::Rect};

/// A screen. Its key is the digit of its place in the list of screens.
pub struct Screen {
    /// Its name on its tab, one word.
    pub name: &'static str,
    /// Keys that it adds to the keymap.
    pub bindings: &'static [Binding],
    /// Draws it into an area of any size.
    pub draw: fn(&View<'_>, Rect, &mut Buffer) -> Drawn,
    /// Its own answer to an action while it is shown; none leaves the action to the program.
    pub respond: fn(&View<'_>, Action) -> Option<Response>,
    /// What to tell the user who presses one of its keys on another screen.
    pub elsewhere: fn(&View<'_>, Action) -> Option<&'static str>,
    /// Registry ids of the networks, in the order in which ↑ and ↓ go through them while it is shown.
    pub networks: fn(&View<'_>) -> Vec<String>,
    /// Whether the layers of the run are to be timed while it is shown.
    pub times_layers: bool,
    /// Whether it has a time axis, whose length keys change.
    pub time_axis: bool,
}

impl Screen {
    /// A screen that only lacks a name and a draw function.
    pub const BASE: Self = Self {
        name: "",
        bindings: &[],
        draw: |_, _, _| Drawn::default(),
        respond: |_, _| None,
        elsewhere: |_, _| None,
        networks: |view| view.networks(),
        times_layers: false,
        time_axis: false,
    };
}

/// What a frame leaves behind for keys and clicks.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// What can be clicked where; the first area that contains the mouse counts.
    pub click_targets: Vec<(Rect, Action)>,
    /// Rows, or columns of stations, of a page.
    pub page: usize,
    /// Rows that it can be scrolled by at most.
    pub last_page: usize,
}

impl Default for Drawn {
    fn default() -> Self {
        Self { click_targets: Vec::new(), page: 1, last_page: 0 }
    }
}

/// What follows from a screen's answer to an action.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Sort its table and scroll to the top.
    Sort(Sort),
    /// Set its limit.
    Limit(f64),
    /// Show this station, or the last one where there are fewer.
    Station(usize),
    /// Tell the user something.
    Hint(String),
}
