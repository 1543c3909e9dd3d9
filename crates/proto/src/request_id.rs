//! The request id of the call that runs now: from the caller's task into a header, from
//! the header into the callee's task.

use telemetry::request_id::{self, RequestId};

/// The id as it goes into the header, if this task works for a request.
pub(crate) fn current() -> Option<String> {
    request_id::current().map(|id| id.to_string())
}

/// Runs `work` under the id in a header; under none if it is absent or malformed.
pub(crate) async fn scope<F: Future>(header: Option<&str>, work: F) -> F::Output {
    match header.map(str::parse::<RequestId>) {
        Some(Ok(id)) => request_id::scope(id, work).await,
        Some(Err(_)) | None => work.await,
    }
}
