//! What the process says about itself: logs, request ids and metrics. Other crates log with
//! `tracing` and count with `metrics`; only this one knows where both go.
//!
//! Reading order: [`logs`] (set up once by the binary), [`request_id`] (one id from the edge to
//! the disk), [`metrics`] (the registry and its Prometheus text), `process` (what the process
//! costs), [`log_limit`] (messages that could flood).

pub mod log_limit;
pub mod logs;
pub mod metrics;
mod process;
pub mod request_id;

pub use log_limit::LogLimit;
pub use logs::{Error, Settings, init};
pub use metrics::MetricsHandle;
pub use request_id::RequestId;
