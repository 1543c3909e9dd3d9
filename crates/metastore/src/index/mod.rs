//! The index partition's state machine. What each command does and answers is written at
//! [`crate::api::index::IndexCommand`]; here is how.
//!
//! Reading order: this file (one command from decode to answer), `writes` (a repeated
//! write gets its first answer), `versions` (where the versions of a key lie), `objects`,
//! `delete`, `update`, `uploads`, `garbage`, `gate`, and for reading [`query`], `parts`,
//! `settled`, [`list`] and `list_versions`.

mod delete;
mod garbage;
mod gate;
pub mod list;
mod list_versions;
mod objects;
mod parts;
pub mod query;
mod settled;
mod update;
mod uploads;
mod versions;
mod writes;

use bytes::Bytes;
use consensus::{ApplyContext, Halt, KvError, KvWrite, StateMachine};
pub use query::evaluate;
use types::{BucketSettings, Condition, ObjectHead, UnixMillis};

use self::versions::Place;
pub(crate) use self::writes::write_of;
pub use self::writes::{REMEMBERED_MS, WriteKind};
use crate::{
    api::{self, IndexAnswer, IndexCommand},
    keys::index as keys,
    rows,
};

/// Parts below this size, in bytes, may only come last: AWS, "Amazon S3 multipart upload limits".
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// Garbage blobs that one [`IndexCommand::ExpandGarbage`] makes at most.
pub const EXPAND_MAX: usize = 1000;

/// The state machine of index partitions. It holds nothing: everything is in rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct IndexMachine;

impl StateMachine for IndexMachine {
    fn apply(
        &self,
        rows: &mut dyn KvWrite,
        context: ApplyContext,
        command: &[u8],
    ) -> Result<Bytes, Halt> {
        let command: IndexCommand =
            api::decode(command).map_err(|error| Halt(format!("index command: {error}")))?;
        let answer = Apply::begin(rows, context)?.run(&command)?;
        Ok(api::encode(&answer))
    }
}

/// One command being applied.
struct Apply<'a> {
    rows: &'a mut dyn KvWrite,
    /// The partition's clock: never goes back, whatever the context says.
    now: UnixMillis,
    /// The next garbage number, once it has been read.
    next_garbage: Option<u64>,
    /// The next version number, once it has been read.
    next_version: Option<u64>,
}

impl<'a> Apply<'a> {
    /// Moves the clock, and forgets old writes whenever it moves by a step.
    fn begin(rows: &'a mut dyn KvWrite, context: ApplyContext) -> Result<Self, KvError> {
        let before: UnixMillis = rows::get(rows, keys::CLOCK)?.unwrap_or_default();
        let now = before.max(context.now);
        if now != before {
            rows::put(rows, keys::CLOCK, &now);
        }
        let mut apply = Self { rows, now, next_garbage: None, next_version: None };
        apply.forget_old_writes(before)?;
        Ok(apply)
    }

    fn run(mut self, command: &IndexCommand) -> Result<IndexAnswer, KvError> {
        let write = writes::write_of(command);
        if let Some((id, kind)) = write
            && let Some(first) = self.first_answer(id, kind, command)?
        {
            return Ok(first);
        }
        let answer = self.dispatch(command)?;
        if let Some((id, kind)) = write {
            self.remember(id, kind, &answer)?;
        }
        if let Some(next) = self.next_garbage {
            rows::put(self.rows, keys::NEXT_GARBAGE, &next);
        }
        if let Some(next) = self.next_version {
            rows::put(self.rows, keys::NEXT_VERSION, &next);
        }
        Ok(answer)
    }

    fn dispatch(&mut self, command: &IndexCommand) -> Result<IndexAnswer, KvError> {
        use IndexCommand as C;
        // Commands without a guarded bucket do not look at the settings.
        let settings = match gate::guarded_bucket(command).map(|bucket| self.open_gate(bucket)) {
            None => BucketSettings::default(),
            Some(gate) => match gate? {
                Ok(settings) => settings,
                Err(refusal) => return Ok(refusal),
            },
        };
        match command {
            C::OpenBucket { bucket, settings } => self.open_bucket(*bucket, *settings),
            C::ConfigureBucket { bucket, change, .. } => {
                self.configure_bucket(*bucket, settings, *change)
            }
            C::SealBucket { bucket } => self.seal_bucket(*bucket),
            C::PutObject { bucket, key, condition, .. } => {
                self.put_object(Place { bucket: *bucket, key, settings }, condition, command)
            }
            C::DeleteObject { bucket, key, version, condition, bypass_governance, .. } => {
                let at = Place { bucket: *bucket, key, settings };
                match version {
                    None => self.delete_current(at, condition, *bypass_governance),
                    Some(version) => {
                        self.delete_version(at, *version, condition, *bypass_governance)
                    }
                }
            }
            C::UpdateObject { bucket, key, version, update, .. } => {
                self.update_object(Place { bucket: *bucket, key, settings }, *version, update)
            }
            C::CreateUpload { bucket, upload, .. } => self.create_upload(*bucket, settings, upload),
            C::PutPart { bucket, key, upload, part, deadline, .. } => {
                if self.now > *deadline {
                    return Ok(IndexAnswer::DeadlinePassed);
                }
                self.put_part(*bucket, key, *upload, part, *deadline)
            }
            C::CompleteUpload {
                bucket,
                key,
                upload,
                condition,
                parts,
                etag,
                checksum,
                size,
                ..
            } => {
                let completion = uploads::Completion {
                    condition,
                    parts,
                    etag: *etag,
                    checksum: checksum.as_ref(),
                    size: *size,
                };
                let at = Place { bucket: *bucket, key, settings };
                self.complete_upload(at, *upload, &completion)
            }
            C::AbortUpload { bucket, key, upload, .. } => self.abort_upload(*bucket, key, *upload),
            C::ReplaceBlob { .. } => Ok(IndexAnswer::Moved),
            C::EventsDelivered { .. } => Ok(IndexAnswer::Done),
            C::Collected { rows } => self.collected(rows),
            C::ExpandGarbage { row } => self.expand_garbage(*row),
            C::Repaired { blob } => {
                self.rows.delete(&keys::repair(*blob));
                Ok(IndexAnswer::Done)
            }
            C::Tick => Ok(IndexAnswer::Done),
        }
    }
}

/// Why the condition does not hold of the current object, if it does not.
pub(crate) fn refusal(condition: &Condition, current: Option<&ObjectHead>) -> Option<IndexAnswer> {
    match (condition, current) {
        (Condition::None, _) | (Condition::Absent, None) => None,
        (Condition::Absent, Some(_)) => Some(IndexAnswer::ConditionFailed),
        (Condition::Match(_), None) => Some(IndexAnswer::NoSuchKey),
        (Condition::Match(asked), Some(head)) => {
            (!asked.holds(head)).then_some(IndexAnswer::ConditionFailed)
        }
    }
}
