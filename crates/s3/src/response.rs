//! Responses: their bodies, what travels with them, and the form of an error.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use s3s::{S3Error, StdError};

use crate::{early, errors::ELEMENTS, text};

/// A response's body.
pub type ResponseBody = UnsyncBoxBody<Bytes, StdError>;

/// The name of the S3 operation that a request was, as `GetObject`: in the extensions of
/// the response. Missing if the request was refused before that was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation(pub String);

/// The code of the error that a response is: in its extensions, for the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ErrorCode(pub(crate) String);

/// The status of an answer that the library would give another one: in its extensions.
#[derive(Clone, Copy)]
pub(crate) struct OwnStatus(pub(crate) StatusCode);

/// An error response has at most so many bytes, and is completed with the request's id.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// The XML form of an error.
pub(crate) fn render(error: S3Error) -> Response<ResponseBody> {
    match error.to_http_response() {
        Ok(response) => response.map(|body| body.boxed_unsync()),
        Err(error) => {
            tracing::error!(%error, "an error response could not be written");
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// No bytes.
pub(crate) fn empty() -> ResponseBody {
    full(Bytes::new())
}

/// These bytes.
pub(crate) fn full(bytes: Bytes) -> ResponseBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// The text of an error's body; empty if it is longer than an error's.
pub(crate) async fn error_text(response: Response<ResponseBody>) -> String {
    let body = response.into_body();
    if body.size_hint().exact().is_none_or(|bytes| bytes > ERROR_BYTES_MAX) {
        return String::new();
    }
    match body.collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        Err(_) => String::new(),
    }
}

/// What a request asked for, as its errors tell.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    /// The path.
    pub(crate) resource: &'a str,
    /// Whether it is the path of a bucket.
    pub(crate) of_bucket: bool,
}

/// The code whose XML says which method on what is not allowed.
const METHOD_CODE: &str = "MethodNotAllowed";

/// Adds `Resource`, `RequestId` and `HostId` to an error's XML, as AWS has them, `Region` where it
/// is what was wrong, and the elements of [`ELEMENTS`].
pub(crate) async fn complete_error(
    response: Response<ResponseBody>,
    asked: &Asked<'_>,
    request_id: &str,
    region: &str,
) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    let elements = parts.headers.remove(ELEMENTS);
    let elements = elements.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let mut elements = elements.unwrap_or_default();
    if body.size_hint().exact().is_none_or(|bytes| bytes > ERROR_BYTES_MAX) {
        return Response::from_parts(parts, body);
    }
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    let text = String::from_utf8_lossy(&bytes);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
    let region = match code {
        Some((early::REGION_CODE, _)) => format!("<Region>{region}</Region>"),
        _ => String::new(),
    };
    if let Some((code, _)) = code {
        parts.extensions.insert(ErrorCode(code.to_owned()));
    }
    if matches!(code, Some((METHOD_CODE, _))) {
        let kind = if asked.of_bucket { "BUCKET" } else { "OBJECT" };
        if elements.is_empty() {
            elements = format!("<ResourceType>{kind}</ResourceType>");
        }
        let method = text::escape_html(asked.method.as_str());
        elements = format!("<Method>{method}</Method>{elements}");
    }
    if *asked.method == Method::HEAD || bytes.is_empty() {
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, empty());
    }
    let completed = match text.strip_suffix("</Error>") {
        Some(start) if !text.contains("<RequestId>") => Bytes::from(format!(
            "{start}{elements}{region}<Resource>{}</Resource><RequestId>{request_id}</RequestId>\
             <HostId>{request_id}</HostId></Error>",
            text::escape_html(asked.resource)
        )),
        _ => bytes.clone(),
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(completed.len()));
    Response::from_parts(parts, full(completed))
}
