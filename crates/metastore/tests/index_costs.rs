//! What commands and queries cost in rows touched, and what they do at their bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::Cell;

use bytes::Bytes;
use common::{blob_ref, upload_id, write_id};
use consensus::{ApplyContext, KvError, KvRead, KvWrite, MemoryKv, Row, StateMachine};
use metastore::{
    IndexMachine,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView,
        index::{
            BucketChange, Data, Event, EventKind, Garbage, GarbageId, ListAfter, ListEntry,
            ListedVersion, ObjectUpdate, Part, Upload, VersionEntry, VersionsAfter,
        },
    },
    index::{PART_BYTES_MIN, REMEMBERED_MS, evaluate},
    keys::index as keys,
};
use types::{
    Attributes, BucketId, BucketSettings, Condition, ETag, StorageClass, UnixMillis, UploadId,
    Version, Versioning, WriteIntent,
};

/// Rows that count how many are touched.
#[derive(Default)]
struct CountedKv {
    rows: MemoryKv,
    read: Cell<usize>,
    seeks: Cell<usize>,
    written: usize,
}

impl KvRead for CountedKv {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.read.set(self.read.get() + 1);
        self.rows.get(key)
    }

    fn scan<'a>(
        &'a self,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> Box<dyn Iterator<Item = Result<Row, KvError>> + 'a> {
        self.seeks.set(self.seeks.get() + 1);
        let count = |row: &Result<Row, KvError>| {
            assert!(row.is_ok());
            self.read.set(self.read.get() + 1);
        };
        Box::new(self.rows.scan(from, to).inspect(count))
    }
}

impl KvWrite for CountedKv {
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.written += 1;
        self.rows.put(key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.written += 1;
        self.rows.delete(key);
    }
}

const BUCKET: BucketId = BucketId(5);

struct Partition {
    rows: CountedKv,
    now: UnixMillis,
    writes: u64,
}

impl Partition {
    fn new() -> Self {
        let mut partition =
            Self { rows: CountedKv::default(), now: UnixMillis(1_000_000), writes: 0 };
        let settings = BucketSettings::default();
        partition.apply(&IndexCommand::OpenBucket { bucket: BUCKET, settings });
        partition
    }

    fn configure(&mut self, versioning: Versioning) {
        self.writes += 1;
        let (change, write) = (BucketChange::Versioning(versioning), write_id(self.writes));
        let configure = IndexCommand::ConfigureBucket { bucket: BUCKET, change, write };
        assert_eq!(self.apply(&configure), IndexAnswer::Done);
    }

    fn events(&mut self) {
        self.writes += 1;
        let (change, write) = (BucketChange::Events(true), write_id(self.writes));
        let configure = IndexCommand::ConfigureBucket { bucket: BUCKET, change, write };
        assert_eq!(self.apply(&configure), IndexAnswer::Done);
    }

    fn restore(&mut self, key: &str, ready_after_ms: u64, readable_ms: u64) {
        self.writes += 1;
        let update = ObjectUpdate::Restore { ready_after_ms, readable_ms, day_ms: 1 };
        let restored = self.apply(&IndexCommand::UpdateObject {
            bucket: BUCKET,
            key: key.to_owned(),
            version: None,
            update,
            origin: Default::default(),
            write: write_id(self.writes),
        });
        assert!(matches!(restored, IndexAnswer::Object(_)));
    }

    fn delete(&mut self, key: &str, version: Option<Version>) -> IndexAnswer {
        self.writes += 1;
        self.apply(&IndexCommand::DeleteObject {
            bucket: BUCKET,
            key: key.to_owned(),
            version,
            condition: Condition::None,
            bypass_governance: false,
            write: write_id(self.writes),
            origin: Default::default(),
        })
    }

    fn cost(&self) -> (usize, usize) {
        (self.rows.read.get(), self.rows.seeks.get())
    }

    fn apply(&mut self, command: &IndexCommand) -> IndexAnswer {
        self.rows.read.set(0);
        self.rows.seeks.set(0);
        self.rows.written = 0;
        let context = ApplyContext { index: 1, now: self.now };
        let answer = IndexMachine.apply(&mut self.rows, context, &api::encode(command)).unwrap();
        api::decode(&answer).unwrap()
    }

