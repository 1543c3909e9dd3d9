//! Where the bytes of a PUT come from.

use async_trait::async_trait;
use bytes::Bytes;
use types::Checksum;

/// Why a body ended early. The object layer passes it through and stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The client went away or sent fewer bytes than it declared.
    #[error("the body ended before its declared length: {0}")]
    Incomplete(String),
    /// More bytes than allowed for one PUT or part.
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Content-MD5, a checksum header or trailer, or a payload hash does not match.
    #[error("{algorithm} of the body does not match what was declared")]
    Mismatch {
        /// Which one.
        algorithm: &'static str,
    },
    /// A malformed or unauthentic stream, as the protocol layer explains.
    #[error("{message}")]
    Protocol {
        /// The protocol's error code.
        code: String,
        /// One sentence.
        message: String,
    },
}

/// What was computed over a body that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDigests {
    /// The entity tag's MD5.
    pub md5: [u8; 16],
    /// The checksum to store, if the client sent or asked for one.
    pub checksum: Option<Checksum>,
}

/// A stream of bytes that checks itself.
#[async_trait]
pub trait ObjectBody: Send {
    /// Bytes in total if they are known beforehand.
    fn size_hint(&self) -> Option<u64>;

    /// The next bytes; `None` at the end. Frames may be of any length.
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>>;

    /// After the end: verifies everything that was declared about the body. The object
    /// layer calls it before it commits.
    fn finish(&mut self) -> Result<BodyDigests, BodyError>;
}

/// A body that is in memory already: tests, the smaller internal writes.
pub struct MemoryBody {
    bytes: Option<Bytes>,
    size: u64,
    md5: [u8; 16],
}

impl MemoryBody {
    /// The body with these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        use md5::Digest;
        let bytes = bytes.into();
        Self { size: bytes.len() as u64, md5: md5::Md5::digest(&bytes).into(), bytes: Some(bytes) }
    }
}

#[async_trait]
impl ObjectBody for MemoryBody {
    fn size_hint(&self) -> Option<u64> {
        Some(self.size)
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.bytes.take().map(Ok)
    }

    fn finish(&mut self) -> Result<BodyDigests, BodyError> {
        Ok(BodyDigests { md5: self.md5, checksum: None })
    }
}
