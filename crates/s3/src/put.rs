//! PutObject.

use metastore::api::index::Reason;
use s3s::{S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    body::{BodyClaims, CheckedBody},
    checksum::{self, set_checksum},
    conditions, errors, lifecycle, metadata, origin, text, versioning,
};

/// `PUT /bucket/key`: stores the body. On 200 it is durable.
pub(crate) async fn put_object(
    api: &Api,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let origin = origin::of(&request, Reason::PutObject);
    let S3Request { input, headers, uri, trailing_headers, .. } = request;
    let condition = conditions::of_write(input.if_match, input.if_none_match)?;
    let attributes = metadata::of_new_object(&headers, &uri, api.clock_now())?;
    let claims = BodyClaims::of(&headers, input.content_length, api.settings.put_bytes_max)?;
    let body = CheckedBody::of_request(input.body, claims, trailing_headers, checksum::DEFAULT);
    let put = objects::request::Put {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        condition,
        attributes,
        origin,
        body: Box::new(body),
    };
    let head = api.objects.put(put).await.map_err(errors::from_objects)?;
    let mut output = PutObjectOutput {
        e_tag: Some(text::etag(head.etag)),
        version_id: versioning::of_write(&head),
        expiration: lifecycle::expiration(api, &input.bucket, &input.key, &head).await,
        checksum_type: checksum::kind(head.checksum.as_ref()),
        ..Default::default()
    };
    set_checksum!(output, head.checksum.as_ref());
    Ok(S3Response::new(output))
}
