//! What an index partition means: its state and what commands do. `restores` and `events` have
//! what they say, `views` the queries.

use std::collections::BTreeMap;

use types::{
    Attributes, BlobId, BlobRef, BucketId, BucketSettings, Checksum, Condition, Content, ETag,
    Match, ObjectHead, ObjectLock, Retention, UnixMillis, UploadId, Version, VersionId, Versioning,
    WriteId, WriteIntent,
};

use super::events::About;

use crate::{
    api::{
        IndexAnswer as A, IndexCommand as C,
        index::{
            BucketChange, Data, Event, EventKind, Garbage, GarbageId, ObjectUpdate, Origin, Part,
            Reason, Renamed, RepairRow, Upload,
        },
    },
    index::{EXPAND_MAX, PART_BYTES_MIN, REMEMBERED_MS, WriteKind},
};

/// A key of a bucket.
pub type Key = (BucketId, String);

/// A version of a key.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the names and types say it")]
pub struct Stored {
    pub id: VersionId,
    pub name: Version,
    /// `None`: it is a delete marker.
    pub object: Option<ObjectHead>,
}

/// An index partition as maps. The fields are its whole state.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names and types say it")]
pub struct IndexModel {
    pub now: UnixMillis,
    /// The settings behind an open gate; sealed if `None`.
    pub gates: BTreeMap<BucketId, Option<BucketSettings>>,
    /// All versions of each key, the current one last. No key without any.
    pub versions: BTreeMap<Key, Vec<Stored>>,
    pub versions_made: u64,
    pub uploads: BTreeMap<(Key, UploadId), Upload>,
    pub parts: BTreeMap<(Key, UploadId, u16), Part>,
    pub garbage: BTreeMap<GarbageId, Garbage>,
    pub garbage_made: u64,
    pub repairs: BTreeMap<BlobId, RepairRow>,
    pub answers: BTreeMap<(WriteId, WriteKind), (UnixMillis, A)>,
    pub events: Vec<Event>,
    pub events_made: u64,
}

impl IndexModel {
    /// Applies a command at a time.
    pub fn apply(&mut self, now: UnixMillis, command: &C) -> A {
        let before = self.now;
        self.now = self.now.max(now);
        self.pass(before);
        let write = crate::index::write_of(command);
        if let Some(write) = write
            && let Some((at, answer)) = self.answers.get(&write)
            && self.now.since(*at) <= REMEMBERED_MS
        {
            return answer.clone();
        }
        let answer = self.change(command);
        if let Some(write) = write
            && !matches!(answer, A::BucketNotOpen | A::BucketSealed | A::DeadlinePassed)
        {
            self.answers.insert(write, (self.now, answer.clone()));
        }
        answer
    }

