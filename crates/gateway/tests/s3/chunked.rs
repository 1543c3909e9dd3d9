//! `aws-chunked` bodies, signed and unsigned, with and without trailers; short bodies.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    raw::{Answer, Signer, send, sha256},
    support::{BUCKET, Server, content, server},
};

/// CRC-32 of "123456789", which the catalogues list.
const CRC32: [u8; 4] = 0xcbf4_3926_u32.to_be_bytes();
const DIGITS: &[u8] = b"123456789";

/// How a request is spoilt.
#[derive(Clone, Copy, PartialEq)]
enum Spoil {
    No,
    Chunk,
    Trailer,
    TrailerSignature,
    NoTrailer,
    NoLastChunk,
    Length(i64),
    Short,
}

async fn unsigned(server: &Server, spoil: Spoil) -> Answer {
    let declared = match spoil {
        Spoil::Length(change) => DIGITS.len() as i64 + change,
        _ => DIGITS.len() as i64,
    };
    let mut body = b"4\r\n1234\r\n5\r\n56789\r\n0\r\n".to_vec();
    let value = if spoil == Spoil::Trailer { [1, 2, 3, 4] } else { CRC32 };
    if spoil != Spoil::NoTrailer {
        body.extend(format!("x-amz-checksum-crc32:{}\r\n", STANDARD.encode(value)).bytes());
    }
    body.extend(b"\r\n");
    let declared = declared.to_string();
    let extra = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", declared.as_str()),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    let signer = Signer::new(0, "s3");
    let path = format!("/{BUCKET}/chunked");
    let (head, _) = signer.head("PUT", &path, "", &extra, "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let length = body.len();
    if spoil == Spoil::Short {
        body.truncate(8);
    }
    let request = [format!("{head}content-length: {length}\r\n\r\n").into_bytes(), body].concat();
    send(server.address, &request, spoil == Spoil::Short).await
}

async fn signed(server: &Server, bytes: &[u8], trailer: bool, spoil: Spoil) -> Answer {
    let decoded = bytes.len().to_string();
    let mut extra = vec![
        ("content-encoding", "gzip,aws-chunked"),
        ("x-amz-decoded-content-length", decoded.as_str()),
    ];
    let payload = if trailer {
        extra.push(("x-amz-trailer", "x-amz-checksum-crc32"));
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    } else {
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    };
    let signer = Signer::new(0, "s3");
    let path = format!("/{BUCKET}/chunked");
    let (head, mut signature) = signer.head("PUT", &path, "", &extra, payload);
    let mut body = Vec::new();
    let chunks = bytes.chunks(64 << 10).chain([&[][..]]);
    for chunk in chunks.filter(|chunk| !chunk.is_empty() || spoil != Spoil::NoLastChunk) {
        signature = signer.chunk(&signature, chunk);
        body.extend(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).bytes());
        body.extend(chunk);
        if !chunk.is_empty() || !trailer {
            body.extend(b"\r\n");
        }
    }
    if trailer {
        let value = STANDARD.encode(if spoil == Spoil::Trailer { [1; 4] } else { CRC32 });
        let signed = format!("x-amz-checksum-crc32:{value}\n");
        let mut signature = signer.trailer(&signature, &signed);
        if spoil == Spoil::TrailerSignature {
            signature = sha256(b"wrong");
        }
        body.extend(
            format!("x-amz-checksum-crc32:{value}\r\nx-amz-trailer-signature:{signature}\r\n\r\n")
                .bytes(),
        );
    }
    if spoil == Spoil::Chunk {
        let at = body.windows(2).position(|two| two == b"\r\n").expect("a chunk") + 2;
        body[at] ^= 1;
    }
    let request =
        [format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    send(server.address, &request, false).await
}

#[tokio::test]
async fn unsigned_chunks_with_trailer() {
    let server = server().await;
    let answer = unsigned(&server, Spoil::No).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-amz-checksum-crc32"), Some("y/Q5Jg=="));
    assert_eq!(server.get("chunked").await, DIGITS);
    let head = server.client.head_object().bucket(BUCKET).key("chunked").send().await;
    assert_eq!(head.expect("there").content_encoding(), None, "aws-chunked is not stored");
    server.client.delete_object().bucket(BUCKET).key("chunked").send().await.expect("deleted");
    for (spoil, code) in [
        (Spoil::Trailer, "BadDigest"),
        (Spoil::NoTrailer, "MalformedTrailerError"),
        (Spoil::Length(1), "IncompleteBody"),
        (Spoil::Length(-1), "IncompleteBody"),
        (Spoil::Short, "IncompleteBody"),
    ] {
        let answer = unsigned(&server, spoil).await;
        assert_eq!((answer.status, answer.code()), (400, code.into()), "{}", answer.text());
    }
    let left = server.client.list_objects_v2().bucket(BUCKET).send().await.expect("listed");
    assert!(left.contents().is_empty(), "nothing half-written");
}

#[tokio::test]
async fn signed_chunks() {
    let server = server().await;
    let bytes = content(300_000);
    let answer = signed(&server, &bytes, false, Spoil::No).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(server.get("chunked").await == bytes);
    let head = server.client.head_object().bucket(BUCKET).key("chunked").send().await;
    assert_eq!(head.expect("there").content_encoding(), Some("gzip"));
    let answer = signed(&server, DIGITS, true, Spoil::No).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.get("chunked").await, DIGITS);
    for (trailer, spoil, code) in [
        (false, Spoil::Chunk, "SignatureDoesNotMatch"),
        (true, Spoil::Trailer, "BadDigest"),
        (true, Spoil::TrailerSignature, "SignatureDoesNotMatch"),
        (false, Spoil::NoLastChunk, "IncompleteBody"),
    ] {
        let answer = signed(&server, DIGITS, trailer, spoil).await;
        assert_eq!(answer.code(), code, "{}", answer.text());
    }
    assert_eq!(server.get("chunked").await, DIGITS);
}

#[tokio::test]
async fn plain_bodies_that_are_not_what_was_declared() {
    let server = server().await;
    let path = format!("/{BUCKET}/plain");
    let signer = Signer::new(0, "s3");
    let (head, _) = signer.head("PUT", &path, "", &[], &sha256(b"abc"));
    let request = format!("{head}content-length: 3\r\n\r\nabd");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (400, "XAmzContentSHA256Mismatch".into()));
    let (head, _) = signer.head("PUT", &path, "", &[], "UNSIGNED-PAYLOAD");
    let request = format!("{head}content-length: 10\r\n\r\nabc");
    let answer = send(server.address, request.as_bytes(), true).await;
    assert_eq!((answer.status, answer.code()), (400, "IncompleteBody".into()));
    let request = format!("{head}content-length: 6000000000\r\n\r\n");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (400, "EntityTooLarge".into()));
    let request = format!("{head}transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (411, "MissingContentLength".into()));
    let left = server.client.list_objects_v2().bucket(BUCKET).send().await.expect("listed");
    assert!(left.contents().is_empty(), "nothing half-written");
}
