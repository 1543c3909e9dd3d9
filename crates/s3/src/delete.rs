//! DeleteObject and DeleteObjects.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use metastore::api::index::{Origin, Reason};
use objects::request::{Delete as Deletion, Deleted};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use types::{Condition, Version};

use crate::{
    api::Api,
    conditions,
    errors::{from_objects, invalid_argument},
    object_lock, origin, text,
    versioning::named,
};

/// Keys of one delete list.
const LIST_MAX: usize = 1000;

/// Deletions of one list that run at the same time.
const CONCURRENT: usize = 16;

/// `DELETE /bucket/key`: 204, whether there was an object or not.
pub(crate) async fn delete_object(
    api: &Api,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let origin = origin::of(&request, Reason::DeleteObject);
    let input = request.input;
    let version = named(input.version_id.as_deref())?;
    let condition = conditions::of_delete(
        input.if_match,
        input.if_match_size,
        input.if_match_last_modified_time,
    )?;
    let bypass = input.bypass_governance_retention;
    let bypass_governance = object_lock::bypass(api, &input.bucket, bypass).await?;
    let (bucket, key) = (input.bucket, input.key);
    let deletion = Deletion { bucket, key, version, condition, bypass_governance, origin };
    let done = delete(api, deletion).await?;
    Ok(S3Response::new(DeleteObjectOutput {
        delete_marker: done.marker.then_some(true),
        version_id: version.or(done.version).map(|version| version.to_string()),
        request_charged: None,
    }))
}

async fn delete(api: &Api, deletion: Deletion) -> S3Result<Deleted> {
    let absent = conditions::allows_absence(&deletion.condition);
    match api.objects.delete(deletion).await {
        Err(objects::Error::NoSuchKey | objects::Error::NoSuchVersion) if absent => {
            Ok(Deleted { existed: false, version: None, marker: false })
        }
        done => done.map_err(from_objects),
    }
}

/// `POST /bucket?delete`: each key succeeds or fails for itself, in no order.
pub(crate) async fn delete_objects(
    api: &Api,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let origin = origin::of(&request, Reason::DeleteObject);
    let DeleteObjectsInput { bucket, delete, bypass_governance_retention, .. } = request.input;
    if !(1..=LIST_MAX).contains(&delete.objects.len()) {
        return Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            format!("A delete list has 1 to {LIST_MAX} keys."),
        ));
    }
    // Before anything is deleted: the answer repeats every key.
    for object in &delete.objects {
        text::require_xml(&object.key)?;
    }
    api.objects.bucket(&bucket).await.map_err(from_objects)?;
    let bypass = object_lock::bypass(api, &bucket, bypass_governance_retention).await?;
    // As on AWS: what is listed twice is deleted once, and makes one delete marker.
    let mut seen = HashSet::new();
    let mut listed = delete.objects;
    listed.retain(|it| {
        let ObjectIdentifier { key, version_id, e_tag, size, last_modified_time } = it.clone();
        seen.insert((key, version_id, e_tag, size, last_modified_time))
    });
    let quiet = delete.quiet.unwrap_or(false);
    let results: Vec<(Named, S3Result<DeletedObject>)> = stream::iter(listed)
        .map(|object| {
            let named = Named { key: object.key.clone(), version_id: object.version_id.clone() };
            let (bucket, origin) = (bucket.as_str(), origin.clone());
            async move { (named, delete_one(api, bucket, object, bypass, origin).await) }
        })
        .buffered(CONCURRENT)
        .collect()
        .await;
    let mut deleted = Vec::new();
    let mut errors = Vec::new();
    for (Named { key, version_id }, result) in results {
        match result {
            Ok(_) if quiet => {}
            Ok(one) => deleted.push(one),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(key),
                version_id,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        request_charged: None,
    }))
}

/// What a line of the answer repeats.
struct Named {
    key: String,
    version_id: Option<String>,
}

async fn delete_one(
    api: &Api,
    bucket: &str,
    object: ObjectIdentifier,
    bypass_governance: bool,
    origin: Origin,
) -> S3Result<DeletedObject> {
    text::check_key(&object.key)?;
    let version = named(object.version_id.as_deref())?;
    let condition = condition_of(object.e_tag, object.size, object.last_modified_time)?;
    let deletion = Deletion {
        bucket: bucket.to_owned(),
        key: object.key.clone(),
        version,
        condition,
        bypass_governance,
        origin,
    };
    Ok(shown(object.key, version, delete(api, deletion).await?))
}

fn condition_of(
    etag: Option<ETag>,
    size: Option<i64>,
    modified: Option<Timestamp>,
) -> S3Result<Condition> {
    let etag = match etag {
        Some(etag) if etag.value().is_empty() => {
            return Err(invalid_argument("The entity tag is empty."));
        }
        Some(etag) if etag.value() == "*" => Some(ETagCondition::Any),
        etag => etag.map(ETagCondition::ETag),
    };
    conditions::of_delete(etag, size, modified)
}

/// A line of the answer. A marker that was made is named apart from a version that was asked
/// for; a marker that was removed is both.
fn shown(key: String, asked: Option<Version>, done: Deleted) -> DeletedObject {
    let marker = done.version.filter(|_| done.marker);
    DeletedObject {
        key: Some(key),
        version_id: asked.map(|version| version.to_string()),
        delete_marker: marker.map(|_| true),
        delete_marker_version_id: marker.map(|version| version.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use types::{UnixMillis, VersionId};

    use super::*;

    #[test]
    fn lines_of_the_answer() {
        let id = Version::Id(VersionId { at: UnixMillis(1), number: 2 });
        let text = id.to_string();
        let text = Some(text.as_str());
        let null = Some("null");
        for (asked, version, marker, expected) in [
            // Never versioned.
            (None, None, false, (None, None, None)),
            // A marker is made: versioning is enabled, or suspended.
            (None, Some(id), true, (None, Some(true), text)),
            (None, Some(Version::Null), true, (None, Some(true), null)),
            // A version, or one that is not there.
            (Some(id), Some(id), false, (text, None, None)),
            (Some(id), None, false, (text, None, None)),
            (Some(Version::Null), Some(Version::Null), false, (null, None, None)),
            // A marker by its name.
            (Some(id), Some(id), true, (text, Some(true), text)),
        ] {
            let line = shown("k".into(), asked, Deleted { existed: true, version, marker });
            let found = (
                line.version_id.as_deref(),
                line.delete_marker,
                line.delete_marker_version_id.as_deref(),
            );
            assert_eq!(found, expected, "{asked:?} {version:?}");
        }
    }
}
