//! One commit in the making: the calls that share it, each seeing those before it.

use std::collections::HashMap;

use proto::shards::{PutChunks, ShardState};
use rocksdb::WriteBatch;
use types::{ChunkDigest, ShardId};

use super::{
    books::{Changes, change},
    database::{Database, Fault},
};
use crate::{Error, chunk_value, keys, record::Record};

/// What storing a chunk takes: once in the log, once in its file.
const COPIES: u64 = 2;

/// See the module.
pub(crate) struct Group<'a> {
    database: &'a Database,
    batch: WriteBatch,
    /// Shards that this group touched, as they will be; `None`: deleted.
    records: HashMap<ShardId, Option<Record>>,
    /// Chunks that this group adds, by sequence and stripe.
    digests: HashMap<(u64, u32), ChunkDigest>,
    next_sequence: u64,
    changes: Changes,
    room_bytes: u64,
    value: Vec<u8>,
}

impl<'a> Group<'a> {
    /// An empty group that may fill `room_bytes` of the disk.
    pub(crate) fn new(database: &'a Database, next_sequence: u64, room_bytes: u64) -> Self {
        Self {
            database,
            batch: database.batch(),
            records: HashMap::new(),
            digests: HashMap::new(),
            next_sequence,
            changes: Changes::new(),
            room_bytes,
            value: Vec::new(),
        }
    }

    /// The batch, the next free sequence and the changes of the usage rows.
    pub(crate) fn finish(self) -> (WriteBatch, u64, Changes) {
        (self.batch, self.next_sequence, self.changes)
    }

    /// Adds what a checked put brings. Nothing is added if it fails.
    pub(crate) fn put(&mut self, put: &PutChunks) -> Result<(), Error> {
        let stored = self.record(put.shard)?;
        let have = stored.as_ref().map_or(0, Record::stripes);
        let repeated = self.admit(put, stored.as_ref(), have)?;
        let fresh = &put.chunks[repeated..];
        if fresh.is_empty() && stored.as_ref().is_some_and(|record| record.sealed || !put.seal) {
            return Ok(());
        }
        let bytes: u64 = fresh.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        if stored.is_none() || bytes > 0 {
            self.room_bytes =
                self.room_bytes.checked_sub(bytes * COPIES + 1).ok_or(Error::NoSpace)?;
        }

        let mut record = stored.unwrap_or_else(|| {
            let sequence = self.next_sequence;
            self.next_sequence += 1;
            Record::new(put.intent.clone(), sequence)
        });
        for (stripe, chunk) in (have..).zip(fresh) {
            chunk_value::encode(chunk, &mut self.value);
            let family = self.database.family(keys::chunk_family(chunk.bytes.len()));
            self.batch.put_cf(family, keys::chunk(record.sequence, stripe), &self.value);
            self.digests.insert((record.sequence, stripe), chunk.digest);
            record.push(u32::try_from(chunk.bytes.len()).expect("verify::put bounds it"));
        }
        record.sealed |= put.seal;
        change(&mut self.changes, record.sequence).written_bytes += bytes;
        self.store(put.shard, record);
        Ok(())
    }

    /// How many of the put's chunks are there already; or why it contradicts what is.
    fn admit(&self, put: &PutChunks, stored: Option<&Record>, have: u32) -> Result<usize, Error> {
        let conflict = |reason| Err(Error::Conflict { shard: put.shard, reason });
        if put.first_stripe > have {
            return conflict("a stripe before this call is missing");
        }
        let Some(record) = stored else { return Ok(0) };
        if record.intent != put.intent {
            return conflict("it was begun with another intent");
        }
        let count = u32::try_from(put.chunks.len()).expect("verify::put bounds it");
        let end = put.first_stripe + count;
        for (stripe, chunk) in (put.first_stripe..have).zip(&put.chunks) {
            if self.digest(put.shard, record, stripe)? != Some(chunk.digest) {
                return conflict("other bytes are stored for a stripe of this call");
            }
        }
        if record.sealed && end > have {
            return conflict("it is sealed");
        }
        if put.seal && end < have {
            return conflict("it already has stripes after this seal");
        }
        Ok((have.min(end) - put.first_stripe) as usize)
    }

    /// The digest stored for a chunk; `None` if the chunk cannot be read.
    fn digest(
        &self,
        shard: ShardId,
        record: &Record,
        stripe: u32,
    ) -> Result<Option<ChunkDigest>, Error> {
        if let Some(digest) = self.digests.get(&(record.sequence, stripe)) {
            return Ok(Some(*digest));
        }
        let bytes = record.chunk_bytes(stripe).expect("the stripe is below the record's count");
        let key = keys::chunk(record.sequence, stripe);
        match self.database.get(keys::chunk_family(bytes), &key) {
            Ok(value) => Ok(value.and_then(|value| chunk_value::digest(&value))),
            Err(Fault::Corrupt(_)) => {
                Err(Error::Corrupt { shard, what: format!("chunk {stripe}") })
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Marks shards as committed. A damaged record is left to scrub and repair: it must not
    /// keep the other shards of the call from being marked.
    pub(crate) fn confirm(&mut self, shards: &[ShardId]) -> Result<(), Error> {
        for shard in shards {
            match self.record(*shard) {
                Ok(Some(mut record)) if record.state != ShardState::Confirmed => {
                    record.state = ShardState::Confirmed;
                    self.store(*shard, record);
                }
                Ok(_) => {}
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::error!(%error, "cannot confirm a shard");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes shards and their chunks, key by key: range deletions would slow down every
    /// read that meets them.
    pub(crate) fn delete(&mut self, shards: &[ShardId]) -> Result<(), Error> {
        for shard in shards {
            match self.record(*shard) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    for stripe in 0..record.stripes() {
                        let bytes = record.chunk_bytes(stripe).expect("below the count");
                        let family = self.database.family(keys::chunk_family(bytes));
                        self.batch.delete_cf(family, keys::chunk(record.sequence, stripe));
                    }
                    change(&mut self.changes, record.sequence).deleted_bytes += record.bytes();
                    self.forget(*shard);
                }
                // Repair deletes what is damaged before it writes it again. Which chunks
                // the record owned is lost with it; they stay until the disk is rebuilt.
                Err(Error::Corrupt { what, .. }) => {
                    tracing::error!(shard = ?shard, %what, "deleting a damaged record; its chunks stay");
                    self.forget(*shard);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn record(&self, shard: ShardId) -> Result<Option<Record>, Error> {
        match self.records.get(&shard) {
            Some(record) => Ok(record.clone()),
            None => load(self.database, shard),
        }
    }

    fn store(&mut self, shard: ShardId, record: Record) {
        let family = self.database.family(keys::RECORDS);
        self.batch.put_cf(family, keys::record(shard), record.encode());
        self.records.insert(shard, Some(record));
    }

    fn forget(&mut self, shard: ShardId) {
        self.batch.delete_cf(self.database.family(keys::RECORDS), keys::record(shard));
        self.records.insert(shard, None);
    }
}

/// A shard's record as it is stored.
pub(crate) fn load(database: &Database, shard: ShardId) -> Result<Option<Record>, Error> {
    let corrupt = |what| Error::Corrupt { shard, what };
    match database.get(keys::RECORDS, &keys::record(shard)) {
        Ok(Some(value)) => Record::decode(&value).map(Some).map_err(corrupt),
        Ok(None) => Ok(None),
        Err(Fault::Corrupt(reason)) => Err(corrupt(format!("the record ({reason})"))),
        Err(fault) => Err(fault.into()),
    }
}