    fn ask(&self, query: &IndexQuery) -> IndexView {
        self.rows.read.set(0);
        self.rows.seeks.set(0);
        evaluate(&self.rows, query).unwrap()
    }

    fn put(&mut self, key: &str, data: Data) -> IndexCommand {
        self.writes += 1;
        let size = match &data {
            Data::Inline(bytes) => bytes.len() as u64,
            Data::Blob { blob, .. } => blob.size,
        };
        IndexCommand::PutObject {
            bucket: BUCKET,
            key: key.to_owned(),
            condition: Condition::None,
            size,
            etag: ETag { md5: [1; 16], parts: 0 },
            attributes: Attributes::default(),
            checksum: None,
            data,
            write: write_id(self.writes),
            deadline: self.now.plus(1000),
            origin: Default::default(),
            renamed: None,
        }
    }

    fn put_inline(&mut self, key: &str) {
        let put = self.put(key, Data::Inline(Bytes::from_static(b"x")));
        assert!(matches!(self.apply(&put), IndexAnswer::Object(_)));
    }

    fn upload(&mut self, key: &str, upload: UploadId, parts: std::ops::Range<u16>) {
        self.writes += 1;
        let write = write_id(self.writes);
        let header = Upload {
            id: upload,
            key: key.to_owned(),
            initiated: UnixMillis(0),
            attributes: Attributes::default(),
            checksum: None,
        };
        let create = IndexCommand::CreateUpload { bucket: BUCKET, upload: header, write };
        assert_eq!(self.apply(&create), IndexAnswer::Done);
        for number in parts {
            self.writes += 1;
            let blob = blob_ref(self.writes, PART_BYTES_MIN);
            let part = Part {
                number,
                size: blob.size,
                md5: [2; 16],
                checksum: None,
                modified: UnixMillis(0),
                data: Data::Blob { blob, missing: vec![1] },
            };
            let put = IndexCommand::PutPart {
                bucket: BUCKET,
                key: key.to_owned(),
                upload,
                part,
                write: write_id(self.writes),
                deadline: self.now.plus(1000),
            };
            assert_eq!(self.apply(&put), IndexAnswer::Done);
        }
    }

    fn complete(&mut self, key: &str, upload: UploadId, parts: &[u16]) -> IndexAnswer {
        self.writes += 1;
        let command = IndexCommand::CompleteUpload {
            bucket: BUCKET,
            key: key.to_owned(),
            upload,
            condition: Condition::None,
            parts: parts.iter().map(|number| (*number, [2; 16])).collect(),
            etag: ETag { md5: [3; 16], parts: parts.len() as u16 },
            checksum: None,
            size: None,
            write: write_id(self.writes),
            origin: Default::default(),
            renamed: None,
        };
        self.apply(&command)
    }

