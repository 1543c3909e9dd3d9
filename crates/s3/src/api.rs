//! Which operations there are: the implemented ones, each in its verb family's file. All
//! others answer 501 `NotImplemented` by the trait's defaults.

use async_trait::async_trait;
use objects::Objects;
use s3s::{S3, S3Request, S3Response, S3Result, dto::*};
use sha2::{Digest, Sha256};
use types::UnixMillis;

use crate::{
    Settings, attributes, buckets, copy, delete, errors::not_implemented, get, list, multipart,
    put, text,
};

/// What every operation works with.
pub(crate) struct Api {
    pub(crate) objects: Objects,
    pub(crate) settings: Settings,
}

impl Api {
    /// The owner of everything: its canonical id is derived from the account.
    pub(crate) fn owner(&self) -> Owner {
        Owner {
            id: Some(hex::encode(Sha256::digest(self.settings.account.as_bytes()))),
            display_name: None,
        }
    }

    /// Now, in whole seconds: for answers that carry a time nobody stored.
    pub(crate) fn now(&self) -> Timestamp {
        text::timestamp(UnixMillis(self.objects.clock().now_ms()))
    }

    /// The same as whoever began an upload.
    pub(crate) fn initiator(&self) -> Initiator {
        let Owner { id, display_name } = self.owner();
        Initiator { id, display_name }
    }
}

/// Writes the trait's methods that hand their request to a function of the same name.
macro_rules! operations {
    ($($module:ident::$method:ident($input:ident) -> $output:ident;)*) => {
        #[cfg(test)]
        pub(crate) const IMPLEMENTED: &[&str] = &[$(stringify!($method)),*];

        #[async_trait]
        impl S3 for Api {
            $(
                async fn $method(
                    &self,
                    request: S3Request<$input>,
                ) -> S3Result<S3Response<$output>> {
                    $module::$method(self, request).await
                }
            )*

            /// The trait would make a PutObject of it, without the form's own rules.
            async fn post_object(
                &self,
                _: S3Request<PostObjectInput>,
            ) -> S3Result<S3Response<PostObjectOutput>> {
                Err(not_implemented("PostObject (upload by HTML form)"))
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
    put::put_object(PutObjectInput) -> PutObjectOutput;
    get::get_object(GetObjectInput) -> GetObjectOutput;
    get::head_object(HeadObjectInput) -> HeadObjectOutput;
    delete::delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    delete::delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    copy::copy_object(CopyObjectInput) -> CopyObjectOutput;
    copy::upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput;
    list::list_objects(ListObjectsInput) -> ListObjectsOutput;
    list::list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    multipart::create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    multipart::upload_part(UploadPartInput) -> UploadPartOutput;
    multipart::complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    multipart::abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    multipart::list_parts(ListPartsInput) -> ListPartsOutput;
    multipart::list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
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
            "delete_object",
            "delete_objects",
            "get_bucket_location",
            "get_object",
            "get_object_attributes",
            "head_bucket",
            "head_object",
            "list_buckets",
            "list_multipart_uploads",
            "list_objects",
            "list_objects_v2",
            "list_parts",
            "put_object",
            "upload_part",
            "upload_part_copy",
        ];
        let mut there = IMPLEMENTED.to_vec();
        promised.sort_unstable();
        there.sort_unstable();
        assert_eq!(there, promised);
    }
}
