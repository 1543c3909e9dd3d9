//! GetObjectAttributes.

use s3s::{S3Request, S3Response, S3Result, dto::*};
use types::{Content, ObjectHead};

use crate::{
    api::Api,
    checksum::{self, set_checksum},
    delete_marker,
    errors::{from_objects, invalid_argument},
    get::signed,
    list::page_size,
    text, versioning,
};

/// How often a read begins again because the object was replaced under it.
const REPLACED_TRIES: usize = 5;

const KNOWN: [&str; 5] = [
    ObjectAttributes::CHECKSUM,
    ObjectAttributes::ETAG,
    ObjectAttributes::OBJECT_PARTS,
    ObjectAttributes::OBJECT_SIZE,
    ObjectAttributes::STORAGE_CLASS,
];

/// `GET /bucket/key?attributes`: what `x-amz-object-attributes` lists.
pub(crate) async fn get_object_attributes(
    api: &Api,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    let asked = asked(&input.object_attributes)?;
    let version = versioning::named(input.version_id.as_deref())?;
    let page = PartsPage::of(input.part_number_marker, input.max_parts)?;
    for _ in 0..=REPLACED_TRIES {
        let head = api.objects.head(&input.bucket, &input.key, version).await;
        let head = head.map_err(|error| delete_marker::of_read(error, version))?;
        let object_parts = if asked.contains(&ObjectAttributes::OBJECT_PARTS) {
            match page.read(api, &input.bucket, &input.key, &head).await {
                Err(objects::Error::Replaced) => continue,
                parts => parts.map_err(from_objects)?,
            }
        } else {
            None
        };
        let mut output = shown(&asked, &head);
        output.object_parts = object_parts;
        output.version_id = versioning::of_read(api, &input.bucket, &head).await?;
        return Ok(S3Response::new(output));
    }
    Err(from_objects(objects::Error::Replaced))
}

/// The names in the header, which may list several in one value.
fn asked(values: &[ObjectAttributes]) -> S3Result<Vec<&str>> {
    let names = values.iter().flat_map(|value| value.as_str().split(','));
    let asked: Vec<&str> = names.map(str::trim).filter(|name| !name.is_empty()).collect();
    if asked.is_empty() || asked.iter().any(|name| !KNOWN.contains(name)) {
        return Err(invalid_argument(
            "Invalid attribute name specified in the x-amz-object-attributes header.",
        ));
    }
    Ok(asked)
}

/// Everything but parts and version.
fn shown(asked: &[&str], head: &ObjectHead) -> GetObjectAttributesOutput {
    let mut output = GetObjectAttributesOutput {
        last_modified: Some(text::timestamp(head.modified)),
        ..Default::default()
    };
    for name in asked {
        match *name {
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
            ObjectAttributes::OBJECT_SIZE => output.object_size = Some(signed(head.size)),
            ObjectAttributes::STORAGE_CLASS => {
                let class = head.attributes.class.as_str();
                output.storage_class = Some(StorageClass::from_static(class));
            }
            _ => {}
        }
    }
    output
}

/// Which of the parts are asked for.
struct PartsPage {
    after: u16,
    limit: u32,
}

impl PartsPage {
    fn of(marker: Option<i32>, max: Option<i32>) -> S3Result<Self> {
        let limit = page_size(max, "max-parts")?;
        let marker = marker.unwrap_or(0);
        if marker < 0 {
            return Err(invalid_argument("The part number marker must not be negative."));
        }
        Ok(Self { after: u16::try_from(marker).unwrap_or(u16::MAX), limit })
    }

    /// The parts of a multipart object; `None` of another one. As on AWS only their number if
    /// they have no checksums.
    async fn read(
        &self,
        api: &Api,
        bucket: &str,
        key: &str,
        head: &ObjectHead,
    ) -> Result<Option<GetObjectAttributesParts>, objects::Error> {
        let Content::Parts { count, .. } = head.content else { return Ok(None) };
        let mut output = GetObjectAttributesParts {
            total_parts_count: Some(i32::from(count)),
            ..Default::default()
        };
        let limit = self.limit.max(1);
        let (mut parts, mut truncated) =
            api.objects.object_parts(bucket, key, head, self.after, limit).await?;
        if self.limit == 0 {
            truncated = false;
            parts.clear();
        }
        if parts.iter().any(|part| part.checksum.is_none()) {
            return Ok(Some(output));
        }
        output.is_truncated = Some(truncated);
        output.max_parts = Some(self.limit as i32);
        output.part_number_marker = Some(i32::from(self.after));
        let last = parts.last().map_or(self.after, |part| part.number);
        output.next_part_number_marker = Some(i32::from(last));
        let shown = parts.into_iter().map(|part| {
            let mut shown = ObjectPart {
                part_number: Some(i32::from(part.number)),
                size: Some(signed(part.size)),
                ..Default::default()
            };
            set_checksum!(shown, part.checksum.as_ref());
            shown
        });
        output.parts = Some(shown.collect());
        Ok(Some(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        let header = |text: &'static str| [ObjectAttributes::from_static(text)];
        assert_eq!(asked(&header("ETag, ObjectSize")).expect("known"), ["ETag", "ObjectSize"]);
        for bad in ["", ",", "etag", "ETag,Owner"] {
            assert!(asked(&header(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn pages_of_parts() {
        let page = |marker, max| PartsPage::of(marker, max).map(|page| (page.after, page.limit));
        assert_eq!(page(None, None).expect("valid"), (0, 1000));
        assert_eq!(page(Some(70_000), Some(5000)).expect("valid"), (u16::MAX, 1000));
        assert!(page(Some(-1), None).is_err());
        assert!(page(None, Some(-1)).is_err());
    }
}
