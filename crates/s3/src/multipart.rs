//! Multipart uploads: create, upload part, complete, abort, list.

use metastore::api::index;
use objects::request::{CompleteUpload, CreateUpload, ListedPart, PutPart};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use types::{ChecksumAlgorithm as Algorithm, ChecksumKind, UploadId};

use crate::{
    api::Api,
    body::{BodyClaims, CheckedBody},
    checksum::{self, listed_checksum, set_checksum},
    conditions,
    errors::{from_objects, invalid_argument, invalid_request},
    get::signed,
    list::Encoding,
    metadata, text,
};

/// Parts of an upload, and of one completion.
const PARTS_MAX: usize = 10_000;

/// The entries of one page of parts or uploads.
const PAGE_MAX: i32 = 1000;

/// An upload's id from its text form.
pub(crate) fn upload_id(text: &str) -> S3Result<UploadId> {
    UploadId::parse(text).ok_or_else(|| from_objects(objects::Error::NoSuchUpload))
}

/// A part's number.
pub(crate) fn part_number(number: i32) -> S3Result<u16> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=PARTS_MAX).contains(&usize::from(*number)))
        .ok_or_else(|| {
            invalid_argument("Part number must be an integer between 1 and 10000, inclusive")
        })
}

/// The upload itself: a wrong id is told before a body of gigabytes is read.
pub(crate) async fn upload_row(
    api: &Api,
    bucket: &str,
    key: &str,
    upload: UploadId,
) -> S3Result<index::Upload> {
    let page = api.objects.parts(bucket, key, upload, 0, 1).await.map_err(from_objects)?;
    Ok(page.upload)
}

/// `POST /bucket/key?uploads`.
pub(crate) async fn create_multipart_upload(
    api: &Api,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let S3Request { input, headers, .. } = request;
    text::require_xml(&input.key)?;
    let kind = checksum::parse_kind(input.checksum_type.as_ref().map(ChecksumType::as_str))?;
    let asked = match (&input.checksum_algorithm, kind) {
        (Some(name), kind) => {
            let algorithm = checksum::parse_name(name.as_str())?;
            Some((algorithm, checksum::kind_of(algorithm, kind)?))
        }
        (None, None) => None,
        (None, Some(_)) => {
            return Err(invalid_request(
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            ));
        }
    };
    let create = CreateUpload {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        attributes: metadata::of_headers(&headers)?,
        checksum: asked,
    };
    let upload = api.objects.create_upload(create).await.map_err(from_objects)?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.to_string()),
        checksum_algorithm: asked.map(|(algorithm, _)| algorithm_name(algorithm)),
        checksum_type: asked.map(|(_, kind)| kind_name(kind)),
        ..Default::default()
    }))
}

fn algorithm_name(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(checksum::name(algorithm))
}

fn kind_name(kind: ChecksumKind) -> ChecksumType {
    ChecksumType::from_static(checksum::kind_name(kind))
}

/// `PUT /bucket/key?partNumber=N&uploadId=U`.
pub(crate) async fn upload_part(
    api: &Api,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let S3Request { input, headers, trailing_headers, .. } = request;
    let number = part_number(input.part_number)?;
    let upload = upload_id(&input.upload_id)?;
    let claims = BodyClaims::of(&headers, input.content_length, api.settings.put_bytes_max)?;
    let row = upload_row(api, &input.bucket, &input.key, upload).await?;
    let algorithm = match (row.checksum, claims.algorithm()) {
        (Some((wanted, _)), Some(sent)) if wanted != sent => {
            return Err(invalid_request(format!(
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum \
                 Type: {}",
                checksum::name(wanted).to_ascii_lowercase(),
                checksum::name(sent).to_ascii_lowercase()
            )));
        }
        (Some((wanted, _)), _) => wanted,
        (None, _) => checksum::DEFAULT,
    };
    let body = CheckedBody::of_request(input.body, claims, trailing_headers, algorithm);
    let put =
        PutPart { bucket: input.bucket, key: input.key, upload, number, body: Box::new(body) };
    let done = api.objects.put_part(put).await.map_err(from_objects)?;
    let mut output = UploadPartOutput { e_tag: Some(text::etag(done.etag)), ..Default::default() };
    set_checksum!(output, done.checksum.as_ref());
    Ok(S3Response::new(output))
}

