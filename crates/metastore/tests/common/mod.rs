//! What the property tests share: how a few random bytes become a command or a query over
//! a handful of buckets, keys, uploads and disks, so that everything meets everything.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use bytes::Bytes;
use metastore::api::index::{Data, GarbageId, IndexCommand, IndexQuery, ListAfter, Part, Upload};
use types::{
    Attributes, BlobId, BlobRef, BucketId, Checksum, ChecksumAlgorithm, ChecksumKind, CodecId,
    Condition, ETag, ErasurePolicy, PgId, UnixMillis, UploadId, WriteId, WriteIntent,
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
    BlobRef { id, pg: PgId(3), policy: policy(), codec: CodecId::REED_SOLOMON_V1, size }
}

pub fn write_id(number: u64) -> WriteId {
    WriteId::from_bytes(u128::from(number).to_be_bytes())
}

pub fn upload_id(number: u8) -> UploadId {
    UploadId::from_bytes([number; 16])
}

pub fn md5(number: u16, variant: u8) -> [u8; 16] {
    let mut md5 = [variant; 16];
    md5[..2].copy_from_slice(&number.to_be_bytes());
    md5
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

fn condition(dice: u8) -> Condition {
    match dice % 8 {
        0 => Condition::Absent,
        1 => Condition::Match("*".into()),
        2 => Condition::Match(ETag { md5: md5(0, 0), parts: 0 }.to_string()),
        3 => Condition::Match("nonsense".into()),
        _ => Condition::None,
    }
}

impl Source {
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
            Data::Blob { blob: blob_ref(self.number(), size), missing }
        };
        (data, size)
    }

    /// The command that the dice say; `garbage` are the rows that exist.
    pub fn command(&mut self, dice: Dice, now: UnixMillis, garbage: &[GarbageId]) -> IndexCommand {
        let [kind, b, k, u, n, c, d, e, f, _] = dice;
        let bucket = bucket(b);
        let mut key = pick(&KEYS, k).to_owned();
        let mut upload = upload_id(u % 3);
        if (11..=24).contains(&(kind % 32)) && k < 224 {
            // What a completion needs must meet: few uploads of few keys.
            key = pick(&KEYS[1..3], k).to_owned();
            upload = upload_id(u8::from(u < 64));
        }
        let write = write_id(self.number());
        // Some come late, some on the last moment.
        let deadline = match e % 8 {
            0 => UnixMillis(now.0.saturating_sub(1)),
            1 => now,
            _ => now.plus(60_000),
        };
        let number = pick(&[1, 1, 2, 2, 3], n);
        let command = match kind % 32 {
            0 => IndexCommand::OpenBucket { bucket },
            1 if f.is_multiple_of(4) => IndexCommand::SealBucket { bucket },
            1 => IndexCommand::OpenBucket { bucket },
            2..=7 => {
                let (data, size) = self.data(d);
                let checksum = c.is_multiple_of(3).then(|| Checksum {
                    algorithm: ChecksumAlgorithm::Crc32c,
                    kind: ChecksumKind::FullObject,
                    value: vec![c; 4],
                    parts: 0,
                });
                let etag = ETag { md5: md5(0, f % 2), parts: 0 };
                let attributes = attributes(f);
                IndexCommand::PutObject {
                    bucket,
                    key,
                    condition: condition(c),
                    size,
                    etag,
                    attributes,
                    checksum,
                    data,
                    write,
                    deadline,
                }
            }
            8..=10 => IndexCommand::DeleteObject { bucket, key, condition: condition(c), write },
            11..=13 => {
                let checksum = Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite));
                let initiated = UnixMillis(99);
                let attributes = attributes(f);
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
                let size = c.is_multiple_of(7).then_some(5 * MIB);
                let etag = ETag { md5: md5(9, 9), parts: parts.len() as u16 };
                let checksum = None;
                IndexCommand::CompleteUpload {
                    bucket,
                    key,
                    upload,
                    condition: condition(c),
                    parts,
                    etag,
                    checksum,
                    size,
                    write,
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
            // What was proposed before comes again, perhaps much later.
            _ if self.history.is_empty() => IndexCommand::Tick,
            _ => pick(&self.history, f),
        };
        self.history.push(command.clone());
        command
    }

    /// The query that the dice say.
    pub fn query(&self, dice: Dice, now: UnixMillis) -> IndexQuery {
        let [kind, b, k, u, n, c, d, e, f, g] = dice;
        let bucket = bucket(b);
        let key = pick(&KEYS, k).to_owned();
        let upload = upload_id(u % 3);
        let limit = u32::from(n % 5);
        let prefix = pick(&PREFIXES, c).to_owned();
        let delimiter = pick(&DELIMITERS, d).map(str::to_owned);
        let marker = pick(&KEYS, e).to_owned();
        match kind % 12 {
            0 => IndexQuery::Head { bucket, key },
            1 => {
                let start = u64::from(f % 14) * MIB;
                let end = start + u64::from(g % 14) * MIB;
                IndexQuery::Segments { bucket, key, upload, start, end }
            }
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
                limit,
            },
            _ => IndexQuery::Repairs {
                after: (g % 2 == 0).then(|| blob_ref(u64::from(f), 1).id),
                limit,
            },
        }
    }

    /// What is known of a pending blob that some command carried, as a sweeper would ask.
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
            _ => None,
        };
        self.history.iter().filter_map(ask).collect()
    }
}

fn attributes(dice: u8) -> Attributes {
    let mut attributes = Attributes::default();
    if dice.is_multiple_of(2) {
        attributes.user.insert("colour".into(), format!("shade {dice}"));
    }
    attributes
}
