//! A request of a bucket that asks for a log, from its head to the last byte of its answer.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use metastore::api::root::ConfigKind;
use s3s::StdError;

use super::{AccessLogs, Line, Seen, Setting};
use crate::{
    api::Api,
    host::Place,
    response::{ErrorCode, Operation, ResponseBody},
    text,
};

/// The address of the client: whoever has the connection puts it into the extensions of the
/// request. Only for access logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddress(pub IpAddr);

/// A request that may be logged.
pub(crate) struct Logged {
    seen: Seen,
    began: Instant,
}

impl Logged {
    /// `None` for a request that names no bucket.
    pub(crate) fn of<B>(
        api: &Api,
        request: &Request<B>,
        place: &Place,
        request_id: &str,
    ) -> Option<Self> {
        let began = Instant::now();
        let bucket = place.bucket.as_deref()?;
        let remote = request.extensions().get::<RemoteAddress>().map(|RemoteAddress(ip)| *ip);
        let at = text::timestamp(api.clock_now()).into();
        let path = request.uri().path().trim_start_matches('/');
        let key = match (place.by_host, place.is_bucket) {
            (_, true) => None,
            (true, false) => Some(path),
            (false, false) => path.split_once('/').map(|(_, key)| key),
        };
        let key = key.map(|key| text::url_decode(key).unwrap_or_else(|| key.to_owned()));
        let seen = Seen::of(request, request_id, remote, at, bucket.to_owned(), key);
        Some(Self { seen, began })
    }

    /// The same answer. If the bucket asks for a log, a line is written when its last byte has
    /// left or its client has. That is found out only now: a request that is refused must not
    /// make anybody look for the bucket that it names. What cannot be found out is not logged:
    /// delivery is best effort.
    pub(crate) async fn finish(
        self,
        api: &Api,
        logs: &AccessLogs,
        response: Response<ResponseBody>,
    ) -> Response<ResponseBody> {
        let stored = api.objects.bucket_config_known(&self.seen.bucket, ConfigKind::Logging).await;
        let Some(setting) = stored.ok().flatten().and_then(|stored| Setting::decode(&stored))
        else {
            return response;
        };
        let extensions = response.extensions();
        let operation = extensions.get::<Operation>().map(|Operation(name)| name.clone());
        let error_code = extensions.get::<ErrorCode>().map(|ErrorCode(code)| code.clone());
        let headers = response.headers();
        let version = headers.get("x-amz-version-id").and_then(|value| value.to_str().ok());
        let answer = Answer {
            logs: logs.clone(),
            setting: Arc::new(setting),
            owner: api.owner().id.unwrap_or_default(),
            operation,
            status: response.status().as_u16(),
            error_code,
            object_bytes: object_bytes(headers, self.seen.key.is_some()),
            version: version.map(str::to_owned),
            turnaround: self.began.elapsed(),
            logged: self,
        };
        response.map(|inner| Counted { inner, sent: 0, answer: Some(answer) }.boxed_unsync())
    }
}

/// The size of the object that the answer is about.
fn object_bytes(headers: &HeaderMap, of_object: bool) -> Option<u64> {
    if !of_object || !headers.contains_key(header::ETAG) {
        return None;
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::CONTENT_RANGE) {
        Some(range) => range.rsplit_once('/')?.1.parse().ok(),
        None => text(header::CONTENT_LENGTH)?.parse().ok(),
    }
}

/// What is known of the answer when its body begins.
struct Answer {
    logs: AccessLogs,
    setting: Arc<Setting>,
    logged: Logged,
    owner: String,
    operation: Option<String>,
    status: u16,
    error_code: Option<String>,
    object_bytes: Option<u64>,
    version: Option<String>,
    turnaround: Duration,
}

impl Answer {
    fn log(self, sent_bytes: u64) {
        let Logged { seen, began } = &self.logged;
        // An operation is named once its signature has been verified.
        let signed = self.operation.is_some() && seen.authentication.is_some();
        let line = Line {
            seen,
            owner: &self.owner,
            requester: signed.then_some(self.owner.as_str()),
            operation: self.operation.as_deref(),
            status: self.status,
            error_code: self.error_code.as_deref(),
            sent_bytes,
            object_bytes: self.object_bytes,
            version: self.version.as_deref(),
            total: began.elapsed(),
            turnaround: self.turnaround,
        };
        self.logs.log(&seen.bucket, self.setting.clone(), seen.at, line.text());
    }
}

/// A body that counts, and logs when it is over.
struct Counted {
    inner: ResponseBody,
    sent: u64,
    answer: Option<Answer>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let item = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &item {
            self.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
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

impl Drop for Counted {
    /// Sent to its end, cut off, or never asked for (HEAD): it is over.
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer.log(self.sent);
        }
    }
}
