//! XML bodies (a delete list, a completion, a bucket configuration): their digests, and elements
//! that do not belong into them.
//!
//! s3s parses those bodies and tells nobody what it skipped, so they are verified on their way to
//! it: the body fails at its end, and the service answers with the reason kept here.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use md5::Md5;
use objects::BodyError;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError};
use sha2::{Digest, Sha256};

use crate::{
    body::content_md5,
    checksum::{self, Declared, Hasher},
    errors::{self, CONTENT_MD5, PAYLOAD_SHA256},
    known_xml,
};

/// Why the body was refused, for whoever answers.
#[derive(Clone, Default)]
pub(crate) struct Refusal(Arc<Mutex<Option<S3Error>>>);

impl Refusal {
    pub(crate) fn take(&self) -> Option<S3Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: S3Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// What was declared about the bytes, and their running digests.
struct Checks {
    md5: Option<([u8; 16], Md5)>,
    sha256: Option<(Vec<u8>, Sha256)>,
    checksum: Option<(types::Checksum, Hasher)>,
}

impl Checks {
    /// `with_checksum`: whether `x-amz-checksum-*` is about this body. On a completion it is
    /// about the object.
    fn of(headers: &HeaderMap, with_checksum: bool) -> S3Result<Self> {
        let sha256 = headers
            .get("x-amz-content-sha256")
            .and_then(|value| hex::decode(value.as_bytes()).ok())
            .map(|declared| (declared, Sha256::new()));
        let declared = if with_checksum { Declared::of(headers)? } else { Declared::Nothing };
        Ok(Self {
            md5: content_md5(headers)?.map(|declared| (declared, Md5::new())),
            sha256,
            checksum: match declared {
                Declared::Value(checksum) => {
                    let hasher = Hasher::new(checksum.algorithm);
                    Some((checksum, hasher))
                }
                _ => None,
            },
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some((_, md5)) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some((_, sha256)) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some((_, checksum)) = &mut self.checksum {
            checksum.update(bytes);
        }
    }

    fn verdict(self) -> Result<(), BodyError> {
        let mismatch = |algorithm| Err(BodyError::Mismatch { algorithm });
        if let Some((declared, sha256)) = self.sha256
            && sha256.finalize().as_slice() != declared.as_slice()
        {
            return mismatch(PAYLOAD_SHA256);
        }
        if let Some((declared, md5)) = self.md5
            && md5.finalize().as_slice() != declared.as_slice()
        {
            return mismatch(CONTENT_MD5);
        }
        if let Some((declared, checksum)) = self.checksum
            && checksum.finish() != declared
        {
            return mismatch(checksum::name(declared.algorithm));
        }
        Ok(())
    }
}

/// A body that fails at its end if a digest does not match.
pub(crate) struct CheckedXml<B> {
    inner: Pin<Box<B>>,
    checks: Option<Checks>,
    /// What came so far. The library stops at the bound of its own copy (`xml_bytes_max`).
    document: Vec<u8>,
    refusal: Refusal,
}

impl<B> CheckedXml<B> {
    /// Refuses malformed declarations at once.
    pub(crate) fn new(
        inner: B,
        headers: &HeaderMap,
        with_checksum: bool,
        refusal: Refusal,
    ) -> S3Result<Self> {
        let checks = Some(Checks::of(headers, with_checksum)?);
        Ok(Self { inner: Box::pin(inner), checks, document: Vec::new(), refusal })
    }
}

impl<B> Body for CheckedXml<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let item = std::task::ready!(self.inner.as_mut().poll_frame(context));
        Poll::Ready(match item {
            Some(Ok(frame)) => {
                let this = &mut *self;
                if let (Some(checks), Some(bytes)) = (&mut this.checks, frame.data_ref()) {
                    checks.update(bytes);
                    this.document.extend_from_slice(bytes);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                let error = error.into();
                let reason = BodyError::Incomplete(error.to_string());
                self.refusal.set(errors::from_body(reason));
                Some(Err(error))
            }
            None => match self.checks.take().map(Checks::verdict) {
                Some(Err(error)) => {
                    self.refusal.set(errors::from_body(error.clone()));
                    Some(Err(Box::new(error)))
                }
                Some(Ok(())) => match known_xml::unknown_element(&self.document) {
                    Some(name) => {
                        let message = format!(
                            "The XML you provided was not well-formed or did not validate against \
                             our published schema: it has an element {name:?} that does not belong \
                             there."
                        );
                        self.refusal
                            .set(S3Error::with_message(S3ErrorCode::MalformedXML, message.clone()));
                        Some(Err(message.into()))
                    }
                    None => None,
                },
                None => None,
            },
        })
    }

    // No `is_end_stream` of the inner body: the verdict comes after its last byte.

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
