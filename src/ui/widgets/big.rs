//! Digits that can be read from across the room.

use crate::ui::theme::{Role, Theme};
use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};

/// How tall a number is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// One row of bold text.
    Line,
    /// Three rows.
    Tall,
    /// Five rows.
    Huge,
}

impl Size {
    /// Rows it takes.
    pub const fn rows(self) -> u16 {
        match self {
            Self::Line => 1,
            Self::Tall => 3,
            Self::Huge => 5,
        }
    }

    /// Columns that a text takes.
    pub fn columns(self, text: &str) -> u16 {
        match self {
            Self::Line => text.chars().count() as u16,
            Self::Tall => columns(text, |c| pixels(c).1),
            Self::Huge => columns(text, |c| strokes(c).iter().sum::<usize>() as u16),
        }
    }
}

/// Pixel rows of the digits, three pixels wide; the highest bit is the leftmost.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b110, 0b010, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b001, 0b001, 0b001],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];

/// Seven-segment digits in three rows of ASCII.
const SEGMENTS: [[&str; 3]; 10] = [
    [" _ ", "| |", "|_|"],
    ["   ", "  |", "  |"],
    [" _ ", " _|", "|_ "],
    [" _ ", " _|", " _|"],
    ["   ", "|_|", "  |"],
    [" _ ", "|_ ", " _|"],
    [" _ ", "|_ ", "|_|"],
    [" _ ", "  |", "  |"],
    [" _ ", "|_|", "|_|"],
    [" _ ", "|_|", " _|"],
];

/// Pixels of a character, six rows of at most three, and its width.
fn pixels(c: char) -> ([u8; 6], u16) {
    match c {
        '0'..='9' => {
            let d = DIGITS[c as usize - '0' as usize];
            ([d[0], d[1], d[2], d[3], d[4], 0], 3)
        }
        '.' => ([0, 0, 0, 0, 1, 0], 1),
        ',' => ([0, 0, 0, 0, 1, 1], 1),
        '-' | '–' => ([0, 0, 0b111, 0, 0, 0], 3),
        '?' => ([0b111, 0b001, 0b011, 0, 0b010, 0], 3),
        _ => ([0; 6], 1),
    }
}

/// Widths of the pixel columns of a character, in cells. Vertical strokes are two cells wide, since a cell is twice as high as
/// wide, and the space between them is one, so that four digits and a comma fit into a quarter of 120 columns.
fn strokes(c: char) -> &'static [usize] {
    match c {
        '1' => &[2, 2, 1],
        _ if pixels(c).1 == 3 => &[2, 1, 2],
        _ => &[2],
    }
}

/// Columns of a text whose characters are `width` wide, with a gap of one between them.
fn columns(text: &str, width: impl Fn(char) -> u16) -> u16 {
    text.chars().map(|c| width(c) + 1).sum::<u16>().saturating_sub(1)
}

/// Draws a number at the upper left of `area`; what does not fit is cut off.
pub fn render(text: &str, size: Size, role: Role, theme: Theme, area: Rect, buffer: &mut Buffer) {
    let style = theme.style(role).add_modifier(Modifier::BOLD);
    for (row, line) in rows(text, size, theme).iter().enumerate().take(usize::from(area.height)) {
        let y = area.y + row as u16;
        if buffer.area.contains((area.x, y).into()) {
            buffer.set_stringn(area.x, y, line, usize::from(area.width), style);
        }
    }
}

fn rows(text: &str, size: Size, theme: Theme) -> Vec<String> {
    match size {
        Size::Line => vec![text.to_owned()],
        Size::Tall if theme.ascii() => (0..3).map(|row| join(text, |c| segment(c, row))).collect(),
        Size::Tall => (0..3).map(|row| join(text, |c| halves(c, row))).collect(),
        Size::Huge => (0..5).map(|row| join(text, |c| blocks(c, row, theme.pick("█", "#")))).collect(),
    }
}

fn join(text: &str, piece: impl Fn(char) -> String) -> String {
    text.chars().map(piece).collect::<Vec<_>>().join(" ")
}

fn bit(row: u8, column: u16, width: u16) -> bool {
    row >> (width - 1 - column) & 1 == 1
}

fn halves(c: char, row: usize) -> String {
    let (pixels, width) = pixels(c);
    let half = |column| match (bit(pixels[row * 2], column, width), bit(pixels[row * 2 + 1], column, width)) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    };
    (0..width).map(half).collect()
}

fn blocks(c: char, row: usize, pixel: &str) -> String {
    let (pixels, width) = pixels(c);
    // Five rows have no room below the baseline: a comma differs from a point by a pixel above it.
    let line = if c == ',' && row == 3 { 1 } else { pixels[row] };
    let stroke =
        |(column, wide): (usize, &usize)| if bit(line, column as u16, width) { pixel } else { " " }.repeat(*wide);
    strokes(c).iter().enumerate().map(stroke).collect()
}

fn segment(c: char, row: usize) -> String {
    match c {
        '0'..='9' => SEGMENTS[c as usize - '0' as usize][row].to_owned(),
        '-' | '–' => [" ", "_", " "][row].repeat(3),
        c => if row == 2 { c } else { ' ' }.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::theme::Marker;

    #[test]
    fn digits_look_like_digits() {
        let theme = Theme::default();
        assert_eq!(rows("4.21", Size::Tall, theme), ["█ █   ▀▀█ ▀█ ", "▀▀█   █▀▀  █ ", "  ▀ ▀ ▀▀▀ ▀▀▀"]);
        let ascii = Theme { marker: Marker::Ascii, ..theme };
        assert_eq!(rows("42", Size::Tall, ascii), ["     _ ", "|_|  _|", "  | |_ "]);
    }

    #[test]
    fn every_row_is_as_wide_as_announced() {
        for theme in [Theme::default(), Theme { marker: Marker::Ascii, ..Theme::default() }] {
            for size in [Size::Line, Size::Tall, Size::Huge] {
                for text in ["7,601", "0.081", "-1", "12 ", ""] {
                    let rows = rows(text, size, theme);
                    assert_eq!(rows.len(), usize::from(size.rows()));
                    let narrowest = rows.iter().map(|r| r.chars().count() as u16).max();
                    assert_eq!(narrowest, Some(size.columns(text)), "{text:?} {size:?}");
                }
            }
        }
    }
}
