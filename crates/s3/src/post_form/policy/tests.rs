//! Tables of policies, forms and what becomes of them.

use super::*;

/// 2027-01-15T08:00:00Z.
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn policy(json: &str) -> Result<Policy, (String, String)> {
    Policy::of_field(&STANDARD.encode(json)).map_err(|error| said(&error))
}

fn said(error: &S3Error) -> (String, String) {
    (error.code().as_str().to_owned(), error.message().unwrap_or_default().to_owned())
}

fn with(conditions: &str) -> Policy {
    let json = format!(
        "{{\"expiration\":\"2027-01-15T08:00:01.000Z\",\"conditions\":[{{\"bucket\":\"b\"}},\
         [\"starts-with\",\"$key\",\"user/\"]{conditions}]}}"
    );
    policy(&json).expect("a policy")
}

fn check(conditions: &str, fields: &[(&str, &str)]) -> Result<RangeInclusive<u64>, String> {
    let mut form = Fields::new();
    for (name, value) in
        [("key", "user/a"), ("policy", "p"), ("X-Amz-Signature", "s")].iter().chain(fields)
    {
        form.insert(name.to_ascii_lowercase(), ((*name).to_owned(), (*value).to_owned()));
    }
    with(conditions).check(&form, "b", NOW).map_err(|error| {
        let (code, message) = said(&error);
        assert_eq!(code, "AccessDenied", "{message}");
        let start = "Invalid according to Policy: ";
        message.strip_prefix(start).expect("it says so").to_owned()
    })
}

#[test]
fn forms_that_are_as_the_policy_says() {
    for (conditions, fields, size) in [
        ("", vec![], 0..=u64::MAX),
        ("", vec![("bucket-not", "x")], 0..=0),
        (",{\"acl\":\"private\"}", vec![("acl", "private")], 0..=u64::MAX),
        (",{\"ACL\":\"private\"}", vec![("Acl", "private")], 0..=u64::MAX),
        (",[\"eq\",\"$ACL\",\"private\"]", vec![("acl", "private")], 0..=u64::MAX),
        (",[\"EQ\",\"$acl\",\"private\"]", vec![("acl", "private")], 0..=u64::MAX),
        (
            ",[\"starts-with\",\"$x-amz-meta-a\",\"\"]",
            vec![("x-amz-meta-A", "anything")],
            0..=u64::MAX,
        ),
        (
            ",[\"starts-with\",\"$Content-Type\",\"image/\"]",
            vec![("Content-Type", "image/png, image/gif")],
            0..=u64::MAX,
        ),
        (",[\"content-length-range\",5,10]", vec![], 5..=10),
        (",[\"content-length-range\",\"5\",\"10\"]", vec![], 5..=10),
        (",[\"content-length-range\",5,10],[\"content-length-range\",7,20]", vec![], 7..=10),
        ("", vec![("x-ignore-this", "x")], 0..=u64::MAX),
    ] {
        let result = check(conditions, &fields);
        match fields.first() {
            Some(("bucket-not", _)) => {
                assert_eq!(result, Err("Extra input fields: bucket-not".to_owned()));
            }
            _ => assert_eq!(result, Ok(size), "{conditions}"),
        }
    }
}

