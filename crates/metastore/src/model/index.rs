//! What an index partition means.

use std::collections::BTreeMap;

use types::{
    BlobId, BlobRef, BucketId, Condition, Content, ObjectHead, UnixMillis, UploadId, WriteId,
    WriteIntent,
};

use crate::{
    api::{
        IndexAnswer as A, IndexCommand as C, IndexQuery as Q, IndexView as V,
        index::{
            Data, Garbage, GarbageId, ListAfter, ListEntry, ListedObject, Part, RepairRow, Segment,
            Upload,
        },
    },
    index::{EXPAND_MAX, PART_BYTES_MIN, REMEMBERED_MS, WriteKind},
};

type Key = (BucketId, String);

/// An index partition as maps. The fields are its whole state.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "the names and types say it")]
pub struct IndexModel {
    pub now: UnixMillis,
    /// Whether the gate is open; sealed if not.
    pub gates: BTreeMap<BucketId, bool>,
    pub objects: BTreeMap<Key, ObjectHead>,
    pub uploads: BTreeMap<(Key, UploadId), Upload>,
    pub parts: BTreeMap<(Key, UploadId, u16), Part>,
    pub garbage: BTreeMap<GarbageId, Garbage>,
    pub garbage_made: u64,
    pub repairs: BTreeMap<BlobId, RepairRow>,
    pub answers: BTreeMap<(WriteId, WriteKind), (UnixMillis, A)>,
}