    fn change(&mut self, command: &C) -> A {
        match command {
            C::OpenBucket { bucket, settings } => match self.gates.get(bucket) {
                Some(None) => A::BucketSealed,
                Some(Some(_)) => A::Done,
                None => {
                    self.gates.insert(*bucket, Some(*settings));
                    A::Done
                }
            },
            C::ConfigureBucket { bucket, change, .. } => {
                use BucketChange as B;
                if let Some(no) = self.refused(*bucket, command) {
                    return no;
                }
                let now = self.settings(*bucket);
                let next = match (*change, now.versioning, now.lock) {
                    (B::Versioning(Versioning::Off), ..) => None,
                    (B::Versioning(Versioning::Suspended), _, Some(_)) => None,
                    (B::Versioning(versioning), ..) => Some(BucketSettings { versioning, ..now }),
                    (B::Lock(lock), Versioning::Enabled, _) => {
                        Some(BucketSettings { lock: Some(lock), ..now })
                    }
                    (B::Lock(_), ..) => None,
                    (B::Events(events), ..) => Some(BucketSettings { events, ..now }),
                };
                if next.is_none() {
                    return A::BucketState;
                }
                self.gates.insert(*bucket, next);
                A::Done
            }
            C::SealBucket { bucket } => {
                let used = self.versions.keys().any(|(b, _)| b == bucket)
                    || self.uploads.keys().any(|((b, _), _)| b == bucket);
                if used {
                    return A::NotEmpty;
                }
                self.gates.insert(*bucket, None);
                A::Done
            }
            C::PutObject {
                bucket,
                key,
                condition,
                size,
                etag,
                attributes,
                checksum,
                data,
                renamed,
                origin,
                deadline,
                ..
            } => {
                let at = (*bucket, key.clone());
                let no = self
                    .refused(*bucket, command)
                    .or_else(|| self.late(*deadline))
                    .or_else(|| self.lockless(*bucket, attributes))
                    .or_else(|| self.unmovable(&at, renamed.as_ref()))
                    .or_else(|| fails(condition, self.current(&at)));
                if let Some(no) = no {
                    return no;
                }
                let content = match data {
                    Data::Inline(bytes) => Content::Inline(bytes.clone()),
                    Data::Blob { blob, .. } => Content::Blob(blob.clone()),
                };
                let attributes = self.handed_over(*bucket, renamed.as_ref(), attributes);
                let head = self.make(&at, (*size, *etag, checksum), &attributes, content);
                self.missing(&at, None, *deadline, data);
                self.created(&at, &head, renamed.as_ref(), origin);
                A::Object(Box::new(head))
            }
            C::DeleteObject {
                bucket, key, version, condition, bypass_governance, origin, ..
            } => {
                let at = (*bucket, key.clone());
                if let Some(no) = self.refused(*bucket, command) {
                    return no;
                }
                let about = version.map_or(About::Current, About::Version);
                let gone = self.subject(&at, about);
                let answer = match version {
                    None => self.delete(&at, condition),
                    Some(version) => {
                        self.delete_version(&at, *version, condition, *bypass_governance)
                    }
                };
                match (&answer, gone) {
                    (A::Deleted { version: Some(marker), .. }, _) if version.is_none() => {
                        let marker = self.subject(&at, About::Version(*marker));
                        self.happened(&at, EventKind::MarkerCreated, marker, origin);
                    }
                    (A::Deleted { existed: true, .. }, gone) => {
                        self.happened(&at, EventKind::Deleted, gone, origin);
                    }
                    _ => {}
                }
                answer
            }
            C::UpdateObject { bucket, key, version, update, origin, .. } => self
                .refused(*bucket, command)
                .unwrap_or_else(|| self.update(&(*bucket, key.clone()), *version, update, origin)),
            C::ReplaceBlob { bucket, key, version, part, old, new, missing, deadline, .. } => {
                let at = (*bucket, key.clone());
                if let Some(no) = self.refused(*bucket, command).or_else(|| self.late(*deadline)) {
                    return no;
                }
                let Some(place) = self.blob_place(&at, *version, *part) else { return A::Moved };
                let same_bytes = place.content_bytes() == new.content_bytes();
                if place.id != *old || new.id == *old || !same_bytes {
                    return A::Moved;
                }
                let gone = std::mem::replace(place, new.clone());
                self.bury(self.now, Garbage::Blob(gone));
                let (blob, missing) = (new.clone(), missing.clone());
                self.missing(&at, *part, *deadline, &Data::Blob { blob, missing });
                A::Done
            }
            C::CreateUpload { bucket, upload, .. } => {
                let lockless = || self.lockless(*bucket, &upload.attributes);
                if let Some(no) = self.refused(*bucket, command).or_else(lockless) {
                    return no;
                }
                let id = ((*bucket, upload.key.clone()), upload.id);
                if self.uploads.contains_key(&id) {
                    return A::Done;
                }
                if !self.parts_of(&id).is_empty() {
                    return A::NoSuchUpload;
                }
                self.uploads.insert(id, Upload { initiated: self.now, ..upload.clone() });
                A::Done
            }
            C::PutPart { bucket, key, upload, part, deadline, .. } => {
                let at = (*bucket, key.clone());
                if let Some(no) = self.closed(*bucket).or_else(|| self.late(*deadline)) {
                    return no;
                }
                if !self.uploads.contains_key(&(at.clone(), *upload)) {
                    return A::NoSuchUpload;
                }
                let row = (at.clone(), *upload, part.number);
                let mut part = part.clone();
                part.modified = self.now;
                let old = self.parts.remove(&row).and_then(|old| blob_of(&old.data));
                if let Some(old) = old
                    && blob_of(&part.data).is_none_or(|new| new.id != old.id)
                {
                    self.bury(self.now, Garbage::Blob(old));
                }
                self.missing(&at, Some((*upload, part.number)), *deadline, &part.data);
                if let Data::Blob { missing, .. } = &mut part.data {
                    missing.clear();
                }
                self.parts.insert(row, part);
                A::Done
            }
            C::CompleteUpload { bucket, key, upload, .. } => self
                .refused(*bucket, command)
                .unwrap_or_else(|| self.complete(&((*bucket, key.clone()), *upload), command)),
            C::AbortUpload { bucket, key, upload, .. } => {
                let id = ((*bucket, key.clone()), *upload);
                if let Some(no) = self.refused(*bucket, command) {
                    return no;
                }
                if self.uploads.remove(&id).is_none() {
                    return A::NoSuchUpload;
                }
                if !self.parts_of(&id).is_empty() {
                    self.bury_upload(&id);
                }
                A::Done
            }
            C::Collected { rows } => {
                for row in rows {
                    if matches!(self.garbage.get(row), Some(Garbage::Blob(_))) {
                        self.garbage.remove(row);
                    }
                }
                A::Done
            }
            C::ExpandGarbage { row } => {
                if let Some(Garbage::Upload { bucket, key, upload }) = self.garbage.get(row) {
                    let id = ((*bucket, key.clone()), *upload);
                    for part in self.parts_of(&id).into_iter().take(EXPAND_MAX) {
                        self.parts.remove(&(id.0.clone(), id.1, part.number));
                        if let Some(blob) = blob_of(&part.data) {
                            self.bury(row.since, Garbage::Blob(blob));
                        }
                    }
                    if self.parts_of(&id).is_empty() {
                        self.garbage.remove(row);
                    }
                }
                A::Done
            }
            C::Repaired { blob } => {
                self.repairs.remove(blob);
                A::Done
            }
            C::EventsDelivered { through } => {
                let done = self.events.iter().filter(|event| event.number <= *through).count();
                self.events.drain(..done.min(1000));
                A::Done
            }
            C::Tick => A::Done,
        }
    }

