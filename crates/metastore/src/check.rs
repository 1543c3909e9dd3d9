//! What a metadata node refuses before it proposes or evaluates anything: sizes and shapes
//! that no well-behaved caller sends. The state machines take such commands too without
//! harm (an answer, never a panic), but a command in the log stays there for ever, so its
//! bounds are checked where it enters.

use std::collections::BTreeMap;

use types::{
    Attributes, BlobId, BlobRef, BucketId, BucketLock, BucketSettings, Checksum, ErasurePolicy,
    INLINE_BYTES_MAX, Location, Period, Versioning, WriteIntent,
};

use crate::{
    api::{
        IndexCommand, IndexQuery, RootCommand, RootQuery,
        index::{
            ASKED_MAX, BucketChange, Data, ListAfter, ObjectUpdate, Origin, Part, Renamed,
            VersionsAfter,
        },
        root::{BUCKET_CONFIG_BYTES_MAX, CONFIG_NAME_BYTES_MAX, CURSOR_BYTES_MAX, META_VOTERS_MAX},
    },
    partitions::PARTITIONS_MAX,
};

/// Longest key in bytes: AWS, "Naming Amazon S3 objects".
pub const KEY_BYTES_MAX: usize = 1024;

/// Highest part number, and most parts: AWS, "Amazon S3 multipart upload limits".
pub const PART_NUMBER_MAX: u16 = 10_000;

/// Largest object or part in bytes that arithmetic must bear; protocol layers have lower limits.
const SIZE_MAX: u64 = 1 << 50;

/// Attributes of one object in bytes, its tags among them. HTTP headers are limited well
/// below it, and ten tags of the longest key and value have 15 KiB.
const ATTRIBUTE_BYTES_MAX: usize = 32 << 10;

/// Tags of one object: AWS, "Categorizing your objects using tags".
const TAGS_MAX: usize = 10;

/// The longest default retention: AWS, `DefaultRetention` of PutObjectLockConfiguration.
const RETENTION_YEARS_MAX: u32 = 100;

/// Prefixes, delimiters and markers of listings in bytes: what fits into a request line.
const MARKER_BYTES_MAX: usize = 16 << 10;

/// Text that nodes say about themselves, in bytes.
const LABEL_BYTES_MAX: usize = 255;

/// Rows named by one [`IndexCommand::Collected`].
const COLLECTED_MAX: usize = 1000;

