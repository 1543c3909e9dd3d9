//! Every operation of the S3 model, and whether it works here: what clients, the documentation
//! and the gate ask. Names and requests are those of the botocore model `s3` (API version
//! 2006-03-01).

use http::Method;

use crate::implemented::IMPLEMENTED;

/// What the path of a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Neither bucket nor object.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

use Target::{Bucket, Object, Service};

/// An operation of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelOperation {
    /// As AWS names it.
    pub name: &'static str,
    /// Its HTTP method.
    pub method: &'static str,
    /// What its path names.
    pub target: Target,
    /// The parameter without a value that tells it from others; empty without one.
    pub subresource: &'static str,
}

const fn op(
    name: &'static str,
    method: &'static str,
    target: Target,
    subresource: &'static str,
) -> ModelOperation {
    ModelOperation { name, method, target, subresource }
}

/// Names that the model keeps for old clients. The request is the other operation's.
const OLD_NAMES: [(&str, &str); 4] = [
    ("GetBucketLifecycle", "GetBucketLifecycleConfiguration"),
    ("GetBucketNotification", "GetBucketNotificationConfiguration"),
    ("PutBucketLifecycle", "PutBucketLifecycleConfiguration"),
    ("PutBucketNotification", "PutBucketNotificationConfiguration"),
];

