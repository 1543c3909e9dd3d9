//! S3 Inventory, without input or output: what a configuration says and which are refused, when
//! a report is due, and the bytes of a report's files.
//!
//! Reading order: [`configuration`] (what is stored), [`check`] (what is refused), [`schedule`]
//! (when a report is due), [`mod@column`] (what a report has of an object), then the files: [`csv`],
//! [`parquet_file`], and [`manifest`] with the places of all of them.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html>.

pub mod check;
pub mod column;
pub mod configuration;
pub mod csv;
pub mod manifest;
pub mod parquet_file;
pub mod schedule;
pub mod writer;

pub use check::Invalid;
pub use column::{Column, Entry, Object};
pub use configuration::{Configuration, Destination, Field, Format, Frequency, Versions};
pub use manifest::{DataFile, Report};
pub use schedule::is_due;
pub use writer::{Full, WriteError, Writer};
