//! Disks and nodes that come and go.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::json;

use super::body;
use crate::{
    AdminSource, Refused, answer,
    model::{DiskChange, NodeChange},
    source,
};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    with: u32,
}

/// `drain`, `undrain`, `remove`, or `replace` with `{"with": N}`.
pub(crate) async fn change(
    State(source): State<Arc<dyn AdminSource>>,
    Path((disk, verb)): Path<(u32, String)>,
    body: Bytes,
) -> Response {
    let change = match verb.as_str() {
        "drain" => DiskChange::Drain,
        "undrain" => DiskChange::Undrain,
        "remove" => DiskChange::Remove,
        "replace" => match body::read(&body) {
            Ok(Replace { with }) => DiskChange::Replace { with },
            Err(response) => return response,
        },
        _ => return answer::not_found().await,
    };
    let done = source::change(source.change_disk(disk, change)).await;
    answered(done, &json!({ "disk": disk, "change": verb }))
}

/// `drain` or `remove`.
pub(crate) async fn change_node(
    State(source): State<Arc<dyn AdminSource>>,
    Path((node, verb)): Path<(u64, String)>,
) -> Response {
    let change = match verb.as_str() {
        "drain" => NodeChange::Drain,
        "remove" => NodeChange::Remove,
        _ => return answer::not_found().await,
    };
    let done = source::change(source.change_node(node, change)).await;
    answered(done, &json!({ "node": node, "change": verb }))
}

/// 202: it is decided, and workers carry it out.
fn answered(done: Result<(), Refused>, decided: &serde_json::Value) -> Response {
    match done {
        Ok(()) => answer::json(StatusCode::ACCEPTED, decided),
        Err(refused) => answer::refused(refused),
    }
}
