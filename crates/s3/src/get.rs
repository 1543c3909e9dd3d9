//! GetObject and HeadObject.

use std::{
    ops,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use metastore::api::index::ListedPart;
use objects::{
    Error,
    request::{ObjectReader, RangeRequest},
};
use s3s::{S3Error, S3Request, S3Response, S3Result, dto::*};
use types::{Content, ObjectHead, Version};

use crate::{
    api::Api,
    checksum::{self, set_checksum},
    conditions::{ReadConditions, read_conditions},
    delete_marker,
    errors::{custom, from_objects, invalid_argument, invalid_range, invalid_request},
    lifecycle, metadata, object_lock, storage_class, text, versioning,
};

/// How often a read begins again because the object was replaced under it.
const REPLACED_TRIES: usize = 5;

/// What a GET and a HEAD ask for in the same words.
struct Asked {
    bucket: String,
    key: String,
    version: Option<Version>,
    conditions: ReadConditions,
    range: Option<Range>,
    part_number: Option<i32>,
    checksum: bool,
    /// Headers that `response-*` parameters replace.
    overrides: Vec<(HeaderName, HeaderValue)>,
}

macro_rules! asked {
    ($input:expr) => {{
        let input = $input;
        Asked {
            version: versioning::named(input.version_id.as_deref())?,
            conditions: read_conditions!(input),
            overrides: overrides(
                [
                    (header::CACHE_CONTROL, input.response_cache_control),
                    (header::CONTENT_DISPOSITION, input.response_content_disposition),
                    (header::CONTENT_ENCODING, input.response_content_encoding),
                    (header::CONTENT_LANGUAGE, input.response_content_language),
                    (header::CONTENT_TYPE, input.response_content_type),
                ],
                input.response_expires,
            )?,
            bucket: input.bucket,
            key: input.key,
            range: input.range,
            part_number: input.part_number,
            checksum: input.checksum_mode.is_some_and(|it| it.as_str() == ChecksumMode::ENABLED),
        }
    }};
}

/// s3s applies these to GET only, AWS to both.
fn overrides(
    texts: [(HeaderName, Option<String>); 5],
    expires: Option<Timestamp>,
) -> S3Result<Vec<(HeaderName, HeaderValue)>> {
    let mut found = Vec::new();
    for (name, text) in texts {
        let Some(text) = text else { continue };
        let value = HeaderValue::try_from(text)
            .map_err(|_| invalid_argument(format!("response-{name} is no header value.")))?;
        found.push((name, value));
    }
    if let Some(expires) = expires {
        let mut date = Vec::new();
        let formatted = expires.format(TimestampFormat::HttpDate, &mut date).ok();
        let value = formatted.and_then(|()| HeaderValue::from_bytes(&date).ok());
        let value = value.ok_or_else(|| invalid_argument("response-expires is no date."))?;
        found.push((header::EXPIRES, value));
    }
    Ok(found)
}

/// The version that was found, and which of its bytes are asked for.
struct Found {
    head: ObjectHead,
    /// `None`: all of them.
    range: Option<ops::Range<u64>>,
    /// Of a multipart object, if a part number was asked for.
    part: Option<ListedPart>,
}

impl Found {
    fn length(&self) -> u64 {
        self.range.as_ref().map_or(self.head.size, |range| range.end - range.start)
    }

    /// `Content-Range`, and so whether the answer is partial. An empty range has no form.
    fn content_range(&self) -> Option<String> {
        let range = self.range.as_ref().filter(|range| !range.is_empty())?;
        Some(format!("bytes {}-{}/{}", range.start, range.end - 1, self.head.size))
    }

    /// The checksum of exactly the bytes that are sent: of the object or of one of its parts.
    fn checksum(&self) -> Option<&types::Checksum> {
        match &self.part {
            Some(part) => part.checksum.as_ref(),
            None if self.length() == self.head.size => self.head.checksum.as_ref(),
            None => None,
        }
    }

    fn headers(&self, asked: &Asked) -> HeaderMap {
        let mut headers = metadata::to_headers(&self.head.attributes);
        for (name, value) in &asked.overrides {
            headers.insert(name, value.clone());
        }
        headers
    }
}

/// Says in an output what GET and HEAD say in the same words.
macro_rules! set_found {
    ($output:ident, $asked:ident, $found:ident, $version_id:expr, $expiration:expr, $now:expr) => {{
        let head = &$found.head;
        let lock = &head.attributes.lock;
        $output.accept_ranges = Some("bytes".to_owned());
        $output.content_length = Some(signed($found.length()));
        $output.content_range = $found.content_range();
        $output.e_tag = Some(text::etag(head.etag));
        $output.last_modified = Some(text::timestamp(head.modified));
        $output.version_id = $version_id;
        $output.expiration = $expiration;
        $output.storage_class = storage_class::header(head.attributes.class);
        $output.restore = storage_class::restore_header(head.restore, $now);
        $output.tag_count = i32::try_from(head.attributes.tags.len()).ok().filter(|it| *it > 0);
        $output.parts_count = $found.part.as_ref().map(|_| i32::from(head.etag.parts));
        $output.object_lock_mode =
            lock.retention.map(|it| ObjectLockMode::from_static(object_lock::mode_name(it.mode)));
        $output.object_lock_retain_until_date =
            lock.retention.map(|it| object_lock::until(it.until));
        $output.object_lock_legal_hold_status = lock
            .legal_hold
            .map(|it| ObjectLockLegalHoldStatus::from_static(object_lock::hold_name(it)));
        if let Some(found) = $found.checksum().filter(|_| $asked.checksum) {
            // A part's checksum is of its bytes, but AWS names the object's type.
            $output.checksum_type = checksum::kind(head.checksum.as_ref().or(Some(found)));
            set_checksum!($output, Some(found));
        }
    }};
}

/// When rules will end the object. A version that was named may not be the current one, and
/// AWS says it of the current one only.
async fn expiration(api: &Api, asked: &Asked, head: &ObjectHead) -> Option<Expiration> {
    match asked.version {
        None => lifecycle::expiration(api, &asked.bucket, &asked.key, head).await,
        Some(_) => None,
    }
}

/// `GET /bucket/key`: verified bytes, straight from the shard buffers.
pub(crate) async fn get_object(
    api: &Api,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let asked = asked!(request.input);
    let (found, stream) = open(api, &asked).await?;
    let version_id = versioning::of_read(api, &asked.bucket, &found.head).await?;
    let expiration = expiration(api, &asked, &found.head).await;
    let body = ReaderBody { stream, left: found.length() };
    let mut output = GetObjectOutput {
        body: Some(StreamingBlob::from(s3s::Body::http_body_unsync(body))),
        ..Default::default()
    };
    set_found!(output, asked, found, version_id, expiration, api.clock_now());
    Ok(S3Response::with_headers(output, found.headers(&asked)))
}

/// `HEAD /bucket/key`.
pub(crate) async fn head_object(
    api: &Api,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let asked = asked!(request.input);
    let found = find(api, &asked).await?;
    let version_id = versioning::of_read(api, &asked.bucket, &found.head).await?;
    let expiration = expiration(api, &asked, &found.head).await;
    let mut output = HeadObjectOutput::default();
    set_found!(output, asked, found, version_id, expiration, api.clock_now());
    Ok(S3Response::with_headers(output, found.headers(&asked)))
}

type Stream = BoxStream<'static, Result<Bytes, Error>>;

/// Opens the bytes that are asked for.
async fn open(api: &Api, asked: &Asked) -> S3Result<(Found, Stream)> {
    let mut tries = 0;
    loop {
        let found = find(api, asked).await?;
        storage_class::require_readable(&found.head, api.clock_now())?;
        if found.length() == 0 && found.head.size > 0 {
            // A part without bytes: no range says that.
            return Ok((found, stream::empty().boxed()));
        }
        let range = found.range.as_ref().filter(|range| !range.is_empty());
        let range = range.map(|range| RangeRequest::FromTo(range.start, range.end - 1));
        let head = found.head.clone();
        match api.objects.read(&asked.bucket, &asked.key, head, range).await {
            Ok(ObjectReader { stream, .. }) => return Ok((found, stream)),
            Err(Error::Replaced) if tries < REPLACED_TRIES => tries += 1,
            Err(error) => return Err(from_objects(error)),
        }
    }
}

/// The version, once the conditions hold, and the bytes that are asked for.
async fn find(api: &Api, asked: &Asked) -> S3Result<Found> {
    if asked.range.is_some() && asked.part_number.is_some() {
        return Err(invalid_request(
            "Cannot specify both Range header and partNumber query parameter.",
        ));
    }
    for _ in 0..=REPLACED_TRIES {
        let head = api.objects.head(&asked.bucket, &asked.key, asked.version).await;
        let head = head.map_err(|error| delete_marker::of_read(error, asked.version))?;
        asked.conditions.check_read(&head)?;
        if let Some(number) = asked.part_number {
            match part(api, asked, &head, number).await? {
                Some((range, part)) => return Ok(Found { head, range: Some(range), part }),
                None => continue,
            }
        }
        let range = match &asked.range {
            None => None,
            // A range of an empty object cannot be satisfied, whatever it is.
            Some(range) => match range.check(head.size) {
                Ok(range) if !range.is_empty() => Some(range),
                _ => return Err(invalid_range(head.size)),
            },
        };
        return Ok(Found { head, range, part: None });
    }
    Err(from_objects(Error::Replaced))
}

/// The bytes of a part; `None` if the object was replaced meanwhile. An object that was put in
/// one piece is its part 1.
async fn part(
    api: &Api,
    asked: &Asked,
    head: &ObjectHead,
    number: i32,
) -> S3Result<Option<(ops::Range<u64>, Option<ListedPart>)>> {
    let number = u16::try_from(number)
        .ok()
        .filter(|number| (1..=10_000).contains(number))
        .ok_or_else(|| invalid_argument("partNumber must be between 1 and 10000."))?;
    match head.content {
        Content::Parts { count, .. } if number <= count => {
            let parts =
                api.objects.object_parts(&asked.bucket, &asked.key, head, number - 1, 1).await;
            match parts {
                Ok((parts, _)) => Ok(parts
                    .into_iter()
                    .next()
                    .map(|part| (part.offset..part.offset + part.size, Some(part)))),
                Err(Error::Replaced) => Ok(None),
                Err(error) => Err(from_objects(error)),
            }
        }
        Content::Inline(_) | Content::Blob(_) if number == 1 => Ok(Some((0..head.size, None))),
        _ => Err(no_such_part()),
    }
}

fn no_such_part() -> S3Error {
    custom(
        "InvalidPartNumber",
        StatusCode::RANGE_NOT_SATISFIABLE,
        "The requested partnumber is not satisfiable.",
    )
}

/// Sizes are below 2^63 everywhere.
pub(crate) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// An object's bytes as a response body of known length.
struct ReaderBody {
    stream: Stream,
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
