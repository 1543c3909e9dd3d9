//! A pass over one placement group, page by page: the inventories of all holders are laid side by
//! side, the index says which blobs are referenced, and each member is given what it lacks. Then
//! the copies on other disks go.

use std::collections::BTreeMap;

use futures::{StreamExt, future::join_all, stream};
use metastore::api::index::Reference;
use serde::{Deserialize, Serialize};
use types::{BlobId, BlobRef, DiskId, Epoch, Former, PlacementGroup, ShardId, WriteIntent};

use crate::{
    Error,
    care::Care,
    mend::{Lack, Mended, carry::Parcel, shard_bytes},
    pace::Pace,
    scan::{self, AtMember, Findings, Holding, Page, Seen},
    word,
};

/// Blobs of a group that are mended at a time.
const BLOBS_AT_ONCE: usize = 8;

/// Disks that a pass remembers of having been silent: all holders of a group.
const SILENT_MAX: usize = 64;

/// How far a pass is, and what it has seen so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Of the group. What was seen of another one says nothing about this.
    pub(crate) epoch: Epoch,
    /// The last blob that it is done with.
    pub(crate) after: Option<BlobId>,
    /// Whether it has come to the end.
    pub(crate) is_complete: bool,
    /// Holders that did not answer at least once.
    pub(crate) silent: Vec<DiskId>,
    /// Referenced blobs that lack a rank on its member now.
    pub(crate) not_whole: u64,
    /// Shards that stay on former disks.
    pub(crate) left: Vec<(Former, u64)>,
    /// Things that could not be done though the disks for it answered.
    pub(crate) stuck: u64,
    /// Bytes of the shards that were written.
    pub(crate) bytes: u64,
}

impl Facts {
    /// At the beginning.
    pub(crate) fn new(group: &PlacementGroup) -> Self {
        Self {
            epoch: group.epoch,
            after: None,
            is_complete: false,
            silent: Vec::new(),
            not_whole: 0,
            left: Vec::new(),
            stuck: 0,
            bytes: 0,
        }
    }

    fn is_silent(&mut self, disk: DiskId) {
        if !self.silent.contains(&disk) && self.silent.len() < SILENT_MAX {
            self.silent.push(disk);
        }
    }

    fn stays(&mut self, seen: &Seen) {
        let former = Former { rank: seen.rank, disk: seen.disk };
        match self.left.iter_mut().find(|(known, _)| *known == former) {
            Some((_, count)) => *count += 1,
            None => self.left.push((former, 1)),
        }
    }

    /// Whether the pass saw nothing stay on this former disk, having read all of it.
    pub(crate) fn is_empty(&self, former: &Former) -> bool {
        self.is_complete
            && !self.silent.contains(&former.disk)
            && self.left.iter().all(|(known, _)| known != former)
    }

    /// Whether the pass read the inventories of all members and found every referenced blob whole
    /// on them.
    pub(crate) fn is_whole(&self, group: &PlacementGroup) -> bool {
        self.is_complete
            && self.not_whole == 0
            && !group.disks.iter().any(|disk| self.silent.contains(disk))
    }
}

/// What one page came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Blobs looked at.
    pub(crate) blobs: u64,
    /// Ranks of referenced blobs that were nowhere.
    pub(crate) missing: u64,
    /// Shards of referenced blobs on a disk of the group that is not theirs.
    pub(crate) misplaced: u64,
    /// Shards that were written to their member and read back.
    pub(crate) written: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Shards that were verified on their member before a copy of them went.
    pub(crate) found: u64,
    /// Copies, and shards of dead blobs, that went.
    pub(crate) deleted: u64,
    /// What could not be done.
    pub(crate) stuck: u64,
    pub(crate) last_failure: Option<String>,
}

impl Tally {
    fn fail(&mut self, error: &Error) {
        self.stuck += 1;
        self.last_failure = Some(error.to_string());
    }
}

/// A blob that is not as its group wants it.
struct Case {
    holding: Holding,
    findings: Findings,
    reference: Reference,
}

/// What became of one.
struct Outcome {
    mended: Vec<(Mended, WriteIntent)>,
    /// Copies that the members do not need any more.
    spare: Vec<Seen>,
    /// Those that they may need.
    kept: Vec<Seen>,
    is_whole: bool,
    tally: Tally,
}

