//! The formats of tables: CSV, JSON and Parquet.

use super::cell::{Cell, Column, Kind, Rows};
use parquet::{
    basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};
use serde::{Serializer, ser::SerializeMap};
use serde_json::Value;
use std::{
    io::{self, Write},
    sync::Arc,
};

/// Rows in a row group of a Parquet file.
const GROUP: usize = 65_536;

/// Comma-separated values.
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
}

impl<W: Write> Csv<W> {
    /// Writes the names of the columns.
    pub fn new(out: W, columns: &[Column]) -> io::Result<Self> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(columns.iter().map(|(name, _)| name)).map_err(csv_error)?;
        Ok(Self { out })
    }

    /// Flushes the output.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Rows for Csv<W> {
    fn row(&mut self, row: Vec<Cell>) -> io::Result<()> {
        let text = |cell: Cell| match cell {
            Cell::Null => String::new(),
            Cell::Text(text) => text,
            Cell::Integer(number) => number.to_string(),
            Cell::Number(number) => number.to_string(),
            Cell::Flag(flag) => flag.to_string(),
        };
        self.out.write_record(row.into_iter().map(text)).map_err(csv_error)
    }
}

/// An array of objects, one per line.
pub struct Json<W: Write> {
    out: W,
    columns: Vec<Column>,
    rows: u64,
}

impl<W: Write> Json<W> {
    /// A table without rows yet; nothing is written before the first one.
    pub fn new(out: W, columns: &[Column]) -> Self {
        Self { out, columns: columns.to_vec(), rows: 0 }
    }

    /// Ends the array.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(if self.rows == 0 { b"[]\n" } else { b"\n]\n" })?;
        self.out.flush()
    }
}

impl<W: Write> Rows for Json<W> {
    fn row(&mut self, row: Vec<Cell>) -> io::Result<()> {
        let value = |cell| match cell {
            Cell::Null => Value::Null,
            Cell::Text(text) => text.into(),
            Cell::Integer(number) => number.into(),
            Cell::Number(number) => number.into(),
            Cell::Flag(flag) => flag.into(),
        };
        self.out.write_all(if self.rows == 0 { b"[\n" } else { b",\n" })?;
        self.rows += 1;
        let mut json = serde_json::Serializer::new(&mut self.out);
        let mut object = json.serialize_map(None)?;
        self.columns.iter().zip(row).try_for_each(|((name, _), cell)| object.serialize_entry(name, &value(cell)))?;
        Ok(object.end()?)
    }
}

/// Apache Parquet, every column optional.
pub struct Parquet<W: Write + Send> {
    out: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl<W: Write + Send> Parquet<W> {
    /// Writes the head of the file.
    pub fn new(out: W, columns: &[Column], name: &str) -> io::Result<Self> {
        let fields = columns.iter().map(|(name, kind)| {
            let (physical, logical) = match kind {
                Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
                Kind::Integer => (Physical::INT64, None),
                Kind::Number => (Physical::DOUBLE, None),
                Kind::Flag => (Physical::BOOLEAN, None),
            };
            let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
            field.with_logical_type(logical).build().map(Arc::new)
        });
        let fields = fields.collect::<Result<Vec<_>, _>>().map_err(io_error)?;
        let schema = Type::group_type_builder(&name.to_lowercase()).with_fields(fields).build().map_err(io_error)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("wattscope ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let out = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties)).map_err(io_error)?;
        Ok(Self { out, columns: columns.to_vec(), rows: Vec::new() })
    }

    /// Writes the last row group and the footer.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_group().map_err(io_error)?;
        self.out.finish().map_err(io_error)?;
        self.out.inner_mut().flush()
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        let mut group = self.out.next_row_group()?;
        for at in 0..self.columns.len() {
            let Some(mut column) = group.next_column()? else { break };
            write_column(column.untyped(), &rows, at)?;
            column.close()?;
        }
        group.close().map(|_| ())
    }
}

/// Writes the cells of one column. Cells of another type than the column are null.
fn write_column(column: &mut ColumnWriter<'_>, rows: &[Vec<Cell>], at: usize) -> Result<(), ParquetError> {
    let cells = || rows.iter().map(|row| &row[at]);
    macro_rules! write {
        ($writer:expr, $cell:pat => $value:expr) => {{
            let pick = |cell: &Cell| if let $cell = cell { Some($value) } else { None };
            let levels: Vec<i16> = cells().map(|cell| i16::from(pick(cell).is_some())).collect();
            let values: Vec<_> = cells().filter_map(pick).collect();
            $writer.write_batch(&values, Some(&levels), None)?;
        }};
    }
    match column {
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            write!(writer, Cell::Text(text) => ByteArray::from(text.as_str()))
        }
        ColumnWriter::Int64ColumnWriter(writer) => write!(writer, Cell::Integer(number) => *number),
        ColumnWriter::DoubleColumnWriter(writer) => write!(writer, Cell::Number(number) => *number),
        ColumnWriter::BoolColumnWriter(writer) => write!(writer, Cell::Flag(flag) => *flag),
        _ => return Err(ParquetError::General("a column of a kind that no table has".to_owned())),
    }
    Ok(())
}

impl<W: Write + Send> Rows for Parquet<W> {
    fn row(&mut self, row: Vec<Cell>) -> io::Result<()> {
        self.rows.push(row);
        if self.rows.len() < GROUP { Ok(()) } else { self.write_group().map_err(io_error) }
    }
}

/// The I/O error inside a CSV error, so that a broken pipe is recognised.
fn csv_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// The I/O error inside a Parquet error, if there is one, so that a broken pipe is recognised.
fn io_error(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}
