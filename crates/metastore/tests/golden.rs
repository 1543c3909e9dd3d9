//! The bytes of every message and row, fixed. A line of a golden file is a name and the
//! encoded bytes in hexadecimal (rows: the key and the value). What is in a file was
//! written by a released version and may never change; new variants add lines.
//! `SHARDLAKE_GOLDEN=write` adds what is missing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{collections::BTreeMap, fmt::Debug, fs, path::PathBuf};

use bytes::Bytes;
use common::{blob_ref, md5, policy, upload_id, write_id};
use consensus::{ApplyContext, KvRead, KvWrite, MemoryKv, StateMachine, Status};
use metastore::{
    DiskReport, HeartbeatReport, IndexMachine, RootMachine,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery,
        RootView,
        index::{
            BucketChange, Data, Event, EventKind, Garbage, GarbageId, ListAfter, ListEntry,
            ListedObject, ListedPart, ListedVersion, ObjectUpdate, Origin, Part, Reason, Reference,
            ReferencedBlob, Renamed, RepairRow, Segment, Upload, VersionEntry, VersionsAfter,
        },
        root::{Bucket, ConfigKind, MetaChange, MetaMembers},
    },
    index, presplit, root,
    service::NodeStatus,
};
use serde::{Serialize, de::DeserializeOwned};
use types::{
    Attributes, BlobId, BlobRef, BucketId, BucketLock, BucketSettings, Checksum, ChecksumAlgorithm,
    ChecksumKind, ClusterId, ClusterMap, Compression, Condition, Content, DefaultRetention, Disk,
    DiskClass, DiskId, DiskState, DiskUuid, ETag, Encoding, Epoch, FeatureLevel, Former, GroupId,
    InstanceId, Location, Match, Node, NodeId, ObjectHead, ObjectLock, Period, PgId,
    PlacementGroup, Restore, Retention, RetentionMode, Role, StorageClass, StorageClasses,
    StorageProfile, UnixMillis, Version, VersionId, Versioning, WriteIntent,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Reads a golden file; with `SHARDLAKE_GOLDEN=write`, adds the lines that it lacks first.
fn golden(file: &str, lines: &[String]) -> Vec<String> {
    let package = std::env::var("CARGO_MANIFEST_DIR")
        .expect("CARGO_MANIFEST_DIR names the folder of the package: run this through cargo test");
    let path = PathBuf::from(package).join("tests/golden").join(file);
    let mut text = fs::read_to_string(&path).unwrap_or_default();
    if std::env::var("SHARDLAKE_GOLDEN").is_ok_and(|mode| mode == "write") {
        for line in lines {
            let name = line.split(' ').next().unwrap();
            let known = |have: &str| have.split(' ').next() == Some(name);
            if !text.lines().any(known) {
                text.push_str(line);
                text.push('\n');
            }
        }
        fs::write(&path, &text).unwrap();
    }
    text.lines().map(str::to_owned).collect()
}

/// Holds samples, at least one for each variant, to their file; both ways.
fn check<T>(file: &str, variants: &[&str], name: fn(&T) -> &'static str, samples: Vec<T>)
where
    T: Serialize + DeserializeOwned + Debug + PartialEq,
{
    let mut numbers = BTreeMap::new();
    let lines: Vec<String> = samples
        .iter()
        .map(|sample| {
            let number = numbers.entry(name(sample)).and_modify(|n| *n += 1).or_insert(1);
            format!("{}-{number} {}", name(sample), hex(&api::encode(sample)))
        })
        .collect();
    for variant in variants {
        assert!(numbers.contains_key(variant), "{file}: no sample of {variant}");
    }
    let fixed = golden(file, &lines);
    assert_eq!(fixed, lines, "{file}");
    for (line, sample) in fixed.iter().zip(samples) {
        let bytes = unhex(line.split(' ').nth(1).unwrap());
        assert_eq!(api::decode::<T>(&bytes).unwrap(), sample, "{line}");
        // A byte more, a byte less or another version is an error.
        assert!(api::decode::<T>(&[&bytes[..], &[0]].concat()).is_err());
        assert!(api::decode::<T>(&bytes[..bytes.len() - 1]).is_err());
        assert!(api::decode::<T>(&[&[2], &bytes[1..]].concat()).is_err());
    }
}

/// The names of all variants, and the name of a value. Does not compile if one is left out.
macro_rules! variants {
    ($type:ident: $($variant:ident)*) => {{
        fn name(value: &$type) -> &'static str {
            match value { $($type::$variant { .. } => stringify!($variant)),* }
        }
        (&[$(stringify!($variant)),*][..], name as fn(&$type) -> &'static str)
    }};
}

const BUCKET: BucketId = BucketId(0x0123_4567_89ab_cdef);
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn key() -> String {
    "photos/é\0.jpg".to_owned()
}

fn attributes() -> Attributes {
    let pair = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    Attributes {
        system: pair("content-type", "image/jpeg"),
        user: pair("place", "Łódź"),
        tags: pair("project", "lake"),
        lock: ObjectLock::default(),
        class: StorageClass::StandardIa,
    }
}

fn version_id() -> VersionId {
    VersionId { at: NOW, number: 300 }
}

fn settings() -> BucketSettings {
    let mode = RetentionMode::Governance;
    let default = Some(DefaultRetention { mode, period: Period::Days(30) });
    BucketSettings {
        versioning: Versioning::Enabled,
        lock: Some(BucketLock { default }),
        events: true,
    }
}

fn object_lock() -> ObjectLock {
    let retention = Some(Retention { mode: RetentionMode::Compliance, until: NOW.plus(1000) });
    ObjectLock { retention, legal_hold: Some(true) }
}

fn checksum() -> Option<Checksum> {
    let (algorithm, kind) = (ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject);
    Some(Checksum { algorithm, kind, value: vec![1, 2, 3, 4, 5, 6, 7, 8], parts: 0 })
}

/// A blob of 5 MiB that holds 6 MiB of content.
fn compressed() -> BlobRef {
    BlobRef { encoding: Encoding::Zstd { content_bytes: 6 << 20 }, ..blob_ref(78, 5 << 20) }
}

fn restore() -> Restore {
    Restore { ready: NOW.plus(1000), expires: NOW.plus(2000) }
}

fn origin() -> Origin {
    Origin {
        reason: Reason::CopyObject,
        request_id: "0123456789ABCDEF".into(),
        requester: "AKIAEXAMPLE".into(),
        source_ip: Some([192, 0, 2, 7].into()),
    }
}

fn renamed() -> Renamed {
    Renamed { from: "before/é".into(), version: version_id() }
}

fn blob_data() -> Data {
    Data::Blob { blob: blob_ref(77, 6 << 20), missing: vec![5] }
}

fn etag() -> ETag {
    ETag { md5: md5(1, 2), parts: 3 }
}

fn head(content: Content) -> ObjectHead {
    let (attributes, checksum) = (attributes(), checksum());
    let (version, null, size, modified) = (version_id(), false, 6 << 20, NOW);
    ObjectHead {
        version,
        null,
        size,
        etag: etag(),
        modified,
        attributes,
        checksum,
        content,
        restore: None,
    }
}

fn part() -> Part {
    let (size, md5, modified) = (6 << 20, md5(2, 0), NOW);
    Part { number: 2, size, md5, checksum: checksum(), modified, data: blob_data() }
}

fn upload() -> Upload {
    let checksum = Some((ChecksumAlgorithm::Sha256, ChecksumKind::Composite));
    Upload { id: upload_id(4), key: key(), initiated: NOW, attributes: attributes(), checksum }
}

fn intent(part: Option<u16>) -> WriteIntent {
    let part = part.map(|number| (upload_id(4), number));
    WriteIntent { bucket: BUCKET, key: key(), part, deadline: NOW }
}

fn garbage_id() -> GarbageId {
    GarbageId { since: NOW, number: 300 }
}

fn put(condition: Condition, data: Data) -> IndexCommand {
    IndexCommand::PutObject {
        bucket: BUCKET,
        key: key(),
        condition,
        size: match &data {
            Data::Inline(bytes) => bytes.len() as u64,
            Data::Blob { blob, .. } => blob.size,
        },
        etag: etag(),
        attributes: attributes(),
        checksum: checksum(),
        data,
        renamed: None,
        origin: origin(),
        write: write_id(1),
        deadline: NOW,
    }
}

/// Puts the compressed blob in the place of another one.
fn replace(part: Option<u16>, old: BlobId, missing: Vec<u8>, write: u64) -> IndexCommand {
    IndexCommand::ReplaceBlob {
        bucket: BUCKET,
        key: key(),
        version: version_id(),
        part: part.map(|number| (upload_id(4), number)),
        old,
        new: compressed(),
        missing,
        write: write_id(write),
        deadline: NOW,
    }
}

fn index_commands() -> Vec<IndexCommand> {
    use IndexCommand as C;
    let (bucket, upload_id) = (BUCKET, upload_id(4));
    vec![
        C::OpenBucket { bucket, settings: BucketSettings::default() },
        C::SealBucket { bucket },
        put(Condition::Absent, blob_data()),
        put(Condition::None, Data::Inline(Bytes::from_static(b"inline"))),
        C::DeleteObject {
            bucket,
            key: key(),
            version: None,
            condition: Condition::Match(Match { etag: Some("*".into()), ..Match::default() }),
            bypass_governance: false,
            write: write_id(2),
            origin: Default::default(),
        },
        C::CreateUpload { bucket, upload: upload(), write: write_id(3) },
        C::PutPart {
            bucket,
            key: key(),
            upload: upload_id,
            part: part(),
            write: write_id(4),
            deadline: NOW,
        },
        C::CompleteUpload {
            bucket,
            key: key(),
            upload: upload_id,
            condition: Condition::None,
            parts: vec![(2, md5(2, 0))],
            etag: etag(),
            checksum: checksum(),
            size: Some(6 << 20),
            write: write_id(5),
            origin: Default::default(),
            renamed: None,
        },
        C::AbortUpload { bucket, key: key(), upload: upload_id, write: write_id(6) },
        replace(None, blob_ref(77, 0).id, vec![5], 7),
        C::EventsDelivered { through: 300 },
        C::Collected { rows: vec![garbage_id()] },
        C::ExpandGarbage { row: garbage_id() },
        C::Repaired { blob: blob_ref(77, 0).id },
        C::Tick,
    ]
}

/// The commands of versions and locks.
fn version_commands() -> Vec<IndexCommand> {
    use IndexCommand as C;
    let bucket = BUCKET;
    let configure = |change, number| C::ConfigureBucket { bucket, change, write: write_id(number) };
    let update = |update, number| C::UpdateObject {
        bucket,
        key: key(),
        version: Some(Version::Id(version_id())),
        update,
        write: write_id(number),
        origin: Default::default(),
    };
    let Some(lock) = settings().lock else { unreachable!() };
    let years = DefaultRetention { mode: RetentionMode::Compliance, period: Period::Years(3) };
    let matched = Match {
        etag: Some(etag().to_string()),
        version: Some(version_id()),
        size: Some(300),
        modified_s: Some(NOW.0 / 1000),
    };
    vec![
        C::OpenBucket { bucket: BucketId(8), settings: settings() },
        configure(BucketChange::Versioning(Versioning::Suspended), 20),
        configure(BucketChange::Versioning(Versioning::Enabled), 21),
        configure(BucketChange::Lock(lock), 22),
        configure(BucketChange::Lock(BucketLock { default: Some(years) }), 23),
        configure(BucketChange::Lock(BucketLock { default: None }), 24),
        configure(BucketChange::Events(true), 30),
        C::DeleteObject {
            bucket,
            key: key(),
            version: Some(Version::Id(version_id())),
            condition: Condition::Match(matched),
            bypass_governance: true,
            write: write_id(25),
            origin: Default::default(),
        },
        C::DeleteObject {
            bucket,
            key: key(),
            version: Some(Version::Null),
            condition: Condition::None,
            bypass_governance: false,
            write: write_id(26),
            origin: Default::default(),
        },
        update(ObjectUpdate::Tags(attributes().tags), 27),
        update(
            ObjectUpdate::Retention { to: object_lock().retention, bypass_governance: true },
            28,
        ),
        update(ObjectUpdate::LegalHold(true), 29),
        update(ObjectUpdate::Class { to: StorageClass::DeepArchive, version: version_id() }, 31),
        update(
            ObjectUpdate::Restore { ready_after_ms: 300, readable_ms: 86_400_000, day_ms: 300 },
            32,
        ),
        renaming_put(33),
        renaming_completion(34),
        replace(Some(2), blob_ref(77, 0).id, Vec::new(), 35),
    ]
}

fn renaming_put(number: u64) -> IndexCommand {
    let mut command = put(Condition::None, Data::Blob { blob: compressed(), missing: Vec::new() });
    let IndexCommand::PutObject { renamed, origin, write, .. } = &mut command else {
        unreachable!("a put")
    };
    (*renamed, *origin, *write) = (Some(self::renamed()), self::origin(), write_id(number));
    command
}

fn renaming_completion(number: u64) -> IndexCommand {
    let mut commands = index_commands().into_iter();
    let completion = commands.find(|it| matches!(it, IndexCommand::CompleteUpload { .. }));
    let mut command = completion.expect("there is one");
    let IndexCommand::CompleteUpload { renamed, origin, write, .. } = &mut command else {
        unreachable!("a completion")
    };
    let anonymous = Origin { reason: Reason::RenameObject, ..Origin::default() };
    (*renamed, *origin, *write) = (Some(self::renamed()), anonymous, write_id(number));
    command
}

/// An event of each kind and an origin of each reason.
fn events() -> Vec<Event> {
    use EventKind as K;
    use Reason as R;
    let kinds = [
        K::Created,
        K::Deleted,
        K::MarkerCreated,
        K::TagsSet,
        K::TagsRemoved,
        K::ClassChanged(StorageClass::DeepArchive),
        K::RestoreBegun,
        K::RestoreCompleted(NOW.plus(2000)),
        K::RestoreExpired,
    ];
    let reasons = [
        R::PutObject,
        R::PostObject,
        R::CopyObject,
        R::CompleteMultipartUpload,
        R::RenameObject,
        R::DeleteObject,
        R::LifecycleExpiration,
        R::LifecycleTransition,
        R::PutObjectTagging,
        R::DeleteObjectTagging,
        R::RestoreObject,
    ];
    let event = |kind, reason| Event {
        number: 300,
        at: NOW,
        bucket: BUCKET,
        key: key(),
        kind,
        version: Some(Version::Id(version_id())),
        size: 6 << 20,
        etag: Some(etag()),
        class: StorageClass::GlacierIr,
        origin: Origin { reason, ..origin() },
    };
    let bare = |reason| Event {
        version: None,
        size: 0,
        etag: None,
        origin: Origin { reason, ..Origin::default() },
        ..event(K::Deleted, reason)
    };
    let kinds = kinds.map(|kind| event(kind, R::PutObject));
    kinds.into_iter().chain(reasons.map(bare)).collect()
}

#[test]
fn index_messages() {
    let (all, name) = variants!(IndexCommand: OpenBucket ConfigureBucket SealBucket PutObject
        DeleteObject UpdateObject CreateUpload PutPart CompleteUpload AbortUpload ReplaceBlob
        Collected ExpandGarbage Repaired EventsDelivered Tick);
    let commands = [index_commands(), version_commands()].concat();
    check("index_commands.v1.hex", all, name, commands);

    use IndexAnswer as A;
    let (all, name) = variants!(IndexAnswer: Done Object Deleted BucketNotOpen BucketSealed NotEmpty
        BucketState NoLock Locked NotArchived RestoreInProgress Moved SourceChanged NoSuchKey NoSuchVersion DeleteMarker ConditionFailed
        DeadlinePassed NoSuchUpload InvalidPart PartTooSmall SizeMismatch);
    let locked = |content| {
        let head = head(content);
        let attributes = Attributes { lock: object_lock(), ..head.attributes };
        Box::new(ObjectHead { null: true, attributes, ..head })
    };
    let answers = vec![
        A::Done,
        A::Object(Box::new(head(Content::Blob(blob_ref(77, 6 << 20))))),
        A::Object(Box::new(head(Content::Inline(Bytes::from_static(b"inline"))))),
        A::Object(Box::new(head(Content::Parts { upload: upload_id(4), count: 3 }))),
        A::Object(locked(Content::Inline(Bytes::new()))),
        A::Deleted { existed: true, version: None, marker: false },
        A::Deleted { existed: true, version: Some(Version::Null), marker: true },
        A::Deleted { existed: false, version: Some(Version::Id(version_id())), marker: false },
        A::BucketNotOpen,
        A::BucketSealed,
        A::NotEmpty,
        A::BucketState,
        A::NoLock,
        A::Locked,
        A::NotArchived,
        A::RestoreInProgress(restore()),
        A::Moved,
        A::SourceChanged,
        A::NoSuchKey,
        A::NoSuchVersion,
        A::DeleteMarker { version: Version::Id(version_id()) },
        A::ConditionFailed,
        A::DeadlinePassed,
        A::NoSuchUpload,
        A::InvalidPart { number: 9 },
        A::PartTooSmall { number: 9, size: 5 },
        A::SizeMismatch { actual: 1 << 40 },
    ];
    check("index_answers.v1.hex", all, name, answers);

    use IndexQuery as Q;
    let (bucket, upload_id) = (BUCKET, upload_id(4));
    let (all, name) = variants!(IndexQuery: Settings Head Segments List ObjectParts Versions Upload
        Uploads Parts Settled Blobs Referenced Garbage Repairs Events Due);
    let version = version_id();
    let versions = |after| {
        let (prefix, delimiter) = ("p".to_owned(), Some("/".to_owned()));
        Q::Versions { bucket, prefix, delimiter, after, limit: 1000 }
    };
    let list = |delimiter: Option<&str>, after| {
        let (prefix, delimiter) = ("p".to_owned(), delimiter.map(str::to_owned));
        Q::List { bucket, prefix, delimiter, after, limit: 1000 }
    };
    let queries = vec![
        Q::Settings { bucket },
        Q::Head { bucket, key: key(), version: None },
        Q::Head { bucket, key: key(), version: Some(Version::Null) },
        Q::Head { bucket, key: key(), version: Some(Version::Id(version)) },
        Q::Segments { bucket, key: key(), version, upload: upload_id, start: 5, end: 500 },
        Q::ObjectParts { bucket, key: key(), version, upload: upload_id, after: 2, limit: 50 },
        versions(None),
        versions(Some(VersionsAfter::Key(key()))),
        versions(Some(VersionsAfter::Version(key(), version))),
        versions(Some(VersionsAfter::Null(key()))),
        versions(Some(VersionsAfter::Prefix("p/".into()))),
        list(None, None),
        list(Some("/"), Some(ListAfter::Key(key()))),
        list(Some("/"), Some(ListAfter::Prefix("p/".into()))),
        Q::Upload { bucket, key: key(), upload: upload_id },
        Q::Uploads {
            bucket,
            prefix: String::new(),
            delimiter: Some("/".into()),
            after: Some((key(), Some(upload_id))),
            limit: 10,
        },
        Q::Parts { bucket, key: key(), upload: upload_id, after: 7, limit: 1000 },
        Q::Settled { blob: blob_ref(77, 0).id, intent: intent(Some(2)) },
        Q::Settled { blob: blob_ref(77, 0).id, intent: intent(None) },
        Q::Blobs {
            asked: vec![(blob_ref(77, 0).id, intent(Some(2))), (blob_ref(78, 0).id, intent(None))],
        },
        Q::Referenced { after: None, limit: 1000 },
        Q::Referenced { after: Some(Bytes::from_static(b"Crow")), limit: 1000 },
        Q::Garbage { before: NOW, after: Some(garbage_id()), limit: 100 },
        Q::Repairs { after: Some(blob_ref(77, 0).id), limit: 100 },
        Q::Events { after: None, limit: 1000 },
        Q::Events { after: Some(300), limit: 1000 },
        Q::Due { now: NOW },
    ];
    check("index_queries.v1.hex", all, name, queries);

    use IndexView as V;
    let (all, name) = variants!(IndexView: Object Marker Settings ObjectParts Versions Segments Page
        Upload Uploads Parts NoSuchUpload Settled Blobs Referenced Garbage Repairs Events Due
        BucketNotOpen BucketSealed);
    let listed = ListedObject {
        key: key(),
        size: 5,
        etag: etag(),
        modified: NOW,
        checksum: Some((ChecksumAlgorithm::Sha1, ChecksumKind::FullObject)),
        tags: attributes().tags,
        class: StorageClass::Glacier,
        restore: Some(restore()),
        lock: object_lock(),
    };
    let entry = |null, what| VersionEntry::Version { id: version, null, latest: !null, what };
    let views = vec![
        V::Marker { version: Version::Id(version), modified: NOW },
        V::Settings(BucketSettings::default()),
        V::Settings(settings()),
        V::ObjectParts {
            parts: vec![ListedPart { number: 2, offset: 5, size: 6 << 20, checksum: checksum() }],
            truncated: true,
        },
        V::Versions {
            entries: vec![
                entry(false, ListedVersion::Marker { key: key(), modified: NOW }),
                entry(true, ListedVersion::Object(listed.clone())),
                VersionEntry::CommonPrefix("q/".into()),
            ],
            next: Some(VersionsAfter::Prefix("q/".into())),
        },
        V::Object(None),
        V::Object(Some(Box::new(head(Content::Blob(blob_ref(77, 6 << 20)))))),
        V::Segments(vec![Segment { number: 2, offset: 5, size: 6 << 20, data: blob_data() }]),
        V::Page {
            entries: vec![ListEntry::Object(listed), ListEntry::CommonPrefix("q/".into())],
            next: Some(ListAfter::Prefix("q/".into())),
        },
        V::Upload(Some(Box::new(upload()))),
        V::Uploads {
            uploads: vec![upload()],
            prefixes: vec!["q/".into()],
            next: Some((key(), Some(upload_id))),
        },
        V::Parts { upload: Box::new(upload()), parts: vec![part()], truncated: true },
        V::NoSuchUpload,
        V::Settled(Some(true)),
        V::Settled(None),
        V::Blobs(vec![
            Reference::Referenced(compressed()),
            Reference::Unreferenced,
            Reference::Undecided,
        ]),
        V::Referenced {
            blobs: vec![ReferencedBlob { blob: compressed(), intent: intent(Some(2)) }],
            next: Some(Bytes::from_static(b"Crow")),
        },
        V::Referenced { blobs: Vec::new(), next: None },
        V::Garbage(vec![
            (garbage_id(), Garbage::Blob(blob_ref(77, 5))),
            (garbage_id(), Garbage::Upload { bucket, key: key(), upload: upload_id }),
        ]),
        V::Repairs(vec![RepairRow {
            blob: blob_ref(77, 5),
            missing: vec![5],
            intent: intent(Some(2)),
        }]),
        V::Events(events()),
        V::Due(true),
        V::BucketNotOpen,
        V::BucketSealed,
    ];
    check("index_views.v1.hex", all, name, views);
}

/// Every class, disk class and compression.
fn classes() -> StorageClasses {
    let mut classes = StorageClasses::new(policy());
    let (policy, disks, compression) = (policy(), DiskClass::Warm, Compression::Zstd);
    classes.set(StorageClass::ReducedRedundancy, StorageProfile { policy, disks, compression });
    classes
}

fn root_commands() -> Vec<RootCommand> {
    use RootCommand as C;
    let location = Location { zone: "z1".into(), rack: "r2".into() };
    let node = |id, instance, role| C::RegisterNode {
        id,
        instance: InstanceId::from_bytes([instance; 16]),
        role,
        address: "node.example:7000".into(),
        location: location.clone(),
        level: FeatureLevel::OURS,
    };
    let mut commands = vec![
        C::Bootstrap {
            cluster: ClusterId::from_bytes([0xc1; 16]),
            policy: policy(),
            partitions: presplit(2),
            level: FeatureLevel(1),
        },
        node(Some(NodeId(1)), 1, Role::Meta),
        node(None, 2, Role::Data),
        node(None, 3, Role::Data),
    ];
    commands.extend((1..=8).map(|disk| C::RegisterDisk {
        uuid: DiskUuid::from_bytes([disk; 16]),
        node: NodeId(1001),
        capacity_bytes: 4 << 40,
        class: [DiskClass::Hot, DiskClass::Warm, DiskClass::Cold][usize::from(disk) % 3],
    }));
    let name = || "logs.example".to_owned();
    let config = |name: &str, value| C::SetBucketConfig {
        id: BUCKET,
        kind: ConfigKind::Cors,
        name: name.to_owned(),
        value,
    };
    commands.extend([
        C::CreateGroups {
            policy: policy(),
            groups: vec![(1..=6).map(DiskId).collect()],
            class: DiskClass::Warm,
            existing: 0,
        },
        C::SetStorageClasses { classes: classes() },
        C::FinaliseLevel { level: FeatureLevel(1) },
        // Two moves, one of which has ended; a disk that is emptied, a disk and a node that are
        // gone.
        C::MoveMember { group: PgId(1), epoch: Epoch(1), rank: 2, to: DiskId(7) },
        C::MoveMember { group: PgId(1), epoch: Epoch(2), rank: 5, to: DiskId(8) },
        C::EndMove { group: PgId(1), epoch: Epoch(3), rank: 5, disk: DiskId(6) },
        C::SetDiskState { disk: DiskId(3), state: DiskState::Draining, epoch: Epoch(17) },
        C::SetDiskState { disk: DiskId(6), state: DiskState::Out, epoch: Epoch(18) },
        C::RemoveDisk { disk: DiskId(6) },
        C::RemoveNode { node: NodeId(1002) },
        C::ReplaceDisk { old: DiskId(3), new: DiskId(1), epoch: Epoch(300) },
        C::CreateBucket { name: name(), id: BUCKET, initial: settings() },
        config("", Some(Bytes::from_static(b"\x01document"))),
        config("named", Some(Bytes::new())),
        config("named", None),
        C::SaveCursor { worker: "lifecycle".into(), cursor: Bytes::from_static(b"\x01here") },
        C::BeginDeleteBucket { name: name() },
        C::CancelDeleteBucket { id: BUCKET },
        C::FinishDeleteBucket { id: BucketId(1) },
        // A node that came, and one that is going.
        node(Some(NodeId(4)), 4, Role::Meta),
        C::BeginMetaChange {
            change: MetaChange::Add(NodeId(4)),
            voters: [NodeId(1), NodeId(2)].into(),
        },
        C::EndMetaChange { change: MetaChange::Add(NodeId(4)) },
        C::BeginMetaChange {
            change: MetaChange::Remove(NodeId(1)),
            voters: [NodeId(1), NodeId(2), NodeId(4)].into(),
        },
    ]);
    commands
}

#[test]
fn root_messages() {
    let (all, name) = variants!(RootCommand: Bootstrap RegisterNode RegisterDisk SetStorageClasses
        FinaliseLevel SetDiskState MoveMember ReplaceDisk EndMove RemoveDisk RemoveNode CreateGroups SaveCursor CreateBucket SetBucketConfig BeginDeleteBucket FinishDeleteBucket
        CancelDeleteBucket BeginMetaChange EndMetaChange);
    check("root_commands.v1.hex", all, name, root_commands());

    let (created, deleting, initial) = (NOW, true, settings());
    let bucket = Bucket { id: BUCKET, name: "logs".into(), created, deleting, initial };
    let (all, name) = variants!(RootAnswer: Done Node Disk Bucket NoSuchBucket Refused);
    let answers = vec![
        RootAnswer::Done,
        RootAnswer::Node(NodeId(1001)),
        RootAnswer::Disk(DiskId(300)),
        RootAnswer::Bucket(bucket.clone()),
        RootAnswer::NoSuchBucket,
        RootAnswer::Refused("because".into()),
    ];
    check("root_answers.v1.hex", all, name, answers);

    let (all, name) = variants!(RootQuery: Map Bucket Cursor BucketConfigs Buckets Workers
        MetaMembers);
    let configs = |kind, after| RootQuery::BucketConfigs { id: BUCKET, kind, after, limit: 9 };
    let queries = vec![
        RootQuery::Map,
        RootQuery::Bucket { name: "logs".into() },
        RootQuery::Cursor { worker: "lifecycle".into() },
        configs(ConfigKind::Tagging, None),
        configs(ConfigKind::Website, Some("name".into())),
        RootQuery::Buckets { prefix: "l".into(), after: Some("logs".into()), limit: 1000 },
        RootQuery::Workers,
        RootQuery::MetaMembers,
    ];
    check("root_queries.v1.hex", all, name, queries);

    let node = Node {
        id: NodeId(1001),
        instance: InstanceId::from_bytes([2; 16]),
        role: Role::Data,
        address: "node.example:7000".into(),
        location: Location { zone: "z1".into(), rack: "r2".into() },
        level: FeatureLevel::OURS,
    };
    let disk = |state| Disk {
        id: DiskId(7),
        uuid: DiskUuid::from_bytes([7; 16]),
        node: node.id,
        capacity_bytes: 4 << 40,
        state,
        class: DiskClass::Cold,
    };
    let states = [DiskState::In, DiskState::Draining, DiskState::Out];
    let disks = states.map(disk).into_iter().enumerate();
    let (id, epoch) = (PgId(1), Epoch(1));
    let group = PlacementGroup {
        id,
        epoch,
        policy: policy(),
        disks: vec![DiskId(7)],
        former: vec![Former { rank: 0, disk: DiskId(300) }],
        class: DiskClass::Warm,
    };
    let map = ClusterMap {
        cluster: ClusterId::from_bytes([0xc1; 16]),
        epoch: Epoch(10),
        level: FeatureLevel::OURS,
        policy: policy(),
        classes: classes(),
        nodes: [(node.id, node.clone())].into(),
        disks: disks.map(|(number, disk)| (DiskId(number as u32), disk)).collect(),
        groups: [(id, group)].into(),
        partitions: presplit(2),
        down: [DiskId(7)].into(),
        used_bytes: [(DiskId(7), 1 << 40)].into(),
    };
    let (all, name) = variants!(RootView: Map Bucket Cursor BucketConfigs Buckets Workers
        MetaMembers);
    let views = vec![
        RootView::Map(None),
        RootView::Map(Some(Box::new(map))),
        RootView::Bucket(Some(bucket.clone())),
        RootView::Cursor(None),
        RootView::Cursor(Some(Bytes::from_static(b"\x01here"))),
        RootView::BucketConfigs {
            configs: vec![("name".into(), Bytes::from_static(b"\x01document"))],
            truncated: true,
        },
        RootView::Buckets { buckets: vec![bucket], truncated: true },
        RootView::Workers(None),
        RootView::Workers(Some(Bytes::from_static(b"[]"))),
        RootView::MetaMembers(None),
        RootView::MetaMembers(Some(MetaMembers {
            voters: [NodeId(1), NodeId(300)].into(),
            change: Some(MetaChange::Remove(NodeId(2))),
        })),
    ];
    check("root_views.v1.hex", all, name, views);
}

#[test]
fn node_messages() {
    let report = HeartbeatReport {
        node: NodeId(1001),
        disks: vec![DiskReport {
            id: DiskId(7),
            used_bytes: 1 << 40,
            capacity_bytes: 4 << 40,
            writable: true,
            readable: false,
        }],
    };
    check("heartbeat.v1.hex", &["HeartbeatReport"], |_| "HeartbeatReport", vec![report]);
    let status: NodeStatus = vec![Status {
        group: GroupId(1),
        node: NodeId(1),
        term: 3,
        leader: Some(NodeId(2)),
        last_log_index: 500,
        applied_index: 499,
        snapshot_index: 0,
        voters: [NodeId(1), NodeId(2), NodeId(3)].into(),
        learners: [(NodeId(4), 480)].into(),
        changing: true,
        stopped: Some("disk failed".into()),
    }];
    check("status.v1.hex", &["NodeStatus"], |_| "NodeStatus", vec![status]);
}

/// Rows as lines: a name made of kind and number, the key, the value.
fn row_lines(rows: &MemoryKv) -> Vec<String> {
    rows.scan(&[], None)
        .map(|row| {
            let (key, value) = row.unwrap();
            format!("{} {}", hex(&key), hex(&value))
        })
        .collect()
}

fn rows_of(lines: &[String]) -> MemoryKv {
    let mut rows = MemoryKv::default();
    for line in lines {
        let (key, value) = line.split_once(' ').unwrap();
        rows.put(&unhex(key), &unhex(value));
    }
    rows
}

fn play<C: Serialize>(machine: &dyn StateMachine, commands: &[C]) -> MemoryKv {
    let mut rows = MemoryKv::default();
    for (number, command) in commands.iter().enumerate() {
        let context = ApplyContext { index: number as u64 + 1, now: NOW };
        machine.apply(&mut rows, context, &api::encode(command)).unwrap();
    }
    rows
}

#[test]
fn index_rows() {
    let commands = index_commands();
    let with_key = |mut command: IndexCommand, new: &str| {
        match &mut command {
            IndexCommand::PutObject { key, .. } | IndexCommand::PutPart { key, .. } => {
                *key = new.to_owned();
            }
            IndexCommand::CreateUpload { upload, .. } => upload.key = new.to_owned(),
            other => panic!("{other:?}"),
        }
        command
    };
    let fresh = |mut command: IndexCommand, number| {
        match &mut command {
            IndexCommand::PutObject { write, .. }
            | IndexCommand::CreateUpload { write, .. }
            | IndexCommand::PutPart { write, .. }
            | IndexCommand::AbortUpload { write, .. } => *write = write_id(number),
            other => panic!("{other:?}"),
        }
        command
    };
    let mut story = vec![commands[0].clone(), IndexCommand::SealBucket { bucket: BucketId(9) }];
    // An object in a blob with a repair row, one inline, one that an upload makes.
    story.push(commands[2].clone());
    story.push(fresh(with_key(commands[3].clone(), "inline"), 10));
    story.extend(commands[5..8].iter().cloned());
    // An upload in progress with an inline part, and one given up.
    let inline = |command: IndexCommand| match command {
        IndexCommand::PutPart { bucket, key, upload, part, write, deadline } => {
            let data = Data::Inline(Bytes::from_static(b"tail"));
            let part = Part { size: 4, data, ..part };
            IndexCommand::PutPart { bucket, key, upload, part, write, deadline }
        }
        other => panic!("{other:?}"),
    };
    story.push(fresh(with_key(commands[5].clone(), "open"), 11));
    story.push(fresh(inline(with_key(commands[6].clone(), "open")), 12));
    story.push(fresh(with_key(commands[5].clone(), "given-up"), 13));
    story.push(fresh(with_key(commands[6].clone(), "given-up"), 14));
    let (key, upload) = ("given-up".to_owned(), upload_id(4));
    story.push(IndexCommand::AbortUpload { bucket: BUCKET, key, upload, write: write_id(15) });
    // Versions: one made before versioning, one of each kind after, and a delete marker.
    let versions = version_commands();
    story.push(versions[0].clone());
    story.push(versions[2].clone());
    story.push(fresh(with_key(commands[3].clone(), "inline"), 16));
    story.push(fresh(with_key(commands[3].clone(), "inline"), 17));
    story.push(IndexCommand::DeleteObject {
        bucket: BUCKET,
        key: "inline".into(),
        version: None,
        condition: Condition::None,
        bypass_governance: false,
        write: write_id(18),
        origin: Default::default(),
    });
    story.push(versions[3].clone());
    // The null version is a noncurrent one by now.
    let mut held = versions[11].clone();
    if let IndexCommand::UpdateObject { version, .. } = &mut held {
        *version = Some(Version::Null);
    }
    story.push(held);
    story.push(fresh(with_key(commands[3].clone(), "retained"), 19));
    // Events: one that was delivered, one that was not; and a restore under way.
    story.push(versions[6].clone());
    let mut archived = fresh(with_key(commands[3].clone(), "archived"), 40);
    if let IndexCommand::PutObject { attributes, .. } = &mut archived {
        attributes.class = StorageClass::DeepArchive;
    }
    story.push(archived);
    let mut restored = versions[13].clone();
    if let IndexCommand::UpdateObject { key, version, .. } = &mut restored {
        (*key, *version) = ("archived".to_owned(), None);
    }
    story.push(restored);
    story.push(IndexCommand::EventsDelivered { through: 0 });
    let rows = play(&IndexMachine, &story);
    let kinds: std::collections::BTreeSet<u8> =
        rows.scan(&[], None).map(|row| row.unwrap().0[0]).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), b"BCEGNOPQRSTUV");
    let fixed = golden("index_rows.v1.hex", &row_lines(&rows));
    assert_eq!(fixed, row_lines(&rows));

    // The rows of the file answer as those that were just made.
    let old = rows_of(&fixed);
    let head = |key, version| IndexQuery::Head { bucket: BUCKET, key, version };
    let Ok(IndexView::Object(Some(made))) = index::evaluate(&old, &head(self::key(), None)) else {
        panic!("the object that an upload made")
    };
    let version = made.version;
    let restore_ready = NOW.plus(300);
    let (prefix, delimiter, after, limit) = (String::new(), None, None, 9);
    let versions = IndexQuery::Versions { bucket: BUCKET, prefix, delimiter, after, limit };
    for query in [
        head(self::key(), None),
        head("retained".into(), None),
        head("inline".into(), None),
        head("inline".into(), Some(Version::Null)),
        versions,
        IndexQuery::Settings { bucket: BUCKET },
        IndexQuery::Segments {
            bucket: BUCKET,
            key: self::key(),
            version,
            upload,
            start: 0,
            end: 9,
        },
        IndexQuery::Parts { bucket: BUCKET, key: "open".into(), upload, after: 0, limit: 9 },
        IndexQuery::Garbage { before: NOW.plus(1), after: None, limit: 10 },
        IndexQuery::Repairs { after: None, limit: 10 },
        IndexQuery::Events { after: None, limit: 10 },
        IndexQuery::Due { now: restore_ready },
    ] {
        let view = index::evaluate(&old, &query).unwrap();
        assert_eq!(view, index::evaluate(&rows, &query).unwrap());
        assert!(!matches!(view, IndexView::Object(None) | IndexView::NoSuchUpload), "{query:?}");
        assert_ne!(view, IndexView::Events(Vec::new()));
        assert_ne!(view, IndexView::Due(false));
    }
    // A value of an unknown version stops the group instead of being misread.
    let mut newer = old.clone();
    newer.put(&metastore::keys::index::head(BUCKET, "retained"), &[2, 0, 0]);
    assert!(index::evaluate(&newer, &head("retained".into(), None)).is_err());
    let context = ApplyContext { index: 99, now: NOW };
    let put = api::encode(&fresh(with_key(commands[3].clone(), "retained"), 99));
    assert!(IndexMachine.apply(&mut newer, context, &put).is_err());
}

#[test]
fn root_rows() {
    let rows = play(&RootMachine, &root_commands());
    let kinds: std::collections::BTreeSet<u8> =
        rows.scan(&[], None).map(|row| row.unwrap().0[0]).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), b"BCDFGIJKLMNRW");
    let fixed = golden("root_rows.v1.hex", &row_lines(&rows));
    assert_eq!(fixed, row_lines(&rows));
    let old = rows_of(&fixed);
    let RootView::Map(Some(map)) = root::evaluate(&old, &RootQuery::Map).unwrap() else { panic!() };
    assert_eq!((map.nodes.len(), map.disks.len(), map.groups.len()), (3, 7, 1));
    assert_eq!((map.partitions, map.epoch), (presplit(2), Epoch(22)));
    assert_eq!((map.classes, map.level), (classes(), FeatureLevel(1)));
    assert_eq!(map.disks[&DiskId(3)].state, DiskState::Draining);
    let group = &map.groups[&PgId(1)];
    assert_eq!(group.disks, [1, 2, 7, 4, 5, 8].map(DiskId));
    assert_eq!(group.former, [Former { rank: 2, disk: DiskId(3) }]);
}
