//! Lifecycle rules: what is stored is what is shown, what cannot be done is refused, and
//! answers about an object say when it ends.

use crate::support::{Server, server};

const RULES: &str = "<LifecycleConfiguration><Rule><ID>a b</ID><Filter><And><Prefix>logs/</Prefix>\
    <Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status>\
    <Expiration><Days>2</Days></Expiration></Rule><Rule><ID>n</ID><Filter><Prefix></Prefix>\
    </Filter><Status>Disabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3\
    </NoncurrentDays><NewerNoncurrentVersions>5</NewerNoncurrentVersions>\
    </NoncurrentVersionExpiration><AbortIncompleteMultipartUpload><DaysAfterInitiation>7\
    </DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>";

async fn put(server: &Server, body: &str) -> (u16, String) {
    let answer = server.call("PUT", "", "lifecycle=", &[], body).await;
    (answer.status, if answer.status == 200 { String::new() } else { answer.code() })
}

fn rule(inner: &str) -> String {
    format!(
        "<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status>{inner}</Rule>\
         </LifecycleConfiguration>"
    )
}

#[tokio::test]
async fn rules_are_set_shown_and_removed() {
    let server = server().await;
    let none = server.call("GET", "", "lifecycle=", &[], "").await;
    assert_eq!((none.status, none.code()), (404, "NoSuchLifecycleConfiguration".into()));
    assert_eq!(put(&server, RULES).await.0, 200);
    let shown = server.call("GET", "", "lifecycle=", &[], "").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.texts("ID"), ["a b", "n"]);
    assert_eq!(shown.texts("Status"), ["Enabled", "Disabled"]);
    for (name, text) in [
        ("Days", "2"),
        ("Key", "k"),
        ("Value", "v"),
        ("NoncurrentDays", "3"),
        ("NewerNoncurrentVersions", "5"),
        ("DaysAfterInitiation", "7"),
    ] {
        assert_eq!(shown.texts(name), [text], "{name}");
    }
    let removed = server.call("DELETE", "", "lifecycle=", &[], "").await;
    assert_eq!(removed.status, 204);
    let none = server.call("GET", "", "lifecycle=", &[], "").await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let server = server().await;
    let transition =
        rule("<Transition><Days>1</Days><StorageClass>OUTPOSTS</StorageClass></Transition>");
    for (body, status, code) in [
        (transition.as_str(), 400, "MalformedXML"),
        (&rule(""), 400, "InvalidArgument"),
        (&rule("<Expiration><Days>0</Days></Expiration>"), 400, "InvalidArgument"),
        (&rule("<Expiration><Days>-1</Days></Expiration>"), 400, "InvalidArgument"),
        (
            &rule("<Expiration><Date>2030-01-01T10:00:00Z</Date></Expiration>"),
            400,
            "InvalidArgument",
        ),
        (&rule("<Expiration/>"), 400, "MalformedXML"),
        ("<LifecycleConfiguration></LifecycleConfiguration>", 400, "MalformedXML"),
        ("<Lifecycle", 400, "MalformedXML"),
    ] {
        assert_eq!(put(&server, body).await, (status, code.to_owned()), "{body}");
    }
    let none = server.call("GET", "", "lifecycle=", &[], "").await;
    assert_eq!(none.status, 404, "nothing was stored");
}

#[tokio::test]
async fn answers_say_when_an_object_ends() {
    let server = server().await;
    assert_eq!(put(&server, RULES).await.0, 200);
    let tagged = [("x-amz-tagging", "k=v")];
    let first = server.call("PUT", "logs/a", "", &tagged, "x").await;
    let header = first.header("x-amz-expiration").expect("it has an end").to_owned();
    let date = header.strip_prefix("expiry-date=\"").and_then(|rest| rest.split_once('"'));
    let (date, rest) = date.expect("a date");
    assert!(date.ends_with(" 00:00:00 GMT"), "{date}");
    assert_eq!(rest, ", rule-id=\"a%20b\"");
    for method in ["GET", "HEAD"] {
        let answer = server.call(method, "logs/a", "", &[], "").await;
        assert_eq!(answer.header("x-amz-expiration"), Some(header.as_str()), "{method}");
    }
    let other = server.call("PUT", "other", "", &tagged, "x").await;
    assert_eq!(other.header("x-amz-expiration"), None);
    let untagged = server.call("PUT", "logs/b", "", &[], "x").await;
    assert_eq!(untagged.header("x-amz-expiration"), None);
}
