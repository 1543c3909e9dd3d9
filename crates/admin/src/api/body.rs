//! Bodies of requests that change something: small JSON, read whole (`limits` bounds them).

use axum::{body::Bytes, response::Response};
use serde::de::DeserializeOwned;

use crate::{Refused, answer};

/// What the body says; an empty one says nothing, as `{}`.
#[allow(clippy::result_large_err, reason = "the error is the answer, made once a request")]
pub(crate) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Response> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    // An object only: a list would be taken for the fields in their order.
    let read = serde_json::from_slice(text)
        .and_then(|object: serde_json::Map<_, _>| serde_json::from_value(object.into()));
    read.map_err(|error| {
        answer::refused(Refused::Invalid(format!(
            "the body is not the JSON that this path takes: {error}"
        )))
    })
}