/// Does one page. An error is one of the index: nothing is known then, and the page comes again.
pub(crate) async fn page(
    care: &Care,
    group: &PlacementGroup,
    mut facts: Facts,
    pace: &Pace,
) -> Result<(Facts, Tally), Error> {
    let from = scan::from(group.id, facts.after);
    let limit = care.settings.heal_page_shards.max(scan::PAGE_MIN);
    let pages =
        join_all(scan::holders(group).into_iter().map(|disk| read(care, disk, from, limit))).await;
    let silent: Vec<DiskId> =
        pages.iter().filter(|page| page.entries.is_none()).map(|page| page.disk).collect();
    silent.iter().for_each(|disk| facts.is_silent(*disk));
    let merged = scan::merge(group.id, pages, limit);

    let mut tally = Tally { blobs: merged.holdings.len() as u64, ..Tally::default() };
    let cases = cases(care, group, merged.holdings, &silent).await?;
    let outcomes: Vec<(BlobId, Outcome)> = stream::iter(cases)
        .map(|case| async move { (case.holding.blob, treat(care, group, &case, pace).await) })
        .buffer_unordered(BLOBS_AT_ONCE)
        .collect()
        .await;
    let mended: Vec<_> =
        outcomes.iter().flat_map(|(_, outcome)| outcome.mended.iter().cloned()).collect();
    care.mender.settle(&mended).await?;
    let spare: Vec<(BlobId, Seen)> = outcomes
        .iter()
        .flat_map(|(blob, outcome)| outcome.spare.iter().map(|seen| (*blob, *seen)))
        .collect();
    for seen in delete(care, group, spare, &mut tally).await {
        stays(group, &mut facts, &seen);
    }
    for (_, outcome) in outcomes {
        outcome.kept.iter().for_each(|seen| stays(group, &mut facts, seen));
        facts.not_whole += u64::from(!outcome.is_whole);
        tally.add(outcome.tally);
    }
    facts.stuck += tally.stuck;
    facts.bytes += tally.bytes;
    facts.is_complete = merged.next.is_none();
    facts.after = merged.next.or(facts.after);
    Ok((facts, tally))
}

/// A shard stays where it is. What matters is only whether a move can end.
fn stays(group: &PlacementGroup, facts: &mut Facts, seen: &Seen) {
    if group.former.contains(&Former { rank: seen.rank, disk: seen.disk }) {
        facts.stays(seen);
    }
}

async fn read(care: &Care, disk: DiskId, from: Option<ShardId>, limit: u32) -> Page {
    if !care.mender.answers(disk) {
        return Page { disk, entries: None };
    }
    match care.objects.shards().inventory(disk, from, limit).await {
        Ok(entries) => Page { disk, entries: Some(entries) },
        Err(error) => {
            tracing::debug!(%disk, %error, "a pass goes on without an inventory");
            Page { disk, entries: None }
        }
    }
}

/// The blobs that are not as they should be, with the index's word.
async fn cases(
    care: &Care,
    group: &PlacementGroup,
    holdings: Vec<Holding>,
    silent: &[DiskId],
) -> Result<Vec<Case>, Error> {
    let found = holdings.into_iter().map(|holding| {
        let findings = Findings::new(group, &holding, silent);
        (holding, findings)
    });
    let found: Vec<_> = found.filter(|(_, findings)| !findings.is_clean()).collect();
    let asked: Vec<_> =
        found.iter().map(|(holding, _)| (holding.blob, holding.intent.clone())).collect();
    let references = word::ask(&care.objects, &asked).await?;
    let case = |((holding, findings), reference)| Case { holding, findings, reference };
    Ok(found.into_iter().zip(references).map(case).collect())
}

async fn treat(care: &Care, group: &PlacementGroup, case: &Case, pace: &Pace) -> Outcome {
    let mut outcome = Outcome {
        mended: Vec::new(),
        spare: Vec::new(),
        kept: Vec::new(),
        is_whole: true,
        tally: Tally::default(),
    };
    match &case.reference {
        Reference::Referenced(blob) => complete(care, case, blob, pace, &mut outcome).await,
        // On members too: one that was let go and is back may have what was collected meanwhile.
        Reference::Unreferenced if care.may_go(case.holding.blob) => {
            outcome.spare.clone_from(&case.holding.seen);
        }
        // It may still commit, or be read.
        Reference::Unreferenced | Reference::Undecided => {
            outcome.kept.clone_from(&case.findings.strays);
            bring(care, group, case, pace, &mut outcome).await;
        }
    }
    outcome
}

