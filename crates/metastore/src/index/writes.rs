//! Repeated writes. A caller that does not know the outcome of a write proposes it again
//! under the same id; within [`REMEMBERED_MS`] it gets the first answer and nothing
//! happens a second time. A refusal is remembered too: the caller may have reported it,
//! and a late duplicate must not do then what was refused before.
//!
//! Three refusals are not remembered. `BucketNotOpen`: the caller opens the gate and
//! proposes again. `BucketSealed` and `DeadlinePassed`: they stay true by themselves.
//!
//! Every remembered write has two rows: `S` by its id, `T` by its age. When the clock enters
//! a new [`FORGET_STEP_MS`] the oldest [`FORGET_MAX`] expired ones are removed, from where
//! the last removal ended (the `FORGOTTEN` row), so that the scan does not walk over what
//! was deleted before.

use consensus::KvError;
use types::{UnixMillis, WriteId};

use super::{Apply, objects};
use crate::{
    api::{IndexAnswer, IndexCommand},
    keys::index as keys,
    rows::{self, AppliedWrite, FirstAnswer, Made, Marker},
};

/// How long an applied write is remembered, in milliseconds of the partition's clock.
pub const REMEMBERED_MS: u64 = 15 * 60 * 1000;

/// The age of a write id, in milliseconds of the partition's clock, above which a command without
/// a deadline is refused unless it was applied before. A duplicate of a write can arrive late, from a
/// process or a connection that stood still: it must not be taken for a new write when the first
/// one has been forgotten. What is left to [`REMEMBERED_MS`] is for the difference between the
/// clocks of the gateway that made the id and the partition.
pub const WRITE_AGE_MS_MAX: u64 = 10 * 60 * 1000;

const _: () = assert!(WRITE_AGE_MS_MAX < REMEMBERED_MS);

/// The clock's step at which expired writes are removed; 62 times a second at most.
const FORGET_STEP_MS: u64 = 16;

/// Removed in one step at most: keeps up with 62,000 writes a second.
const FORGET_MAX: usize = 1000;

/// What a write id was used for. Part of the row's key, so that an id that a caller uses
/// for two different things can never bring up the answer of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names say it")]
pub enum WriteKind {
    PutObject = 1,
    DeleteObject = 2,
    CreateUpload = 3,
    PutPart = 4,
    CompleteUpload = 5,
    AbortUpload = 6,
    UpdateObject = 7,
    ConfigureBucket = 8,
    ReplaceBlob = 9,
}

/// The write id of a command that has one.
pub(crate) fn write_of(command: &IndexCommand) -> Option<(WriteId, WriteKind)> {
    use IndexCommand as C;
    match command {
        C::PutObject { write, .. } => Some((*write, WriteKind::PutObject)),
        C::DeleteObject { write, .. } => Some((*write, WriteKind::DeleteObject)),
        C::CreateUpload { write, .. } => Some((*write, WriteKind::CreateUpload)),
        C::PutPart { write, .. } => Some((*write, WriteKind::PutPart)),
        C::CompleteUpload { write, .. } => Some((*write, WriteKind::CompleteUpload)),
        C::AbortUpload { write, .. } => Some((*write, WriteKind::AbortUpload)),
        C::UpdateObject { write, .. } => Some((*write, WriteKind::UpdateObject)),
        C::ConfigureBucket { write, .. } => Some((*write, WriteKind::ConfigureBucket)),
        C::ReplaceBlob { write, .. } => Some((*write, WriteKind::ReplaceBlob)),
        C::OpenBucket { .. }
        | C::SealBucket { .. }
        | C::Collected { .. }
        | C::ExpandGarbage { .. }
        | C::Repaired { .. }
        | C::EventsDelivered { .. }
        | C::Tick => None,
    }
}

/// When a write id was made, if it says so: those of UUID version 7 begin with it (RFC 9562, 5.7).
fn made_at(write: WriteId) -> Option<UnixMillis> {
    let millis = write.as_bytes()[..6].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    (write.0.get_version_num() == 7).then_some(UnixMillis(millis))
}