/// All of them, in the order of their names.
pub const ALL: [ModelOperation; 116] = [
    op("AbortMultipartUpload", "DELETE", Object, ""),
    op("CompleteMultipartUpload", "POST", Object, ""),
    op("CopyObject", "PUT", Object, ""),
    op("CreateBucket", "PUT", Bucket, ""),
    op("CreateBucketMetadataConfiguration", "POST", Bucket, "metadataConfiguration"),
    op("CreateBucketMetadataTableConfiguration", "POST", Bucket, "metadataTable"),
    op("CreateMultipartUpload", "POST", Object, "uploads"),
    op("CreateSession", "GET", Bucket, "session"),
    op("DeleteBucket", "DELETE", Bucket, ""),
    op("DeleteBucketAnalyticsConfiguration", "DELETE", Bucket, "analytics"),
    op("DeleteBucketCors", "DELETE", Bucket, "cors"),
    op("DeleteBucketEncryption", "DELETE", Bucket, "encryption"),
    op("DeleteBucketIntelligentTieringConfiguration", "DELETE", Bucket, "intelligent-tiering"),
    op("DeleteBucketInventoryConfiguration", "DELETE", Bucket, "inventory"),
    op("DeleteBucketLifecycle", "DELETE", Bucket, "lifecycle"),
    op("DeleteBucketMetadataConfiguration", "DELETE", Bucket, "metadataConfiguration"),
    op("DeleteBucketMetadataTableConfiguration", "DELETE", Bucket, "metadataTable"),
    op("DeleteBucketMetricsConfiguration", "DELETE", Bucket, "metrics"),
    op("DeleteBucketOwnershipControls", "DELETE", Bucket, "ownershipControls"),
    op("DeleteBucketPolicy", "DELETE", Bucket, "policy"),
    op("DeleteBucketReplication", "DELETE", Bucket, "replication"),
    op("DeleteBucketTagging", "DELETE", Bucket, "tagging"),
    op("DeleteBucketWebsite", "DELETE", Bucket, "website"),
    op("DeleteObject", "DELETE", Object, ""),
    op("DeleteObjectAnnotation", "DELETE", Object, "annotation"),
    op("DeleteObjectTagging", "DELETE", Object, "tagging"),
    op("DeleteObjects", "POST", Bucket, "delete"),
    op("DeletePublicAccessBlock", "DELETE", Bucket, "publicAccessBlock"),
    op("GetBucketAbac", "GET", Bucket, "abac"),
    op("GetBucketAccelerateConfiguration", "GET", Bucket, "accelerate"),
    op("GetBucketAcl", "GET", Bucket, "acl"),
    op("GetBucketAnalyticsConfiguration", "GET", Bucket, "analytics"),
    op("GetBucketCors", "GET", Bucket, "cors"),
    op("GetBucketEncryption", "GET", Bucket, "encryption"),
    op("GetBucketIntelligentTieringConfiguration", "GET", Bucket, "intelligent-tiering"),
    op("GetBucketInventoryConfiguration", "GET", Bucket, "inventory"),
    op("GetBucketLifecycle", "GET", Bucket, "lifecycle"),
    op("GetBucketLifecycleConfiguration", "GET", Bucket, "lifecycle"),
    op("GetBucketLocation", "GET", Bucket, "location"),
    op("GetBucketLogging", "GET", Bucket, "logging"),
    op("GetBucketMetadataConfiguration", "GET", Bucket, "metadataConfiguration"),
    op("GetBucketMetadataTableConfiguration", "GET", Bucket, "metadataTable"),
    op("GetBucketMetricsConfiguration", "GET", Bucket, "metrics"),
    op("GetBucketNotification", "GET", Bucket, "notification"),
    op("GetBucketNotificationConfiguration", "GET", Bucket, "notification"),
    op("GetBucketOwnershipControls", "GET", Bucket, "ownershipControls"),
    op("GetBucketPolicy", "GET", Bucket, "policy"),
    op("GetBucketPolicyStatus", "GET", Bucket, "policyStatus"),
    op("GetBucketReplication", "GET", Bucket, "replication"),
    op("GetBucketRequestPayment", "GET", Bucket, "requestPayment"),
    op("GetBucketTagging", "GET", Bucket, "tagging"),
    op("GetBucketVersioning", "GET", Bucket, "versioning"),
    op("GetBucketWebsite", "GET", Bucket, "website"),
    op("GetObject", "GET", Object, ""),
    op("GetObjectAcl", "GET", Object, "acl"),
    op("GetObjectAnnotation", "GET", Object, "annotation"),
    op("GetObjectAttributes", "GET", Object, "attributes"),
    op("GetObjectLegalHold", "GET", Object, "legal-hold"),
    op("GetObjectLockConfiguration", "GET", Bucket, "object-lock"),
    op("GetObjectRetention", "GET", Object, "retention"),
    op("GetObjectTagging", "GET", Object, "tagging"),
    op("GetObjectTorrent", "GET", Object, "torrent"),
    op("GetPublicAccessBlock", "GET", Bucket, "publicAccessBlock"),
    op("HeadBucket", "HEAD", Bucket, ""),
    op("HeadObject", "HEAD", Object, ""),
    op("ListBucketAnalyticsConfigurations", "GET", Bucket, "analytics"),
    op("ListBucketIntelligentTieringConfigurations", "GET", Bucket, "intelligent-tiering"),
    op("ListBucketInventoryConfigurations", "GET", Bucket, "inventory"),
    op("ListBucketMetricsConfigurations", "GET", Bucket, "metrics"),
    op("ListBuckets", "GET", Service, ""),
    op("ListDirectoryBuckets", "GET", Service, ""),
    op("ListMultipartUploads", "GET", Bucket, "uploads"),
    op("ListObjectAnnotations", "GET", Object, "annotation"),
    op("ListObjectVersions", "GET", Bucket, "versions"),
    op("ListObjects", "GET", Bucket, ""),
    op("ListObjectsV2", "GET", Bucket, ""),
    op("ListParts", "GET", Object, ""),
    op("PutBucketAbac", "PUT", Bucket, "abac"),
    op("PutBucketAccelerateConfiguration", "PUT", Bucket, "accelerate"),
    op("PutBucketAcl", "PUT", Bucket, "acl"),
    op("PutBucketAnalyticsConfiguration", "PUT", Bucket, "analytics"),
    op("PutBucketCors", "PUT", Bucket, "cors"),
    op("PutBucketEncryption", "PUT", Bucket, "encryption"),
    op("PutBucketIntelligentTieringConfiguration", "PUT", Bucket, "intelligent-tiering"),
    op("PutBucketInventoryConfiguration", "PUT", Bucket, "inventory"),
    op("PutBucketLifecycle", "PUT", Bucket, "lifecycle"),
    op("PutBucketLifecycleConfiguration", "PUT", Bucket, "lifecycle"),
    op("PutBucketLogging", "PUT", Bucket, "logging"),
    op("PutBucketMetricsConfiguration", "PUT", Bucket, "metrics"),
    op("PutBucketNotification", "PUT", Bucket, "notification"),
    op("PutBucketNotificationConfiguration", "PUT", Bucket, "notification"),
    op("PutBucketOwnershipControls", "PUT", Bucket, "ownershipControls"),
    op("PutBucketPolicy", "PUT", Bucket, "policy"),
    op("PutBucketReplication", "PUT", Bucket, "replication"),
    op("PutBucketRequestPayment", "PUT", Bucket, "requestPayment"),
    op("PutBucketTagging", "PUT", Bucket, "tagging"),
    op("PutBucketVersioning", "PUT", Bucket, "versioning"),
    op("PutBucketWebsite", "PUT", Bucket, "website"),
    op("PutObject", "PUT", Object, ""),
    op("PutObjectAcl", "PUT", Object, "acl"),
    op("PutObjectAnnotation", "PUT", Object, "annotation"),
    op("PutObjectLegalHold", "PUT", Object, "legal-hold"),
    op("PutObjectLockConfiguration", "PUT", Bucket, "object-lock"),
    op("PutObjectRetention", "PUT", Object, "retention"),
    op("PutObjectTagging", "PUT", Object, "tagging"),
    op("PutPublicAccessBlock", "PUT", Bucket, "publicAccessBlock"),
    op("RenameObject", "PUT", Object, "renameObject"),
    op("RestoreObject", "POST", Object, "restore"),
    op("SelectObjectContent", "POST", Object, "select"),
    op(
        "UpdateBucketMetadataAnnotationTableConfiguration",
        "PUT",
        Bucket,
        "metadataAnnotationTable",
    ),
    op("UpdateBucketMetadataInventoryTableConfiguration", "PUT", Bucket, "metadataInventoryTable"),
    op("UpdateBucketMetadataJournalTableConfiguration", "PUT", Bucket, "metadataJournalTable"),
    op("UpdateObjectEncryption", "PUT", Object, "encryption"),
    op("UploadPart", "PUT", Object, ""),
    op("UploadPartCopy", "PUT", Object, ""),
    op("WriteGetObjectResponse", "POST", Service, ""),
];

