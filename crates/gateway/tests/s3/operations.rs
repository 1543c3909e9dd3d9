//! Every operation of the model that does not work says so.

use s3::operations::{ALL, Target};

use crate::{
    raw::{self, send},
    support::{BUCKET, server},
};

#[tokio::test]
async fn what_does_not_work_answers_501() {
    let server = server().await;
    server.put("k", b"v").await;
    let refused: Vec<_> = ALL.iter().filter(|it| !it.works()).collect();
    assert!(refused.len() > 30, "{}", refused.len());
    for it in refused {
        let path = match it.target {
            Target::Service if it.name == "WriteGetObjectResponse" => format!("/{}", it.name),
            Target::Service => "/".to_owned(),
            Target::Bucket => format!("/{BUCKET}"),
            Target::Object => format!("/{BUCKET}/k"),
        };
        // One of the service has no subresource; SDKs say its name.
        let query = match it.subresource {
            "" => format!("x-id={}", it.name),
            "select" => "select=&select-type=2".to_owned(),
            subresource => format!("{subresource}="),
        };
        let answer = raw::call(server.address, it.method, &path, &query, &[], b"<X/>").await;
        let text = answer.text();
        assert_eq!(
            (answer.status, answer.code()),
            (501, "NotImplemented".into()),
            "{it:?}: {text}"
        );
        if it.method != "HEAD" {
            assert!(text.contains("implemented"), "{it:?}: {text}");
        }
    }
    assert_eq!(server.get("k").await, b"v", "nothing was done");
    let names = server.client.list_buckets().send().await.expect("listed");
    assert_eq!(names.buckets().len(), 1, "nor created");
}

#[tokio::test]
async fn what_is_not_there_asks_for_a_signature_first() {
    let server = server().await;
    let request = format!("GET /{BUCKET}?acl HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer = send(server.address, request.as_bytes(), false).await;
    assert_eq!((answer.status, answer.code()), (403, "AccessDenied".into()));
}
