//! Disks that are added.

use std::sync::Arc;

use axum::{body::Bytes, extract::State, http::StatusCode, response::Response};

use super::body;
use crate::{AdminSource, answer, source};

/// Opens a folder of this node as a disk. On 200 it serves, and will after a restart.
pub(crate) async fn add(State(source): State<Arc<dyn AdminSource>>, body: Bytes) -> Response {
    let request = match body::read(&body) {
        Ok(read) => read,
        Err(response) => return response,
    };
    match source::change_slowly(source.add_disk(request)).await {
        Ok(added) => answer::json(StatusCode::OK, &added),
        Err(refused) => answer::refused(refused),
    }
}
