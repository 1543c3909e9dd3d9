//! Server access logs: a line for every request of a bucket that asks for them.

use crate::{
    raw,
    support::{BUCKET, Server, server},
};

fn status(prefix: &str, more: &str) -> String {
    format!(
        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>\
         <TargetPrefix>{prefix}</TargetPrefix>{more}</LoggingEnabled></BucketLoggingStatus>"
    )
}

async fn keys(server: &Server) -> Vec<String> {
    let page = server.client.list_objects_v2().bucket("logs").send().await.expect("a page");
    page.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
}

/// All lines that were delivered, each as its fields.
async fn lines(server: &Server) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    for key in keys(server).await {
        let got = server.client.get_object().bucket("logs").key(key).send().await.expect("there");
        let text = got.body.collect().await.expect("read to the end").to_vec();
        for line in String::from_utf8(text).expect("text").lines() {
            lines.push(line.split(' ').map(str::to_owned).collect());
        }
    }
    lines
}

#[tokio::test]
async fn requests_are_told_in_the_target_bucket() {
    let server = server().await;
    server.client.create_bucket().bucket("logs").send().await.expect("created");
    server.put("before", b"x").await;
    let set = server.call("PUT", "", "logging=", &[], &status("from/", "")).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let shown = server.call("GET", "", "logging=", &[], "").await;
    assert_eq!(
        (shown.texts("TargetBucket"), shown.texts("TargetPrefix")),
        (vec!["logs".into()], vec!["from/".into()])
    );

    let put = server.call("PUT", "a%20key", "", &[("user-agent", "an agent")], "hello").await;
    let id = put.header("x-amz-request-id").expect("an id").to_owned();
    assert_eq!(server.call("GET", "a%20key", "", &[("range", "bytes=1-2")], "").await.status, 206);
    assert_eq!(server.call("GET", "absent", "", &[], "").await.status, 404);
    let unsigned = format!(
        "GET /{BUCKET}/a%20key HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        server.address
    );
    let unsigned = raw::send(server.address, unsigned.as_bytes(), false).await;
    assert!(unsigned.status >= 400);
    server.service.settle().await;

    assert!(keys(&server).await.iter().all(|key| key.starts_with("from/")));
    let lines = lines(&server).await;
    let of = |operation: &str| -> Vec<&Vec<String>> {
        lines.iter().filter(|line| line[7] == operation).collect()
    };
    let [put] = of("REST.PUT.OBJECT")[..] else { panic!("{lines:?}") };
    assert_eq!(
        (put[1].as_str(), put[4].as_str(), put[6].as_str()),
        (BUCKET, "127.0.0.1", id.as_str())
    );
    assert_eq!(put[8], "a%20key");
    assert_eq!(put[9..12].join(" "), format!("\"PUT /{BUCKET}/a%20key HTTP/1.1\""));
    assert_eq!(put[12], "200");
    let gets = of("REST.GET.OBJECT");
    let statuses: Vec<(&str, &str)> =
        gets.iter().map(|line| (line[12].as_str(), line[13].as_str())).collect();
    assert!(statuses.contains(&("206", "-")) && statuses.contains(&("404", "NoSuchKey")));
    let partial = gets.iter().find(|line| line[12] == "206").expect("there");
    assert_eq!((partial[14].as_str(), partial[15].as_str()), ("2", "5"), "sent, of the object");
    let signed_by_nobody: Vec<_> = gets.iter().filter(|line| line[5] == "-").collect();
    assert_eq!(signed_by_nobody.len(), 1, "{gets:?}");
    assert!(!lines.iter().any(|line| line[8] == "before"), "before it was asked for");
}

#[tokio::test]
async fn it_is_turned_off_and_refused() {
    let server = server().await;
    let missing = server.call("PUT", "", "logging=", &[], &status("", "")).await;
    assert_eq!((missing.status, missing.code()), (400, "InvalidTargetBucketForLogging".into()));
    server.client.create_bucket().bucket("logs").send().await.expect("created");
    let grants = "<TargetGrants><Grant><Permission>READ</Permission></Grant></TargetGrants>";
    let refused = server.call("PUT", "", "logging=", &[], &status("", grants)).await;
    assert_eq!(refused.status, 501, "{}", refused.text());
    let by_day = "<TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>EventTime\
                  </PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat>";
    let set = server.call("PUT", "", "logging=", &[], &status("p/", by_day)).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let shown = server.call("GET", "", "logging=", &[], "").await;
    assert_eq!(shown.texts("PartitionDateSource"), ["EventTime"]);
    server.put("k", b"x").await;
    server.service.settle().await;
    let delivered = keys(&server).await;
    assert!(!delivered.is_empty());
    let folder = format!("p/000000000000/us-east-1/{BUCKET}/");
    assert!(delivered.iter().all(|key| key.starts_with(&folder)), "{delivered:?}");
    let off = server.call("PUT", "", "logging=", &[], "<BucketLoggingStatus/>").await;
    assert_eq!(off.status, 200, "{}", off.text());
    server.service.settle().await;
    let before = keys(&server).await.len();
    server.put("k", b"x").await;
    server.service.settle().await;
    assert_eq!(keys(&server).await.len(), before);
}