/// The parts as the completion lists them: 1 to 10,000, strictly ascending.
fn listed_parts(parts: Option<Vec<CompletedPart>>) -> S3Result<Vec<ListedPart>> {
    let parts = parts.unwrap_or_default();
    if !(1..=PARTS_MAX).contains(&parts.len()) {
        return Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            format!("The list of parts must have 1 to {PARTS_MAX} parts."),
        ));
    }
    let mut listed: Vec<ListedPart> = Vec::with_capacity(parts.len());
    for part in parts {
        let number = part_number(part.part_number.ok_or_else(|| {
            S3Error::with_message(S3ErrorCode::MalformedXML, "A part has no PartNumber.")
        })?)?;
        if listed.last().is_some_and(|last| last.number >= number) {
            return Err(S3Error::with_message(
                S3ErrorCode::InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part \
                 number.",
            ));
        }
        let checksum = match listed_checksum!(part)? {
            Some((algorithm, text)) => Some(checksum::decode(algorithm, text)?),
            None => None,
        };
        let etag = part.e_tag.ok_or_else(|| {
            S3Error::with_message(S3ErrorCode::MalformedXML, format!("Part {number} has no ETag."))
        })?;
        let md5 = hex::decode(etag.value()).ok().and_then(|md5| md5.try_into().ok());
        listed.push(ListedPart { number, md5, checksum });
    }
    Ok(listed)
}

/// `POST /bucket/key?uploadId=U`: makes the listed parts the object. Repeating a completed
/// one answers the same.
pub(crate) async fn complete_multipart_upload(
    api: &Api,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let upload = upload_id(&input.upload_id)?;
    let condition = conditions::of_write(input.if_match.clone(), input.if_none_match.clone())?;
    let size = match input.mpu_object_size {
        None => None,
        Some(size) => Some(
            u64::try_from(size)
                .map_err(|_| invalid_argument("x-amz-mp-object-size must not be negative."))?,
        ),
    };
    let declared_kind =
        checksum::parse_kind(input.checksum_type.as_ref().map(ChecksumType::as_str))?;
    let declared = listed_checksum!(input)?.map(|(algorithm, text)| (algorithm, text.to_owned()));
    let parts = listed_parts(input.multipart_upload.and_then(|list| list.parts))?;
    let stored = match stored_parts(api, &input.bucket, &input.key, upload).await {
        Ok(stored) => Some(stored),
        // Perhaps it was completed before, and only the answer was lost: the index knows.
        Err(objects::Error::NoSuchUpload) => None,
        Err(error) => return Err(from_objects(error)),
    };
    let checksum = match &stored {
        Some((row, stored)) => object_checksum(row, stored, &parts, declared_kind)?,
        None => None,
    };
    if stored.is_some() {
        compare_declared(declared.as_ref(), checksum.as_ref())?;
    }
    let complete = CompleteUpload {
        bucket: input.bucket.clone(),
        key: input.key.clone(),
        upload,
        condition,
        parts,
        checksum,
        size,
    };
    let head = api.objects.complete_upload(complete).await.map_err(from_objects)?;
    compare_declared(declared.as_ref(), head.checksum.as_ref())?;
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, text::url_encode(&input.key))),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(text::etag(head.etag)),
        checksum_type: checksum::kind(head.checksum.as_ref()),
        ..Default::default()
    };
    set_checksum!(output, head.checksum.as_ref());
    Ok(S3Response::new(output))
}

/// The upload and all of its parts, in ascending number.
async fn stored_parts(
    api: &Api,
    bucket: &str,
    key: &str,
    upload: UploadId,
) -> Result<(index::Upload, Vec<index::Part>), objects::Error> {
    let mut parts = Vec::new();
    loop {
        let after = parts.last().map_or(0, |part: &index::Part| part.number);
        let page = api.objects.parts(bucket, key, upload, after, PARTS_MAX as u32).await?;
        let more = page.truncated && !page.parts.is_empty();
        parts.extend(page.parts);
        if !more {
            return Ok((page.upload, parts));
        }
    }
}

