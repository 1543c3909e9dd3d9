//! A data file of either format, in memory and of bounded size.

use crate::{
    Column, Configuration, Entry, Format, column::Value, csv::CsvFile, parquet_file::ParquetFile,
};

/// Rows of one file at most.
pub const ROWS_MAX: u64 = 1_000_000;

/// Bytes of the values of one file, before compression. The bytes of the file are fewer; with
/// what an encoder keeps besides, a file under way takes about twice as much memory.
pub const VALUE_BYTES_MAX: u64 = 64 << 20;

/// A row could not be encoded, which is a defect: the rows are of our own making.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the data file of an inventory could not be written: {0}")]
pub struct WriteError(pub(crate) String);

/// Whether a file takes more rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It does.
    No,
    /// It is to be finished: a bound is reached.
    Yes,
}

/// A file that grows.
pub struct Writer {
    columns: Vec<Column>,
    file: File,
    rows: u64,
    value_bytes: u64,
}

enum File {
    Csv(CsvFile),
    Parquet(Box<ParquetFile>),
}

impl Writer {
    /// An empty file of a configuration's reports.
    pub fn new(configuration: &Configuration) -> Result<Self, WriteError> {
        let columns = Column::of(configuration);
        let file = match configuration.destination.format {
            Format::Csv => File::Csv(CsvFile::new()),
            Format::Parquet => File::Parquet(Box::new(ParquetFile::new(&columns)?)),
        };
        Ok(Self { columns, file, rows: 0, value_bytes: 0 })
    }

    /// Appends the row of a version of `bucket`.
    pub fn push(
        &mut self,
        bucket: &str,
        configuration: &Configuration,
        entry: &Entry<'_>,
    ) -> Result<Full, WriteError> {
        let value = |column: &Column| column.value(bucket, configuration, entry);
        let values: Vec<_> = self.columns.iter().map(value).collect();
        self.rows += 1;
        self.value_bytes += values.iter().map(bytes).sum::<u64>();
        match &mut self.file {
            File::Csv(file) => file.push(&self.columns, &values)?,
            File::Parquet(file) => file.push(values)?,
        }
        let full = self.rows >= ROWS_MAX || self.value_bytes >= VALUE_BYTES_MAX;
        Ok(if full { Full::Yes } else { Full::No })
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The bytes of the file.
    pub fn finish(self) -> Result<Vec<u8>, WriteError> {
        match self.file {
            File::Csv(file) => file.finish(),
            File::Parquet(file) => file.finish(),
        }
    }
}

fn bytes(value: &Option<Value>) -> u64 {
    match value {
        Some(Value::Text(text)) => text.len() as u64,
        Some(Value::Number(_) | Value::Time(_)) => 8,
        Some(Value::Bool(_)) | None => 1,
    }
}
