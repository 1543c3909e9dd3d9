//! A data file of comma-separated values: no header, every field in quotes, one line feed a
//! line, compressed by gzip. Keys are URL-encoded, as AWS does in this format only: nothing that
//! a key can hold needs care by whoever reads lines.

use std::{fmt::Write as _, io::Write as _};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use types::UnixMillis;

use crate::{Column, WriteError, column::Value};

/// A file that grows.
pub(crate) struct CsvFile {
    gzip: GzEncoder<Vec<u8>>,
}

impl CsvFile {
    /// An empty file. The same lines make the same bytes: no name and no time are in it.
    pub(crate) fn new() -> Self {
        Self { gzip: GzBuilder::new().write(Vec::new(), Compression::default()) }
    }

    /// Appends a line.
    pub(crate) fn push(
        &mut self,
        columns: &[Column],
        values: &[Option<Value>],
    ) -> Result<(), WriteError> {
        let line = line(columns, values);
        self.gzip.write_all(line.as_bytes()).map_err(|error| WriteError(error.to_string()))
    }

    /// The bytes of the file.
    pub(crate) fn finish(self) -> Result<Vec<u8>, WriteError> {
        self.gzip.finish().map_err(|error| WriteError(error.to_string()))
    }
}

fn line(columns: &[Column], values: &[Option<Value>]) -> String {
    let mut line = String::new();
    for (column, value) in columns.iter().zip(values) {
        if !line.is_empty() {
            line.push(',');
        }
        line.push('"');
        match value {
            None => {}
            Some(Value::Text(text)) if *column == Column::Key => url_encode(text, &mut line),
            Some(Value::Text(text)) => line.push_str(&text.replace('"', "\"\"")),
            Some(Value::Bool(it)) => line.push_str(if *it { "true" } else { "false" }),
            Some(Value::Number(number)) => line.push_str(&number.to_string()),
            Some(Value::Time(at)) => line.push_str(&iso(*at)),
        }
        line.push('"');
    }
    line.push('\n');
    line
}

/// A space becomes `%20` and a plus `%2B`, which decoders of URLs and of forms read alike.
fn url_encode(text: &str, to: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                to.push(char::from(byte));
            }
            _ => write!(to, "%{byte:02X}").expect("a String takes all"),
        }
    }
}

const ISO: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// `2026-01-31T23:59:59.123Z`; the latest time that can be written for those after it.
fn iso(at: UnixMillis) -> String {
    const LATEST: UnixMillis = UnixMillis(253_402_300_799_999);
    let nanos = i128::from(at.min(LATEST).0) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(ISO).ok())
        .expect("a time before the year 10000 has a calendar date")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(iso(UnixMillis(1_514_944_800_007)), "2018-01-03T02:00:00.007Z");
        assert_eq!(iso(UnixMillis(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
