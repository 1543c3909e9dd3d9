//! An event-driven simulator of losses, at the granularity of placement groups.
//!
//! It keeps, for each group, which of its members are lost, and moves through disk failures, their
//! detection, substitutes chosen by the real [`placement::substitute`], repairs that share the
//! disks' bandwidth, new disks, bursts and outages. The groups are those of [`placement::plan`].
//! Simulated: ranks of groups, not blobs; every group of a disk holds an equal share of its bytes.
//!
//! Losses are rare. There are two ways to see them:
//!
//! * [`simulate`] goes through time as it is. It sees losses where rates are raised.
//! * [`simulate_rare`] is for real rates: importance sampling over regenerative cycles. A cycle
//!   goes from a whole cluster to the next. Within it, while members are lost, further failures
//!   come more often than they should (failure biasing), and every path is weighted by how much less
//!   likely it really is. The estimate stays unbiased; the weights are exact because lifetimes are
//!   exponential, which this way requires.
//!
//! Both are deterministic by seed. Reading order: [`settings`], [`outcome`], `engine` (time and
//! events; `due` and `gamma` are parts of it), `state` (disks and members), `transfer` (bandwidth), `rare`.

mod due;
mod engine;
mod gamma;
pub mod outcome;
mod rare;
pub mod settings;
mod state;
mod transfer;

pub use engine::simulate;
pub use outcome::{Estimate, Outcome};
pub use rare::simulate_rare;
pub use settings::{Burst, Contention, Lifetime, Scope, Settings};
