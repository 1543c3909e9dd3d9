//! The admin JSON. Every path needs the token. What a path only shows is here; what changes
//! something has a file for each topic.

mod body;
pub(crate) mod check;
pub(crate) mod disks;
pub(crate) mod inventory;
pub(crate) mod meta;
pub(crate) mod upgrade;
pub(crate) mod workers;

use std::sync::Arc;

use axum::{extract::State, http::StatusCode, response::Response};

use crate::{AdminSource, ClusterHealth, Status, answer, model::CheckStatus, source};

/// Everything at once. Answers 200 in the worst of states: the body says what is wrong.
pub(crate) async fn status(State(source): State<Arc<dyn AdminSource>>) -> Response {
    let (ready, cluster, workers, check) = tokio::join!(
        source::ready(&*source),
        source::cluster(&*source),
        source::workers(&*source),
        source.check_status(),
    );
    let verdict = cluster.as_ref().map_err(Clone::clone).and_then(ClusterHealth::verdict);
    let status = Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ready: ready.is_ok(),
        ready_reason: ready.err(),
        healthy: verdict.is_ok(),
        health_reason: verdict.err(),
        cluster: cluster.ok(),
        check: check.ok().map(|check| CheckStatus { report: None, ..check }),
        // What keeps the leader from answering is among the reasons above.
        workers: workers.unwrap_or_default(),
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
pub(crate) async fn list_disks(State(source): State<Arc<dyn AdminSource>>) -> Response {
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

/// What a new node must know to join; not the secret, which this port does not give away.
pub(crate) async fn join(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source.join_settings().await {
        Ok(settings) => answer::json(StatusCode::OK, &settings),
        Err(refused) => answer::refused(refused),
    }
}

/// The cluster map as it is: for tools that compute with it.
pub(crate) async fn map(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source.map().await {
        Ok(map) => answer::json(StatusCode::OK, &*map),
        Err(reason) => unknown(&reason),
    }
}

/// Something that could not be learnt.
pub(crate) fn unknown(reason: &str) -> Response {
    answer::error(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", reason)
}
