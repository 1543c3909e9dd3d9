//! Who asked for a change, and how: what the events of the change say about it.

use http::Extensions;
use metastore::api::index::{Origin, Reason};
use s3s::{S3Request, auth::Credentials};

use crate::access_log::RemoteAddress;

/// The id of the request, among its extensions.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Who sent the request that s3s hands on.
pub(crate) fn of<T>(request: &S3Request<T>, reason: Reason) -> Origin {
    of_parts(&request.extensions, request.credentials.as_ref(), reason)
}

/// Who sent a request with these extensions, signed with these credentials.
pub(crate) fn of_parts(
    extensions: &Extensions,
    credentials: Option<&Credentials>,
    reason: Reason,
) -> Origin {
    Origin {
        reason,
        request_id: extensions
            .get::<RequestId>()
            .map(|RequestId(id)| id.clone())
            .unwrap_or_default(),
        requester: credentials.map(|it| it.access_key.clone()).unwrap_or_default(),
        source_ip: extensions.get::<RemoteAddress>().map(|RemoteAddress(ip)| *ip),
    }
}
