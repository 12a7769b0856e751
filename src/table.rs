//! Text in columns, and numbers with no more digits than they deserve.

/// A table of text: a header, rows of as many cells, and notes below that cells refer to.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

#[derive(Clone, Debug)]
struct Column {
    title: String,
    right: bool,
}

impl Table {
    /// An empty table. A title that begins with `<` makes a column of text, others are aligned to the right.
    pub fn new(titles: &[&str]) -> Self {
        let column = |title: &&str| match title.strip_prefix('<') {
            Some(title) => Column { title: title.to_owned(), right: false },
            None => Column { title: (*title).to_owned(), right: true },
        };
        Self { columns: titles.iter().map(column).collect(), ..Self::default() }
    }

    /// Appends a row. Cells that are missing stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A cell for a value that is absent, with a reference to the reason below the table.
    pub fn absent(&mut self, reason: &str) -> String {
        let known = self.notes.iter().position(|note| note == reason).unwrap_or_else(|| {
            self.notes.push(reason.to_owned());
            self.notes.len() - 1
        });
        format!("– [{}]", known + 1)
    }

    /// The table as lines, each ended.
    pub fn render(&self) -> String {
        let cell = |row: &[String], i: usize| row.get(i).map_or("", String::as_str).to_owned();
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        let lines: Vec<&[String]> =
            std::iter::once(titles.as_slice()).chain(self.rows.iter().map(Vec::as_slice)).collect();
        let width = |i: usize| lines.iter().map(|row| cell(row, i).chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for row in &lines {
            let cells: Vec<_> =
                self.columns.iter().enumerate().map(|(i, column)| pad(&cell(row, i), width(i), column.right)).collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        for (i, note) in self.notes.iter().enumerate() {
            text += &format!("[{}] {note}\n", i + 1);
        }
        text
    }
}

fn pad(text: &str, width: usize, right: bool) -> String {
    if right { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_reasons_are_said_once() {
        let mut table = Table::new(&["<network", "ms", "W"]);
        let absent = table.absent("no power sensor");
        table.row(["vgg16".to_owned(), "12.3".to_owned(), absent]);
        let absent = table.absent("no power sensor");
        table.row(["nin".to_owned(), "1.0".to_owned(), absent]);
        let expected = "network    ms      W\nvgg16    12.3  – [1]\nnin       1.0  – [1]\n[1] no power sensor\n";
        assert_eq!(table.render(), expected);
    }
}
