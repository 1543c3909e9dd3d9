//! Every checksum algorithm: as header and trailer, stored, shown, copied, of parts.

use crate::{
    raw::{self, Answer, Signer, send},
    support::{BUCKET, Server, server},
};

const DIGITS: &[u8] = b"123456789";

/// Checksums of `123456789`: the CRC catalogue's check values; hashlib of Python 3.11; the
/// reference implementation of xxHash, 0.8.4.
const GOLDEN: [(&str, &str); 10] = [
    ("CRC32", "y/Q5Jg=="),
    ("CRC32C", "4waSgw=="),
    ("CRC64NVME", "rosUhgp5mIg="),
    ("SHA1", "98O8HYCOBHMq32eZZczDTKeuNEE="),
    ("SHA256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    (
        "SHA512",
        "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==",
    ),
    ("MD5", "JfnnlDI7RTiF9RgfG2JNCw=="),
    ("XXHASH64", "jLhB20DmroM="),
    ("XXHASH3", "ctyxi2ehff8="),
    ("XXHASH128", "MxGUd+3l3NXpcWQnaB1YYA=="),
];

fn header(algorithm: &str) -> String {
    format!("x-amz-checksum-{}", algorithm.to_ascii_lowercase())
}

/// The text between `<name>` and `</name>`.
fn element(answer: &Answer, name: &str) -> Option<String> {
    let text = answer.text();
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.to_owned())
}

async fn call(
    server: &Server,
    method: &str,
    key: &str,
    query: &str,
    extra: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    raw::call(server.address, method, &format!("/{BUCKET}/{key}"), query, extra, body).await
}

async fn trailing(server: &Server, key: &str, name: &str, value: &str) -> Answer {
    let mut body = b"9\r\n123456789\r\n0\r\n".to_vec();
    body.extend(format!("{name}:{value}\r\n\r\n").bytes());
    let extra = [
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "9"),
        ("x-amz-trailer", name),
    ];
    let path = format!("/{BUCKET}/{key}");
    let payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    let (head, _) = Signer::new(0, "s3").head("PUT", &path, "", &extra, payload);
    let request =
        [format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes(), body].concat();
    send(server.address, &request, false).await
}

#[tokio::test]
async fn sent_stored_and_shown() {
    let server = server().await;
    let other = |value: &str| {
        if value.starts_with('A') { value.replace('A', "B") } else { format!("A{}", &value[1..]) }
    };
    for (algorithm, value) in GOLDEN {
        let name = header(algorithm);
        let put = call(&server, "PUT", algorithm, "", &[(&name, value)], DIGITS).await;
        assert_eq!(put.status, 200, "{algorithm}: {}", put.text());
        assert_eq!(put.header(&name), Some(value), "{algorithm}");
        assert_eq!(put.header("x-amz-checksum-type"), Some("FULL_OBJECT"), "{algorithm}");
        let late = format!("late-{algorithm}");
        let put = trailing(&server, &late, &name, value).await;
        assert_eq!((put.status, put.header(&name)), (200, Some(value)), "{}", put.text());
        for key in [algorithm, &late] {
            for method in ["GET", "HEAD"] {
                let mode = [("x-amz-checksum-mode", "ENABLED")];
                let read = call(&server, method, key, "", &mode, b"").await;
                assert_eq!((read.status, read.header(&name)), (200, Some(value)), "{method} {key}");
                let read = call(&server, method, key, "", &[], b"").await;
                assert_eq!(read.header(&name), None, "{method} {key}: nobody asked");
            }
        }
        let wrong = other(value);
        let answer = call(&server, "PUT", "wrong", "", &[(&name, &wrong)], DIGITS).await;
        assert_eq!((answer.status, answer.code()), (400, "BadDigest".into()), "{algorithm}");
        let answer = trailing(&server, "wrong", &name, &wrong).await;
        assert_eq!((answer.status, answer.code()), (400, "BadDigest".into()), "{algorithm}");
        let answer = call(&server, "PUT", "wrong", "", &[(&name, "AAAA")], DIGITS).await;
        assert_eq!((answer.status, answer.code()), (400, "InvalidRequest".into()), "{algorithm}");
        let attributes = [("x-amz-object-attributes", "Checksum")];
        let answer = call(&server, "GET", algorithm, "attributes=", &attributes, b"").await;
        let shown = element(&answer, &format!("Checksum{algorithm}"));
        assert_eq!(shown.as_deref(), Some(value), "{}", answer.text());
    }
    let missing = call(&server, "GET", "wrong", "", &[], b"").await;
    assert_eq!(missing.status, 404, "nothing was stored");
    let path = format!("/{BUCKET}");
    let list =
        raw::call(server.address, "GET", &path, "list-type=2&prefix=", &[], b"").await.text();
    for (algorithm, _) in GOLDEN {
        let shown = format!("<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm>");
        assert_eq!(list.matches(&shown).count(), 2, "{algorithm}: {list}");
    }
}

