//! Versions and object lock as AWS describes them, told as stories. The model says the same
//! more generally; these say what users see.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use bytes::Bytes;
use common::{blob_ref, upload_id, write_id};
use consensus::{ApplyContext, MemoryKv, StateMachine};
use metastore::{
    IndexMachine,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView,
        index::{BucketChange, Data, ObjectUpdate, Part, Upload, VersionEntry},
    },
    index::{PART_BYTES_MIN, evaluate},
};
use types::{
    Attributes, BucketId, BucketLock, BucketSettings, Condition, DefaultRetention, ETag, Match,
    ObjectHead, ObjectLock, Period, Retention, RetentionMode, UnixMillis, Version, Versioning,
};

const BUCKET: BucketId = BucketId(5);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A partition with one bucket. Most stories are about the key `k`.
struct Story {
    rows: MemoryKv,
    now: UnixMillis,
    writes: u64,
}

impl Story {
    fn new(versioning: Versioning, lock: Option<BucketLock>) -> Self {
        let mut story =
            Self { rows: MemoryKv::default(), now: UnixMillis(1_800_000_000_500), writes: 0 };
        let settings = BucketSettings { versioning, lock, events: false };
        let open = IndexCommand::OpenBucket { bucket: BUCKET, settings };
        assert_eq!(story.apply(&open), IndexAnswer::Done);
        story
    }

    fn apply(&mut self, command: &IndexCommand) -> IndexAnswer {
        let context = ApplyContext { index: 1, now: self.now };
        let answer = IndexMachine.apply(&mut self.rows, context, &api::encode(command)).unwrap();
        api::decode(&answer).unwrap()
    }

    fn write(&mut self) -> types::WriteId {
        self.writes += 1;
        write_id(self.writes)
    }

    fn configure(&mut self, change: BucketChange) -> IndexAnswer {
        let write = self.write();
        self.apply(&IndexCommand::ConfigureBucket { bucket: BUCKET, change, write })
    }

    fn versioning(&mut self, versioning: Versioning) {
        assert_eq!(self.configure(BucketChange::Versioning(versioning)), IndexAnswer::Done);
    }

    fn command(&mut self, text: &str, condition: Condition, lock: ObjectLock) -> IndexCommand {
        let write = self.write();
        IndexCommand::PutObject {
            bucket: BUCKET,
            key: "k".into(),
            condition,
            size: text.len() as u64,
            etag: ETag { md5: [text.len() as u8; 16], parts: 0 },
            attributes: Attributes { lock, ..Attributes::default() },
            checksum: None,
            data: Data::Inline(Bytes::copy_from_slice(text.as_bytes())),
            write,
            deadline: self.now.plus(1000),
            origin: Default::default(),
            renamed: None,
        }
    }

    fn put(&mut self, text: &str) -> ObjectHead {
        let put = self.command(text, Condition::None, ObjectLock::default());
        object(self.apply(&put))
    }

    fn delete(&mut self, version: Option<Version>, bypass_governance: bool) -> IndexAnswer {
        self.delete_if(version, Condition::None, bypass_governance)
    }

    fn delete_if(
        &mut self,
        version: Option<Version>,
        condition: Condition,
        bypass_governance: bool,
    ) -> IndexAnswer {
        let write = self.write();
        let key = "k".into();
        let bucket = BUCKET;
        self.apply(&IndexCommand::DeleteObject {
            bucket,
            key,
            version,
            condition,
            bypass_governance,
            write,
            origin: Default::default(),
        })
    }

    fn update(&mut self, version: Option<Version>, update: ObjectUpdate) -> IndexAnswer {
        let (bucket, key, write) = (BUCKET, "k".into(), self.write());
        self.apply(&IndexCommand::UpdateObject {
            bucket,
            key,
            version,
            update,
            write,
            origin: Default::default(),
        })
    }

    fn head(&self, version: Option<Version>) -> IndexView {
        let query = IndexQuery::Head { bucket: BUCKET, key: "k".into(), version };
        evaluate(&self.rows, &query).unwrap()
    }

    /// What the key's versions are, the latest first: their sizes, or `-` for delete markers,
    /// with `*` for the null version.
    fn versions(&self) -> String {
        let query = IndexQuery::Versions {
            bucket: BUCKET,
            prefix: "k".into(),
            delimiter: None,
            after: None,
            limit: 1000,
        };
        let IndexView::Versions { entries, next: None } = evaluate(&self.rows, &query).unwrap()
        else {
            panic!("one page of versions")
        };
        let line = |(place, entry): (usize, &VersionEntry)| {
            let VersionEntry::Version { null, latest, what, .. } = entry else { panic!() };
            assert_eq!(*latest, place == 0);
            let what = match what {
                api::index::ListedVersion::Object(object) => object.size.to_string(),
                api::index::ListedVersion::Marker { .. } => "-".to_owned(),
            };
            format!("{what}{}", if *null { "*" } else { "" })
        };
        entries.iter().enumerate().map(line).collect::<Vec<_>>().join(" ")
    }
}

