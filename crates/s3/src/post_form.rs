//! PostObject: an upload from a browser, by an HTML form with a signed policy.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html>. The form is
//! turned into the headers of a PutObject, so that the same words mean the same in both, and
//! the file streams into the same write path. s3s would do it too, but it answers other codes
//! than AWS, keeps a file of unknown length in memory, and lets fields pass that the policy
//! does not name.
//!
//! `form` reads it, `policy` says what it may be.

mod form;
mod policy;

use std::ops::RangeInclusive;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use metastore::api::index::Reason;
use objects::request::Put;
use s3s::{
    S3Error, S3ErrorCode, S3Result, StdError,
    dto::Tagging,
    xml::{Deserialize, Deserializer},
};
use s3s_sigv4::AmzDate;
use subtle::ConstantTimeEq;
use types::{Condition, ObjectHead};

use crate::{
    RootCredentials,
    api::Api,
    body::CheckedBody,
    checksum,
    errors::{from_objects, invalid_argument, invalid_request, not_implemented},
    host::Place,
    metadata, origin,
    response::{ResponseBody, empty, full},
    service::S3Service,
    text, unsupported, versioning,
};
use form::Form;
use policy::Policy;

/// The only signing method.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Fields that are headers of a PutObject, besides `x-amz-*`.
const HEADERS: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
];

/// Fields about the form itself.
const OF_SIGNATURE: [&str; 4] =
    ["x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"];

/// Whether the request is a form, or is where one should be: a POST of a bucket without any
/// subresource. No form may go on to s3s, which would keep its file in memory before it asks
/// who sends it.
pub(crate) fn is_meant<B>(request: &Request<B>, place: &Place) -> bool {
    let of_bucket = place.bucket.is_some() && place.is_bucket;
    is_form(request.headers()) || (of_bucket && has_no_query(request.uri()))
}

fn has_no_query(uri: &Uri) -> bool {
    uri.query().is_none_or(str::is_empty)
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let form = b"multipart/form-data";
    kind.get(..form.len()).is_some_and(|start| start.eq_ignore_ascii_case(form))
}

/// `POST /bucket` with `multipart/form-data`.
pub(crate) async fn post_object<B>(
    service: &S3Service,
    request: Request<B>,
    place: &Place,
) -> S3Result<Response<ResponseBody>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    if !has_no_query(request.uri()) {
        return Err(not_implemented("A body of the type multipart/form-data for this request"));
    }
    let (Some(bucket), true) = (&place.bucket, place.is_bucket) else {
        return Err(S3Error::with_message(
            S3ErrorCode::MethodNotAllowed,
            "The specified method is not allowed against this resource.",
        ));
    };
    if !is_form(request.headers()) {
        return Err(S3Error::with_message(
            S3ErrorCode::PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold: Bucket POST must be of \
             the enclosure-type multipart/form-data.",
        ));
    }
    let api = &service.api;
    let (parts, body) = request.into_parts();
    let possible = body.size_hint().upper().unwrap_or(u64::MAX);
    let origin = origin::of_parts(&parts.extensions, None, Reason::PostObject);
    let mut form = Form::read(&parts.headers, body).await?;
    form.name_file();
    let sizes = authorize(service, &form, bucket)?;
    let key = form.get("key").map(str::to_owned).ok_or_else(|| missing("key"))?;
    text::check_key(&key)?;
    let headers = as_headers(&form)?;
    unsupported::refuse(&headers, &Uri::from_static("/"), &api.settings)?;
    let attributes = metadata::of_new_object(&headers, &Uri::from_static("/"), api.clock_now())?;
    let answer = Answer::of(&form);
    let most = api.settings.put_bytes_max.min(*sizes.end());
    let body = CheckedBody::of_form(form.file, *sizes.start()..=most, possible, &headers)?;
    let put = Put {
        bucket: bucket.clone(),
        key: key.clone(),
        condition: Condition::None,
        attributes,
        origin,
        body: Box::new(body),
    };
    let head = api.objects.put(put).await.map_err(from_objects)?;
    Ok(answer.write(place, bucket, &key, &head))
}

/// The sizes that the signer of the form allows, if the form is as signed.
fn authorize(service: &S3Service, form: &Form, bucket: &str) -> S3Result<RangeInclusive<u64>> {
    if form.get("awsaccesskeyid").is_some() || form.get("signature").is_some() {
        return Err(invalid_request(
            "The authorization mechanism you have provided is not supported. Please use \
             AWS4-HMAC-SHA256.",
        ));
    }
    if OF_SIGNATURE.iter().all(|name| form.get(name).is_none()) {
        return Err(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            "Access denied: the form is not signed, and there is no anonymous access.",
        ));
    }
    let field = |name| form.get(name).ok_or_else(|| missing(name));
    if field("x-amz-algorithm")? != ALGORITHM {
        return Err(invalid_request(format!("The algorithm of the form must be {ALGORITHM}.")));
    }
    let (credential, date) = (field("x-amz-credential")?, field("x-amz-date")?);
    let (signature, policy) = (field("x-amz-signature")?, field("policy")?);
    verify(&service.root, credential, date, signature, policy)?;
    let api: &Api = &service.api;
    Policy::of_field(policy)?.check(&form.fields, bucket, api.clock_now())
}

