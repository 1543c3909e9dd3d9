//! ListObjects (V1) and ListObjectsV2.

use metastore::api::index::{ListAfter, ListEntry};
use objects::request::Page;
use s3s::{S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    checksum,
    errors::{from_objects, invalid_argument},
    get::signed,
    storage_class, text,
};

/// Token kinds: where the next page begins.
const AFTER_KEY: u8 = b'k';
/// See [`AFTER_KEY`].
const AFTER_PREFIX: u8 = b'p';

/// The entries of one page.
const PAGE_MAX: i32 = 1000;

/// A page size between 0 and 1,000; more is cut, less than nothing refused.
pub(crate) fn page_size(asked: Option<i32>, name: &str) -> S3Result<u32> {
    match asked {
        None => Ok(PAGE_MAX.unsigned_abs()),
        Some(asked) if asked < 0 => Err(invalid_argument(format!(
            "Argument {name} must be an integer between 0 and 2147483647"
        ))),
        Some(asked) => Ok(asked.min(PAGE_MAX).unsigned_abs()),
    }
}

/// How keys are written into the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// As they are: a key that XML cannot carry is refused.
    Plain,
    /// Percent-encoded (`encoding-type=url`).
    Url,
}

impl Encoding {
    pub(crate) fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None | Some("") => Ok(Self::Plain),
            Some(EncodingType::URL) => Ok(Self::Url),
            Some(_) => Err(invalid_argument("Invalid Encoding Method specified in Request")),
        }
    }

    pub(crate) fn apply(self, text: String) -> S3Result<String> {
        match self {
            Self::Url => Ok(text::url_encode(&text)),
            Self::Plain if text::fits_xml(&text) => Ok(text),
            Self::Plain => Err(invalid_argument(
                "This page has a key with control characters, which XML cannot carry: list with \
                 encoding-type=url.",
            )),
        }
    }

    pub(crate) fn apply_some(self, text: Option<String>) -> S3Result<Option<String>> {
        text.map(|text| self.apply(text)).transpose()
    }

    pub(crate) fn prefixes(self, prefixes: Vec<String>) -> S3Result<Vec<CommonPrefix>> {
        let common = |prefix| Ok(CommonPrefix { prefix: Some(self.apply(prefix)?) });
        prefixes.into_iter().map(common).collect()
    }

    pub(crate) fn output(self) -> Option<EncodingType> {
        (self == Self::Url).then(|| EncodingType::from_static(EncodingType::URL))
    }
}

/// A page as both versions show it.
struct Shown {
    contents: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    next: Option<ListAfter>,
}

/// What a listing says of every object only if asked.
struct Extra {
    owner: Option<Owner>,
    /// `RestoreStatus`.
    restore: bool,
}

#[expect(clippy::too_many_arguments, reason = "the words of the one request")]
async fn list(
    api: &Api,
    bucket: &str,
    prefix: &str,
    delimiter: Option<&str>,
    after: Option<ListAfter>,
    limit: u32,
    encoding: Encoding,
    extra: Extra,
) -> S3Result<Shown> {
    let Page { entries, next } = if limit == 0 {
        api.objects.bucket(bucket).await.map_err(from_objects)?;
        Page { entries: Vec::new(), next: None }
    } else {
        api.objects.list(bucket, prefix, delimiter, after, limit).await.map_err(from_objects)?
    };
    let mut shown = Shown { contents: Vec::new(), prefixes: Vec::new(), next };
    for entry in entries {
        match entry {
            ListEntry::Object(object) => {
                let (checksum_algorithm, checksum_type) = checksum_names(object.checksum);
                shown.contents.push(Object {
                    key: Some(encoding.apply(object.key)?),
                    size: Some(signed(object.size)),
                    e_tag: Some(text::etag(object.etag)),
                    last_modified: Some(text::timestamp(object.modified)),
                    checksum_algorithm,
                    checksum_type,
                    storage_class: Some(ObjectStorageClass::from_static(object.class.as_str())),
                    owner: extra.owner.clone(),
                    restore_status: extra
                        .restore
                        .then(|| storage_class::restore_status(object.restore, api.clock_now()))
                        .flatten(),
                });
            }
            ListEntry::CommonPrefix(prefix) => {
                shown.prefixes.push(CommonPrefix { prefix: Some(encoding.apply(prefix)?) });
            }
        }
    }
    Ok(shown)
}

/// What a listing says about an object's checksum.
pub(crate) fn checksum_names(
    checksum: Option<(types::ChecksumAlgorithm, types::ChecksumKind)>,
) -> (Option<Vec<ChecksumAlgorithm>>, Option<ChecksumType>) {
    let name = |algorithm| ChecksumAlgorithm::from_static(checksum::name(algorithm));
    let kind_name = |kind| ChecksumType::from_static(checksum::kind_name(kind));
    match checksum {
        Some((algorithm, kind)) => (Some(vec![name(algorithm)]), Some(kind_name(kind))),
        None => (None, None),
    }
}