#[tokio::test]
async fn copies_have_the_one_that_is_asked_for() {
    let server = server().await;
    let (name, value) = (header("XXHASH3"), GOLDEN[8].1);
    call(&server, "PUT", "source", "", &[(&name, value)], DIGITS).await;
    let source = format!("/{BUCKET}/source");
    for (algorithm, value) in GOLDEN {
        let extra =
            [("x-amz-copy-source", source.as_str()), ("x-amz-checksum-algorithm", algorithm)];
        let answer = call(&server, "PUT", "copy", "", &extra, b"").await;
        let shown = element(&answer, &format!("Checksum{algorithm}"));
        assert_eq!(shown.as_deref(), Some(value), "{}", answer.text());
    }
    let extra = [("x-amz-copy-source", source.as_str())];
    let answer = call(&server, "PUT", "copy", "", &extra, b"").await;
    assert_eq!(element(&answer, "ChecksumXXHASH3").as_deref(), Some(value), "the source's");
}

/// One part of `123456789` makes an object; what its checksum is.
async fn upload(server: &Server, algorithm: &str, kind: Option<&str>) -> Result<Answer, Answer> {
    let mut extra = vec![("x-amz-checksum-algorithm", algorithm)];
    extra.extend(kind.map(|kind| ("x-amz-checksum-type", kind)));
    let created = call(server, "POST", "parts", "uploads=", &extra, b"").await;
    if created.status != 200 {
        return Err(created);
    }
    let upload = element(&created, "UploadId").expect("an id");
    let value = GOLDEN.iter().find(|(name, _)| *name == algorithm).expect("known").1;
    let name = header(algorithm);
    let query = format!("partNumber=1&uploadId={upload}");
    let part = call(server, "PUT", "parts", &query, &[(&name, value)], DIGITS).await;
    assert_eq!((part.status, part.header(&name)), (200, Some(value)), "{}", part.text());
    let query = format!("uploadId={upload}");
    let listed = call(server, "GET", "parts", &query, &[], b"").await;
    let shown = element(&listed, &format!("Checksum{algorithm}"));
    assert_eq!(shown.as_deref(), Some(value), "{}", listed.text());
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag>\
         <Checksum{algorithm}>{value}</Checksum{algorithm}></Part></CompleteMultipartUpload>",
        part.header("etag").expect("a tag")
    );
    let done = call(server, "POST", "parts", &query, &[], body.as_bytes()).await;
    assert_eq!(done.status, 200, "{}", done.text());
    Ok(call(server, "HEAD", "parts", "", &[("x-amz-checksum-mode", "ENABLED")], b"").await)
}

#[tokio::test]
async fn of_multipart_objects() {
    let server = server().await;
    for (algorithm, value) in GOLDEN {
        let name = header(algorithm);
        let full = algorithm.starts_with("CRC");
        let composite = algorithm != "CRC64NVME";
        match upload(&server, algorithm, Some("FULL_OBJECT")).await {
            Ok(head) => {
                assert!(full, "{algorithm}");
                assert_eq!(head.header(&name), Some(value), "{algorithm}");
                assert_eq!(head.header("x-amz-checksum-type"), Some("FULL_OBJECT"));
            }
            Err(refused) => {
                assert!(!full, "{algorithm}: {}", refused.text());
                assert_eq!((refused.status, refused.code()), (400, "InvalidRequest".into()));
            }
        }
        match upload(&server, algorithm, Some("COMPOSITE")).await {
            Ok(head) => {
                assert!(composite, "{algorithm}");
                let shown = head.header(&name).expect("a checksum");
                assert!(shown.ends_with("-1") && !shown.starts_with(value), "{shown}");
                assert_eq!(head.header("x-amz-checksum-type"), Some("COMPOSITE"));
            }
            Err(refused) => {
                assert!(!composite, "{algorithm}: {}", refused.text());
                assert_eq!((refused.status, refused.code()), (400, "InvalidRequest".into()));
            }
        }
        assert!(upload(&server, algorithm, None).await.is_ok(), "{algorithm}");
    }
}
