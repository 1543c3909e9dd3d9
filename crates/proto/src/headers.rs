//! The headers that every call carries, both ways round.

use std::time::Duration;

use http::HeaderMap;
use telemetry::request_id::HEADER as REQUEST_ID;
use tonic::metadata::{Ascii, Binary, MetadataMap, MetadataValue};
use types::ClusterId;

use crate::{Identity, RpcError, RpcErrorKind, request_id};

/// Nodes of different majors do not talk to each other.
pub const PROTOCOL_MAJOR: u32 = 1;
/// A higher minor adds methods and fields; nodes of all minors of one major mix.
pub const PROTOCOL_MINOR: u32 = 0;

const VERSION: &str = "shardlake-version";
const SECRET: &str = "shardlake-secret-bin";
const CLUSTER: &str = "shardlake-cluster";
const TIMEOUT: &str = "grpc-timeout";

/// Whether a call says which cluster it is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// It must.
    Cluster,
    /// It need not: the caller may not have joined yet.
    AnyCluster,
}

/// Writes the headers of a call that waits for `timeout`.
pub(crate) fn write(
    headers: &mut MetadataMap,
    identity: &Identity,
    scope: Scope,
    timeout: Duration,
) -> Result<(), RpcError> {
    headers.insert(VERSION, ascii(&format!("{PROTOCOL_MAJOR}.{PROTOCOL_MINOR}")));
    let mut secret = MetadataValue::<Binary>::from_bytes(identity.secret().as_bytes());
    secret.set_sensitive(true);
    headers.insert_bin(SECRET, secret);
    match (identity.cluster(), scope) {
        (Some(cluster), _) => {
            headers.insert(CLUSTER, ascii(&cluster.to_string()));
        }
        (None, Scope::AnyCluster) => {}
        (None, Scope::Cluster) => return Err(refused("this node has not joined a cluster yet")),
    }
    if let Some(id) = request_id::current() {
        headers.insert(REQUEST_ID, ascii(&id));
    }
    // The header has room for eight digits; the caller's own clock ends the call anyway.
    let millis = timeout.as_millis().clamp(1, 99_999_999);
    headers.insert(TIMEOUT, ascii(&format!("{millis}m")));
    Ok(())
}

fn ascii(text: &str) -> MetadataValue<Ascii> {
    text.parse().expect("ids and numbers are plain ASCII")
}

/// Refuses a call of another protocol, without the secret, or for another cluster.
pub(crate) fn check(
    headers: &MetadataMap,
    identity: &Identity,
    scope: Scope,
) -> Result<(), RpcError> {
    check_version(headers)?;
    check_secret(headers, identity)?;
    if scope == Scope::Cluster {
        check_cluster(headers, identity)?;
    }
    Ok(())
}

fn check_version(headers: &MetadataMap) -> Result<(), RpcError> {
    let version = headers.get(VERSION).and_then(|value| value.to_str().ok());
    let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    if major == Some(PROTOCOL_MAJOR) {
        return Ok(());
    }
    Err(refused(format!(
        "the caller speaks protocol {}, this node {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}: \
         upgrade the older of the two",
        version.unwrap_or("of no version")
    )))
}

fn check_secret(headers: &MetadataMap, identity: &Identity) -> Result<(), RpcError> {
    let Some(value) = headers.get_bin(SECRET) else {
        return Err(refused("the call carries no cluster secret"));
    };
    let Ok(bytes) = value.to_bytes() else {
        return Err(refused("the call's cluster secret is not base64"));
    };
    if identity.secret().matches(&bytes) {
        Ok(())
    } else {
        Err(refused("the call carries another cluster secret than this node has"))
    }
}

fn check_cluster(headers: &MetadataMap, identity: &Identity) -> Result<(), RpcError> {
    let Some(own) = identity.cluster() else {
        return Err(refused("this node has not joined a cluster yet"));
    };
    let value = headers.get(CLUSTER).and_then(|value| value.to_str().ok());
    match value.and_then(ClusterId::parse) {
        Some(cluster) if cluster == own => Ok(()),
        Some(cluster) => {
            Err(refused(format!("the call is for cluster {cluster}, this node is of {own}")))
        }
        None => Err(refused("the call does not say for which cluster it is")),
    }
}

