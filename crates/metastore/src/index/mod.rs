//! The index partition's state machine. What each command does and answers is written at
//! [`crate::api::index::IndexCommand`]; here is how.
//!
//! Reading order: this file (one command from decode to answer), `writes` (a repeated
//! write gets its first answer), `versions` (where the versions of a key lie), `objects`,
//! `rename`, `delete`, `update`, `restores` (what the clock brings about), `uploads`, `replace`,
//! `garbage`, `events`, `gate`, and for reading [`query`], `parts`, `settled`, `referenced`, [`list`]
//! and `list_versions`.

mod delete;
mod events;
mod garbage;
mod gate;
pub mod list;
mod list_versions;
mod objects;
mod parts;
pub mod query;
mod referenced;
mod rename;
mod replace;
mod restores;
mod settled;
mod update;
mod uploads;
mod versions;
mod writes;

use bytes::Bytes;
use consensus::{ApplyContext, Halt, KvError, KvRead, KvWrite, StateMachine};
pub use query::evaluate;
use types::{BucketSettings, Condition, ObjectHead, UnixMillis};

use self::versions::Place;
pub(crate) use self::writes::write_of;
pub use self::writes::{REMEMBERED_MS, WRITE_AGE_MS_MAX, WriteKind};
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
    /// The next event number, once it has been read.
    next_event: Option<u64>,
}

/// The next number of a counter: from its row at first, which is written back when the command
/// has been applied.
fn next_number(rows: &dyn KvRead, row: &[u8], next: &mut Option<u64>) -> Result<u64, KvError> {
    let number = match *next {
        Some(number) => number,
        None => rows::get(rows, row)?.unwrap_or(0),
    };
    *next = Some(number + 1);
    Ok(number)
}

impl<'a> Apply<'a> {
    /// Moves the clock, does what is due by then, and forgets old writes whenever it moves by a
    /// step.
    fn begin(rows: &'a mut dyn KvWrite, context: ApplyContext) -> Result<Self, KvError> {
        let before: UnixMillis = rows::get(rows, keys::CLOCK)?.unwrap_or_default();
        let now = before.max(context.now);
        if now != before {
            rows::put(rows, keys::CLOCK, &now);
        }
        let (next_garbage, next_version, next_event) = (None, None, None);
        let mut apply = Self { rows, now, next_garbage, next_version, next_event };
        apply.forget_old_writes(before)?;
        apply.settle_due()?;
        Ok(apply)
    }

    fn run(mut self, command: &IndexCommand) -> Result<IndexAnswer, KvError> {
        let answer = self.answer(command)?;
        for (row, next) in [
            (keys::NEXT_GARBAGE, self.next_garbage),
            (keys::NEXT_VERSION, self.next_version),
            (keys::NEXT_EVENT, self.next_event),
        ] {
            if let Some(next) = next {
                rows::put(self.rows, row, &next);
            }
        }
        Ok(answer)
    }

    fn answer(&mut self, command: &IndexCommand) -> Result<IndexAnswer, KvError> {
        let Some((id, kind)) = writes::write_of(command) else { return self.dispatch(command) };
        if let Some(first) = self.first_answer(id, kind, command)? {
            return Ok(first);
        }
        let answer = self.dispatch(command)?;
        self.remember(id, kind, command, &answer)?;
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
        if self.is_too_old(command) {
            return Ok(IndexAnswer::DeadlinePassed);
        }
        match command {
            C::OpenBucket { bucket, settings } => self.open_bucket(*bucket, *settings),
            C::ConfigureBucket { bucket, change, .. } => {
                self.configure_bucket(*bucket, settings, *change)
            }
            C::SealBucket { bucket } => self.seal_bucket(*bucket),
            C::PutObject { bucket, key, condition, .. } => {
                self.put_object(Place { bucket: *bucket, key, settings }, condition, command)
            }
            C::DeleteObject {
                bucket, key, version, condition, bypass_governance, origin, ..
            } => {
                let at = Place { bucket: *bucket, key, settings };
                let asked =
                    delete::Deletion { condition, bypass_governance: *bypass_governance, origin };
                match version {
                    None => self.delete_current(at, &asked),
                    Some(version) => self.delete_version(at, *version, &asked),
                }
            }
            C::UpdateObject { bucket, key, version, update, origin, .. } => {
                let at = Place { bucket: *bucket, key, settings };
                self.update_object(at, *version, update, origin)
            }
            C::ReplaceBlob { bucket, key, version, part, old, new, missing, deadline, .. } => {
                let (version, part, old, deadline) = (*version, *part, *old, *deadline);
                let asked = replace::Replacement { version, part, old, new, missing, deadline };
                self.replace_blob(Place { bucket: *bucket, key, settings }, &asked)
            }
            C::CreateUpload { bucket, upload, .. } => self.create_upload(*bucket, settings, upload),
            C::PutPart { bucket, key, upload, part, deadline, .. } => {
                if self.now > *deadline && !platform::planted("ignore-deadline") {
                    return Ok(IndexAnswer::DeadlinePassed);
                }
                let at = Place { bucket: *bucket, key, settings };
                self.put_part(at, *upload, part, *deadline)
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
                renamed,
                origin,
                ..
            } => {
                let completion = uploads::Completion {
                    condition,
                    parts,
                    etag: *etag,
                    checksum: checksum.as_ref(),
                    size: *size,
                    renamed: renamed.as_ref(),
                    origin,
                };
                let at = Place { bucket: *bucket, key, settings };
                self.complete_upload(at, *upload, &completion)
            }
            C::AbortUpload { bucket, key, upload, .. } => self.abort_upload(*bucket, key, *upload),
            C::Collected { rows } => self.collected(rows),
            C::ExpandGarbage { row } => self.expand_garbage(*row),
            C::Repaired { blob } => {
                self.rows.delete(&keys::repair(*blob));
                Ok(IndexAnswer::Done)
            }
            C::EventsDelivered { through } => self.events_delivered(*through),
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