/// Brings the members what their former disks have of a blob that is not referenced: garbage waits for
/// its grace, a write that was given up for its deadline, and a move shall wait for neither. What
/// was not sealed yet stays, since its writer may go on with it there.
async fn bring(
    care: &Care,
    group: &PlacementGroup,
    case: &Case,
    pace: &Pace,
    outcome: &mut Outcome,
) {
    let Case { holding, findings, .. } = case;
    for seen in &findings.former {
        let rank = usize::from(seen.rank);
        let (Some(stripes), Some(to)) = (seen.stripes, group.disks.get(rank).copied()) else {
            outcome.kept.push(*seen);
            continue;
        };
        let shard = ShardId { blob: holding.blob, rank: seen.rank };
        let parcel = Parcel { shard, stripes, intent: &holding.intent, from: seen.disk, to };
        match care.mender.carry(parcel, pace).await {
            Ok(bytes) => {
                outcome.tally.written += u64::from(bytes > 0);
                outcome.tally.found += u64::from(bytes == 0);
                outcome.tally.bytes += bytes;
                // If it has been committed since, it is confirmed. If not, it stays all the same.
                let carried = Mended { shard, disk: to, is_new: false };
                outcome.mended.push((carried, holding.intent.clone()));
                outcome.spare.push(*seen);
            }
            Err(error) => {
                tracing::debug!(?shard, disk = %seen.disk, %error, "a shard cannot be carried now");
                outcome.tally.fail(&error);
                outcome.kept.push(*seen);
            }
        }
    }
}

/// Gives each member of a referenced blob what it lacks. What is elsewhere is spare once the shard
/// was seen to be good at its member.
async fn complete(care: &Care, case: &Case, blob: &BlobRef, pace: &Pace, outcome: &mut Outcome) {
    let Case { holding, findings, .. } = case;
    outcome.tally.misplaced = findings.strays.len() as u64;
    for (rank, member) in (0u8..).zip(&findings.members) {
        let of_rank = |all: &[Seen]| -> Vec<Seen> {
            all.iter().filter(|seen| seen.rank == rank).copied().collect()
        };
        let (former, strays) = (of_rank(&findings.former), of_rank(&findings.strays));
        let is_there = *member == AtMember::Sealed(blob.layout().stripes());
        if is_there && former.is_empty() && strays.is_empty() {
            continue;
        }
        let is_elsewhere = former.iter().chain(&strays).any(|seen| seen.stripes.is_some());
        outcome.tally.missing +=
            u64::from(!is_there && *member != AtMember::Unknown && !is_elsewhere);
        let copies: Vec<DiskId> = strays.iter().map(|seen| seen.disk).collect();
        let lack = Lack { blob, rank, intent: &holding.intent, strays: &copies };
        let mended = match member {
            AtMember::Unknown => None,
            _ => Some(care.mender.mend(lack, pace).await),
        };
        let elsewhere = former.into_iter().chain(strays);
        match mended {
            Some(Ok(mended)) => {
                if mended.is_new {
                    outcome.tally.written += 1;
                    outcome.tally.bytes += shard_bytes(blob);
                }
                outcome.tally.found += u64::from(!mended.is_new);
                outcome.mended.push((mended, holding.intent.clone()));
                outcome.spare.extend(elsewhere);
            }
            not_mended => {
                if let Some(Err(error)) = not_mended {
                    tracing::debug!(blob = %blob.id, rank, %error, "a shard cannot be mended now");
                    outcome.tally.fail(&error);
                }
                outcome.is_whole = false;
                outcome.kept.extend(elsewhere);
            }
        }
    }
}

/// Deletes these shards; those that stay. All of them if the group has changed since: what was a
/// former disk then may be the member by now.
async fn delete(
    care: &Care,
    group: &PlacementGroup,
    spare: Vec<(BlobId, Seen)>,
    tally: &mut Tally,
) -> Vec<Seen> {
    let map = care.objects.metadata().map();
    if map.groups.get(&group.id).is_none_or(|now| now.epoch != group.epoch) {
        return spare.into_iter().map(|(_, seen)| seen).collect();
    }
    let mut by_disk: BTreeMap<DiskId, Vec<(ShardId, Seen)>> = BTreeMap::new();
    for (blob, seen) in spare {
        let shard = ShardId { blob, rank: seen.rank };
        by_disk.entry(seen.disk).or_default().push((shard, seen));
    }
    let mut failed = Vec::new();
    for (disk, shards) in by_disk {
        let ids = shards.iter().map(|(shard, _)| *shard).collect();
        match care.objects.shards().delete(disk, ids).await {
            Ok(()) => tally.deleted += shards.len() as u64,
            Err(error) => {
                tally.fail(&error.into());
                failed.extend(shards.into_iter().map(|(_, seen)| seen));
            }
        }
    }
    failed
}

impl Tally {
    /// Adds up.
    pub(crate) fn add(&mut self, other: Tally) {
        self.blobs += other.blobs;
        self.missing += other.missing;
        self.misplaced += other.misplaced;
        self.written += other.written;
        self.bytes += other.bytes;
        self.found += other.found;
        self.deleted += other.deleted;
        self.stuck += other.stuck;
        self.last_failure = other.last_failure.or(self.last_failure.take());
    }
}
