//! Where events go, and how patiently.

use std::fmt;

use reqwest::{Url, header::HeaderValue};

/// The longest name of a target: the name of its cursor has 64 bytes at most.
const NAME_BYTES_MAX: usize = 40;

/// How events are delivered. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The targets that configurations of buckets can name, by different names.
    pub targets: Vec<Target>,
    /// For so long the delivery of an event is tried again: one day.
    pub retention_ms: u64,
    /// How often partitions are looked at for events.
    pub interval_ms: u64,
    /// How long a target may take to answer.
    pub request_ms_max: u64,
    /// The first rest of a lane after a failure; it doubles with each further one.
    pub rest_ms_min: u64,
    /// The longest rest of a lane.
    pub rest_ms_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            retention_ms: 24 * 3600 * 1000,
            interval_ms: 1000,
            request_ms_max: 10_000,
            rest_ms_min: 1000,
            rest_ms_max: 60_000,
        }
    }
}

/// A webhook that receives events.
#[derive(Clone)]
pub struct Target {
    name: String,
    pub(super) url: Url,
    /// Marked as sensitive, so that it does not show.
    pub(super) authorization: Option<HeaderValue>,
}

/// A target that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// Its name.
    #[error(
        "the name of an event target has 1 to 40 lower-case letters, digits, hyphens and \
         underscores"
    )]
    Name,
    /// Its address.
    #[error("write its url as https://HOST/PATH (or http://)")]
    Url,
    /// Its address holds a password.
    #[error("a url with a user or a password would show in logs: give a token instead")]
    Credentials,
    /// Its token cannot be sent.
    #[error("a token has printable ASCII characters only")]
    Token,
}

impl Target {
    /// A target of this name at this address. With a token it is told `authorization: Bearer
    /// TOKEN`.
    pub fn new(name: &str, url: &str, token: Option<&str>) -> Result<Self, InvalidTarget> {
        let fine = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(fine) {
            return Err(InvalidTarget::Name);
        }
        let url = Url::parse(url).map_err(|_| InvalidTarget::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(InvalidTarget::Url);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::Credentials);
        }
        let authorization = token.map(|token| {
            let printable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
            let value = HeaderValue::from_str(&format!("Bearer {token}")).ok();
            let mut value = value.filter(|_| printable).ok_or(InvalidTarget::Token)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self { name: name.to_owned(), url, authorization: authorization.transpose()? })
    }

    /// What configurations call it.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Without what may be a secret: webhooks often have one in their path.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.url.origin().ascii_serialization();
        write!(f, "Target({} at {origin})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_target() {
        let target = Target::new("hook-1", "https://example.com:8443/s3cr3t?key=1", Some("t0ken"))
            .expect("valid");
        assert_eq!(target.name(), "hook-1");
        let shown = format!("{target:?} {:?}", target.authorization);
        assert!(shown.contains("https://example.com:8443"), "{shown}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("t0ken"), "{shown}");
        for (name, url, token, why) in [
            ("", "http://h/", None, InvalidTarget::Name),
            ("a:b", "http://h/", None, InvalidTarget::Name),
            ("Hook", "http://h/", None, InvalidTarget::Name),
            (&"x".repeat(41)[..], "http://h/", None, InvalidTarget::Name),
            ("hook", "h/path", None, InvalidTarget::Url),
            ("hook", "ftp://h/", None, InvalidTarget::Url),
            ("hook", "http://", None, InvalidTarget::Url),
            ("hook", "http://u:p@h/", None, InvalidTarget::Credentials),
            ("hook", "http://h/", Some("a b"), InvalidTarget::Token),
            ("hook", "http://h/", Some(""), InvalidTarget::Token),
            ("hook", "http://h/", Some("a\nb"), InvalidTarget::Token),
        ] {
            assert_eq!(Target::new(name, url, token).expect_err("refused"), why, "{name} {url}");
        }
    }
}