/// `signature` must be the one of `policy`, whose text is signed as it is.
fn verify(
    root: &RootCredentials,
    credential: &str,
    date: &str,
    signature: &str,
    policy: &str,
) -> S3Result {
    let malformed = || {
        invalid_argument(
            "The field X-Amz-Credential must be of the form \
             ACCESS_KEY/YYYYMMDD/REGION/s3/aws4_request, with the date of X-Amz-Date.",
        )
    };
    let mut parts = credential.rsplitn(5, '/');
    let mut part = || parts.next().ok_or_else(malformed);
    let (terminator, scope, region, day, access_key) =
        (part()?, part()?, part()?, part()?, part()?);
    let time = AmzDate::parse(date)
        .map_err(|_| invalid_argument("X-Amz-Date must be formatted via ISO8601 Long format"))?;
    if terminator != "aws4_request"
        || scope != "s3"
        || region.is_empty()
        || !date.starts_with(day)
        || day.len() != 8
    {
        return Err(malformed());
    }
    if !bool::from(root.access_key.as_bytes().ct_eq(access_key.as_bytes())) {
        return Err(S3Error::new(S3ErrorCode::InvalidAccessKeyId));
    }
    let expected =
        s3s_sigv4::calculate_signature(policy, root.secret_key.as_bytes(), &time, region, "s3");
    if !bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        return Err(S3Error::with_message(
            S3ErrorCode::SignatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided. Check \
             your key and signing method.",
        ));
    }
    Ok(())
}

fn missing(name: &str) -> S3Error {
    invalid_argument(format!(
        "Bucket POST must contain a field named '{name}'.  If it is specified, please check the \
         order of the fields."
    ))
}

/// The headers of the PutObject that would say the same.
fn as_headers(form: &Form) -> S3Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, (sent, value)) in &form.fields {
        let is_header = HEADERS.contains(&name.as_str())
            || (name.starts_with("x-amz-") && !OF_SIGNATURE.contains(&name.as_str()));
        let (name, value) = match name.as_str() {
            "acl" => ("x-amz-acl", value.clone()),
            "tagging" => ("x-amz-tagging", tags(value)?),
            name if is_header => (name, value.clone()),
            _ => continue,
        };
        let header = HeaderName::try_from(name).ok();
        let value = HeaderValue::try_from(value.trim().as_bytes()).ok();
        let (Some(header), Some(value)) = (header, value) else {
            return Err(invalid_argument(format!("The field {sent} has control characters.")));
        };
        headers.insert(header, value);
    }
    Ok(headers)
}

/// The document of the field `tagging` as `x-amz-tagging` writes it.
fn tags(xml: &str) -> S3Result<String> {
    let malformed = || {
        S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "The XML you provided was not well-formed or did not validate against our published \
             schema",
        )
    };
    let mut deserializer = Deserializer::new(xml.as_bytes());
    let tagging = Tagging::deserialize(&mut deserializer).map_err(|_| malformed())?;
    deserializer.expect_eof().map_err(|_| malformed())?;
    let mut pairs = Vec::new();
    for tag in tagging.tag_set {
        let (Some(key), Some(value)) = (tag.key, tag.value) else { return Err(malformed()) };
        pairs.push(format!("{}={}", text::url_encode(&key), text::url_encode(&value)));
    }
    Ok(pairs.join("&"))
}

/// What the form asks to be answered with.
struct Answer {
    /// An absolute address to send the browser to.
    redirect: Option<String>,
    status: StatusCode,
}

impl Answer {
    fn of(form: &Form) -> Self {
        let redirect = form.get("success_action_redirect").or_else(|| form.get("redirect"));
        // One that is no address is as if it were not there.
        let redirect = redirect.filter(|address| {
            address
                .parse::<Uri>()
                .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")))
        });
        let status = match form.get("success_action_status") {
            Some("200") => StatusCode::OK,
            Some("201") => StatusCode::CREATED,
            _ => StatusCode::NO_CONTENT,
        };
        Self { redirect: redirect.map(str::to_owned), status }
    }

    fn write(
        &self,
        place: &Place,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
    ) -> Response<ResponseBody> {
        let encoded = text::url_encode(key).replace('/', "%2F");
        let host = &place.host;
        let location = match place.by_host {
            true => format!("http://{host}/{encoded}"),
            false => format!("http://{host}/{bucket}/{encoded}"),
        };
        let mut response = Response::new(empty());
        let mut set = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                response.headers_mut().insert(name, value);
            }
        };
        set(header::ETAG, &format!("\"{}\"", head.etag));
        if let Some(version) = versioning::of_write(head) {
            set(HeaderName::from_static("x-amz-version-id"), &version);
        }
        if let Some(stored) = &head.checksum {
            set(checksum::header(stored.algorithm), &checksum::encode(stored));
            let kind = HeaderName::from_static("x-amz-checksum-type");
            set(kind, checksum::kind_name(stored.kind));
        }
        if let Some(address) = &self.redirect {
            let sign = if address.contains('?') { '&' } else { '?' };
            let to =
                format!("{address}{sign}bucket={bucket}&key={encoded}&etag=%22{}%22", head.etag);
            set(header::LOCATION, &to);
            *response.status_mut() = StatusCode::SEE_OTHER;
            return response;
        }
        set(header::LOCATION, &location);
        *response.status_mut() = self.status;
        if self.status == StatusCode::CREATED {
            let kind = HeaderValue::from_static("application/xml");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            let xml = format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location>\
                 <Bucket>{bucket}</Bucket><Key>{}</Key><ETag>\"{}\"</ETag></PostResponse>",
                text::escape_html(&location),
                text::escape_html(key),
                head.etag
            );
            *response.body_mut() = full(Bytes::from(xml));
        }
        response
    }
}

#[cfg(test)]
mod tests;
