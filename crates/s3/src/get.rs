//! GetObject and HeadObject.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use objects::{
    Error,
    request::{ObjectReader, RangeRequest},
};
use s3s::{S3Request, S3Response, S3Result, dto::*};
use types::{Content, ObjectHead};

use crate::{
    api::Api,
    checksum::{self, set_checksum},
    conditions::ReadConditions,
    errors::{custom, from_objects, invalid_argument, invalid_range, not_implemented},
    metadata, text,
};

/// How often a read begins again because the object was replaced under it.
const REPLACED_TRIES: usize = 5;

/// What a GET and a HEAD ask for in the same words.
struct Asked {
    bucket: String,
    key: String,
    conditions: ReadConditions,
    range: Option<Range>,
    part_number: Option<i32>,
    checksum: bool,
}

/// `GET /bucket/key`: verified bytes, straight from the shard buffers.
pub(crate) async fn get_object(
    api: &Api,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    let asked = Asked {
        bucket: input.bucket,
        key: input.key,
        conditions: ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        },
        range: input.range,
        part_number: input.part_number,
        checksum: input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED),
    };
    let (ObjectReader { head, range, stream }, partial) = open(api, &asked).await?;
    let length = range.end - range.start;
    let body = ReaderBody { stream, left: length };
    let mut output = GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(StreamingBlob::from(s3s::Body::http_body_unsync(body))),
        content_length: Some(signed(length)),
        content_range: partial.then(|| content_range(&range, head.size)),
        e_tag: Some(text::etag(head.etag)),
        last_modified: Some(text::timestamp(head.modified)),
        ..Default::default()
    };
    // The stored checksum is of the whole object: nobody can verify a part of it by it.
    if asked.checksum && length == head.size {
        output.checksum_type = checksum::kind(head.checksum.as_ref());
        set_checksum!(output, head.checksum.as_ref());
    }
    // s3s adds the overrides before these headers, which would win over them.
    let mut headers = metadata::to_headers(&head.attributes);
    for (name, given) in [
        (header::CACHE_CONTROL, input.response_cache_control.is_some()),
        (header::CONTENT_DISPOSITION, input.response_content_disposition.is_some()),
        (header::CONTENT_ENCODING, input.response_content_encoding.is_some()),
        (header::CONTENT_LANGUAGE, input.response_content_language.is_some()),
        (header::CONTENT_TYPE, input.response_content_type.is_some()),
        (header::EXPIRES, input.response_expires.is_some()),
    ] {
        if given {
            headers.remove(name);
        }
    }
    Ok(S3Response::with_headers(output, headers))
}

/// Opens the object; whether the answer is partial (206).
async fn open(api: &Api, asked: &Asked) -> S3Result<(ObjectReader, bool)> {
    let mut tries = 0;
    loop {
        let (head, range) = head_and_range(api, asked).await?;
        let request = match &range {
            None => None,
            // An empty range of an empty object: its one part.
            Some(range) if range.is_empty() => None,
            Some(range) => Some(RangeRequest::FromTo(range.start, range.end - 1)),
        };
        match api.objects.read(&asked.bucket, &asked.key, head, request).await {
            Ok(reader) => return Ok((reader, range.is_some_and(|range| !range.is_empty()))),
            Err(Error::Replaced) if tries < REPLACED_TRIES => tries += 1,
            Err(error) => return Err(from_objects(error)),
        }
    }
}

/// The head, once the conditions hold, and the bytes that are asked for; `None` for all.
async fn head_and_range(
    api: &Api,
    asked: &Asked,
) -> S3Result<(ObjectHead, Option<std::ops::Range<u64>>)> {
    let head = api.objects.head(&asked.bucket, &asked.key).await.map_err(from_objects)?;
    asked.conditions.check_read(&head)?;
    let range = match (&asked.range, asked.part_number) {
        (Some(_), Some(_)) => {
            return Err(crate::errors::invalid_request(
                "Cannot specify both Range header and partNumber query parameter.",
            ));
        }
        (None, None) => None,
        // A range of an empty object cannot be satisfied, whatever it is.
        (Some(range), None) => match range.check(head.size) {
            Ok(range) if !range.is_empty() => Some(range),
            _ => return Err(invalid_range(head.size)),
        },
        (None, Some(number)) => Some(part_range(&head, number)?),
    };
    Ok((head, range))
}

