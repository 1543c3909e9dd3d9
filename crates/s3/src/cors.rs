//! Cross-origin resource sharing: a bucket's rules, the preflight of a browser, and the
//! headers that let a page of another origin read an answer.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>. A preflight is not
//! signed, and says nothing about whether the request itself will be allowed. A request
//! without `Origin` costs nothing here.

mod rules;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    errors::{custom, from_objects, with_elements},
    host::Place,
    response::{ResponseBody, empty},
    text,
};
use rules::{Asked, CorsRules, METHODS};

/// Bytes of the longest configuration.
const BYTES_MAX: usize = 64 << 10;

const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// `PUT /bucket?cors`: replaces all rules.
pub(crate) async fn put_bucket_cors(
    api: &Api,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let S3Request { input, headers, .. } = request;
    let rules = CorsRules::of_input(input.cors_configuration.cors_rules)?;
    let stored = rules.encode();
    let sent = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let sent: usize = sent.and_then(|length| length.parse().ok()).unwrap_or(0);
    if stored.len().max(sent) > BYTES_MAX {
        return Err(S3Error::with_message(
            S3ErrorCode::MaxMessageLengthExceeded,
            format!(
                "Your request was too big: a CORS configuration has at most {BYTES_MAX} bytes."
            ),
        ));
    }
    api.objects
        .set_bucket_config(&input.bucket, ConfigKind::Cors, Some(stored.into()))
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

/// `GET /bucket?cors`.
pub(crate) async fn get_bucket_cors(
    api: &Api,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let bucket = request.input.bucket;
    let stored =
        api.objects.bucket_config(&bucket, ConfigKind::Cors).await.map_err(from_objects)?;
    let stored = stored.ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::NoSuchCORSConfiguration,
            "The CORS configuration does not exist",
        )
    })?;
    let cors_rules = Some(CorsRules::decode(&stored)?.into_output());
    Ok(S3Response::new(GetBucketCorsOutput { cors_rules }))
}

/// `DELETE /bucket?cors`: whether there were rules or not.
pub(crate) async fn delete_bucket_cors(
    api: &Api,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let bucket = request.input.bucket;
    api.objects.set_bucket_config(&bucket, ConfigKind::Cors, None).await.map_err(from_objects)?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

/// What a cross-origin request says of itself.
pub(crate) struct CrossOrigin {
    origin: HeaderValue,
    /// Of the request, or the one that a preflight asks about.
    method: String,
    /// In lower case; of a preflight only.
    headers: Vec<String>,
}

impl CrossOrigin {
    /// `None` if the request has no `Origin`: browsers send it with every request that the
    /// rules are about.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let origin = headers.get(header::ORIGIN)?.clone();
        if method != Method::OPTIONS {
            return Some(Self { origin, method: method.as_str().to_owned(), headers: Vec::new() });
        }
        let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let method = wanted.and_then(|value| value.to_str().ok()).unwrap_or("null").to_owned();
        let listed = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let headers = listed
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        Some(Self { origin, method, headers })
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            origin: self.origin.to_str().unwrap_or_default(),
            method: &self.method,
            headers: &self.headers,
        }
    }

    /// The headers that the first matching rule gives; `None` without one.
    fn allowed_by(&self, rules: &CorsRules) -> Option<HeaderMap> {
        let rule = rules.find(&self.asked())?;
        let mut headers = HeaderMap::new();
        let mut set = |name, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        set(header::ACCESS_CONTROL_ALLOW_METHODS, &rule.methods.join(", "));
        if !self.headers.is_empty() {
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(", "));
        }
        if !rule.expose.is_empty() {
            set(header::ACCESS_CONTROL_EXPOSE_HEADERS, &rule.expose.join(", "));
        }
        if let Some(seconds) = rule.max_age_s {
            set(header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
        }
        // Who allows every origin cannot allow credentials (Fetch standard, 3.2.5).
        if rule.origins.iter().any(|origin| origin == "*") {
            set(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        } else {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
            headers
                .insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        Some(headers)
    }
}

/// `OPTIONS`: 200 with what is allowed, or 403.
pub(crate) async fn preflight(
    api: &Api,
    place: &Place,
    asked: Option<&CrossOrigin>,
) -> S3Result<Response<ResponseBody>> {
    let bad = |message: String| custom("BadRequest", StatusCode::BAD_REQUEST, message);
    let Some(asked) = asked else {
        return Err(bad("Insufficient information. Origin request header needed.".to_owned()));
    };
    if !METHODS.contains(&asked.method.as_str()) {
        return Err(bad(format!("Invalid Access-Control-Request-Method: {}", asked.method)));
    }
    let forbidden = |message| {
        let kind = if place.is_bucket { "BUCKET" } else { "OBJECT" };
        let elements = [("Method", asked.method.as_str()), ("ResourceType", kind)];
        with_elements(custom("AccessForbidden", StatusCode::FORBIDDEN, message), &elements)
    };
    let rules = match place.bucket.as_deref() {
        Some(bucket) => rules_of(api, bucket).await,
        None => Err(objects::Error::NoSuchBucket(String::new())),
    };
    let rules = match rules {
        Ok(Some(rules)) => CorsRules::decode(&rules)?,
        Ok(None) => return Err(forbidden("CORSResponse: CORS is not enabled for this bucket.")),
        Err(objects::Error::NoSuchBucket(_)) => {
            return Err(forbidden("CORSResponse: Bucket not found"));
        }
        Err(error) => return Err(from_objects(error)),
    };
    let headers = asked.allowed_by(&rules).ok_or_else(|| {
        forbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evalution \
             of Origin, request method / Access-Control-Request-Method or \
             Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
        )
    })?;
    let mut response = Response::new(empty());
    *response.headers_mut() = headers;
    response.headers_mut().append(header::VARY, HeaderValue::from_static(VARY));
    Ok(response)
}

