//! The machine and the model side by side, and what must hold of the machine's rows.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use consensus::{ApplyContext, KvRead, MemoryKv, StateMachine};
use metastore::{
    IndexMachine,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView,
        index::{Data, Garbage, ObjectUpdate},
    },
    index::evaluate,
    keys::{index as keys, successor},
    model::IndexModel,
    rows::{AppliedWrite, PartRow, RowValue, VersionRow},
};
use types::{
    BlobId, BlobRef, BucketId, BucketSettings, Condition, Content, ObjectHead, UnixMillis,
    VersionId, Versioning,
};

use crate::{
    common::{self, Dice, Known, KnownBlob, KnownVersion, Source},
    planted_bugs::{Bug, BuggyKv},
};

/// The machine and the model, side by side.
#[derive(Default)]
pub(crate) struct Pair {
    pub(crate) rows: MemoryKv,
    pub(crate) model: IndexModel,
    pub(crate) index: u64,
    /// The leader's clock, which may go back.
    pub(crate) time: UnixMillis,
    pub(crate) source: Source,
    /// Blobs of accepted writes.
    pub(crate) accepted: BTreeSet<BlobId>,
    pub(crate) collected: BTreeSet<BlobId>,
    /// The answer to the last step.
    pub(crate) answer: Option<IndexAnswer>,
    pub(crate) bug: Option<Bug>,
}

impl Pair {
    /// Two open buckets; the dice say with which settings.
    pub(crate) fn new(dice: u8) -> Self {
        Self::with([common::settings(dice), common::settings(dice.rotate_left(4))])
    }

    pub(crate) fn with(settings: [BucketSettings; 2]) -> Self {
        let mut pair = Pair { time: UnixMillis(1_000_000), ..Self::default() };
        for (bucket, settings) in [1, 4].map(common::bucket).into_iter().zip(settings) {
            let open = IndexCommand::OpenBucket { bucket, settings };
            assert_eq!(pair.apply(&open), IndexAnswer::Done);
        }
        pair
    }

    pub(crate) fn machine(&mut self, command: &IndexCommand) -> IndexAnswer {
        self.index += 1;
        let context = ApplyContext { index: self.index, now: self.time };
        let mut command = command.clone();
        match self.bug {
            Some(Bug::Command(change)) => change(&mut command),
            Some(Bug::CommandByState(change)) => change(&mut command, &self.model),
            _ => {}
        }
        let bug = self.bug.and_then(|bug| bug.with(&command));
        let mut rows = BuggyKv(&mut self.rows, bug);
        let answer = IndexMachine.apply(&mut rows, context, &api::encode(&command)).unwrap();
        api::decode(&answer).unwrap()
    }

    pub(crate) fn apply(&mut self, command: &IndexCommand) -> IndexAnswer {
        if let IndexCommand::Collected { rows } = command {
            let gone = rows.iter().filter_map(|row| match self.model.garbage.get(row) {
                Some(Garbage::Blob(blob)) => Some(blob.id),
                _ => None,
            });
            self.collected.extend(gone.collect::<Vec<_>>());
        }
        let answer = self.machine(command);
        assert_eq!(answer, self.model.apply(self.time, command), "{command:?}");
        match (command, &answer) {
            (IndexCommand::PutObject { data, .. }, IndexAnswer::Object(_)) => self.accept(data),
            (IndexCommand::PutPart { part, .. }, IndexAnswer::Done) => self.accept(&part.data),
            (IndexCommand::ReplaceBlob { new, .. }, IndexAnswer::Done) => {
                self.accepted.insert(new.id);
            }
            _ => {}
        }
        answer
    }

    pub(crate) fn accept(&mut self, data: &Data) {
        if let Data::Blob { blob, .. } = data {
            self.accepted.insert(blob.id);
        }
    }

