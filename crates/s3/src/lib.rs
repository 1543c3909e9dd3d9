//! The S3 protocol over the object layer. This is the only crate that sees s3s; its
//! public API speaks `http` types.
//!
//! Reading order: [`service`] (one request in, one response out), `api` (which operations
//! exist), then one file per verb family (`buckets`, `put`, `get`, `delete`, `copy`,
//! `list`, `multipart`, `attributes`), then what they share: `body` and `hashing` (where
//! bytes come from and how they are verified), `checksum`, `conditions`, `metadata`,
//! `unsupported` (what is refused with 501 instead of being ignored) and `errors`.

mod access;
mod api;
mod attributes;
mod auth;
mod body;
mod buckets;
mod checked_xml;
mod checksum;
mod conditions;
mod copy;
mod delete;
mod errors;
mod get;
mod hashing;
mod host;
mod list;
mod metadata;
mod multipart;
mod put;
pub mod service;
mod settings;
mod text;
mod unsupported;

pub use service::{Operation, ResponseBody, S3Service};
pub use settings::{RootCredentials, Settings, SettingsError};
