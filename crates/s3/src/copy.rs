//! CopyObject and UploadPartCopy: the bytes are read, verified and written anew.

use objects::{
    Error,
    request::{ObjectReader, Put, PutPart, RangeRequest},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use types::ChecksumAlgorithm as Algorithm;

use crate::{
    api::Api,
    body::CheckedBody,
    checksum::{self, set_checksum},
    conditions::{self, ReadConditions},
    errors::{from_objects, invalid_argument, invalid_request, not_implemented},
    metadata, multipart, text,
};

/// The most one copy may read: as on AWS, more needs UploadPartCopy.
const SOURCE_BYTES_MAX: u64 = 5 << 30;

/// As in get.rs: a source that is replaced all the time.
const REPLACED_TRIES: usize = 5;

/// Where to copy from and under which conditions.
struct Source {
    bucket: String,
    key: String,
    conditions: ReadConditions,
}

impl Source {
    fn new(source: CopySource, conditions: ReadConditions) -> S3Result<Self> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(not_implemented("Copying from an access point"));
        };
        if version_id.is_some_and(|version| &*version != "null") {
            return Err(not_implemented("The parameter versionId of x-amz-copy-source"));
        }
        text::check_key(&key)?;
        Ok(Self { bucket: bucket.into(), key: key.into(), conditions })
    }

    /// Opens the source, or the asked range of it.
    async fn open(&self, api: &Api, range: Option<(u64, u64)>) -> S3Result<ObjectReader> {
        let mut tries = 0;
        loop {
            let head = api.objects.head(&self.bucket, &self.key).await.map_err(from_objects)?;
            self.conditions.check_copy_source(&head)?;
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

/// `PUT /bucket/key` with `x-amz-copy-source`.
pub(crate) async fn copy_object(
    api: &Api,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let S3Request { input, headers, .. } = request;
    let condition = conditions::of_write(input.if_match, input.if_none_match)?;
    let replace = match input.metadata_directive.as_ref().map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => return Err(invalid_argument("Unknown metadata directive.")),
    };
    let source = Source::new(
        input.copy_source,
        ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        },
    )?;
    let algorithm = match &input.checksum_algorithm {
        Some(name) => Some(checksum::parse_name(name.as_str())?),
        None => None,
    };
    let onto_itself = source.bucket == input.bucket && source.key == input.key;
    if onto_itself && !replace && algorithm.is_none() {
        return Err(invalid_request(
            "This copy request is illegal because it is trying to copy an object to itself \
             without changing the object's metadata, storage class, website redirect location or \
             encryption attributes.",
        ));
    }
    let replaced = if replace { Some(metadata::of_headers(&headers)?) } else { None };
    let reader = source.open(api, None).await?;
    let attributes = replaced.unwrap_or_else(|| reader.head.attributes.clone());
    let algorithm = algorithm
        .or_else(|| reader.head.checksum.as_ref().map(|checksum| checksum.algorithm))
        .unwrap_or(checksum::DEFAULT);
    let put = Put {
        bucket: input.bucket,
        key: input.key,
        condition,
        attributes,
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
    Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
}

/// `PUT /bucket/key?partNumber=N&uploadId=U` with `x-amz-copy-source`.
pub(crate) async fn upload_part_copy(
    api: &Api,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    let number = multipart::part_number(input.part_number)?;
    let upload = multipart::upload_id(&input.upload_id)?;
    let source = Source::new(
        input.copy_source,
        ReadConditions {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        },
    )?;
    let range = input.copy_source_range.as_deref().map(source_range).transpose()?;
    let row = multipart::upload_row(api, &input.bucket, &input.key, upload).await?;
    let algorithm = row.checksum.map_or(checksum::DEFAULT, |(algorithm, _)| algorithm);
    let reader = source.open(api, range).await?;
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
    use super::*;

    #[test]
    fn source_ranges_have_both_ends() {
        assert_eq!(source_range("bytes=0-9").expect("valid"), (0, 9));
        for bad in ["bytes=0-", "bytes=-5", "0-9", "bytes=9-0", "bytes=0-1,3-4", ""] {
            assert!(source_range(bad).is_err(), "{bad}");
        }
    }
}
