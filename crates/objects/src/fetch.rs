//! Reading chunks of one stripe: the wanted ones, and as many others as it takes to compute
//! those that are late, missing or corrupt.

use std::time::Duration;

use bytes::Bytes;
use cluster::{ShardError, Shards};
use erasure::Target;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use proto::shards::Chunk;
use tokio::time::Instant;
use types::{BlobRef, DiskId, PlacementGroup, ShardId, WriteIntent};

use crate::{Error, Objects, compute, hints::RepairHint, metrics};

/// One stripe of one blob, and what is wanted of it.
pub(crate) struct StripeRead<'a> {
    pub(crate) blob: &'a BlobRef,
    pub(crate) group: &'a PlacementGroup,
    pub(crate) stripe: u32,
    /// Ranks to return, ascending; coding ranks too.
    pub(crate) wanted: Vec<usize>,
    /// Ranks not to read: they are computed from others.
    pub(crate) avoid: &'a [u8],
    /// What the blob was written for; without it no repair hint is given.
    pub(crate) intent: Option<WriteIntent>,
}

/// A chunk that takes so long counts as failed, whatever the hedge budget says: a disk that
/// hangs must not hang its readers for as long as a call may take.
const OVERDUE: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq)]
enum Rank {
    /// Not asked yet.
    Untried,
    /// Asked, and expected to answer.
    Asked,
    /// Asked, and not counted upon any more: a hedge takes its place.
    Slow,
    Here(Bytes),
    Failed(Option<ShardError>),
}

/// What the timer of a fetch stands for.
#[derive(Clone, Copy, PartialEq)]
enum Patience {
    UntilHedge,
    UntilOverdue,
    Over,
}

type Answer = (usize, Instant, Result<Chunk, ShardError>);

struct Fetch<'a> {
    objects: &'a Objects,
    read: &'a StripeRead<'a>,
    ranks: Vec<Rank>,
    /// Ranks in the order in which they are asked when wanted ones are not enough.
    order: Vec<usize>,
    asked: FuturesUnordered<BoxFuture<'static, Answer>>,
    chunk_bytes: usize,
}

impl Objects {
    /// The wanted chunks, verified, in the order of `wanted`. `Unreadable` names the disks.
    pub(crate) async fn fetch(&self, read: &StripeRead<'_>) -> Result<Vec<Bytes>, Error> {
        let mut fetch = Fetch::new(self, read);
        fetch.gather().await?;
        fetch.result().await
    }
}

impl<'a> Fetch<'a> {
    fn new(objects: &'a Objects, read: &'a StripeRead<'a>) -> Self {
        let n = read.blob.policy.n();
        let mut ranks = vec![Rank::Untried; n];
        for rank in read.avoid {
            ranks[usize::from(*rank)] = Rank::Failed(None);
        }
        // Disks that seem to be down come last: a guess, so they are tried before giving up.
        let (up, down): (Vec<usize>, Vec<usize>) =
            (0..n).partition(|rank| objects.likely_up(read.group.disks[*rank]));
        let order = up.into_iter().chain(down.iter().copied()).collect();
        let mut fetch = Self {
            objects,
            read,
            ranks,
            order,
            asked: FuturesUnordered::new(),
            chunk_bytes: read.blob.layout().chunk_bytes(read.stripe),
        };
        for rank in &read.wanted {
            if !down.contains(rank) && fetch.ranks[*rank] == Rank::Untried {
                fetch.ask(*rank);
            }
        }
        fetch
    }

    fn disk(&self, rank: usize) -> DiskId {
        self.read.group.disks[rank]
    }

    fn ask(&mut self, rank: usize) {
        self.ranks[rank] = Rank::Asked;
        let shards = std::sync::Arc::clone(self.objects.shards());
        let holders: Vec<DiskId> = self.read.group.holders(rank_u8(rank)).collect();
        let stripe = self.read.stripe;
        let shard = ShardId { blob: self.read.blob.id, rank: rank_u8(rank) };
        let answer = async move {
            let began = Instant::now();
            (rank, began, read_at(&*shards, &holders, shard, stripe).await)
        };
        self.asked.push(answer.boxed());
    }

