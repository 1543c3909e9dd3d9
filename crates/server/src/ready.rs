//! Telling the outside that a node serves: one JSON line in a file, mode 0600.

use std::{fs::OpenOptions, io::Write, net::SocketAddr, os::unix::fs::OpenOptionsExt, path::Path};

use serde::Serialize;

use crate::{credentials::Credentials, error::UserError};

/// What a test or a script needs to know.
#[derive(Serialize)]
pub(crate) struct Ready<'a> {
    /// URL of the S3 endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<String>,
    /// URL of the admin endpoint.
    pub(crate) admin: String,
    /// Root access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access_key: Option<&'a str>,
    /// Root secret key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_key: Option<&'a str>,
}

impl<'a> Ready<'a> {
    /// A node that serves S3 (or not) and the admin endpoint.
    pub(crate) fn new(
        s3: Option<SocketAddr>,
        admin: SocketAddr,
        credentials: Option<&'a Credentials>,
    ) -> Self {
        Self {
            s3: s3.map(|address| format!("http://{address}")),
            admin: format!("http://{admin}"),
            access_key: credentials.map(|credentials| credentials.access_key.as_str()),
            secret_key: credentials.map(|credentials| credentials.secret_key.0.as_str()),
        }
    }

    /// Writes the line under another name and renames it, so that a reader never sees half of it.
    pub(crate) fn write(&self, file: Option<&Path>) -> Result<(), UserError> {
        let Some(file) = file else { return Ok(()) };
        let failed = |error: std::io::Error| {
            UserError::new(format!("ready file {}: {error}", file.display()))
        };
        let temporary = file.with_extension("new");
        let mut line = serde_json::to_string(self).expect("plain data");
        line.push('\n');
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut open| open.write_all(line.as_bytes()))
            .and_then(|()| std::fs::rename(&temporary, file))
            .map_err(failed)
    }
}
