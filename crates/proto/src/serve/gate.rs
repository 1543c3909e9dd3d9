//! What every call passes before a service sees it: identity, room, deadline, request id.

use std::sync::Arc;

use hyper::body::Incoming;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, metadata::MetadataMap, service::Routes};
use tower::Service;

use crate::{
    Identity, RpcError, RpcErrorKind, ServeSettings,
    headers::{self, Scope},
    request_id,
    status::to_status,
};

/// One for a listener.
pub(super) struct Gate {
    routes: Routes,
    identity: Arc<Identity>,
    settings: ServeSettings,
    calls: Semaphore,
    raft_calls: Semaphore,
    cut_off: CancellationToken,
}

/// The one method that a node may call before it knows its cluster.
const HELLO: &str = "/shardlake.v1.Meta/Hello";
const RAFT: &str = "/shardlake.v1.Raft/";

impl Gate {
    pub(super) fn new(routes: Routes, identity: Arc<Identity>, settings: ServeSettings) -> Self {
        Self {
            routes,
            identity,
            settings,
            calls: Semaphore::new(settings.calls_max),
            raft_calls: Semaphore::new(settings.raft_calls_max),
            cut_off: CancellationToken::new(),
        }
    }

    /// Ends every call in flight when cancelled.
    pub(super) fn cut_off(&self) -> CancellationToken {
        self.cut_off.clone()
    }

    pub(super) async fn pass(&self, request: http::Request<Incoming>) -> http::Response<Body> {
        match self.try_pass(request).await {
            Ok(response) => response,
            Err(error) => to_status(error).into_http(),
        }
    }

    async fn try_pass(
        &self,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<Body>, RpcError> {
        let path = request.uri().path();
        let scope = if path == HELLO { Scope::AnyCluster } else { Scope::Cluster };
        let calls = if path.starts_with(RAFT) { &self.raft_calls } else { &self.calls };
        let (parts, body) = request.into_parts();
        let metadata = MetadataMap::from_headers(parts.headers);
        headers::check(&metadata, &self.identity, scope)?;
        let _slot = calls.try_acquire().map_err(|reason| match reason {
            TryAcquireError::NoPermits | TryAcquireError::Closed => RpcError::new(
                RpcErrorKind::Busy,
                "this node has as many calls in flight as it may; try again later",
            ),
        })?;

        let deadline = self.settings.deadline_max;
        let wait = headers::timeout(metadata.as_ref()).unwrap_or(deadline).min(deadline);
        let id = headers::request_id(metadata.as_ref()).map(str::to_owned);
        let mut request = http::Request::new(Body::new(body));
        *request.method_mut() = parts.method;
        *request.uri_mut() = parts.uri;
        *request.version_mut() = parts.version;
        *request.headers_mut() = metadata.into_headers();

        let answer = request_id::scope(id.as_deref(), self.routes.clone().call(request));
        let cut_off = self.cut_off.run_until_cancelled(answer);
        match tokio::time::timeout(wait, cut_off).await {
            Ok(Some(Ok(response))) => Ok(response),
            Ok(Some(Err(never))) => match never {},
            Ok(None) => Err(unknown("this node stopped before the call was finished".into())),
            Err(_) => Err(unknown(format!("the call was not finished within {wait:?}"))),
        }
    }
}

fn unknown(message: String) -> RpcError {
    RpcError::new(RpcErrorKind::Deadline, message)
}
