//! Storage classes, restores, replaced blobs, renaming, events and proposals that come too late,
//! told as stories. The model says the same more generally; these say what users and workers see.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{blob_ref, compressed, upload_id, write_id, write_id_of};
use consensus::{ApplyContext, MemoryKv, StateMachine};
use metastore::{
    IndexMachine,
    api::{
        self, IndexAnswer as A, IndexCommand as C, IndexQuery, IndexView,
        index::{
            BucketChange, Data, EventKind as K, Garbage, ObjectUpdate, Origin, Part, Reason,
            Renamed, Upload,
        },
    },
    index::{PART_BYTES_MIN, REMEMBERED_MS, WRITE_AGE_MS_MAX, evaluate},
};
use types::{
    Attributes, BlobRef, BucketId, BucketLock, BucketSettings, Condition, Content, ETag,
    ObjectHead, ObjectLock, Restore, StorageClass, UnixMillis, UploadId, Version, VersionId,
    Versioning, WriteIntent,
};

const BUCKET: BucketId = BucketId(5);
const HOUR_MS: u64 = 3600 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 2027-01-15 08:00:00 UTC.
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

/// A partition with one bucket.
struct Story {
    rows: MemoryKv,
    now: UnixMillis,
    serial: u64,
    versioning: Versioning,
}

impl Story {
    fn new(versioning: Versioning) -> Self {
        Self::with(BucketSettings { versioning, lock: None, events: true })
    }

    fn with(settings: BucketSettings) -> Self {
        let rows = MemoryKv::default();
        let mut story = Self { rows, now: NOW, serial: 0, versioning: settings.versioning };
        assert_eq!(story.apply(&C::OpenBucket { bucket: BUCKET, settings }), A::Done);
        story
    }

    fn apply(&mut self, command: &C) -> A {
        let context = ApplyContext { index: 1, now: self.now };
        let answer = IndexMachine.apply(&mut self.rows, context, &api::encode(command)).unwrap();
        api::decode(&answer).unwrap()
    }

    fn ask(&self, query: &IndexQuery) -> IndexView {
        evaluate(&self.rows, query).unwrap()
    }