    pub(crate) fn ask(&self, query: &IndexQuery) -> IndexView {
        let view = match query {
            IndexQuery::Referenced { limit, .. } => self.all_referenced(*limit),
            query => self.evaluate(query),
        };
        assert_eq!(view, self.model.query(query), "{query:?}");
        view
    }

    fn evaluate(&self, query: &IndexQuery) -> IndexView {
        let view = match self.bug {
            Some(Bug::NoScanInQueries(kind)) => {
                evaluate(&BuggyKv(&mut self.rows.clone(), Some(Bug::NoScan(kind))), query)
            }
            _ => evaluate(&self.rows, query),
        };
        view.unwrap()
    }

    /// The pages one after the other: where they are cut is the machine's own affair.
    fn all_referenced(&self, limit: u32) -> IndexView {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            match self.evaluate(&IndexQuery::Referenced { after, limit }) {
                IndexView::Referenced { blobs, next } => {
                    assert!(blobs.len() <= limit.clamp(1, 1000) as usize);
                    all.extend(blobs);
                    match next {
                        Some(next) => after = Some(next),
                        None => return IndexView::Referenced { blobs: all, next: None },
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn known(&self) -> Known {
        let versions = self.model.versions.iter().flat_map(|((bucket, key), versions)| {
            versions.iter().map(|version| KnownVersion {
                bucket: *bucket,
                key: key.clone(),
                id: version.id,
                name: version.name,
                upload: match version.object.as_ref().map(|head| &head.content) {
                    Some(Content::Parts { upload, .. }) => Some(*upload),
                    _ => None,
                },
                class: version.object.as_ref().map(|it| it.attributes.class).unwrap_or_default(),
            })
        });
        let blobs = self.model.versions.iter().flat_map(|((bucket, key), versions)| {
            versions.iter().flat_map(|stored| {
                let known = |part, blob: &BlobRef| KnownBlob {
                    bucket: *bucket,
                    key: key.clone(),
                    version: stored.id,
                    part,
                    blob: blob.clone(),
                };
                match stored.object.as_ref().map(|head| &head.content) {
                    Some(Content::Blob(blob)) => vec![known(None, blob)],
                    Some(Content::Parts { upload, .. }) => {
                        let rows = self.model.parts.iter().filter(|((at, of, _), _)| {
                            at.0 == *bucket && at.1 == *key && of == upload
                        });
                        rows.filter_map(|((_, _, number), part)| match &part.data {
                            Data::Blob { blob, .. } => Some(known(Some((*upload, *number)), blob)),
                            Data::Inline(_) => None,
                        })
                        .collect()
                    }
                    _ => Vec::new(),
                }
            })
        });
        let unversioned = self.model.gates.iter().filter(|(_, settings)| {
            settings.is_some_and(|settings| settings.versioning == Versioning::Off)
        });
        Known {
            unversioned: unversioned.map(|(bucket, _)| *bucket).collect(),
            blobs: blobs.collect(),
            events_made: self.model.events_made,
            garbage: self.model.garbage.keys().copied().collect(),
            versions: versions.collect(),
        }
    }

    /// All that listings show.
    pub(crate) fn ask_all(&self) {
        for bucket in [1, 4].map(common::bucket) {
            let (prefix, delimiter, limit) = (String::new(), None, 1000);
            self.ask(&IndexQuery::Settings { bucket });
            let (p, d) = (prefix.clone(), delimiter.clone());
            self.ask(&IndexQuery::List { bucket, prefix: p, delimiter: d, after: None, limit });
            self.ask(&IndexQuery::Versions { bucket, prefix, delimiter, after: None, limit });
        }
        self.ask(&IndexQuery::Referenced { after: None, limit: 3 });
        self.ask(&self.source.blobs_query());
        self.ask(&IndexQuery::Repairs { after: None, limit: 1000 });
        self.ask(&IndexQuery::Events { after: None, limit: 1000 });
        self.ask(&IndexQuery::Due { now: UnixMillis(u64::MAX) });
    }

    pub(crate) fn step(&mut self, dice: Dice) {
        // Seconds, minutes, the end of what is remembered; sometimes back.
        let passed = [0, 0, 1, 5, 1000, 61_000, 500_000, 901_000];
        self.time = match dice[9] {
            255 => UnixMillis(self.time.0.saturating_sub(70_000)),
            dice => self.time.plus(passed[usize::from(dice) % passed.len()]),
        };
        let command = self.source.command(dice, self.time, &self.known());
        self.answer = Some(self.apply(&command));
    }

    /// Rows of a kind.
    pub(crate) fn scan(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Bytes)> {
        self.rows
            .scan(prefix, successor(prefix).as_deref())
            .map(|row| row.map(|(key, value)| (key.to_vec(), value)).unwrap())
            .collect()
    }

    /// Every accepted blob is in exactly one place; every part row has exactly one owner.
    pub(crate) fn check_storage(&self) {
        let mut places: BTreeMap<BlobId, Vec<String>> = BTreeMap::new();
        let mut owners: Vec<Vec<u8>> = Vec::new();
        let mut objects: Vec<(BucketId, String, ObjectHead)> = Vec::new();
        for (row, value) in self.scan(b"C") {
            let key = keys::key_of_head(&row).unwrap().to_owned();
            objects.push((bucket_of(&row), key, ObjectHead::decode(&value).unwrap()));
        }
        for (row, value) in self.scan(b"V") {
            if let Some(head) = VersionRow::decode(&value).unwrap().object() {
                objects.push((bucket_of(&row), keys::of_version(&row).unwrap().0, head.clone()));
            }
        }
        for (bucket, key, head) in objects {
            match head.content {
                Content::Inline(bytes) => assert_eq!(bytes.len() as u64, head.size),
                Content::Blob(blob) => {
                    assert_eq!(blob.content_bytes(), head.size);
                    places.entry(blob.id).or_default().push(format!("{key} {}", head.version));
                }
                Content::Parts { upload, count } => {
                    let prefix = keys::parts_of(bucket, &key, upload);
                    let parts = self.scan(&prefix);
                    assert_eq!(parts.len(), usize::from(count));
                    let sizes = parts.iter().map(|(_, part)| PartRow::decode(part).unwrap().size);
                    assert_eq!(sizes.sum::<u64>(), head.size);
                    owners.push(prefix);
                }
            }
        }
        for (key, _) in self.scan(b"U") {
            let (name, upload) = keys::of_upload(&key).unwrap();
            owners.push(keys::parts_of(bucket_of(&key), &name, upload));
        }
        for (key, value) in self.scan(b"G") {
            match Garbage::decode(&value).unwrap() {
                Garbage::Blob(blob) => {
                    places.entry(blob.id).or_default().push(format!("garbage {key:02x?}"));
                    assert!(self.rows.get(&keys::repair(blob.id)).unwrap().is_none());
                }
                Garbage::Upload { bucket, key, upload } => {
                    owners.push(keys::parts_of(bucket, &key, upload));
                }
            }
        }
        for (key, value) in self.scan(b"P") {
            let owned = owners.iter().filter(|prefix| key.starts_with(prefix)).count();
            assert_eq!(owned, 1, "owners of {key:02x?}");
            let part = PartRow::decode(&value).unwrap();
            if let Some(blob) = part.blob() {
                assert_eq!(blob.content_bytes(), part.size);
                places.entry(blob.id).or_default().push(format!("part {key:02x?}"));
            }
        }
        for blob in &self.accepted {
            let found = places.get(blob).map_or(0, Vec::len);
            let gone = usize::from(self.collected.contains(blob));
            assert_eq!(found + gone, 1, "{blob}: {:?} or collected {gone}", places.get(blob));
        }
        assert!(places.keys().all(|blob| self.accepted.contains(blob)));
    }

    /// The rules at the top of `index/versions.rs`, on the raw rows.
    pub(crate) fn check_versions(&self) {
        type Key = (BucketId, String);
        let mut heads = BTreeMap::<Key, ObjectHead>::new();
        for (row, value) in self.scan(b"C") {
            let key = keys::key_of_head(&row).unwrap().to_owned();
            let head = ObjectHead::decode(&value).unwrap();
            assert_eq!(head.modified, head.version.at);
            heads.insert((bucket_of(&row), key), head);
        }
        let mut others = BTreeMap::<Key, Vec<(VersionId, VersionRow)>>::new();
        let mut numbers: BTreeSet<u64> = heads.values().map(|head| head.version.number).collect();
        assert_eq!(numbers.len(), heads.len(), "a version number is used twice");
        for (row, value) in self.scan(b"V") {
            let (key, id) = keys::of_version(&row).unwrap();
            let value = VersionRow::decode(&value).unwrap();
            match &value {
                VersionRow::Object(head) => assert_eq!((head.version, head.modified), (id, id.at)),
                VersionRow::Marker { modified, .. } => assert_eq!(*modified, id.at),
            }
            assert!(numbers.insert(id.number), "a version number is used twice");
            others.entry((bucket_of(&row), key)).or_default().push((id, value));
        }
        let nulls: BTreeMap<Key, VersionId> = self
            .scan(b"O")
            .into_iter()
            .map(|(row, value)| {
                let key = String::from_utf8(row[9..].to_vec()).unwrap();
                ((bucket_of(&row), key), VersionId::decode(&value).unwrap())
            })
            .collect();
        for (key, versions) in &others {
            assert!(versions.is_sorted_by(|a, b| a.0 > b.0));
            let (latest, row) = &versions[0];
            match heads.get(key) {
                Some(head) => assert!(head.version > *latest, "{key:?}"),
                None => assert!(row.object().is_none(), "{key:?}: nothing was promoted"),
            }
            let null: Vec<_> =
                versions.iter().filter(|(_, row)| row.is_null()).map(|(id, _)| *id).collect();
            let in_head = heads.get(key).is_some_and(|head| head.null);
            assert!(null.len() + usize::from(in_head) <= 1, "{key:?} has two null versions");
            assert_eq!(null.first(), nulls.get(key), "{key:?}");
        }
        assert!(nulls.keys().all(|key| others.contains_key(key)));
        for (bucket, settings) in &self.model.gates {
            if settings.is_some_and(|settings| settings.versioning == Versioning::Off) {
                assert!(others.keys().all(|(other, _)| other != bucket));
                assert!(heads.iter().all(|((other, _), head)| other != bucket || head.null));
            }
        }
    }

    /// Every moment that a restore waits for has its row, and there are no other ones.
    pub(crate) fn check_restores(&self) {
        let mut moments = BTreeSet::new();
        for ((bucket, key), stored) in
            self.model.versions.iter().flat_map(|(at, all)| all.iter().map(move |it| (at, it)))
        {
            if let Some(restore) = stored.object.as_ref().and_then(|head| head.restore) {
                assert!(restore.expires > self.model.now, "{key} is still restored");
                for when in [restore.ready, restore.expires] {
                    if when > self.model.now {
                        moments.insert(keys::due(when, *bucket, key, stored.id));
                    }
                }
            }
        }
        let rows: BTreeSet<_> = self.scan(b"Q").into_iter().map(|(row, _)| row).collect();
        assert_eq!(rows, moments);
        if let Some(first) = rows.first() {
            let next = self.rows.get(keys::NEXT_DUE).unwrap().unwrap();
            assert!(UnixMillis::decode(&next).unwrap() <= keys::of_due(first).unwrap().0);
        }
    }

    /// The rows of applied writes and those of their age name each other.
    pub(crate) fn check_writes(&self) {
        let by_id: BTreeSet<_> = self
            .scan(b"S")
            .into_iter()
            .map(|(key, value)| {
                let write = types::WriteId::from_bytes(key[1..17].try_into().unwrap());
                keys::applied_at(AppliedWrite::decode(&value).unwrap().at, write, key[17])
            })
            .collect();
        let by_age: BTreeSet<_> = self.scan(b"T").into_iter().map(|(key, _)| key).collect();
        assert_eq!(by_id, by_age);
    }

    pub(crate) fn collect_all_garbage(&mut self) {
        while !self.model.garbage.is_empty() {
            let (row, garbage) = self.model.garbage.first_key_value().unwrap();
            let (row, is_blob) = (*row, matches!(garbage, Garbage::Blob(_)));
            self.apply(&match is_blob {
                true => IndexCommand::Collected { rows: vec![row] },
                false => IndexCommand::ExpandGarbage { row },
            });
        }
    }

    /// Deletes everything and collects it: nothing may be left.
    pub(crate) fn check_nothing_is_left(&mut self) {
        let gates = self.model.gates.iter().filter(|(_, settings)| settings.is_some());
        let buckets: Vec<BucketId> = gates.map(|(bucket, _)| *bucket).collect();
        // Every retention ends some day, and then whatever is held is let go.
        self.time = self.model.now.plus(400 * 24 * 3600 * 1000);
        let mut number = 1_000_000;
        for ((bucket, key), mut versions) in self.model.versions.clone() {
            if key.len().is_multiple_of(2) {
                versions.reverse();
            }
            for version in versions {
                number += 2;
                let (key, name) = (key.clone(), version.name);
                if version.object.is_some_and(|it| it.attributes.lock.legal_hold == Some(true)) {
                    let release = IndexCommand::UpdateObject {
                        bucket,
                        key: key.clone(),
                        version: Some(name),
                        update: ObjectUpdate::LegalHold(false),
                        write: common::write_id(number),
                        origin: Default::default(),
                    };
                    assert!(matches!(self.apply(&release), IndexAnswer::Object(_)));
                }
                let delete = IndexCommand::DeleteObject {
                    bucket,
                    key,
                    version: Some(name),
                    condition: Condition::None,
                    bypass_governance: false,
                    write: common::write_id(number + 1),
                    origin: Default::default(),
                };
                let answer = self.apply(&delete);
                assert!(
                    matches!(answer, IndexAnswer::Deleted { existed: true, version, .. } if version == Some(name))
                );
                self.check_versions();
            }
        }
        for (number, ((bucket, key), upload)) in self.model.uploads.clone().into_keys().enumerate()
        {
            let write = common::write_id(2_000_000 + number as u64);
            let abort = IndexCommand::AbortUpload { bucket, key, upload, write };
            assert_eq!(self.apply(&abort), IndexAnswer::Done);
        }
        self.check_storage();
        for bucket in buckets {
            assert_eq!(self.apply(&IndexCommand::SealBucket { bucket }), IndexAnswer::Done);
        }
        self.collect_all_garbage();
        self.check_storage();
        assert_eq!(
            self.apply(&IndexCommand::EventsDelivered { through: u64::MAX }),
            IndexAnswer::Done
        );
        for kind in [b"C", b"E", b"V", b"O", b"U", b"P", b"G", b"Q", b"R"] {
            assert_eq!(self.scan(kind), [], "rows of kind {}", kind[0] as char);
        }
        assert_eq!(self.collected, self.accepted);
        // After the memory of writes has passed, their rows go too, whatever there were.
        self.time = self.model.now.plus(1_000_000);
        self.apply(&IndexCommand::Tick);
        assert_eq!(self.scan(b"S").len() + self.scan(b"T").len(), 0);
    }
}

fn bucket_of(row: &[u8]) -> BucketId {
    BucketId(u64::from_be_bytes(row[1..9].try_into().unwrap()))
}
