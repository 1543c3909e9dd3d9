//! Uploads by HTML form.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    raw::{Answer, Signer, send, sha256},
    support::{ACCESS_KEY, BUCKET, Server, content, server},
};

/// The cluster's clock stands at 2027-01-15T08:00:00Z.
const SOON: &str = "2027-01-15T08:00:01.000Z";

/// A form, and the policy that is signed for it.
struct Form {
    expiration: &'static str,
    conditions: String,
    fields: Vec<(String, String)>,
    file_name: Option<&'static str>,
    file: Vec<u8>,
    target: String,
    host: &'static str,
}

/// An upload of `file` as `key`, allowed for every key.
fn form(key: &str, file: &[u8]) -> Form {
    let signer = Signer::new(0, "s3");
    let credential = format!("{ACCESS_KEY}/{}", signer.scope);
    let fields = [
        ("key", key),
        ("X-Amz-Credential", &credential),
        ("x-amz-algorithm", "AWS4-HMAC-SHA256"),
        ("x-amz-date", &signer.stamp),
    ];
    Form {
        expiration: SOON,
        conditions: format!(
            "{{\"bucket\":\"{BUCKET}\"}},[\"starts-with\",\"$key\",\"\"],\
             {{\"x-amz-credential\":\"{credential}\"}},\
             {{\"x-amz-algorithm\":\"AWS4-HMAC-SHA256\"}},{{\"x-amz-date\":\"{}\"}}",
            signer.stamp
        ),
        fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        file_name: Some("photo.jpg"),
        file: file.to_vec(),
        target: format!("/{BUCKET}"),
        host: "127.0.0.1",
    }
}

impl Form {
    /// A field that the policy allows.
    fn with(mut self, name: &str, value: &str) -> Self {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        self.conditions.push_str(&format!(",[\"eq\",\"${name}\",\"{quoted}\"]"));
        self.bare(name, value)
    }

    /// A field that it does not name.
    fn bare(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
        self
    }

    fn allowing(mut self, condition: &str) -> Self {
        self.conditions.push_str(&format!(",{condition}"));
        self
    }

    fn sign(self) -> Self {
        let json = format!(
            "{{\"expiration\":\"{}\",\"conditions\":[{}]}}",
            self.expiration, self.conditions
        );
        let policy = STANDARD.encode(json);
        let signature = Signer::new(0, "s3").sign(&policy);
        self.bare("Policy", &policy).bare("X-Amz-Signature", &signature)
    }

    fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in &self.fields {
            body.extend(
                format!(
                    "--B0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n\
                     {value}\r\n"
                )
                .bytes(),
            );
        }
        let name = self.file_name.map_or_else(String::new, |name| format!("; filename=\"{name}\""));
        body.extend(
            format!(
                "--B0undary\r\nContent-Disposition: form-data; name=\"file\"{name}\r\n\
                 Content-Type: image/jpeg\r\n\r\n"
            )
            .bytes(),
        );
        body.extend(&self.file);
        body.extend(
            b"\r\n--B0undary\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\nignored\r\n\
              --B0undary--\r\n",
        );
        body
    }

    fn head(&self, length: usize) -> String {
        format!(
            "POST {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: \
             multipart/form-data; boundary=B0undary\r\ncontent-length: {length}\r\n\r\n",
            self.target, self.host
        )
    }

    /// Sends it as it is.
    async fn post(&self, server: &Server) -> Answer {
        let body = self.body();
        let request = [self.head(body.len()).into_bytes(), body].concat();
        send(server.address, &request, false).await
    }
}

async fn nothing_is_left(server: &Server) {
    let left = server.client.list_objects_v2().bucket(BUCKET).send().await.expect("listed");
    assert!(left.contents().is_empty(), "{:?}", left.contents());
    // What an upload that failed wrote is deleted behind its answer.
    let gone = async {
        while server.cluster.stored_in_all().await.0 > 0 {
            tokio::task::yield_now().await;
        }
    };
    let gone = tokio::time::timeout(std::time::Duration::from_secs(20), gone).await;
    assert!(gone.is_ok(), "{:?}", server.cluster.stored_in_all().await);
}