    fn number(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn put_command(&mut self, key: &str, class: StorageClass, blob: BlobRef) -> C {
        C::PutObject {
            bucket: BUCKET,
            key: key.into(),
            condition: Condition::None,
            size: blob.content_bytes(),
            etag: ETag { md5: [7; 16], parts: 0 },
            attributes: Attributes { class, ..Attributes::default() },
            checksum: None,
            data: Data::Blob { blob, missing: vec![2] },
            renamed: None,
            origin: origin(Reason::PutObject),
            write: write_id(self.number()),
            deadline: self.now.plus(1000),
        }
    }

    fn put(&mut self, key: &str, class: StorageClass) -> ObjectHead {
        let blob = blob_ref(1000 + self.number(), 5000);
        let put = self.put_command(key, class, blob);
        object(self.apply(&put))
    }

    fn update(&mut self, key: &str, update: ObjectUpdate, reason: Reason) -> A {
        let write = write_id(self.number());
        let (bucket, key, version) = (BUCKET, key.to_owned(), None);
        self.apply(&C::UpdateObject { bucket, key, version, update, origin: origin(reason), write })
    }

    /// Asks for a restore of so many days that can be read after so many hours.
    fn restore(&mut self, key: &str, hours: u64, days: u64) -> A {
        let (ready_after_ms, readable_ms) = (hours * HOUR_MS, days * DAY_MS);
        let update = ObjectUpdate::Restore { ready_after_ms, readable_ms, day_ms: DAY_MS };
        self.update(key, update, Reason::RestoreObject)
    }

    fn head(&self, key: &str) -> Option<ObjectHead> {
        let query = IndexQuery::Head { bucket: BUCKET, key: key.to_owned(), version: None };
        match self.ask(&query) {
            IndexView::Object(head) => head.map(|head| *head),
            other => panic!("{other:?}"),
        }
    }

    fn delete_command(&mut self, key: &str, version: Option<Version>) -> C {
        C::DeleteObject {
            bucket: BUCKET,
            key: key.into(),
            version,
            condition: Condition::None,
            bypass_governance: false,
            origin: origin(Reason::DeleteObject),
            write: write_id(self.number()),
        }
    }

    fn delete(&mut self, key: &str, version: Option<Version>) -> A {
        let delete = self.delete_command(key, version);
        self.apply(&delete)
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now.plus(millis);
        self.apply(&C::Tick);
    }

    /// Takes the events: key and kind; holds what is the same in all of them.
    fn events(&mut self) -> Vec<(String, K)> {
        let IndexView::Events(events) = self.ask(&IndexQuery::Events { after: None, limit: 1000 })
        else {
            panic!("events")
        };
        if let Some(last) = events.last() {
            assert_eq!(self.apply(&C::EventsDelivered { through: last.number }), A::Done);
        }
        for event in &events {
            assert_eq!((event.bucket, event.at <= self.now), (BUCKET, true));
            assert_eq!(event.version.is_some(), self.versioning != Versioning::Off);
        }
        events.into_iter().map(|event| (event.key, event.kind)).collect()
    }

    fn garbage(&self) -> Vec<Garbage> {
        let query = IndexQuery::Garbage { before: self.now.plus(1), after: None, limit: 1000 };
        match self.ask(&query) {
            IndexView::Garbage(rows) => rows.into_iter().map(|row| row.1).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Blobs to be repaired.
    fn repairs(&self) -> Vec<(BlobRef, WriteIntent)> {
        match self.ask(&IndexQuery::Repairs { after: None, limit: 1000 }) {
            IndexView::Repairs(rows) => {
                rows.into_iter().map(|row| (row.blob, row.intent)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn settled(&self, blob: &BlobRef, part: Option<(UploadId, u16)>, deadline: UnixMillis) -> bool {
        let intent = WriteIntent { bucket: BUCKET, key: "k".into(), part, deadline };
        match self.ask(&IndexQuery::Settled { blob: blob.id, intent }) {
            IndexView::Settled(Some(settled)) => settled,
            other => panic!("{other:?}"),
        }
    }

    fn replace(
        &mut self,
        version: VersionId,
        part: Option<(UploadId, u16)>,
        old: &BlobRef,
        new: &BlobRef,
    ) -> C {
        C::ReplaceBlob {
            bucket: BUCKET,
            key: "k".into(),
            version,
            part,
            old: old.id,
            new: new.clone(),
            missing: vec![5],
            write: write_id(self.number()),
            deadline: self.now.plus(1000),
        }
    }

    /// An object of two parts under the key `k`.
    fn multipart(&mut self, renamed: Option<Renamed>) -> A {
        let upload = upload_id(self.number() as u8);
        let header = Upload {
            id: upload,
            key: "k".into(),
            initiated: NOW,
            attributes: Attributes::default(),
            checksum: None,
        };
        let write = write_id(self.number());
        self.apply(&C::CreateUpload { bucket: BUCKET, upload: header, write });
        for number in [1, 4] {
            let blob = blob_ref(1000 + self.number(), PART_BYTES_MIN);
            let (size, md5, missing) = (blob.size, [9; 16], Vec::new());
            let (modified, data) = (NOW, Data::Blob { blob, missing });
            let part = Part { number, size, md5, checksum: None, modified, data };
            let (key, write) = ("k".to_owned(), write_id(self.number()));
            let deadline = self.now;
            self.apply(&C::PutPart { bucket: BUCKET, key, upload, part, write, deadline });
        }
        let write = write_id(self.number());
        self.apply(&C::CompleteUpload {
            bucket: BUCKET,
            key: "k".into(),
            upload,
            condition: Condition::None,
            parts: vec![(1, [9; 16]), (4, [9; 16])],
            etag: ETag { md5: [3; 16], parts: 2 },
            checksum: None,
            size: None,
            renamed,
            origin: origin(Reason::CompleteMultipartUpload),
            write,
        })
    }
}

fn origin(reason: Reason) -> Origin {
    Origin { reason, request_id: "1234".into(), ..Origin::default() }
}

fn object(answer: A) -> ObjectHead {
    match answer {
        A::Object(head) => *head,
        other => panic!("{other:?}"),
    }
}

fn blob(head: &ObjectHead) -> BlobRef {
    match &head.content {
        Content::Blob(blob) => blob.clone(),
        other => panic!("{other:?}"),
    }
}

fn of(key: &str, kind: K) -> (String, K) {
    (key.to_owned(), kind)
}

/// "Amazon S3 calculates the expiry by adding the number of days to the time when the restore is
/// completed, and rounding the resulting time to the next day midnight UTC" (RestoreObject).
#[test]
fn a_restore_begins_is_readable_and_ends_at_midnight() {
    let mut story = Story::new(Versioning::Off);
    story.put("k", StorageClass::Glacier);
    let restored = object(story.restore("k", 5, 2));
    let ready = NOW.plus(5 * HOUR_MS);
    // The 17th, 13:00, and then midnight.
    let expires = NOW.plus(2 * DAY_MS + 16 * HOUR_MS);
    assert_eq!(restored.restore, Some(Restore { ready, expires }));
    assert!(!restored.is_readable(story.now));
    // One that is not sooner changes nothing; one that is takes its place.
    let restore = restored.restore.unwrap();
    assert_eq!(story.restore("k", 5, 9), A::RestoreInProgress(restore));
    assert_eq!(story.restore("k", 48, 1), A::RestoreInProgress(restore));
    assert_eq!(story.head("k"), Some(restored));
    let sooner = object(story.restore("k", 1, 2)).restore.unwrap();
    assert_eq!(sooner, Restore { ready: NOW.plus(HOUR_MS), expires });
    assert_eq!(
        story.events(),
        [of("k", K::Created), of("k", K::RestoreBegun), of("k", K::RestoreBegun)]
    );
    story.wait(HOUR_MS - 1);
    assert_eq!(story.events(), []);
    story.wait(1);
    assert_eq!(story.events(), [of("k", K::RestoreCompleted(expires))]);
    assert!(story.head("k").unwrap().is_readable(story.now));
    // What was given up does not come about: the first restore's time.
    story.wait(4 * HOUR_MS);
    assert_eq!(story.events(), []);
    // The end is moved, counted from now, in both directions; that is no new restore.
    let later = object(story.restore("k", 5, 4)).restore.unwrap();
    assert_eq!((later.ready, later.expires), (sooner.ready, NOW.plus(4 * DAY_MS + 16 * HOUR_MS)));
    let shorter = object(story.restore("k", 5, 1)).restore.unwrap();
    assert_eq!(shorter.expires, NOW.plus(DAY_MS + 16 * HOUR_MS));
    story.now = UnixMillis(shorter.expires.0 - 1);
    story.apply(&C::Tick);
    assert!(story.head("k").unwrap().is_readable(story.now));
    assert_eq!(story.events(), []);
    story.wait(1);
    assert_eq!(story.events(), [of("k", K::RestoreExpired)]);
    assert_eq!(story.head("k").unwrap().restore, None);
    story.wait(30 * DAY_MS);
    assert_eq!(story.events(), [], "the ends that were moved are none");
    assert_eq!(story.ask(&IndexQuery::Due { now: UnixMillis(u64::MAX) }), IndexView::Due(false));
}

#[test]
fn only_archives_are_restored_and_another_class_ends_it() {
    let mut story = Story::new(Versioning::Enabled);
    let head = story.put("k", StorageClass::GlacierIr);
    assert_eq!(story.restore("k", 1, 1), A::NotArchived);
    let class = |to, version| ObjectUpdate::Class { to, version };
    let other = VersionId { number: 99, ..head.version };
    let refused =
        story.update("k", class(StorageClass::Glacier, other), Reason::LifecycleTransition);
    assert_eq!(refused, A::ConditionFailed);
    let archive = class(StorageClass::DeepArchive, head.version);
    let moved = object(story.update("k", archive, Reason::LifecycleTransition));
    assert_eq!((moved.version, moved.modified), (head.version, head.modified));
    assert!(story.restore("k", 0, 1) != A::NotArchived, "at once");
    assert!(story.head("k").unwrap().is_readable(story.now));
    let back = class(StorageClass::Standard, head.version);
    assert_eq!(object(story.update("k", back, Reason::CopyObject)).restore, None);
    let IndexView::Events(events) = story.ask(&IndexQuery::Events { after: None, limit: 9 }) else {
        panic!("events")
    };
    let told: Vec<_> = events.iter().map(|it| (it.kind, it.class, it.origin.reason)).collect();
    let expires = NOW.plus(DAY_MS + 16 * HOUR_MS);
    use StorageClass as S;
    assert_eq!(
        told,
        [
            (K::Created, S::GlacierIr, Reason::PutObject),
            (K::ClassChanged(S::DeepArchive), S::GlacierIr, Reason::LifecycleTransition),
            (K::RestoreBegun, S::DeepArchive, Reason::RestoreObject),
            (K::RestoreCompleted(expires), S::DeepArchive, Reason::RestoreObject),
            (K::ClassChanged(S::Standard), S::DeepArchive, Reason::CopyObject),
        ]
    );
    story.events();
    story.wait(9 * DAY_MS);
    assert_eq!(story.events(), [], "what was restored ended with its class");
}

/// Times at the end of time are neither lost nor wrapped around.
#[test]
fn a_restore_for_ever() {
    let mut story = Story::new(Versioning::Off);
    story.put("k", StorageClass::Glacier);
    let update = ObjectUpdate::Restore { ready_after_ms: 1, readable_ms: u64::MAX, day_ms: 7 };
    let head = object(story.update("k", update, Reason::RestoreObject));
    assert_eq!(head.restore.unwrap().expires, UnixMillis(u64::MAX));
    story.wait(1);
    assert!(story.head("k").unwrap().is_readable(story.now));
    // The service refuses such a day; in the log it must be harmless.
    let update = ObjectUpdate::Restore { ready_after_ms: 0, readable_ms: 5, day_ms: 0 };
    let head = object(story.update("k", update, Reason::RestoreObject));
    assert_eq!(head.restore.unwrap().expires, story.now.plus(5));
}

#[test]
fn a_replaced_blob_is_garbage_and_its_version_stays() {
    let lock = ObjectLock { retention: None, legal_hold: Some(true) };
    let settings = BucketSettings {
        versioning: Versioning::Enabled,
        lock: Some(BucketLock::default()),
        events: true,
    };
    let mut story = Story::with(settings);
    let mut put = story.put_command("k", StorageClass::Standard, blob_ref(1, 5000));
    if let C::PutObject { attributes, .. } = &mut put {
        attributes.lock = lock;
    }
    let head = object(story.apply(&put));
    let old = blob(&head);
    assert_eq!(story.repairs().len(), 1);
    // A later version: the first one is noncurrent, and held for ever besides.
    story.put("k", StorageClass::Standard);
    story.events();
    story.wait(500);
    let (bytes, new) = (old.content_bytes(), compressed(2, old.content_bytes()));
    for (version, part, of, by) in [
        (VersionId::MAX, None, &old, &new),
        (head.version, Some((upload_id(1), 1)), &old, &new),
        (head.version, None, &new, &new),
        (head.version, None, &blob_ref(3, bytes), &new),
        (head.version, None, &old, &compressed(2, bytes + 1)),
        (head.version, None, &old, &blob_ref(1, bytes)),
    ] {
        let replace = story.replace(version, part, of, by);
        let before = story.garbage();
        assert_eq!(story.apply(&replace), A::Moved, "{replace:?}");
        assert_eq!(story.garbage(), before);
    }
    let replace = story.replace(head.version, None, &old, &new);
    for _ in 0..2 {
        assert_eq!(story.apply(&replace), A::Done);
        assert_eq!(story.garbage(), [Garbage::Blob(old.clone())]);
    }
    let query = IndexQuery::Head {
        bucket: BUCKET,
        key: "k".into(),
        version: Some(Version::Id(head.version)),
    };
    let now = ObjectHead { content: Content::Blob(new.clone()), ..head.clone() };
    assert_eq!(story.ask(&query), IndexView::Object(Some(Box::new(now))));
    // Nobody repairs the old one, the new one is to be.
    let repaired: Vec<_> = story.repairs().into_iter().map(|it| it.0.id).collect();
    assert!(repaired.contains(&new.id) && !repaired.contains(&old.id));
    // Its shards may stay, those of the old one may not.
    let deadline = story.now.plus(1000);
    assert!(story.settled(&new, None, deadline));
    story.wait(2000);
    assert!(!story.settled(&old, None, NOW.plus(1000)));
    assert!(story.settled(&new, None, deadline));
    // Too late.
    let back = story.replace(head.version, None, &new, &blob_ref(9, bytes));
    story.wait(1001);
    assert_eq!(story.apply(&back), A::DeadlinePassed);
    assert_eq!(story.events(), [], "nothing has changed that a client sees");
}

#[test]
fn a_part_is_replaced_by_the_upload_that_made_the_version() {
    let mut story = Story::new(Versioning::Enabled);
    let head = object(story.multipart(None));
    let Content::Parts { upload, .. } = head.content else { panic!("parts") };
    let segments = |story: &Story| match story.ask(&IndexQuery::Segments {
        bucket: BUCKET,
        key: "k".into(),
        version: head.version,
        upload,
        start: 0,
        end: u64::MAX,
    }) {
        IndexView::Segments(segments) => segments,
        other => panic!("{other:?}"),
    };
    let old = match &segments(&story)[1].data {
        Data::Blob { blob, .. } => blob.clone(),
        other => panic!("{other:?}"),
    };
    // It is a noncurrent version by the time, and the clock has gone on.
    story.put("k", StorageClass::Standard);
    story.wait(5000);
    let new = compressed(7, old.content_bytes());
    for part in [None, Some((upload, 1)), Some((upload, 2)), Some((upload_id(99), 4))] {
        let replace = story.replace(head.version, part, &old, &new);
        assert_eq!(story.apply(&replace), A::Moved, "{part:?}");
    }
    let part = Some((upload, 4));
    let deadline = story.now.plus(1000);
    let replace = story.replace(head.version, part, &old, &new);
    assert_eq!(story.apply(&replace), A::Done);
    assert_eq!(segments(&story)[1].data, Data::Blob { blob: new.clone(), missing: Vec::new() });
    assert_eq!(segments(&story)[1].size, PART_BYTES_MIN);
    let intent = WriteIntent { bucket: BUCKET, key: "k".into(), part, deadline };
    assert!(story.repairs().contains(&(new.clone(), intent)));
    assert!(story.garbage().contains(&Garbage::Blob(old.clone())));
    story.wait(2000);
    assert!(story.settled(&new, part, deadline));
    assert!(!story.settled(&old, part, NOW));
    // With the version the new blob goes.
    story.delete("k", Some(Version::Id(head.version)));
    assert!(!story.settled(&new, part, deadline));
}

#[test]
fn a_renaming_is_one_entry() {
    let mut story = Story::new(Versioning::Off);
    let source = story.put("from", StorageClass::Glacier);
    story.restore("from", 1, 1);
    let there = story.put("k", StorageClass::Standard);
    story.events();
    let renaming = |story: &mut Story, from: &str, version| {
        let mut put =
            story.put_command("k", StorageClass::Standard, blob_ref(500 + story.serial, 5000));
        if let C::PutObject { renamed, .. } = &mut put {
            *renamed = Some(Renamed { from: from.to_owned(), version });
        }
        put
    };
    let (gone, other) = (VersionId::MAX, source.version);
    for (from, version, answer) in [
        ("from", gone, A::SourceChanged),
        ("nothing", other, A::NoSuchKey),
        ("k", there.version, A::SourceChanged),
    ] {
        let put = renaming(&mut story, from, version);
        assert_eq!(story.apply(&put), answer);
    }
    // The destination's own condition.
    let mut put = renaming(&mut story, "from", source.version);
    if let C::PutObject { condition, .. } = &mut put {
        *condition = Condition::Absent;
    }
    assert_eq!(story.apply(&put), A::ConditionFailed);
    assert_eq!((story.head("from").unwrap().version, story.garbage()), (source.version, vec![]));
    assert_eq!(story.events(), []);

    // Tags that were set after the proposer has read the source go with it.
    let tags = std::collections::BTreeMap::from([("stage".to_owned(), "raw".to_owned())]);
    object(story.update("from", ObjectUpdate::Tags(tags.clone()), Reason::PutObjectTagging));
    story.events();
    let put = renaming(&mut story, "from", source.version);
    let made = object(story.apply(&put));
    assert_eq!(made.attributes.tags, tags);
    assert_eq!(story.apply(&put), A::Object(Box::new(made.clone())));
    assert_eq!((story.head("from"), story.head("k")), (None, Some(made.clone())));
    let dead = [Garbage::Blob(blob(&there)), Garbage::Blob(blob(&source))];
    assert_eq!(story.garbage(), dead);
    let IndexView::Events(events) = story.ask(&IndexQuery::Events { after: None, limit: 9 }) else {
        panic!("events")
    };
    assert_eq!(events[1].origin, origin(Reason::RenameObject));
    assert_eq!(story.events(), [of("k", K::Created), of("from", K::Deleted)]);
    story.wait(9 * DAY_MS);
    assert_eq!(story.events(), [], "the source's restore went with it");

    // By a multipart upload; a refusal leaves the upload as it was.
    let source = story.put("from", StorageClass::Standard);
    let changed = Renamed { from: "from".into(), version: made.version };
    assert_eq!(story.multipart(Some(changed)), A::SourceChanged);
    assert_eq!((story.head("k"), story.garbage().len()), (Some(made), 2));
    let same = Renamed { from: "from".into(), version: source.version };
    let joined = object(story.multipart(Some(same.clone())));
    assert_eq!((story.head("from"), story.head("k")), (None, Some(joined)));

    // With versions there is no renaming.
    let configure = C::ConfigureBucket {
        bucket: BUCKET,
        change: BucketChange::Versioning(Versioning::Suspended),
        write: write_id(story.number()),
    };
    assert_eq!(story.apply(&configure), A::Done);
    let put = renaming(&mut story, "from", same.version);
    assert_eq!(story.apply(&put), A::BucketState);
    assert_eq!(story.multipart(Some(same)), A::BucketState);
}

#[test]
fn what_happens_to_versions_is_told_once() {
    let mut story = Story::new(Versioning::Off);
    story.put("k", StorageClass::Standard);
    let delete = story.delete_command("k", None);
    story.apply(&delete);
    story.apply(&delete);
    story.delete("k", None);
    story.delete("k", Some(Version::Null));
    assert_eq!(story.events(), [of("k", K::Created), of("k", K::Deleted)]);

    let mut story = Story::new(Versioning::Enabled);
    let first = story.put("k", StorageClass::Standard);
    story.multipart(None);
    let tags = |tag: Option<&str>| {
        ObjectUpdate::Tags(tag.map(|tag| (tag.to_owned(), String::new())).into_iter().collect())
    };
    story.update("k", tags(Some("a")), Reason::PutObjectTagging);
    story.update("k", tags(None), Reason::DeleteObjectTagging);
    let A::Deleted { version: marker, .. } = story.delete("k", None) else { panic!("deleted") };
    story.delete("k", marker);
    story.delete("k", marker);
    story.delete("k", Some(Version::Id(first.version)));
    let IndexView::Events(events) = story.ask(&IndexQuery::Events { after: None, limit: 9 }) else {
        panic!("events")
    };
    assert_eq!(events[0].version, Some(Version::Id(first.version)));
    assert_eq!((events[4].version, events[4].size, events[4].etag), (marker, 0, None));
    assert_eq!((events[5].version, events[5].size, events[5].etag), (marker, 0, None));
    assert_eq!((events[6].size, events[6].etag), (first.size, Some(first.etag)));
    let kinds: Vec<_> = story.events().into_iter().map(|event| event.1).collect();
    assert_eq!(
        kinds,
        [
            K::Created,
            K::Created,
            K::TagsSet,
            K::TagsRemoved,
            K::MarkerCreated,
            K::Deleted,
            K::Deleted
        ]
    );
    // A bucket may go before its events.
    let mut story = Story::new(Versioning::Off);
    story.put("k", StorageClass::Standard);
    story.delete("k", None);
    assert_eq!(story.apply(&C::SealBucket { bucket: BUCKET }), A::Done);
    assert_eq!(story.events().len(), 2);
}

/// A delete is proposed, applied and forgotten; the object is put again; then a duplicate of the
/// delete arrives that some connection had held back.
#[test]
fn a_duplicate_that_comes_after_its_write_was_forgotten_is_not_applied() {
    let mut story = Story::new(Versioning::Off);
    story.put("k", StorageClass::Standard);
    let mut delete = story.delete_command("k", None);
    if let C::DeleteObject { write, .. } = &mut delete {
        *write = write_id_of(NOW, 1);
    }
    let deleted = A::Deleted { existed: true, version: None, marker: false };
    assert_eq!(story.apply(&delete), deleted);
    story.put("k", StorageClass::Standard);
    // As long as it is remembered it gets its first answer, however old it is.
    story.wait(REMEMBERED_MS);
    assert_eq!(story.apply(&delete), deleted);
    story.wait(1);
    assert_eq!(story.apply(&delete), A::DeadlinePassed);
    assert!(story.head("k").is_some());

    // The last moment at which one can be applied for the first time, and the first at which not.
    let now = story.now;
    for (made, applied) in [(now.0 - WRITE_AGE_MS_MAX, true), (now.0 - WRITE_AGE_MS_MAX - 1, false)]
    {
        let write = |number| write_id_of(UnixMillis(made), number);
        let (bucket, key, upload) = (BUCKET, "k".to_owned(), upload_id(77));
        let header = Upload {
            id: upload,
            key: key.clone(),
            initiated: NOW,
            attributes: Attributes::default(),
            checksum: None,
        };
        let mut delete = story.delete_command("k", None);
        if let C::DeleteObject { write: id, .. } = &mut delete {
            *id = write(2);
        }
        let commands = [
            C::CreateUpload { bucket, upload: header, write: write(3) },
            C::AbortUpload { bucket, key: key.clone(), upload, write: write(4) },
            C::ConfigureBucket { bucket, change: BucketChange::Events(true), write: write(5) },
            C::UpdateObject {
                bucket,
                key: key.clone(),
                version: None,
                update: ObjectUpdate::Tags(Default::default()),
                origin: Origin::default(),
                write: write(6),
            },
            C::CompleteUpload {
                bucket,
                key,
                upload,
                condition: Condition::None,
                parts: vec![(1, [0; 16])],
                etag: ETag { md5: [0; 16], parts: 1 },
                checksum: None,
                size: None,
                renamed: None,
                origin: Origin::default(),
                write: write(7),
            },
            delete,
        ];
        for command in commands {
            let answer = story.apply(&command);
            assert_eq!(answer != A::DeadlinePassed, applied, "{command:?}: {answer:?}");
        }
        story.put("k", StorageClass::Standard);
    }
}
