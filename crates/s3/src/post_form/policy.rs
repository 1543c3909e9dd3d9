//! The policy of a form: what its signer allows to be uploaded. Pure.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html>.
//! Refusals have the codes and words that S3 answers with, which differ from that page: a
//! condition that does not hold is 403 `AccessDenied`, a policy that is none 400.

use std::{collections::BTreeMap, ops::RangeInclusive};

use base64::{Engine, engine::general_purpose::STANDARD};
use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{Timestamp, TimestampFormat},
};
use serde_json::Value;
use time::OffsetDateTime;
use types::UnixMillis;

/// Fields that need no condition.
const FREE: [&str; 3] = ["x-amz-signature", "file", "policy"];
/// Fields whose names begin so need none either.
const FREE_PREFIX: &str = "x-ignore-";

/// A form's fields by lower-case name, each with the name as it was sent.
pub(crate) type Fields = BTreeMap<String, (String, String)>;

/// What the signer of a form allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// In milliseconds since the Unix epoch.
    expires: u64,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// The field is this, or begins with it.
    Field { operator: Operator, name: String, value: String },
    /// The file has so many bytes.
    Size(RangeInclusive<u64>),
    /// One that never holds, as the policy wrote it.
    Never(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    StartsWith,
}

impl Policy {
    /// Reads the field `policy`.
    pub(crate) fn of_field(text: &str) -> S3Result<Self> {
        let spaceless: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let json =
            STANDARD.decode(spaceless).map_err(|_| invalid("Invalid Base64 encoding.".into()))?;
        let value: Value =
            serde_json::from_slice(&json).map_err(|_| invalid("Invalid JSON.".into()))?;
        let Value::Object(mut members) = value else {
            return Err(invalid("Invalid JSON.".into()));
        };
        let expires = match members.remove("expiration") {
            None => return Err(invalid("Policy missing expiration.".into())),
            Some(Value::String(text)) => expiration(&text)
                .ok_or_else(|| invalid(format!("Invalid 'expiration' value: '{text}'")))?,
            Some(other) => return Err(invalid(format!("Invalid 'expiration' value: '{other}'"))),
        };
        let conditions = match members.remove("conditions") {
            None => return Err(invalid("Policy missing conditions.".into())),
            Some(Value::Array(conditions)) => conditions,
            Some(_) => return Err(invalid("Invalid 'conditions' value: must be a List.".into())),
        };
        if let Some(name) = members.keys().next() {
            return Err(invalid(format!("Unexpected: '{name}'")));
        }
        let conditions = conditions.into_iter().map(Condition::of).collect::<S3Result<_>>()?;
        Ok(Self { expires, conditions })
    }

    /// The sizes that the file may have, if everything else is as the policy says. `bucket`
    /// is the one that the request is for, whatever the form says.
    pub(crate) fn check(
        &self,
        fields: &Fields,
        bucket: &str,
        now: UnixMillis,
    ) -> S3Result<RangeInclusive<u64>> {
        if now.0 >= self.expires {
            return Err(denied("Policy expired.".to_owned()));
        }
        let (mut least, mut most) = (0, u64::MAX);
        for condition in &self.conditions {
            match condition {
                Condition::Size(size) => {
                    least = least.max(*size.start());
                    most = most.min(*size.end());
                }
                Condition::Field { name, .. } => {
                    let field = if name == "$bucket" {
                        Some(bucket)
                    } else {
                        let name = name.strip_prefix('$').unwrap_or_default();
                        fields.get(name).map(|(_, value)| value.as_str())
                    };
                    if !field.is_some_and(|value| condition.holds(value)) {
                        return Err(condition.failed());
                    }
                }
                Condition::Never(_) => return Err(condition.failed()),
            }
        }
        let covered = |name: &str| {
            self.conditions.iter().any(|condition| {
                matches!(condition, Condition::Field { name: there, .. }
                    if there.strip_prefix('$') == Some(name))
            })
        };
        for (name, (sent, _)) in fields {
            let free = FREE.contains(&name.as_str()) || name.starts_with(FREE_PREFIX);
            if !free && !covered(name) {
                return Err(denied(format!("Extra input fields: {sent}")));
            }
        }
        Ok(least..=most)
    }
}

