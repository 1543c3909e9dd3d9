//! The check of placement and redundancy: started, followed, cancelled.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::body;
use crate::{AdminSource, Refused, answer, source};

/// The last check that this process was asked for.
pub(crate) async fn status(State(source): State<Arc<dyn AdminSource>>) -> Response {
    answered(source.check_status().await, StatusCode::OK)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    /// Whether to read every byte.
    #[serde(default)]
    verify: bool,
}

/// 202: it is under way; one at a time.
pub(crate) async fn start(State(source): State<Arc<dyn AdminSource>>, body: Bytes) -> Response {
    match body::read(&body) {
        Ok(Start { verify }) => {
            answered(source::change(source.start_check(verify)).await, StatusCode::ACCEPTED)
        }
        Err(response) => response,
    }
}

/// Ends the check under way, which leaves nothing behind.
pub(crate) async fn cancel(State(source): State<Arc<dyn AdminSource>>) -> Response {
    answered(source::change(source.cancel_check()).await, StatusCode::OK)
}

fn answered(answer: Result<crate::model::CheckStatus, Refused>, status: StatusCode) -> Response {
    match answer {
        Ok(check) => answer::json(status, &check),
        Err(refused) => answer::refused(refused),
    }
}