    fn complete(&mut self, id: &(Key, UploadId), command: &C) -> A {
        let C::CompleteUpload { condition, parts, etag, checksum, size, renamed, origin, .. } =
            command
        else {
            unreachable!("called for CompleteUpload only")
        };
        let Some(upload) = self.uploads.get(id) else {
            return match self.current(&id.0) {
                Some(head) if is_from(head, id.1) => A::Object(Box::new(head.clone())),
                _ => A::NoSuchUpload,
            };
        };
        let held = self.parts_of(id);
        let (mut sum, mut before) = (0, 0);
        if parts.is_empty() {
            return A::InvalidPart { number: 0 };
        }
        for (number, md5) in parts {
            let part = held.iter().find(|part| part.number == *number && part.md5 == *md5);
            match part {
                Some(part) if *number > before => sum += part.size,
                _ => return A::InvalidPart { number: *number },
            }
            before = *number;
        }
        let listed = |part: &&Part| parts.iter().any(|(number, _)| *number == part.number);
        let small =
            held.iter().filter(listed).find(|p| p.size < PART_BYTES_MIN && p.number < before);
        if let Some(Part { number, size, .. }) = small {
            return A::PartTooSmall { number: *number, size: *size };
        }
        if size.is_some_and(|size| size != sum) {
            return A::SizeMismatch { actual: sum };
        }
        let attributes = upload.attributes.clone();
        let unmovable = self.unmovable(&id.0, renamed.as_ref());
        if let Some(no) = unmovable.or_else(|| fails(condition, self.current(&id.0))) {
            return no;
        }
        let attributes = self.handed_over(id.0.0, renamed.as_ref(), &attributes);
        let content = Content::Parts { upload: id.1, count: parts.len() as u16 };
        let head = self.make(&id.0, (sum, *etag, checksum), &attributes, content);
        self.uploads.remove(id);
        for part in held.iter().filter(|part| !listed(part)) {
            self.parts.remove(&(id.0.clone(), id.1, part.number));
            if let Some(blob) = blob_of(&part.data) {
                self.bury(self.now, Garbage::Blob(blob));
            }
        }
        self.created(&id.0, &head, renamed.as_ref(), origin);
        A::Object(Box::new(head))
    }

    /// Why a key cannot take the object of another one.
    fn unmovable(&self, to: &Key, renamed: Option<&Renamed>) -> Option<A> {
        let Renamed { from, version } = renamed?;
        if self.settings(to.0).versioning != Versioning::Off {
            return Some(A::BucketState);
        }
        match self.current(&(to.0, from.clone())) {
            None => Some(A::NoSuchKey),
            Some(head) if head.version != *version || *from == to.1 => Some(A::SourceChanged),
            Some(_) => None,
        }
    }

