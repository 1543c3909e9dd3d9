//! What the property tests share: how a few random bytes become a command or a query over
//! a handful of buckets, keys, uploads and disks, so that everything meets everything.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use metastore::api::index::{
    BucketChange, Data, GarbageId, IndexCommand, IndexQuery, ListAfter, ObjectUpdate, Origin, Part,
    Reason, Renamed, Upload, VersionsAfter,
};
use types::{
    Attributes, BlobId, BlobRef, BucketId, BucketLock, BucketSettings, Checksum, ChecksumAlgorithm,
    ChecksumKind, CodecId, Condition, DefaultRetention, ETag, Encoding, ErasurePolicy, Match,
    ObjectLock, Period, PgId, Retention, RetentionMode, StorageClass, UnixMillis, UploadId,
    Version, VersionId, Versioning, WriteId, WriteIntent,
};

pub const KEYS: [&str; 12] =
    ["a", "a/", "a/b", "a/b/c", "a/b/d", "a\0", "a//", "ab", "b/x", "é/y", "é//z", "\u{10ffff}"];
pub const PREFIXES: [&str; 8] = ["", "a", "a/", "a/b", "b", "é/", "zz", "a\0"];
pub const DELIMITERS: [Option<&str>; 6] =
    [None, Some("/"), Some("//"), Some("b/"), Some(""), Some("é")];
pub const MIB: u64 = 1 << 20;

pub fn policy() -> ErasurePolicy {
    ErasurePolicy::new(4, 2).unwrap()
}

pub fn blob_ref(number: u64, size: u64) -> BlobRef {
    let id = BlobId::from_bytes(u128::from(number).to_be_bytes());
    BlobRef {
        id,
        pg: PgId(3),
        policy: policy(),
        codec: CodecId::REED_SOLOMON_V1,
        size,
        encoding: Encoding::Plain,
    }
}

/// A blob that holds so much content in fewer bytes.
pub fn compressed(number: u64, content_bytes: u64) -> BlobRef {
    let encoding = Encoding::Zstd { content_bytes };
    BlobRef { encoding, ..blob_ref(number, content_bytes / 2 + 1) }
}

pub fn write_id(number: u64) -> WriteId {
    WriteId::from_bytes(u128::from(number).to_be_bytes())
}

/// A write id of UUID version 7 that was made then.
pub fn write_id_of(at: UnixMillis, number: u64) -> WriteId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&at.0.to_be_bytes()[2..]);
    bytes[6] = 0x70;
    bytes[7..15].copy_from_slice(&number.to_be_bytes());
    bytes[8] |= 0x80;
    WriteId::from_bytes(bytes)
}

pub fn upload_id(number: u8) -> UploadId {
    UploadId::from_bytes([number; 16])
}

pub fn md5(number: u16, variant: u8) -> [u8; 16] {
    let mut md5 = [variant; 16];
    md5[..2].copy_from_slice(&number.to_be_bytes());
    md5
}

/// A version that exists.
#[derive(Clone, Debug)]
pub struct KnownVersion {
    pub bucket: BucketId,
    pub key: String,
    pub id: VersionId,
    pub name: Version,
    /// The upload that made it.
    pub upload: Option<UploadId>,
    pub class: StorageClass,
}

/// A blob that a version is made of.
#[derive(Clone, Debug)]
pub struct KnownBlob {
    pub bucket: BucketId,
    pub key: String,
    pub version: VersionId,
    pub part: Option<(UploadId, u16)>,
    pub blob: BlobRef,
}

/// What exists, so that commands and queries can name it.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub garbage: Vec<GarbageId>,
    pub versions: Vec<KnownVersion>,
    pub blobs: Vec<KnownBlob>,
    pub events_made: u64,
    /// Buckets that were never versioned.
    pub unversioned: Vec<BucketId>,
}

/// Turns random bytes into commands; numbers everything that must be unique.
#[derive(Default)]
pub struct Source {
    serial: u64,
    pub history: Vec<IndexCommand>,
}

/// The random bytes of one step.
pub type Dice = [u8; 10];

fn pick<T: Clone>(from: &[T], dice: u8) -> T {
    from[usize::from(dice) % from.len()].clone()
}

