//! ListParts and ListMultipartUploads.

use s3s::{S3Request, S3Response, S3Result, dto::*};
use types::UploadId;

use crate::{
    api::Api,
    checksum::set_checksum,
    errors::{from_objects, invalid_argument},
    get::signed,
    list::{Encoding, page_size},
    multipart::{PARTS_MAX, algorithm_name, kind_name, upload_id},
    text,
};

/// `GET /bucket/key?uploadId=U`.
pub(crate) async fn list_parts(
    api: &Api,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    text::require_xml(&input.key)?;
    let upload = upload_id(&input.upload_id)?;
    let limit = page_size(input.max_parts, "max-parts")?;
    let marker = input.part_number_marker.unwrap_or(0);
    if marker < 0 {
        return Err(invalid_argument(
            "Argument part-number-marker must be an integer between 0 and 2147483647",
        ));
    }
    let after = u16::try_from(marker.min(PARTS_MAX as i32)).expect("between 0 and 10,000");
    let mut page = api
        .objects
        .parts(&input.bucket, &input.key, upload, after, limit.max(1))
        .await
        .map_err(from_objects)?;
    if limit == 0 {
        page.parts.clear();
        page.truncated = false;
    }
    let next = page.parts.last().map_or(after, |part| part.number);
    let parts = page
        .parts
        .iter()
        .map(|part| {
            let etag = types::ETag { md5: part.md5, parts: 0 };
            let mut shown = Part {
                e_tag: Some(text::etag(etag)),
                last_modified: Some(text::timestamp(part.modified)),
                part_number: Some(i32::from(part.number)),
                size: Some(signed(part.size)),
                ..Default::default()
            };
            set_checksum!(shown, part.checksum.as_ref());
            shown
        })
        .collect();
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(i32::from(after)),
        next_part_number_marker: Some(i32::from(next)),
        max_parts: Some(limit as i32),
        is_truncated: Some(page.truncated),
        parts: Some(parts),
        initiator: Some(api.initiator()),
        owner: Some(api.owner()),
        storage_class: Some(StorageClass::from_static(page.upload.attributes.class.as_str())),
        checksum_algorithm: page.upload.checksum.map(|(algorithm, _)| algorithm_name(algorithm)),
        checksum_type: page.upload.checksum.map(|(_, kind)| kind_name(kind)),
        ..Default::default()
    }))
}

/// `GET /bucket?uploads`.
pub(crate) async fn list_multipart_uploads(
    api: &Api,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let limit = page_size(input.max_uploads, "max-uploads")?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
    let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
    // As on AWS, the upload marker means nothing without a key marker.
    let after = match &key_marker {
        None => None,
        Some(key) => {
            let marker = input.upload_id_marker.as_deref().filter(|marker| !marker.is_empty());
            Some((key.clone(), marker.map(upload_marker).transpose()?))
        }
    };
    let page = if limit == 0 {
        api.objects.bucket(&input.bucket).await.map_err(from_objects)?;
        objects::request::UploadsPage { uploads: Vec::new(), prefixes: Vec::new(), next: None }
    } else {
        api.objects
            .uploads(&input.bucket, &prefix, delimiter.as_deref(), after, limit)
            .await
            .map_err(from_objects)?
    };
    let mut uploads = Vec::with_capacity(page.uploads.len());
    for upload in page.uploads {
        uploads.push(MultipartUpload {
            key: Some(encoding.apply(upload.key)?),
            upload_id: Some(upload.id.to_string()),
            initiated: Some(text::timestamp(upload.initiated)),
            initiator: Some(api.initiator()),
            owner: Some(api.owner()),
            storage_class: Some(StorageClass::from_static(upload.attributes.class.as_str())),
            checksum_algorithm: upload.checksum.map(|(algorithm, _)| algorithm_name(algorithm)),
            checksum_type: upload.checksum.map(|(_, kind)| kind_name(kind)),
        });
    }
    let (next_key, next_upload) = match page.next.clone() {
        Some((key, upload)) => (Some(key), upload),
        None => (None, None),
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: encoding.apply_some(input.prefix)?,
        delimiter: encoding.apply_some(delimiter)?,
        key_marker: encoding.apply_some(input.key_marker.or(Some(String::new())))?,
        upload_id_marker: input.upload_id_marker.or(Some(String::new())),
        next_key_marker: encoding.apply_some(next_key)?,
        next_upload_id_marker: next_upload.map(|upload| upload.to_string()),
        max_uploads: Some(limit as i32),
        is_truncated: Some(page.next.is_some()),
        encoding_type: encoding.output(),
        uploads: Some(uploads),
        common_prefixes: Some(encoding.prefixes(page.prefixes)?),
        request_charged: None,
    }))
}

fn upload_marker(text: &str) -> S3Result<UploadId> {
    UploadId::parse(text).ok_or_else(|| invalid_argument("Invalid uploadId marker"))
}