#[tokio::test]
async fn a_form_makes_an_object() {
    let server = server().await;
    for size in [0, 3, 100_000, 3 << 20] {
        let bytes = content(size);
        let answer = form("user/${filename}", &bytes).sign().post(&server).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{}", answer.text());
        assert!(server.get("user/photo.jpg").await == bytes, "{size}");
        let location = format!("http://127.0.0.1/{BUCKET}/user%2Fphoto.jpg");
        assert_eq!(answer.header("location"), Some(location.as_str()));
        assert!(answer.header("x-amz-checksum-crc64nvme").is_some());
    }
    let tags =
        "<Tagging><TagSet><Tag><Key>a b</Key><Value>c&amp;d</Value></Tag></TagSet></Tagging>";
    let whole = form("whole", b"123456789")
        .with("Content-Type", "text/csv")
        .with("Cache-Control", "max-age=5")
        .with("x-amz-meta-Colour", "blue")
        .with("x-amz-checksum-crc32", "y/Q5Jg==")
        .with("acl", "private")
        .with("success_action_status", "201")
        .with("tagging", &tags.replace("c&amp;d", "c d"))
        .bare("x-ignore-me", "whatever")
        .sign();
    let answer = whole.post(&server).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let etag = answer.header("etag").expect("a tag").to_owned();
    assert_eq!(answer.header("x-amz-checksum-crc32"), Some("y/Q5Jg=="));
    let host = format!("http://127.0.0.1/{BUCKET}/whole");
    assert_eq!(
        answer.text(),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{host}</Location>\
             <Bucket>{BUCKET}</Bucket><Key>whole</Key><ETag>{etag}</ETag></PostResponse>"
        )
    );
    let head = server.client.head_object().bucket(BUCKET).key("whole").send().await.expect("there");
    assert_eq!(head.content_type(), Some("text/csv"), "the field's, not the file's");
    assert_eq!(head.cache_control(), Some("max-age=5"));
    let metadata = head.metadata().and_then(|metadata| metadata.get("colour"));
    assert_eq!(metadata.map(String::as_str), Some("blue"));
    let tagging = server.client.get_object_tagging().bucket(BUCKET).key("whole").send().await;
    let tagging = tagging.expect("tags");
    let tag = (tagging.tag_set()[0].key(), tagging.tag_set()[0].value());
    assert_eq!(tag, ("a b", "c d"));
    // Virtual-host style, and a file without a name.
    let mut hosted = form("hosted/${filename}", b"x").sign();
    (hosted.host, hosted.target, hosted.file_name) = ("bucket.localhost", "/".to_owned(), None);
    let answer = hosted.post(&server).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.get("hosted/${filename}").await, b"x");
    let location = "http://bucket.localhost/hosted%2F%24%7Bfilename%7D";
    assert_eq!(answer.header("location"), Some(location));
}