impl IndexModel {
    /// Applies a command at a time.
    pub fn apply(&mut self, now: UnixMillis, command: &C) -> A {
        self.now = self.now.max(now);
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
            C::OpenBucket { bucket } => match self.gates.get(bucket) {
                Some(false) => A::BucketSealed,
                _ => {
                    self.gates.insert(*bucket, true);
                    A::Done
                }
            },
            C::SealBucket { bucket } => {
                let used = self.objects.keys().any(|(b, _)| b == bucket)
                    || self.uploads.keys().any(|((b, _), _)| b == bucket);
                if used {
                    return A::NotEmpty;
                }
                self.gates.insert(*bucket, false);
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
                deadline,
                ..
            } => {
                let at = (*bucket, key.clone());
                if let Some(no) = self.closed(*bucket).or_else(|| self.late(*deadline)) {
                    return no;
                }
                if let Some(no) = self.fails(condition, &at) {
                    return no;
                }
                let content = match data {
                    Data::Inline(bytes) => Content::Inline(bytes.clone()),
                    Data::Blob { blob, .. } => Content::Blob(blob.clone()),
                };
                self.replace(&at, Some(&content));
                self.missing(&at, None, *deadline, data);
                let (size, etag, attributes) = (*size, *etag, attributes.clone());
                let checksum = checksum.clone();
                let modified = self.now;
                let head = ObjectHead { size, etag, modified, attributes, checksum, content };
                self.objects.insert(at, head.clone());
                A::Object(Box::new(head))
            }
            C::DeleteObject { bucket, key, condition, .. } => {
                let at = (*bucket, key.clone());
                if let Some(no) = self.closed(*bucket).or_else(|| self.fails(condition, &at)) {
                    return no;
                }
                self.replace(&at, None);
                A::Deleted { existed: self.objects.remove(&at).is_some() }
            }
            C::CreateUpload { bucket, upload, .. } => {
                if let Some(no) = self.closed(*bucket) {
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
                .closed(*bucket)
                .unwrap_or_else(|| self.complete(&((*bucket, key.clone()), *upload), command)),
            C::AbortUpload { bucket, key, upload, .. } => {
                let id = ((*bucket, key.clone()), *upload);
                if let Some(no) = self.closed(*bucket) {
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
            C::Tick => A::Done,
        }
    }

    fn complete(&mut self, id: &(Key, UploadId), command: &C) -> A {
        let C::CompleteUpload { condition, parts, etag, checksum, size, .. } = command else {
            unreachable!("called for CompleteUpload only")
        };
        let Some(upload) = self.uploads.get(id) else {
            return match self.objects.get(&id.0) {
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
        if let Some(no) = self.fails(condition, &id.0) {
            return no;
        }
        self.replace(&id.0, None);
        self.uploads.remove(id);
        for part in held.iter().filter(|part| !listed(part)) {
            self.parts.remove(&(id.0.clone(), id.1, part.number));
            if let Some(blob) = blob_of(&part.data) {
                self.bury(self.now, Garbage::Blob(blob));
            }
        }
        let head = ObjectHead {
            size: sum,
            etag: *etag,
            modified: self.now,
            attributes,
            checksum: checksum.clone(),
            content: Content::Parts { upload: id.1, count: parts.len() as u16 },
        };
        self.objects.insert(id.0.clone(), head.clone());
        A::Object(Box::new(head))
    }

    fn closed(&self, bucket: BucketId) -> Option<A> {
        match self.gates.get(&bucket) {
            Some(true) => None,
            Some(false) => Some(A::BucketSealed),
            None => Some(A::BucketNotOpen),
        }
    }

    fn late(&self, deadline: UnixMillis) -> Option<A> {
        (self.now > deadline).then_some(A::DeadlinePassed)
    }

    fn fails(&self, condition: &Condition, at: &Key) -> Option<A> {
        match (condition, self.objects.get(at)) {
            (Condition::Absent, Some(_)) => Some(A::ConditionFailed),
            (Condition::Match(_), None) => Some(A::NoSuchKey),
            (Condition::Match(tag), Some(head)) if tag != "*" && *tag != head.etag.to_string() => {
                Some(A::ConditionFailed)
            }
            _ => None,
        }
    }

    /// The bytes of the key's object lose their reference.
    fn replace(&mut self, at: &Key, by: Option<&Content>) {
        match self.objects.get(at).map(|head| head.content.clone()) {
            Some(Content::Blob(blob)) if !matches!(by, Some(Content::Blob(new)) if new.id == blob.id) =>
            {
                self.bury(self.now, Garbage::Blob(blob));
            }
            Some(Content::Parts { upload, .. }) => self.bury_upload(&(at.clone(), upload)),
            _ => {}
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

    fn parts_of(&self, (at, upload): &(Key, UploadId)) -> Vec<Part> {
        let of = self.parts.iter().filter(|((a, u, _), _)| a == at && u == upload);
        of.map(|(_, part)| part.clone()).collect()
    }

    /// Answers a query.
    pub fn query(&self, query: &Q) -> V {
        let gate = match query {
            Q::Head { bucket, .. }
            | Q::Segments { bucket, .. }
            | Q::List { bucket, .. }
            | Q::Upload { bucket, .. }
            | Q::Uploads { bucket, .. }
            | Q::Parts { bucket, .. } => self.closed(*bucket),
            Q::Settled { .. } | Q::Garbage { .. } | Q::Repairs { .. } => None,
        };
        match gate {
            Some(A::BucketSealed) => V::BucketSealed,
            Some(_) => V::BucketNotOpen,
            None => self.view(query),
        }
    }

    fn view(&self, query: &Q) -> V {
        match query {
            Q::Head { bucket, key } => {
                V::Object(self.objects.get(&(*bucket, key.clone())).cloned().map(Box::new))
            }
            Q::Segments { bucket, key, upload, start, end } => {
                let at = (*bucket, key.clone());
                if !self.objects.get(&at).is_some_and(|head| is_from(head, *upload)) {
                    return V::NoSuchUpload;
                }
                let mut offset = 0;
                let mut segments = Vec::new();
                for Part { number, size, data, .. } in self.parts_of(&(at, *upload)) {
                    if offset < *end && offset + size > *start {
                        segments.push(Segment { number, offset, size, data });
                    }
                    offset += size;
                }
                V::Segments(segments)
            }
            Q::List { bucket, prefix, delimiter, after, limit } => {
                let mut lines: Vec<ListEntry> = Vec::new();
                for ((b, key), head) in &self.objects {
                    let past = match after {
                        None => true,
                        Some(ListAfter::Key(at)) => key > at,
                        Some(ListAfter::Prefix(at)) => key > at && !key.starts_with(at),
                    };
                    if b != bucket || !key.starts_with(prefix) || !past {
                        continue;
                    }
                    let line = match fold(key, prefix, delimiter) {
                        Some(folded) => ListEntry::CommonPrefix(folded),
                        None => ListEntry::Object(ListedObject {
                            key: key.clone(),
                            size: head.size,
                            etag: head.etag,
                            modified: head.modified,
                            checksum: head.checksum.as_ref().map(|c| (c.algorithm, c.kind)),
                        }),
                    };
                    if lines.last() != Some(&line) {
                        lines.push(line);
                    }
                }
                let limit = (*limit).clamp(1, 1000) as usize;
                let next = (lines.len() > limit).then(|| match &lines[limit - 1] {
                    ListEntry::Object(object) => ListAfter::Key(object.key.clone()),
                    ListEntry::CommonPrefix(folded) => ListAfter::Prefix(folded.clone()),
                });
                lines.truncate(limit);
                V::Page { entries: lines, next }
            }
            Q::Upload { bucket, key, upload } => V::Upload(
                self.uploads.get(&((*bucket, key.clone()), *upload)).cloned().map(Box::new),
            ),
            Q::Uploads { bucket, prefix, delimiter, after, limit } => {
                // A line is an upload, or the prefix that it is folded into.
                let mut lines: Vec<(String, Option<Upload>)> = Vec::new();
                for (((b, key), id), upload) in &self.uploads {
                    let past = match after {
                        None => true,
                        Some((at, Some(after))) => (key, id) > (at, after),
                        Some((at, None)) if fold(at, prefix, delimiter).as_ref() == Some(at) => {
                            key > at && !key.starts_with(at)
                        }
                        Some((at, None)) => key > at,
                    };
                    if b != bucket || !key.starts_with(prefix) || !past {
                        continue;
                    }
                    let line = match fold(key, prefix, delimiter) {
                        Some(folded) => (folded, None),
                        None => (key.clone(), Some(upload.clone())),
                    };
                    if lines.last() != Some(&line) {
                        lines.push(line);
                    }
                }
                let limit = (*limit).clamp(1, 1000) as usize;
                let next = (lines.len() > limit).then(|| {
                    let (key, upload) = &lines[limit - 1];
                    (key.clone(), upload.as_ref().map(|upload| upload.id))
                });
                lines.truncate(limit);
                let prefixes = lines
                    .iter()
                    .filter(|line| line.1.is_none())
                    .map(|line| line.0.clone())
                    .collect();
                let uploads = lines.into_iter().filter_map(|line| line.1).collect();
                V::Uploads { uploads, prefixes, next }
            }
            Q::Parts { bucket, key, upload, after, limit } => {
                let id = ((*bucket, key.clone()), *upload);
                let Some(upload) = self.uploads.get(&id) else { return V::NoSuchUpload };
                let mut parts = self.parts_of(&id);
                parts.retain(|part| part.number > *after);
                let limit = (*limit).clamp(1, 10_000) as usize;
                let truncated = parts.len() > limit;
                parts.truncate(limit);
                V::Parts { upload: Box::new(upload.clone()), parts, truncated }
            }
            Q::Settled { blob, intent } => {
                let at = (intent.bucket, intent.key.clone());
                let head = self.objects.get(&at);
                let found = match intent.part {
                    None => match head.map(|head| &head.content) {
                        Some(Content::Blob(found)) => Some(found.clone()),
                        _ => None,
                    },
                    Some((upload, number)) => self
                        .parts
                        .get(&(at.clone(), upload, number))
                        .filter(|_| {
                            head.is_some_and(|head| is_from(head, upload))
                                || self.uploads.contains_key(&(at, upload))
                        })
                        .and_then(|part| blob_of(&part.data)),
                };
                let referenced = found.is_some_and(|found| found.id == *blob);
                V::Settled((referenced || self.now > intent.deadline).then_some(referenced))
            }
            Q::Garbage { before, limit } => V::Garbage(
                self.garbage
                    .iter()
                    .filter(|(id, _)| id.since < *before)
                    .take((*limit).clamp(1, 1000) as usize)
                    .map(|(id, garbage)| (*id, garbage.clone()))
                    .collect(),
            ),
            Q::Repairs { after, limit } => V::Repairs(
                self.repairs
                    .values()
                    .filter(|row| after.is_none_or(|after| row.blob.id > after))
                    .take((*limit).clamp(1, 1000) as usize)
                    .cloned()
                    .collect(),
            ),
        }
    }
}

fn blob_of(data: &Data) -> Option<BlobRef> {
    match data {
        Data::Inline(_) => None,
        Data::Blob { blob, .. } => Some(blob.clone()),
    }
}

fn is_from(head: &ObjectHead, upload: UploadId) -> bool {
    matches!(head.content, Content::Parts { upload: from, .. } if from == upload)
}

/// The common prefix of a key, if it has one.
fn fold(key: &str, prefix: &str, delimiter: &Option<String>) -> Option<String> {
    let delimiter = delimiter.as_ref().filter(|delimiter| !delimiter.is_empty())?;
    let (head, _) = key.strip_prefix(prefix)?.split_once(delimiter.as_str())?;
    Some(format!("{prefix}{head}{delimiter}"))
}
