//! The index partition's state machine. What each command does and answers is written at
//! [`crate::api::index::IndexCommand`]; here is how.
//!
//! Reading order: this file (one command from decode to answer), `writes` (a repeated
//! write gets its first answer), `objects`, `uploads`, `garbage`, `gate`, and for
//! reading [`query`] and [`list`].

mod garbage;
mod gate;
pub mod list;
mod objects;
pub mod query;
mod uploads;
mod writes;

use bytes::Bytes;
use consensus::{ApplyContext, Halt, KvError, KvWrite, StateMachine};
pub use query::evaluate;
use types::{Condition, ObjectHead, UnixMillis};

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
}

impl<'a> Apply<'a> {
    /// Moves the clock, and forgets old writes whenever it moves by a step.
    fn begin(rows: &'a mut dyn KvWrite, context: ApplyContext) -> Result<Self, KvError> {
        let before: UnixMillis = rows::get(rows, keys::CLOCK)?.unwrap_or_default();
        let now = before.max(context.now);
        if now != before {
            rows::put(rows, keys::CLOCK, &now);
        }
        let mut apply = Self { rows, now, next_garbage: None };
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
        Ok(answer)
    }

    fn dispatch(&mut self, command: &IndexCommand) -> Result<IndexAnswer, KvError> {
        use IndexCommand as C;
        if let Some(bucket) = gate::guarded_bucket(command)
            && let Some(refusal) = self.closed_gate(bucket)?
        {
            return Ok(refusal);
        }
        match command {
            C::OpenBucket { bucket } => self.open_bucket(*bucket),
            C::SealBucket { bucket } => self.seal_bucket(*bucket),
            C::PutObject { bucket, key, condition, data, deadline, .. } => {
                if self.now > *deadline {
                    return Ok(IndexAnswer::DeadlinePassed);
                }
                let head = objects::head_of(command, self.now).expect("this is a PutObject");
                self.put_object(*bucket, key, condition, data, *deadline, head)
            }
            C::DeleteObject { bucket, key, condition, .. } => {
                self.delete_object(*bucket, key, condition)
            }
            C::CreateUpload { bucket, upload, .. } => self.create_upload(*bucket, upload),
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
                self.complete_upload(*bucket, key, *upload, &completion)
            }
            C::AbortUpload { bucket, key, upload, .. } => self.abort_upload(*bucket, key, *upload),
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
        (Condition::Match(tag), Some(head)) => {
            (tag != "*" && *tag != head.etag.to_string()).then_some(IndexAnswer::ConditionFailed)
        }
    }
}
