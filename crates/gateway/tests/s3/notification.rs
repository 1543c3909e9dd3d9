//! Notification configurations: what is stored is what is shown, what would be ignored is
//! refused, and the bucket writes events down from the answer on.

use std::collections::BTreeSet;

use cluster::Metadata;
use gateway::Settings;
use metastore::api::{IndexQuery, IndexView};

use crate::support::{Server, server_of};

async fn server() -> Server {
    let event_targets = BTreeSet::from(["hook", "eventbridge"].map(str::to_owned));
    let s3 = s3::Settings { event_targets, ..s3::Settings::default() };
    server_of(s3, Settings::default(), None).await
}

async fn put(server: &Server, headers: &[(&str, &str)], inner: &str) -> (u16, String) {
    let body = format!("<NotificationConfiguration>{inner}</NotificationConfiguration>");
    let answer = server.call("PUT", "", "notification=", headers, &body).await;
    (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
}

fn queue(arn: &str, event: &str, filter: &str) -> String {
    format!(
        "<QueueConfiguration><Queue>arn:aws:sqs:us-east-1:000000000000:{arn}</Queue>\
         <Event>{event}</Event>{filter}</QueueConfiguration>"
    )
}

fn rule(name: &str, value: &str) -> String {
    format!("<FilterRule><Name>{name}</Name><Value>{value}</Value></FilterRule>")
}

fn filter(rules: &[(&str, &str)]) -> String {
    let rules: String = rules.iter().map(|(name, value)| rule(name, value)).collect();
    format!("<Filter><S3Key>{rules}</S3Key></Filter>")
}

/// Keys of the events that are written down, in their order.
async fn events(server: &Server) -> Vec<String> {
    let mut keys = Vec::new();
    let groups: BTreeSet<_> = server.cluster.map().partitions.iter().map(|it| it.group).collect();
    for group in groups {
        let query = IndexQuery::Events { after: None, limit: 1000 };
        match server.cluster.partition_query(group, query).await.expect("up") {
            IndexView::Events(events) => keys.extend(events.into_iter().map(|event| event.key)),
            other => panic!("{other:?}"),
        }
    }
    keys
}

#[tokio::test]
async fn a_configuration_is_set_shown_and_ended() {
    let server = server().await;
    let none = server.call("GET", "", "notification=", &[], "").await;
    assert_eq!((none.status, none.texts("Event")), (200, Vec::new()));
    server.put("before", b"x").await;

    let both =
        queue("hook", "s3:ObjectCreated:*", &filter(&[("prefix", "a/"), ("suffix", ".jpg")]))
            + "<TopicConfiguration><Id>t</Id><Topic>arn:aws:sns:us-east-1:000000000000:hook</Topic>\
           <Event>s3:ObjectTagging:Put</Event><Event>s3:LifecycleTransition</Event>\
           </TopicConfiguration><EventBridgeConfiguration/>";
    assert_eq!(put(&server, &[], &both).await, (200, String::new()));
    server.put("while", b"x").await;
    let shown = server.call("GET", "", "notification=", &[], "").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.texts("Queue"), ["arn:aws:sqs:us-east-1:000000000000:hook"]);
    assert_eq!(shown.texts("Topic"), ["arn:aws:sns:us-east-1:000000000000:hook"]);
    assert_eq!(
        shown.texts("Event"),
        ["s3:ObjectCreated:*", "s3:ObjectTagging:Put", "s3:LifecycleTransition"]
    );
    assert_eq!(
        (shown.texts("Name"), shown.texts("Value")),
        (vec!["prefix".to_owned(), "suffix".to_owned()], vec!["a/".to_owned(), ".jpg".to_owned()],)
    );
    assert_eq!(shown.texts("Id").len(), 2, "who gives none gets one");
    let text = String::from_utf8_lossy(&shown.body).into_owned();
    assert!(text.contains("<EventBridgeConfiguration"), "{text}");

    assert_eq!(put(&server, &[], "").await.0, 200);
    server.put("after", b"x").await;
    let none = server.call("GET", "", "notification=", &[], "").await;
    assert_eq!((none.status, none.texts("Event")), (200, Vec::new()));
    assert!(!String::from_utf8_lossy(&none.body).contains("EventBridge"));
    assert_eq!(events(&server).await, ["while"]);
}

#[tokio::test]
async fn what_would_be_ignored_is_refused() {
    let server = server().await;
    let all = "s3:ObjectCreated:*";
    let lambda = "<CloudFunctionConfiguration><CloudFunction>arn:aws:lambda:r:a:function:hook\
                  </CloudFunction><Event>s3:ObjectCreated:*</Event></CloudFunctionConfiguration>";
    let overlapping = queue("hook", all, &filter(&[("prefix", "a")]))
        + &queue("hook", "s3:ObjectCreated:Put", &filter(&[("prefix", "ab")]));
    for (inner, status, code) in [
        (lambda.to_owned(), 501, "NotImplemented"),
        (queue("hook", "s3:Replication:*", ""), 501, "NotImplemented"),
        (queue("hook", "s3:ReducedRedundancyLostObject", ""), 501, "NotImplemented"),
        (queue("nowhere", all, ""), 400, "InvalidArgument"),
        (queue("hook", "s3:ObjectCreated", ""), 400, "InvalidArgument"),
        (queue("hook", all, &filter(&[("infix", "a")])), 400, "InvalidArgument"),
        (queue("hook", all, &filter(&[("prefix", "a"), ("prefix", "b")])), 400, "InvalidArgument"),
        (overlapping, 400, "InvalidArgument"),
        (queue("hook", all, "<Filters/>"), 400, "MalformedXML"),
        ("<QueueConfiguration/>".to_owned(), 400, "MalformedXML"),
    ] {
        assert_eq!(put(&server, &[], &inner).await, (status, code.to_owned()), "{inner}");
    }
    server.put("k", b"x").await;
    assert_eq!(events(&server).await, [""; 0], "nothing was stored");
}

#[tokio::test]
async fn who_skips_the_validation_may_name_a_target_that_is_not_there_yet() {
    let server = server().await;
    let later = queue("later", "s3:ObjectCreated:*", "");
    let skip = [("x-amz-skip-destination-validation", "true")];
    assert_eq!(put(&server, &skip, &later).await.0, 200);
    server.put("k", b"x").await;
    assert_eq!(events(&server).await, ["k"]);
}
