//! The form of an answer: JSON that is not cached, errors with a code and a sentence.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::Refused;

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An error: `{"error": {"code": "NotFound", "message": "..."}}`.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &serde_json::json!({ "error": { "code": code, "message": message } }))
}

/// Why something was not done: the status that says what kind of reason it is, and the reason.
pub(crate) fn refused(refused: Refused) -> Response {
    match refused {
        Refused::NotFound(reason) => error(StatusCode::NOT_FOUND, "NotFound", &reason),
        Refused::Conflict(reason) => error(StatusCode::CONFLICT, "Refused", &reason),
        Refused::Invalid(reason) => error(StatusCode::BAD_REQUEST, "Invalid", &reason),
        Refused::Unavailable(reason) => {
            error(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", &reason)
        }
    }
}

/// Every path that does not exist.
pub(crate) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this path")
}

/// A method that the path does not have.
pub(crate) async fn method_not_allowed() -> Response {
    let message = "this path does not answer that method; most only answer GET and HEAD";
    error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}
