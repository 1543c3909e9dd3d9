//! The seam between the edge and the AWS services behind it.

use async_trait::async_trait;
use http::{Request, Response};
use s3::{ResponseBody, S3Service};
use telemetry::RequestId;

use crate::RequestBody;

/// One AWS service. It verifies signatures itself and answers errors in its own shape.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// The name in the SigV4 credential scope: `s3`, `kinesis`, `iam`, ...
    fn name(&self) -> &'static str;

    /// Answers a request. Never fails: errors are responses.
    async fn call(&self, request: Request<RequestBody>, id: RequestId) -> Response<ResponseBody>;
}

#[async_trait]
impl Service for S3Service {
    fn name(&self) -> &'static str {
        "s3"
    }

    async fn call(&self, request: Request<RequestBody>, id: RequestId) -> Response<ResponseBody> {
        S3Service::call(self, request, &id.to_string()).await
    }
}
