//! CopyObject and UploadPartCopy: the bytes are read, verified and written anew.

use std::collections::BTreeMap;

use metastore::api::index::Reason;
use objects::{
    Error,
    request::{ObjectReader, Put, PutPart, RangeRequest},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use types::{Attributes, ChecksumAlgorithm as Algorithm, ObjectLock, Version};

use crate::{
    api::Api,
    body::CheckedBody,
    checksum::{self, set_checksum},
    conditions::{self, ReadConditions, source_conditions},
    delete_marker,
    errors::{from_objects, invalid_argument, invalid_request, not_implemented},
    lifecycle, metadata, multipart, object_lock, origin, storage_class, text, versioning,
};

/// The most one copy may read: as on AWS, more needs UploadPartCopy.
const SOURCE_BYTES_MAX: u64 = 5 << 30;

/// As in get.rs: a source that is replaced all the time.
const REPLACED_TRIES: usize = 5;

/// Where to copy from and under which conditions.
struct Source {
    bucket: String,
    key: String,
    version: Option<Version>,
    conditions: ReadConditions,
}

impl Source {
    fn new(source: CopySource, conditions: ReadConditions) -> S3Result<Self> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(not_implemented("Copying from an access point"));
        };
        text::check_key(&key)?;
        let version = versioning::named(version_id.as_deref())?;
        Ok(Self { bucket: bucket.into(), key: key.into(), version, conditions })
    }

    /// Opens the source, or the asked range of it.
    async fn open(&self, api: &Api, range: Option<(u64, u64)>) -> S3Result<ObjectReader> {
        let mut tries = 0;
        loop {
            let head = api.objects.head(&self.bucket, &self.key, self.version).await;
            let head = head.map_err(|error| delete_marker::of_copy_source(error, self.version))?;
            self.conditions.check_copy_source(&head)?;
            storage_class::require_readable(&head, api.clock_now())?;
            let bytes = match range {
                None => head.size,
                Some((_, last)) if last >= head.size => {
                    return Err(invalid_argument(format!(
                        "Range specified is not valid for source object of size: {}",
                        head.size
                    )));
                }
                Some((first, last)) => last - first + 1,
            };
            if bytes > SOURCE_BYTES_MAX {
                return Err(invalid_request(format!(
                    "The specified copy source is larger than the maximum allowable size for a \
                     copy source: {SOURCE_BYTES_MAX}"
                )));
            }
            let request = range.map(|(first, last)| RangeRequest::FromTo(first, last));
            match api.objects.read(&self.bucket, &self.key, head, request).await {
                Ok(reader) => return Ok(reader),
                Err(Error::Replaced) if tries < REPLACED_TRIES => tries += 1,
                Err(error) => return Err(from_objects(error)),
            }
        }
    }
}

fn body(reader: ObjectReader, algorithm: Algorithm) -> Box<CheckedBody> {
    let bytes = reader.range.end - reader.range.start;
    Box::new(CheckedBody::of_copy(reader.stream, bytes, algorithm))
}

/// What the copy says otherwise than its source.
struct Changes {
    /// With directive REPLACE: all metadata.
    metadata: Option<Attributes>,
    /// With directive REPLACE: all tags.
    tags: Option<BTreeMap<String, String>>,
    /// Never copied.
    redirect: Option<String>,
    /// Never copied.
    lock: ObjectLock,
    algorithm: Option<Algorithm>,
    /// Never copied: STANDARD unless the request names one, be it the same.
    class: Option<types::StorageClass>,
}

