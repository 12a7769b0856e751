//! Dots finer than cells: braille, quadrant blocks, or ASCII.

use crate::ui::theme::Marker;
use ratatui::{buffer::Buffer, layout::Rect, style::Style};

/// Bits of a braille cell by row and column.
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// Quadrants by bits: upper left 1, upper right 2, lower left 4, lower right 8.
const QUADRANTS: [char; 16] = [' ', '▘', '▝', '▀', '▖', '▌', '▞', '▛', '▗', '▚', '▐', '▜', '▄', '▙', '▟', '█'];

/// Halves by bits: upper 1, lower 2.
const HALVES: [char; 4] = [' ', '\'', '.', ':'];

/// A bitmap over a rectangle of cells.
#[derive(Clone, Debug)]
pub struct Canvas {
    area: Rect,
    marker: Marker,
    cells: Vec<(u8, Style)>,
}

impl Canvas {
    /// An empty bitmap.
    pub fn new(area: Rect, marker: Marker) -> Self {
        Self { area, marker, cells: vec![(0, Style::new()); usize::from(area.width) * usize::from(area.height)] }
    }

    /// Dots of a cell, across and down.
    pub const fn resolution(marker: Marker) -> (u16, u16) {
        match marker {
            Marker::Braille => (2, 4),
            Marker::Block => (2, 2),
            Marker::Ascii => (1, 2),
        }
    }

    /// Dots across and down.
    pub fn size(&self) -> (i64, i64) {
        let (x, y) = Self::resolution(self.marker);
        (i64::from(self.area.width) * i64::from(x), i64::from(self.area.height) * i64::from(y))
    }

    /// Sets a dot, counted from the upper left; one outside is ignored.
    pub fn dot(&mut self, x: i64, y: i64, style: Style) {
        let (w, h) = self.size();
        if x < 0 || y < 0 || x >= w || y >= h {
            return;
        }
        let (dx, dy) = Self::resolution(self.marker);
        let (dx, dy) = (i64::from(dx), i64::from(dy));
        let index = (y / dy) * i64::from(self.area.width) + x / dx;
        let (column, row) = ((x % dx) as usize, (y % dy) as usize);
        let bit = match self.marker {
            Marker::Braille => BRAILLE[row][column],
            Marker::Block => 1 << (row * 2 + column),
            Marker::Ascii => 1 << row,
        };
        if let Some(cell) = self.cells.get_mut(index as usize) {
            *cell = (cell.0 | bit, style);
        }
    }

    /// Draws a line between two dots. It visits every dot between them, so the ends should not be far outside the canvas.
    pub fn line(&mut self, (x0, y0): (i64, i64), (x1, y1): (i64, i64), style: Style) {
        let steps = (x1 - x0).abs().max((y1 - y0).abs());
        self.dot(x0, y0, style);
        for i in 1..=steps {
            let at = |a: i64, b: i64| a + ((b - a) as f64 * i as f64 / steps as f64).round() as i64;
            self.dot(at(x0, x1), at(y0, y1), style);
        }
    }

    /// Whether a cell has no dot; one outside has none.
    pub fn blank(&self, column: u16, row: u16) -> bool {
        if column >= self.area.width || row >= self.area.height {
            return true;
        }
        let index = usize::from(row) * usize::from(self.area.width) + usize::from(column);
        self.cells.get(index).is_none_or(|(bits, _)| *bits == 0)
    }

    /// Draws the cells that have dots; the others keep their symbols.
    ///
    /// Blank cells take the style of the dots to their left. It is not visible there, and saves an escape sequence at every
    /// gap of a noisy curve, which would be most of the bytes of a frame.
    pub fn render(&self, buffer: &mut Buffer) {
        for (row, cells) in self.cells.chunks(usize::from(self.area.width.max(1))).enumerate() {
            let mut last = cells.iter().find(|(bits, _)| *bits != 0).map(|(_, style)| *style);
            for (column, (bits, style)) in cells.iter().enumerate() {
                let at = (self.area.x + column as u16, self.area.y + row as u16);
                let Some(cell) = buffer.cell_mut(at) else { continue };
                if *bits != 0 {
                    last = Some(*style);
                    cell.set_char(self.symbol(*bits));
                }
                if let Some(last) = last.filter(|_| *bits != 0 || cell.symbol() == " ") {
                    cell.set_style(last);
                }
            }
        }
    }

    fn symbol(&self, bits: u8) -> char {
        match self.marker {
            Marker::Braille => char::from_u32(0x2800 + u32::from(bits)).unwrap_or(' '),
            Marker::Block => QUADRANTS[usize::from(bits & 15)],
            Marker::Ascii => HALVES[usize::from(bits & 3)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(marker: Marker, width: u16, height: u16, draw: impl FnOnce(&mut Canvas)) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut canvas = Canvas::new(area, marker);
        draw(&mut canvas);
        let mut buffer = Buffer::empty(area);
        canvas.render(&mut buffer);
        (0..height).map(|y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect()).collect()
    }

    #[test]
    fn a_diagonal_in_each_marker() {
        let diagonal = |c: &mut Canvas| {
            let (w, h) = c.size();
            c.line((0, h - 1), (w - 1, 0), Style::new());
        };
        assert_eq!(drawn(Marker::Braille, 2, 1, diagonal), ["⡠⠊"]);
        assert_eq!(drawn(Marker::Block, 2, 2, diagonal), [" ▞", "▞ "]);
        assert_eq!(drawn(Marker::Ascii, 2, 1, diagonal), [".'"]);
    }

    #[test]
    fn dots_outside_are_not_there() {
        assert_eq!(drawn(Marker::Braille, 1, 1, |c| c.dot(-1, 5, Style::new())), [" "]);
        assert_eq!(drawn(Marker::Braille, 0, 0, |c| c.dot(0, 0, Style::new())), Vec::<String>::new());
    }
}