fn object(answer: IndexAnswer) -> ObjectHead {
    match answer {
        IndexAnswer::Object(head) => *head,
        other => panic!("{other:?}"),
    }
}

fn marker(answer: &IndexAnswer) -> Version {
    match answer {
        IndexAnswer::Deleted { version: Some(version), marker: true, .. } => *version,
        other => panic!("{other:?}"),
    }
}

#[test]
fn from_never_versioned_to_enabled_to_suspended() {
    let mut story = Story::new(Versioning::Off, None);
    story.put("1");
    story.put("22");
    assert_eq!(story.versions(), "2*");
    story.versioning(Versioning::Enabled);
    // What was there before keeps its name.
    let third = story.put("333");
    assert_eq!((story.versions(), third.null), ("3 2*".into(), false));
    let made = marker(&story.delete(None, false));
    story.delete(None, false);
    assert_eq!(story.versions(), "- - 3 2*");
    assert!(matches!(story.head(None), IndexView::Marker { .. }));
    assert!(matches!(story.head(Some(third.name())), IndexView::Object(Some(_))));
    // A marker that is not the current one goes without a trace of the key coming back.
    let gone = IndexAnswer::Deleted { existed: true, version: Some(made), marker: true };
    assert_eq!(story.delete(Some(made), false), gone);
    assert_eq!(story.versions(), "- 3 2*");
    let IndexView::Marker { version, .. } = story.head(None) else { panic!() };
    story.delete(Some(version), false);
    assert_eq!(story.versions(), "3 2*");
    assert!(matches!(story.head(None), IndexView::Object(Some(head)) if head.size == 3));

    story.versioning(Versioning::Suspended);
    // The null version is replaced where it lies; the others stay.
    story.put("4444");
    assert_eq!(story.versions(), "4* 3");
    story.put("55555");
    assert_eq!(story.versions(), "5* 3");
    assert_eq!(marker(&story.delete(None, false)), Version::Null);
    assert_eq!(marker(&story.delete(None, false)), Version::Null);
    assert_eq!(story.versions(), "-* 3");
    // The null marker goes by its name, and what is below comes up.
    story.delete(Some(Version::Null), false);
    assert_eq!(story.versions(), "3");
    let absent =
        IndexAnswer::Deleted { existed: false, version: Some(Version::Null), marker: false };
    assert_eq!(story.delete(Some(Version::Null), false), absent);
    story.delete(None, false);
    story.versioning(Versioning::Enabled);
    story.put("666666");
    assert_eq!(story.versions(), "6 -* 3");
    // There is no way back.
    let off = BucketChange::Versioning(Versioning::Off);
    assert_eq!(story.configure(off), IndexAnswer::BucketState);
}

#[test]
fn conditions_are_about_the_current_object() {
    let mut story = Story::new(Versioning::Enabled, None);
    let first = story.put("1");
    let tag = Condition::Match(Match { etag: Some(first.etag.to_string()), ..Match::default() });
    story.delete(None, false);
    // A key with a delete marker has no object, whatever there was before.
    let put = story.command("22", tag.clone(), ObjectLock::default());
    assert_eq!(story.apply(&put), IndexAnswer::NoSuchKey);
    let put = story.command("22", Condition::Absent, ObjectLock::default());
    let second = object(story.apply(&put));
    let put = story.command("333", tag, ObjectLock::default());
    assert_eq!(story.apply(&put), IndexAnswer::ConditionFailed);
    let exact = Match {
        etag: Some("*".into()),
        version: Some(second.version),
        size: Some(2),
        // A client knows the time in whole seconds.
        modified_s: Some(1_800_000_000),
    };
    for (wrong, answer) in [
        (Match { size: Some(3), ..exact.clone() }, IndexAnswer::ConditionFailed),
        (Match { modified_s: Some(1_800_000_001), ..exact.clone() }, IndexAnswer::ConditionFailed),
        (Match { version: Some(first.version), ..exact.clone() }, IndexAnswer::ConditionFailed),
    ] {
        let put = story.command("333", Condition::Match(wrong), ObjectLock::default());
        assert_eq!(story.apply(&put), answer);
    }
    let put = story.command("333", Condition::Match(exact), ObjectLock::default());
    object(story.apply(&put));
    assert_eq!(story.versions(), "3 2 - 1");
}