/// Where a command or query belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// To the partition of this key.
    Key(BucketId, &'a str),
    /// To the partition of all these keys.
    Keys(&'a [(BlobId, WriteIntent)]),
    /// To every partition that holds keys of this bucket.
    Bucket(BucketId),
    /// To a partition that the caller names by its group.
    Partition,
}

/// A message that has bounds.
pub trait Check {
    /// What is wrong with it, in one sentence.
    fn check(&self) -> Result<(), String>;
}

fn within(what: &str, actual: usize, min: usize, max: usize) -> Result<(), String> {
    if (min..=max).contains(&actual) {
        Ok(())
    } else {
        Err(format!("{what} has {actual}, allowed are {min} to {max}"))
    }
}

fn key_is_allowed(key: &str) -> Result<(), String> {
    within("the length of the key in bytes", key.len(), 1, KEY_BYTES_MAX)
}

fn name_is_allowed(name: &str) -> Result<(), String> {
    within("the length of the bucket name in bytes", name.len(), 3, 63)
}

fn marker_is_allowed(marker: &str) -> Result<(), String> {
    within("the length of a prefix, delimiter or marker", marker.len(), 0, MARKER_BYTES_MAX)
}

fn size_is_allowed(size: u64) -> Result<(), String> {
    if size <= SIZE_MAX { Ok(()) } else { Err(format!("{size} bytes are too many")) }
}

fn policy_is_valid(policy: ErasurePolicy) -> Result<(), String> {
    // Decoding does not check what the constructor checks.
    let part = |number| u8::try_from(number).map_err(|_| format!("policy {policy} is not valid"));
    ErasurePolicy::new(part(policy.k())?, part(policy.m())?)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn blob_is_valid(blob: &BlobRef, missing: &[u8]) -> Result<(), String> {
    policy_is_valid(blob.policy)?;
    size_is_allowed(blob.size)?;
    size_is_allowed(blob.content_bytes())?;
    let quorum = match platform::planted("ack-at-k") {
        true => blob.policy.k(),
        false => blob.policy.write_quorum(),
    };
    let spare = blob.policy.n() - quorum;
    within("the number of missing ranks", missing.len(), 0, spare)?;
    match missing.iter().find(|rank| usize::from(**rank) >= blob.policy.n()) {
        Some(rank) => Err(format!("rank {rank} is outside policy {}", blob.policy)),
        None => Ok(()),
    }
}

fn data_is_valid(data: &Data, size: u64) -> Result<(), String> {
    let held = match data {
        Data::Inline(bytes) => {
            within("the number of inline bytes", bytes.len(), 0, INLINE_BYTES_MAX)?;
            bytes.len() as u64
        }
        Data::Blob { blob, missing } => {
            blob_is_valid(blob, missing)?;
            blob.content_bytes()
        }
    };
    if held == size { Ok(()) } else { Err(format!("{size} bytes were named, the data has {held}")) }
}

fn checksum_is_valid(checksum: Option<&Checksum>) -> Result<(), String> {
    checksum.map_or(Ok(()), |sum| within("the length of the checksum", sum.value.len(), 4, 64))
}

fn attributes_are_allowed(attributes: &Attributes) -> Result<(), String> {
    tags_are_allowed(&attributes.tags)?;
    let bytes = [&attributes.system, &attributes.user, &attributes.tags]
        .into_iter()
        .flatten()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    within("the length of the attributes in bytes", bytes, 0, ATTRIBUTE_BYTES_MAX)
}

fn tags_are_allowed(tags: &BTreeMap<String, String>) -> Result<(), String> {
    within("the number of tags", tags.len(), 0, TAGS_MAX)?;
    let bytes = tags.iter().map(|(name, value)| name.len() + value.len()).sum();
    within("the length of the tags in bytes", bytes, 0, ATTRIBUTE_BYTES_MAX)
}

fn origin_is_allowed(origin: &Origin) -> Result<(), String> {
    within("the length of the request id", origin.request_id.len(), 0, LABEL_BYTES_MAX)?;
    within("the length of the access key", origin.requester.len(), 0, LABEL_BYTES_MAX)
}

fn source_is_allowed(renamed: Option<&Renamed>, to: &str) -> Result<(), String> {
    let Some(Renamed { from, .. }) = renamed else { return Ok(()) };
    key_is_allowed(from)?;
    if from == to { Err("a key cannot be renamed to itself".to_owned()) } else { Ok(()) }
}

fn update_is_allowed(update: &ObjectUpdate) -> Result<(), String> {
    match update {
        ObjectUpdate::Tags(tags) => tags_are_allowed(tags),
        ObjectUpdate::Restore { readable_ms: 0, .. } => {
            Err("a restored object must be readable for a while".to_owned())
        }
        ObjectUpdate::Restore { day_ms: 0, .. } => {
            Err("a day must have a length to be rounded up to".to_owned())
        }
        ObjectUpdate::Retention { .. }
        | ObjectUpdate::LegalHold(_)
        | ObjectUpdate::Class { .. }
        | ObjectUpdate::Restore { .. } => Ok(()),
    }
}

fn lock_is_allowed(lock: &BucketLock) -> Result<(), String> {
    let (number, most) = match lock.default.map(|default| default.period) {
        None => return Ok(()),
        Some(Period::Days(days)) => (days, RETENTION_YEARS_MAX * 365),
        Some(Period::Years(years)) => (years, RETENTION_YEARS_MAX),
    };
    if (1..=most).contains(&number) {
        Ok(())
    } else {
        Err(format!("the default retention is {number}, allowed are 1 to {most}"))
    }
}

fn settings_are_allowed(settings: &BucketSettings) -> Result<(), String> {
    let Some(lock) = &settings.lock else { return Ok(()) };
    if settings.versioning != Versioning::Enabled {
        return Err("object lock needs versioning to be enabled".to_owned());
    }
    lock_is_allowed(lock)
}

fn part_is_valid(part: &Part) -> Result<(), String> {
    within("the part number", part.number.into(), 1, PART_NUMBER_MAX.into())?;
    checksum_is_valid(part.checksum.as_ref())?;
    data_is_valid(&part.data, part.size)
}

fn parts_are_valid(parts: &[(u16, [u8; 16])]) -> Result<(), String> {
    within("the number of parts", parts.len(), 1, PART_NUMBER_MAX.into())?;
    for (number, _) in parts {
        within("the part number", (*number).into(), 1, PART_NUMBER_MAX.into())?;
    }
    match parts.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        Some(pair) => Err(format!("part {} is listed after part {}", pair[1].0, pair[0].0)),
        None => Ok(()),
    }
}

impl Check for IndexCommand {
    fn check(&self) -> Result<(), String> {
        if let Scope::Key(_, key) = self.scope() {
            key_is_allowed(key)?;
        }
        match self {
            Self::PutObject { key, size, attributes, checksum, data, renamed, origin, .. } => {
                source_is_allowed(renamed.as_ref(), key)?;
                origin_is_allowed(origin)?;
                attributes_are_allowed(attributes)?;
                checksum_is_valid(checksum.as_ref())?;
                data_is_valid(data, *size)
            }
            Self::OpenBucket { settings, .. } => settings_are_allowed(settings),
            Self::ConfigureBucket { change: BucketChange::Lock(lock), .. } => lock_is_allowed(lock),
            Self::DeleteObject { origin, .. } => origin_is_allowed(origin),
            Self::UpdateObject { update, origin, .. } => {
                origin_is_allowed(origin)?;
                update_is_allowed(update)
            }
            Self::ReplaceBlob { part, old, new, missing, .. } => {
                if let Some((_, number)) = part {
                    within("the part number", (*number).into(), 1, PART_NUMBER_MAX.into())?;
                }
                if new.id == *old {
                    return Err(format!("blob {old} cannot take its own place"));
                }
                blob_is_valid(new, missing)
            }
            Self::CreateUpload { upload, .. } => attributes_are_allowed(&upload.attributes),
            Self::PutPart { part, .. } => part_is_valid(part),
            Self::CompleteUpload { key, parts, checksum, renamed, origin, .. } => {
                source_is_allowed(renamed.as_ref(), key)?;
                origin_is_allowed(origin)?;
                checksum_is_valid(checksum.as_ref())?;
                parts_are_valid(parts)
            }
            Self::Collected { rows } => {
                within("the number of garbage rows", rows.len(), 0, COLLECTED_MAX)
            }
            _ => Ok(()),
        }
    }
}

impl IndexCommand {
    /// The key that a renaming removes; it must lie in the same partition as the new one.
    pub fn source(&self) -> Option<Scope<'_>> {
        match self {
            Self::PutObject { bucket, renamed: Some(renamed), .. }
            | Self::CompleteUpload { bucket, renamed: Some(renamed), .. } => {
                Some(Scope::Key(*bucket, &renamed.from))
            }
            _ => None,
        }
    }

    /// Where the command belongs.
    pub fn scope(&self) -> Scope<'_> {
        match self {
            Self::PutObject { bucket, key, .. }
            | Self::DeleteObject { bucket, key, .. }
            | Self::UpdateObject { bucket, key, .. }
            | Self::ReplaceBlob { bucket, key, .. }
            | Self::PutPart { bucket, key, .. }
            | Self::CompleteUpload { bucket, key, .. }
            | Self::AbortUpload { bucket, key, .. } => Scope::Key(*bucket, key),
            Self::CreateUpload { bucket, upload, .. } => Scope::Key(*bucket, &upload.key),
            Self::OpenBucket { bucket, .. }
            | Self::ConfigureBucket { bucket, .. }
            | Self::SealBucket { bucket } => Scope::Bucket(*bucket),
            Self::Collected { .. }
            | Self::ExpandGarbage { .. }
            | Self::Repaired { .. }
            | Self::EventsDelivered { .. }
            | Self::Tick => Scope::Partition,
        }
    }
}

