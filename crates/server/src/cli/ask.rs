//! What every topic needs: the endpoint, the token, and how answers are shown.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{TIMEOUT, Whom, client, table};
use crate::error::UserError;

/// One node's admin API.
pub(super) struct Ask {
    endpoint: String,
    token: String,
    /// Whether answers are shown as JSON.
    pub(super) json: bool,
}

impl Ask {
    pub(super) fn new(whom: Whom) -> anyhow::Result<Self> {
        let token = client::token(whom.data.as_deref())?;
        Ok(Self { endpoint: whom.endpoint, token, json: whom.json })
    }

    /// What `/admin/v1/PATH` shows.
    pub(super) async fn get(&self, path: &str, timeout: Duration) -> anyhow::Result<Value> {
        client::get(&self.endpoint, &format!("/admin/v1/{path}"), Some(&self.token), timeout).await
    }

    /// The same in the form that this build knows.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let value = self.get(path, TIMEOUT).await?;
        serde_json::from_value(value).map_err(|error| {
            let url = format!("{}/admin/v1/{path}", self.endpoint);
            UserError::new(format!(
                "{url} answers in a form that this version does not know ({error}): use the \
                 version of shardlake that runs there"
            ))
            .into()
        })
    }

    /// Asks for something to be done.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.post_within(path, body, TIMEOUT).await
    }

    async fn post_within(
        &self,
        path: &str,
        body: &Value,
        timeout: Duration,
    ) -> anyhow::Result<Value> {
        let path = format!("/admin/v1/{path}");
        client::post(&self.endpoint, &path, &self.token, body, timeout).await
    }

    /// Shows `/admin/v1/PATH`.
    pub(super) async fn print(&self, path: &str, timeout: Duration) -> anyhow::Result<()> {
        self.show(&self.get(path, timeout).await?);
        Ok(())
    }

    /// Asks for something to be done and shows what came of it.
    pub(super) async fn change(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.show(&self.post(path, body).await?);
        Ok(())
    }

    /// Asks for something that may take minutes.
    pub(super) async fn post_slowly(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.post_within(path, body, admin::source::SLOW_CHANGE_TIMEOUT + TIMEOUT).await
    }

    pub(super) fn show(&self, value: &Value) {
        if self.json {
            table::print_json(value);
        } else {
            table::print(value);
        }
    }
}

/// A name that becomes part of a path.
pub(super) fn path_part<'a>(what: &str, text: &'a str) -> Result<&'a str, UserError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.bytes().all(plain) && !text.bytes().all(|byte| byte == b'.') {
        return Ok(text);
    }
    Err(UserError::new(format!("{what} has letters, digits, '-', '_' and '.' only")))
}
