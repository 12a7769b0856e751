//! Tables; the least important columns are left out where there is no room.

use super::pane::{columns, text};
use crate::ui::theme::{Role, Theme};
use ratatui::{buffer::Buffer, layout::Rect};
use std::{borrow::Cow, ops::Range};

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its title.
    pub title: Cow<'static, str>,
    /// How soon it is left out where there is no room: the highest number first, 0 never.
    pub drop: u8,
    /// Whether its cells are aligned left, as words are, and not right or at their decimal points, as numbers are.
    pub words: bool,
}

impl Column {
    /// A column of numbers.
    pub const fn number(drop: u8, title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), drop, words: false }
    }

    /// A column of words.
    pub const fn words(drop: u8, title: &'static str) -> Self {
        Self { title: Cow::Borrowed(title), drop, words: true }
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: a cell per column, and the role of the row.
    pub rows: Vec<(Vec<String>, Role)>,
    /// The highlighted row, which is kept in sight.
    pub selected: Option<usize>,
    /// The column that the rows are sorted by, and in which direction.
    pub sorted: Option<(usize, Direction)>,
    /// Headings over neighbouring columns, where there is a row for them.
    pub groups: Vec<(Range<usize>, String)>,
}

/// Which way a column is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Ascending.
    Up,
    /// Descending.
    Down,
}

/// Rows below which the headings of groups are left out.
const GROUPS: u16 = 8;

impl Table {
    /// Draws it, scrolled by `offset` rows, or as far as the highlighted row needs; gives the rows that are shown.
    pub fn render(&self, offset: usize, theme: Theme, area: Rect, buffer: &mut Buffer) -> Range<usize> {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return 0..0;
        }
        let header = self.header(area);
        let room = usize::from(area.height - header);
        let first = self.first(offset, room);
        let last = (first + room).min(self.rows.len());
        let shown = self.fitting(area.width, theme);
        if header > 1 {
            self.group_names(&shown, theme, area, buffer);
        }
        if header > 0 {
            let titles: Vec<_> = (0..self.columns.len()).map(|i| self.title(i, theme)).collect();
            let line = Rect { y: area.y + header - 1, ..area };
            self.row(&titles, &shown, Role::Dim, theme, line, buffer);
        }
        for (i, (cells, role)) in self.rows[first..last].iter().enumerate() {
            let line = Rect { y: area.y + header + i as u16, height: 1, ..area };
            let selected = self.selected == Some(first + i);
            if selected {
                let fill = " ".repeat(usize::from(line.width));
                text(line.x, line.y, &fill, theme.style(Role::Current), line, buffer);
            }
            self.row(cells, &shown, if selected { Role::Current } else { *role }, theme, line, buffer);
        }
        first..last
    }

    /// Columns that it takes with all of its columns.
    pub fn width(&self, theme: Theme) -> u16 {
        let all = self.fitting(u16::MAX - 2, theme);
        all.iter().map(|(_, width)| width + 2).sum::<u16>().saturating_sub(2)
    }

    /// The area of the title of each column that fits, with the column's number.
    pub fn titles(&self, theme: Theme, area: Rect) -> Vec<(Rect, usize)> {
        let Some(above) = self.header(area).checked_sub(1) else { return Vec::new() };
        let mut x = area.x;
        let mut titles = Vec::new();
        for (i, width) in self.fitting(area.width, theme) {
            titles.push((Rect { x, y: area.y + above, width, height: 1 }.intersection(area), i));
            x += width + 2;
        }
        titles
    }

    /// Rows of titles and of headings above them.
    fn header(&self, area: Rect) -> u16 {
        match area.height {
            0 | 1 => 0,
            height => 1 + u16::from(height >= GROUPS && !self.groups.is_empty()),
        }
    }

    /// Draws each group's heading, a line over its columns with its name in it.
    fn group_names(&self, shown: &[(usize, u16)], theme: Theme, area: Rect, buffer: &mut Buffer) {
        let mut x = area.x;
        let mut spans: Vec<(usize, u16, u16)> = Vec::new();
        for (i, width) in shown {
            if let Some(group) = self.groups.iter().position(|(columns, _)| columns.contains(i)) {
                match spans.last_mut().filter(|(last, ..)| *last == group) {
                    Some((.., end)) => *end = x + width,
                    None => spans.push((group, x, x + width)),
                }
            }
            x += width + 2;
        }
        for (group, start, end) in spans {
            let line = Rect { x: start, width: end - start, height: 1, ..area }.intersection(area);
            let name = theme.text(self.groups[group].1.as_str());
            let rule = theme.pick("─", "-").repeat(usize::from(line.width));
            text(line.x, line.y, &rule, theme.style(Role::Dim), line, buffer);
            if columns(&name) + 2 <= usize::from(line.width) {
                text(line.x + 1, line.y, &format!(" {name} "), theme.style(Role::Plain), line, buffer);
            }
        }
    }

    fn title(&self, column: usize, theme: Theme) -> String {
        let title = &self.columns[column].title;
        match self.sorted {
            Some((sorted, Direction::Down)) if sorted == column => format!("{title}{}", theme.pick("▼", "v")),
            Some((sorted, Direction::Up)) if sorted == column => format!("{title}{}", theme.pick("▲", "^")),
            _ => title.to_string(),
        }
    }

    fn first(&self, offset: usize, room: usize) -> usize {
        let furthest = self.rows.len().saturating_sub(room);
        let first = offset.min(furthest);
        match self.selected {
            Some(row) if row < first => row,
            Some(row) if row >= first + room => (row + 1).saturating_sub(room),
            _ => first,
        }
    }

    /// Numbers of the columns that fit, with their widths.
    fn fitting(&self, width: u16, theme: Theme) -> Vec<(usize, u16)> {
        let widest = |i: usize| {
            let tail = self.longest_tail(i);
            let padding = |cell: &str| if is_number(cell) { tail.saturating_sub(tail_of(cell)) } else { 0 };
            let width = |cell: &str| columns(&theme.text(cell)) + padding(cell);
            let cells = self.cells(i).map(width);
            cells.chain([columns(&theme.text(self.title(i, theme)))]).max().unwrap_or(0) as u16
        };
        let mut shown: Vec<_> = (0..self.columns.len()).map(|i| (i, widest(i))).collect();
        while shown.iter().map(|(_, w)| w + 2).sum::<u16>() > width + 2 {
            let worst = shown.iter().enumerate().max_by_key(|(at, (i, _))| (self.columns[*i].drop, *at));
            match worst {
                Some((at, (i, _))) if self.columns[*i].drop > 0 => shown.remove(at),
                _ => break,
            };
        }
        shown
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(move |(cells, _)| cells.get(column)).map(String::as_str)
    }

    /// The longest part from the decimal point on of a column's numbers, which are aligned at it; 0 in a column of numbers with
    /// units, whose ends are aligned.
    fn longest_tail(&self, column: usize) -> usize {
        let with_unit = |cell: &str| cell.starts_with(|c: char| c.is_ascii_digit()) && !is_number(cell);
        match self.cells(column).any(with_unit) {
            true => 0,
            false => self.cells(column).filter(|cell| is_number(cell)).map(tail_of).max().unwrap_or(0),
        }
    }

    fn row(&self, cells: &[String], shown: &[(usize, u16)], role: Role, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let mut x = area.x;
        for (i, width) in shown {
            let cell = theme.text(cells.get(*i).map_or("", String::as_str));
            // A title is aligned with the end of the longest number.
            let tail = if is_number(&cell) { self.longest_tail(*i).saturating_sub(tail_of(&cell)) } else { 0 };
            let taken = (columns(&cell) + tail) as u16;
            let pad = if self.columns[*i].words { 0 } else { width.saturating_sub(taken) };
            text(x + pad, area.y, &cell, theme.style(role), area, buffer);
            x += width + 2;
        }
    }
}

