//! Signed `aws-chunked` bodies end with an empty chunk, whose signature says that nothing was
//! cut off. s3s takes a body that ends without one once its declared bytes have come; AWS
//! answers `IncompleteBody`.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use s3s::StdError;

/// Whether the body is in signed chunks.
pub(crate) fn is_expected(headers: &HeaderMap) -> bool {
    headers
        .get("x-amz-content-sha256")
        .is_some_and(|it| it.as_bytes().starts_with(b"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"))
}

/// A place in the encoding. Only sizes are read: s3s judges everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In a line `SIZE;chunk-signature=..`: its size so far, and whether all of it was read.
    Line { size: u64, read: bool },
    /// So many bytes before the next line.
    Data(u64),
    /// Past the line of the empty chunk.
    Last,
}

const LINE: At = At::Line { size: 0, read: false };

impl At {
    fn after(mut self, mut bytes: &[u8]) -> Self {
        while let Some((byte, rest)) = bytes.split_first() {
            match &mut self {
                Self::Last => return self,
                Self::Data(left) => {
                    let skipped = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= skipped as u64;
                    bytes = &bytes[skipped..];
                    if *left == 0 {
                        self = LINE;
                    }
                    continue;
                }
                Self::Line { size: 0, .. } if *byte == b'\n' => self = Self::Last,
                // The data ends with CR LF.
                Self::Line { size, .. } if *byte == b'\n' => {
                    self = Self::Data(size.saturating_add(2))
                }
                Self::Line { size, read: read @ false } => match char::from(*byte).to_digit(16) {
                    Some(digit) => *size = size.saturating_mul(16).saturating_add(digit.into()),
                    None => *read = true,
                },
                Self::Line { .. } => {}
            }
            bytes = rest;
        }
        self
    }
}

/// A body that fails at its end if no empty chunk came.
pub(crate) struct LastChunk<B> {
    inner: Pin<Box<B>>,
    at: At,
}

impl<B> LastChunk<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self { inner: Box::pin(inner), at: LINE }
    }
}

impl<B> Body for LastChunk<B>
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
                if let Some(bytes) = frame.data_ref() {
                    self.at = self.at.after(bytes);
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => Some(Err(error.into())),
            None if self.at == At::Last => None,
            None => Some(Err("the body ended without its last, empty chunk".into())),
        })
    }

    // No `is_end_stream` of the inner body: the verdict comes after its last byte.

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_chunk_is_found_however_the_bytes_are_cut() {
        let signed = |size: &str, data: &str| format!("{size};chunk-signature=ab0\r\n{data}\r\n");
        let data = signed("1A", "0;chunk-signature=ab0\r\n01\r");
        for (body, whole) in [
            (signed("0", ""), true),
            (format!("{data}{}", signed("0", "")), true),
            (format!("{data}{}x-amz-checksum-crc32:AAAAAA==\r\n", signed("0", "")), true),
            (data.clone(), false),
            (format!("{data}{data}"), false),
            (format!("{data}0;chunk-sign"), false),
            (String::new(), false),
            ("ffffffffffffffffffff;x\r\n0\r\n".to_owned(), false),
        ] {
            for step in [1, 2, 7, 1000] {
                let at = body.as_bytes().chunks(step).fold(LINE, At::after);
                assert_eq!(at == At::Last, whole, "{step}: {body:?}");
            }
        }
    }
}