#[tokio::test]
async fn where_the_browser_is_sent() {
    let server = server().await;
    for (address, sign) in [("http://a.example/done", '?'), ("https://a.example/?x=1", '&')] {
        let form = form("a b/c", b"v").with("success_action_redirect", address).sign();
        let answer = form.post(&server).await;
        assert_eq!((answer.status, answer.body.len()), (303, 0), "{}", answer.text());
        let etag = answer.header("etag").expect("a tag").trim_matches('"');
        let to = format!("{address}{sign}bucket={BUCKET}&key=a%20b%2Fc&etag=%22{etag}%22");
        assert_eq!(answer.header("location"), Some(to.as_str()));
    }
    for (name, value, status) in [
        ("success_action_redirect", "/relative", 204),
        ("success_action_redirect", "javascript:alert(1)", 204),
        ("success_action_status", "200", 200),
        ("success_action_status", "204", 204),
        ("success_action_status", "418", 204),
    ] {
        let answer = form("k", b"v").with(name, value).sign().post(&server).await;
        assert_eq!(answer.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn forms_that_the_policy_does_not_allow() {
    let server = server().await;
    let expired = Form { expiration: "2027-01-15T08:00:00Z", ..form("k", b"v") };
    for (form, text) in [
        (expired, "Invalid according to Policy: Policy expired."),
        (
            form("k", b"v").bare("Content-Disposition", "attachment"),
            "Invalid according to Policy: Extra input fields: Content-Disposition",
        ),
        (
            form("other/k", b"v").allowing("[\"starts-with\",\"$key\",\"user/\"]"),
            "Policy Condition failed: [&quot;starts-with&quot;, &quot;$key&quot;, &quot;user/&quot;]",
        ),
        (form("k", b"v").allowing("{\"acl\":\"private\"}"), "Policy Condition failed"),
        (form("k", b"v").allowing("{\"bucket\":\"another\"}"), "Policy Condition failed"),
    ] {
        let answer = form.sign().post(&server).await;
        assert_eq!((answer.status, answer.code()), (403, "AccessDenied".into()), "{text}");
        let said = answer.text().replace('"', "&quot;");
        assert!(said.contains(text), "{said}");
    }
    for (size, status, code) in [
        (4, 400, "EntityTooSmall"),
        (5, 204, ""),
        (10, 204, ""),
        (11, 400, "EntityTooLarge"),
        (200_000, 400, "EntityTooLarge"),
    ] {
        let form = form("k", &content(size)).allowing("[\"content-length-range\", 5, 10]").sign();
        let answer = form.post(&server).await;
        assert_eq!((answer.status, answer.code()), (status, code.into()), "{size}");
        if status == 204 {
            let delete = server.client.delete_object().bucket(BUCKET).key("k");
            delete.send().await.expect("deleted");
        }
    }
    // Far more than inline: shards were written when the end came.
    let small = form("k", &content(2 << 20)).allowing("[\"content-length-range\",3000000,4000000]");
    let answer = small.sign().post(&server).await;
    assert_eq!((answer.status, answer.code()), (400, "EntityTooSmall".into()));
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn signatures_that_do_not_hold() {
    let server = server().await;
    let signed = || form("k", b"v").sign();
    let policy = STANDARD.encode("{\"expiration\":\"2027-01-15T08:00:01Z\",\"conditions\":[]}");
    let other = signed().fields.into_iter().find(|(name, _)| name == "X-Amz-Credential");
    let other = other.expect("it is there").1.replace(ACCESS_KEY, "AKSOMEBODYELSE0");
    for (form, status, code) in [
        (signed().without("policy").bare("policy", &policy), 403, "SignatureDoesNotMatch"),
        (
            signed().without("x-amz-signature").bare("x-amz-signature", &sha256(b"x")),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            signed().without("x-amz-credential").bare("x-amz-credential", &other),
            403,
            "InvalidAccessKeyId",
        ),
        (
            signed().without("x-amz-credential").bare("x-amz-credential", "AK/1/2"),
            400,
            "InvalidArgument",
        ),
        (
            signed().without("x-amz-date").bare("x-amz-date", "20200101T000000Z"),
            400,
            "InvalidArgument",
        ),
        (signed().without("x-amz-signature"), 400, "InvalidArgument"),
        (signed().without("x-amz-algorithm"), 400, "InvalidArgument"),
        (signed().without("policy"), 400, "InvalidArgument"),
        (
            form("k", b"v")
                .without("x-amz-algorithm")
                .without("x-amz-credential")
                .without("x-amz-date"),
            403,
            "AccessDenied",
        ),
        (signed().bare("AWSAccessKeyId", ACCESS_KEY).bare("signature", "x"), 400, "InvalidRequest"),
    ] {
        let answer = form.post(&server).await;
        assert_eq!((answer.status, answer.code()), (status, code.into()), "{}", answer.text());
    }
    let bad = Form { conditions: "{\"bucket\":1}".to_owned(), ..form("k", b"v") };
    let answer = bad.sign().post(&server).await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidPolicyDocument".into()));
    nothing_is_left(&server).await;
}

#[tokio::test]
async fn forms_that_are_none() {
    let server = server().await;
    let big = form("k", b"v").with("x-amz-meta-a", &"x".repeat(20 << 10)).sign();
    let crc = form("k", b"v").with("x-amz-checksum-crc32", "y/Q5Jg==").sign();
    let acl = form("k", b"v").with("acl", "public-read").sign();
    let key = form("k", b"v").without("key");
    let key =
        Form { conditions: key.conditions.replace(",[\"starts-with\",\"$key\",\"\"]", ""), ..key };
    for (form, status, code) in [
        (big, 400, "MaxPostPreDataLengthExceededError"),
        (crc, 400, "BadDigest"),
        (acl, 501, "NotImplemented"),
        (form("k", b"v").with("tagging", "no XML").sign(), 400, "MalformedXML"),
        (key.sign(), 400, "InvalidArgument"),
        (form(&"k".repeat(1025), b"v").sign(), 400, "KeyTooLongError"),
        (Form { target: "/nowhere".to_owned(), ..form("k", b"v").sign() }, 403, "AccessDenied"),
        (Form { target: format!("/{BUCKET}?x"), ..form("k", b"v").sign() }, 501, "NotImplemented"),
        (
            Form { target: format!("/{BUCKET}/k"), ..form("k", b"v").sign() },
            405,
            "MethodNotAllowed",
        ),
    ] {
        let answer = form.post(&server).await;
        assert_eq!((answer.status, answer.code()), (status, code.into()), "{}", answer.text());
    }
    // The browser goes away in the middle of the file.
    let cut = form("k", &content(3 << 20)).sign();
    let body = cut.body();
    let request = [cut.head(body.len()).into_bytes(), body[..2 << 20].to_vec()].concat();
    let answer = send(server.address, &request, true).await;
    assert_eq!((answer.status, answer.code()), (400, "IncompleteBody".into()));
    let plain = format!(
        "POST /{BUCKET} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: \
         3\r\n\r\nabc"
    );
    let answer = send(server.address, plain.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (412, "PreconditionFailed".into()));
    nothing_is_left(&server).await;
}