    /// The attributes of a new object: one that was another key's keeps the tags that it has.
    fn handed_over(
        &self,
        bucket: BucketId,
        renamed: Option<&Renamed>,
        attributes: &Attributes,
    ) -> Attributes {
        let source = renamed.and_then(|it| self.current(&(bucket, it.from.clone())));
        let tags = source.map_or(&attributes.tags, |source| &source.attributes.tags).clone();
        Attributes { tags, ..attributes.clone() }
    }

    /// An object was made; if it was another key's, that key is no more.
    fn created(&mut self, at: &Key, head: &ObjectHead, renamed: Option<&Renamed>, origin: &Origin) {
        let made = self.subject(at, About::Version(head.name()));
        self.happened(at, EventKind::Created, made, origin);
        if let Some(Renamed { from, .. }) = renamed {
            let source = (at.0, from.clone());
            let gone = self.subject(&source, About::Current);
            for version in self.versions.remove(&source).unwrap_or_default() {
                self.release(&source, version);
            }
            let origin = Origin { reason: Reason::RenameObject, ..origin.clone() };
            self.happened(&source, EventKind::Deleted, gone, &origin);
        }
    }

    /// The blob of a version of one blob, or of a part of a version that its upload made.
    fn blob_place(
        &mut self,
        at: &Key,
        version: VersionId,
        part: Option<(UploadId, u16)>,
    ) -> Option<&mut BlobRef> {
        let mut versions = self.versions.get_mut(at)?.iter_mut();
        let head = versions.find(|stored| stored.id == version)?.object.as_mut()?;
        match part {
            None => match &mut head.content {
                Content::Blob(blob) => Some(blob),
                _ => None,
            },
            Some((upload, _)) if !is_from(head, upload) => None,
            Some((upload, number)) => {
                match &mut self.parts.get_mut(&(at.clone(), upload, number))?.data {
                    Data::Blob { blob, .. } => Some(blob),
                    Data::Inline(_) => None,
                }
            }
        }
    }

    /// Makes an object the last version of a key.
    fn make(
        &mut self,
        at: &Key,
        (size, etag, checksum): (u64, ETag, &Option<Checksum>),
        attributes: &Attributes,
        content: Content,
    ) -> ObjectHead {
        let settings = self.settings(at.0);
        let mut attributes = attributes.clone();
        if let Some(default) = settings.lock.and_then(|lock| lock.default) {
            let until = default.period.after(self.now);
            attributes.lock.retention.get_or_insert(Retention { mode: default.mode, until });
        }
        let checksum = checksum.clone();
        let (version, modified) = (self.next_id(), self.now);
        let null = settings.versioning != Versioning::Enabled;
        let head = ObjectHead {
            version,
            null,
            size,
            etag,
            modified,
            attributes,
            checksum,
            content,
            restore: None,
        };
        self.push(at, head.name(), Some(head.clone()), version);
        head
    }

    fn next_id(&mut self) -> VersionId {
        let id = VersionId { at: self.now, number: self.versions_made };
        self.versions_made += 1;
        id
    }

    /// Adds the last version of a key. A version of the same name goes: there is one, if
    /// any, only of the name `null`.
    fn push(&mut self, at: &Key, name: Version, object: Option<ObjectHead>, id: VersionId) {
        let blob = |stored: &Stored| match stored.object.as_ref().map(|head| &head.content) {
            Some(Content::Blob(blob)) => Some(blob.id),
            _ => None,
        };
        let new = Stored { id, name, object };
        let mut versions = self.versions.remove(at).unwrap_or_default();
        // The same blob again: it has one version.
        versions.pop_if(|last| blob(last).is_some() && blob(last) == blob(&new));
        if let Some(place) = versions.iter().position(|version| version.name == name) {
            self.release(at, versions.remove(place));
        }
        versions.push(new);
        self.versions.insert(at.clone(), versions);
    }

    fn delete(&mut self, at: &Key, condition: &Condition) -> A {
        if let Some(no) = fails(condition, self.current(at)) {
            return no;
        }
        let existed = self.current(at).is_some();
        let id = match self.settings(at.0).versioning {
            Versioning::Off => {
                for gone in self.versions.remove(at).unwrap_or_default() {
                    self.release(at, gone);
                }
                return A::Deleted { existed, version: None, marker: false };
            }
            _ => self.next_id(),
        };
        let name = match self.settings(at.0).versioning {
            Versioning::Enabled => Version::Id(id),
            _ => Version::Null,
        };
        self.push(at, name, None, id);
        A::Deleted { existed, version: Some(name), marker: true }
    }