impl Changes {
    fn of(api: &Api, request: &S3Request<CopyObjectInput>) -> S3Result<Self> {
        let input = &request.input;
        let headers = metadata::with_hoisted(&request.headers, &request.uri)?;
        let metadata = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
            None | Some(MetadataDirective::COPY) => None,
            Some(MetadataDirective::REPLACE) => Some(metadata::of_headers(&headers)?),
            Some(_) => return Err(invalid_argument("Unknown metadata directive.")),
        };
        let tags = match input.tagging_directive.as_ref().map(TaggingDirective::as_str) {
            None | Some(TaggingDirective::COPY) => None,
            Some(TaggingDirective::REPLACE) => Some(metadata::tags_of_headers(&headers)?),
            Some(_) => return Err(invalid_argument("Unknown tagging directive.")),
        };
        Ok(Self {
            metadata,
            tags,
            redirect: metadata::redirect_of_headers(&headers)?,
            lock: object_lock::of_headers(&headers, api.clock_now())?,
            algorithm: match &input.checksum_algorithm {
                Some(name) => Some(checksum::parse_name(name.as_str())?),
                None => None,
            },
            class: match headers.get(storage_class::HEADER) {
                Some(_) => Some(storage_class::of_headers(&headers)?),
                None => None,
            },
        })
    }

    /// Whether an object may be copied onto itself. New tags alone do not count on AWS.
    fn allow_onto_itself(&self) -> bool {
        self.metadata.is_some()
            || self.redirect.is_some()
            || self.algorithm.is_some()
            || self.class.is_some()
    }

    /// The attributes of the copy.
    fn apply(self, source: &Attributes) -> Attributes {
        let mut attributes = self.metadata.unwrap_or_else(|| source.clone());
        attributes.system.remove(metadata::REDIRECT);
        if let Some(target) = self.redirect {
            attributes.system.insert(metadata::REDIRECT.to_owned(), target);
        }
        attributes.tags = self.tags.unwrap_or_else(|| source.tags.clone());
        attributes.lock = self.lock;
        attributes.class = self.class.unwrap_or_default();
        attributes
    }
}

/// `PUT /bucket/key` with `x-amz-copy-source`.
pub(crate) async fn copy_object(
    api: &Api,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let changes = Changes::of(api, &request)?;
    let origin = origin::of(&request, Reason::CopyObject);
    let input = request.input;
    let conditions = source_conditions!(input);
    let condition = conditions::of_write(input.if_match, input.if_none_match)?;
    let source = Source::new(input.copy_source, conditions)?;
    let onto_itself = source.bucket == input.bucket && source.key == input.key;
    // A named version is brought back by copying it onto its key.
    if onto_itself && source.version.is_none() && !changes.allow_onto_itself() {
        return Err(invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location or \
             encryption attributes.",
        ));
    }
    let reader = source.open(api, None).await?;
    let copy_source_version_id = versioning::of_read(api, &source.bucket, &reader.head).await?;
    let algorithm = changes
        .algorithm
        .or_else(|| reader.head.checksum.as_ref().map(|checksum| checksum.algorithm))
        .unwrap_or(checksum::DEFAULT);
    let (bucket, key) = (input.bucket, input.key);
    let put = Put {
        bucket: bucket.clone(),
        key: key.clone(),
        condition,
        attributes: changes.apply(&reader.head.attributes),
        origin,
        body: body(reader, algorithm),
    };
    let head = api.objects.put(put).await.map_err(from_objects)?;
    let mut result = CopyObjectResult {
        e_tag: Some(text::etag(head.etag)),
        last_modified: Some(text::timestamp(head.modified)),
        checksum_type: checksum::kind(head.checksum.as_ref()),
        ..Default::default()
    };
    set_checksum!(result, head.checksum.as_ref());
    let expiration = lifecycle::expiration(api, &bucket, &key, &head).await;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        copy_source_version_id,
        expiration,
        version_id: versioning::of_write(&head),
        ..Default::default()
    }))
}

