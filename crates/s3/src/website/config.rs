//! What a bucket's website configuration says, and the bytes in which it is stored.

use s3s::{S3Error, S3ErrorCode, S3Result, dto};
use serde::{Deserialize, Serialize};

use crate::errors::{invalid_argument, invalid_request, unreadable};

/// Routing rules of one website at most. AWS: PutBucketWebsite.
const RULES_MAX: usize = 50;

/// The version of the stored form.
const VERSION: u8 = 1;

/// A bucket's website.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Website {
    /// Every request is sent to another host.
    RedirectAll {
        /// Its name.
        host: String,
        /// As the request's own, if not given.
        protocol: Option<Protocol>,
    },
    /// Objects are shown.
    Pages {
        /// What is appended to a key that is empty or ends with a slash.
        index: String,
        /// The key of what is shown for an error 4xx.
        error: Option<String>,
        /// In the order in which they are evaluated.
        rules: Vec<RoutingRule>,
    },
}

/// Sends some requests elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RoutingRule {
    /// Only keys that begin with it.
    pub(crate) prefix: Option<String>,
    /// Only if the answer would have this status (4xx or 5xx).
    pub(crate) error: Option<u16>,
    /// Where to; as the request's own, if not given.
    pub(crate) host: Option<String>,
    /// See `host`.
    pub(crate) protocol: Option<Protocol>,
    /// The status of the redirection: 301 to 399, 301 if not given.
    pub(crate) status: Option<u16>,
    /// What becomes of the key.
    pub(crate) key: NewKey,
}

/// What a redirection makes of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NewKey {
    /// It stays.
    Same,
    /// All of it is replaced.
    Whole(String),
    /// The rule's prefix is replaced.
    Prefix(String),
}

/// The scheme of a redirection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub(crate) enum Protocol {
    Http,
    Https,
}

impl Protocol {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn of(asked: Option<dto::Protocol>) -> S3Result<Option<Self>> {
        match asked.as_ref().map(dto::Protocol::as_str) {
            None => Ok(None),
            Some("http") => Ok(Some(Self::Http)),
            Some("https") => Ok(Some(Self::Https)),
            Some(_) => Err(invalid_request(
                "Invalid protocol, protocol can be http or https. If not defined the protocol will \
                 be selected automatically.",
            )),
        }
    }

    fn into_output(self) -> dto::Protocol {
        dto::Protocol::from_static(self.as_str())
    }
}

impl Website {
    /// Refuses what AWS refuses, in its words.
    pub(crate) fn of_input(input: dto::WebsiteConfiguration) -> S3Result<Self> {
        if let Some(all) = input.redirect_all_requests_to {
            let more = input.index_document.is_some()
                || input.error_document.is_some()
                || input.routing_rules.is_some();
            if more {
                return Err(invalid_argument(
                    "RedirectAllRequestsTo cannot be provided in conjunction with other Routing \
                     Rules.",
                ));
            }
            let protocol = Protocol::of(all.protocol)?;
            return Ok(Self::RedirectAll { host: host_name(all.host_name)?, protocol });
        }
        let index = input.index_document.map(|index| index.suffix).ok_or_else(|| {
            invalid_argument(
                "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is \
                 empty",
            )
        })?;
        if index.is_empty() || index.contains('/') {
            return Err(invalid_argument("The IndexDocument Suffix is not well formed"));
        }
        let error = input.error_document.map(|document| document.key);
        if error.as_ref().is_some_and(String::is_empty) {
            return Err(malformed("the ErrorDocument has no Key"));
        }
        let rules = input.routing_rules.unwrap_or_default();
        if rules.len() > RULES_MAX {
            return Err(invalid_request(format!(
                "{} routing rules provided, the number of routing rules in a website configuration \
                 is limited to {RULES_MAX}.",
                rules.len()
            )));
        }
        let rules = rules.into_iter().map(RoutingRule::of_input).collect::<S3Result<_>>()?;
        Ok(Self::Pages { index, error, rules })
    }

