//! Tags of objects, versions and buckets.
//!
//! AWS: "Categorizing your objects using tags" in the user guide; codes and texts as S3
//! answers them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use metastore::api::{
    index::{ObjectUpdate, Origin, Reason},
    root::ConfigKind,
};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    delete_marker::{of_read, of_update},
    errors::{custom, from_objects, invalid_argument},
    origin, versioning,
};

/// Tags by their key.
type Tags = BTreeMap<String, String>;

/// Tags of one object.
const OBJECT_MAX: usize = 10;
/// Tags of one bucket.
const BUCKET_MAX: usize = 50;
/// UTF-16 code units of a key and of a value: S3 counts them so.
const KEY_UNITS_MAX: usize = 128;
/// See [`KEY_UNITS_MAX`].
const VALUE_UNITS_MAX: usize = 256;

fn invalid_tag(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidTag, message)
}

/// Letters, numbers, spaces and a few signs, in any script.
fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
}

/// Adds one tag that a tag may be.
fn add(tags: &mut Tags, key: String, value: String) -> S3Result {
    let units = |text: &str| text.encode_utf16().count();
    if !(1..=KEY_UNITS_MAX).contains(&units(&key)) || !key.chars().all(is_allowed) {
        return Err(invalid_tag("The TagKey you have provided is invalid"));
    }
    if units(&value) > VALUE_UNITS_MAX || !value.chars().all(is_allowed) {
        return Err(invalid_tag("The TagValue you have provided is invalid"));
    }
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        return Err(invalid_tag("System tags cannot be added/updated by requester"));
    }
    match tags.insert(key, value) {
        None => Ok(()),
        Some(_) => Err(invalid_tag("Cannot provide multiple Tags with the same key")),
    }
}

fn bounded(tags: Tags, max: usize, what: &str) -> S3Result<Tags> {
    if tags.len() <= max {
        return Ok(tags);
    }
    let message = format!("{what} tags cannot be greater than {max}");
    Err(custom("BadRequest", StatusCode::BAD_REQUEST, message))
}

/// The tags of an object, as `x-amz-tagging` writes them: `key=value&key2=value2`,
/// percent-encoded as by an HTML form. A key without `=` has the empty value.
pub(crate) fn of_header(text: &str) -> S3Result<Tags> {
    let malformed = || {
        invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
             parameters without tag name duplicates.",
        )
    };
    let mut tags = Tags::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| form_decode(text).ok_or_else(malformed);
        let (key, value) = match value.contains('=') {
            true => return Err(malformed()),
            false => (decode(key)?, decode(value)?),
        };
        if tags.contains_key(&key) {
            return Err(malformed());
        }
        add(&mut tags, key, value)?;
    }
    bounded(tags, OBJECT_MAX, "Object")
}

/// Text that an HTML form has percent-encoded; `None` if it is malformed or not UTF-8.
pub(crate) fn form_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let mut decoded = [0];
                hex::decode_to_slice(digits, &mut decoded).ok()?;
                decoded[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The tags of a document.
fn of_document(set: TagSet, max: usize, what: &str) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for tag in set {
        let (Some(key), Some(value)) = (tag.key, tag.value) else {
            return Err(S3Error::with_message(
                S3ErrorCode::MalformedXML,
                "A Tag must have a Key and a Value.",
            ));
        };
        add(&mut tags, key, value)?;
    }
    bounded(tags, max, what)
}