pub fn bucket(dice: u8) -> BucketId {
    // Mostly one bucket, so that its keys meet; the last id, so that ranges meet their end.
    if dice.is_multiple_of(4) { BucketId(u64::MAX) } else { BucketId(7) }
}

/// Every third bucket is versioned from the start, some with object lock.
pub fn settings(dice: u8) -> BucketSettings {
    let versioning = match dice % 8 {
        0..=2 => Versioning::Off,
        3 => Versioning::Suspended,
        _ => Versioning::Enabled,
    };
    let lock = (dice % 8 >= 6).then(|| lock(dice / 8));
    BucketSettings { versioning, lock, events: !(dice / 16).is_multiple_of(2) }
}

fn mode(dice: u8) -> RetentionMode {
    if dice.is_multiple_of(2) { RetentionMode::Governance } else { RetentionMode::Compliance }
}

fn lock(dice: u8) -> BucketLock {
    let mode = mode(dice);
    let period = if dice.is_multiple_of(4) { Period::Years(1) } else { Period::Days(1) };
    BucketLock { default: (dice % 4 != 3).then_some(DefaultRetention { mode, period }) }
}

/// Ends now, soon, or after a while.
fn retention(dice: u8, now: UnixMillis) -> Retention {
    let mode = mode(dice / 4);
    Retention { mode, until: now.plus(pick(&[0, 1000, 100_000, 2_000_000], dice)) }
}

fn etag(dice: u8) -> Option<String> {
    Some(match dice % 4 {
        0 => ETag { md5: md5(0, 0), parts: 0 }.to_string(),
        1 => "nonsense".into(),
        _ => "*".into(),
    })
}

fn condition(dice: u8, now: UnixMillis, known: &Known) -> Condition {
    let version = known.versions.get(usize::from(dice) % known.versions.len().max(1));
    Condition::Match(match dice % 24 {
        0 => return Condition::Absent,
        1..=3 => Match { etag: etag(dice % 16 + 1), ..Match::default() },
        4 => Match { size: Some(100), ..Match::default() },
        5 => Match { modified_s: Some(now.0 / 1000), etag: etag(dice / 16), ..Match::default() },
        6 => Match { version: version.map(|version| version.id), ..Match::default() },
        _ => return Condition::None,
    })
}

fn origin(dice: u8) -> Origin {
    let reasons = [Reason::PutObject, Reason::CopyObject, Reason::LifecycleExpiration];
    Origin {
        reason: pick(&reasons, dice),
        request_id: format!("{dice:02X}"),
        requester: if dice.is_multiple_of(2) { String::new() } else { "AKIAEXAMPLE".into() },
        source_ip: dice.is_multiple_of(3).then(|| [192, 0, 2, dice].into()),
    }
}

/// An object that is to be renamed: mostly one that is there, and as it is.
fn renamed(dice: u8, bucket: BucketId, known: &Known) -> Option<Renamed> {
    if !known.unversioned.contains(&bucket) && dice % 8 != 7 {
        return None;
    }
    let of: Vec<_> = known.versions.iter().filter(|it| it.bucket == bucket).collect();
    let source = of.get(usize::from(dice / 8) % of.len().max(1));
    let (from, version) = match source {
        Some(source) => (source.key.clone(), source.id),
        None => (pick(&KEYS, dice).to_owned(), VersionId::MAX),
    };
    Some(match dice % 8 {
        0 | 2 => Renamed { from, version: VersionId::MAX },
        1 => Renamed { from: pick(&KEYS, dice / 8).to_owned(), version },
        _ => Renamed { from, version },
    })
}

impl Source {
    /// The upload that the last part went to, with all parts that were sent to it.
    #[allow(clippy::type_complexity, reason = "taken apart at once")]
    fn last_upload(&self) -> Option<(BucketId, String, UploadId, Vec<(u16, [u8; 16])>)> {
        let parts = self.history.iter().filter_map(|command| match command {
            IndexCommand::PutPart { bucket, key, upload, part, .. } => {
                Some(((*bucket, key.clone(), *upload), (part.number, part.md5)))
            }
            _ => None,
        });
        let (last, _) = parts.clone().last()?;
        let parts: BTreeMap<_, _> = parts.filter(|(of, _)| *of == last).map(|it| it.1).collect();
        let (bucket, key, upload) = last;
        Some((bucket, key, upload, parts.into_iter().collect()))
    }

