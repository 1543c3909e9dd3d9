//! The answer for AWS services that are not there (yet): a clear 501 in that service's own
//! error shape, so that its SDK shows the message.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use s3::ResponseBody;

use crate::scope::Scope;

/// Services whose protocol is XML; all others speak JSON.
const XML: [&str; 5] = ["s3", "iam", "sts", "sqs", "sns"];

/// 501 for a service that nobody here serves.
pub(crate) fn answer(scope: &Scope, request_id: &str) -> Response<ResponseBody> {
    let (Scope::Service(name) | Scope::Target(name)) = scope;
    // It comes from an unverified header: only what a name may have is repeated.
    let name: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(40).collect();
    let message = format!("The service {name} is not implemented by this server.");
    if XML.contains(&name.as_str()) {
        let body = format!(
            "<ErrorResponse><Error><Type>Receiver</Type><Code>NotImplemented</Code>\
             <Message>{message}</Message></Error><RequestId>{request_id}</RequestId>\
             </ErrorResponse>"
        );
        return respond(StatusCode::NOT_IMPLEMENTED, "text/xml", body);
    }
    let body = format!(
        "{{\"__type\":\"NotImplementedException\",\"message\":\"{message}\",\
         \"Message\":\"{message}\"}}"
    );
    let mut response = respond(StatusCode::NOT_IMPLEMENTED, "application/x-amz-json-1.1", body);
    response
        .headers_mut()
        .insert("x-amzn-errortype", HeaderValue::from_static("NotImplementedException"));
    response
}

/// An S3 error that the edge itself answers with.
pub(crate) fn s3_error(
    status: StatusCode,
    code: &str,
    message: &str,
    request_id: &str,
) -> Response<ResponseBody> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code>\
         <Message>{message}</Message><RequestId>{request_id}</RequestId>\
         <HostId>{request_id}</HostId></Error>"
    );
    respond(status, "application/xml", body)
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
