//! A frame over the screen, for the help and for dialogs.

use crate::ui::{
    view::View,
    widgets::pane::{Part, frame, place},
};
use ratatui::{buffer::Buffer, layout::Rect, text::Line};

/// Draws an empty frame in the middle of the screen, with room for `width` columns and `rows` rows where the screen has it;
/// gives the area inside.
pub fn open(view: &View<'_>, title: &[Part], area: Rect, width: u16, rows: u16, buffer: &mut Buffer) -> Rect {
    let (width, height) = ((width + 4).min(area.width), (rows + 2).min(area.height));
    let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
    let over = Rect { x, y, width, height };
    clear(over, buffer);
    let inner = frame(title, view.theme, over, buffer);
    let pad = u16::from(inner.width > 2);
    Rect { x: inner.x + pad, width: inner.width - pad, ..inner }
}

fn clear(area: Rect, buffer: &mut Buffer) {
    for y in area.top()..area.bottom() {
        for x in area.left()..area.right() {
            if let Some(cell) = buffer.cell_mut((x, y)) {
                cell.reset();
            }
        }
        place(&Line::raw(" ".repeat(usize::from(area.width))), Rect { y, height: 1, ..area }, buffer);
    }
}