/// Whoever decided by what it read must not remove what has taken its place since: the null
/// marker of that time, not the null object of now.
#[test]
fn a_null_version_is_removed_by_its_id() {
    let mut story = Story::new(Versioning::Suspended, None);
    story.delete(None, false);
    let IndexView::Versions { entries, .. } = evaluate(
        &story.rows,
        &IndexQuery::Versions {
            bucket: BUCKET,
            prefix: String::new(),
            delimiter: None,
            after: None,
            limit: 10,
        },
    )
    .unwrap() else {
        panic!("a page")
    };
    let [VersionEntry::Version { id, null: true, .. }] = entries[..] else { panic!("{entries:?}") };
    let exactly = |id| Condition::Match(Match { version: Some(id), ..Match::default() });
    let head = story.put("abc");
    let late = story.delete_if(Some(Version::Null), exactly(id), false);
    assert_eq!(late, IndexAnswer::ConditionFailed, "an object is there now");
    let now = story.delete_if(Some(Version::Null), exactly(head.version), false);
    assert!(matches!(now, IndexAnswer::Deleted { existed: true, marker: false, .. }), "{now:?}");
    let marker = story.delete(None, false);
    assert!(matches!(marker, IndexAnswer::Deleted { marker: true, .. }), "{marker:?}");
    let late = story.delete_if(Some(Version::Null), exactly(id), false);
    assert_eq!(late, IndexAnswer::NoSuchKey, "another marker is there now");
    assert_eq!(story.versions(), "-*");
    let IndexView::Marker { modified, .. } = story.head(Some(Version::Null)) else {
        panic!("a marker")
    };
    let number = head.version.number + 1;
    let id = types::VersionId { at: modified, number };
    let now = story.delete_if(Some(Version::Null), exactly(id), false);
    assert!(matches!(now, IndexAnswer::Deleted { existed: true, marker: true, .. }), "{now:?}");
    assert_eq!(story.versions(), "");
}

#[test]
fn retention_and_legal_hold() {
    let mode = RetentionMode::Governance;
    let default = Some(DefaultRetention { mode, period: Period::Days(1) });
    let mut story = Story::new(Versioning::Enabled, Some(BucketLock { default }));
    let held = story.put("1");
    let until = held.modified.plus(DAY_MS);
    assert_eq!(held.attributes.lock.retention, Some(Retention { mode, until }));
    let name = Some(held.name());
    // Out of sight, but not gone.
    story.delete(None, false);
    assert_eq!(story.delete(name, false), IndexAnswer::Locked);
    assert_eq!(story.versions(), "- 1");
    // Shorter needs the bypass, longer does not, and compliance is for ever.
    let retention = |mode, until, bypass_governance| ObjectUpdate::Retention {
        to: Some(Retention { mode, until }),
        bypass_governance,
    };
    let shorter = until.0 - 1;
    let shorten = |bypass| retention(mode, UnixMillis(shorter), bypass);
    assert_eq!(story.update(name, shorten(false)), IndexAnswer::Locked);
    object(story.update(name, shorten(true)));
    let strict = RetentionMode::Compliance;
    object(story.update(name, retention(strict, until, true)));
    assert_eq!(
        story.update(name, retention(strict, UnixMillis(shorter), true)),
        IndexAnswer::Locked
    );
    assert_eq!(story.update(name, retention(mode, until, true)), IndexAnswer::Locked);
    assert_eq!(story.delete(name, true), IndexAnswer::Locked);
    object(story.update(name, ObjectUpdate::LegalHold(true)));
    story.now = until;
    assert_eq!(story.delete(name, true), IndexAnswer::Locked, "the legal hold");
    object(story.update(name, ObjectUpdate::LegalHold(false)));
    story.delete(name, false);
    assert_eq!(story.versions(), "-");
    // Markers have no lock, and nothing to be said about.
    let IndexView::Marker { version, .. } = story.head(None) else { panic!() };
    let tags = || ObjectUpdate::Tags(Default::default());
    assert_eq!(story.update(Some(version), tags()), IndexAnswer::DeleteMarker { version });
    assert_eq!(story.update(None, tags()), IndexAnswer::DeleteMarker { version });
    assert_eq!(story.update(name, tags()), IndexAnswer::NoSuchVersion);
    story.delete(Some(version), false);
    assert_eq!(story.update(None, tags()), IndexAnswer::NoSuchKey);
    let suspend = BucketChange::Versioning(Versioning::Suspended);
    assert_eq!(story.configure(suspend), IndexAnswer::BucketState);
}

