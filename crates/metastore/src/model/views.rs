//! What the queries of an index partition mean.

use types::{BlobId, BlobRef, Content, ObjectHead, Version, WriteIntent};

use super::{
    IndexModel,
    index::{Key, Stored, blob_of, is_from},
};
use crate::api::{
    IndexAnswer as A, IndexQuery as Q, IndexView as V,
    index::{
        ListAfter, ListEntry, ListedObject, ListedPart, ListedVersion, Part, Reference,
        ReferencedBlob, Segment, Upload, VersionEntry, VersionsAfter,
    },
};

impl IndexModel {
    /// Answers a query.
    pub fn query(&self, query: &Q) -> V {
        let gate = match query {
            Q::Settings { bucket }
            | Q::Head { bucket, .. }
            | Q::Segments { bucket, .. }
            | Q::ObjectParts { bucket, .. }
            | Q::List { bucket, .. }
            | Q::Versions { bucket, .. }
            | Q::Upload { bucket, .. }
            | Q::Uploads { bucket, .. }
            | Q::Parts { bucket, .. } => self.closed(*bucket),
            Q::Settled { .. }
            | Q::Blobs { .. }
            | Q::Referenced { .. }
            | Q::Garbage { .. }
            | Q::Repairs { .. }
            | Q::Events { .. }
            | Q::Due { .. } => None,
        };
        match gate {
            Some(A::BucketSealed) => V::BucketSealed,
            Some(_) => V::BucketNotOpen,
            None => self.view(query),
        }
    }

