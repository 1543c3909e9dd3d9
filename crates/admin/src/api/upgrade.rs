//! The feature level of the cluster.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{body, unknown};
use crate::{AdminSource, Refused, answer, model::UpgradeStatus, source};

/// Which level is in use, and which one can follow.
pub(crate) async fn status(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source.map().await {
        Ok(map) => answer::json(StatusCode::OK, &UpgradeStatus::of(&map)),
        Err(reason) => unknown(&reason),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finalise {
    /// What the asker saw as the next one: it must still be that.
    level: u32,
}

/// Uses the next level from now on; software that does not know it can never come back.
pub(crate) async fn finalise(State(source): State<Arc<dyn AdminSource>>, body: Bytes) -> Response {
    let Finalise { level } = match body::read(&body) {
        Ok(read) => read,
        Err(response) => return response,
    };
    let map = match source.map().await {
        Ok(map) => map,
        Err(reason) => return unknown(&reason),
    };
    let status = UpgradeStatus::of(&map);
    let refusal = match (status.next, status.reason) {
        (Some(next), _) if next == level => None,
        (_, Some(reason)) => Some(reason),
        (next, None) => Some(format!("the next level is {next:?}, not {level}")),
    };
    if let Some(reason) = refusal {
        return answer::refused(Refused::Conflict(reason));
    }
    match source::change(source.finalise_level(level)).await {
        Ok(()) => answer::json(StatusCode::OK, &serde_json::json!({ "level": level })),
        Err(refused) => answer::refused(refused),
    }
}
