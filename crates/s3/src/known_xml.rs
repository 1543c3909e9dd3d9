//! Elements that no document of the model has. The protocol library skips what it does not
//! know; AWS answers `MalformedXML`, and so do we: a misspelt element would otherwise be
//! accepted and ignored.

use quick_xml::{Reader, events::Event};

/// The elements that may stand in a document, by its root. Names of the botocore `s3` model.
const DOCUMENTS: [(&str, &[&str]); 15] = [
    (
        "BucketLoggingStatus",
        &[
            "LoggingEnabled",
            "TargetBucket",
            "TargetPrefix",
            "TargetGrants",
            "Grant",
            "Grantee",
            "DisplayName",
            "EmailAddress",
            "ID",
            "URI",
            "Permission",
            "TargetObjectKeyFormat",
            "SimplePrefix",
            "PartitionedPrefix",
            "PartitionDateSource",
        ],
    ),
    (
        "CORSConfiguration",
        &[
            "CORSRule",
            "ID",
            "AllowedHeader",
            "AllowedMethod",
            "AllowedOrigin",
            "ExposeHeader",
            "MaxAgeSeconds",
        ],
    ),
    (
        "CompleteMultipartUpload",
        &[
            "Part",
            "PartNumber",
            "ETag",
            "ChecksumCRC32",
            "ChecksumCRC32C",
            "ChecksumCRC64NVME",
            "ChecksumSHA1",
            "ChecksumSHA256",
            "ChecksumSHA512",
            "ChecksumMD5",
            "ChecksumXXHASH64",
            "ChecksumXXHASH3",
            "ChecksumXXHASH128",
        ],
    ),
    (
        "CreateBucketConfiguration",
        &[
            "LocationConstraint",
            "Location",
            "Type",
            "Name",
            "Bucket",
            "DataRedundancy",
            "Tags",
            "Tag",
            "Key",
            "Value",
        ],
    ),
    ("Delete", &["Object", "Key", "VersionId", "ETag", "LastModifiedTime", "Size", "Quiet"]),
    (
        "InventoryConfiguration",
        &[
            "Destination",
            "S3BucketDestination",
            "AccountId",
            "Bucket",
            "Format",
            "Prefix",
            "Encryption",
            "SSE-S3",
            "SSE-KMS",
            "KeyId",
            "IsEnabled",
            "Filter",
            "Id",
            "IncludedObjectVersions",
            "OptionalFields",
            "Field",
            "Schedule",
            "Frequency",
        ],
    ),
    ("LegalHold", &["Status"]),
    (
        "LifecycleConfiguration",
        &[
            "Rule",
            "ID",
            "Prefix",
            "Filter",
            "And",
            "Tag",
            "Key",
            "Value",
            "ObjectSizeGreaterThan",
            "ObjectSizeLessThan",
            "Status",
            "Expiration",
            "Days",
            "Date",
            "ExpiredObjectDeleteMarker",
            "Transition",
            "StorageClass",
            "NoncurrentVersionTransition",
            "NoncurrentDays",
            "NewerNoncurrentVersions",
            "NoncurrentVersionExpiration",
            "AbortIncompleteMultipartUpload",
            "DaysAfterInitiation",
        ],
    ),
    (
        "NotificationConfiguration",
        &[
            "TopicConfiguration",
            "QueueConfiguration",
            "CloudFunctionConfiguration",
            "EventBridgeConfiguration",
            "Id",
            "Topic",
            "Queue",
            "CloudFunction",
            "Event",
            "Filter",
            "S3Key",
            "FilterRule",
            "Name",
            "Value",
        ],
    ),
    (
        "ObjectLockConfiguration",
        &["ObjectLockEnabled", "Rule", "DefaultRetention", "Mode", "Days", "Years"],
    ),
    (
        "RestoreRequest",
        &[
            "Days",
            "Description",
            "GlacierJobParameters",
            "Tier",
            "Type",
            // Of restores of type SELECT, which are refused by name.
            "OutputLocation",
            "S3",
            "BucketName",
            "Prefix",
            "Encryption",
            "EncryptionType",
            "KMSKeyId",
            "KMSContext",
            "CannedACL",
            "AccessControlList",
            "Grant",
            "Grantee",
            "DisplayName",
            "EmailAddress",
            "ID",
            "URI",
            "Permission",
            "Tagging",
            "TagSet",
            "Tag",
            "Key",
            "Value",
            "UserMetadata",
            "MetadataEntry",
            "Name",
            "StorageClass",
            "SelectParameters",
            "InputSerialization",
            "CSV",
            "FileHeaderInfo",
            "Comments",
            "QuoteEscapeCharacter",
            "RecordDelimiter",
            "FieldDelimiter",
            "QuoteCharacter",
            "QuoteFields",
            "AllowQuotedRecordDelimiter",
            "CompressionType",
            "JSON",
            "Parquet",
            "ExpressionType",
            "Expression",
            "OutputSerialization",
        ],
    ),
    ("Retention", &["Mode", "RetainUntilDate"]),
    ("Tagging", &["TagSet", "Tag", "Key", "Value"]),
    ("VersioningConfiguration", &["Status", "MfaDelete"]),
    (
        "WebsiteConfiguration",
        &[
            "IndexDocument",
            "Suffix",
            "ErrorDocument",
            "Key",
            "RedirectAllRequestsTo",
            "HostName",
            "Protocol",
            "RoutingRules",
            "RoutingRule",
            "Condition",
            "HttpErrorCodeReturnedEquals",
            "KeyPrefixEquals",
            "Redirect",
            "HttpRedirectCode",
            "ReplaceKeyPrefixWith",
            "ReplaceKeyWith",
        ],
    ),
];

/// The first element that does not belong into the document. `None` also for a document that
/// is not listed or is no XML: the library answers that.
pub(crate) fn unknown_element(document: &[u8]) -> Option<String> {
    let mut reader = Reader::from_reader(document);
    let mut known: Option<&[&str]> = None;
    loop {
        let element = match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => element,
            Ok(Event::Eof) | Err(_) => return None,
            Ok(_) => continue,
        };
        let name = element.local_name();
        let name: &str = name.as_ref();
        match known {
            None => known = Some(DOCUMENTS.iter().find(|(root, _)| *root == name)?.1),
            Some(known) if known.contains(&name) => {}
            Some(_) => return Some(name.chars().take(64).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strange_elements_of_known_documents_are_found() {
        for (document, found) in [
            ("<Delete><Object><Key>k</Key></Object><Quiet>true</Quiet></Delete>", None),
            ("<Delete xmlns=\"x\"><Objects/></Delete>", Some("Objects")),
            ("<Delete><Object><Key>k</Key><Kind>x</Kind></Object></Delete>", Some("Kind")),
            (
                "<?xml version=\"1.0\"?><s:Delete xmlns:s=\"x\"><s:Quiet>1</s:Quiet></s:Delete>",
                None,
            ),
            ("<Delete><Object", None),
            ("<Other><Thing/></Other>", None),
            ("", None),
            ("\u{0}\u{1}", None),
            ("<Retention><Mode>GOVERNANCE</Mode><EventHold/></Retention>", Some("EventHold")),
        ] {
            assert_eq!(unknown_element(document.as_bytes()).as_deref(), found, "{document}");
        }
    }
}