/// Whether a cell is a number without a unit, or stands for a missing one.
fn is_number(cell: &str) -> bool {
    cell == "-" || !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | '−'))
}

/// Columns from the decimal point of a number on.
fn tail_of(cell: &str) -> usize {
    cell.find('.').map_or(0, |point| cell.len() - point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_drop_and_the_selected_row_stays_in_sight() {
        let table = Table {
            columns: vec![Column::words(0, "network"), Column::number(2, "year"), Column::number(1, "W")],
            rows: (0..9)
                .map(|i| (vec![format!("net {i}"), "2012".into(), format!("{}", i * 100)], Role::Plain))
                .collect(),
            selected: Some(7),
            ..Table::default()
        };
        let area = Rect::new(0, 0, 13, 4);
        let mut buffer = Buffer::empty(area);
        assert_eq!(table.render(0, Theme::default(), area, &mut buffer), 5..8);
        let line = |y| (0..13).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        assert_eq!(line(0), "network    W ");
        assert_eq!(line(3), "net 7    700 ");
    }

    #[test]
    fn numbers_are_aligned_at_their_decimal_points_unless_they_have_units() {
        let numbers = ["0.222", "12.0", "-", "4,510", "in #1"];
        let counts = ["138 M", "7.00 M", "-", "2.05 G", ""];
        let rows = numbers.iter().zip(counts).map(|(n, c)| (vec![(*n).to_owned(), c.to_owned()], Role::Plain));
        let columns = vec![Column::number(0, "ms"), Column::number(0, "MACs")];
        let table = Table { columns, rows: rows.collect(), ..Table::default() };
        let area = Rect::new(0, 0, 20, 6);
        let mut buffer = Buffer::empty(area);
        table.render(0, Theme::default(), area, &mut buffer);
        let line = |y| (0..17).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        let lines: Vec<_> = (0..6).map(|y| line(y).trim_end().to_owned()).collect();
        let expected = [
            "       ms    MACs",
            "    0.222   138 M",
            "   12.0    7.00 M",
            "    -           -",
            "4,510      2.05 G",
            "    in #1",
        ];
        assert_eq!(lines, expected);
    }
}