    /// As GetBucketWebsite shows it.
    pub(crate) fn into_output(self) -> dto::GetBucketWebsiteOutput {
        match self {
            Self::RedirectAll { host, protocol } => dto::GetBucketWebsiteOutput {
                redirect_all_requests_to: Some(dto::RedirectAllRequestsTo {
                    host_name: host,
                    protocol: protocol.map(Protocol::into_output),
                }),
                ..Default::default()
            },
            Self::Pages { index, error, rules } => dto::GetBucketWebsiteOutput {
                index_document: Some(dto::IndexDocument { suffix: index }),
                error_document: error.map(|key| dto::ErrorDocument { key }),
                routing_rules: (!rules.is_empty())
                    .then(|| rules.into_iter().map(RoutingRule::into_output).collect()),
                ..Default::default()
            },
        }
    }

    /// The stored form: one version byte, then postcard.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("a website is plain data and a Vec grows as needed")
    }

    /// The website that these bytes are.
    pub(crate) fn decode(bytes: &[u8]) -> S3Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((website, [])) => Ok(website),
                _ => Err(unreadable("website configuration")),
            },
            _ => Err(unreadable("website configuration")),
        }
    }
}

impl RoutingRule {
    fn of_input(rule: dto::RoutingRule) -> S3Result<Self> {
        let (prefix, error) = match rule.condition {
            None => (None, None),
            Some(dto::Condition {
                key_prefix_equals: None,
                http_error_code_returned_equals: None,
            }) => {
                return Err(invalid_request(
                    "Condition cannot be empty. To redirect all requests without a condition, the \
                     condition element shouldn't be present.",
                ));
            }
            Some(condition) => {
                let error = condition.http_error_code_returned_equals;
                (condition.key_prefix_equals, error.map(error_status).transpose()?)
            }
        };
        let redirect = rule.redirect;
        let key = match (redirect.replace_key_with, redirect.replace_key_prefix_with) {
            (None, None) => NewKey::Same,
            (Some(key), None) => NewKey::Whole(key),
            (None, Some(prefix)) => NewKey::Prefix(prefix),
            (Some(_), Some(_)) => {
                return Err(invalid_request(
                    "You can only define ReplaceKeyPrefix or ReplaceKey but not both.",
                ));
            }
        };
        let host = redirect.host_name.map(host_name).transpose()?;
        let protocol = Protocol::of(redirect.protocol)?;
        let status = redirect.http_redirect_code.map(redirect_status).transpose()?;
        if key == NewKey::Same && host.is_none() && protocol.is_none() && status.is_none() {
            return Err(malformed("a Redirect is empty"));
        }
        Ok(Self { prefix, error, host, protocol, status, key })
    }

    fn into_output(self) -> dto::RoutingRule {
        let conditional = self.prefix.is_some() || self.error.is_some();
        let (whole, prefix) = match self.key {
            NewKey::Same => (None, None),
            NewKey::Whole(key) => (Some(key), None),
            NewKey::Prefix(prefix) => (None, Some(prefix)),
        };
        dto::RoutingRule {
            condition: conditional.then(|| dto::Condition {
                http_error_code_returned_equals: self.error.map(|status| status.to_string()),
                key_prefix_equals: self.prefix,
            }),
            redirect: dto::Redirect {
                host_name: self.host,
                http_redirect_code: self.status.map(|status| status.to_string()),
                protocol: self.protocol.map(Protocol::into_output),
                replace_key_prefix_with: prefix,
                replace_key_with: whole,
            },
        }
    }
}

/// It becomes part of a header: no spaces, slashes and control characters.
fn host_name(text: String) -> S3Result<String> {
    let good = |byte: u8| byte.is_ascii_graphic() && !b"/\\?#@\"<>".contains(&byte);
    if !text.is_empty() && text.bytes().all(good) {
        return Ok(text);
    }
    Err(invalid_request("The HostName of a redirection is not a host name."))
}

fn error_status(text: String) -> S3Result<u16> {
    text.parse().ok().filter(|status| (400..600).contains(status)).ok_or_else(|| {
        invalid_request(format!(
            "The provided HTTP error code ({text}) is not valid. Valid codes are 4XX or 5XX."
        ))
    })
}

fn redirect_status(text: String) -> S3Result<u16> {
    text.parse().ok().filter(|status| (301..400).contains(status)).ok_or_else(|| {
        invalid_request(format!(
            "The provided HTTP redirect code ({text}) is not valid. Valid codes are 3XX except 300."
        ))
    })
}

fn malformed(why: &str) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::MalformedXML,
        format!(
            "The XML you provided was not well-formed or did not validate against our published \
             schema: {why}."
        ),
    )
}

#[cfg(test)]
mod tests;
