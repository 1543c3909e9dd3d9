//! One id a request, from the edge through every internal call to the disk: in the answer's
//! `x-amz-request-id`, in internal calls' [`HEADER`], and in every log line on the way.

use std::{fmt, future::Future, str::FromStr};

use tracing::Instrument;
use uuid::Uuid;

/// The header of internal calls that carries the id.
pub const HEADER: &str = "x-shardlake-request-id";

/// A request's id: 16 upper-case hexadecimal characters, as AWS writes them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

impl RequestId {
    /// A random one.
    pub fn generate() -> Self {
        // The fixed bits of either half of a version 4 UUID meet random ones of the other.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        Self(high ^ low)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is no request id. Whoever gets one in a header makes an id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a request id is 16 upper-case hexadecimal characters")]
pub struct InvalidRequestId;

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
        if text.len() != 16 || !text.bytes().all(hexadecimal) {
            return Err(InvalidRequestId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidRequestId)
    }
}

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Runs `future` as part of request `id`: [`current`] answers it, and log events inside carry
/// `request_id`.
pub fn scope<F: Future>(id: RequestId, future: F) -> impl Future<Output = F::Output> {
    // Level error, so that the id is there however few levels are logged.
    let span = tracing::error_span!("request", request_id = %id);
    CURRENT.scope(id, future.instrument(span))
}

/// The request that the running task serves; `None` in background work. A task spawned by the
/// request does not inherit it: see [`carry`].
pub fn current() -> Option<RequestId> {
    CURRENT.try_with(|id| *id).ok()
}

/// Makes `future`, which is about to be spawned, part of the current request, if there is one.
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let id = current();
    async move {
        match id {
            Some(id) => scope(id, future).await,
            None => future.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn text_form_round_trips_and_bad_forms_are_refused() {
        let ids: BTreeSet<String> = (0..100).map(|_| RequestId::generate().to_string()).collect();
        assert_eq!(ids.len(), 100);
        for text in &ids {
            assert_eq!(text.len(), 16);
            assert_eq!(text.parse::<RequestId>().expect("valid").to_string(), *text);
        }
        assert_eq!(RequestId(0xAB).to_string(), "00000000000000AB");
        for text in
            ["", "00000000000000A", "00000000000000ABC", "00000000000000aB", "+0000000000000AB"]
        {
            assert_eq!(text.parse::<RequestId>(), Err(InvalidRequestId), "{text}");
        }
        // Every digit takes every value: no fixed bits are left.
        for position in 0..16 {
            let seen: BTreeSet<u8> =
                (0..500).map(|_| RequestId::generate().to_string().as_bytes()[position]).collect();
            assert_eq!(seen.len(), 16, "{position}");
        }
    }

    #[tokio::test]
    async fn the_id_is_there_inside_the_scope_and_where_it_is_carried() {
        assert_eq!(current(), None);
        let id = RequestId::generate();
        let seen = scope(id, async {
            let bare = tokio::spawn(async { current() }).await.expect("no panic");
            let carried = tokio::spawn(carry(async { current() })).await.expect("no panic");
            (current(), bare, carried)
        })
        .await;
        assert_eq!(seen, (Some(id), None, Some(id)));
        assert_eq!(carry(async { current() }).await, None);
    }
}