    fn view(&self, query: &Q) -> V {
        match query {
            Q::Settings { bucket } => V::Settings(self.settings(*bucket)),
            Q::Events { after, limit } => V::Events(
                self.events
                    .iter()
                    .filter(|event| after.is_none_or(|after| event.number > after))
                    .take((*limit).clamp(1, 1000) as usize)
                    .cloned()
                    .collect(),
            ),
            Q::Due { now } => V::Due(!self.moments(self.now, *now).is_empty()),
            Q::Head { bucket, key, version } => {
                let versions = self.all(&(*bucket, key.clone()));
                let stored = match version {
                    None => versions.last(),
                    Some(name) => versions.iter().find(|stored| stored.name == *name),
                };
                match stored {
                    Some(Stored { id, name, object: None }) => {
                        V::Marker { version: *name, modified: id.at }
                    }
                    stored => {
                        V::Object(stored.and_then(|stored| stored.object.clone()).map(Box::new))
                    }
                }
            }
            Q::ObjectParts { bucket, key, version, upload, after, limit } => {
                let at = (*bucket, key.clone());
                if !self.all(&at).iter().any(|v| v.id == *version && v.is_from(*upload)) {
                    return V::NoSuchUpload;
                }
                let held = self.parts_of(&(at, *upload));
                let listed = held.iter().enumerate().map(|(place, part)| ListedPart {
                    number: place as u16 + 1,
                    offset: held[..place].iter().map(|part| part.size).sum(),
                    size: part.size,
                    checksum: part.checksum.clone(),
                });
                let mut parts: Vec<_> = listed.filter(|part| part.number > *after).collect();
                let limit = (*limit).clamp(1, 10_000) as usize;
                let truncated = parts.len() > limit;
                parts.truncate(limit);
                V::ObjectParts { parts, truncated }
            }
            Q::Segments { bucket, key, version, upload, start, end } => {
                let at = (*bucket, key.clone());
                if !self.all(&at).iter().any(|v| v.id == *version && v.is_from(*upload)) {
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
                for at @ (b, key) in self.versions.keys() {
                    let Some(head) = self.current(at) else { continue };
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
                        None => ListEntry::Object(listed(key, head)),
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
            Q::Versions { bucket, prefix, delimiter, after, limit } => {
                let mut lines: Vec<(VersionsAfter, VersionEntry)> = Vec::new();
                for ((b, key), versions) in &self.versions {
                    for (place, stored) in versions.iter().enumerate().rev() {
                        if b != bucket
                            || !key.starts_with(prefix)
                            || !self.is_past(after.as_ref(), &(*b, key.clone()), stored)
                        {
                            continue;
                        }
                        let line = match fold(key, prefix, delimiter) {
                            Some(at) => {
                                (VersionsAfter::Prefix(at.clone()), VersionEntry::CommonPrefix(at))
                            }
                            None => (
                                VersionsAfter::Version(key.clone(), stored.id),
                                VersionEntry::Version {
                                    id: stored.id,
                                    null: stored.name == Version::Null,
                                    latest: place + 1 == versions.len(),
                                    what: stored.listed(key),
                                },
                            ),
                        };
                        if lines.last() != Some(&line) {
                            lines.push(line);
                        }
                    }
                }
                let limit = (*limit).clamp(1, 1000) as usize;
                let next = (lines.len() > limit).then(|| lines[limit - 1].0.clone());
                lines.truncate(limit);
                V::Versions { entries: lines.into_iter().map(|line| line.1).collect(), next }
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
            Q::Settled { blob, intent } => V::Settled(match self.reference(*blob, intent) {
                Reference::Referenced(_) => Some(true),
                Reference::Unreferenced => Some(false),
                Reference::Undecided => None,
            }),
            Q::Blobs { asked } => {
                V::Blobs(asked.iter().map(|(blob, intent)| self.reference(*blob, intent)).collect())
            }
            // All of it, whatever the limit: how a partition cuts pages is its own affair.
            Q::Referenced { .. } => V::Referenced { blobs: self.referenced(), next: None },
            Q::Garbage { before, after, limit } => V::Garbage(
                self.garbage
                    .iter()
                    .filter(|(id, _)| id.since < *before && after.is_none_or(|after| **id > after))
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

    fn reference(&self, blob: BlobId, intent: &WriteIntent) -> Reference {
        let at = (intent.bucket, intent.key.clone());
        let found = match intent.part {
            None => self.all(&at).iter().find_map(|stored| stored.blob_with(blob)),
            Some((upload, number)) => {
                let part = self.parts.get(&(at.clone(), upload, number));
                part.and_then(|part| blob_of(&part.data)).filter(|found| {
                    found.id == blob
                        && (self.uploads.contains_key(&(at.clone(), upload))
                            || self.all(&at).iter().any(|stored| stored.is_from(upload)))
                })
            }
        };
        match found {
            Some(blob) => Reference::Referenced(blob),
            None if self.now > intent.deadline => Reference::Unreferenced,
            None => Reference::Undecided,
        }
    }

    /// Heads, then parts, then other versions, of each key the latest first.
    fn referenced(&self) -> Vec<ReferencedBlob> {
        let intent = |at: &Key, part, made| WriteIntent {
            bucket: at.0,
            key: at.1.clone(),
            part,
            deadline: made,
        };
        let of_version = |at: &Key, stored: &Stored| {
            let head = stored.object.as_ref()?;
            let Content::Blob(blob) = &head.content else { return None };
            Some(ReferencedBlob { blob: blob.clone(), intent: intent(at, None, stored.id.at) })
        };
        let mut heads = Vec::new();
        let mut others = Vec::new();
        for (at, versions) in &self.versions {
            for (place, stored) in versions.iter().enumerate().rev() {
                let is_head = place + 1 == versions.len();
                if is_head { &mut heads } else { &mut others }.extend(of_version(at, stored));
            }
        }
        let parts = self.parts.iter().filter_map(|((at, upload, number), part)| {
            let blob = blob_of(&part.data)?;
            let intent = intent(at, Some((*upload, *number)), part.modified);
            match self.reference(blob.id, &intent) {
                Reference::Referenced(_) => Some(ReferencedBlob { blob, intent }),
                _ => None,
            }
        });
        heads.into_iter().chain(parts).chain(others).collect()
    }

    /// All versions of a key.
    fn all(&self, at: &Key) -> &[Stored] {
        self.versions.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a version of a key comes after the marker.
    fn is_past(&self, after: Option<&VersionsAfter>, at: &Key, stored: &Stored) -> bool {
        let key = &at.1;
        match after {
            None => true,
            Some(VersionsAfter::Key(after)) => key > after,
            Some(VersionsAfter::Version(after, id)) => {
                key > after || (key == after && stored.id < *id)
            }
            Some(VersionsAfter::Null(after)) => {
                let null = self.all(at).iter().find(|stored| stored.name == Version::Null);
                key > after || (key == after && null.is_some_and(|null| stored.id < null.id))
            }
            Some(VersionsAfter::Prefix(after)) => key > after && !key.starts_with(after),
        }
    }
}

impl Stored {
    fn is_from(&self, upload: types::UploadId) -> bool {
        self.object.as_ref().is_some_and(|head| is_from(head, upload))
    }

    fn blob_with(&self, id: BlobId) -> Option<BlobRef> {
        match &self.object.as_ref()?.content {
            Content::Blob(found) if found.id == id => Some(found.clone()),
            _ => None,
        }
    }

    fn listed(&self, key: &str) -> ListedVersion {
        match &self.object {
            Some(head) => ListedVersion::Object(listed(key, head)),
            None => ListedVersion::Marker { key: key.to_owned(), modified: self.id.at },
        }
    }
}

fn listed(key: &str, head: &ObjectHead) -> ListedObject {
    ListedObject {
        key: key.to_owned(),
        size: head.size,
        etag: head.etag,
        modified: head.modified,
        checksum: head.checksum.as_ref().map(|c| (c.algorithm, c.kind)),
        tags: head.attributes.tags.clone(),
        class: head.attributes.class,
        restore: head.restore,
        lock: head.attributes.lock,
    }
}

/// The common prefix of a key, if it has one.
fn fold(key: &str, prefix: &str, delimiter: &Option<String>) -> Option<String> {
    let delimiter = delimiter.as_ref().filter(|delimiter| !delimiter.is_empty())?;
    let (head, _) = key.strip_prefix(prefix)?.split_once(delimiter.as_str())?;
    Some(format!("{prefix}{head}{delimiter}"))
}
