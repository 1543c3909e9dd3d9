//! What clients do: each does one operation after the other through its gateway, on keys that it
//! shares with all others or on keys of its own, and the world writes down what it was told.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use metastore::api::index::{ListEntry, Origin};
use objects::{
    Error, Objects,
    body::MemoryBody,
    request::{CompleteUpload, CreateUpload, Delete, ListedPart, Put, PutPart},
};
use rand::{Rng, rngs::StdRng};
use types::{Attributes, BucketSettings, Condition, Content, object::Match};

use crate::{
    history::{Call, Key, Listing, Outcome, Value},
    invariants::acked_is_durable,
    scenario::stream,
    world::{Phase, World},
};

/// Buckets, each in one index partition.
pub const BUCKETS: usize = 2;
/// The longest that a client waits; then nobody knows.
const PATIENCE: Duration = Duration::from_secs(30);
/// For so long clients share the same keys; then others.
const ROUND_US: u64 = 6_000_000;
/// Shared keys of a round at most.
const KEYS_MAX: u64 = 16;
/// From here on keys are written once, by one client.
const OWN_KEYS: u64 = 1 << 32;
/// More than a stripe of 4+2.
const LARGE: usize = (4 << 20) + 10_000;
/// The least that a part may have if another follows.
const PART: usize = 5 << 20;

fn bucket_name(bucket: usize) -> String {
    format!("sim-{bucket}")
}

fn key_name(key: u64) -> String {
    format!("key-{key:012}")
}

fn key_of_name(name: &str) -> Option<u64> {
    name.strip_prefix("key-")?.parse().ok()
}

/// Eight bytes of value, then filler that depends on it. The value alone says how many: small
/// enough for a row, some chunks, or more than one stripe.
pub fn content(value: Value) -> Bytes {
    let bytes = match value % 32 {
        0..14 => 100 + value as usize % 3000,
        14..31 => 5_000 + (value as usize * 7919) % 60_000,
        _ => LARGE,
    };
    filled(value, bytes)
}

