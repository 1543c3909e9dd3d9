//! Who may read the admin JSON: whoever presents the token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::Response,
};
use subtle::ConstantTimeEq;

use crate::answer;

/// The token. An empty one fits nothing.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    pub(crate) fn new(token: &str) -> Self {
        Self(token.into())
    }

    /// Whether `Authorization: Bearer <token>` holds this token. Takes the same time wherever
    /// the first difference is.
    fn accepts(&self, authorization: Option<&HeaderValue>) -> bool {
        let bytes = authorization.map_or(&[][..], HeaderValue::as_bytes);
        match bytes.split_first_chunk::<7>() {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                !self.0.is_empty() && bool::from(given.ct_eq(self.0.as_bytes()))
            }
            _ => false,
        }
    }
}

/// Lets a request with the token through; 401 for all others.
pub(crate) async fn require(State(token): State<Token>, request: Request, next: Next) -> Response {
    if token.accepts(request.headers().get(header::AUTHORIZATION)) {
        return next.run(request).await;
    }
    let message = "send the admin token: Authorization: Bearer TOKEN";
    let mut response = answer::error(StatusCode::UNAUTHORIZED, "Unauthorized", message);
    let challenge = HeaderValue::from_static("Bearer realm=\"shardlake admin\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}
