//! The paths of the port.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use telemetry::MetricsHandle;

use crate::{AdminSource, answer, api, auth, gauges, health, limits, page, source};

/// The router; the caller binds it.
///
/// | path | needs | answers |
/// |---|---|---|
/// | `/health/live`, `/health/ready`, `/health/cluster` (and the same under `/minio`) | | 200 or 503 with the reason |
/// | `/metrics` | | Prometheus text |
/// | `/admin/v1/status`, `/nodes`, `/disks`, `/classes`, `/shards`, `/workers`, `/upgrade`, `/meta` | token | JSON, [`crate::model`] |
/// | `/admin/v1/join` | token | what a new node must know, [`crate::model::JoinSettings`] |
/// | `/admin/v1/map` | token | the cluster map, [`types::ClusterMap`] |
/// | `POST /admin/v1/workers/NAME/throttle` with `{"percent": N}`, `.../cancel`, `.../start` | token | 202: the job obeys soon |
/// | `POST /admin/v1/scrub/start` | token | 202: everything is read and compared, beginning soon |
/// | `POST /admin/v1/check` with `{"verify": bool}`, then `GET`; `POST .../check/cancel` | token | the check of redundancy, [`crate::model::CheckStatus`] |
/// | `POST /admin/v1/disks` with [`crate::model::AddDisk`], to the node that has the folder | token | 200: the disk serves |
/// | `POST /admin/v1/meta/ID/add` with `{"address": A}`, `.../remove` with `{"force": B}` | token | 202: the groups follow |
/// | `POST /admin/v1/disks/ID/drain`, `.../undrain`, `.../remove`, `.../replace` with `{"with": ID}` | token | 202: it is decided |
/// | `POST /admin/v1/nodes/ID/drain`, `.../remove` | token | 202: it is decided |
/// | `POST /admin/v1/upgrade/finalise` with `{"level": N}` | token | 200: the level is in use |
/// | `POST /admin/v1/inventory/BUCKET/ID/run` | token | 202: a report is made soon |
/// | `/` | | the status page |
///
/// What is refused is answered 404, 409 or 400 with the reason in one sentence, and nothing was
/// changed. `/minio/health/...` are the paths that existing charts and proxies for S3 servers check.
/// The admin paths take `Authorization: Bearer` with `token`; an empty token fits nothing.
pub fn router(source: Arc<dyn AdminSource>, metrics: MetricsHandle, token: &str) -> Router {
    let health = Router::new()
        .route("/live", get(health::live))
        .route("/ready", get(health::ready))
        .route("/cluster", get(health::cluster));
    let admin = Router::new()
        .route("/status", get(api::status))
        .route("/nodes", get(api::nodes))
        .route("/disks", get(api::list_disks).post(api::disks::add))
        .route("/classes", get(api::classes))
        .route("/shards", get(api::shards))
        .route("/map", get(api::map))
        .route("/join", get(api::join))
        .route("/workers", get(api::workers::list))
        .route("/workers/{name}/throttle", post(api::workers::throttle))
        .route("/workers/{name}/cancel", post(api::workers::cancel))
        .route("/workers/{name}/start", post(api::workers::start))
        .route("/scrub/start", post(api::workers::start_scrub))
        .route("/disks/{disk}/{verb}", post(api::disks::change))
        .route("/nodes/{node}/{verb}", post(api::disks::change_node))
        .route("/check", get(api::check::status).post(api::check::start))
        .route("/check/cancel", post(api::check::cancel))
        .route("/meta", get(api::meta::list))
        .route("/meta/{node}/add", post(api::meta::add))
        .route("/meta/{node}/remove", post(api::meta::remove))
        .route("/upgrade", get(api::upgrade::status))
        .route("/upgrade/finalise", post(api::upgrade::finalise))
        .route("/inventory/{bucket}/{id}/run", post(api::inventory::run))
        .fallback(answer::not_found)
        .layer(middleware::from_fn_with_state(auth::Token::new(token), auth::require));
    let scrape = move |State(source): State<Arc<dyn AdminSource>>| scrape(source, metrics);
    Router::new()
        .nest("/health", health.clone())
        .nest("/minio/health", health)
        .nest("/admin/v1", admin)
        .route("/metrics", get(scrape))
        .route("/", get(page::index))
        .route("/status.js", get(page::script))
        .route("/status.css", get(page::style))
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(middleware::from_fn(limits::enforce))
        .with_state(source)
}

/// Refreshes the cluster's gauges and renders everything.
async fn scrape(source: Arc<dyn AdminSource>, metrics: MetricsHandle) -> Response {
    gauges::record(source::cluster(&*source).await.as_ref());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics.render())
        .into_response()
}