/// Where a V1 page begins. A marker that is a common prefix (a `NextMarker` of the page
/// before) hides everything below that prefix.
pub(crate) fn after_marker(
    marker: &str,
    prefix: &str,
    delimiter: Option<&str>,
) -> Option<ListAfter> {
    if marker.is_empty() {
        return None;
    }
    let is_prefix = delimiter.is_some_and(|delimiter| {
        marker
            .strip_prefix(prefix)
            .and_then(|rest| rest.find(delimiter).map(|at| at + delimiter.len() == rest.len()))
            .unwrap_or(false)
    });
    Some(if is_prefix {
        ListAfter::Prefix(marker.to_owned())
    } else {
        ListAfter::Key(marker.to_owned())
    })
}

/// `GET /bucket`.
pub(crate) async fn list_objects(
    api: &Api,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let limit = page_size(input.max_keys, "max-keys")?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    let marker = input.marker.unwrap_or_default();
    let after = after_marker(&marker, &prefix, delimiter.as_deref());
    let restore = storage_class::asks_restore_status(input.optional_object_attributes.as_ref())?;
    let extra = Extra { owner: Some(api.owner()), restore };
    let shown =
        list(api, &input.bucket, &prefix, delimiter.as_deref(), after, limit, encoding, extra)
            .await?;
    let truncated = shown.next.is_some();
    // As on AWS only with a delimiter; without one, the last key is the next marker.
    let next_marker = match (shown.next, &delimiter) {
        (Some(ListAfter::Key(next) | ListAfter::Prefix(next)), Some(_)) => {
            Some(encoding.apply(next)?)
        }
        _ => None,
    };
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(prefix)?),
        marker: Some(encoding.apply(marker)?),
        max_keys: Some(limit as i32),
        is_truncated: Some(truncated),
        contents: Some(shown.contents),
        common_prefixes: Some(shown.prefixes),
        delimiter: encoding.apply_some(delimiter)?,
        next_marker,
        encoding_type: encoding.output(),
        request_charged: None,
    }))
}

/// `GET /bucket?list-type=2`.
pub(crate) async fn list_objects_v2(
    api: &Api,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let limit = page_size(input.max_keys, "max-keys")?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let prefix = input.prefix.unwrap_or_default();
    let delimiter = input.delimiter.filter(|delimiter| !delimiter.is_empty());
    // A token wins over start-after, which the client repeats with every page.
    let after = match (input.continuation_token.as_deref(), input.start_after.as_deref()) {
        (Some(token), _) => Some(match text::parse_token(token)? {
            (AFTER_KEY, key) => ListAfter::Key(key),
            (AFTER_PREFIX, prefix) => ListAfter::Prefix(prefix),
            _ => return Err(invalid_argument("The continuation token provided is incorrect.")),
        }),
        (None, None | Some("")) => None,
        (None, Some(key)) => Some(ListAfter::Key(key.to_owned())),
    };
    let restore = storage_class::asks_restore_status(input.optional_object_attributes.as_ref())?;
    let owner = input.fetch_owner.unwrap_or(false).then(|| api.owner());
    let extra = Extra { owner, restore };
    let shown =
        list(api, &input.bucket, &prefix, delimiter.as_deref(), after, limit, encoding, extra)
            .await?;
    let token = shown.next.map(|next| match next {
        ListAfter::Key(key) => text::token(AFTER_KEY, &key),
        ListAfter::Prefix(prefix) => text::token(AFTER_PREFIX, &prefix),
    });
    let count = shown.contents.len() + shown.prefixes.len();
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(prefix)?),
        max_keys: Some(limit as i32),
        key_count: Some(i32::try_from(count).expect("at most 1,000 lines")),
        continuation_token: input.continuation_token,
        is_truncated: Some(token.is_some()),
        next_continuation_token: token,
        contents: Some(shown.contents),
        common_prefixes: Some(shown.prefixes),
        delimiter: encoding.apply_some(delimiter)?,
        encoding_type: encoding.output(),
        start_after: encoding.apply_some(input.start_after)?,
        request_charged: None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_is_a_common_prefix_hides_it() {
        let prefix = |text: &str| Some(ListAfter::Prefix(text.to_owned()));
        let key = |text: &str| Some(ListAfter::Key(text.to_owned()));
        assert_eq!(after_marker("", "", Some("/")), None);
        assert_eq!(after_marker("a/", "", Some("/")), prefix("a/"));
        assert_eq!(after_marker("a/b", "", Some("/")), key("a/b"));
        assert_eq!(after_marker("a/b/", "", Some("/")), key("a/b/"));
        assert_eq!(after_marker("a/b/", "a/", Some("/")), prefix("a/b/"));
        assert_eq!(after_marker("a/", "a/", Some("/")), key("a/"));
        assert_eq!(after_marker("a/", "", None), key("a/"));
        assert_eq!(after_marker("a--", "", Some("--")), prefix("a--"));
    }

    #[test]
    fn control_characters_need_url_encoding() {
        assert!(Encoding::Plain.apply("a\u{1}".to_owned()).is_err());
        assert_eq!(Encoding::Url.apply("a\u{1}".to_owned()).expect("encoded"), "a%01");
        assert!(Encoding::of(Some(&EncodingType::from_static("base64"))).is_err());
    }

    #[test]
    fn page_sizes() {
        assert_eq!(page_size(None, "max-keys").expect("valid"), 1000);
        assert_eq!(page_size(Some(0), "max-keys").expect("valid"), 0);
        assert_eq!(page_size(Some(5000), "max-keys").expect("valid"), 1000);
        assert!(page_size(Some(-1), "max-keys").is_err());
    }
}
