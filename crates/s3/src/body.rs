//! The body of a PUT, part or copy, as the object layer reads it: counted, hashed, and
//! compared with everything that was declared about it before anything is committed.

use std::ops::RangeInclusive;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use http::HeaderMap;
use objects::{BodyDigests, BodyError, ObjectBody};
use s3s::{
    S3Error, S3ErrorCode, S3Result, TrailingHeaders,
    dto::StreamingBlob,
    stream::{aws_chunked_stream::AwsChunkedStreamError, upload_stream::UploadStreamError},
};
use types::{Checksum, ChecksumAlgorithm};

use crate::{
    checksum::{self, Declared},
    errors::{self, CONTENT_MD5, PAYLOAD_SHA256},
    hashing::Hashing,
};

/// A body that checks itself.
pub(crate) struct CheckedBody {
    source: BoxStream<'static, Result<Bytes, BodyError>>,
    /// More or fewer bytes are an error.
    length: Length,
    received_bytes: u64,
    hashing: Hashing,
    content_md5: Option<[u8; 16]>,
    declared: Declared,
    trailers: Option<TrailingHeaders>,
    /// Set when the source has ended or failed.
    outcome: Option<Result<BodyDigests, BodyError>>,
}

/// How many bytes must come.
enum Length {
    /// As many as were declared.
    Declared(u64),
    /// What a form's policy allows: least, most, and an upper bound of what can come at all.
    Between(RangeInclusive<u64>, u64),
}

impl Length {
    fn check(&self, received: u64, ended: bool) -> Result<(), BodyError> {
        let size = |code: &str, message: &str| BodyError::Protocol {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        match self {
            Self::Declared(declared) if received > *declared => {
                Err(BodyError::Incomplete(format!("more than {declared} bytes came")))
            }
            Self::Declared(declared) if ended && received < *declared => {
                Err(BodyError::Incomplete(format!("{received} of {declared} bytes came")))
            }
            Self::Between(allowed, _) if received > *allowed.end() => {
                Err(size("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size"))
            }
            Self::Between(allowed, _) if ended && received < *allowed.start() => Err(size(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
            )),
            _ => Ok(()),
        }
    }

    /// What buffers are sized by.
    fn most(&self) -> u64 {
        match self {
            Self::Declared(declared) => *declared,
            Self::Between(allowed, possible) => *allowed.end().min(possible),
        }
    }
}

/// What a request says about its body.
pub(crate) struct BodyClaims {
    declared_bytes: u64,
    content_md5: Option<[u8; 16]>,
    declared: Declared,
}

impl BodyClaims {
    /// Reads the claims from headers, where `content_length` counts the bytes of the
    /// object (after `aws-chunked` was taken off). Refuses what cannot be right.
    pub(crate) fn of(
        headers: &HeaderMap,
        content_length: Option<i64>,
        bytes_max: u64,
    ) -> S3Result<Self> {
        let declared_bytes = content_length
            .and_then(|length| u64::try_from(length).ok())
            .ok_or_else(|| S3Error::new(S3ErrorCode::MissingContentLength))?;
        if declared_bytes > bytes_max {
            return Err(errors::from_body(BodyError::TooLarge { limit_bytes: bytes_max }));
        }
        Ok(Self {
            declared_bytes,
            content_md5: content_md5(headers)?,
            declared: Declared::of(headers)?,
        })
    }

    /// The algorithm of the declared checksum.
    pub(crate) fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        self.declared.algorithm()
    }
}

/// The value of `Content-MD5`, if there is one.
pub(crate) fn content_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let md5 = STANDARD.decode(value.as_bytes().trim_ascii()).ok();
    md5.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(Some).ok_or_else(|| {
        S3Error::with_message(
            S3ErrorCode::InvalidDigest,
            "The Content-MD5 you specified is not valid: it is the base64 form of 16 bytes.",
        )
    })
}

impl CheckedBody {
    /// The body of a request. `algorithm` is computed if the request declares none.
    pub(crate) fn of_request(
        blob: Option<StreamingBlob>,
        claims: BodyClaims,
        trailers: Option<TrailingHeaders>,
        algorithm: ChecksumAlgorithm,
    ) -> Self {
        let source = match blob {
            Some(blob) => {
                blob.map(|frame| frame.map_err(|error| source_error(error.as_ref()))).boxed()
            }
            None => futures::stream::empty().boxed(),
        };
        Self {
            source,
            length: Length::Declared(claims.declared_bytes),
            received_bytes: 0,
            hashing: Hashing::new(Some(claims.algorithm().unwrap_or(algorithm))),
            content_md5: claims.content_md5,
            declared: claims.declared,
            trailers,
            outcome: None,
        }
    }

    /// The bytes of an object that is being copied.
    pub(crate) fn of_copy(
        stream: BoxStream<'static, Result<Bytes, objects::Error>>,
        bytes: u64,
        algorithm: ChecksumAlgorithm,
    ) -> Self {
        let source = stream
            .map(|frame| frame.map_err(|error| errors::into_body(&errors::from_objects(error))))
            .boxed();
        Self {
            source,
            length: Length::Declared(bytes),
            received_bytes: 0,
            hashing: Hashing::new(Some(algorithm)),
            content_md5: None,
            declared: Declared::Nothing,
            trailers: None,
            outcome: None,
        }
    }

    /// The file of an HTML form, whose other fields are `headers`. `possible` bounds what can
    /// come.
    pub(crate) fn of_form(
        source: BoxStream<'static, Result<Bytes, BodyError>>,
        allowed: RangeInclusive<u64>,
        possible: u64,
        headers: &HeaderMap,
    ) -> S3Result<Self> {
        let declared = Declared::of(headers)?;
        Ok(Self {
            source,
            length: Length::Between(allowed, possible),
            received_bytes: 0,
            hashing: Hashing::new(Some(declared.algorithm().unwrap_or(checksum::DEFAULT))),
            content_md5: content_md5(headers)?,
            declared,
            trailers: None,
            outcome: None,
        })
    }