    fn delete_version(
        &mut self,
        at: &Key,
        name: Version,
        condition: &Condition,
        bypass: bool,
    ) -> A {
        let mut versions = self.versions.get(at).cloned().unwrap_or_default();
        let place = versions.iter().position(|version| version.name == name);
        let object = place.and_then(|place| versions[place].object.as_ref());
        let marker_id = place.filter(|_| object.is_none()).map(|place| versions[place].id);
        let names_it = |asked: &Match| marker_id.is_some_and(|id| asked.is_exactly(id));
        if let Some(no) = fails(condition, object)
            && !matches!(condition, Condition::Match(asked) if names_it(asked))
        {
            return no;
        }
        if object.is_some_and(|head| head.attributes.lock.forbids_delete(self.now, bypass)) {
            return A::Locked;
        }
        let marker = place.is_some() && object.is_none();
        if let Some(place) = place {
            self.release(at, versions.remove(place));
            self.versions.insert(at.clone(), versions);
            self.versions.retain(|_, versions| !versions.is_empty());
        }
        A::Deleted { existed: place.is_some(), version: Some(name), marker }
    }

    fn update(
        &mut self,
        at: &Key,
        name: Option<Version>,
        update: &ObjectUpdate,
        origin: &Origin,
    ) -> A {
        use ObjectUpdate as U;
        let has_lock = self.settings(at.0).lock.is_some();
        let now = self.now;
        if !has_lock && matches!(update, U::Retention { .. } | U::LegalHold(_)) {
            return A::NoLock;
        }
        let versions = self.versions.get_mut(at).map(Vec::as_mut_slice).unwrap_or_default();
        let stored = match name {
            None => versions.last_mut(),
            Some(name) => versions.iter_mut().find(|version| version.name == name),
        };
        let head = match stored {
            None if name.is_some() => return A::NoSuchVersion,
            None => return A::NoSuchKey,
            Some(Stored { name, object: None, .. }) => return A::DeleteMarker { version: *name },
            Some(Stored { object: Some(head), .. }) => head,
        };
        let before = head.clone();
        let mut kinds = Vec::new();
        match update {
            U::Tags(tags) => {
                head.attributes.tags = tags.clone();
                let none = tags.is_empty();
                kinds.push(if none { EventKind::TagsRemoved } else { EventKind::TagsSet });
            }
            U::Retention { to, bypass_governance } => {
                if !head.attributes.lock.allows_retention(*to, now, *bypass_governance) {
                    return A::Locked;
                }
                head.attributes.lock.retention = *to;
            }
            U::LegalHold(hold) => head.attributes.lock.legal_hold = Some(*hold),
            U::Class { to, version } => {
                if *version != head.version {
                    return A::ConditionFailed;
                }
                (head.attributes.class, head.restore) = (*to, None);
                kinds.push(EventKind::ClassChanged(*to));
            }
            U::Restore { ready_after_ms, readable_ms, day_ms } => {
                let days = (*ready_after_ms, *readable_ms, *day_ms);
                match super::restores::restored(head, now, days) {
                    Ok(restore) => {
                        let goes_on = before.restore.is_some_and(|it| it.is_readable(now));
                        head.restore = Some(restore);
                        if !goes_on {
                            kinds.push(EventKind::RestoreBegun);
                        }
                        if !goes_on && restore.ready <= now {
                            kinds.push(EventKind::RestoreCompleted(restore.expires));
                        }
                    }
                    Err(no) => return no,
                }
            }
        }
        let answer = A::Object(Box::new(head.clone()));
        for kind in kinds {
            let origin = match kind {
                EventKind::RestoreCompleted(_) => &super::restores::nobody(),
                _ => origin,
            };
            self.happened(at, kind, Some(super::events::of_object(&before)), origin);
        }
        answer
    }

    /// The settings of an open gate.
    pub(super) fn settings(&self, bucket: BucketId) -> BucketSettings {
        self.gates.get(&bucket).copied().flatten().unwrap_or_default()
    }

