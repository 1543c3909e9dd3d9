//! The object layer: what PUT, GET, LIST and multipart mean over metadata and shards.
//!
//! Reading order: [`request`] (what callers say), [`body`] (where bytes come from),
//! [`error`], [`Objects`] (what the operations share), then the verbs: `put`, `get`,
//! `delete`, `update`, `list`, `multipart`, `buckets`, `bucket_config`. Under `put` lie `upload` (stripes), `write`
//! (shards), `lanes` and `choose` (placement); under `get` lie `fetch` (chunks) and `hedge`; under
//! all of them `gate` (bucket names), `buffer` (memory), `confirm` and `background`.
//! [`RepairHint`] and `rebuild` are for the repair workers.

mod background;
pub mod body;
mod bucket_config;
mod buckets;
mod buffer;
mod choose;
mod compute;
mod confirm;
mod delete;
pub mod error;
mod fetch;
mod gate;
mod get;
mod hedge;
mod hints;
mod lanes;
mod list;
mod metrics;
mod multipart;
pub mod objects;
mod put;
mod rebuild;
pub mod request;
mod update;
mod upload;
mod write;

pub use body::{BodyDigests, BodyError, ObjectBody};
pub use error::Error;
pub use hints::RepairHint;
pub use objects::{Objects, Settings};