impl ModelOperation {
    /// Whether it works. Every other one answers 501 `NotImplemented`.
    pub fn works(&self) -> bool {
        let old = OLD_NAMES.iter().find(|(old, _)| *old == self.name);
        let method = snake_case(old.map_or(self.name, |(_, name)| name));
        IMPLEMENTED.contains(&method.as_str())
    }
}

/// The operation that such a request means and that does not work. s3s does not know all of
/// them, and would take one that it does not know for the operation without the subresource.
pub(crate) fn refused(method: &Method, target: Target, query: &str) -> Option<&'static str> {
    if query.is_empty() {
        return None;
    }
    let asked = |subresource: &str| {
        !subresource.is_empty()
            && query.split('&').any(|pair| pair.split('=').next() == Some(subresource))
    };
    ALL.iter()
        .filter(|it| it.method == method.as_str() && it.target == target && asked(it.subresource))
        .find(|it| !it.works() && !shares_its_request(it))
        .map(|it| it.name)
}

/// Whether an operation that works has the same request: a parameter's value tells which.
fn shares_its_request(it: &ModelOperation) -> bool {
    ALL.iter().any(|other| {
        (other.method, other.target, other.subresource) == (it.method, it.target, it.subresource)
            && other.works()
    })
}

/// `GetBucketCors` as Rust names its function.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    for (at, c) in name.char_indices() {
        if c.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests;
