//! Lengths, digests and trailers of bodies that come from memory.

use http::HeaderValue;
use s3s::StdError;

use super::*;

const LIMIT: u64 = 1 << 20;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).expect("printable"));
    }
    headers
}

async fn read(
    pairs: &[(&'static str, &str)],
    length: i64,
    frames: Vec<Result<&'static [u8], StdError>>,
) -> Result<(Vec<u8>, BodyDigests), BodyError> {
    let claims = BodyClaims::of(&headers(pairs), Some(length), LIMIT)
        .map_err(|error| errors::into_body(&error))?;
    let mut body = CheckedBody::of_request(None, claims, None, checksum::DEFAULT);
    body.source = futures::stream::iter(frames)
        .map(|frame| frame.map(Bytes::from_static).map_err(|error| source_error(error.as_ref())))
        .boxed();
    assert!(body.finish().is_err(), "a body that was not read has no digests");
    let mut bytes = Vec::new();
    while let Some(frame) = body.next().await {
        bytes.extend_from_slice(&frame?);
    }
    assert!(body.next().await.is_none_or(|frame| frame.is_err()));
    body.finish().map(|digests| (bytes, digests))
}

#[tokio::test]
async fn a_good_body_has_its_digests() {
    let (bytes, digests) =
        read(&[], 9, vec![Ok(b"12345"), Ok(b""), Ok(b"6789")]).await.expect("a good body");
    assert_eq!(bytes, b"123456789");
    assert_eq!(hex::encode(digests.md5), "25f9e794323b453885f5181f1b624d0b");
    let checksum = digests.checksum.expect("the default one");
    assert_eq!(checksum.algorithm, ChecksumAlgorithm::Crc64Nvme);
    assert_eq!(hex::encode(checksum.value), "ae8b14860a799888");
    read(&[("content-md5", "JfnnlDI7RTiF9RgfG2JNCw==")], 9, vec![Ok(b"123456789")])
        .await
        .expect("the right MD5");
    read(&[("x-amz-checksum-crc32", "y/Q5Jg==")], 9, vec![Ok(b"123456789")])
        .await
        .expect("the right checksum");
}

#[tokio::test]
async fn lengths_are_exact() {
    for (length, frames) in [
        (10, vec![Ok(&b"123456789"[..])]),
        (8, vec![Ok(&b"123456789"[..])]),
        (8, vec![Ok(&b"12345678"[..]), Ok(&b"9"[..])]),
        (0, vec![Ok(&b"1"[..])]),
    ] {
        let error = read(&[], length, frames).await.expect_err("refused");
        assert!(matches!(error, BodyError::Incomplete(_)), "{error:?}");
    }
    let error = read(&[], 1 << 21, vec![]).await.expect_err("refused");
    assert_eq!(errors::from_body(error).code(), &S3ErrorCode::EntityTooLarge);
    let Err(error) = BodyClaims::of(&HeaderMap::new(), None, LIMIT) else { panic!("refused") };
    assert_eq!(error.code(), &S3ErrorCode::MissingContentLength);
}

#[tokio::test]
async fn wrong_digests_are_refused() {
    for (name, value, code) in [
        ("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==", "BadDigest"),
        ("content-md5", "AAAA", "InvalidDigest"),
        ("content-md5", "not base64", "InvalidDigest"),
        ("x-amz-checksum-crc32", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-crc32", "AAAA", "InvalidRequest"),
    ] {
        let error = read(&[(name, value)], 1, vec![Ok(b"x")]).await.expect_err("refused");
        assert_eq!(errors::from_body(error).code().as_str(), code, "{name}: {value}");
    }
    // Announced, but there are no trailers.
    let error = read(&[("x-amz-trailer", "x-amz-checksum-crc32")], 1, vec![Ok(b"x")])
        .await
        .expect_err("refused");
    assert_eq!(errors::from_body(error).code().as_str(), "MalformedTrailerError");
}

#[tokio::test]
async fn broken_streams_say_why() {
    for (error, code) in [
        (Box::new(UploadStreamError::Sha256Mismatch) as StdError, "XAmzContentSHA256Mismatch"),
        (Box::new(UploadStreamError::Incomplete), "IncompleteBody"),
        (Box::new(AwsChunkedStreamError::SignatureMismatch), "SignatureDoesNotMatch"),
        (
            Box::new(AwsChunkedStreamError::Underlying(Box::new(
                AwsChunkedStreamError::ChunkMetaTooLarge(2000, 1024),
            ))),
            "EntityTooLarge",
        ),
        (Box::new(AwsChunkedStreamError::FormatError), "IncompleteBody"),
        (Box::new(std::io::Error::other("connection reset")), "IncompleteBody"),
    ] {
        let error = read(&[], 2, vec![Ok(b"x"), Err(error)]).await.expect_err("refused");
        assert_eq!(errors::from_body(error).code().as_str(), code);
    }
}

#[tokio::test]
async fn the_file_of_a_form_has_a_size_between_bounds() {
    for (bytes, expected) in
        [(4, Some("EntityTooSmall")), (5, None), (10, None), (11, Some("EntityTooLarge"))]
    {
        let frames: Vec<_> = vec![Ok(Bytes::from_static(b"x")); bytes];
        let source = futures::stream::iter(frames).boxed();
        let mut body =
            CheckedBody::of_form(source, 5..=10, 100, &HeaderMap::new()).expect("no claims");
        assert_eq!(body.size_hint(), Some(10));
        let mut refused = None;
        while let Some(frame) = body.next().await {
            if let Err(error) = frame {
                refused = Some(errors::from_body(error).code().as_str().to_owned());
                break;
            }
        }
        let refused = refused.or_else(|| {
            let error = body.finish().err()?;
            Some(errors::from_body(error).code().as_str().to_owned())
        });
        assert_eq!(refused.as_deref(), expected, "{bytes}");
    }
    let source = futures::stream::empty().boxed();
    let body = CheckedBody::of_form(source, 0..=1 << 40, 7, &HeaderMap::new()).expect("no claims");
    assert_eq!(body.size_hint(), Some(7), "no more than the request has");
}
