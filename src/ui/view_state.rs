//! What the user chose to look at: which screen, which part of it, in which order, and which dialog is open.

use super::{action::ScreenId, batch_prompt::BatchPrompt, sweep_dialog::SweepDialog};
use std::collections::BTreeMap;

/// Lengths of the time axis, s.
pub const WINDOWS: [u64; 6] = [10, 30, 60, 120, 300, 600];

/// What the user chose to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewState {
    /// The screen.
    pub screen: ScreenId,
    /// Index into [`WINDOWS`].
    pub window: usize,
    /// Whether the help is open.
    pub help: bool,
    /// The prompt for a batch size, while it is open.
    pub prompt: Option<BatchPrompt>,
    /// The sweep dialog, while it is open.
    pub sweep: Option<SweepDialog>,
    /// Rows that the screen, or the help, is scrolled by.
    pub scroll: usize,
    /// Rows, or columns of stations, of a page in the last frame.
    pub page: usize,
    /// What the user set on each screen.
    screens: BTreeMap<ScreenId, ScreenState>,
}

/// What the user set on one screen; kept while another one is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScreenState {
    /// The order of its table.
    pub sort: Sort,
    /// A limit that keys raise and lower, in the screen's unit, such as an energy budget; none until it is set.
    pub limit: Option<f64>,
}

/// The order of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sort {
    /// The column that it is sorted by; none for the order of the rows themselves.
    pub column: Option<usize>,
    /// Against the column's usual direction.
    pub reversed: bool,
}

impl Sort {
    /// By the next of `columns`, or by the previous one; the order of the rows themselves comes between last and first.
    #[must_use]
    pub fn step(self, columns: usize, forward: bool) -> Self {
        let at = self.column.map_or(0, |c| c + 1);
        let next = (at + if forward { 1 } else { columns }) % (columns + 1);
        Self { column: next.checked_sub(1), reversed: false }
    }

    /// By a column that was clicked: the second click reverses the order.
    #[must_use]
    pub fn by(self, column: usize) -> Self {
        Self { column: Some(column), reversed: self.column == Some(column) && !self.reversed }
    }

    /// The other way round.
    #[must_use]
    pub const fn reverse(self) -> Self {
        Self { reversed: !self.reversed, ..self }
    }
}

impl Default for ViewState {
    fn default() -> Self {
        Self {
            screen: ScreenId::default(),
            window: 2,
            help: false,
            prompt: None,
            sweep: None,
            scroll: 0,
            page: 10,
            screens: BTreeMap::new(),
        }
    }
}

impl ViewState {
    /// What the user set on the screen that is shown.
    pub fn own(&self) -> ScreenState {
        self.screens.get(&self.screen).copied().unwrap_or_default()
    }

    /// Sorts the table of the screen that is shown, and scrolls to its top.
    pub fn sort(&mut self, sort: Sort) {
        self.screens.entry(self.screen).or_default().sort = sort;
        self.scroll = 0;
    }

    /// Sets the limit of the screen that is shown.
    pub fn set_limit(&mut self, limit: f64) {
        self.screens.entry(self.screen).or_default().limit = Some(limit);
    }

    /// Shows a screen from its top.
    pub const fn show(&mut self, screen: ScreenId) {
        self.screen = screen;
        self.scroll = 0;
        self.help = false;
    }

    /// Opens or closes the help.
    pub const fn set_help(&mut self, open: bool) {
        self.help = open;
        self.scroll = 0;
    }

    /// Shortens or lengthens the time axis by one step.
    pub fn zoom(&mut self, shorter: bool) {
        self.window = if shorter { self.window.saturating_sub(1) } else { (self.window + 1).min(WINDOWS.len() - 1) };
    }

    /// Length of the time axis, ns.
    pub fn window_ns(&self) -> u64 {
        WINDOWS[self.window.min(WINDOWS.len() - 1)] * 1_000_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_screen_keeps_its_own_order() {
        let mut view = ViewState::default();
        view.sort(Sort::default().by(3));
        view.show(ScreenId(1));
        assert_eq!(view.own(), ScreenState::default());
        view.set_limit(2.5);
        view.show(ScreenId(0));
        assert_eq!((view.own().sort.column, view.own().limit), (Some(3), None));
    }

    #[test]
    fn columns_are_stepped_through_around_the_order_of_the_rows() {
        let columns = (0..4).scan(Sort::default(), |sort, _| {
            *sort = sort.step(2, true);
            Some(sort.column)
        });
        assert_eq!(columns.collect::<Vec<_>>(), [Some(0), Some(1), None, Some(0)]);
        assert_eq!(Sort::default().step(2, false).column, Some(1));
    }
}
