//! Requests written by hand: what no SDK would send.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{ACCESS_KEY, SECRET_KEY};

const STAMP: &[FormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The AWS code of an XML error.
    pub(crate) fn code(&self) -> String {
        self.texts("Code").into_iter().next().unwrap_or_default()
    }

    /// What stands in the XML elements of this name.
    pub(crate) fn texts(&self, element: &str) -> Vec<String> {
        let (text, open, close) = (self.text(), format!("<{element}>"), format!("</{element}>"));
        let inside = text.split(&open).skip(1).filter_map(|rest| rest.split_once(&close));
        inside.map(|(inside, _)| inside.to_owned()).collect()
    }
}

/// Sends the bytes, closes the sending side if told, and reads the answer to its end.
pub(crate) async fn send(address: SocketAddr, request: &[u8], close: bool) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request).await.expect("sent");
    if close {
        stream.shutdown().await.expect("closed for sending");
    }
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer { status: status.parse().expect("a number"), headers, body: bytes[end + 4..].to_vec() }
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let pad = |byte: u8| block.map(|b| b ^ byte);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A SigV4 signer: key, scope and time of one request.
pub(crate) struct Signer {
    key: [u8; 32],
    pub(crate) stamp: String,
    pub(crate) scope: String,
}

impl Signer {
    /// Now and `skew_s` seconds, for `service`.
    pub(crate) fn new(skew_s: i64, service: &str) -> Self {
        let now = OffsetDateTime::now_utc() + time::Duration::seconds(skew_s);
        let stamp = now.format(STAMP).expect("a time");
        let date = stamp[..8].to_owned();
        let mut key = hmac(format!("AWS4{SECRET_KEY}").as_bytes(), date.as_bytes());
        for part in ["us-east-1", service, "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        Self { key, stamp, scope: format!("{date}/us-east-1/{service}/aws4_request") }
    }

    /// The signature of this text.
    pub(crate) fn sign(&self, text: &str) -> String {
        hex::encode(hmac(&self.key, text.as_bytes()))
    }

    fn sign_canonical(&self, canonical: &str) -> String {
        self.sign(&format!(
            "AWS4-HMAC-SHA256\n{}\n{}\n{}",
            self.stamp,
            self.scope,
            sha256(canonical.as_bytes())
        ))
    }

    /// The head of a signed request and its signature. `path` is already encoded; `query`
    /// is `a=b&c=` in order. `extra` headers are signed too.
    pub(crate) fn head(
        &self,
        method: &str,
        path: &str,
        query: &str,
        extra: &[(&str, &str)],
        payload: &str,
    ) -> (String, String) {
        let mut headers: Vec<(String, String)> =
            extra.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        headers.push(("host".into(), "127.0.0.1".into()));
        headers.push(("x-amz-date".into(), self.stamp.clone()));
        headers.push(("x-amz-content-sha256".into(), payload.into()));
        headers.sort();
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
        let signature = self.sign_canonical(&canonical);
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let lines: String = headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\n{lines}connection: close\r\nauthorization: \
             AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{}, SignedHeaders={names}, \
             Signature={signature}\r\n",
            self.scope
        );
        (head, signature)
    }

    /// A presigned path and query.
    pub(crate) fn presign(&self, method: &str, path: &str, expires_s: u64) -> String {
        self.presign_with(method, path, expires_s, "")
    }

    /// The same with further parameters, which sort after `X-Amz-SignedHeaders`.
    pub(crate) fn presign_with(
        &self,
        method: &str,
        path: &str,
        expires_s: u64,
        more: &str,
    ) -> String {
        let credential = percent(&format!("{ACCESS_KEY}/{}", self.scope));
        let more = if more.is_empty() { String::new() } else { format!("&{more}") };
        let query = format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}\
             &X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host{more}",
            self.stamp
        );
        let canonical =
            format!("{method}\n{path}\n{query}\nhost:127.0.0.1\n\nhost\nUNSIGNED-PAYLOAD");
        format!("{path}?{query}&X-Amz-Signature={}", self.sign_canonical(&canonical))
    }

    /// The signature of a chunk after `previous`.
    pub(crate) fn chunk(&self, previous: &str, bytes: &[u8]) -> String {
        self.sign(&format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{}\n{}\n{previous}\n{}\n{}",
            self.stamp,
            self.scope,
            sha256(b""),
            sha256(bytes)
        ))
    }

    /// The signature of the trailers after `previous`.
    pub(crate) fn trailer(&self, previous: &str, canonical: &str) -> String {
        self.sign(&format!(
            "AWS4-HMAC-SHA256-TRAILER\n{}\n{}\n{previous}\n{}",
            self.stamp,
            self.scope,
            sha256(canonical.as_bytes())
        ))
    }
}

/// One signed request with a whole body.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    query: &str,
    extra: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let signer = Signer::new(0, "s3");
    let (head, _) = signer.head(method, path, query, extra, &sha256(body));
    let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    send(address, &bytes, false).await
}
