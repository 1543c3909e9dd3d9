//! Which service a request is for: the service in its SigV4 credential scope, else what
//! `X-Amz-Target` says, else S3.
//!
//! Nothing is verified here: the service itself checks the whole signature, so a request
//! that names a wrong service only reaches somebody who refuses it.

use http::{HeaderMap, Request, header};

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// To the service of this signing name.
    Service(String),
    /// Unsigned by SigV4, but its `X-Amz-Target` is of a JSON service.
    Target(String),
}

/// Reads the scope of a request.
pub(crate) fn of<B>(request: &Request<B>) -> Scope {
    let query = request.uri().query().unwrap_or_default();
    if let Some(service) = in_header(request.headers()).or_else(|| in_query(query)) {
        return Scope::Service(service);
    }
    match request.headers().get("x-amz-target").and_then(|target| target.to_str().ok()) {
        // `Kinesis_20131202.PutRecord`: the part before the underscore or dot.
        Some(target) => {
            let end = target.find(['_', '.']).unwrap_or(target.len());
            Scope::Target(target[..end].to_owned())
        }
        None => Scope::Service("s3".to_owned()),
    }
}

/// `Authorization: AWS4-HMAC-SHA256 Credential=KEY/20260101/region/SERVICE/aws4_request, ...`
fn in_header(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let rest = value.strip_prefix("AWS4-")?;
    let (_, credential) = rest.split_once("Credential=")?;
    service_of(credential.split([',', ' ']).next()?)
}

/// `X-Amz-Credential=KEY%2F20260101%2Fregion%2FSERVICE%2Faws4_request`
fn in_query(query: &str) -> Option<String> {
    let credential = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
    service_of(&credential.replace("%2F", "/").replace("%2f", "/"))
}

/// The last part but one: an access key may itself hold slashes.
fn service_of(credential: &str) -> Option<String> {
    let mut parts = credential.rsplit('/');
    let terminator = parts.next()?;
    let service = parts.next()?;
    let named = terminator == "aws4_request" && !service.is_empty() && parts.count() >= 3;
    named.then(|| service.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(uri: &str, headers: &[(&str, &str)]) -> Scope {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        of(&request.body(()).expect("a request"))
    }

    #[test]
    fn scopes() {
        let service = |name: &str| Scope::Service(name.to_owned());
        let signed = |name: &str| {
            format!(
                "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/{name}/aws4_request, \
                 SignedHeaders=host, Signature=00"
            )
        };
        for name in ["s3", "kinesis", "iam", "kms"] {
            let value = signed(name);
            assert_eq!(scope("/", &[("authorization", &value)]), service(name));
        }
        let presigned = "/b/k?X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&x=1";
        assert_eq!(scope(presigned, &[]), service("s3"));
        let target = [("x-amz-target", "Kinesis_20131202.PutRecord")];
        assert_eq!(scope("/", &target), Scope::Target("Kinesis".to_owned()));
        let value = signed("firehose");
        let both = [("authorization", value.as_str()), ("x-amz-target", "Firehose_20150804.X")];
        assert_eq!(scope("/", &both), service("firehose"));
        for garbage in ["AWS4-HMAC-SHA256 Credential=", "AWS AK:sig", "Bearer x", "AWS4-"] {
            assert_eq!(scope("/", &[("authorization", garbage)]), service("s3"), "{garbage}");
        }
        assert_eq!(scope("/bucket/key", &[]), service("s3"));
    }
}
