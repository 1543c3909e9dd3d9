//! A data file of Apache Parquet, compressed by Snappy. Keys are plain in it.

use std::{mem, sync::Arc};

use parquet::{
    basic::Compression,
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use crate::{
    Column, WriteError,
    column::{Kind, Value},
};

/// Rows that are kept as values before they are encoded.
const GROUP_ROWS: usize = 10_000;

/// The schema of a report, in the words of Parquet tools; a manifest states it as well.
pub fn schema(columns: &[Column]) -> String {
    let mut schema = String::from("message s3.inventory { ");
    for column in columns {
        let repetition = if column.is_required() { "required" } else { "optional" };
        let (primitive, logical) = match column.kind() {
            Kind::Text => ("binary", " (STRING)"),
            Kind::Bool => ("boolean", ""),
            Kind::Number => ("int64", ""),
            Kind::Time => ("int64", " (TIMESTAMP(MILLIS,true))"),
        };
        schema += &format!(" {repetition} {primitive} {}{logical}; ", column.snake_name());
    }
    schema.push('}');
    schema
}

/// A file that grows.
pub(crate) struct ParquetFile {
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Column>,
    group: Vec<Vec<Option<Value>>>,
}

impl From<ParquetError> for WriteError {
    fn from(error: ParquetError) -> Self {
        Self(error.to_string())
    }
}

impl ParquetFile {
    /// An empty file.
    pub(crate) fn new(columns: &[Column]) -> Result<Self, WriteError> {
        let schema = Arc::new(parse_message_type(&schema(columns))?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("shardlake".to_owned())
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        Ok(Self { writer, columns: columns.to_vec(), group: Vec::new() })
    }

    /// Appends a row.
    pub(crate) fn push(&mut self, values: Vec<Option<Value>>) -> Result<(), WriteError> {
        self.group.push(values);
        if self.group.len() == GROUP_ROWS { self.flush() } else { Ok(()) }
    }

    /// The bytes of the file.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        self.flush()?;
        Ok(self.writer.into_inner()?)
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        let rows = mem::take(&mut self.group);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (at, column) in self.columns.iter().enumerate() {
            let values = || rows.iter().map(|row| row[at].as_ref());
            match column.kind() {
                Kind::Text => write::<ByteArrayType>(&mut group, *column, values().map(text)),
                Kind::Bool => write::<BoolType>(&mut group, *column, values().map(boolean)),
                Kind::Number | Kind::Time => {
                    write::<Int64Type>(&mut group, *column, values().map(number))
                }
            }?;
        }
        group.close()?;
        Ok(())
    }
}

fn text(value: Option<&Value>) -> Option<ByteArray> {
    match value {
        Some(Value::Text(text)) => Some(text.as_bytes().to_vec().into()),
        _ => None,
    }
}

fn boolean(value: Option<&Value>) -> Option<bool> {
    match value {
        Some(Value::Bool(it)) => Some(*it),
        _ => None,
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Number(number)) => Some(*number),
        Some(Value::Time(at)) => i64::try_from(at.0).ok(),
        _ => None,
    }
}

/// Writes the next column of a row group. A required column has no definition levels: a missing
/// value in it makes the lengths differ, which closing the group refuses.
fn write<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    column: Column,
    values: impl Iterator<Item = Option<T::T>>,
) -> Result<(), WriteError> {
    let values: Vec<Option<T::T>> = values.collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let levels = (!column.is_required()).then_some(levels.as_slice());
    let there: Vec<T::T> = values.into_iter().flatten().collect();
    let mut writer = group
        .next_column()?
        .ok_or_else(|| WriteError("the schema has fewer columns than the report".to_owned()))?;
    writer.typed::<T>().write_batch(&there, levels, None)?;
    Ok(writer.close()?)
}