#[test]
fn forms_that_are_not() {
    for (conditions, fields, message) in [
        (
            ",{\"acl\":\"private\"}",
            vec![("acl", "public-read")],
            "Policy Condition failed: [\"eq\", \"$acl\", \"private\"]",
        ),
        (
            ",{\"acl\":\"private\"}",
            vec![("acl", "Private")],
            "Policy Condition failed: [\"eq\", \"$acl\", \"private\"]",
        ),
        // A field that is not there does not even begin with nothing.
        (
            ",[\"starts-with\",\"$Content-Type\",\"\"]",
            vec![],
            "Policy Condition failed: [\"starts-with\", \"$content-type\", \"\"]",
        ),
        (
            ",[\"starts-with\",\"$Content-Type\",\"image/\"]",
            vec![("Content-Type", "image/png,text/html")],
            "Policy Condition failed: [\"starts-with\", \"$content-type\", \"image/\"]",
        ),
        (
            ",[\"eq\",\"acl\",\"private\"]",
            vec![("acl", "private")],
            "Policy Condition failed: [\"eq\",\"acl\",\"private\"]",
        ),
        (
            ",[\"content-length-range\",\"x\",10]",
            vec![],
            "Policy Condition failed: [\"content-length-range\",\"x\",10]",
        ),
        ("", vec![("Content-Disposition", "x")], "Extra input fields: Content-Disposition"),
        (
            "",
            vec![("key", "other/a")],
            "Policy Condition failed: [\"starts-with\", \"$key\", \"user/\"]",
        ),
    ] {
        assert_eq!(check(conditions, &fields), Err(message.to_owned()), "{conditions}");
    }
    let error = with("").check(&Fields::new(), "b", UnixMillis(NOW.0 + 1000));
    let error = said(&error.expect_err("expired"));
    let expired = "Invalid according to Policy: Policy expired.";
    assert_eq!(error, ("AccessDenied".to_owned(), expired.to_owned()));
    // The bucket is the request's, whatever the form says.
    let mut form = Fields::new();
    form.insert("key".to_owned(), ("key".to_owned(), "user/a".to_owned()));
    form.insert("bucket".to_owned(), ("bucket".to_owned(), "b".to_owned()));
    assert!(with("").check(&form, "b", NOW).is_ok());
    assert!(with("").check(&form, "c", NOW).is_err());
}

#[test]
fn texts_that_are_no_policy() {
    let refused = |json: &str| {
        let (code, message) = policy(json).expect_err(json);
        assert_eq!(code, "InvalidPolicyDocument", "{json}");
        message.strip_prefix("Invalid Policy: ").expect("it says so").to_owned()
    };
    let conditions = |conditions: &str| {
        format!("{{\"expiration\":\"2027-01-15T08:00:00Z\",\"conditions\":{conditions}}}")
    };
    for (json, message) in [
        ("".to_owned(), "Invalid JSON."),
        ("[]".to_owned(), "Invalid JSON."),
        ("{\"expiration\":\"x\"".to_owned(), "Invalid JSON."),
        ("{\"conditions\":[]}".to_owned(), "Policy missing expiration."),
        (
            "{\"expiration\":\"tomorrow\",\"conditions\":[]}".to_owned(),
            "Invalid 'expiration' value: 'tomorrow'",
        ),
        ("{\"expiration\":\"2027-01-15T08:00:00Z\"}".to_owned(), "Policy missing conditions."),
        (conditions("{}"), "Invalid 'conditions' value: must be a List."),
        (conditions("[1]"), "Invalid Condition: must be a List or an Object."),
        (
            conditions("[{\"a\":\"1\",\"b\":\"2\"}]"),
            "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.",
        ),
        (conditions("[{\"a\":1}]"), "Invalid Simple-Condition: value must be a string."),
        (conditions("[[\"in\",\"$a\",\"b\"]]"), "Invalid Condition: unknown operation 'in'."),
        (
            conditions("[[\"eq\",\"$a\"]]"),
            "Invalid Condition: wrong number of arguments: [\"eq\",\"$a\"]",
        ),
        (conditions("[[\"eq\",\"$a\",1]]"), "Invalid Condition: arguments must be strings."),
    ] {
        assert_eq!(refused(&json), message, "{json}");
    }
    let error = Policy::of_field("*").expect_err("no base64");
    assert_eq!(said(&error).0, "InvalidPolicyDocument");
    // With milliseconds, and folded over lines as some tools write base64.
    let json = conditions("[]").replace("00Z", "00.000Z");
    let encoded = STANDARD.encode(json);
    let folded = format!("{}\r\n{}", &encoded[..20], &encoded[20..]);
    assert_eq!(Policy::of_field(&folded).expect("a policy").expires, NOW.0);
}
