//! ListObjectVersions.
//!
//! Versions and delete markers come mixed, by key and the latest first, as on AWS: there are
//! clients that rely on it. The library's type has two lists, so the answer is written here.

use metastore::api::index::{ListAfter, ListedObject, ListedVersion, VersionEntry, VersionsAfter};
use objects::request::VersionsPage;
use s3s::{S3Request, S3Response, S3Result, dto::*};
use types::{UnixMillis, Version, VersionId};

use crate::{
    api::Api,
    errors::{from_objects, invalid_argument},
    get::signed,
    list::{Encoding, after_marker, checksum_names, page_size},
    own_xml, storage_class, text, versioning,
};

/// `GET /bucket?versions`.
pub(crate) async fn list_object_versions(
    api: &Api,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let limit = page_size(input.max_keys, "max-keys")?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    let restores = storage_class::asks_restore_status(input.optional_object_attributes.as_ref())?;
    let restores_at = restores.then(|| api.clock_now());
    let key_marker = input.key_marker.unwrap_or_default();
    let version_marker = input.version_id_marker;
    let after = after(&key_marker, version_marker.as_deref(), &prefix, delimiter.as_deref())?;
    let VersionsPage { entries, next } = if limit == 0 {
        api.objects.bucket(&input.bucket).await.map_err(from_objects)?;
        VersionsPage { entries: Vec::new(), next: None }
    } else {
        api.objects
            .list_versions(&input.bucket, &prefix, delimiter.as_deref(), after, limit)
            .await
            .map_err(from_objects)?
    };
    let mut lines = Vec::with_capacity(entries.len());
    let mut prefixes = Vec::new();
    for entry in entries {
        match entry {
            VersionEntry::CommonPrefix(prefix) => prefixes.push(prefix),
            VersionEntry::Version { id, null, latest, what } => {
                let shown = Shown { id: name(id, null), latest, owner: api.owner(), restores_at };
                lines.push(match what {
                    ListedVersion::Object(object) => {
                        Line::Object(Box::new(shown.object(object, encoding)?))
                    }
                    ListedVersion::Marker { key, modified } => {
                        Line::Marker(shown.marker(key, modified, encoding)?)
                    }
                });
            }
        }
    }
    let prefixes = encoding.prefixes(prefixes)?;
    let truncated = next.is_some();
    let (next_key, next_version) = next.map(markers).unzip();
    let texts = [
        ("Name", Some(input.bucket)),
        ("Prefix", Some(encoding.apply(prefix)?)),
        ("KeyMarker", Some(encoding.apply(key_marker)?)),
        ("VersionIdMarker", Some(version_marker.unwrap_or_default())),
        ("NextKeyMarker", encoding.apply_some(next_key)?),
        ("NextVersionIdMarker", next_version.flatten()),
        ("MaxKeys", Some(limit.to_string())),
        ("Delimiter", encoding.apply_some(delimiter)?),
        ("EncodingType", encoding.output().map(|output| output.as_str().to_owned())),
        ("IsTruncated", Some(truncated.to_string())),
    ];
    own_xml::respond("ListVersionsResult", |document| {
        for (name, text) in &texts {
            if let Some(text) = text {
                document.content(name, text)?;
            }
        }
        for line in &lines {
            match line {
                Line::Object(object) => document.content("Version", object.as_ref())?,
                Line::Marker(marker) => document.content("DeleteMarker", marker)?,
            }
        }
        document.flattened_list("CommonPrefixes", &prefixes)
    })
}

/// A line of the answer.
enum Line {
    Object(Box<ObjectVersion>),
    Marker(DeleteMarkerEntry),
}

/// What clients call a version.
fn name(id: VersionId, null: bool) -> String {
    if null { Version::Null.to_string() } else { id.to_string() }
}

/// What every line says.
struct Shown {
    id: String,
    latest: bool,
    owner: Owner,
    /// Now, if `RestoreStatus` is asked for.
    restores_at: Option<UnixMillis>,
}

impl Shown {
    fn object(self, object: ListedObject, encoding: Encoding) -> S3Result<ObjectVersion> {
        let (checksum_algorithm, checksum_type) = checksum_names(object.checksum);
        Ok(ObjectVersion {
            key: Some(encoding.apply(object.key)?),
            version_id: Some(self.id),
            is_latest: Some(self.latest),
            size: Some(signed(object.size)),
            e_tag: Some(text::etag(object.etag)),
            last_modified: Some(text::timestamp(object.modified)),
            checksum_algorithm,
            checksum_type,
            storage_class: Some(ObjectVersionStorageClass::from_static(object.class.as_str())),
            owner: Some(self.owner),
            restore_status: self
                .restores_at
                .and_then(|now| storage_class::restore_status(object.restore, now)),
        })
    }

    fn marker(
        self,
        key: String,
        modified: UnixMillis,
        encoding: Encoding,
    ) -> S3Result<DeleteMarkerEntry> {
        Ok(DeleteMarkerEntry {
            key: Some(encoding.apply(key)?),
            version_id: Some(self.id),
            is_latest: Some(self.latest),
            last_modified: Some(text::timestamp(modified)),
            owner: Some(self.owner),
        })
    }
}

/// Where a page begins.
fn after(
    key_marker: &str,
    version_marker: Option<&str>,
    prefix: &str,
    delimiter: Option<&str>,
) -> S3Result<Option<VersionsAfter>> {
    let key = || key_marker.to_owned();
    match version_marker {
        None => Ok(after_marker(key_marker, prefix, delimiter).map(|after| match after {
            ListAfter::Key(key) => VersionsAfter::Key(key),
            ListAfter::Prefix(prefix) => VersionsAfter::Prefix(prefix),
        })),
        Some("") => Err(invalid_argument("A version-id marker cannot be empty.")),
        Some(_) if key_marker.is_empty() => {
            Err(invalid_argument("A version-id marker cannot be specified without a key marker."))
        }
        Some(version) => Ok(Some(match versioning::named(Some(version))? {
            Some(Version::Id(id)) => VersionsAfter::Version(key(), id),
            Some(Version::Null) => VersionsAfter::Null(key()),
            None => VersionsAfter::Key(key()),
        })),
    }
}

/// The next markers as [`after`] reads them back. A null version is marked by its place: it
/// may be replaced before the next page is asked for, and be found at another one.
fn markers(next: VersionsAfter) -> (String, Option<String>) {
    match next {
        VersionsAfter::Key(key) | VersionsAfter::Prefix(key) => (key, None),
        VersionsAfter::Version(key, id) => (key, Some(id.to_string())),
        VersionsAfter::Null(key) => (key, Some(Version::Null.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_come_back() {
        let id = VersionId { at: UnixMillis(1), number: 2 };
        for next in [
            VersionsAfter::Key("k".into()),
            VersionsAfter::Version("k".into(), id),
            VersionsAfter::Null("k".into()),
            VersionsAfter::Prefix("a/".into()),
        ] {
            let (key, version) = markers(next.clone());
            let back = after(&key, version.as_deref(), "", Some("/")).expect("ours");
            assert_eq!(back, Some(next));
        }
        assert_eq!(after("", None, "", None).expect("valid"), None);
    }

    #[test]
    fn bad_markers_are_refused() {
        for (key, version) in [("", "null"), ("k", ""), ("k", "abc")] {
            assert!(after(key, Some(version), "", None).is_err(), "{key:?} {version:?}");
        }
    }
}