fn to_document(tags: Tags) -> TagSet {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

/// `PUT /bucket/key?tagging`: replaces all tags.
pub(crate) async fn put_object_tagging(
    api: &Api,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let origin = origin::of(&request, Reason::PutObjectTagging);
    let input = request.input;
    let tags = of_document(input.tagging.tag_set, OBJECT_MAX, "Object")?;
    let named = (input.bucket.as_str(), input.key.as_str(), input.version_id);
    let version_id = set(api, named, tags, origin).await?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

/// `DELETE /bucket/key?tagging`.
pub(crate) async fn delete_object_tagging(
    api: &Api,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let origin = origin::of(&request, Reason::DeleteObjectTagging);
    let input = request.input;
    let named = (input.bucket.as_str(), input.key.as_str(), input.version_id);
    let version_id = set(api, named, Tags::new(), origin).await?;
    Ok(S3Response::new(DeleteObjectTaggingOutput { version_id }))
}

/// Sets the tags of a version; what the answer calls it.
async fn set(
    api: &Api,
    (bucket, key, version_id): (&str, &str, Option<String>),
    tags: Tags,
    origin: Origin,
) -> S3Result<Option<String>> {
    let version = versioning::named(version_id.as_deref())?;
    let update = ObjectUpdate::Tags(tags);
    let updated = api.objects.update(bucket, key, version, update, origin).await;
    let head = updated.map_err(|error| of_update(error, version))?;
    versioning::of_read(api, bucket, &head).await
}

/// `GET /bucket/key?tagging`: an empty set if there are none.
pub(crate) async fn get_object_tagging(
    api: &Api,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    let version = versioning::named(input.version_id.as_deref())?;
    let head = api.objects.head(&input.bucket, &input.key, version).await;
    let head = head.map_err(|error| of_read(error, version))?;
    Ok(S3Response::new(GetObjectTaggingOutput {
        version_id: versioning::of_read(api, &input.bucket, &head).await?,
        tag_set: to_document(head.attributes.tags),
    }))
}

/// First byte of a stored tag set, before its postcard form.
const STORED_VERSION: u8 = 1;

fn encode(tags: &Tags) -> Bytes {
    let bytes = postcard::to_extend(tags, vec![STORED_VERSION]);
    bytes.expect("texts in a map, and a Vec grows as needed").into()
}

fn decode(stored: &[u8]) -> S3Result<Tags> {
    let tags = match stored.split_first() {
        Some((&STORED_VERSION, rest)) => match postcard::take_from_bytes(rest) {
            Ok((tags, [])) => Some(tags),
            _ => None,
        },
        _ => None,
    };
    tags.ok_or_else(|| {
        let reason = "the stored tags of a bucket cannot be read: a newer version wrote them";
        from_objects(objects::Error::Internal(reason.to_owned()))
    })
}

/// `PUT /bucket?tagging`: replaces all tags.
pub(crate) async fn put_bucket_tagging(
    api: &Api,
    request: S3Request<PutBucketTaggingInput>,
) -> S3Result<S3Response<PutBucketTaggingOutput>> {
    let input = request.input;
    let stored = bucket_tags(input.tagging.tag_set)?;
    let done = api.objects.set_bucket_config(&input.bucket, ConfigKind::Tagging, stored).await;
    done.map_err(from_objects)?;
    Ok(S3Response::new(PutBucketTaggingOutput {}))
}

/// The document of a bucket's tags; `None` if there are none.
pub(crate) fn bucket_tags(tags: Vec<Tag>) -> S3Result<Option<Bytes>> {
    let tags = of_document(tags, BUCKET_MAX, "Bucket")?;
    Ok((!tags.is_empty()).then(|| encode(&tags)))
}

/// `GET /bucket?tagging`.
pub(crate) async fn get_bucket_tagging(
    api: &Api,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    let stored = api.objects.bucket_config(&request.input.bucket, ConfigKind::Tagging).await;
    let Some(stored) = stored.map_err(from_objects)? else {
        return Err(S3Error::with_message(S3ErrorCode::NoSuchTagSet, "The TagSet does not exist"));
    };
    Ok(S3Response::new(GetBucketTaggingOutput { tag_set: to_document(decode(&stored)?) }))
}

/// `DELETE /bucket?tagging`.
pub(crate) async fn delete_bucket_tagging(
    api: &Api,
    request: S3Request<DeleteBucketTaggingInput>,
) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
    let bucket = request.input.bucket;
    let done = api.objects.set_bucket_config(&bucket, ConfigKind::Tagging, None).await;
    done.map_err(from_objects)?;
    Ok(S3Response::new(DeleteBucketTaggingOutput {}))
}

#[cfg(test)]
mod tests;
