//! What each role starts. [`dev`] puts the three parts into one process; [`meta`],
//! [`data`] and [`gateway`] start one each. The parts are the same code.
//!
//! Reading order: [`meta_part`], [`data_part`], [`gateway_part`] (what there is), [`disk_adding`]
//! (disks that come and go),
//! [`joining`] and [`late`] (how a metadata node finds its cluster), the roles.

pub(crate) mod data;
pub(crate) mod data_part;
pub(crate) mod dev;
pub(crate) mod disk_adding;
pub(crate) mod gateway;
pub(crate) mod gateway_part;
pub(crate) mod joining;
pub(crate) mod late;
pub(crate) mod meta;
pub(crate) mod meta_part;
pub(crate) mod network;
pub(crate) mod workers_part;

use std::sync::Arc;

use platform::{Clock, SystemClock};
use types::FeatureLevel;

/// The machine's clock, for everything in this process.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// The highest feature level that this software knows. A build for tests can claim to be the next
/// version, to show how two versions live together.
pub(crate) fn level() -> FeatureLevel {
    let FeatureLevel(ours) = FeatureLevel::OURS;
    FeatureLevel(ours + u32::from(platform::planted("next-level")))
}

/// What to do when a part of the node must not go on (a failed fsync, a corrupt log):
/// stop the whole process at once, without running destructors that would write.
/// Whatever supervises it starts it again; everything acknowledged is on disk.
pub(crate) fn on_fatal() -> consensus::OnFatal {
    Arc::new(|reason: &str| {
        tracing::error!(reason, "this node must stop");
        std::process::abort();
    })
}
