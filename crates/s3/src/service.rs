//! One HTTP request in, one HTTP response out.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use objects::Objects;
use s3s::{
    S3Error, StdError,
    config::{S3Config, StaticConfigProvider},
    service::S3ServiceBuilder,
};
use std::sync::Arc;

use crate::{
    RootCredentials, Settings, SettingsError,
    access::{Access, OperationSlot},
    api::Api,
    auth::RootAuth,
    checked_xml::{CheckedXml, Refusal},
    errors::not_implemented,
    host::Hosts,
};

/// A response's body.
pub type ResponseBody = UnsyncBoxBody<Bytes, StdError>;

/// The name of the S3 operation that a request was, as `GetObject`: in the extensions of
/// the response. Missing if the request was refused before that was known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation(pub String);

/// An error response has at most so many bytes, and is completed with the request's id.
const ERROR_BYTES_MAX: u64 = 64 << 10;

/// The S3 protocol over an object layer. Cheap to clone.
#[derive(Clone)]
pub struct S3Service {
    inner: s3s::service::S3Service,
    hosts: Hosts,
}

impl S3Service {
    /// Serves `objects` to whoever signs with `credentials`.
    pub fn new(
        objects: Objects,
        credentials: RootCredentials,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        credentials.validate()?;
        let hosts = Hosts::new(&settings.domains)?;
        let mut config = S3Config::default();
        config.xml_max_body_size = settings.xml_bytes_max;
        // `BodyClaims` bounds it, with a message that says what to do.
        config.put_object_max_size = None;
        config.aws_chunked_stream_max_chunk_size = settings.signed_chunk_bytes_max;
        config.sig_v4_allowed_services = vec!["s3".to_owned()];
        // The request decides what it is, not what `x-id` says about it.
        config.operation_id_routing = false;
        config.allow_post_signature = false;
        let mut builder = S3ServiceBuilder::new(Api { objects, settings: settings.clone() });
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(RootAuth(credentials));
        builder.set_access(Access(settings));
        builder.set_host(hosts.clone());
        Ok(Self { inner: builder.build(), hosts })
    }

    /// Answers one request. Never fails: what goes wrong is an S3 error response, which
    /// names `request_id`.
    pub async fn call<B>(&self, request: Request<B>, request_id: &str) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let resource = request.uri().path().to_owned();
        let head = request.method() == Method::HEAD;
        let slot = OperationSlot::default();
        let mut response = match self.dispatch(request, slot.clone()).await {
            Ok(response) => response,
            Err(error) => render(error),
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            response = complete_error(response, &resource, request_id, head).await;
        }
        if let Some(name) = slot.take() {
            response.extensions_mut().insert(Operation(name));
        }
        response
    }

    async fn dispatch<B>(
        &self,
        mut request: Request<B>,
        slot: OperationSlot,
    ) -> Result<Response<ResponseBody>, S3Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        request.extensions_mut().insert(slot);
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"multipart/form-data"));
        if request.method() == Method::POST && is_form {
            return Err(not_implemented("PostObject (upload by HTML form)"));
        }
        let refusal = Refusal::default();
        let request = if self.has_xml_body(&request) {
            let query = request.uri().query().unwrap_or_default();
            let completes = query.split('&').any(|pair| pair.starts_with("uploadId"));
            let (parts, body) = request.into_parts();
            let body = CheckedXml::new(body, &parts.headers, !completes, refusal.clone())?;
            Request::from_parts(parts, s3s::Body::http_body_unsync(body))
        } else {
            request.map(|body| s3s::Body::http_body_unsync(body.map_err(Into::into)))
        };
        let answered = self.inner.call(request).await;
        if let Some(error) = refusal.take() {
            return Err(error);
        }
        let response = answered.map_err(|error| {
            tracing::error!(%error, "the protocol library failed");
            S3Error::new(s3s::S3ErrorCode::InternalError)
        })?;
        Ok(response.map(|body| body.boxed_unsync()))
    }

    /// Whether s3s will parse the body: every POST, and every PUT of a bucket.
    fn has_xml_body<B>(&self, request: &Request<B>) -> bool {
        if request.method() != Method::PUT {
            return request.method() == Method::POST;
        }
        let authority = request.uri().authority().map(http::uri::Authority::as_str);
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or(authority)
            .unwrap_or_default();
        let path = request.uri().path().trim_start_matches('/');
        match self.hosts.bucket(host) {
            Some(_) => path.is_empty(),
            None => path.split_once('/').is_none_or(|(_, key)| key.is_empty()),
        }
    }
}

/// The XML form of an error.
fn render(error: S3Error) -> Response<ResponseBody> {
    match error.to_http_response() {
        Ok(response) => response.map(|body| body.boxed_unsync()),
        Err(error) => {
            tracing::error!(%error, "an error response could not be written");
            let mut response = Response::new(empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

fn empty() -> ResponseBody {
    full(Bytes::new())
}

fn full(bytes: Bytes) -> ResponseBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// Adds `Resource`, `RequestId` and `HostId` to an error's XML, as AWS has them.
async fn complete_error(
    response: Response<ResponseBody>,
    resource: &str,
    request_id: &str,
    head: bool,
) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    if body.size_hint().exact().is_none_or(|bytes| bytes > ERROR_BYTES_MAX) {
        return Response::from_parts(parts, body);
    }
    let bytes = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => Bytes::new(),
    };
    if head || bytes.is_empty() {
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, empty());
    }
    let text = String::from_utf8_lossy(&bytes);
    let completed = match text.strip_suffix("</Error>") {
        Some(start) if !text.contains("<RequestId>") => Bytes::from(format!(
            "{start}<Resource>{}</Resource><RequestId>{request_id}</RequestId>\
             <HostId>{request_id}</HostId></Error>",
            escape(resource)
        )),
        _ => bytes.clone(),
    };
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(completed.len()));
    Response::from_parts(parts, full(completed))
}

/// XML text of a request path: it is percent-encoded, so that `&` is all that matters.
fn escape(text: &str) -> String {
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    printable.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
