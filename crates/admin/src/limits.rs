//! What the port takes at most, so that no client makes the process hold much.

use axum::{
    body::HttpBody, extract::Request, http::StatusCode, middleware::Next, response::Response,
};

use crate::answer;

const BODY_BYTES_MAX: u64 = 64 << 10;
const HEADER_BYTES_MAX: usize = 16 << 10;
const URI_BYTES_MAX: usize = 4 << 10;

/// Refuses what is over a limit, before anything else looks at it.
pub(crate) async fn enforce(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > URI_BYTES_MAX {
        let message = format!("the path and query may have {URI_BYTES_MAX} bytes");
        return answer::error(StatusCode::URI_TOO_LONG, "UriTooLong", &message);
    }
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    if headers.sum::<usize>() > HEADER_BYTES_MAX {
        let message = format!("the headers may have {HEADER_BYTES_MAX} bytes together");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return answer::error(status, "HeadersTooLarge", &message);
    }
    // A body of undeclared length counts as too long.
    if request.body().size_hint().upper().is_none_or(|bytes| bytes > BODY_BYTES_MAX) {
        let message = format!("a body may have {BODY_BYTES_MAX} bytes and must declare them");
        return answer::error(StatusCode::PAYLOAD_TOO_LARGE, "BodyTooLarge", &message);
    }
    next.run(request).await
}
