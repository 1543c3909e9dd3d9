//! The object layer: what PUT, GET, LIST and multipart mean over metadata and shards.
//!
//! Reading order: [`request`] (what callers say), [`body`] (where bytes come from),
//! [`error`], [`Objects`] (what the operations share), then the verbs: `put`, `get`,
//! `delete`, `update`, `list`, `multipart`, `transition`, `rename`, `buckets`, `bucket_config`.
//! Under `put` lie `commit` (the entry), `upload` (stripes), `write` (shards), `lanes` and
//! `choose` (placement by storage class); under `get` lie `source`, `reader` (stripes), `fetch`
//! (chunks) and `hedge`; under both `zstd_frames` (compressed blobs); under all of them `gate`
//! (bucket names), `buffer` (memory), `confirm` and `background`.
//! [`RepairHint`] and `rebuild` are for the repair workers.

mod background;
pub mod body;
mod bucket_config;
mod buckets;
mod buffer;
mod choose;
mod commit;
mod compute;
mod confirm;
mod copy;
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
mod reader;
mod rebuild;
mod rename;
pub mod request;
mod source;
mod transition;
mod update;
mod upload;
mod upload_class;
mod write;
mod zstd_frames;

pub use body::{BodyDigests, BodyError, ObjectBody};
pub use error::Error;
pub use hints::RepairHint;
pub use objects::{Objects, Settings};
pub use transition::Transition;
