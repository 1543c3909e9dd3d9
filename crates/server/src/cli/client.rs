//! One request to the admin port.

use std::{path::Path, time::Duration};

use anyhow::Context;
use reqwest::Method;
use serde_json::Value;

use crate::{credentials::Credentials, error::UserError};

/// The bearer token: from the environment's credentials, or from a dev folder's.
pub(super) fn token(data: Option<&Path>) -> anyhow::Result<String> {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let access = variable("SHARDLAKE_ROOT_ACCESS_KEY");
    if data.is_none() && !access.is_empty() {
        let credentials = Credentials::new(&access, &variable("SHARDLAKE_ROOT_SECRET_KEY"))?;
        return Ok(credentials.admin_token());
    }
    let folder = data.map_or_else(super::default_data, Path::to_path_buf);
    let file = folder.join("credentials.json");
    let text = std::fs::read_to_string(file).map_err(|_| super::no_credentials())?;
    let credentials: Credentials =
        serde_json::from_str(&text).context("the folder's credentials.json is damaged")?;
    Ok(credentials.admin_token())
}

/// The answer's JSON within `timeout`; a refusal becomes one sentence.
pub(super) async fn get(
    endpoint: &str,
    path: &str,
    token: Option<&str>,
    timeout: Duration,
) -> anyhow::Result<Value> {
    send(Method::GET, endpoint, path, token, None, timeout).await
}

/// The same for a request that asks for something to be done.
pub(super) async fn post(
    endpoint: &str,
    path: &str,
    token: &str,
    body: &Value,
    timeout: Duration,
) -> anyhow::Result<Value> {
    send(Method::POST, endpoint, path, Some(token), Some(body), timeout).await
}

async fn send(
    method: Method,
    endpoint: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
    timeout: Duration,
) -> anyhow::Result<Value> {
    let url = format!("{}{path}", endpoint.trim_end_matches('/'));
    let client = reqwest::Client::builder().timeout(timeout).build()?;
    let mut request = client.request(method, &url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let response = request.send().await.map_err(|error| {
        UserError::new(format!("{endpoint} does not answer ({error}); is shardlake running there?"))
    })?;
    let status = response.status();
    let text = response.text().await?;
    let value = serde_json::from_str(&text).ok();
    if status.is_success() {
        return Ok(value.unwrap_or(Value::String(text)));
    }
    let reason = value.as_ref().and_then(|value| value["error"]["message"].as_str());
    match (status.as_u16(), reason) {
        // What the user must change; the server says it in one sentence.
        (400 | 404 | 409, Some(reason)) => Err(UserError::new(reason).into()),
        _ => anyhow::bail!("{url} answered {status}: {}", reason.unwrap_or(text.trim())),
    }
}
