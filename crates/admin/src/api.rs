//! The admin JSON. Every path needs the token.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

use crate::{
    AdminSource, ClusterHealth, Status, WorkerStatus, answer,
    source::{self, Refused},
};

/// Everything at once. Answers 200 in the worst of states: the body says what is wrong.
pub(crate) async fn status(State(source): State<Arc<dyn AdminSource>>) -> Response {
    let (ready, cluster, workers) =
        tokio::join!(source::ready(&*source), source::cluster(&*source), jobs(&*source));
    let verdict = cluster.as_ref().map_err(Clone::clone).and_then(ClusterHealth::verdict);
    let status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: ready.is_ok(),
        ready_reason: ready.err(),
        healthy: verdict.is_ok(),
        health_reason: verdict.err(),
        cluster: cluster.ok(),
        workers,
    };
    answer::json(StatusCode::OK, &status)
}

/// The nodes.
pub(crate) async fn nodes(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::cluster(&*source).await {
        Ok(cluster) => answer::json(StatusCode::OK, &cluster.nodes),
        Err(reason) => unknown(&reason),
    }
}

/// The disks.
pub(crate) async fn disks(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::cluster(&*source).await {
        Ok(cluster) => answer::json(StatusCode::OK, &cluster.disks),
        Err(reason) => unknown(&reason),
    }
}

/// The storage classes.
pub(crate) async fn classes(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::cluster(&*source).await {
        Ok(cluster) => answer::json(StatusCode::OK, &cluster.classes),
        Err(reason) => unknown(&reason),
    }
}

/// The number of shards, counted now.
pub(crate) async fn shards(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::shards(&*source).await {
        Ok(counts) => answer::json(StatusCode::OK, &counts),
        Err(reason) => unknown(&reason),
    }
}

/// Asks for a report of an inventory. 202: it is made soon, by whichever node has the workers.
pub(crate) async fn run_inventory(
    State(source): State<Arc<dyn AdminSource>>,
    Path((bucket, id)): Path<(String, String)>,
) -> Response {
    match source::run_inventory(&*source, &bucket, &id).await {
        Ok(()) => {
            let accepted = serde_json::json!({ "bucket": bucket, "id": id, "state": "requested" });
            answer::json(StatusCode::ACCEPTED, &accepted)
        }
        Err(Refused::NotFound(reason)) => answer::error(StatusCode::NOT_FOUND, "NotFound", &reason),
        Err(Refused::Unavailable(reason)) => unknown(&reason),
    }
}

/// The background jobs of this process.
pub(crate) async fn workers(State(source): State<Arc<dyn AdminSource>>) -> Response {
    answer::json(StatusCode::OK, &jobs(&*source).await)
}

/// Jobs are in this process's memory; one that does not even list in time is a defect there,
/// and the page is better without them than not at all.
async fn jobs(source: &dyn AdminSource) -> Vec<WorkerStatus> {
    tokio::time::timeout(source::TIMEOUT, source.workers()).await.unwrap_or_default()
}

fn unknown(reason: &str) -> Response {
    answer::error(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", reason)
}
