//! Server access logs: one line for each request of a bucket that asks for them, delivered
//! as objects into its target bucket. As on AWS delivery is best effort: what is in memory
//! when a gateway dies is lost, and the number of lines in memory is bounded.
//!
//! `setting` is what a bucket asks for, `logged` a request that is followed to its end, `line`
//! how it is told, `writer` how lines become objects.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html>.

mod line;
mod logged;
mod setting;
mod writer;

pub(crate) use line::{Line, Seen};
pub(crate) use logged::Logged;
pub use logged::RemoteAddress;
pub(crate) use setting::{Layout, Setting};
pub(crate) use writer::AccessLogs;
