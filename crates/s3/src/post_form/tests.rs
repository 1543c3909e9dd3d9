//! The example that AWS publishes: a policy, its signature, and the form that it allows.
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-post-example.html>.

use base64::{Engine, engine::general_purpose::STANDARD};
use types::UnixMillis;

use super::*;
use policy::Fields;

const POLICY: &str = "{ \"expiration\": \"2015-12-30T12:00:00.000Z\",\r
  \"conditions\": [\r
    {\"bucket\": \"sigv4examplebucket\"},\r
    [\"starts-with\", \"$key\", \"user/user1/\"],\r
    {\"acl\": \"public-read\"},\r
    {\"success_action_redirect\": \"http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html\"},\r
    [\"starts-with\", \"$Content-Type\", \"image/\"],\r
    {\"x-amz-meta-uuid\": \"14365123651274\"},\r
    {\"x-amz-server-side-encryption\": \"AES256\"},\r
    [\"starts-with\", \"$x-amz-meta-tag\", \"\"],\r
\r
    {\"x-amz-credential\": \"AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request\"},\r
    {\"x-amz-algorithm\": \"AWS4-HMAC-SHA256\"},\r
    {\"x-amz-date\": \"20151229T000000Z\" }\r
  ]\r
}";
const CREDENTIAL: &str = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request";
const DATE: &str = "20151229T000000Z";
const SIGNATURE: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";

fn root() -> RootCredentials {
    RootCredentials {
        access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
    }
}

#[test]
fn the_published_signature_holds() {
    let policy = STANDARD.encode(POLICY);
    assert!(verify(&root(), CREDENTIAL, DATE, SIGNATURE, &policy).is_ok());
    let code = |credential: &str, date: &str, signature: &str, policy: &str| {
        let error = verify(&root(), credential, date, signature, policy).expect_err("refused");
        error.code().as_str().to_owned()
    };
    let cut = &policy[..policy.len() - 1];
    assert_eq!(code(CREDENTIAL, DATE, SIGNATURE, cut), "SignatureDoesNotMatch");
    assert_eq!(code(CREDENTIAL, DATE, "", &policy), "SignatureDoesNotMatch");
    let upper = SIGNATURE.to_uppercase();
    assert_eq!(code(CREDENTIAL, DATE, &upper, &policy), "SignatureDoesNotMatch");
    let elsewhere = CREDENTIAL.replace("us-east-1", "eu-west-1");
    assert_eq!(code(&elsewhere, DATE, SIGNATURE, &policy), "SignatureDoesNotMatch");
    let other = CREDENTIAL.replace("AKIA", "AKIB");
    assert_eq!(code(&other, DATE, SIGNATURE, &policy), "InvalidAccessKeyId");
    for (credential, date) in [
        (CREDENTIAL.replace("/s3/", "/iam/").as_str(), DATE),
        (CREDENTIAL.replace("aws4_request", "aws5").as_str(), DATE),
        (CREDENTIAL.replace("us-east-1", "").as_str(), DATE),
        (CREDENTIAL.replace("20151229", "2015").as_str(), DATE),
        (CREDENTIAL, "20151230T000000Z"),
        (CREDENTIAL, "yesterday"),
        ("", DATE),
    ] {
        assert_eq!(code(credential, date, SIGNATURE, &policy), "InvalidArgument", "{credential}");
    }
}

#[test]
fn the_published_form_is_allowed() {
    let policy = Policy::of_field(&STANDARD.encode(POLICY)).expect("a policy");
    let mut form = Fields::new();
    for (name, value) in [
        ("key", "user/user1/${filename}"),
        ("acl", "public-read"),
        (
            "success_action_redirect",
            "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        ),
        ("Content-Type", "image/jpeg"),
        ("x-amz-meta-uuid", "14365123651274"),
        ("x-amz-server-side-encryption", "AES256"),
        ("X-Amz-Credential", CREDENTIAL),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Date", DATE),
        ("x-amz-meta-tag", ""),
        ("Policy", "its text"),
        ("X-Amz-Signature", SIGNATURE),
    ] {
        form.insert(name.to_ascii_lowercase(), (name.to_owned(), value.to_owned()));
    }
    // 2015-12-30T11:59:59.999Z and the moment after.
    let last = UnixMillis(1_451_476_799_999);
    assert!(policy.check(&form, "sigv4examplebucket", last).is_ok());
    assert!(policy.check(&form, "sigv4examplebucket", UnixMillis(last.0 + 1)).is_err());
    assert!(policy.check(&form, "another", last).is_err());
    for name in form.keys().filter(|name| *name != "policy" && *name != "x-amz-signature") {
        let mut less = form.clone();
        less.remove(name);
        assert!(policy.check(&less, "sigv4examplebucket", last).is_err(), "{name} is not there");
    }
}