    /// Uploads of a time are near each other.
    fn generation(&self) -> u8 {
        (self.history.len() / 20) as u8
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn data(&mut self, dice: u8) -> (Data, u64) {
        let size = pick(&[0, 3, 100, 5 * MIB, 5 * MIB, 6 * MIB, 7 * MIB], dice);
        let data = if size < 4 {
            Data::Inline(Bytes::from(vec![dice; size as usize]))
        } else {
            let missing = if dice.is_multiple_of(5) { vec![dice % 6] } else { Vec::new() };
            let blob = match dice.is_multiple_of(4) {
                true => compressed(self.number(), size),
                false => blob_ref(self.number(), size),
            };
            Data::Blob { blob, missing }
        };
        (data, size)
    }

    /// A key and a version of it: mostly one that is there, sometimes the null version or
    /// one that is not.
    fn version(&self, dice: u8, kind: u8, key: &str, known: &Known) -> (BucketId, String, Version) {
        let Some(known) = known.versions.get(usize::from(dice) % known.versions.len().max(1))
        else {
            return (bucket(kind), key.to_owned(), Version::Null);
        };
        match kind % 16 {
            0 => (bucket(dice), key.to_owned(), known.name),
            1 => (known.bucket, known.key.clone(), Version::Id(known.id)),
            2 => (known.bucket, known.key.clone(), Version::Null),
            _ => (known.bucket, known.key.clone(), known.name),
        }
    }

    /// The command that the dice say.
    pub fn command(&mut self, dice: Dice, now: UnixMillis, known: &Known) -> IndexCommand {
        let garbage = &known.garbage;
        let [kind, b, k, u, n, c, d, e, f, _] = dice;
        let mut bucket = bucket(b);
        let mut key = pick(&KEYS, k).to_owned();
        let mut upload = upload_id(u % 3);
        let kind = kind % 50;
        if ((2..=10).contains(&kind) && k < 128) || kind == 49 {
            // Few keys, so that they have many versions.
            key = pick(&KEYS[1..4], k).to_owned();
        }
        if (11..=24).contains(&kind) && k < 224 {
            // What a completion needs must meet: few uploads of few keys.
            key = pick(&KEYS[1..3], k).to_owned();
            // An upload whose object stays cannot come again, so that there are new ones.
            upload = upload_id(self.generation() + u8::from(u < 48));
        }
        if (14..=24).contains(&kind) && k < 180 {
            let created = self.history.iter().rev().take(20).find_map(|command| match command {
                IndexCommand::CreateUpload { bucket, upload, .. } => Some((*bucket, upload)),
                _ => None,
            });
            if let Some((of, header)) = created {
                (bucket, key, upload) = (of, header.key.clone(), header.id);
            }
        }
        // Some say when they were made, and that may be too long ago.
        let number = self.number();
        let write = match c.wrapping_add(d) % 16 {
            0 => write_id_of(UnixMillis(now.0.saturating_sub(600_001)), number),
            1 => write_id_of(UnixMillis(now.0.saturating_sub(600_000)), number),
            2..=5 => write_id_of(now, number),
            _ => write_id(number),
        };
        // Some come late, some on the last moment.
        let deadline = match e % 8 {
            0 => UnixMillis(now.0.saturating_sub(1)),
            1 => now,
            _ => now.plus(60_000),
        };
        let number = pick(&[1, 1, 2, 2, 3], n);
        let command = match kind {
            0 => IndexCommand::OpenBucket { bucket, settings: settings(f) },
            1 if f.is_multiple_of(4) => IndexCommand::SealBucket { bucket },
            1 => IndexCommand::OpenBucket { bucket, settings: settings(f) },
            2..=7 | 49 => {
                if kind == 49 && !known.unversioned.is_empty() {
                    bucket = pick(&known.unversioned, b);
                }
                // A renaming that must not replace anything.
                let c = if kind == 49 && n.is_multiple_of(2) { 0 } else { c };
                let renamed = match kind == 49 || f.is_multiple_of(16) {
                    true => renamed(u, bucket, known),
                    false => None,
                };
                let (data, size) = self.data(d);
                let checksum = c.is_multiple_of(3).then(|| Checksum {
                    algorithm: ChecksumAlgorithm::Crc32c,
                    kind: ChecksumKind::FullObject,
                    value: vec![c; 4],
                    parts: 0,
                });
                let etag = ETag { md5: md5(0, f % 2), parts: 0 };
                let attributes = attributes(f, now);
                IndexCommand::PutObject {
                    bucket,
                    key,
                    condition: condition(c, now, known),
                    size,
                    etag,
                    attributes,
                    checksum,
                    data,
                    write,
                    deadline,
                    renamed,
                    origin: origin(f),
                }
            }
            8..=10 => IndexCommand::DeleteObject {
                bucket,
                key,
                version: None,
                condition: condition(c, now, known),
                bypass_governance: d.is_multiple_of(2),
                write,
                origin: origin(f),
            },
            11..=13 => {
                let checksum = Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite));
                let initiated = UnixMillis(99);
                let attributes = attributes(f, now);
                let upload = Upload { id: upload, key, initiated, attributes, checksum };
                IndexCommand::CreateUpload { bucket, upload, write }
            }
            14..=19 => {
                let (data, size) = self.data(d);
                let md5 = md5(number, u8::from(f.is_multiple_of(8)));
                let modified = UnixMillis(0);
                let part = Part { number, size, md5, checksum: None, modified, data };
                IndexCommand::PutPart { bucket, key, upload, part, write, deadline }
            }
            20..=23 => {
                // A subset of the parts, seldom out of order, seldom with a wrong MD5.
                let listed = pick(&[0b01, 0b01, 0b11, 0b11, 0b10, 0b101, 0b111, 0], n);
                let mut parts: Vec<_> = (1..=3)
                    .filter(|number| listed >> (number - 1) & 1 == 1)
                    .map(|number| (number, md5(number, u8::from(f.is_multiple_of(16)))))
                    .collect();
                if d.is_multiple_of(16) {
                    parts.reverse();
                }
                if d % 16 == 1 {
                    parts.extend(parts.clone());
                }
                let renamed = if u.is_multiple_of(8) { renamed(f, bucket, known) } else { None };
                let size = c.is_multiple_of(7).then_some(5 * MIB);
                let etag = ETag { md5: md5(9, 9), parts: parts.len() as u16 };
                let checksum = None;
                IndexCommand::CompleteUpload {
                    bucket,
                    key,
                    upload,
                    condition: condition(c, now, known),
                    parts,
                    etag,
                    checksum,
                    size,
                    write,
                    renamed,
                    origin: origin(f),
                }
            }
            24 => IndexCommand::AbortUpload { bucket, key, upload, write },
            25 | 26 => IndexCommand::Collected {
                rows: garbage.iter().copied().filter(|_| f % 2 == 0).take(3).collect(),
            },
            27 | 28 => IndexCommand::ExpandGarbage {
                row: garbage
                    .get(usize::from(f) % garbage.len().max(1))
                    .copied()
                    .unwrap_or(GarbageId { since: now, number: 77 }),
            },
            29 => IndexCommand::Repaired { blob: blob_ref(u64::from(f), 1).id },
            30 => IndexCommand::Tick,
            32 | 33 => {
                let change = match c % 8 {
                    0 => BucketChange::Versioning(Versioning::Off),
                    1 | 2 => BucketChange::Versioning(Versioning::Suspended),
                    3..=5 => BucketChange::Versioning(Versioning::Enabled),
                    6 => BucketChange::Lock(lock(d)),
                    _ => BucketChange::Events(!d.is_multiple_of(4)),
                };
                IndexCommand::ConfigureBucket { bucket, change, write }
            }
            34 | 35 => {
                let (bucket, key, version) = self.version(u, n, &key, known);
                let update = match c % 8 {
                    0 | 1 => ObjectUpdate::Tags(tags(d)),
                    2..=5 => ObjectUpdate::Retention {
                        to: (!d.is_multiple_of(5)).then(|| retention(f, now)),
                        bypass_governance: e.is_multiple_of(3),
                    },
                    _ => ObjectUpdate::LegalHold(d.is_multiple_of(2)),
                };
                let version = (!e.is_multiple_of(8)).then_some(version);
                IndexCommand::UpdateObject {
                    bucket,
                    key,
                    version,
                    update,
                    write,
                    origin: origin(f),
                }
            }
            36..=39 => {
                let (bucket, key, version) = self.version(u, n, &key, known);
                IndexCommand::DeleteObject {
                    bucket,
                    key,
                    version: Some(version),
                    condition: condition(c, now, known),
                    bypass_governance: d.is_multiple_of(2),
                    write,
                    origin: origin(f),
                }
            }
            40 | 41 if let Some((bucket, key, upload, mut parts)) = self.last_upload() => {
                if n.is_multiple_of(4) {
                    parts.pop();
                }
                let renamed = if u.is_multiple_of(2) { renamed(f, bucket, known) } else { None };
                IndexCommand::CompleteUpload {
                    bucket,
                    key,
                    upload,
                    condition: condition(c, now, known),
                    etag: ETag { md5: md5(9, 9), parts: parts.len() as u16 },
                    parts,
                    checksum: None,
                    size: d.is_multiple_of(7).then_some(5 * MIB),
                    write,
                    renamed,
                    origin: origin(f),
                }
            }
            42 | 43 if !known.blobs.is_empty() => {
                let of = pick(&known.blobs, u);
                let (old, bytes) = (of.blob.id, of.blob.content_bytes());
                let number = self.number();
                let new = match d % 16 {
                    0 => blob_ref(number, bytes + 1),
                    1 => compressed(number, bytes + 1),
                    2..=5 => blob_ref(number, bytes),
                    _ => compressed(number, bytes),
                };
                let (version, part, old) = match f % 16 {
                    0 => (VersionId::MAX, of.part, old),
                    1 => (of.version, Some((upload_id(u % 3), 1)), old),
                    2 => (of.version, None, old),
                    3 => (of.version, of.part, blob_ref(0, 0).id),
                    // What was replaced before.
                    4 => (of.version, of.part, pick(&known.blobs, n).blob.id),
                    _ => (of.version, of.part, old),
                };
                let (bucket, key) = (of.bucket, of.key);
                let missing = if n.is_multiple_of(3) { vec![n % 6] } else { Vec::new() };
                IndexCommand::ReplaceBlob {
                    bucket,
                    key,
                    version,
                    part,
                    old,
                    new,
                    missing,
                    write,
                    deadline,
                }
            }
            44..=47 => {
                // Mostly what is archived: only that can be restored.
                let archived = known.versions.iter().filter(|it| it.class.is_archive());
                let archived: Vec<_> = archived.cloned().collect();
                let of = match kind >= 45 && !n.is_multiple_of(8) && !archived.is_empty() {
                    true => Known { versions: archived, ..Known::default() },
                    false => known.clone(),
                };
                let (bucket, key, name) = self.version(u, n, &key, &of);
                let id = of.versions.get(usize::from(u) % of.versions.len().max(1));
                let update = match kind {
                    44 => ObjectUpdate::Class {
                        to: pick(&StorageClass::ALL, d),
                        version: match id {
                            Some(version) if !d.is_multiple_of(16) => version.id,
                            _ => VersionId::MAX,
                        },
                    },
                    _ => ObjectUpdate::Restore {
                        ready_after_ms: match d {
                            255 => u64::MAX,
                            _ => pick(&[0, 1000, 60_000, 400_000, 800_000], d),
                        },
                        readable_ms: match f {
                            255 => u64::MAX,
                            _ => pick(&[1, 1000, 500_000], f),
                        },
                        day_ms: pick(&[1, 7000, 500_000], c),
                    },
                };
                let version = (!e.is_multiple_of(8)).then_some(name);
                let origin = origin(f);
                IndexCommand::UpdateObject { bucket, key, version, update, origin, write }
            }
            48 => IndexCommand::EventsDelivered {
                through: known.events_made.saturating_sub(u64::from(f % 4)),
            },
            // What was proposed before comes again, perhaps much later.
            _ if self.history.is_empty() => IndexCommand::Tick,
            _ => pick(&self.history, f),
        };
        self.history.push(command.clone());
        command
    }

    /// The query that the dice say.
    pub fn query(&self, dice: Dice, now: UnixMillis, known: &Known) -> IndexQuery {
        let [kind, b, k, u, n, c, d, e, f, g] = dice;
        let bucket = bucket(b);
        let key = pick(&KEYS, k).to_owned();
        let upload = upload_id(self.generation() + u % 3);
        let limit = u32::from(n % 5);
        let prefix = pick(&PREFIXES, c).to_owned();
        let delimiter = pick(&DELIMITERS, d).map(str::to_owned);
        let marker = pick(&KEYS, e).to_owned();
        match kind % 26 {
            0 => IndexQuery::Head { bucket, key, version: None },
            12..=14 => {
                let (bucket, key, version) = self.version(u, n, &key, known);
                IndexQuery::Head { bucket, key, version: Some(version) }
            }
            1 | 15 => {
                let (bucket, key, version, upload) = assembled(known, u, n);
                let start = u64::from(f % 14) * MIB;
                let end = start + u64::from(g % 14) * MIB;
                IndexQuery::Segments { bucket, key, version, upload, start, end }
            }
            16 | 20 | 21 => {
                let (bucket, key, version, upload) = assembled(known, u, n);
                let (after, limit) = (u16::from(g % 8 / 3), u32::from(f % 4));
                IndexQuery::ObjectParts { bucket, key, version, upload, after, limit }
            }
            17 | 18 => {
                let (in_bucket, key, version) = self.version(u, e, &key, known);
                let bucket = if f < 200 { in_bucket } else { bucket };
                let after = match (f % 8, version) {
                    (0, _) => Some(VersionsAfter::Prefix(marker)),
                    (1, _) => Some(VersionsAfter::Key(key)),
                    (2, _) => Some(VersionsAfter::Null(key)),
                    (3 | 4, Version::Id(id)) => Some(VersionsAfter::Version(key, id)),
                    // Between two versions, or none at all.
                    (5, Version::Id(VersionId { at, .. })) => {
                        Some(VersionsAfter::Version(key, VersionId { at, number: g.into() }))
                    }
                    _ => None,
                };
                IndexQuery::Versions { bucket, prefix, delimiter, after, limit }
            }
            19 => IndexQuery::Settings { bucket },
            22 => IndexQuery::Events {
                after: (!f.is_multiple_of(4))
                    .then(|| known.events_made.saturating_sub(u64::from(f % 16))),
                limit,
            },
            24 => {
                let IndexQuery::Blobs { mut asked } = self.blobs_query() else { unreachable!() };
                let unknown = WriteIntent {
                    bucket,
                    key,
                    part: (g % 2 == 0).then_some((upload, u16::from(n % 4) + 1)),
                    deadline: UnixMillis((now.0 + u64::from(e)).saturating_sub(128)),
                };
                let at = usize::from(f) % (asked.len() + 1);
                asked.insert(at, (blob_ref(u64::from(f), 1).id, unknown));
                IndexQuery::Blobs { asked }
            }
            25 => IndexQuery::Referenced { after: None, limit },
            23 => IndexQuery::Due { now: now.plus(u64::from(f) * 5000) },
            2..=4 => {
                let after = match f % 4 {
                    0 => Some(ListAfter::Prefix(marker)),
                    1 => Some(ListAfter::Prefix(pick(&PREFIXES, g).to_owned())),
                    2 => Some(ListAfter::Key(marker)),
                    _ => None,
                };
                IndexQuery::List { bucket, prefix, delimiter, after, limit }
            }
            5 => IndexQuery::Upload { bucket, key, upload },
            6 | 7 => {
                let after = match f % 3 {
                    0 => Some((marker, Some(upload))),
                    1 => Some((marker, None)),
                    _ => None,
                };
                IndexQuery::Uploads { bucket, prefix, delimiter, after, limit }
            }
            8 => IndexQuery::Parts { bucket, key, upload, after: u16::from(g % 5), limit },
            9 if !f.is_multiple_of(4) => {
                let all = self.settled_queries();
                let query = all.get(usize::from(f) % all.len().max(1)).cloned();
                query.unwrap_or(IndexQuery::Settings { bucket })
            }
            9 => IndexQuery::Settled {
                blob: blob_ref(u64::from(f), 1).id,
                intent: WriteIntent {
                    bucket,
                    key,
                    part: (g % 2 == 0).then_some((upload, u16::from(n % 4) + 1)),
                    deadline: UnixMillis((now.0 + u64::from(e)).saturating_sub(128)),
                },
            },
            10 => IndexQuery::Garbage {
                before: UnixMillis((now.0 + u64::from(e)).saturating_sub(128)),
                after: (g % 2 == 0).then(|| GarbageId {
                    since: UnixMillis((now.0 + u64::from(f)).saturating_sub(128)),
                    number: u64::from(n % 8),
                }),
                limit,
            },
            _ => IndexQuery::Repairs {
                after: (g % 2 == 0).then(|| blob_ref(u64::from(f), 1).id),
                limit,
            },
        }
    }

    /// What is known of a pending blob that some command carried, as a sweeper would ask.
    /// Those of [`Self::settled_queries`] in one.
    pub fn blobs_query(&self) -> IndexQuery {
        let asked = self.settled_queries().into_iter().map(|query| match query {
            IndexQuery::Settled { blob, intent } => (blob, intent),
            other => unreachable!("{other:?}"),
        });
        IndexQuery::Blobs { asked: asked.collect() }
    }

    pub fn settled_queries(&self) -> Vec<IndexQuery> {
        let of = |data: &Data, bucket, key: &String, part, deadline| match data {
            Data::Inline(_) => None,
            Data::Blob { blob, .. } => Some(IndexQuery::Settled {
                blob: blob.id,
                intent: WriteIntent { bucket, key: key.clone(), part, deadline },
            }),
        };
        let ask = |command: &IndexCommand| match command {
            IndexCommand::PutObject { bucket, key, data, deadline, .. } => {
                of(data, *bucket, key, None, *deadline)
            }
            IndexCommand::PutPart { bucket, key, upload, part, deadline, .. } => {
                of(&part.data, *bucket, key, Some((*upload, part.number)), *deadline)
            }
            IndexCommand::ReplaceBlob { bucket, key, part, new, deadline, .. } => {
                let data = Data::Blob { blob: new.clone(), missing: Vec::new() };
                of(&data, *bucket, key, *part, *deadline)
            }
            _ => None,
        };
        self.history.iter().filter_map(ask).collect()
    }
}