    /// The current object of a key.
    pub fn current(&self, at: &Key) -> Option<&ObjectHead> {
        self.versions.get(at)?.last()?.object.as_ref()
    }

    fn lockless(&self, bucket: BucketId, attributes: &Attributes) -> Option<A> {
        let asks = attributes.lock != ObjectLock::default();
        (asks && self.settings(bucket).lock.is_none()).then_some(A::NoLock)
    }

    pub(super) fn closed(&self, bucket: BucketId) -> Option<A> {
        match self.gates.get(&bucket) {
            Some(Some(_)) => None,
            Some(None) => Some(A::BucketSealed),
            None => Some(A::BucketNotOpen),
        }
    }

    /// Why a command on a bucket is refused whatever it is about: the gate, or its age.
    fn refused(&self, bucket: BucketId, command: &C) -> Option<A> {
        self.closed(bucket).or_else(|| {
            let write = match command {
                C::PutObject { .. } | C::PutPart { .. } | C::ReplaceBlob { .. } => None,
                command => crate::index::write_of(command),
            }?;
            let id = write.0.0;
            let made = id.get_timestamp().filter(|_| id.get_version_num() == 7)?;
            let (seconds, nanos) = made.to_unix();
            let made = UnixMillis(seconds * 1000 + u64::from(nanos) / 1_000_000);
            (self.now > made.plus(10 * 60 * 1000)).then_some(A::DeadlinePassed)
        })
    }

    fn late(&self, deadline: UnixMillis) -> Option<A> {
        (self.now > deadline).then_some(A::DeadlinePassed)
    }

    /// The bytes of a removed version lose their reference.
    fn release(&mut self, at: &Key, gone: Stored) {
        match gone.object.map(|head| head.content) {
            Some(Content::Blob(blob)) => self.bury(self.now, Garbage::Blob(blob)),
            Some(Content::Parts { upload, .. }) => self.bury_upload(&(at.clone(), upload)),
            Some(Content::Inline(_)) | None => {}
        }
    }

    fn bury(&mut self, since: UnixMillis, garbage: Garbage) {
        if let Garbage::Blob(blob) = &garbage {
            self.repairs.remove(&blob.id);
        }
        self.garbage.insert(GarbageId { since, number: self.garbage_made }, garbage);
        self.garbage_made += 1;
    }

    fn bury_upload(&mut self, ((bucket, key), upload): &(Key, UploadId)) {
        let garbage = Garbage::Upload { bucket: *bucket, key: key.clone(), upload: *upload };
        self.bury(self.now, garbage);
    }

    fn missing(
        &mut self,
        at: &Key,
        part: Option<(UploadId, u16)>,
        deadline: UnixMillis,
        data: &Data,
    ) {
        if let Data::Blob { blob, missing } = data
            && !missing.is_empty()
        {
            let intent = WriteIntent { bucket: at.0, key: at.1.clone(), part, deadline };
            let row = RepairRow { blob: blob.clone(), missing: missing.clone(), intent };
            self.repairs.insert(blob.id, row);
        }
    }

    pub(super) fn parts_of(&self, (at, upload): &(Key, UploadId)) -> Vec<Part> {
        let of = self.parts.iter().filter(|((a, u, _), _)| a == at && u == upload);
        of.map(|(_, part)| part.clone()).collect()
    }
}

pub(super) fn blob_of(data: &Data) -> Option<BlobRef> {
    match data {
        Data::Inline(_) => None,
        Data::Blob { blob, .. } => Some(blob.clone()),
    }
}

pub(super) fn is_from(head: &ObjectHead, upload: UploadId) -> bool {
    matches!(head.content, Content::Parts { upload: from, .. } if from == upload)
}

/// What to answer if the condition does not hold.
fn fails(condition: &Condition, object: Option<&ObjectHead>) -> Option<A> {
    match (condition, object) {
        (Condition::Absent, Some(_)) => Some(A::ConditionFailed),
        (Condition::Match(_), None) => Some(A::NoSuchKey),
        (Condition::Match(asked), Some(head)) => {
            let tag = asked.etag.clone().unwrap_or("*".into());
            let differs = (tag != "*" && tag != head.etag.to_string())
                || asked.size.unwrap_or(head.size) != head.size
                || asked.modified_s.is_some_and(|s| s != head.modified.0 / 1000)
                || asked.version.is_some_and(|version| version != head.version);
            differs.then_some(A::ConditionFailed)
        }
        _ => None,
    }
}
