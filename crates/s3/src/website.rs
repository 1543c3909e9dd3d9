//! Static websites: their configuration, and the answers of a bucket's website host.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteHosting.html>. Websites
//! exist where the operator has set a website domain; `BUCKET.DOMAIN` then serves the bucket's
//! website. **Its readers sign nothing: a bucket with a website configuration is published**,
//! every current object of it, through that host and no other. Only GET and HEAD are
//! answered there. A read is the API's own GetObject: ranges, conditions and metadata are what
//! they are there.
//!
//! `config` is what is stored, `routing` decides redirections, `page` writes error pages.

pub(crate) mod config;
mod page;
mod routing;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    access::Grant,
    api::Api,
    errors::from_objects,
    host::Place,
    response::{ResponseBody, empty},
    service::S3Service,
    text,
};
use config::{RoutingRule, Website};
use page::Problem;

/// The header in which an object says that it is elsewhere.
const REDIRECT_LOCATION: &str = "x-amz-website-redirect-location";

/// The headers of a request that a website regards.
const READ_HEADERS: [header::HeaderName; 5] = [
    header::RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// `PUT /bucket?website`: publishes the bucket.
pub(crate) async fn put_bucket_website(
    api: &Api,
    request: S3Request<PutBucketWebsiteInput>,
) -> S3Result<S3Response<PutBucketWebsiteOutput>> {
    if api.settings.website_domain.is_none() {
        return Err(S3Error::with_message(
            S3ErrorCode::NotImplemented,
            "This server serves no websites. Its operator can set gateway.website_domain: \
             BUCKET.DOMAIN then serves the website of a bucket that has one.",
        ));
    }
    let input = request.input;
    let website = Website::of_input(input.website_configuration)?;
    api.objects
        .set_bucket_config(&input.bucket, ConfigKind::Website, Some(website.encode().into()))
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(PutBucketWebsiteOutput::default()))
}

/// `GET /bucket?website`.
pub(crate) async fn get_bucket_website(
    api: &Api,
    request: S3Request<GetBucketWebsiteInput>,
) -> S3Result<S3Response<GetBucketWebsiteOutput>> {
    let bucket = request.input.bucket;
    let stored = api.objects.bucket_config(&bucket, ConfigKind::Website).await;
    let stored = stored.map_err(from_objects)?.ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::NoSuchWebsiteConfiguration,
            "The specified bucket does not have a website configuration",
        )
    })?;
    Ok(S3Response::new(Website::decode(&stored)?.into_output()))
}

/// `DELETE /bucket?website`: no longer published; whether it was or not.
pub(crate) async fn delete_bucket_website(
    api: &Api,
    request: S3Request<DeleteBucketWebsiteInput>,
) -> S3Result<S3Response<DeleteBucketWebsiteOutput>> {
    let bucket = request.input.bucket;
    api.objects
        .set_bucket_config(&bucket, ConfigKind::Website, None)
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(DeleteBucketWebsiteOutput::default()))
}

/// A request to a website.
pub(crate) struct Visit<'a> {
    service: &'a S3Service,
    host: &'a str,
    bucket: &'a str,
    request: Parts,
    request_id: &'a str,
}

/// An answer of the API to a read.
enum Read {
    Done(Response<ResponseBody>),
    Failed(Problem),
}

impl<'a> Visit<'a> {
    /// One of the website at `place`.
    pub(crate) fn new(
        service: &'a S3Service,
        place: &'a Place,
        request: Parts,
        request_id: &'a str,
    ) -> Self {
        let bucket = place.bucket.as_deref().unwrap_or_default();
        Self { service, host: &place.host, bucket, request, request_id }
    }

    /// Answers it.
    pub(crate) async fn answer(&self) -> Response<ResponseBody> {
        if self.request.method != Method::GET && self.request.method != Method::HEAD {
            let problem = Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            );
            let problem =
                problem.with("Method", self.request.method.as_str()).with("ResourceType", "OBJECT");
            let mut response = problem.page(self.request_id, None);
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        match self.website().await {
            Ok(website) => self.serve(&website).await,
            Err(problem) => problem.page(self.request_id, None),
        }
    }

