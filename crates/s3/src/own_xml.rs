//! Answers whose XML has another order than the library's types can hold: the operation writes
//! the document itself, and the service puts it in place of the library's.

use bytes::Bytes;
use http::Response;
use s3s::{
    S3Error, S3Response, S3Result,
    xml::{SerResult, Serializer},
};

use crate::response::{ResponseBody, full};

/// The namespace of every S3 document.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// The document of an answer, in its extensions.
#[derive(Clone)]
struct OwnXml(Bytes);

/// An answer with this document: its root element and what stands in it.
pub(crate) fn respond<T: Default>(
    root: &str,
    content: impl FnOnce(&mut Serializer<&mut Vec<u8>>) -> SerResult,
) -> S3Result<S3Response<T>> {
    let mut document = Vec::new();
    let mut serializer = Serializer::new(&mut document);
    serializer
        .decl()
        .and_then(|()| serializer.element_with_ns(root, NAMESPACE, content))
        .map_err(S3Error::internal_error)?;
    let mut response = S3Response::new(T::default());
    response.extensions.insert(OwnXml(document.into()));
    Ok(response)
}

/// The response with its own document, if it has one.
pub(crate) fn put_in_place(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    match response.extensions_mut().remove::<OwnXml>() {
        Some(OwnXml(document)) => response.map(|_| full(document)),
        None => response,
    }
}
