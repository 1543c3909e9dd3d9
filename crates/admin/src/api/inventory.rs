//! Reports of buckets' inventories on demand.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};

use crate::{AdminSource, answer, source};

/// Asks for a report of an inventory. 202: it is made soon, by whichever node has the workers.
pub(crate) async fn run(
    State(source): State<Arc<dyn AdminSource>>,
    Path((bucket, id)): Path<(String, String)>,
) -> Response {
    match source::change(source.run_inventory(&bucket, &id)).await {
        Ok(()) => {
            let accepted = serde_json::json!({ "bucket": bucket, "id": id, "state": "requested" });
            answer::json(StatusCode::ACCEPTED, &accepted)
        }
        Err(refused) => answer::refused(refused),
    }
}