/// The bytes of a part. An object that was put in one piece is its part 1.
fn part_range(head: &ObjectHead, number: i32) -> S3Result<std::ops::Range<u64>> {
    if !(1..=10_000).contains(&number) {
        return Err(invalid_argument("partNumber must be between 1 and 10000."));
    }
    match (&head.content, number) {
        (Content::Parts { .. }, _) => {
            Err(not_implemented("The parameter partNumber for an object uploaded in parts"))
        }
        (_, 1) => Ok(0..head.size),
        _ => Err(custom(
            "InvalidPartNumber",
            StatusCode::RANGE_NOT_SATISFIABLE,
            "The requested partnumber is not satisfiable.",
        )),
    }
}

/// `HEAD /bucket/key`.
pub(crate) async fn head_object(
    api: &Api,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    let asked = Asked {
        bucket: input.bucket,
        key: input.key,
        conditions: ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        },
        range: input.range,
        part_number: input.part_number,
        checksum: input.checksum_mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED),
    };
    let (head, range) = head_and_range(api, &asked).await?;
    let partial = range.filter(|range| !range.is_empty());
    let length = partial.as_ref().map_or(head.size, |range| range.end - range.start);
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(signed(length)),
        content_range: partial.as_ref().map(|range| content_range(range, head.size)),
        e_tag: Some(text::etag(head.etag)),
        last_modified: Some(text::timestamp(head.modified)),
        ..Default::default()
    };
    if asked.checksum && length == head.size {
        output.checksum_type = checksum::kind(head.checksum.as_ref());
        set_checksum!(output, head.checksum.as_ref());
    }
    let mut headers = metadata::to_headers(&head.attributes);
    // s3s applies these to GET only; AWS to both.
    replace(&mut headers, header::CACHE_CONTROL, input.response_cache_control)?;
    replace(&mut headers, header::CONTENT_DISPOSITION, input.response_content_disposition)?;
    replace(&mut headers, header::CONTENT_ENCODING, input.response_content_encoding)?;
    replace(&mut headers, header::CONTENT_LANGUAGE, input.response_content_language)?;
    replace(&mut headers, header::CONTENT_TYPE, input.response_content_type)?;
    if let Some(expires) = input.response_expires {
        let mut date = Vec::new();
        expires
            .format(TimestampFormat::HttpDate, &mut date)
            .map_err(|_| invalid_argument("response-expires is no date."))?;
        replace(&mut headers, header::EXPIRES, String::from_utf8(date).ok())?;
    }
    let mut response = S3Response::with_headers(output, headers);
    if partial.is_some() {
        response.status = Some(StatusCode::PARTIAL_CONTENT);
    }
    Ok(response)
}

fn replace(headers: &mut HeaderMap, name: HeaderName, value: Option<String>) -> S3Result {
    if let Some(value) = value {
        let value = HeaderValue::try_from(value)
            .map_err(|_| invalid_argument(format!("response-{name} is no header value.")))?;
        headers.insert(name, value);
    }
    Ok(())
}

fn content_range(range: &std::ops::Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Sizes are below 2^63 everywhere.
pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// An object's bytes as a response body of known length.
struct ReaderBody {
    stream: BoxStream<'static, Result<Bytes, Error>>,
    left: u64,
}

impl Body for ReaderBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.stream.poll_next_unpin(context).map(|item| match item {
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            // The head is sent: all that can be done is to cut the connection, so that the
            // client sees a short body and tries again.
            Some(Err(error)) => {
                tracing::error!(%error, missing_bytes = self.left, "a response was cut off");
                Some(Err(error))
            }
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
