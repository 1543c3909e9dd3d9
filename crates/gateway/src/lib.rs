//! The edge: every client's connection ends here.
//!
//! Reading order: [`Gateway`] (connections and draining), `edge` (what is done around every
//! request: id, panic, log line, metrics, limits), `scope` (which service a request is
//! for), [`service`] (the seam that services plug into), `absent` (services that are not
//! there yet), `body` (counted bodies).

mod absent;
mod body;
mod edge;
pub mod metrics;
mod scope;
mod server;
pub mod service;
mod settings;

pub use body::RequestBody;
pub use server::Gateway;
pub use service::Service;
pub use settings::Settings;
