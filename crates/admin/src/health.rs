//! Health for load balancers and orchestrators: the status code is the answer, the body says
//! why. No token: these say nothing that a client could not find out by a request.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode},
    response::Response,
};

use crate::{AdminSource, answer, source};

/// Durable shards that a write waits for, on `/health/cluster`.
const WRITE_QUORUM: &str = "x-shardlake-write-quorum";

/// The process runs. If this fails, restart it.
pub(crate) async fn live() -> Response {
    verdict(Ok(()))
}

/// The process serves requests. If this fails, send it none.
pub(crate) async fn ready(State(source): State<Arc<dyn AdminSource>>) -> Response {
    verdict(source::ready(&*source).await)
}

/// The cluster takes reads and writes.
pub(crate) async fn cluster(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::cluster(&*source).await {
        Ok(cluster) => {
            let mut response = verdict(cluster.verdict());
            let quorum = HeaderValue::from(cluster.write_quorum);
            response.headers_mut().insert(WRITE_QUORUM, quorum);
            response
        }
        Err(reason) => verdict(Err(reason)),
    }
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => answer::json(StatusCode::OK, &serde_json::json!({ "status": "ok" })),
        Err(reason) => {
            let body = serde_json::json!({ "status": "unavailable", "reason": reason });
            answer::json(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}
