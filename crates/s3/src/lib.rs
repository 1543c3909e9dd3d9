//! The S3 protocol over the object layer. This is the only crate that sees s3s; its
//! public API speaks `http` types.
//!
//! Reading order: [`service`] (one request in, one response out), `implemented` (which operations
//! exist), `api` (what they work with), then one file per verb family (`buckets`, `versioning`, `put`, `get`, `delete`,
//! `copy`, `list`, `list_versions`, `multipart`, `list_uploads`, `attributes`, `tagging`,
//! `object_lock`, `restore`, `rename`, `lifecycle`, `logging`, `notification`, `inventory`), then what they share: `body` and `hashing` (where bytes come from and how
//! they are verified), `checksum`, `range`, `conditions`, `metadata`, `storage_class`, `delete_marker`,
//! `unsupported` (what is refused with 501 instead of being ignored), `own_xml` and `errors`.
//! Beside the API lie `cors`, `website`, `post_form` and `access_log`; [`operations`] lists what works of the
//! whole model.

mod access;
mod access_log;
mod api;
mod attributes;
mod auth;
mod body;
mod buckets;
mod checked_xml;
mod checksum;
mod conditions;
mod copy;
mod cors;
mod delete;
mod delete_marker;
mod early;
mod errors;
mod get;
mod hashing;
mod host;
mod implemented;
mod inventory;
mod known_xml;
mod last_chunk;
mod lifecycle;
mod list;
mod list_uploads;
mod list_versions;
mod logging;
mod metadata;
mod multipart;
mod notification;
mod object_lock;
pub mod operations;
mod origin;
mod own_xml;
mod post_form;
mod put;
mod range;
mod rename;
mod response;
mod restore;
pub mod service;
mod settings;
mod storage_class;
mod tagging;
mod text;
mod unsupported;
mod versioned_buckets;
mod versioning;
mod website;

pub use access_log::RemoteAddress;
pub use response::{Operation, ResponseBody};
pub use service::S3Service;
pub use settings::{RestoreTiers, RootCredentials, Settings, SettingsError};