/// `PUT /bucket/key?partNumber=N&uploadId=U` with `x-amz-copy-source`.
pub(crate) async fn upload_part_copy(
    api: &Api,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let number = multipart::part_number(input.part_number)?;
    let upload = multipart::upload_id(&input.upload_id)?;
    let conditions = source_conditions!(input);
    let source = Source::new(input.copy_source, conditions)?;
    let range = input.copy_source_range.as_deref().map(source_range).transpose()?;
    let row = multipart::upload_row(api, &input.bucket, &input.key, upload).await?;
    let algorithm = row.checksum.map_or(checksum::DEFAULT, |(algorithm, _)| algorithm);
    let reader = source.open(api, range).await?;
    let copy_source_version_id = versioning::of_read(api, &source.bucket, &reader.head).await?;
    let put = PutPart {
        bucket: input.bucket,
        key: input.key,
        upload,
        number,
        body: body(reader, algorithm),
    };
    let done = api.objects.put_part(put).await.map_err(from_objects)?;
    let mut result = CopyPartResult {
        e_tag: Some(text::etag(done.etag)),
        last_modified: Some(api.now()),
        ..Default::default()
    };
    set_checksum!(result, done.checksum.as_ref());
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id,
        ..Default::default()
    }))
}

/// `bytes=first-last`, both given, both inclusive: the only form here.
fn source_range(text: &str) -> S3Result<(u64, u64)> {
    match Range::parse(text) {
        Ok(Range::Int { first, last: Some(last) }) => Ok((first, last)),
        _ => Err(invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first \
             and last are the zero-based offsets of the first and last bytes to copy",
        )),
    }
}

#[cfg(test)]
mod tests {
    use types::UnixMillis;

    use super::*;

    fn attributes(word: &str) -> Attributes {
        let map = |key: &str| BTreeMap::from([(key.to_owned(), word.to_owned())]);
        let mut attributes = Attributes {
            system: map("content-type"),
            user: map("user"),
            tags: map("tag"),
            lock: ObjectLock {
                retention: Some(types::Retention {
                    mode: types::RetentionMode::Compliance,
                    until: UnixMillis(9),
                }),
                legal_hold: Some(true),
            },
            class: types::StorageClass::Glacier,
        };
        attributes.system.insert(metadata::REDIRECT.to_owned(), format!("/{word}"));
        attributes
    }

    #[test]
    fn what_a_copy_takes_over() {
        let none = || Changes {
            metadata: None,
            tags: None,
            redirect: None,
            lock: ObjectLock::default(),
            algorithm: None,
            class: None,
        };
        let source = attributes("source");
        assert!(!none().allow_onto_itself());
        let copied = none().apply(&source);
        assert_eq!((&copied.user, &copied.tags), (&source.user, &source.tags));
        assert_eq!(copied.system.get("content-type").map(String::as_str), Some("source"));
        assert_eq!(copied.system.get(metadata::REDIRECT), None);
        assert_eq!(copied.lock, ObjectLock::default());
        assert_eq!(copied.class, types::StorageClass::Standard);
        let class = Some(types::StorageClass::OnezoneIa);
        let moved = Changes { class, ..none() };
        assert!(moved.allow_onto_itself());
        assert_eq!(Some(moved.apply(&source).class), class);
        let all = Changes {
            metadata: Some(Attributes { tags: BTreeMap::new(), ..attributes("new") }),
            tags: Some(BTreeMap::new()),
            redirect: Some("/there".to_owned()),
            lock: ObjectLock { retention: None, legal_hold: Some(false) },
            algorithm: None,
            class: None,
        };
        assert!(all.allow_onto_itself());
        let replaced = all.apply(&source);
        assert_eq!(replaced.user, attributes("new").user);
        assert!(replaced.tags.is_empty());
        assert_eq!(replaced.system.get(metadata::REDIRECT).map(String::as_str), Some("/there"));
        assert_eq!(replaced.lock, ObjectLock { retention: None, legal_hold: Some(false) });
    }

    #[test]
    fn source_ranges_have_both_ends() {
        assert_eq!(source_range("bytes=0-9").expect("valid"), (0, 9));
        for bad in ["bytes=0-", "bytes=-5", "0-9", "bytes=9-0", "bytes=0-1,3-4", ""] {
            assert!(source_range(bad).is_err(), "{bad}");
        }
    }
}
