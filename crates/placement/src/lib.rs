//! Where the `n` chunks of a stripe go: explicit placement groups over disks and failure
//! domains. Pure: the same disks, policy and seed give the same groups, on every machine and
//! in every version.
//!
//! Reading order: [`site`] (what is known of a disk), [`rule`] (how many members of a group a
//! node or rack may hold), [`plan`](plan()) (all groups of a cluster), [`substitute`](substitute())
//! (one new member), [`rebalance`](rebalance::rebalance) (who moves where when disks come, go or fill
//! up), [`error`], `random` (the generator).

pub mod error;
mod plan;
mod random;
pub mod rebalance;
pub mod rule;
pub mod site;
mod substitute;

pub use error::PlacementError;
pub use plan::{GROUPS_MIN, PERMUTATIONS, permutations, plan, scatter_width};
pub use rebalance::{Load, Move, Place, Rebalancing, Stuck, rebalance, skew};
pub use rule::Rule;
pub use site::{DiskSite, Domain};
pub use substitute::substitute;
