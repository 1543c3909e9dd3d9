//! Sending one message to one target.

use std::{error::Error as _, sync::Arc, time::Duration};

use notification::Message;
use reqwest::{Client, header, redirect};
use tokio::sync::Semaphore;

use super::{Settings, Target};

/// Requests that a target gets at a time, from all partitions together.
const REQUESTS_MAX: usize = 32;

/// The header with the event's id.
const EVENT_ID: &str = "x-shardlake-event-id";

/// A target, and what it takes to reach it.
pub(super) struct Webhook {
    pub(super) target: Target,
    /// Why there is none, if there is none.
    client: Result<Client, String>,
    turns: Semaphore,
}

/// The targets of these settings, over one client.
pub(super) fn all(settings: &Settings) -> Arc<[Webhook]> {
    if settings.targets.is_empty() {
        return Arc::new([]);
    }
    let client = client(settings).map_err(|error| format!("no HTTP client: {}", chain(error)));
    if let Err(reason) = &client {
        tracing::error!(reason, "no event can be delivered");
    }
    let webhook = |target: &Target| Webhook {
        target: target.clone(),
        client: client.clone(),
        turns: Semaphore::new(REQUESTS_MAX),
    };
    settings.targets.iter().map(webhook).collect()
}

/// No redirects: the operator has said where events go, not the receiver. No proxy of the
/// environment for the same reason.
fn client(settings: &Settings) -> Result<Client, reqwest::Error> {
    // Fails if the process has chosen one already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let request_max = Duration::from_millis(settings.request_ms_max);
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(request_max)
        .connect_timeout(request_max)
        .pool_max_idle_per_host(REQUESTS_MAX)
        .user_agent("shardlake")
        .build()
}

impl Webhook {
    /// Returns when the target has taken the message: it has answered with a status of 200 to
    /// 299. The error says why not.
    pub(super) async fn send(&self, message: &Message) -> Result<(), String> {
        let client = self.client.as_ref().map_err(String::clone)?;
        let mut request = client
            .post(self.target.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(EVENT_ID, &message.id)
            .body(message.body.clone());
        if let Some(authorization) = &self.target.authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        let answer = request.send().await.map_err(chain)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {status}")),
        }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // Never closed.
        self.turns.acquire().await.ok()
    }
}

/// The whole chain in one line, without the address: it may hold a secret.
fn chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
