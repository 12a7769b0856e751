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

/// A value with that many significant digits, thousands apart: `0.0813`, `4.21`, `7,601`.
pub fn significant(value: f64, digits: i32) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (digits - 1 - magnitude).max(0) as usize;
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), ""), |(w, f)| (w, f));
    let mut grouped = String::new();
    let places = whole.trim_start_matches('-').len();
    for (i, c) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if c.is_ascii_digit() && left % 3 == 0 && left < places {
            grouped.push(',');
        }
        grouped.push(c);
    }
    if fraction.is_empty() { grouped } else { format!("{grouped}.{fraction}") }
}

/// Bytes in the binary unit that suits them, three digits: `512 B`, `1.25 GiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for next in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    let digits = if unit == "B" { 1 } else { 3 };
    format!("{} {unit}", significant(value, digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_asked_for() {
        let cases = [(0.081_34, 3, "0.0813"), (4.2149, 3, "4.21"), (7600.6, 4, "7,601"), (1_234_567.8, 4, "1,234,568")];
        for (value, digits, text) in cases {
            assert_eq!(significant(value, digits), text);
        }
        assert_eq!(significant(-1234.0, 4), "-1,234");
        assert_eq!(significant(0.0, 3), "0.00");
        assert_eq!(significant(f64::NAN, 3), "–");
    }

    #[test]
    fn bytes_are_scaled() {
        assert_eq!([0, 512, 1 << 20, 1_342_177_280].map(bytes), ["0 B", "512 B", "1.00 MiB", "1.25 GiB"]);
    }

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