    /// One frame, or the verdict at the end.
    async fn step(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.source.next().await {
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => {
                    self.received_bytes += bytes.len() as u64;
                    self.length.check(self.received_bytes, false)?;
                    self.hashing.update(bytes.clone()).await?;
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => return Err(error),
                None => {
                    self.length.check(self.received_bytes, true)?;
                    return Ok(None);
                }
            }
        }
    }

    async fn verdict(&mut self) -> Result<BodyDigests, BodyError> {
        let (md5, checksum) = self.hashing.finish().await?;
        if self.content_md5.is_some_and(|declared| declared != md5) {
            return Err(BodyError::Mismatch { algorithm: CONTENT_MD5 });
        }
        if let Some(declared) = self.declared_checksum()?
            && checksum.as_ref() != Some(&declared)
        {
            return Err(BodyError::Mismatch { algorithm: checksum::name(declared.algorithm) });
        }
        Ok(BodyDigests { md5, checksum })
    }

    /// The value from the header, or from the trailer that has arrived by now.
    fn declared_checksum(&self) -> Result<Option<Checksum>, BodyError> {
        let malformed = |message: String| BodyError::Protocol {
            code: "MalformedTrailerError".to_owned(),
            message,
        };
        // Trailers are signed or come with an unsigned body; either way they must say what
        // the header announced, and nothing else about the content.
        let mut sent = None;
        if let Some(trailers) = &self.trailers {
            trailers.read(|trailers| {
                sent = checksum::ALL.into_iter().find_map(|algorithm| {
                    let value = trailers.get(checksum::header(algorithm))?;
                    Some((algorithm, value.to_str().unwrap_or_default().to_owned()))
                });
            });
        }
        match (&self.declared, sent) {
            (Declared::Value(_), Some(_)) | (Declared::Nothing, Some(_)) => Err(malformed(
                "A trailing checksum came that x-amz-trailer did not announce.".into(),
            )),
            (Declared::Value(checksum), None) => Ok(Some(checksum.clone())),
            (Declared::Nothing, None) => Ok(None),
            (Declared::Trailer(algorithm), Some((found, text))) if *algorithm == found => {
                checksum::decode(found, &text).map(Some).map_err(|error| errors::into_body(&error))
            }
            (Declared::Trailer(algorithm), _) => Err(malformed(format!(
                "The request announced the trailer {}, which did not come.",
                checksum::header(*algorithm)
            ))),
        }
    }
}

#[async_trait]
impl ObjectBody for CheckedBody {
    fn size_hint(&self) -> Option<u64> {
        Some(self.length.most())
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if let Some(outcome) = &self.outcome {
            return outcome.clone().err().map(Err);
        }
        match self.step().await {
            Ok(Some(bytes)) => Some(Ok(bytes)),
            Ok(None) => {
                self.outcome = Some(self.verdict().await);
                None
            }
            Err(error) => {
                self.outcome = Some(Err(error.clone()));
                Some(Err(error))
            }
        }
    }

    fn finish(&mut self) -> Result<BodyDigests, BodyError> {
        let unread = || BodyError::Incomplete("it was not read to its end".to_owned());
        self.outcome.clone().unwrap_or_else(|| Err(unread()))
    }
}

/// What s3s or the connection says about a body that broke.
fn source_error(error: &(dyn std::error::Error + 'static)) -> BodyError {
    let protocol = |code: &str, message: &str| BodyError::Protocol {
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<UploadStreamError>() {
            match error {
                UploadStreamError::Sha256Mismatch => {
                    return BodyError::Mismatch { algorithm: PAYLOAD_SHA256 };
                }
                UploadStreamError::LengthMismatch => {
                    return BodyError::Incomplete("more bytes came than declared".to_owned());
                }
                UploadStreamError::Incomplete => {
                    return BodyError::Incomplete("fewer bytes came than declared".to_owned());
                }
                UploadStreamError::Underlying(_) => {}
            }
        }
        if let Some(error) = error.downcast_ref::<AwsChunkedStreamError>() {
            match error {
                AwsChunkedStreamError::SignatureMismatch => {
                    return protocol(
                        "SignatureDoesNotMatch",
                        "The signature of a chunk or trailer does not match the content: check \
                         your key and signing method.",
                    );
                }
                AwsChunkedStreamError::ChunkMetaTooLarge(..)
                | AwsChunkedStreamError::ChunkDataTooLarge(..) => {
                    return protocol(
                        "EntityTooLarge",
                        "A chunk of the aws-chunked body is larger than this server accepts: send \
                         smaller chunks.",
                    );
                }
                AwsChunkedStreamError::TrailersTooLarge(..)
                | AwsChunkedStreamError::TooManyTrailerHeaders(..) => {
                    return protocol(
                        "MalformedTrailerError",
                        "The request's trailers are too large.",
                    );
                }
                AwsChunkedStreamError::FormatError => {
                    return BodyError::Incomplete(
                        "the aws-chunked encoding is malformed".to_owned(),
                    );
                }
                AwsChunkedStreamError::Incomplete => {
                    return BodyError::Incomplete("fewer bytes came than declared".to_owned());
                }
                AwsChunkedStreamError::LengthMismatch => {
                    return BodyError::Incomplete("more bytes came than declared".to_owned());
                }
                AwsChunkedStreamError::Underlying(_) => {}
            }
        }
        cause = error.source();
    }
    BodyError::Incomplete(error.to_string())
}

#[cfg(test)]
mod tests;