#[test]
fn a_bucket_without_lock_takes_none() {
    let mut story = Story::new(Versioning::Off, None);
    let lock = BucketChange::Lock(BucketLock::default());
    assert_eq!(story.configure(lock), IndexAnswer::BucketState);
    let hold = ObjectLock { retention: None, legal_hold: Some(true) };
    let put = story.command("1", Condition::None, hold);
    assert_eq!(story.apply(&put), IndexAnswer::NoLock);
    story.put("1");
    assert_eq!(story.update(None, ObjectUpdate::LegalHold(true)), IndexAnswer::NoLock);
    story.versioning(Versioning::Enabled);
    assert_eq!(story.configure(lock), IndexAnswer::Done);
    // Also what was made before can be held.
    let null = Some(Version::Null);
    object(story.update(null, ObjectUpdate::LegalHold(true)));
    assert_eq!(story.delete(null, true), IndexAnswer::Locked);
}

/// The bug that this guards against: a put that is proposed again was answered with what the
/// bucket's settings would make of it by then.
#[test]
fn a_repeated_put_is_answered_as_the_first_was() {
    let lock = |days| {
        let (mode, period) = (RetentionMode::Compliance, Period::Days(days));
        BucketLock { default: Some(DefaultRetention { mode, period }) }
    };
    let mut story = Story::new(Versioning::Enabled, Some(lock(1)));
    let put = story.command("1", Condition::None, ObjectLock::default());
    let first = story.apply(&put);
    story.configure(BucketChange::Lock(lock(30)));
    story.put("22");
    story.now = story.now.plus(500);
    assert_eq!(story.apply(&put), first);
    assert_eq!(story.versions(), "2 1");
}

/// Readers of a version that is no longer current go on, and parts are numbered by place.
#[test]
fn a_noncurrent_version_of_parts_can_be_read() {
    let mut story = Story::new(Versioning::Enabled, None);
    let (bucket, key, upload) = (BUCKET, "k".to_owned(), upload_id(1));
    let (write, initiated, attributes) = (story.write(), UnixMillis(0), Attributes::default());
    let header = Upload { id: upload, key: key.clone(), initiated, attributes, checksum: None };
    story.apply(&IndexCommand::CreateUpload { bucket, upload: header, write });
    let sizes = [(2, PART_BYTES_MIN), (5, PART_BYTES_MIN + 1), (9, 7)];
    for (number, size) in sizes {
        let data = Data::Blob { blob: blob_ref(number.into(), size), missing: Vec::new() };
        let md5 = [number as u8; 16];
        let part = Part { number, size, md5, checksum: None, modified: UnixMillis(0), data };
        let (write, deadline) = (story.write(), story.now);
        let put = IndexCommand::PutPart { bucket, key: key.clone(), upload, part, write, deadline };
        assert_eq!(story.apply(&put), IndexAnswer::Done);
    }
    let write = story.write();
    let head = object(story.apply(&IndexCommand::CompleteUpload {
        bucket,
        key: key.clone(),
        upload,
        condition: Condition::None,
        parts: sizes.map(|(number, _)| (number, [number as u8; 16])).to_vec(),
        etag: ETag { md5: [0; 16], parts: 3 },
        checksum: None,
        size: None,
        write,
        origin: Default::default(),
        renamed: None,
    }));
    story.put("1");
    let version = head.version;
    let page = |story: &Story, after, limit| {
        let key = key.clone();
        let query = IndexQuery::ObjectParts { bucket, key, version, upload, after, limit };
        match evaluate(&story.rows, &query).unwrap() {
            IndexView::ObjectParts { parts, truncated } => {
                let parts: Vec<_> = parts.iter().map(|p| (p.number, p.offset, p.size)).collect();
                Some((parts, truncated))
            }
            IndexView::NoSuchUpload => None,
            other => panic!("{other:?}"),
        }
    };
    let min = PART_BYTES_MIN;
    let first = (vec![(1, 0, min), (2, min, min + 1)], true);
    assert_eq!(page(&story, 0, 2), Some(first));
    assert_eq!(page(&story, 2, 2), Some((vec![(3, 2 * min + 1, 7)], false)));
    assert_eq!(page(&story, 3, 2), Some((Vec::new(), false)));
    let (start, end) = (2 * min, 2 * min + 2);
    let query = IndexQuery::Segments { bucket, key: key.clone(), version, upload, start, end };
    let IndexView::Segments(touched) = evaluate(&story.rows, &query).unwrap() else { panic!() };
    let touched: Vec<_> = touched.iter().map(|it| (it.number, it.offset)).collect();
    assert_eq!(touched, [(5, min), (9, 2 * min + 1)]);
    story.delete(Some(head.name()), false);
    assert_eq!(page(&story, 0, 2), None);
}