/// A version that an upload made, if there is one, or something close to it.
fn assembled(known: &Known, dice: u8, kind: u8) -> (BucketId, String, VersionId, UploadId) {
    let mut made: Vec<_> = known.versions.iter().filter(|it| it.upload.is_some()).collect();
    if made.is_empty() {
        made = known.versions.iter().collect();
    }
    let Some(version) = made.get(usize::from(dice) % made.len().max(1)) else {
        return (bucket(kind), KEYS[1].to_owned(), VersionId::MAX, upload_id(0));
    };
    let upload = version.upload.unwrap_or(upload_id(0));
    match kind % 8 {
        0 => (version.bucket, version.key.clone(), VersionId::MAX, upload),
        1 => (version.bucket, version.key.clone(), version.id, upload_id(2)),
        _ => (version.bucket, version.key.clone(), version.id, upload),
    }
}

fn tags(dice: u8) -> BTreeMap<String, String> {
    (0..dice % 3).map(|tag| (format!("tag-{tag}"), format!("{dice}"))).collect()
}

fn attributes(dice: u8, now: UnixMillis) -> Attributes {
    let mut attributes = Attributes::default();
    if dice.is_multiple_of(2) {
        attributes.user.insert("colour".into(), format!("shade {dice}"));
    }
    if dice.is_multiple_of(8) {
        attributes.tags = tags(dice / 8);
    }
    attributes.lock = match dice % 32 {
        5 | 7 => ObjectLock { retention: Some(retention(dice / 32, now)), legal_hold: None },
        9 => ObjectLock { retention: None, legal_hold: Some(true) },
        11 => ObjectLock { retention: None, legal_hold: Some(false) },
        _ => ObjectLock::default(),
    };
    attributes.class = match dice / 8 % 4 {
        0 => StorageClass::Glacier,
        1 => pick(&StorageClass::ALL, dice),
        _ => StorageClass::Standard,
    };
    attributes
}