impl Check for IndexQuery {
    fn check(&self) -> Result<(), String> {
        if let Scope::Key(_, key) = self.scope() {
            key_is_allowed(key)?;
        }
        match self {
            Self::Blobs { asked } => {
                within("the number of blobs", asked.len(), 1, ASKED_MAX)?;
                asked.iter().try_for_each(|(_, intent)| key_is_allowed(&intent.key))
            }
            Self::Referenced { after: Some(after), .. } => {
                within("the length of the marker in bytes", after.len(), 1, MARKER_BYTES_MAX)
            }
            Self::List { prefix, delimiter, after, .. } => {
                marker_is_allowed(prefix)?;
                marker_is_allowed(delimiter.as_deref().unwrap_or_default())?;
                match after {
                    Some(ListAfter::Key(at) | ListAfter::Prefix(at)) => marker_is_allowed(at),
                    None => Ok(()),
                }
            }
            Self::Versions { prefix, delimiter, after, .. } => {
                use VersionsAfter as After;
                marker_is_allowed(prefix)?;
                marker_is_allowed(delimiter.as_deref().unwrap_or_default())?;
                match after {
                    Some(
                        After::Key(at)
                        | After::Version(at, _)
                        | After::Null(at)
                        | After::Prefix(at),
                    ) => marker_is_allowed(at),
                    None => Ok(()),
                }
            }
            Self::Uploads { prefix, delimiter, after, .. } => {
                marker_is_allowed(prefix)?;
                marker_is_allowed(delimiter.as_deref().unwrap_or_default())?;
                after.as_ref().map_or(Ok(()), |(key, _)| marker_is_allowed(key))
            }
            _ => Ok(()),
        }
    }
}

