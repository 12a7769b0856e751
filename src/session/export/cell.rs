//! Columns, cells and rows: what every table of an export is made of.

use std::io;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Flag,
}

/// A column: its name, with the unit in it, and its type.
pub(super) type Column = (&'static str, Kind);

/// The first column, where there are several stations.
pub(super) const STATION: Column = ("station", Kind::Text);

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    /// Finite.
    Number(f64),
    Flag(bool),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Self::Null, Self::Integer)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Null }
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A sink of rows; each row has one cell per column.
pub(super) trait Rows {
    fn row(&mut self, row: Vec<Cell>) -> io::Result<()>;
}

/// Rows with the name of their station in front, where there are several stations.
pub(super) struct Named<'a> {
    pub(super) several: bool,
    pub(super) rows: &'a mut dyn Rows,
}

impl Named<'_> {
    pub(super) fn row(&mut self, station: impl FnOnce() -> String, row: Vec<Cell>) -> io::Result<()> {
        let name = self.several.then(|| Cell::Text(station()));
        self.rows.row(name.into_iter().chain(row).collect())
    }
}
