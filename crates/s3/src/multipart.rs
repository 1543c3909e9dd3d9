//! Multipart uploads: create, upload part, complete, abort.

use metastore::api::index::{self, Reason};
use objects::request::{CompleteUpload, CreateUpload, ListedPart, PutPart};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};
use types::{ChecksumAlgorithm as Algorithm, ChecksumKind, UploadId};

use crate::{
    api::Api,
    body::{BodyClaims, CheckedBody},
    checksum::{self, listed_checksum, set_checksum},
    conditions,
    errors::{from_objects, invalid_argument, invalid_request},
    lifecycle, metadata, origin, text, versioning,
};

/// Parts of an upload, and of one completion.
pub(crate) const PARTS_MAX: usize = 10_000;

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
    let S3Request { input, headers, uri, .. } = request;
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
        attributes: metadata::of_new_object(&headers, &uri, api.clock_now())?,
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

pub(crate) fn algorithm_name(algorithm: Algorithm) -> ChecksumAlgorithm {
    ChecksumAlgorithm::from_static(checksum::name(algorithm))
}

pub(crate) fn kind_name(kind: ChecksumKind) -> ChecksumType {
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
    let origin = origin::of(&request, Reason::CompleteMultipartUpload);
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
        origin,
    };
    let head = api.objects.complete_upload(complete).await.map_err(from_objects)?;
    compare_declared(declared.as_ref(), head.checksum.as_ref())?;
    let expiration = lifecycle::expiration(api, &input.bucket, &input.key, &head).await;
    let mut output = CompleteMultipartUploadOutput {
        expiration,
        location: Some(format!("/{}/{}", input.bucket, text::url_encode(&input.key))),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(text::etag(head.etag)),
        version_id: versioning::of_write(&head),
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
}
