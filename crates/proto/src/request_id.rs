//! The request id of the call that runs now: from the caller's task into a header, from
//! the header into the callee's task.

/// The id as it goes into the header, if this task works for a request.
pub(crate) fn current() -> Option<String> {
    None
}

/// Runs `work` under the id in a header; under none if it is absent or malformed.
pub(crate) async fn scope<F: Future>(_header: Option<&str>, work: F) -> F::Output {
    work.await
}