impl IndexQuery {
    /// Where the query belongs.
    pub fn scope(&self) -> Scope<'_> {
        match self {
            Self::Head { bucket, key, .. }
            | Self::Segments { bucket, key, .. }
            | Self::ObjectParts { bucket, key, .. }
            | Self::Upload { bucket, key, .. }
            | Self::Parts { bucket, key, .. } => Scope::Key(*bucket, key),
            Self::Settled { intent, .. } => Scope::Key(intent.bucket, &intent.key),
            Self::Blobs { asked } => Scope::Keys(asked),
            Self::Settings { bucket }
            | Self::List { bucket, .. }
            | Self::Versions { bucket, .. }
            | Self::Uploads { bucket, .. } => Scope::Bucket(*bucket),
            Self::Garbage { .. }
            | Self::Repairs { .. }
            | Self::Referenced { .. }
            | Self::Events { .. }
            | Self::Due { .. } => Scope::Partition,
        }
    }
}

impl Scope<'_> {
    /// Whether the partition is (or, for a bucket, may be) the right one to ask.
    pub fn is_in(&self, partition: &types::Partition) -> bool {
        match self {
            Scope::Key(bucket, key) => {
                partition.contains(&types::Partition::position(*bucket, key))
            }
            Scope::Keys(asked) => asked.iter().all(|(_, intent)| {
                partition.contains(&types::Partition::position(intent.bucket, &intent.key))
            }),
            Scope::Bucket(bucket) => {
                let first = bucket.0.to_be_bytes();
                let begins_before_the_end = crate::keys::successor(&first)
                    .is_none_or(|after| partition.start.as_slice() < after.as_slice());
                begins_before_the_end
                    && partition.end.as_ref().is_none_or(|end| end.as_slice() > first.as_slice())
            }
            Scope::Partition => true,
        }
    }
}

impl Check for RootCommand {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Bootstrap { policy, partitions, .. } => {
                policy_is_valid(*policy)?;
                within("the number of partitions", partitions.len(), 1, PARTITIONS_MAX.into())
            }
            Self::RegisterNode { address, location: Location { zone, rack }, .. } => {
                within("the length of the address", address.len(), 1, LABEL_BYTES_MAX)?;
                within("the length of the zone", zone.len(), 0, LABEL_BYTES_MAX)?;
                within("the length of the rack", rack.len(), 0, LABEL_BYTES_MAX)
            }
            Self::CreateGroups { policy, .. } => policy_is_valid(*policy),
            Self::SetStorageClasses { classes } => {
                classes.iter().try_for_each(|(_, profile)| policy_is_valid(profile.policy))
            }
            Self::CreateBucket { name, initial, .. } => {
                name_is_allowed(name)?;
                settings_are_allowed(initial)
            }
            Self::BeginDeleteBucket { name } => name_is_allowed(name),
            Self::SaveCursor { worker, cursor } => {
                within("the length of the name in bytes", worker.len(), 1, CONFIG_NAME_BYTES_MAX)?;
                within("the length of the cursor in bytes", cursor.len(), 0, CURSOR_BYTES_MAX)
            }
            Self::SetBucketConfig { name, value, .. } => {
                let bytes = value.as_ref().map_or(0, bytes::Bytes::len);
                within("the length of the name in bytes", name.len(), 0, CONFIG_NAME_BYTES_MAX)?;
                within(
                    "the length of the configuration in bytes",
                    bytes,
                    0,
                    BUCKET_CONFIG_BYTES_MAX,
                )
            }
            Self::BeginMetaChange { voters, .. } => {
                within("the number of voters", voters.len(), 1, META_VOTERS_MAX)
            }
            Self::EndMetaChange { .. }
            | Self::RegisterDisk { .. }
            | Self::FinaliseLevel { .. }
            | Self::SetDiskState { .. }
            | Self::MoveMember { .. }
            | Self::ReplaceDisk { .. }
            | Self::EndMove { .. }
            | Self::RemoveDisk { .. }
            | Self::RemoveNode { .. }
            | Self::FinishDeleteBucket { .. }
            | Self::CancelDeleteBucket { .. } => Ok(()),
        }
    }
}

impl Check for RootQuery {
    fn check(&self) -> Result<(), String> {
        match self {
            Self::Map | Self::Workers | Self::MetaMembers => Ok(()),
            Self::Bucket { name } | Self::Cursor { worker: name } => marker_is_allowed(name),
            Self::BucketConfigs { after, .. } => {
                marker_is_allowed(after.as_deref().unwrap_or_default())
            }
            Self::Buckets { prefix, after, .. } => {
                marker_is_allowed(prefix)?;
                marker_is_allowed(after.as_deref().unwrap_or_default())
            }
        }
    }
}
