//! What the rules say, which one is about a request, and the bytes in which they are stored.

use s3s::{S3Error, S3ErrorCode, S3Result, dto::CORSRule};
use serde::{Deserialize, Serialize};

use crate::errors::{invalid_argument, invalid_request, unreadable};

/// Rules of one bucket at most. AWS: PutBucketCors.
const RULES_MAX: usize = 100;

/// Characters of a rule's id at most.
const ID_CHARS_MAX: usize = 255;

/// The methods that rules can name.
pub(crate) const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// The version of the stored form.
const VERSION: u8 = 1;

/// The rules of a bucket, in the order in which they are evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CorsRules {
    rules: Vec<CorsRule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CorsRule {
    /// As the client named it.
    pub(crate) id: Option<String>,
    /// Origins, each with at most one `*` for any characters.
    pub(crate) origins: Vec<String>,
    /// Methods, of [`METHODS`].
    pub(crate) methods: Vec<String>,
    /// Headers that a preflight may ask for, each with at most one `*`.
    pub(crate) headers: Vec<String>,
    /// Headers of the answer that a page may read.
    pub(crate) expose: Vec<String>,
    /// How long a browser may remember the answer to a preflight.
    pub(crate) max_age_s: Option<i32>,
}

/// What a request asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The value of `Origin`.
    pub(crate) origin: &'a str,
    /// Of the request that is or will be made.
    pub(crate) method: &'a str,
    /// Names in lower case.
    pub(crate) headers: &'a [String],
}

impl CorsRules {
    /// Refuses what AWS refuses, in its words.
    pub(crate) fn of_input(rules: Vec<CORSRule>) -> S3Result<Self> {
        if rules.is_empty() {
            return Err(malformed());
        }
        if rules.len() > RULES_MAX {
            return Err(invalid_request(format!(
                "The number of CORS rules should not exceed allowed limit of {RULES_MAX} rules."
            )));
        }
        let rules = rules.into_iter().map(CorsRule::of_input).collect::<S3Result<_>>()?;
        Ok(Self { rules })
    }

    /// As GetBucketCors shows them.
    pub(crate) fn into_output(self) -> Vec<CORSRule> {
        let some = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
        self.rules
            .into_iter()
            .map(|rule| CORSRule {
                allowed_headers: some(rule.headers),
                allowed_methods: rule.methods,
                allowed_origins: rule.origins,
                expose_headers: some(rule.expose),
                id: rule.id,
                max_age_seconds: rule.max_age_s,
            })
            .collect()
    }

    /// The first rule that allows all of what is asked.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<&CorsRule> {
        self.rules.iter().find(|rule| rule.allows(asked))
    }

    /// The stored form: one version byte, then postcard.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION])
            .expect("rules are plain data and a Vec grows as needed")
    }

    /// The rules that these bytes are.
    pub(crate) fn decode(bytes: &[u8]) -> S3Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => match postcard::take_from_bytes(rest) {
                Ok((rules, [])) => Ok(rules),
                _ => Err(unreadable("CORS rules")),
            },
            _ => Err(unreadable("CORS rules")),
        }
    }
}

impl CorsRule {
    fn of_input(rule: CORSRule) -> S3Result<Self> {
        if rule.allowed_methods.is_empty() || rule.allowed_origins.is_empty() {
            return Err(malformed());
        }
        let known = |method: &&String| !METHODS.contains(&method.as_str());
        if let Some(method) = rule.allowed_methods.iter().find(known) {
            return Err(invalid_request(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            )));
        }
        let headers = rule.allowed_headers.unwrap_or_default();
        for (name, patterns) in
            [("AllowedOrigin", &rule.allowed_origins), ("AllowedHeader", &headers)]
        {
            let twice = |pattern: &&String| pattern.matches('*').count() > 1;
            if let Some(pattern) = patterns.iter().find(twice) {
                return Err(invalid_request(format!(
                    "{name} \"{pattern}\" can not have more than one wildcard."
                )));
            }
        }
        let expose = rule.expose_headers.unwrap_or_default();
        if let Some(name) = expose.iter().find(|name| name.contains('*')) {
            return Err(invalid_request(format!(
                "ExposeHeader \"{name}\" contains wildcard. We currently do not support wildcard \
                 for ExposeHeader."
            )));
        }
        if rule.id.as_ref().is_some_and(|id| id.chars().count() > ID_CHARS_MAX) {
            return Err(invalid_argument(format!(
                "ID length should not exceed allowed limit of {ID_CHARS_MAX}"
            )));
        }
        Ok(Self {
            id: rule.id,
            origins: rule.allowed_origins,
            methods: rule.allowed_methods,
            headers,
            expose,
            max_age_s: rule.max_age_seconds,
        })
    }

    fn allows(&self, asked: &Asked<'_>) -> bool {
        self.methods.iter().any(|method| method == asked.method)
            && self.origins.iter().any(|pattern| matches(pattern, asked.origin))
            && asked.headers.iter().all(|name| {
                self.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
            })
    }
}

/// Whether the text is the pattern, where `*` is any characters, also none.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

fn malformed() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published \
         schema: a CORS configuration has rules with an AllowedOrigin and an AllowedMethod each.",
    )
}

#[cfg(test)]
mod tests;
