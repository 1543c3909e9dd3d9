//! Background jobs: the list, and what operators say to them.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;

use super::{body, unknown};
use crate::{AdminSource, answer, model::WorkerCommand, source};

/// The jobs of the leader and of this process.
pub(crate) async fn list(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::workers(&*source).await {
        Ok(workers) => answer::json(StatusCode::OK, &workers),
        Err(reason) => unknown(&reason),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Throttle {
    percent: u32,
}

pub(crate) async fn throttle(
    State(source): State<Arc<dyn AdminSource>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    match body::read(&body) {
        Ok(Throttle { percent }) => {
            command(&*source, &name, WorkerCommand::Throttle(percent)).await
        }
        Err(response) => response,
    }
}

pub(crate) async fn cancel(
    State(source): State<Arc<dyn AdminSource>>,
    Path(name): Path<String>,
) -> Response {
    command(&*source, &name, WorkerCommand::Cancel).await
}

pub(crate) async fn start(
    State(source): State<Arc<dyn AdminSource>>,
    Path(name): Path<String>,
) -> Response {
    command(&*source, &name, WorkerCommand::Start).await
}

/// Asks for a round of the scrub. 202: it begins within seconds, as fast as it goes.
pub(crate) async fn start_scrub(State(source): State<Arc<dyn AdminSource>>) -> Response {
    match source::change(source.start_scrub()).await {
        Ok(()) => {
            let accepted = serde_json::json!({ "name": "scrub", "state": "requested" });
            answer::json(StatusCode::ACCEPTED, &accepted)
        }
        Err(refused) => answer::refused(refused),
    }
}

/// 202: it is durable, and the process that runs the job sees it within seconds.
async fn command(source: &dyn AdminSource, name: &str, command: WorkerCommand) -> Response {
    match source::change(source.command_worker(name, command)).await {
        Ok(()) => {
            let said = match command {
                WorkerCommand::Throttle(percent) => {
                    serde_json::json!({ "name": name, "throttle_percent": percent })
                }
                WorkerCommand::Cancel => serde_json::json!({ "name": name, "state": "cancelling" }),
                WorkerCommand::Start => serde_json::json!({ "name": name, "state": "starting" }),
            };
            answer::json(StatusCode::ACCEPTED, &said)
        }
        Err(refused) => answer::refused(refused),
    }
}