/// How long the caller waits; `None` if it does not say or says it wrongly.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The caller's request id, if it sent one.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID)?.to_str().ok()
}

fn refused(message: impl Into<String>) -> RpcError {
    RpcError::new(RpcErrorKind::Refused, message)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::ClusterSecret;

    fn identity(secret: u8, cluster: Option<u8>) -> Identity {
        Identity::new(
            ClusterSecret::new([secret; 16]).expect("valid"),
            cluster.map(|byte| ClusterId::from_bytes([byte; 16])),
        )
    }

    fn sent_by(identity: &Identity, scope: Scope) -> MetadataMap {
        let mut headers = MetadataMap::new();
        write(&mut headers, identity, scope, Duration::from_millis(1500)).expect("complete");
        headers
    }

    #[test]
    fn own_calls_pass_and_foreign_ones_do_not() {
        let server = identity(1, Some(1));
        let own = sent_by(&identity(1, Some(1)), Scope::Cluster);
        check(&own, &server, Scope::Cluster).expect("own");
        assert_eq!(timeout(own.as_ref()), Some(Duration::from_millis(1500)));

        let other_cluster = sent_by(&identity(1, Some(2)), Scope::Cluster);
        let other_secret = sent_by(&identity(2, Some(1)), Scope::Cluster);
        for headers in [&MetadataMap::new(), &other_cluster, &other_secret] {
            let error = check(headers, &server, Scope::Cluster).expect_err("foreign");
            assert_eq!(error.kind, RpcErrorKind::Refused);
        }
        assert!(check(&own, &identity(1, None), Scope::Cluster).is_err(), "server has none");
    }

    #[test]
    fn joining_needs_the_secret_alone() {
        let server = identity(1, Some(1));
        let hello = sent_by(&identity(1, None), Scope::AnyCluster);
        check(&hello, &server, Scope::AnyCluster).expect("joining");
        assert!(check(&hello, &server, Scope::Cluster).is_err());
        let thief = sent_by(&identity(9, None), Scope::AnyCluster);
        assert!(check(&thief, &server, Scope::AnyCluster).is_err());
        let mut headers = MetadataMap::new();
        let second = Duration::from_secs(1);
        assert!(write(&mut headers, &identity(1, None), Scope::Cluster, second).is_err());
    }

    #[test]
    fn another_major_is_refused_with_both_versions() {
        let server = identity(1, Some(1));
        let mut headers = sent_by(&server, Scope::Cluster);
        headers.insert(VERSION, ascii("1.99"));
        check(&headers, &server, Scope::Cluster).expect("minors mix");
        headers.insert(VERSION, ascii("2.0"));
        let error = check(&headers, &server, Scope::Cluster).expect_err("major");
        assert_eq!(error.kind, RpcErrorKind::Refused);
        assert!(error.message.contains("2.0") && error.message.contains("1.0"), "{error}");
    }

    #[test]
    fn the_secret_is_not_in_debug_output() {
        let secret = ClusterSecret::new("correct horse battery").expect("valid");
        let identity = Identity::new(secret, Some(ClusterId::from_bytes([1; 16])));
        let headers = sent_by(&identity, Scope::Cluster);
        let text = format!("{headers:?}");
        assert!(text.contains("Sensitive") && !text.contains("Y29ycmVjdCBob3JzZ"), "{text}");
    }

    #[test]
    fn timeouts_as_grpc_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TIMEOUT, HeaderValue::from_str(text).expect("ascii"));
            timeout(&headers)
        };
        assert_eq!(read("2S"), Some(Duration::from_secs(2)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in ["", "S", "5", "123456789m", "-1S", "1x", "+1S"] {
            assert!(!matches!(read(bad), Some(d) if d > Duration::ZERO), "{bad:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
