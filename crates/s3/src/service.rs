//! One HTTP request in, one HTTP response out.
//!
//! s3s parses and verifies a request of the API and calls its operation. What it does not know
//! is done around it: preflights and cross-origin headers, websites, HTML forms, and ranges
//! that AWS ignores.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use objects::Objects;
use s3s::{
    S3Error, StdError,
    config::{S3Config, StaticConfigProvider},
    service::S3ServiceBuilder,
};
use std::sync::Arc;

use crate::{
    RootCredentials, Settings, SettingsError,
    access::{Access, Grant, OperationSlot, SignatureOnly},
    access_log::{AccessLogs, Logged},
    api::Api,
    auth::RootAuth,
    checked_xml::{CheckedXml, Refusal},
    cors::{self, CrossOrigin},
    early,
    errors::not_implemented,
    host::{Hosts, Place},
    implemented::SharedApi,
    last_chunk::{self, LastChunk},
    origin::RequestId,
    own_xml, post_form,
    range::{self, Verdict},
    rename::Renames,
    response::{Asked, Operation, OwnStatus, ResponseBody, complete_error, render},
    versioned_buckets::VersionedBuckets,
    website::Visit,
};

/// The subresources of objects whose PUT has an XML body.
const XML_SUBRESOURCES: [&str; 3] = ["tagging", "retention", "legal-hold"];

/// The S3 protocol over an object layer. Cheap to clone.
#[derive(Clone)]
pub struct S3Service {
    inner: s3s::service::S3Service,
    pub(crate) api: Arc<Api>,
    pub(crate) root: Arc<RootCredentials>,
    hosts: Hosts,
    logs: AccessLogs,
}

impl S3Service {
    /// Serves `objects` to whoever signs with `credentials`. Must be called on a runtime, where
    /// access logs are delivered.
    pub fn new(
        objects: Objects,
        credentials: RootCredentials,
        settings: Settings,
    ) -> Result<Self, SettingsError> {
        credentials.validate()?;
        let hosts = Hosts::new(&settings.domains, settings.website_domain.as_deref())?;
        let mut config = S3Config::default();
        config.xml_max_body_size = settings.xml_bytes_max;
        // `BodyClaims` bounds it, with a message that says what to do.
        config.put_object_max_size = None;
        config.aws_chunked_stream_max_chunk_size = settings.signed_chunk_bytes_max;
        config.sig_v4_allowed_services = vec!["s3".to_owned()];
        // The request decides what it is, not what `x-id` says about it.
        config.operation_id_routing = false;
        // Forms do not come so far: see `post_form`.
        config.allow_post_signature = false;
        let root = Arc::new(credentials.clone());
        let api = Arc::new(Api {
            objects,
            settings: settings.clone(),
            versioned: VersionedBuckets::default(),
            renames: Renames::default(),
        });
        let mut builder = S3ServiceBuilder::new(SharedApi(api.clone()));
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
        builder.set_auth(RootAuth(credentials));
        builder.set_access(Access(settings));
        builder.set_host(hosts.clone());
        let logs = AccessLogs::start(
            api.objects.clone(),
            api.settings.account.clone(),
            api.settings.region.clone(),
            api.settings.access_log_interval,
        );
        Ok(Self { inner: builder.build(), api, root, hosts, logs })
    }

