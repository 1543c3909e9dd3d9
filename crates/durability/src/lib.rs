//! How likely it is that data is lost, with every assumption in the open.
//!
//! Two ways to the same number: a closed [`formula`] (a Markov chain for one placement group) and
//! an event-driven simulator ([`sim`]) that uses the real placer and knows what the formula leaves
//! out: bursts, shared bandwidth, substitutes that die. A test holds them together where both
//! apply. `docs/durability.md` has the tables of both; the program `durasim` prints them.
//!
//! Reading order: [`assumptions`] (what is put in), [`repair_time`], [`formula`], [`acknowledge`]
//! (writes that are short of shards), [`vanish`] (a share of the nodes at once), [`sim`],
//! [`report`](mod@report) and [`sampled`] (a real cluster), [`table`], [`tables`], [`simulated`] and [`page`] (the
//! page of figures).

pub mod acknowledge;
pub mod assumptions;
pub mod formula;
pub mod page;
pub mod repair_time;
pub mod report;
pub mod sampled;
pub mod sim;
pub mod simulated;
pub mod table;
pub mod tables;
pub mod vanish;

pub use assumptions::Assumptions;
pub use repair_time::RepairTime;
pub use report::{Report, report};

/// Hours of a year of 365.25 days.
pub const HOURS_PER_YEAR: f64 = 8766.0;

/// The nines of a loss probability: 11.0 for 1e-11. Infinite for 0.
pub fn nines(loss_probability: f64) -> f64 {
    -loss_probability.log10()
}
