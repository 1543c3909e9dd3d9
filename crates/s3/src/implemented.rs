//! Which operations there are: the implemented ones, each in its verb family's file. All
//! others answer 501 `NotImplemented` by the trait's defaults.

use std::sync::Arc;

use async_trait::async_trait;
use s3s::{S3, S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api, attributes, buckets, copy, cors, delete, errors::not_implemented, get, inventory,
    lifecycle, list, list_uploads, list_versions, logging, multipart, notification, object_lock,
    put, rename, restore, tagging, versioning, website,
};

/// The [`Api`] as s3s calls it.
pub(crate) struct SharedApi(pub(crate) Arc<Api>);

/// Writes the trait's methods that hand their request to a function of the same name.
macro_rules! operations {
    ($($module:ident::$method:ident($input:ident) -> $output:ident;)*) => {
        /// As the functions are called.
        pub(crate) const IMPLEMENTED: &[&str] = &[$(stringify!($method)),*];

        #[async_trait]
        impl S3 for SharedApi {
            $(
                async fn $method(
                    &self,
                    request: S3Request<$input>,
                ) -> S3Result<S3Response<$output>> {
                    $module::$method(&self.0, request).await
                }
            )*

            /// The trait would make a PutObject of it. Forms do not come so far.
            async fn post_object(
                &self,
                _: S3Request<PostObjectInput>,
            ) -> S3Result<S3Response<PostObjectOutput>> {
                Err(not_implemented("PostObject on this path"))
            }
        }
    };
}

operations! {
    buckets::create_bucket(CreateBucketInput) -> CreateBucketOutput;
    buckets::delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
    buckets::head_bucket(HeadBucketInput) -> HeadBucketOutput;
    buckets::list_buckets(ListBucketsInput) -> ListBucketsOutput;
    buckets::get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    versioning::put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput;
    versioning::get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    object_lock::put_object_lock_configuration(PutObjectLockConfigurationInput) -> PutObjectLockConfigurationOutput;
    object_lock::get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput;
    object_lock::put_object_retention(PutObjectRetentionInput) -> PutObjectRetentionOutput;
    object_lock::get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput;
    object_lock::put_object_legal_hold(PutObjectLegalHoldInput) -> PutObjectLegalHoldOutput;
    object_lock::get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput;
    tagging::put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput;
    tagging::get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    tagging::delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput;
    tagging::put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput;
    tagging::get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput;
    tagging::delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput;
    put::put_object(PutObjectInput) -> PutObjectOutput;
    get::get_object(GetObjectInput) -> GetObjectOutput;
    get::head_object(HeadObjectInput) -> HeadObjectOutput;
    delete::delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    delete::delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    copy::copy_object(CopyObjectInput) -> CopyObjectOutput;
    rename::rename_object(RenameObjectInput) -> RenameObjectOutput;
    restore::restore_object(RestoreObjectInput) -> RestoreObjectOutput;
    copy::upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
    list::list_objects(ListObjectsInput) -> ListObjectsOutput;
    list::list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    list_versions::list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
    multipart::create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    multipart::upload_part(UploadPartInput) -> UploadPartOutput;
    multipart::complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    multipart::abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    list_uploads::list_parts(ListPartsInput) -> ListPartsOutput;
    list_uploads::list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
    cors::put_bucket_cors(PutBucketCorsInput) -> PutBucketCorsOutput;
    cors::get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput;
    cors::delete_bucket_cors(DeleteBucketCorsInput) -> DeleteBucketCorsOutput;
    lifecycle::put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput;
    lifecycle::get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput;
    lifecycle::delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput;
    inventory::put_bucket_inventory_configuration(PutBucketInventoryConfigurationInput) -> PutBucketInventoryConfigurationOutput;
    inventory::get_bucket_inventory_configuration(GetBucketInventoryConfigurationInput) -> GetBucketInventoryConfigurationOutput;
    inventory::delete_bucket_inventory_configuration(DeleteBucketInventoryConfigurationInput) -> DeleteBucketInventoryConfigurationOutput;
    inventory::list_bucket_inventory_configurations(ListBucketInventoryConfigurationsInput) -> ListBucketInventoryConfigurationsOutput;
    logging::put_bucket_logging(PutBucketLoggingInput) -> PutBucketLoggingOutput;
    logging::get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput;
    notification::put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput;
    notification::get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput;
    website::put_bucket_website(PutBucketWebsiteInput) -> PutBucketWebsiteOutput;
    website::get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput;
    website::delete_bucket_website(DeleteBucketWebsiteInput) -> DeleteBucketWebsiteOutput;
    attributes::get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput;
}

#[cfg(test)]
mod tests {
    use super::IMPLEMENTED;

    /// What the project promises. Every other operation is the trait's default, 501; the
    /// edge's tests ask for those over HTTP.
    #[test]
    fn the_promised_operations_are_there() {
        let mut promised = [
            "abort_multipart_upload",
            "complete_multipart_upload",
            "copy_object",
            "create_bucket",
            "create_multipart_upload",
            "delete_bucket",
            "delete_bucket_cors",
            "delete_bucket_inventory_configuration",
            "delete_bucket_lifecycle",
            "delete_bucket_tagging",
            "delete_bucket_website",
            "delete_object",
            "delete_object_tagging",
            "delete_objects",
            "get_bucket_cors",
            "get_bucket_inventory_configuration",
            "get_bucket_lifecycle_configuration",
            "get_bucket_location",
            "get_bucket_logging",
            "get_bucket_notification_configuration",
            "get_bucket_tagging",
            "get_bucket_versioning",
            "get_bucket_website",
            "get_object",
            "get_object_attributes",
            "get_object_legal_hold",
            "get_object_lock_configuration",
            "get_object_retention",
            "get_object_tagging",
            "head_bucket",
            "head_object",
            "list_bucket_inventory_configurations",
            "list_buckets",
            "list_multipart_uploads",
            "list_object_versions",
            "list_objects",
            "list_objects_v2",
            "list_parts",
            "put_bucket_cors",
            "put_bucket_inventory_configuration",
            "put_bucket_lifecycle_configuration",
            "put_bucket_logging",
            "put_bucket_notification_configuration",
            "put_bucket_tagging",
            "put_bucket_versioning",
            "put_bucket_website",
            "put_object",
            "put_object_legal_hold",
            "put_object_lock_configuration",
            "put_object_retention",
            "put_object_tagging",
            "rename_object",
            "restore_object",
            "upload_part",
            "upload_part_copy",
        ];
        let mut there = IMPLEMENTED.to_vec();
        promised.sort_unstable();
        there.sort_unstable();
        assert_eq!(there, promised);
    }
}
