//! What operators say to workers: how much each rests, and whether it is held. It is kept in the root
//! group, so that it outlives the process and is obeyed by whichever node runs the worker next.
//!
//! Any process may say it. Those that run workers look every [`LOOK`] whether a bell has rung, and
//! read what was said to each of their workers only then, or after [`READ_ANYWAY`] looks.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use cluster::Metadata;
use types::UnixMillis;

use crate::{Error, saved};

/// The longest rest that can be asked for, in per cent of a step's time: a hundredth of the speed.
pub const THROTTLE_PERCENT_MAX: u32 = 10_000;

/// How often a process looks whether something was said.
pub(crate) const LOOK: Duration = Duration::from_secs(2);
/// Looks after which everything is read even if the bell is as it was: two operators may have rung it
/// in the same millisecond.
const READ_ANYWAY: u32 = 15;

/// Changes with each thing that is said.
const BELL: &str = "worker-control";
/// Version of the stored values.
const VERSION: u8 = 1;

/// What operators want of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Rest after each step, in per cent of its time; `None`: as configured.
    pub throttle_percent: Option<u32>,
    /// Whether it is to do nothing.
    pub cancelled: bool,
}

/// Says how much a worker rests after each step, in per cent of the step's time; durable on return.
/// `at` tells requests apart: the present time.
///
/// # Panics
/// Above [`THROTTLE_PERCENT_MAX`].
pub async fn throttle(
    metadata: &dyn Metadata,
    worker: &str,
    percent: u32,
    at: UnixMillis,
) -> Result<(), Error> {
    assert!(percent <= THROTTLE_PERCENT_MAX, "the caller checks what a user says");
    let value = saved::encode(VERSION, &Some(percent));
    saved::write(metadata, &throttle_of(worker), value).await?;
    ring(metadata, at).await
}

/// Holds a worker, or lets it go on; durable on return. A step that is under way ends first.
pub async fn hold(
    metadata: &dyn Metadata,
    worker: &str,
    cancelled: bool,
    at: UnixMillis,
) -> Result<(), Error> {
    let value = saved::encode(VERSION, &cancelled);
    saved::write(metadata, &hold_of(worker), value).await?;
    ring(metadata, at).await
}

/// What was said last to a worker.
pub async fn wish(metadata: &dyn Metadata, worker: &str) -> Result<Wish, Error> {
    let throttle = saved::read(metadata, &throttle_of(worker)).await?;
    let cancelled = saved::read(metadata, &hold_of(worker)).await?;
    Ok(Wish {
        throttle_percent: throttle.and_then(|bytes| saved::decode(VERSION, &bytes)).flatten(),
        cancelled: cancelled.and_then(|bytes| saved::decode(VERSION, &bytes)).unwrap_or_default(),
    })
}

/// After the values: whoever sees the bell changed sees them.
async fn ring(metadata: &dyn Metadata, at: UnixMillis) -> Result<(), Error> {
    saved::write(metadata, BELL, at.0.to_be_bytes().to_vec()).await
}

fn throttle_of(worker: &str) -> String {
    format!("throttle/{worker}")
}

fn hold_of(worker: &str) -> String {
    format!("hold/{worker}")
}

/// What a process that runs workers knows of what was said.
pub struct Obeyed {
    metadata: Arc<dyn Metadata>,
    bell: Option<Bytes>,
    /// Workers that were told.
    told: BTreeSet<&'static str>,
    looks: u32,
}

impl Obeyed {
    /// Nothing is known yet.
    pub fn new(metadata: Arc<dyn Metadata>) -> Self {
        Self { metadata, bell: None, told: BTreeSet::new(), looks: 0 }
    }

    /// What these workers are to be told now; nothing for those that know it.
    pub(crate) async fn look(
        &mut self,
        workers: &[&'static str],
    ) -> Result<BTreeMap<&'static str, Wish>, Error> {
        let bell = saved::read(&*self.metadata, BELL).await?;
        self.looks += 1;
        if bell != self.bell || self.looks >= READ_ANYWAY {
            self.told.clear();
        }
        let mut said = BTreeMap::new();
        for worker in workers.iter().filter(|worker| !self.told.contains(*worker)) {
            said.insert(*worker, wish(&*self.metadata, worker).await?);
        }
        if self.told.is_empty() {
            (self.bell, self.looks) = (bell, 0);
        }
        self.told.extend(said.keys());
        Ok(said)
    }
}
