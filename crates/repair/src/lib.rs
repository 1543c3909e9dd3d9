//! Background workers: what keeps the promises that no request waits for.
//!
//! Reading order: [`worker`] (what a worker is, and the registry that runs them),
//! [`progress`] (how far one is), [`control`] (what operators say to them), [`mend`] (how a shard
//! gets to where it belongs), [`word`] (what the index references), [`scan`] (what the disks of a
//! group hold), [`care`] (what those who look after shards share), then the workers: [`heal`]
//! (groups whose ranks moved or lack shards), [`scrub`] (proof that what was stored is still
//! there), [`missing`] (shards that a blob lacks, by its repair row or a reader's hint), [`gc`]
//! (deleted blobs become free bytes), [`orphans`] (shards whose commit never came, and [`strays`]),
//! [`lifecycle`] (versions and uploads that their bucket's rules end or move), [`restores`]
//! (archived objects that become readable, and cease to be), [`rebalance`] (who belongs where: ranks
//! of lost and leaving disks, evening out) with the operator's verbs in [`membership`], [`reencode`]
//! (what exists, when a profile has changed), [`inventory`] (lists of buckets), [`events`] (who is told
//! of changes). [`check`] is no worker: it proves redundancy when asked.
//!
//! Adding durability needs one trigger; destroying anything needs the word of the index
//! partition that could reference it.

pub mod care;
pub mod check;
pub mod control;
pub mod error;
pub mod events;
pub mod gc;
pub mod heal;
mod health;
pub mod inventory;
pub mod lifecycle;
pub mod membership;
mod mend;
mod metrics;
pub mod missing;
pub mod orphans;
mod pace;
mod planning;
pub mod progress;
pub mod rebalance;
pub mod reencode;
pub mod restores;
mod saved;
mod scan;
pub mod scrub;
pub mod settings;
mod strays;
mod word;
pub mod worker;

pub use care::Care;
pub use control::Obeyed;
pub use error::Error;
pub use events::EventDeliverer;
pub use gc::GarbageCollector;
pub use heal::Healer;
pub use inventory::InventoryWorker;
pub use lifecycle::LifecycleWorker;
pub use missing::ShardRepairer;
use objects::Objects;
pub use orphans::OrphanSweeper;
pub use progress::Progress;
pub use rebalance::Rebalancer;
pub use reencode::Reencoder;
pub use restores::RestoreTicker;
pub use scrub::Scrubber;
pub use settings::Settings;
pub use worker::{Step, Worker, WorkerState, WorkerStatus, Workers};

/// Starts all workers over an object layer. They run until [`Workers::shutdown`]. Several
/// processes may run them, since each step can be repeated, but at most one of them with
/// [`Settings::sole_repairer`].
pub fn start(objects: &Objects, settings: &Settings) -> Workers {
    let obeyed = Obeyed::new(objects.metadata().clone());
    let workers = Workers::obeying(settings.throttle_percent, obeyed);
    let care = Care::new(objects.clone(), settings.clone());
    workers.spawn(EventDeliverer::new(objects.clone(), &settings.events));
    workers.spawn(GarbageCollector::new(objects.clone(), settings.clone()));
    workers.spawn(Healer::new(&care));
    workers.spawn(InventoryWorker::new(objects.clone(), settings));
    workers.spawn(LifecycleWorker::new(objects.clone(), settings));
    workers.spawn(OrphanSweeper::sharing(&care));
    workers.spawn(Rebalancer::new(objects, settings));
    workers.spawn(Reencoder::new(objects.clone(), settings));
    workers.spawn(RestoreTicker::new(objects.clone(), settings));
    workers.spawn(Scrubber::new(&care));
    workers.spawn(ShardRepairer::sharing(&care));
    workers
}
