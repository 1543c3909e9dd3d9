//! DeleteObject and DeleteObjects.

use futures::{StreamExt, stream};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    conditions,
    errors::{from_objects, invalid_argument, not_implemented},
    text,
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
    let input = request.input;
    let condition = conditions::of_write(input.if_match, None)?;
    api.objects.delete(&input.bucket, &input.key, condition).await.map_err(from_objects)?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

/// `POST /bucket?delete`: each key succeeds or fails for itself.
pub(crate) async fn delete_objects(
    api: &Api,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let DeleteObjectsInput { bucket, delete, .. } = request.input;
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
    let quiet = delete.quiet.unwrap_or(false);
    let results: Vec<(String, S3Result)> = stream::iter(delete.objects)
        .map(|object| {
            let bucket = bucket.as_str();
            async move {
                let key = object.key.clone();
                (key, delete_one(api, bucket, object).await)
            }
        })
        .buffered(CONCURRENT)
        .collect()
        .await;
    let mut deleted = Vec::new();
    let mut errors = Vec::new();
    for (key, result) in results {
        match result {
            Ok(()) if quiet => {}
            Ok(()) => deleted.push(DeletedObject { key: Some(key), ..Default::default() }),
            Err(error) => errors.push(Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(key),
                version_id: None,
            }),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        request_charged: None,
    }))
}

async fn delete_one(api: &Api, bucket: &str, object: ObjectIdentifier) -> S3Result {
    text::check_key(&object.key)?;
    if object.version_id.is_some_and(|version| version != "null") {
        return Err(not_implemented("Deleting a version"));
    }
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(not_implemented("Deleting by modification time or size"));
    }
    let condition = match object.e_tag {
        Some(etag) if etag.value().is_empty() => {
            return Err(invalid_argument("The entity tag is empty."));
        }
        etag => conditions::of_write(etag.map(ETagCondition::ETag), None)?,
    };
    api.objects.delete(bucket, &object.key, condition).await.map(|_| ()).map_err(from_objects)
}