impl Condition {
    fn of(value: Value) -> S3Result<Self> {
        match value {
            Value::Object(members) => {
                let mut members = members.into_iter();
                let (Some((name, value)), None) = (members.next(), members.next()) else {
                    return Err(invalid(
                        "Invalid Simple-Condition: Simple-Conditions must have exactly one \
                         property specified."
                            .into(),
                    ));
                };
                let Value::String(value) = value else {
                    return Err(invalid(
                        "Invalid Simple-Condition: value must be a string.".into(),
                    ));
                };
                let name = format!("${}", name.to_ascii_lowercase());
                Ok(Self::Field { operator: Operator::Equal, name, value })
            }
            Value::Array(items) => Self::of_list(items),
            _ => Err(invalid("Invalid Condition: must be a List or an Object.".into())),
        }
    }

    fn of_list(items: Vec<Value>) -> S3Result<Self> {
        let shown = Value::Array(items.clone()).to_string();
        let [operator, first, second] = items.as_slice() else {
            return Err(invalid(format!("Invalid Condition: wrong number of arguments: {shown}")));
        };
        let operator = operator.as_str().unwrap_or_default().to_ascii_lowercase();
        let operator = match operator.as_str() {
            "eq" => Operator::Equal,
            "starts-with" => Operator::StartsWith,
            "content-length-range" => {
                return Ok(match (number(first), number(second)) {
                    (Some(least), Some(most)) => Self::Size(least..=most),
                    _ => Self::Never(shown),
                });
            }
            other => {
                return Err(invalid(format!("Invalid Condition: unknown operation '{other}'.")));
            }
        };
        let (Some(name), Some(value)) = (first.as_str(), second.as_str()) else {
            return Err(invalid("Invalid Condition: arguments must be strings.".into()));
        };
        // Only a name with its `$` is one of a field.
        if !name.starts_with('$') {
            return Ok(Self::Never(shown));
        }
        Ok(Self::Field { operator, name: name.to_ascii_lowercase(), value: value.to_owned() })
    }

    fn holds(&self, field: &str) -> bool {
        match self {
            Self::Field { operator: Operator::Equal, value, .. } => field == value,
            // "If the Content-Type list is comma-separated, each value must match."
            Self::Field { operator: Operator::StartsWith, name, value }
                if name == "$content-type" =>
            {
                field.split(',').all(|one| one.trim_start().starts_with(value.as_str()))
            }
            Self::Field { operator: Operator::StartsWith, value, .. } => {
                field.starts_with(value.as_str())
            }
            Self::Size(_) => true,
            Self::Never(_) => false,
        }
    }

    fn failed(&self) -> S3Error {
        let shown = match self {
            Self::Field { operator, name, value } => {
                let operator = match operator {
                    Operator::Equal => "eq",
                    Operator::StartsWith => "starts-with",
                };
                let (name, value) = (Value::from(name.as_str()), Value::from(value.as_str()));
                format!("[\"{operator}\", {name}, {value}]")
            }
            Self::Never(shown) => shown.clone(),
            Self::Size(_) => String::new(),
        };
        denied(format!("Policy Condition failed: {shown}"))
    }
}

/// A number, or a text of one.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn expiration(text: &str) -> Option<u64> {
    let time: OffsetDateTime = Timestamp::parse(TimestampFormat::DateTime, text).ok()?.into();
    Some(u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(0))
}

/// 400: it is no policy.
fn invalid(why: String) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidPolicyDocument, format!("Invalid Policy: {why}"))
}

/// 403: the form is not what the policy allows.
fn denied(why: String) -> S3Error {
    S3Error::with_message(S3ErrorCode::AccessDenied, format!("Invalid according to Policy: {why}"))
}

#[cfg(test)]
mod tests;