/// The object's checksum from its parts' stored ones. `InvalidPart` for a listed part that
/// is not there or differs: the index checks it again when it commits.
fn object_checksum(
    row: &index::Upload,
    stored: &[index::Part],
    listed: &[ListedPart],
    declared_kind: Option<ChecksumKind>,
) -> S3Result<Option<types::Checksum>> {
    let mut chosen = Vec::with_capacity(listed.len());
    for part in listed {
        let found = stored
            .binary_search_by_key(&part.number, |stored| stored.number)
            .ok()
            .map(|position| &stored[position])
            .filter(|stored| part.md5 == Some(stored.md5))
            .filter(|stored| part.checksum.is_none() || part.checksum == stored.checksum);
        match found {
            Some(stored) => chosen.push(stored),
            None => {
                return Err(from_objects(objects::Error::InvalidPart { number: part.number }));
            }
        }
    }
    let Some(first) = chosen.first() else { return Ok(None) };
    // Without an algorithm from the beginning: the one that all parts have.
    let asked = row.checksum.or_else(|| {
        let algorithm = first.checksum.as_ref()?.algorithm;
        Some((algorithm, checksum::kind_of(algorithm, None).ok()?))
    });
    let Some((algorithm, kind)) = asked else { return Ok(None) };
    if declared_kind.is_some_and(|declared| declared != kind) {
        return Err(invalid_request(format!(
            "The upload was created using the {} checksum type. The complete request must use \
             the same checksum type.",
            checksum::kind_name(kind)
        )));
    }
    let parts = chosen.iter().map(|part| (part.checksum.as_ref(), part.size));
    Ok(checksum::of_parts(algorithm, kind, parts))
}

/// The checksum that the completion declares must be the object's.
fn compare_declared(
    declared: Option<&(Algorithm, String)>,
    checksum: Option<&types::Checksum>,
) -> S3Result {
    let Some((algorithm, text)) = declared else { return Ok(()) };
    let Some(checksum) = checksum.filter(|checksum| checksum.algorithm == *algorithm) else {
        return Err(invalid_request(format!(
            "The upload has no {} checksum to compare with.",
            checksum::name(*algorithm)
        )));
    };
    let encoded = checksum::encode(checksum);
    // A composite value may come with or without its number of parts.
    let raw = encoded.rsplit_once('-').map_or(encoded.as_str(), |(raw, _)| raw);
    if *text == encoded || *text == raw {
        return Ok(());
    }
    Err(from_objects(objects::Error::Body(objects::BodyError::Mismatch {
        algorithm: checksum::name(*algorithm),
    })))
}

/// `DELETE /bucket/key?uploadId=U`.
pub(crate) async fn abort_multipart_upload(
    api: &Api,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let upload = upload_id(&input.upload_id)?;
    api.objects.abort_upload(&input.bucket, &input.key, upload).await.map_err(from_objects)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// A page size between 0 and 1,000; more is cut, less than nothing refused.
pub(crate) fn page_size(asked: Option<i32>, name: &str) -> S3Result<u32> {
    match asked {
        None => Ok(PAGE_MAX.unsigned_abs()),
        Some(asked) if asked < 0 => Err(invalid_argument(format!(
            "Argument {name} must be an integer between 0 and 2147483647"
        ))),
        Some(asked) => Ok(asked.min(PAGE_MAX).unsigned_abs()),
    }
}

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
    let after = u16::try_from(marker.clamp(0, PARTS_MAX as i32)).expect("clamped to 10,000");
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
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
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
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: i32, etag: &str) -> CompletedPart {
        CompletedPart {
            part_number: Some(number),
            e_tag: Some(etag.parse().expect("an entity tag")),
            ..Default::default()
        }
    }

    #[test]
    fn part_lists_are_ascending_and_bounded() {
        let etag = "aa".repeat(16);
        let code =
            |parts| listed_parts(Some(parts)).expect_err("refused").code().as_str().to_owned();
        let good = listed_parts(Some(vec![part(1, &etag), part(7, &etag)])).expect("valid");
        assert_eq!(good.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(good[0].md5, Some([0xaa; 16]));
        assert_eq!(code(vec![]), "MalformedXML");
        assert_eq!(code(vec![part(2, &etag), part(1, &etag)]), "InvalidPartOrder");
        assert_eq!(code(vec![part(1, &etag), part(1, &etag)]), "InvalidPartOrder");
        assert_eq!(code(vec![part(0, &etag)]), "InvalidArgument");
        assert_eq!(code(vec![part(10_001, &etag)]), "InvalidArgument");
        assert_eq!(code(vec![CompletedPart::default()]), "MalformedXML");
        let foreign = listed_parts(Some(vec![part(1, "not-an-md5")])).expect("it matches nothing");
        assert_eq!(foreign[0].md5, None);
    }

    #[test]
    fn page_sizes() {
        assert_eq!(page_size(None, "max-keys").expect("valid"), 1000);
        assert_eq!(page_size(Some(0), "max-keys").expect("valid"), 0);
        assert_eq!(page_size(Some(5000), "max-keys").expect("valid"), 1000);
        assert!(page_size(Some(-1), "max-keys").is_err());
    }
}