/// Whether a repeated write must get this answer again.
pub(crate) fn is_remembered(answer: &IndexAnswer) -> bool {
    !matches!(
        answer,
        IndexAnswer::BucketNotOpen | IndexAnswer::BucketSealed | IndexAnswer::DeadlinePassed
    )
}

impl Apply<'_> {
    /// Whether the command has no deadline and comes so late that it may have been forgotten.
    pub(super) fn is_too_old(&self, command: &IndexCommand) -> bool {
        use WriteKind as K;
        let Some((write, kind)) = write_of(command) else { return false };
        match kind {
            K::PutObject | K::PutPart | K::ReplaceBlob => false,
            K::DeleteObject
            | K::CreateUpload
            | K::CompleteUpload
            | K::AbortUpload
            | K::UpdateObject
            | K::ConfigureBucket => {
                made_at(write).is_some_and(|made| self.now.since(made) > WRITE_AGE_MS_MAX)
            }
        }
    }

    /// The first answer, if this write was applied lately.
    pub(super) fn first_answer(
        &self,
        write: WriteId,
        kind: WriteKind,
        command: &IndexCommand,
    ) -> Result<Option<IndexAnswer>, KvError> {
        let row: Option<AppliedWrite> = rows::get(self.rows, &keys::applied(write, kind as u8))?;
        Ok(row.filter(|row| self.now.since(row.at) <= REMEMBERED_MS).and_then(|row| {
            match row.answer {
                FirstAnswer::Answer(answer) => Some(answer),
                FirstAnswer::Put(made) => {
                    objects::head_of(command, made).map(|head| IndexAnswer::Object(Box::new(head)))
                }
            }
        }))
    }

    /// Remembers what a write was answered.
    pub(super) fn remember(
        &mut self,
        write: WriteId,
        kind: WriteKind,
        command: &IndexCommand,
        answer: &IndexAnswer,
    ) -> Result<(), KvError> {
        if !is_remembered(answer) {
            return Ok(());
        }
        let key = keys::applied(write, kind as u8);
        if let Some(expired) = rows::get::<AppliedWrite>(self.rows, &key)? {
            self.rows.delete(&keys::applied_at(expired.at, write, kind as u8));
        }
        let answer = match (command, answer) {
            // A renaming has tags that the command does not know.
            (IndexCommand::PutObject { renamed: None, .. }, IndexAnswer::Object(head)) => {
                FirstAnswer::Put(Made {
                    version: head.version,
                    null: head.null,
                    lock: head.attributes.lock,
                })
            }
            _ => FirstAnswer::Answer(answer.clone()),
        };
        rows::put(self.rows, &key, &AppliedWrite { at: self.now, answer });
        rows::put(self.rows, &keys::applied_at(self.now, write, kind as u8), &Marker);
        Ok(())
    }

    /// Removes expired writes if the clock has entered a new step since `before`.
    pub(super) fn forget_old_writes(&mut self, before: UnixMillis) -> Result<(), KvError> {
        if before.0 / FORGET_STEP_MS == self.now.0 / FORGET_STEP_MS {
            return Ok(());
        }
        let Some(expired) = self.now.0.checked_sub(REMEMBERED_MS) else { return Ok(()) };
        let forgotten: UnixMillis = rows::get(self.rows, keys::FORGOTTEN)?.unwrap_or_default();
        let from = keys::applied_since(forgotten);
        let to = keys::applied_since(UnixMillis(expired));
        let old: Vec<_> = self
            .rows
            .scan(&from, Some(&to))
            .take(FORGET_MAX)
            .map(|row| row.and_then(|(key, _)| keys::of_applied_at(&key)))
            .collect::<Result<_, _>>()?;
        for (at, write, kind) in &old {
            self.rows.delete(&keys::applied(*write, *kind));
            self.rows.delete(&keys::applied_at(*at, *write, *kind));
        }
        if let Some((at, ..)) = old.last() {
            rows::put(self.rows, keys::FORGOTTEN, at);
        }
        Ok(())
    }
}