    async fn website(&self) -> Result<Website, Problem> {
        let no_bucket = || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "NoSuchBucket",
                "The specified bucket does not exist",
            )
            .with("BucketName", self.bucket)
        };
        if !text::is_bucket_name(self.bucket) {
            return Err(no_bucket());
        }
        let objects = &self.service.api.objects;
        let stored = match objects.bucket_config_cached(self.bucket, ConfigKind::Website).await {
            Ok(stored) => stored,
            Err(objects::Error::NoSuchBucket(_)) => return Err(no_bucket()),
            Err(error) => return Err(problem_of(&from_objects(error))),
        };
        let stored = stored.ok_or_else(|| {
            Problem::new(
                StatusCode::NOT_FOUND,
                "NoSuchWebsiteConfiguration",
                "The specified bucket does not have a website configuration",
            )
            .with("BucketName", self.bucket)
        })?;
        Website::decode(&stored).map_err(|error| problem_of(&error))
    }

    async fn serve(&self, website: &Website) -> Response<ResponseBody> {
        let (index, error_key, rules) = match website {
            Website::RedirectAll { host, protocol } => {
                let target =
                    self.request.uri.path_and_query().map_or("/", |target| target.as_str());
                let to = routing::elsewhere(host, *protocol, target);
                return redirection(StatusCode::MOVED_PERMANENTLY, &to);
            }
            Website::Pages { index, error, rules } => (index, error, rules),
        };
        let path = self.request.uri.path();
        let Some(key) = text::url_decode(path.strip_prefix('/').unwrap_or(path)) else {
            let problem = Problem::new(
                StatusCode::BAD_REQUEST,
                "InvalidURI",
                "Couldn't parse the specified URI.",
            );
            return problem.page(self.request_id, None);
        };
        if let Some(rule) = routing::find(rules, &key, None) {
            return self.redirect(rule, &key);
        }
        let is_folder = key.is_empty() || key.ends_with('/');
        let wanted = if is_folder { format!("{key}{index}") } else { key.clone() };
        let problem = match self.read(&self.request.method, &wanted, &self.request.headers).await {
            Read::Done(response) => return response,
            Read::Failed(problem) => problem,
        };
        if problem.status == StatusCode::NOT_FOUND && !is_folder {
            let below = format!("{key}/{index}");
            if let Read::Done(_) = self.read(&Method::HEAD, &below, &HeaderMap::new()).await {
                let to = routing::on_same_host(&format!("{}/", text::url_encode(&key)));
                return redirection(StatusCode::FOUND, &to);
            }
        }
        if let Some(rule) = routing::find(rules, &key, Some(problem.status.as_u16())) {
            return self.redirect(rule, &key);
        }
        let problem = match problem.code.as_str() {
            "NoSuchKey" => problem.with("Key", &wanted),
            _ => problem,
        };
        let Some(error_key) = error_key.as_ref().filter(|_| problem.status.is_client_error())
        else {
            return problem.page(self.request_id, None);
        };
        match self.read(&self.request.method, error_key, &HeaderMap::new()).await {
            Read::Done(mut response) => {
                if response.status() == StatusCode::OK {
                    *response.status_mut() = problem.status;
                }
                response
            }
            Read::Failed(document) => {
                problem.page(self.request_id, Some(&document.with("Key", error_key)))
            }
        }
    }

    fn redirect(&self, rule: &RoutingRule, key: &str) -> Response<ResponseBody> {
        let status = rule.status.and_then(|status| StatusCode::from_u16(status).ok());
        let to = routing::location(rule, key, self.host);
        redirection(status.unwrap_or(StatusCode::MOVED_PERMANENTLY), &to)
    }

    /// A GetObject or HeadObject of the current version, as everybody. An object that says
    /// that it is elsewhere is a redirection.
    async fn read(&self, method: &Method, key: &str, headers: &HeaderMap) -> Read {
        let uri = format!("/{}/{}", self.bucket, text::url_encode(key));
        let mut request = Request::new(s3s::Body::empty());
        *request.method_mut() = method.clone();
        match uri.parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => {
                return Read::Failed(Problem::new(
                    StatusCode::BAD_REQUEST,
                    "KeyTooLongError",
                    "Your key is too long",
                ));
            }
        }
        for name in READ_HEADERS {
            for value in headers.get_all(&name) {
                request.headers_mut().append(&name, value.clone());
            }
        }
        request.extensions_mut().insert(Grant::Website);
        let response = match self.service.read(request).await {
            Ok(response) => response,
            Err(error) => return Read::Failed(problem_of(&error)),
        };
        let status = response.status();
        if status.is_success()
            && let Some(to) = response.headers().get(REDIRECT_LOCATION)
        {
            let to = String::from_utf8_lossy(to.as_bytes());
            return Read::Done(redirection(StatusCode::MOVED_PERMANENTLY, &routing::visible(&to)));
        }
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Read::Done(response);
        }
        Read::Failed(problem_of_response(response).await)
    }
}

/// An answer without a body.
fn redirection(status: StatusCode, to: &str) -> Response<ResponseBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn problem_of(error: &S3Error) -> Problem {
    let status = error.status_code().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Problem::new(status, error.code().as_str(), error.message().unwrap_or_default())
}

/// What the XML of the API's answer says; the answer to a HEAD says nothing.
async fn problem_of_response(response: Response<ResponseBody>) -> Problem {
    let status = response.status();
    let xml = crate::response::error_text(response).await;
    let element = |name: &str| {
        let (_, rest) = xml.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(text, _)| text::unescape_xml(text))
    };
    let code = element("Code").unwrap_or_else(|| {
        match status {
            StatusCode::NOT_FOUND => "NoSuchKey",
            StatusCode::PRECONDITION_FAILED => "PreconditionFailed",
            StatusCode::RANGE_NOT_SATISFIABLE => "InvalidRange",
            _ => "Error",
        }
        .to_owned()
    });
    Problem::new(status, &code, &element("Message").unwrap_or_default())
}
