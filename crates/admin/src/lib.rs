//! The second port: health for load balancers, metrics for Prometheus, JSON for operators and
//! a status page for people. Requests that change something are POST, need the token like all of the
//! API, and are decided by the process ([`AdminSource`]).
//!
//! Reading order: [`model`] (the JSON), [`source`] (where the figures come from), [`router`](router())
//! (the paths), then one file a concern: `auth`, `health`, `api`, `page`, `gauges`, `limits`,
//! `answer`, `serve`.

mod answer;
mod api;
mod auth;
mod gauges;
mod health;
mod limits;
pub mod model;
mod page;
mod router;
mod serve;
pub mod source;

pub use model::{ClusterHealth, ShardCounts, Status, WorkerStatus};
pub use router::router;
pub use serve::serve;
pub use source::{AdminSource, Refused};