    fn count(&self, matches: impl Fn(&Rank) -> bool) -> usize {
        self.ranks.iter().filter(|rank| matches(rank)).count()
    }

    fn here(&self) -> usize {
        self.count(|rank| matches!(rank, Rank::Here(_)))
    }

    fn all_wanted_here(&self) -> bool {
        self.read.wanted.iter().all(|rank| matches!(self.ranks[*rank], Rank::Here(_)))
    }

    /// Asks further ranks if a wanted one cannot be counted upon any more and those that
    /// can are fewer than `k`.
    fn ask_more(&mut self) {
        let expected = |rank: &Rank| matches!(rank, Rank::Here(_) | Rank::Asked);
        if self.read.wanted.iter().all(|rank| expected(&self.ranks[*rank])) {
            return;
        }
        let k = self.read.blob.policy.k();
        for rank in self.order.clone() {
            if self.count(expected) >= k {
                return;
            }
            if self.ranks[rank] == Rank::Untried {
                self.ask(rank);
            }
        }
    }

    async fn gather(&mut self) -> Result<(), Error> {
        let k = self.read.blob.policy.k();
        let began = Instant::now();
        let hedge_after = self.objects.inner.pacer.delay(self.chunk_bytes);
        let timer = tokio::time::sleep_until(began + hedge_after);
        tokio::pin!(timer);
        let mut patience = Patience::UntilHedge;
        self.ask_more();
        while !self.all_wanted_here() && self.here() < k {
            tokio::select! {
                answer = self.asked.next() => match answer {
                    Some(answer) => self.take(answer),
                    None => return Err(self.unreadable()),
                },
                () = timer.as_mut(), if patience != Patience::Over => {
                    if patience == Patience::UntilHedge {
                        self.hedge();
                        timer.as_mut().reset(began + OVERDUE);
                        patience = Patience::UntilOverdue;
                    } else {
                        self.stop_waiting();
                        patience = Patience::Over;
                    }
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, (rank, began, result): Answer) {
        self.ranks[rank] = match result {
            Ok(chunk) if chunk.bytes.len() == self.chunk_bytes => {
                self.objects.inner.pacer.record(self.chunk_bytes, began.elapsed());
                Rank::Here(chunk.bytes)
            }
            Ok(_) => {
                self.hint(rank);
                let shard = ShardId { blob: self.read.blob.id, rank: rank_u8(rank) };
                Rank::Failed(Some(ShardError::Corrupt { disk: self.disk(rank), shard }))
            }
            Err(error) => {
                let on_its_way = self.read.group.holders(rank_u8(rank)).count() > 1;
                match error {
                    ShardError::Corrupt { .. } => self.hint(rank),
                    ShardError::NotFound { .. } if !on_its_way => self.hint(rank),
                    _ => {}
                }
                Rank::Failed(Some(error))
            }
        };
        self.ask_more();
    }

    fn hint(&self, rank: usize) {
        if let Some(intent) = self.read.intent.clone() {
            let blob = self.read.blob.clone();
            self.objects.hint(RepairHint { blob, rank: rank_u8(rank), intent });
        }
    }

    /// The wanted ranks that have not answered by now get company, if other ranks can stand
    /// in for them and the budget allows.
    fn hedge(&mut self) {
        let k = self.read.blob.policy.k();
        let up = |rank: &usize| {
            self.ranks[*rank] == Rank::Untried && self.objects.likely_up(self.disk(*rank))
        };
        let spare = self.order.iter().filter(|rank| up(rank)).count();
        let extra = k.saturating_sub(self.here());
        if extra == 0 || extra > spare {
            return;
        }
        if !self.objects.inner.pacer.allow(extra) {
            metrics::hedge_refused();
            return;
        }
        metrics::hedged(extra);
        self.stop_waiting();
    }

    /// Counts upon nobody who has not answered by now; an answer is still welcome.
    fn stop_waiting(&mut self) {
        for rank in &mut self.ranks {
            if *rank == Rank::Asked {
                *rank = Rank::Slow;
            }
        }
        self.ask_more();
    }

    fn unreadable(&self) -> Error {
        const NAMED_MAX: usize = 8;
        let errors: Vec<String> = self
            .ranks
            .iter()
            .filter_map(|rank| match rank {
                Rank::Failed(Some(error)) => Some(error.to_string()),
                _ => None,
            })
            .collect();
        Error::Unreadable(format!(
            "stripe {} of blob {} needs {} of {} shards, and only {} can be read now: {}",
            self.read.stripe,
            self.read.blob.id,
            self.read.blob.policy.k(),
            self.read.blob.policy.n(),
            self.here(),
            errors[..errors.len().min(NAMED_MAX)].join("; ")
        ))
    }

    /// The wanted chunks; computed from others where they did not come.
    async fn result(self) -> Result<Vec<Bytes>, Error> {
        let wanted = self.read.wanted.clone();
        let mut chunks: Vec<Option<Bytes>> = self
            .ranks
            .into_iter()
            .map(|rank| match rank {
                Rank::Here(bytes) => Some(bytes),
                _ => None,
            })
            .collect();
        let lost: Vec<usize> =
            wanted.iter().copied().filter(|rank| chunks[*rank].is_none()).collect();
        if !lost.is_empty() {
            metrics::reconstructed();
            let (codec, policy) = (self.read.blob.codec, self.read.blob.policy);
            let codec = erasure::codec(codec, policy).map_err(internal)?;
            let chunk_bytes = self.chunk_bytes;
            let (sources, ranks) = (chunks.clone(), lost.clone());
            let work = move || {
                let mut outputs = vec![vec![0; chunk_bytes]; ranks.len()];
                let mut targets: Vec<Target<'_>> = ranks
                    .iter()
                    .zip(&mut outputs)
                    .map(|(rank, bytes)| Target { rank: *rank, bytes })
                    .collect();
                let sources: Vec<Option<&[u8]>> = sources.iter().map(Option::as_deref).collect();
                codec.reconstruct(&sources, &mut targets).map(|()| outputs)
            };
            let bytes = (chunk_bytes * policy.k()) as u64;
            let computed = compute::run(bytes, work).await?.map_err(internal)?;
            for (rank, bytes) in lost.into_iter().zip(computed) {
                chunks[rank] = Some(Bytes::from(bytes));
            }
        }
        let taken = |rank: usize| chunks[rank].take().expect("here or just computed");
        Ok(wanted.into_iter().map(taken).collect())
    }
}

/// A chunk from the member of its rank or, while shards are still on their way to it, from a disk
/// that was the member before. A shard that is gone from there when it is asked has arrived at the
/// member since: that one is asked again. The error is the member's.
async fn read_at(
    shards: &dyn Shards,
    holders: &[DiskId],
    shard: ShardId,
    stripe: u32,
) -> Result<Chunk, ShardError> {
    let (member, former) = holders.split_first().expect("every rank has a member");
    let first = shards.read(*member, shard, stripe).await;
    if former.is_empty() || first.is_ok() {
        return first;
    }
    for disk in former {
        if let Ok(chunk) = shards.read(*disk, shard, stripe).await {
            return Ok(chunk);
        }
    }
    match first {
        Err(ShardError::NotFound { .. }) => shards.read(*member, shard, stripe).await,
        other => other,
    }
}

fn rank_u8(rank: usize) -> u8 {
    u8::try_from(rank).expect("a stripe has at most 32 chunks")
}

fn internal(error: erasure::Error) -> Error {
    Error::Internal(error.to_string())
}