/// Adds what the bucket's rules give to the answer of a request that is no preflight. An
/// answer is complete without: what goes wrong here is only logged.
pub(crate) async fn add_headers(
    api: &Api,
    bucket: &str,
    asked: &CrossOrigin,
    response: &mut Response<ResponseBody>,
) {
    let rules = match api.objects.bucket_config_known(bucket, ConfigKind::Cors).await {
        Ok(Some(rules)) => rules,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(%error, bucket, "an answer has no CORS headers");
            return;
        }
    };
    let Ok(rules) = CorsRules::decode(&rules) else { return };
    if let Some(headers) = asked.allowed_by(&rules) {
        response.headers_mut().extend(headers);
        response.headers_mut().append(header::VARY, HeaderValue::from_static(VARY));
    }
}

/// The stored rules, a few seconds old at most. Names that no bucket can have are not asked
/// for: whoever asks has not been authenticated.
async fn rules_of(api: &Api, bucket: &str) -> Result<Option<Bytes>, objects::Error> {
    if !text::is_bucket_name(bucket) {
        return Err(objects::Error::NoSuchBucket(bucket.to_owned()));
    }
    api.objects.bucket_config_cached(bucket, ConfigKind::Cors).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cross(method: &str, pairs: &[(&'static str, &str)]) -> Option<CrossOrigin> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("printable"));
        }
        CrossOrigin::of(&method.parse().expect("a method"), &headers)
    }

    fn rules(origins: &[&str], headers: &[&str]) -> CorsRules {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRules::of_input(vec![CORSRule {
            allowed_headers: Some(owned(headers)),
            allowed_methods: owned(&["GET", "PUT"]),
            allowed_origins: owned(origins),
            expose_headers: Some(owned(&["ETag", "x-amz-request-id"])),
            id: None,
            max_age_seconds: Some(60),
        }])
        .expect("valid")
    }

    fn shown(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn a_named_origin_may_send_credentials() {
        let asked = cross(
            "OPTIONS",
            &[
                ("origin", "https://a.example"),
                ("access-control-request-method", "PUT"),
                ("access-control-request-headers", "X-Amz-Date, content-type"),
                ("access-control-request-headers", "x-amz-meta-a"),
            ],
        );
        let rules = rules(&["https://*.example"], &["x-amz-*", "Content-Type"]);
        let headers = asked.expect("cross-origin").allowed_by(&rules).expect("allowed");
        assert_eq!(
            shown(&headers),
            [
                "access-control-allow-credentials: true",
                "access-control-allow-headers: x-amz-date, content-type, x-amz-meta-a",
                "access-control-allow-methods: GET, PUT",
                "access-control-allow-origin: https://a.example",
                "access-control-expose-headers: ETag, x-amz-request-id",
                "access-control-max-age: 60",
            ]
        );
    }

    #[test]
    fn every_origin_may_not() {
        let asked = cross("GET", &[("origin", "https://a.example")]).expect("cross-origin");
        let headers = asked.allowed_by(&rules(&["*"], &[])).expect("allowed");
        assert_eq!(
            shown(&headers),
            [
                "access-control-allow-methods: GET, PUT",
                "access-control-allow-origin: *",
                "access-control-expose-headers: ETag, x-amz-request-id",
                "access-control-max-age: 60",
            ]
        );
        assert!(asked.allowed_by(&rules(&["https://b.example"], &[])).is_none());
        assert!(cross("GET", &[]).is_none());
    }
}