    /// Answers one request. Never fails: what goes wrong is an S3 error response, which
    /// names `request_id`.
    pub async fn call<B>(&self, mut request: Request<B>, request_id: &str) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        request.extensions_mut().insert(RequestId(request_id.to_owned()));
        let place = Place::of(&request, &self.hosts);
        let logged = Logged::of(&self.api, &request, &place, request_id);
        let cross_origin = CrossOrigin::of(request.method(), request.headers());
        let preflight = request.method() == Method::OPTIONS;
        let mut response = if place.website && !preflight {
            let (parts, _) = request.into_parts();
            let mut response = Visit::new(self, &place, parts, request_id).answer().await;
            response.extensions_mut().insert(Operation("Website".to_owned()));
            response
        } else {
            self.call_api(request, &place, cross_origin.as_ref(), request_id).await
        };
        if !preflight && let (Some(asked), Some(bucket)) = (&cross_origin, &place.bucket) {
            cors::add_headers(&self.api, bucket, asked, &mut response).await;
        }
        match logged {
            Some(logged) => logged.finish(&self.api, &self.logs, response).await,
            None => response,
        }
    }

    /// Returns when the access logs of all requests so far are delivered, or given up: before
    /// the process ends, and in tests.
    pub async fn settle(&self) {
        self.logs.flush().await;
    }

    /// All but websites.
    async fn call_api<B>(
        &self,
        request: Request<B>,
        place: &Place,
        cross_origin: Option<&CrossOrigin>,
        request_id: &str,
    ) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let resource = request.uri().path().to_owned();
        let method = request.method().clone();
        let slot = OperationSlot::default();
        let answered = if request.method() == Method::OPTIONS {
            slot.set("Preflight");
            cors::preflight(&self.api, place, cross_origin).await
        } else {
            self.dispatch(request, slot.clone(), place).await
        };
        let mut response = answered.unwrap_or_else(render);
        if response.status().is_client_error() || response.status().is_server_error() {
            let region = &self.api.settings.region;
            let asked = Asked { method: &method, resource: &resource, of_bucket: place.is_bucket };
            response = complete_error(response, &asked, request_id, region).await;
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
        place: &Place,
    ) -> Result<Response<ResponseBody>, S3Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        early::refuse(request.headers(), &self.api.settings.region)?;
        // Its path would be taken for a bucket's.
        if request.method() == Method::POST && request.uri().path() == "/WriteGetObjectResponse" {
            return Err(not_implemented("WriteGetObjectResponse"));
        }
        if request.method() == Method::POST && post_form::is_meant(&request, place) {
            slot.set("PostObject");
            return post_form::post_object(self, request, place).await;
        }
        request.extensions_mut().insert(slot);
        if request.method() == Method::GET || request.method() == Method::HEAD {
            let verdict = Verdict::of(request.headers());
            if verdict != Verdict::Keep {
                let (parts, _) = request.into_parts();
                return self.read_in_other_words(parts, verdict).await;
            }
        }
        let refusal = Refusal::default();
        let request = if has_xml_body(&request, place) {
            let query = request.uri().query().unwrap_or_default();
            let completes = query.split('&').any(|pair| pair.starts_with("uploadId"));
            let (parts, body) = request.into_parts();
            let body = CheckedXml::new(body, &parts.headers, !completes, refusal.clone())?;
            Request::from_parts(parts, s3s::Body::http_body_unsync(body))
        } else if last_chunk::is_expected(request.headers()) {
            request.map(|body| s3s::Body::http_body_unsync(LastChunk::new(body)))
        } else {
            request.map(|body| s3s::Body::http_body_unsync(body.map_err(Into::into)))
        };
        let answered = self.send(request).await;
        match refusal.take() {
            Some(error) => Err(error),
            None => answered,
        }
    }

    async fn send(&self, request: Request<s3s::Body>) -> Result<Response<ResponseBody>, S3Error> {
        let mut response = self.inner.call(request).await.map_err(|error| {
            tracing::error!(%error, "the protocol library failed");
            S3Error::new(s3s::S3ErrorCode::InternalError)
        })?;
        // The library says so of a GET, but not of a HEAD.
        if response.status() == StatusCode::OK
            && response.headers().contains_key(header::CONTENT_RANGE)
        {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        if let Some(OwnStatus(status)) = response.extensions_mut().remove::<OwnStatus>() {
            *response.status_mut() = status;
        }
        Ok(own_xml::put_in_place(response.map(|body| body.boxed_unsync())))
    }

    /// A GET or HEAD whose `Range` the library must not see as it is. If that header is
    /// signed the signature is verified first, and the request sent on without one.
    async fn read_in_other_words(
        &self,
        mut parts: http::request::Parts,
        verdict: Verdict,
    ) -> Result<Response<ResponseBody>, S3Error> {
        if range::is_signed(&parts.headers, &parts.uri) {
            let signature = SignatureOnly::default();
            let mut probe = parts.clone();
            probe.extensions.insert(signature.clone());
            let response = self.send(Request::from_parts(probe, s3s::Body::empty())).await?;
            if !signature.holds() {
                return Ok(response);
            }
            parts.headers.remove(header::AUTHORIZATION);
            parts.uri = range::unsigned(&parts.uri);
            parts.extensions.insert(Grant::Verified);
        }
        verdict.apply(&mut parts.headers);
        self.send(Request::from_parts(parts, s3s::Body::empty())).await
    }

    /// A read of a website, whose `Range` is not signed.
    pub(crate) async fn read(
        &self,
        mut request: Request<s3s::Body>,
    ) -> Result<Response<ResponseBody>, S3Error> {
        Verdict::of(request.headers()).apply(request.headers_mut());
        self.send(request).await
    }
}

/// Whether s3s will parse the body: of every POST, every PUT of a bucket, and some of objects.
fn has_xml_body<B>(request: &Request<B>, place: &Place) -> bool {
    if request.method() != Method::PUT {
        return request.method() == Method::POST;
    }
    let query = request.uri().query().unwrap_or_default();
    let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    place.is_bucket || names.any(|name| XML_SUBRESOURCES.contains(&name))
}
