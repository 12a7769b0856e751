//! A frame of the program: the screen that is shown, header and tabs above it, batch sizes, status and keys below.

mod batch_row;
mod footer;
mod header;
mod help;
mod overlay;
mod sweep;
mod tabs;

use super::{
    screen::Drawn,
    screens, status,
    view::View,
    widgets::pane::{take_bottom, take_top},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// Rows from which there is a footer.
const FOOTER: u16 = 20;

/// Draws it. Where rows are few, the least important ones are left out: tabs and footer first, then the header, the batch
/// sizes and the status; the numbers last.
pub fn draw(view: &View<'_>, area: Rect, buffer: &mut Buffer) -> Drawn {
    let mut body = area.intersection(buffer.area);
    if body.is_empty() {
        return Drawn::default();
    }
    let rows = body.height;
    let mut targets = Vec::new();
    if rows >= 5 {
        header::draw(view, take_top(&mut body), buffer);
    }
    if rows >= 9 {
        targets.extend(tabs::draw(view, take_top(&mut body), buffer));
    }
    if rows >= FOOTER {
        footer::draw(view, take_bottom(&mut body), buffer);
        if view.sweeping() {
            sweep::progress(view, take_bottom(&mut body), buffer);
        }
    }
    if rows >= 2 {
        status::draw(view, take_bottom(&mut body), buffer);
    }
    if rows >= 4 {
        targets.extend(batch_row::draw(view, take_bottom(&mut body), rows >= FOOTER, buffer));
    }
    let mut drawn = screens::draw(view, body, buffer);
    drawn.click_targets.splice(0..0, targets);
    if let Some(dialog) = &view.ui.sweep {
        let area = if rows < 9 { Rect { y: area.bottom() - 1, height: 1, ..area } } else { area };
        sweep::dialog(view, dialog, area, buffer);
    }
    if view.ui.help
        && let Some((page, last_page)) = help::draw(view, area, buffer)
    {
        (drawn.page, drawn.last_page) = (page, last_page);
    }
    drawn
}
