//! The object layer: what PUT, GET, LIST and multipart mean over metadata and shards.
//!
//! Reading order: [`request`] (what callers say), [`body`] (where bytes come from),
//! [`error`], [`Objects`] (the operations).

pub mod body;
pub mod error;
pub mod objects;
pub mod request;

pub use body::{BodyDigests, BodyError, ObjectBody};
pub use error::Error;
pub use objects::{Objects, Settings};
