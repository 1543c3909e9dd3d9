//! A scrub on demand. Any process may ask; the worker may run on another node.

use cluster::Metadata;
use types::UnixMillis;

use crate::{Error, saved};

/// The cursor that changes with each request.
const BELL: &str = "scrub-requests";

/// Asks for a round now, as fast as it goes: the inventories of all groups, and every byte of every
/// disk. It is durable once this returns; the worker begins within seconds, and forgets the round
/// that is under way. `now` tells requests apart.
pub async fn request(metadata: &dyn Metadata, now: UnixMillis) -> Result<(), Error> {
    saved::write(metadata, BELL, now.0.to_be_bytes().to_vec()).await
}

/// When the last request was made.
pub(super) async fn last(metadata: &dyn Metadata) -> Result<Option<UnixMillis>, Error> {
    let bell = saved::read(metadata, BELL).await?;
    let time = bell.and_then(|bell| Some(u64::from_be_bytes(bell.as_ref().try_into().ok()?)));
    Ok(time.map(UnixMillis))
}