fn filled(value: Value, length: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.extend_from_slice(&value.to_le_bytes());
    let mut word = value;
    while bytes.len() < length {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// Makes the buckets; returns once they are there.
pub async fn buckets(world: &World, objects: &Objects) {
    for bucket in 0..BUCKETS {
        loop {
            let made = objects.create_bucket(&bucket_name(bucket), BucketSettings::default()).await;
            match made {
                Ok(_) | Err(Error::BucketExists(_)) => break,
                Err(error) => tracing::debug!(%error, "the bucket is not there yet"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    world.note("the buckets are there");
}

/// What a client last saw of a key.
#[derive(Clone)]
struct Seen {
    value: Value,
    etag: String,
}

/// A client of a gateway.
pub struct Client {
    world: Arc<World>,
    objects: Objects,
    random: StdRng,
    seen: BTreeMap<Key, Seen>,
}

impl Client {
    /// A client; its choices follow from the seed, its number and when it began.
    pub fn new(world: Arc<World>, objects: Objects, gateway: usize, number: usize) -> Self {
        let what = format!("client {gateway} {number} {}", world.time.us());
        let random = stream(world.scenario.seed, &what);
        Self { world, objects, random, seen: BTreeMap::new() }
    }

    /// Works until everything is to settle.
    pub async fn run(mut self) {
        while self.world.phase() == Phase::Chaos {
            self.step().await;
            let pause = self.random.random_range(0..120);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn step(&mut self) {
        let bucket = self.random.random_range(0..BUCKETS);
        let round = self.world.time.us() / ROUND_US;
        let shared = round * KEYS_MAX + self.random.random_range(0..self.world.scenario.keys);
        let key = (bucket, shared);
        let value = self.world.fresh_value();
        let seen = self.seen.get(&key).cloned();
        let tag = seen.as_ref().map(|seen| seen.etag.clone());
        match (self.random.random_range(0..100), seen) {
            (0..6, _) => self.list(bucket).await,
            (6..30, _) => self.perform(key, Call::Read, None).await,
            (30..42, _) => self.perform(key, Call::Write(value), None).await,
            (42..56, Some(seen)) => {
                self.perform(key, Call::CompareAndSet(seen.value, value), tag).await;
            }
            (56..62, Some(seen)) => self.perform(key, Call::DeleteIf(seen.value), tag).await,
            (42..62, None) => self.perform(key, Call::Create(value), None).await,
            (62..68, _) => self.perform(key, Call::Delete, None).await,
            (68..76, _) => self.perform(key, Call::Create(value), None).await,
            (76..84, _) => self.upload(key, value).await,
            _ => self.perform((bucket, OWN_KEYS + value), Call::Create(value), None).await,
        }
    }

    async fn perform(&mut self, key: Key, call: Call, tag: Option<String>) {
        let begun = begin(&self.world, key, call);
        let done = attempt(&self.world, &self.objects, key, call, tag);
        let done = tokio::time::timeout(PATIENCE, done).await;
        let (outcome, seen) = done.unwrap_or((Outcome::Info, None));
        end(&self.world, begun, key, call, outcome);
        match seen {
            Some(seen) => self.seen.insert(key, seen),
            None => self.seen.remove(&key),
        };
    }

    async fn list(&mut self, bucket: usize) {
        let invoked = self.world.time.us();
        let listing = list(&self.objects, bucket);
        if let Ok(Ok(keys)) = tokio::time::timeout(PATIENCE, listing).await {
            note_listing(&self.world, bucket, invoked, keys);
        }
    }

    /// A multipart upload; it takes effect when it is completed.
    async fn upload(&mut self, key: Key, value: Value) {
        let large = self.random.random_range(0..10) == 0;
        let whole = if large { filled(value, PART + 20_000) } else { content(value) };
        let cut = if large { PART } else { whole.len() };
        let parts = [whole.slice(..cut), whole.slice(cut..)];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let upload = upload_parts(&self.objects, key, parts.collect());
        let Ok(Ok(complete)) = tokio::time::timeout(PATIENCE, upload).await else { return };
        let call = Call::Write(value);
        let begun = begin(&self.world, key, call);
        let done = tokio::time::timeout(PATIENCE, self.objects.complete_upload(complete)).await;
        let (outcome, seen) = match done {
            Ok(Ok(head)) => (Outcome::Ok(None), Some(Seen { value, etag: head.etag.to_string() })),
            _ => (Outcome::Info, None),
        };
        end(&self.world, begun, key, call, outcome);
        if let Some(seen) = seen {
            self.seen.insert(key, seen);
        }
    }
}

fn begin(world: &World, key: Key, call: Call) -> usize {
    world.trace.line(world.time.us(), &format!("begin {key:?} {call:?}"));
    world.history.lock().begin(key, call, world.time.us())
}

fn end(world: &World, operation: usize, key: Key, call: Call, outcome: Outcome) {
    world.trace.line(world.time.us(), &format!("end   {key:?} {call:?} {outcome:?}"));
    world.history.lock().end(operation, outcome, world.time.us());
}

fn note_listing(world: &World, bucket: usize, invoked: u64, keys: Vec<u64>) {
    let ended = world.time.us();
    world.trace.line(ended, &format!("listed {bucket} {keys:?}"));
    world.history.lock().listings.push(Listing { bucket, invoked, ended, keys });
}

async fn list(objects: &Objects, bucket: usize) -> Result<Vec<u64>, Error> {
    let mut keys = Vec::new();
    let mut after = None;
    loop {
        let page = objects.list(&bucket_name(bucket), "", None, after, 1000).await?;
        keys.extend(page.entries.iter().filter_map(|entry| match entry {
            ListEntry::Object(object) => key_of_name(&object.key),
            ListEntry::CommonPrefix(_) => None,
        }));
        after = page.next;
        if after.is_none() {
            return Ok(keys);
        }
    }
}

async fn upload_parts(
    objects: &Objects,
    (bucket, key): Key,
    parts: Vec<Bytes>,
) -> Result<CompleteUpload, Error> {
    let (bucket, key) = (bucket_name(bucket), key_name(key));
    let create = CreateUpload {
        bucket: bucket.clone(),
        key: key.clone(),
        attributes: Attributes::default(),
        checksum: None,
    };
    let upload = objects.create_upload(create).await?;
    let mut listed = Vec::new();
    for (number, part) in (1u16..).zip(parts) {
        let put = PutPart {
            bucket: bucket.clone(),
            key: key.clone(),
            upload,
            number,
            body: Box::new(MemoryBody::new(part)),
        };
        let done = objects.put_part(put).await?;
        listed.push(ListedPart { number, md5: Some(done.etag.md5), checksum: None });
    }
    Ok(CompleteUpload {
        bucket,
        key,
        upload,
        condition: Condition::None,
        parts: listed,
        checksum: None,
        size: None,
        origin: Origin::default(),
    })
}

/// Does one operation. Besides the outcome: what the key was seen with.
async fn attempt(
    world: &World,
    objects: &Objects,
    key: Key,
    call: Call,
    tag: Option<String>,
) -> (Outcome, Option<Seen>) {
    let condition = match call {
        Call::Create(_) => Condition::Absent,
        Call::CompareAndSet(..) | Call::DeleteIf(_) => {
            Condition::Match(Match { etag: tag, ..Match::default() })
        }
        Call::Read | Call::Write(_) | Call::Delete => Condition::None,
    };
    match (call, call.written()) {
        (Call::Read, _) => match read(world, objects, key).await {
            Ok(seen) => (Outcome::Ok(seen.as_ref().map(|seen| seen.value)), seen),
            Err(error) => {
                tracing::debug!(%error, "a read failed");
                (Outcome::Info, None)
            }
        },
        (_, Some(value)) => {
            let put = Put {
                bucket: bucket_name(key.0),
                key: key_name(key.1),
                condition,
                attributes: Attributes::default(),
                origin: Origin::default(),
                body: Box::new(MemoryBody::new(content(value))),
            };
            match objects.put(put).await {
                Ok(head) => {
                    if let Content::Blob(blob) = &head.content {
                        acked_is_durable::check(world, blob);
                    }
                    (Outcome::Ok(None), Some(Seen { value, etag: head.etag.to_string() }))
                }
                Err(error) => (refused(&error), None),
            }
        }
        _ => {
            let delete = Delete {
                bucket: bucket_name(key.0),
                key: key_name(key.1),
                version: None,
                condition,
                bypass_governance: false,
                origin: Origin::default(),
            };
            match objects.delete(delete).await {
                Ok(_) => (Outcome::Ok(None), None),
                Err(error) => (refused(&error), None),
            }
        }
    }
}

/// Refusals by condition surely did nothing. Everything else is unknown.
fn refused(error: &Error) -> Outcome {
    match error {
        Error::PreconditionFailed => Outcome::Differs,
        Error::NoSuchKey => Outcome::Absent,
        error => {
            tracing::debug!(%error, "the outcome of a write is unknown");
            Outcome::Info
        }
    }
}

async fn read(world: &World, objects: &Objects, key: Key) -> Result<Option<Seen>, Error> {
    let (bucket, name) = (bucket_name(key.0), key_name(key.1));
    let head = match objects.head(&bucket, &name, None).await {
        Ok(head) => head,
        Err(Error::NoSuchKey) => return Ok(None),
        Err(error) => return Err(error),
    };
    let etag = head.etag.to_string();
    let size = head.size;
    let reader = objects.read(&bucket, &name, head, None).await?;
    let bytes: BytesMut = reader.stream.try_collect().await?;
    let value = bytes.first_chunk::<8>().map(|first| Value::from_le_bytes(*first));
    let right = value.filter(|value| {
        bytes.len() as u64 == size
            && (content(*value) == bytes || filled(*value, bytes.len()) == bytes)
    });
    match right {
        Some(value) => Ok(Some(Seen { value, etag })),
        None => {
            world.violate(
                "no_wrong_bytes",
                format!("{name} in {bucket} was read as {size} wrong bytes"),
            );
            Err(Error::Internal("wrong bytes".into()))
        }
    }
}

/// Keys that are read at a time at the end.
const READS_MAX: usize = 6;

/// At the end everything must work: reads every key that was ever written, until that succeeds,
/// writes and deletes a new key in each bucket, and lists the buckets.
pub async fn settle(world: Arc<World>, objects: Objects, gateway: usize) {
    while world.phase() == Phase::Chaos {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut keys: Vec<Key> = world.history.lock().operations.iter().map(|it| it.key).collect();
    keys.sort_unstable();
    keys.dedup();
    let reads = keys.into_iter().map(|key| until_it_succeeds(&world, &objects, key, Call::Read));
    futures::stream::iter(reads).buffer_unordered(READS_MAX).collect::<Vec<()>>().await;
    for bucket in 0..BUCKETS {
        let value = world.fresh_value();
        let key = (bucket, OWN_KEYS + value);
        until_it_succeeds(&world, &objects, key, Call::Write(value)).await;
        until_it_succeeds(&world, &objects, key, Call::Read).await;
        until_it_succeeds(&world, &objects, key, Call::Delete).await;
        loop {
            let invoked = world.time.us();
            if let Ok(keys) = list(&objects, bucket).await {
                note_listing(&world, bucket, invoked, keys);
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    world.note(&format!("gateway {gateway} has settled"));
    *world.gateways[gateway].settled.lock() = true;
}

async fn until_it_succeeds(world: &World, objects: &Objects, key: Key, call: Call) {
    loop {
        let begun = begin(world, key, call);
        let done = tokio::time::timeout(PATIENCE, attempt(world, objects, key, call, None)).await;
        let outcome = done.map_or(Outcome::Info, |(outcome, _)| outcome);
        end(world, begun, key, call, outcome);
        if outcome != Outcome::Info {
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_values_apart_in_every_part() {
        let (one, two) = (filled(1, 100), filled(2, 100));
        assert_eq!((one.len(), two.len()), (100, 100));
        assert_ne!(one[..8], two[..8]);
        assert_ne!(one[50..], two[50..]);
        assert_eq!(content(31).len(), LARGE);
        assert_eq!(key_of_name(&key_name(77)), Some(77));
    }
}
