//! Bodies at the edge: counted in both directions, and a request's rest read away when
//! nobody wants it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use s3::ResponseBody;

/// An unread rest of at most so many bytes is read away after an early answer, for at most
/// [`DRAIN_TIME`]: a client that still sends would otherwise see a reset connection instead
/// of the answer, and a proxy in between often loses it. A longer rest costs the connection.
const DRAIN_BYTES_MAX: u64 = 64 << 20;
/// See [`DRAIN_BYTES_MAX`].
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// A request's body as it comes from the connection.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Option<Incoming>,
    received: Arc<AtomicU64>,
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, received: Arc<AtomicU64>) -> Self {
        Self { incoming: Some(incoming), received }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let item = std::task::ready!(Pin::new(incoming).poll_frame(context));
        match &item {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.received.fetch_add(bytes, Ordering::Relaxed);
                metrics::counter!(crate::metrics::BYTES_IN).increment(bytes);
            }
            Some(Err(_)) | None => self.incoming = None,
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(mut incoming) = self.incoming.take() else { return };
        let rest = incoming.size_hint().lower();
        if incoming.is_end_stream() || rest > DRAIN_BYTES_MAX {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let drain = async {
                let mut left = DRAIN_BYTES_MAX;
                while let Some(Ok(frame)) = incoming.frame().await {
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    let Some(rest) = left.checked_sub(bytes) else { break };
                    left = rest;
                }
            };
            let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
        });
    }
}

/// A response's body that counts, and tells when it is over: sent to its end or cut off.
pub(crate) struct CountedResponse<F: FnOnce(u64) + Unpin> {
    inner: ResponseBody,
    sent: u64,
    over: Option<F>,
}

impl<F: FnOnce(u64) + Unpin> CountedResponse<F> {
    pub(crate) fn new(inner: ResponseBody, over: F) -> Self {
        Self { inner, sent: 0, over: Some(over) }
    }
}

impl<F: FnOnce(u64) + Unpin> Body for CountedResponse<F> {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let item = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &item {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.sent += bytes;
            metrics::counter!(crate::metrics::BYTES_OUT).increment(bytes);
        }
        Poll::Ready(item)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<F: FnOnce(u64) + Unpin> Drop for CountedResponse<F> {
    fn drop(&mut self) {
        if let Some(over) = self.over.take() {
            over(self.sent);
        }
    }
}
