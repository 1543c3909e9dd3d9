//! GetObjectAttributes.

use s3s::{S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    checksum::{self, set_checksum},
    errors::{from_objects, invalid_argument},
    get::signed,
    text,
};

/// `GET /bucket/key?attributes`: what `x-amz-object-attributes` lists.
///
/// `ObjectParts` says how many parts there are. The parts themselves are not listed: the
/// index keeps them, but the object layer does not show them yet. AWS answers in the same
/// way for objects whose parts have no checksums of their own.
pub(crate) async fn get_object_attributes(
    api: &Api,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    // The header may list several names in one value.
    let asked: Vec<&str> = input
        .object_attributes
        .iter()
        .flat_map(|value| value.as_str().split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    const KNOWN: [&str; 5] = [
        ObjectAttributes::CHECKSUM,
        ObjectAttributes::ETAG,
        ObjectAttributes::OBJECT_PARTS,
        ObjectAttributes::OBJECT_SIZE,
        ObjectAttributes::STORAGE_CLASS,
    ];
    if asked.is_empty() || asked.iter().any(|name| !KNOWN.contains(name)) {
        return Err(invalid_argument(
            "Invalid attribute name specified in the x-amz-object-attributes header.",
        ));
    }
    let head = api.objects.head(&input.bucket, &input.key).await.map_err(from_objects)?;
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(text::timestamp(head.modified)),
        ..Default::default()
    };
    for name in asked {
        match name {
            ObjectAttributes::CHECKSUM => {
                if let Some(checksum) = &head.checksum {
                    let mut shown = Checksum {
                        checksum_type: checksum::kind(Some(checksum)),
                        ..Default::default()
                    };
                    set_checksum!(shown, Some(checksum));
                    output.checksum = Some(shown);
                }
            }
            ObjectAttributes::ETAG => output.e_tag = Some(text::etag(head.etag)),
            ObjectAttributes::OBJECT_PARTS if head.etag.parts > 0 => {
                output.object_parts = Some(GetObjectAttributesParts {
                    total_parts_count: Some(i32::from(head.etag.parts)),
                    ..Default::default()
                });
            }
            ObjectAttributes::OBJECT_SIZE => output.object_size = Some(signed(head.size)),
            ObjectAttributes::STORAGE_CLASS => {
                output.storage_class = Some(StorageClass::from_static(StorageClass::STANDARD));
            }
            _ => {}
        }
    }
    Ok(S3Response::new(output))
}
