//! The screens. Each is a file that knows the [`View`] and the widgets; the list below makes it a tab with a digit.

pub mod findings;
pub mod layers;
pub mod live;
pub mod plateau;
pub mod zoo;

use super::{
    action::{Action, ScreenId},
    screen::{Drawn, Screen},
    view::View,
};
use ratatui::{buffer::Buffer, layout::Rect};

/// All screens, in the order of their tabs.
pub static ALL: &[&Screen] = &[&live::SCREEN, &plateau::SCREEN, &zoo::SCREEN, &findings::SCREEN, &layers::SCREEN];

/// Least columns and rows for a screen other than the first.
const SMALLEST: (u16, u16) = (4, 2);

/// A screen; the first one for a number that there is not.
pub fn get(id: ScreenId) -> &'static Screen {
    ALL.get(id.0).copied().unwrap_or(&live::SCREEN)
}

/// The next or the previous screen, wrapping around.
pub fn step(id: ScreenId, forward: bool) -> ScreenId {
    let n = ALL.len();
    ScreenId((id.0 + if forward { 1 } else { n - 1 }) % n)
}

/// The hint of the screens that are not shown to an action that is theirs.
pub fn elsewhere(view: &View<'_>, action: Action) -> Option<&'static str> {
    let others = ALL.iter().enumerate().filter(|(i, _)| ScreenId(*i) != view.ui.screen);
    others.map(|(_, screen)| (screen.elsewhere)(view, action)).find_map(|hint| hint)
}

/// Draws the screen that is shown. Where it has no room, the numbers of the live screen have.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let screen = get(view.ui.screen);
    if (area.width < SMALLEST.0 || area.height < SMALLEST.1) && view.ui.screen != ScreenId::default() {
        live::station::draw(view, area, buffer);
        return Drawn::default();
    }
    (screen.draw)(view, area, buffer)
}