    fn garbage(&self) -> Vec<(GarbageId, Garbage)> {
        let before = self.now.plus(1);
        match self.ask(&IndexQuery::Garbage { before, after: None, limit: 1000 }) {
            IndexView::Garbage(rows) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn count(&self, kind: u8) -> usize {
        self.rows.rows.scan(&[kind], Some(&[kind + 1])).count()
    }
}

fn list(prefix: &str, delimiter: Option<&str>, after: Option<ListAfter>, limit: u32) -> IndexQuery {
    let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
    IndexQuery::List { bucket: BUCKET, prefix, delimiter, after, limit }
}

#[test]
fn a_page_costs_a_page() {
    let mut partition = Partition::new();
    for folder in 0..20 {
        for file in 0..500 {
            partition.put_inline(&format!("f{folder:02}/{file:03}"));
        }
    }
    // 10 objects of 10,000: the rows of the page, one to see that more follow, the gate.
    let page = partition.ask(&list("", None, None, 10));
    assert!(matches!(page, IndexView::Page { entries, next: Some(_) } if entries.len() == 10));
    assert_eq!((partition.rows.read.get(), partition.rows.seeks.get()), (12, 1));

    // 20 folders hide 500 keys each: one seek and one row for each.
    let page = partition.ask(&list("", Some("/"), None, 1000));
    assert!(matches!(page, IndexView::Page { entries, next: None } if entries.len() == 20));
    assert_eq!((partition.rows.read.get(), partition.rows.seeks.get()), (21, 21));

    // From the middle, after a common prefix.
    let after = Some(ListAfter::Prefix("f09/".into()));
    let page = partition.ask(&list("", Some("/"), after, 3));
    let folders = ["f10/", "f11/", "f12/"].map(|name| ListEntry::CommonPrefix(name.into()));
    let next = Some(ListAfter::Prefix("f12/".into()));
    assert_eq!(page, IndexView::Page { entries: folders.to_vec(), next });
    assert!(partition.rows.read.get() <= 5);

    // The last page of a prefix does not run into the next one.
    let after = Some(ListAfter::Key("f03/498".into()));
    let page = partition.ask(&list("f03/", None, after, 1000));
    assert!(matches!(page, IndexView::Page { entries, next: None } if entries.len() == 1));
    assert_eq!(partition.rows.read.get(), 2);
}

/// A worker that compares the index with the disks asks for pages until the end: one of them must not
/// keep the leader busy because hardly any object has a blob.
#[test]
fn a_page_of_blobs_ends_where_few_rows_have_one() {
    let mut partition = Partition::new();
    for file in 0..10_000 {
        partition.put_inline(&format!("inline/{file:05}"));
    }
    let put = partition.put("z", Data::Blob { blob: blob_ref(1, 5000), missing: Vec::new() });
    assert!(matches!(partition.apply(&put), IndexAnswer::Object(_)));
    let page = partition.ask(&IndexQuery::Referenced { after: None, limit: 1000 });
    let IndexView::Referenced { blobs, next: Some(next) } = page else { panic!("{page:?}") };
    assert_eq!((blobs.len(), partition.rows.read.get()), (0, 10_000));
    let page = partition.ask(&IndexQuery::Referenced { after: Some(next), limit: 1000 });
    let IndexView::Referenced { blobs, next: None } = page else { panic!("{page:?}") };
    assert_eq!((blobs.len(), partition.rows.read.get()), (1, 1));
}

fn versions(
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<VersionsAfter>,
    limit: u32,
) -> IndexQuery {
    let (prefix, delimiter) = (prefix.to_owned(), delimiter.map(str::to_owned));
    IndexQuery::Versions { bucket: BUCKET, prefix, delimiter, after, limit }
}

/// What version an entry is of, or a common prefix.
fn line(entry: &VersionEntry) -> String {
    match entry {
        VersionEntry::CommonPrefix(folded) => folded.clone(),
        VersionEntry::Version { null, latest, what, .. } => format!(
            "{} {}{}{}",
            what.key(),
            if matches!(what, ListedVersion::Object(_)) { "object" } else { "marker" },
            if *null { " null" } else { "" },
            if *latest { " latest" } else { "" },
        ),
    }
}

fn lines(view: IndexView) -> (Vec<String>, Option<VersionsAfter>) {
    match view {
        IndexView::Versions { entries, next } => (entries.iter().map(line).collect(), next),
        other => panic!("{other:?}"),
    }
}

/// The bug that this guards against: a walk over versions and delete markers to find the
/// current objects between them.
#[test]
fn a_page_costs_a_page_however_many_versions_there_are() {
    let mut partition = Partition::new();
    partition.configure(Versioning::Enabled);
    for key in 0..20 {
        let key = format!("f{}/{key:02}", key / 10);
        for _ in 0..500 {
            partition.put_inline(&key);
            assert!(matches!(partition.delete(&key, None), IndexAnswer::Deleted { .. }));
        }
        // Every other key has an object at last.
        if key.ends_with(['0', '2', '4', '6', '8']) {
            partition.put_inline(&key);
        }
    }
    assert_eq!((partition.count(b'C'), partition.count(b'V')), (10, 20_000));
    let page = partition.ask(&list("", None, None, 1000));
    assert!(matches!(page, IndexView::Page { entries, next: None } if entries.len() == 10));
    assert_eq!(partition.cost(), (11, 1), "the objects and the gate");
    partition.ask(&list("", None, None, 4));
    assert_eq!(partition.cost(), (6, 1));
    partition.ask(&list("", Some("/"), None, 1000));
    assert_eq!(partition.cost(), (3, 3));

    // A page of versions: the gate, its lines, and one row more of each walk.
    let (entries, next) = lines(partition.ask(&versions("", None, None, 5)));
    assert_eq!(entries[..3], ["f0/00 object latest", "f0/00 marker", "f0/00 object"]);
    assert_eq!(entries.len(), 5);
    assert!(partition.cost().0 <= 8, "{:?}", partition.cost());
    // The next one begins inside the key, and has to know its current version.
    let (entries, next) = lines(partition.ask(&versions("", None, next, 5)));
    assert_eq!(entries[..2], ["f0/00 marker", "f0/00 object"]);
    assert!(matches!(next, Some(VersionsAfter::Version(key, _)) if key == "f0/00"));
    assert!(partition.cost().0 <= 10, "{:?}", partition.cost());
    // A key whose current version is a delete marker.
    let after = Some(VersionsAfter::Key("f0/00".into()));
    let (entries, _) = lines(partition.ask(&versions("", None, after, 2)));
    assert_eq!(entries, ["f0/01 marker latest", "f0/01 object"]);
    assert!(partition.cost().0 <= 5, "{:?}", partition.cost());
    // Two folders hide 10,010 versions each.
    let (entries, next) = lines(partition.ask(&versions("", Some("/"), None, 1000)));
    assert_eq!((entries, next), (vec!["f0/".into(), "f1/".into()], None));
    assert!(partition.cost().0 <= 6 && partition.cost().1 <= 6, "{:?}", partition.cost());
    let after = Some(VersionsAfter::Prefix("f0/".into()));
    let (entries, _) = lines(partition.ask(&versions("", Some("/"), after, 1)));
    assert_eq!(entries, ["f1/"]);
    assert!(partition.cost().0 <= 5, "{:?}", partition.cost());

    // Reading, replacing and removing versions does not depend on their number either.
    partition.put_inline("f0/01");
    assert!(partition.cost().0 <= 7, "{:?}", partition.cost());
    assert_eq!(partition.rows.written, 4, "head, version counter, applied write and its age");
    partition.put_inline("f0/01");
    assert_eq!(partition.rows.written, 5, "and the version before");
    partition.delete("f0/01", None);
    assert!(partition.cost().0 <= 7, "{:?}", partition.cost());
    let head = IndexQuery::Head { bucket: BUCKET, key: "f0/01".into(), version: None };
    let IndexView::Marker { version, .. } = partition.ask(&head) else { panic!("a marker") };
    assert_eq!(partition.cost(), (3, 1));
    // The object before it becomes current again.
    partition.delete("f0/01", Some(version));
    assert!(partition.cost().0 <= 9 && partition.cost().1 <= 1, "{:?}", partition.cost());
    assert!(matches!(partition.ask(&head), IndexView::Object(Some(_))));
    assert_eq!(partition.cost(), (2, 0));
    // Suspended: the null version is found by its own row, wherever it lies.
    partition.configure(Versioning::Suspended);
    partition.put_inline("f0/01");
    partition.configure(Versioning::Enabled);
    partition.put_inline("f0/01");
    partition.configure(Versioning::Suspended);
    partition.delete("f0/01", None);
    assert!(partition.cost().0 <= 9 && partition.cost().1 == 0, "{:?}", partition.cost());
    let null = Some(Version::Null);
    let head = IndexQuery::Head { bucket: BUCKET, key: "f0/01".into(), version: null };
    assert!(matches!(partition.ask(&head), IndexView::Marker { version: Version::Null, .. }));
    assert_eq!(partition.cost(), (4, 0));
}

/// A client that pages through versions while somebody deletes what it has seen: what comes
/// next is neither left out nor shown as something else.
#[test]
fn a_page_of_versions_goes_on_where_versions_are_gone() {
    let mut partition = Partition::new();
    partition.put_inline("a");
    partition.configure(Versioning::Enabled);
    partition.put_inline("a");
    partition.put_inline("a");
    partition.delete("a", None);
    partition.put_inline("b");
    let (entries, next) = lines(partition.ask(&versions("", None, None, 1)));
    assert_eq!(entries, ["a marker latest"]);
    let Some(VersionsAfter::Version(_, marker)) = next.clone() else { panic!("{next:?}") };
    partition.delete("a", Some(Version::Id(marker)));
    // The object below the marker has moved to where current objects lie.
    let (entries, next) = lines(partition.ask(&versions("", None, next, 2)));
    assert_eq!(entries, ["a object latest", "a object"]);
    let (entries, _) = lines(partition.ask(&versions("", None, next, 9)));
    assert_eq!(entries, ["a object null", "b object latest"]);
    // After the null version, and after that of a key that has none.
    let null = |key: &str| Some(VersionsAfter::Null(key.into()));
    let (entries, _) = lines(partition.ask(&versions("", None, null("a"), 9)));
    assert_eq!(entries, ["b object latest"]);
    let (entries, _) = lines(partition.ask(&versions("", None, null("b"), 9)));
    assert_eq!(entries, [""; 0]);
    // Nothing of another prefix.
    let (entries, _) = lines(partition.ask(&versions("b", None, null("a"), 9)));
    assert_eq!(entries, ["b object latest"]);
    let (entries, _) = lines(partition.ask(&versions("a", None, null("b"), 9)));
    assert_eq!(entries, [""; 0]);
}

/// AWS, ListObjectsV2 `start-after`: a key inside a common prefix does not hide the prefix
/// while keys after it are in there; going on after the prefix itself does.
#[test]
fn a_marker_inside_a_common_prefix() {
    let mut partition = Partition::new();
    for key in ["a/a", "a/b", "a/c", "b"] {
        partition.put_inline(key);
    }
    let names = |after: Option<ListAfter>| match partition.ask(&list("", Some("/"), after, 10)) {
        IndexView::Page { entries, .. } => entries
            .into_iter()
            .map(|entry| match entry {
                ListEntry::Object(object) => object.key,
                ListEntry::CommonPrefix(folded) => folded,
            })
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(Some(ListAfter::Key("a/b".into()))), ["a/", "b"]);
    assert_eq!(names(Some(ListAfter::Key("a/c".into()))), ["b"]);
    assert_eq!(names(Some(ListAfter::Prefix("a/".into()))), ["b"]);
    assert_eq!(names(Some(ListAfter::Key("a/".into()))), ["a/", "b"]);
    assert_eq!(names(Some(ListAfter::Prefix("b".into()))), [""; 0]);
}

#[test]
fn a_put_touches_a_handful_of_rows() {
    let mut partition = Partition::new();
    for number in 0..500 {
        partition.put_inline(&format!("{number}"));
    }
    let blob = blob_ref(1, 1 << 30);
    let put = partition.put("250", Data::Blob { blob: blob.clone(), missing: Vec::new() });
    partition.apply(&put);
    assert!(partition.rows.read.get() <= 7, "{} rows read", partition.rows.read.get());
    assert_eq!(partition.rows.written, 4, "head, version counter, applied write and its age");

    // The answer is remembered without the bytes, which the repetition brings again.
    let put = partition.put("inline", Data::Inline(Bytes::from(vec![7; 4096])));
    let first = partition.apply(&put);
    let IndexCommand::PutObject { write, .. } = &put else { unreachable!() };
    let row = partition.rows.rows.get(&keys::applied(*write, 1)).unwrap().unwrap();
    assert!(row.len() < 32, "{} bytes", row.len());
    partition.now = partition.now.plus(REMEMBERED_MS);
    assert_eq!(partition.apply(&put), first);
    partition.now = partition.now.plus(1);
    assert_eq!(partition.apply(&put), IndexAnswer::DeadlinePassed);
}

#[test]
fn replacing_and_aborting_large_uploads_costs_one_row() {
    let mut partition = Partition::new();
    let (first, second) = (upload_id(1), upload_id(2));
    partition.upload("k", first, 1..2501);
    let parts: Vec<u16> = (1..=2499).collect();
    let IndexAnswer::Object(head) = partition.complete("k", first, &parts) else { panic!() };
    assert_eq!(head.size, 2499 * PART_BYTES_MIN);
    // The part that was not listed is garbage by itself, the others have not moved.
    assert_eq!(partition.garbage().len(), 1);
    assert_eq!((partition.count(b'P'), partition.count(b'U')), (2499, 0));

    partition.put_inline("k");
    assert!(partition.rows.written <= 6, "{} rows", partition.rows.written);
    partition.upload("k", second, 1..11);
    partition.writes += 1;
    let write = write_id(partition.writes);
    let abort =
        IndexCommand::AbortUpload { bucket: BUCKET, key: "k".into(), upload: second, write };
    assert_eq!(partition.apply(&abort), IndexAnswer::Done);
    assert!(partition.rows.written <= 5, "{} rows", partition.rows.written);

    // Expanding goes by thousands, and takes the repair rows along.
    assert_eq!(partition.count(b'R'), 2509);
    let (row, _) = partition
        .garbage()
        .into_iter()
        .find(|(_, garbage)| matches!(garbage, Garbage::Upload { upload, .. } if *upload == first))
        .unwrap();
    for left in [1499, 499, 0, 0] {
        assert_eq!(partition.apply(&IndexCommand::ExpandGarbage { row }), IndexAnswer::Done);
        let parts = keys::parts_of(BUCKET, "k", first);
        let end = metastore::keys::successor(&parts);
        assert_eq!(partition.rows.rows.scan(&parts, end.as_deref()).count(), left);
    }
    assert_eq!(partition.count(b'R'), 10);
    assert!(partition.garbage().iter().all(|(id, _)| *id != row));
    // A row of kind upload cannot be collected unexpanded.
    let (row, _) = partition
        .garbage()
        .into_iter()
        .find(|(_, garbage)| matches!(garbage, Garbage::Upload { .. }))
        .unwrap();
    partition.apply(&IndexCommand::Collected { rows: vec![row] });
    assert_eq!(partition.count(b'P'), 10);
    partition.apply(&IndexCommand::ExpandGarbage { row });
    assert_eq!(partition.count(b'P'), 0);
}

/// The bug that this guards against: a put repeated under a new write id made the blob that
/// it had just named garbage; and with versions, one blob of two of them.
#[test]
fn a_blob_put_again_under_another_write_id_stays() {
    let mut partition = Partition::new();
    let data = Data::Blob { blob: blob_ref(1, 100), missing: Vec::new() };
    let mut versions_left = Vec::new();
    for versioning in [Versioning::Off, Versioning::Enabled, Versioning::Suspended] {
        if versioning != Versioning::Off {
            partition.configure(versioning);
        }
        for _ in 0..2 {
            let put = partition.put("k", data.clone());
            assert!(matches!(partition.apply(&put), IndexAnswer::Object(_)));
        }
        versions_left.push(lines(partition.ask(&versions("", None, None, 9))).0);
    }
    assert_eq!(partition.garbage(), []);
    assert_eq!(
        versions_left,
        [["k object null latest"], ["k object latest"], ["k object null latest"]]
    );
    partition.upload("m", upload_id(1), 1..1);
    for _ in 0..2 {
        partition.writes += 1;
        let (size, md5, modified) = (100, [1; 16], UnixMillis(0));
        let part = Part { number: 1, size, md5, checksum: None, modified, data: data.clone() };
        let put = IndexCommand::PutPart {
            bucket: BUCKET,
            key: "m".into(),
            upload: upload_id(1),
            part,
            write: write_id(partition.writes),
            deadline: partition.now,
        };
        assert_eq!(partition.apply(&put), IndexAnswer::Done);
    }
    assert_eq!(partition.garbage(), []);
}

#[test]
fn old_writes_are_forgotten_by_thousands_without_walking_over_the_gone() {
    let mut partition = Partition::new();
    for number in 0..2500 {
        partition.put_inline(&format!("{number}"));
    }
    assert_eq!((partition.count(b'S'), partition.count(b'T')), (2500, 2500));
    partition.now = partition.now.plus(REMEMBERED_MS + 1);
    for left in [1500, 500, 0, 0] {
        partition.apply(&IndexCommand::Tick);
        assert!(partition.rows.written <= 2002);
        assert_eq!((partition.count(b'S'), partition.count(b'T')), (left, left));
        partition.now = partition.now.plus(16);
    }
    // The next scan starts where the last one ended.
    let forgotten = partition.rows.rows.get(keys::FORGOTTEN).unwrap().unwrap();
    assert!(forgotten.len() > 1);
    // Within one step of the clock nothing is scanned.
    partition.now = UnixMillis(partition.now.0 / 16 * 16 + 16);
    partition.apply(&IndexCommand::Tick);
    assert_eq!(partition.rows.seeks.get(), 1);
    partition.now = partition.now.plus(15);
    partition.apply(&IndexCommand::Tick);
    assert_eq!(partition.rows.seeks.get(), 0);
}

/// The bugs that these guard against: an entry that ends ten thousand restores at once, and a
/// command that looks for restores when none is due.
#[test]
fn restores_end_by_hundreds() {
    let mut partition = Partition::new();
    partition.events();
    for number in 0..250 {
        let mut put = partition.put(&format!("{number:03}"), Data::Inline(Bytes::new()));
        if let IndexCommand::PutObject { attributes, .. } = &mut put {
            attributes.class = StorageClass::Glacier;
        }
        partition.apply(&put);
        partition.restore(&format!("{number:03}"), 1000, 5000);
    }
    assert_eq!(partition.count(b'Q'), 500, "one row for each beginning and each end");
    partition.apply(&IndexCommand::EventsDelivered { through: u64::MAX });
    partition.now = partition.now.plus(999);
    partition.apply(&IndexCommand::Tick);
    partition.now = partition.now.plus(1);
    assert_eq!(partition.ask(&IndexQuery::Due { now: partition.now }), IndexView::Due(true));
    assert_eq!(
        partition.ask(&IndexQuery::Due { now: UnixMillis(partition.now.0 - 1) }),
        IndexView::Due(false)
    );
    for left in [400, 300, 250, 250] {
        let waits = partition.count(b'Q') > 250;
        assert_eq!(partition.ask(&IndexQuery::Due { now: partition.now }), IndexView::Due(waits));
        // A command of any kind does it, a repeated one too.
        partition.apply(&IndexCommand::Repaired { blob: blob_ref(1, 1).id });
        assert_eq!(partition.count(b'Q'), left);
        assert!(partition.rows.written <= 250, "{}", partition.rows.written);
    }
    assert_eq!(partition.ask(&IndexQuery::Due { now: partition.now }), IndexView::Due(false));
    // Nothing is due: no walk.
    partition.now = partition.now.plus(4999);
    partition.apply(&IndexCommand::Tick);
    partition.apply(&IndexCommand::Tick);
    assert_eq!((partition.rows.seeks.get(), partition.rows.read.get()), (0, 2));
    partition.now = partition.now.plus(1_000_000);
    for left in [150, 50, 0] {
        partition.apply(&IndexCommand::Tick);
        assert_eq!(partition.count(b'Q'), left);
    }
    assert_eq!(partition.rows.rows.get(keys::NEXT_DUE).unwrap(), None);
    // All of it was told, in order and once.
    let IndexView::Events(events) = partition.ask(&IndexQuery::Events { after: None, limit: 1000 })
    else {
        panic!("events")
    };
    let completed = |event: &Event| matches!(event.kind, EventKind::RestoreCompleted(_));
    assert_eq!(events.iter().filter(|event| completed(event)).count(), 250);
    assert!(events[250..].iter().all(|event| event.kind == EventKind::RestoreExpired));
    assert_eq!(events.len(), 500);
    assert!(events.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
}

#[test]
fn delivered_events_go_by_thousands_and_are_not_walked_over_again() {
    let mut partition = Partition::new();
    partition.events();
    for number in 0..2500 {
        partition.put_inline(&format!("{number}"));
    }
    assert_eq!(partition.count(b'E'), 2500);
    for left in [1500, 500, 100, 100] {
        partition.apply(&IndexCommand::EventsDelivered { through: 2399 });
        assert!(partition.rows.written <= 1001);
        assert_eq!(partition.count(b'E'), left);
    }
    let page = |after, limit| partition.ask(&IndexQuery::Events { after, limit });
    let numbers = |view| match view {
        IndexView::Events(events) => events.iter().map(|event| event.number).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(numbers(page(None, 3)), [2400, 2401, 2402]);
    // Where the removal ended, and the page.
    assert_eq!(partition.cost(), (4, 1));
    // What was removed before is not asked for either.
    assert_eq!(numbers(page(Some(7), 1)), [2400]);
    assert_eq!(partition.cost(), (2, 1));
    assert_eq!(numbers(page(Some(2499), 9)), [0; 0]);
    assert_eq!(numbers(page(Some(u64::MAX), 9)), [0; 0]);
    // A bucket that does not ask for events has none.
    partition.writes += 1;
    let (change, write) = (BucketChange::Events(false), write_id(partition.writes));
    partition.apply(&IndexCommand::ConfigureBucket { bucket: BUCKET, change, write });
    partition.put_inline("quiet");
    assert_eq!(partition.count(b'E'), 100);
    // The last one, and numbers that go on.
    partition.apply(&IndexCommand::EventsDelivered { through: u64::MAX });
    assert_eq!(partition.count(b'E'), 0);
    partition.events();
    partition.put_inline("again");
    let view = partition.ask(&IndexQuery::Events { after: None, limit: 9 });
    assert_eq!(numbers(view), [2500]);
}

#[test]
fn a_write_is_settled_once_it_cannot_happen_any_more() {
    let mut partition = Partition::new();
    let (blob, deadline) = (blob_ref(1, 100), partition.now.plus(1000));
    let intent = WriteIntent { bucket: BUCKET, key: "k".into(), part: None, deadline };
    let query = IndexQuery::Settled { blob: blob.id, intent };
    let put = partition.put("k", Data::Blob { blob, missing: Vec::new() });
    assert_eq!(partition.ask(&query), IndexView::Settled(None));
    partition.now = deadline;
    partition.apply(&IndexCommand::Tick);
    assert_eq!(partition.ask(&query), IndexView::Settled(None));
    partition.now = deadline.plus(1);
    partition.apply(&IndexCommand::Tick);
    assert_eq!(partition.ask(&query), IndexView::Settled(Some(false)));
    // The clock of the leader went back: the promise holds.
    partition.now = deadline;
    assert_eq!(partition.apply(&put), IndexAnswer::DeadlinePassed);
    assert_eq!(partition.ask(&query), IndexView::Settled(Some(false)));
}

/// The service refuses these; in the log of an older version they must still be harmless.
#[test]
fn commands_outside_their_bounds_are_answered() {
    let mut partition = Partition::new();
    let upload = upload_id(1);
    partition.upload("k", upload, 1..4);
    let many: Vec<u16> = (1..=20_000).collect();
    assert_eq!(partition.complete("k", upload, &many), IndexAnswer::InvalidPart { number: 4 });
    assert_eq!(partition.complete("k", upload, &[]), IndexAnswer::InvalidPart { number: 0 });
    assert_eq!(partition.complete("k", upload, &[2, 1]), IndexAnswer::InvalidPart { number: 1 });
    assert_eq!(partition.complete("k", upload, &[1, 1]), IndexAnswer::InvalidPart { number: 1 });
    partition.put_inline(&"k".repeat(70_000));
    partition.put_inline("");
    let page = partition.ask(&list("", None, None, 0));
    assert!(matches!(page, IndexView::Page { entries, next: Some(_) } if entries.len() == 1));
    let rows = vec![GarbageId { since: UnixMillis(1), number: 1 }; 5000];
    assert_eq!(partition.apply(&IndexCommand::Collected { rows }), IndexAnswer::Done);
    assert!(matches!(partition.complete("k", upload, &[1, 3]), IndexAnswer::Object(_)));
}
