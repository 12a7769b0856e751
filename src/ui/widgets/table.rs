//! Columns of numbers that line up; the least important ones are dropped where there is no room.

use super::pane::{columns, text};
use crate::ui::theme::{Role, Theme};
use ratatui::{buffer::Buffer, layout::Rect};

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// How soon it is dropped where there is no room: high goes first, 0 never.
    pub drop: u8,
    /// Whether its cells stand at the left, as words do, and not at the right, as numbers do.
    pub words: bool,
}

impl Column {
    /// A column of numbers.
    pub const fn number(drop: u8, title: &'static str) -> Self {
        Self { title, drop, words: false }
    }

    /// A column of words.
    pub const fn words(drop: u8, title: &'static str) -> Self {
        Self { title, drop, words: true }
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows: a cell a column, and the look of the row.
    pub rows: Vec<(Vec<String>, Role)>,
    /// The row to keep in sight.
    pub selected: Option<usize>,
    /// The column that the rows are sorted by.
    pub sorted: Option<usize>,
}

impl Table {
    /// Draws it, scrolled by `offset` rows or as far as the selected row needs; gives back the rows shown.
    pub fn render(&self, offset: usize, theme: Theme, area: Rect, buffer: &mut Buffer) -> std::ops::Range<usize> {
        let area = area.intersection(buffer.area);
        if area.is_empty() {
            return 0..0;
        }
        let header = u16::from(area.height > 1);
        let room = usize::from(area.height - header);
        let first = self.first(offset, room);
        let last = (first + room).min(self.rows.len());
        let shown = self.fitting(area.width, theme);
        if header > 0 {
            let titles: Vec<_> = (0..self.columns.len()).map(|i| self.title(i, theme)).collect();
            self.row(&titles, &shown, Role::Dim, theme, area, buffer);
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

    /// Rows that it takes with its heading.
    pub fn height(&self) -> u16 {
        self.rows.len() as u16 + 1
    }

    fn title(&self, column: usize, theme: Theme) -> String {
        let title = self.columns[column].title;
        if self.sorted == Some(column) { format!("{title}{}", theme.pick("▼", "v")) } else { title.to_owned() }
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

    /// Columns that fit, with their widths.
    fn fitting(&self, width: u16, theme: Theme) -> Vec<(usize, u16)> {
        let widest = |i: usize| {
            let cells =
                self.rows.iter().filter_map(|(cells, _)| cells.get(i)).map(|c| columns(&theme.text(c.as_str())));
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

    fn row(&self, cells: &[String], shown: &[(usize, u16)], role: Role, theme: Theme, area: Rect, buffer: &mut Buffer) {
        let mut x = area.x;
        for (i, width) in shown {
            let cell = theme.text(cells.get(*i).map_or("", String::as_str));
            let pad = if self.columns[*i].words { 0 } else { width.saturating_sub(columns(&cell) as u16) };
            text(x + pad, area.y, &cell, theme.style(role), area, buffer);
            x += width + 2;
        }
    }
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
            sorted: None,
        };
        let area = Rect::new(0, 0, 13, 4);
        let mut buffer = Buffer::empty(area);
        assert_eq!(table.render(0, Theme::default(), area, &mut buffer), 5..8);
        let line = |y| (0..13).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        assert_eq!(line(0), "network    W ");
        assert_eq!(line(3), "net 7    700 ");
    }
}
