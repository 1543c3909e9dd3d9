//! What is done around every request, whatever its service.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use s3::{Operation, RemoteAddress, ResponseBody};
use telemetry::{RequestId, request_id};

use crate::{
    Service, Settings, absent,
    body::{CountedResponse, RequestBody},
    metrics,
    scope::{self, Scope},
};

/// The services and the bounds that all requests share.
pub(crate) struct Edge {
    pub(crate) services: BTreeMap<&'static str, Arc<dyn Service>>,
    pub(crate) settings: Settings,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Edge {
    /// Answers one request: with an id, in the log, in the metrics, and never with a panic.
    pub(crate) async fn answer(
        &self,
        mut request: Request<Incoming>,
        remote: IpAddr,
    ) -> Response<impl Body<Data = Bytes, Error = Error> + use<>> {
        request.extensions_mut().insert(RemoteAddress(remote));
        let id = RequestId::generate();
        request_id::scope(id, self.answer_as(id, request)).await
    }

    async fn answer_as(
        &self,
        id: RequestId,
        request: Request<Incoming>,
    ) -> Response<impl Body<Data = Bytes, Error = Error> + use<>> {
        let began = Instant::now();
        ::metrics::gauge!(metrics::IN_FLIGHT).increment(1.0);
        let method = request.method().clone();
        // Without the query: a presigned one holds a signature.
        let path = request.uri().path().to_owned();
        let received = Arc::new(AtomicU64::new(0));
        let awaits_continue =
            request.version() < Version::HTTP_2 && request.headers().contains_key(header::EXPECT);
        let request = request.map(|body| RequestBody::new(body, received.clone()));
        let handled = AssertUnwindSafe(self.dispatch(id, request)).catch_unwind().await;
        let (mut response, operation) = handled.unwrap_or_else(|panic| {
            let message = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!(%method, path, message, "a request panicked");
            ::metrics::counter!(metrics::PANICS).increment(1);
            (internal_error(id), "unknown".to_owned())
        });
        let text = id.to_string();
        let value = HeaderValue::from_str(&text).expect("hexadecimal is printable");
        let headers = response.headers_mut();
        headers.insert("x-amz-request-id", value.clone());
        headers.insert("x-amz-id-2", value);
        headers.insert(header::SERVER, HeaderValue::from_static("Shardlake"));
        if awaits_continue && received.load(Ordering::Relaxed) == 0 {
            // The client waits for "100 Continue" and has its answer instead: it may send the
            // body or not, and what follows on this connection could be either
            // (RFC 9110, 10.1.1). botocore does not send it and would reuse the connection.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let status = response.status();
        metrics::answered(&operation, status, began.elapsed());
        response.map(|body| {
            CountedResponse::new(body, move |sent| {
                ::metrics::gauge!(metrics::IN_FLIGHT).decrement(1.0);
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                tracing::info!(
                    target: "gateway::access",
                    request_id = %text,
                    %method,
                    path,
                    operation,
                    status = status.as_u16(),
                    received_bytes = received.load(Ordering::Relaxed),
                    sent_bytes = sent,
                    ms,
                    "request"
                );
            })
        })
    }

    async fn dispatch(
        &self,
        id: RequestId,
        request: Request<RequestBody>,
    ) -> (Response<ResponseBody>, String) {
        let headers = request.headers().iter();
        let head_bytes: usize =
            headers.map(|(name, value)| name.as_str().len() + value.len()).sum();
        if head_bytes + request.uri().path().len() + request.uri().query().map_or(0, str::len)
            > self.settings.header_bytes_max
        {
            let response = absent::s3_error(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "RequestHeaderSectionTooLarge",
                "Your request header and query parameters exceed the maximum allowed size.",
                &id.to_string(),
            );
            return (response, "unknown".to_owned());
        }
        let scope = scope::of(&request);
        let service = match &scope {
            Scope::Service(name) => self.services.get(name.as_str()),
            Scope::Target(_) => None,
        };
        let Some(service) = service else {
            return (absent::answer(&scope, &id.to_string()), "absent".to_owned());
        };
        let mut response = service.call(request, id).await;
        let operation = match response.extensions_mut().remove::<Operation>() {
            Some(Operation(name)) => name,
            None if service.name() == "s3" => "unknown".to_owned(),
            None => service.name().to_owned(),
        };
        (response, operation)
    }
}

fn internal_error(id: RequestId) -> Response<ResponseBody> {
    absent::s3_error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "We encountered an internal error. Please try again.",
        &id.to_string(),
    )
}
