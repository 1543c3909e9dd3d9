//! A running gateway over a cluster in memory, and its clients.

use std::{net::SocketAddr, sync::Arc};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::{ProvideErrorMetadata, SdkError},
};
use cluster::memory::MemoryCluster;
use gateway::{Gateway, Service, Settings};
use objects::Objects;
use s3::{RootCredentials, S3Service};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::raw::{self, Answer};

pub(crate) const ACCESS_KEY: &str = "AKSHARDLAKETEST";
pub(crate) const SECRET_KEY: &str = "a secret/with+odd=characters";
pub(crate) const BUCKET: &str = "bucket";

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    pub(crate) service: S3Service,
    pub(crate) cluster: Arc<MemoryCluster>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<()>,
}

/// A gateway with one empty bucket.
pub(crate) async fn server() -> Server {
    server_with(Settings::default(), None).await
}

pub(crate) async fn server_with(settings: Settings, other: Option<Arc<dyn Service>>) -> Server {
    server_of(s3::Settings::default(), settings, other).await
}

pub(crate) async fn server_of(
    s3: s3::Settings,
    settings: Settings,
    other: Option<Arc<dyn Service>>,
) -> Server {
    let cluster = Arc::new(MemoryCluster::new("rs-4-2".parse().expect("valid"), 6));
    let objects = Objects::new(
        cluster.clone(),
        cluster.clone(),
        cluster.clock(),
        objects::Settings::default(),
    );
    let root =
        RootCredentials { access_key: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned() };
    let service = S3Service::new(objects, root, s3).expect("good settings");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel();
    let mut gateway = Gateway::new(service.clone(), settings);
    if let Some(other) = other {
        gateway = gateway.with(other);
    }
    let task = tokio::spawn(gateway.serve(listener, async {
        let _ = stopped.await;
    }));
    let client = client(&format!("http://{address}"), SECRET_KEY, true);
    client.create_bucket().bucket(BUCKET).send().await.expect("created");
    Server { address, client, service, cluster, stop, task }
}

/// A client that does not retry, so that every answer is seen.
pub(crate) fn client(endpoint: &str, secret: &str, path_style: bool) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(ACCESS_KEY, secret, None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(path_style)
        .retry_config(aws_sdk_s3::config::retry::RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// Status and AWS code of a refusal.
pub(crate) fn refused<T, E>(result: Result<T, SdkError<E>>) -> (u16, String)
where
    E: ProvideErrorMetadata,
{
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => {
            let status = error.raw_response().map_or(0, |response| response.status().as_u16());
            let code = error.code().unwrap_or_default().to_owned();
            (status, code)
        }
    }
}

/// Bytes that are not all the same.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

impl Server {
    pub(crate) async fn put(&self, key: &str, bytes: &[u8]) {
        let body = bytes.to_vec().into();
        let put = self.client.put_object().bucket(BUCKET).key(key).body(body);
        put.send().await.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
    }

    pub(crate) async fn get(&self, key: &str) -> Vec<u8> {
        let got = self.client.get_object().bucket(BUCKET).key(key).send().await;
        let got = got.unwrap_or_else(|error| panic!("{key:?}: {error:?}"));
        got.body.collect().await.expect("read to the end").to_vec()
    }

    /// A signed request for a key of the bucket, or for the bucket with the empty key.
    pub(crate) async fn call(
        &self,
        method: &str,
        key: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let path = if key.is_empty() { format!("/{BUCKET}") } else { format!("/{BUCKET}/{key}") };
        raw::call(self.address, method, &path, query, headers, body.as_bytes()).await
    }

    /// Enables or suspends versioning.
    pub(crate) async fn set_versioning(&self, status: &str) {
        let body =
            format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        let answer = self.call("PUT", "", "versioning=", &[], &body).await;
        assert_eq!(answer.status, 200, "{status}: {}", answer.text());
    }

    /// Puts an object; what the answer calls the version.
    pub(crate) async fn put_version(&self, key: &str, body: &str) -> Option<String> {
        let answer = self.call("PUT", key, "", &[], body).await;
        assert_eq!(answer.status, 200, "{key}: {}", answer.text());
        answer.header("x-amz-version-id").map(str::to_owned)
    }
}
