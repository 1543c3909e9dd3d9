//! The table against the code, and the document against the table.

use std::{fmt::Write, path::Path};

use super::*;

/// The variable that writes the document anew.
const REGENERATE: &str = "SHARDLAKE_REGENERATE";

#[test]
fn the_table_is_the_models() {
    assert!(ALL.is_sorted_by(|a, b| a.name < b.name));
    for name in IMPLEMENTED {
        let there = ALL.iter().any(|it| snake_case(it.name) == *name);
        assert!(there, "{name} is implemented and no operation of the model");
    }
    let old = OLD_NAMES.iter().flat_map(|(old, name)| [old, name]);
    for name in old {
        assert!(ALL.iter().any(|it| it.name == *name), "{name}");
    }
    let works = ALL.iter().filter(|it| it.works()).count();
    let old =
        OLD_NAMES.iter().filter(|(old, _)| ALL.iter().any(|it| it.name == *old && it.works()));
    assert_eq!(works, IMPLEMENTED.len() + old.count());
}

#[test]
fn requests_that_would_be_taken_for_others_are_refused_by_name() {
    let refused =
        |method: &str, target, query| refused(&method.parse().expect("a method"), target, query);
    assert_eq!(
        refused("PUT", Bucket, "metadataAnnotationTable"),
        Some("UpdateBucketMetadataAnnotationTableConfiguration")
    );
    assert_eq!(refused("PUT", Object, "annotation="), Some("PutObjectAnnotation"));
    assert_eq!(refused("GET", Bucket, "x=1&acl"), Some("GetBucketAcl"));
    assert_eq!(refused("GET", Object, "acl&versionId=1"), Some("GetObjectAcl"));
    assert_eq!(refused("POST", Object, "select&select-type=2"), Some("SelectObjectContent"));
    for (method, target, query) in [
        ("GET", Bucket, ""),
        ("GET", Bucket, "cors"),
        ("GET", Bucket, "list-type=2&prefix=acl"),
        ("GET", Bucket, "uploads"),
        ("PUT", Object, "partNumber=1&uploadId=2"),
        ("POST", Object, "uploads"),
        ("GET", Object, "response-content-type=acl"),
    ] {
        assert_eq!(refused(method, target, query), None, "{method} {query}");
    }
}

fn document() -> String {
    let works = ALL.iter().filter(|it| it.works()).count();
    let mut text = format!(
        "# S3 operations\n\n\
         Every operation of the S3 model ({} of them, in the order of their names), and what a request for it gets: \
         **works** as AWS documents it,\nor **501** `NotImplemented` with a message that names it. \
         Nothing is accepted and then ignored. {works} work.\n\n\
         A test writes this file from the code: `{REGENERATE}=1 cargo test --release -p s3 operations`.\n\n\
         Besides the model's operations:\n\n\
         | request | answer |\n|---|---|\n\
         | `POST /BUCKET` with an HTML form (PostObject) | works, with a SigV4 policy |\n\
         | `OPTIONS` (preflight of a cross-origin request) | works, by the bucket's CORS rules |\n\
         | `GET`, `HEAD` on `BUCKET.WEBSITE-DOMAIN` | works where the operator has set `gateway.website_domain` |\n\n\
         ## The model\n\n\
         | operation | request | answer |\n|---|---|---|\n",
        ALL.len()
    );
    for it in &ALL {
        let path = match it.target {
            Service if it.name == "WriteGetObjectResponse" => "/WriteGetObjectResponse",
            Service => "/",
            Bucket => "/BUCKET",
            Object => "/BUCKET/KEY",
        };
        let query = match it.subresource {
            "" => String::new(),
            subresource => format!("?{subresource}"),
        };
        let answer = if it.works() { "works" } else { "501" };
        let _ = writeln!(text, "| {} | `{} {path}{query}` | {answer} |", it.name, it.method);
    }
    text
}

#[test]
fn the_document_says_what_the_code_does() {
    // At run time: the tests may have been compiled in another folder.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it for tests");
    let path = Path::new(&folder).join("../../docs/s3-operations.md");
    let expected = document();
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&path, &expected).expect("docs can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == expected,
        "docs/s3-operations.md is old: run {REGENERATE}=1 cargo test --release -p s3 operations"
    );
}
