//! Metadata nodes are listed, added and removed.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{body, unknown};
use crate::{AdminSource, Refused, answer, source};

/// Who votes, and what is under way.
pub(crate) async fn list(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::meta(&*source).await {
        Ok(meta) => answer::json(StatusCode::OK, &meta),
        Err(reason) => unknown(&reason),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    /// Where the asker believes that the node listens.
    address: Option<String>,
}

/// Gives a node a vote. 202: the leaders of the groups do it, one step after the other.
pub(crate) async fn add(
    State(source): State<Arc<dyn AdminSource>>,
    Path(node): Path<u64>,
    body: Bytes,
) -> Response {
    let Add { address } = match body::read(&body) {
        Ok(read) => read,
        Err(response) => return response,
    };
    accepted(node, "joining", source::change(source.add_meta(node, address)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Remove {
    /// Also if fewer would stay than survive a failure.
    #[serde(default)]
    force: bool,
}

/// Takes a node out of every group and forgets it. 202, as for [`add`].
pub(crate) async fn remove(
    State(source): State<Arc<dyn AdminSource>>,
    Path(node): Path<u64>,
    body: Bytes,
) -> Response {
    let Remove { force } = match body::read(&body) {
        Ok(read) => read,
        Err(response) => return response,
    };
    accepted(node, "leaving", source::change(source.remove_meta(node, force)).await)
}

fn accepted(node: u64, state: &str, outcome: Result<(), Refused>) -> Response {
    match outcome {
        Ok(()) => {
            answer::json(StatusCode::ACCEPTED, &serde_json::json!({ "node": node, "state": state }))
        }
        Err(refused) => answer::refused(refused),
    }
}
