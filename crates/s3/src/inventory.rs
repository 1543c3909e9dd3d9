//! Inventories of a bucket: which reports `repair::inventory` makes of it, and where they go.
//!
//! What a report could not say truly is refused with 501: fields that this system knows nothing
//! about, the ORC format, encryption of the files.

use ::inventory::{Configuration, Destination, Field, Format, Frequency, Invalid, Versions, check};
use bytes::Bytes;
use metastore::api::root::ConfigKind;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, dto::*};

use crate::{
    api::Api,
    errors::{custom, from_objects, invalid_argument, not_implemented, unreadable},
    text,
};

/// Configurations of a page of the list, as on AWS.
const PAGE: u32 = 100;

/// The kind of our continuation tokens.
const AFTER_ID: u8 = 1;

/// `PUT /bucket?inventory&id=ID`: adds a configuration or replaces the one of the id.
pub(crate) async fn put_bucket_inventory_configuration(
    api: &Api,
    request: S3Request<PutBucketInventoryConfigurationInput>,
) -> S3Result<S3Response<PutBucketInventoryConfigurationOutput>> {
    let input = request.input;
    let configuration = parse(api, input.inventory_configuration)?;
    configuration.check().map_err(invalid)?;
    if configuration.id != input.id {
        return Err(invalid_argument(
            "The id of the request is not the id of the inventory configuration.",
        ));
    }
    check_destination(api, &configuration.destination).await?;
    let bucket = &input.bucket;
    check_count(api, bucket, &configuration.id).await?;
    let value = Some(Bytes::from(configuration.encode()));
    api.objects
        .set_named_bucket_config(bucket, ConfigKind::Inventory, &configuration.id, value)
        .await
        .map_err(from_objects)?;
    Ok(S3Response::new(PutBucketInventoryConfigurationOutput {}))
}

/// `GET /bucket?inventory&id=ID`.
pub(crate) async fn get_bucket_inventory_configuration(
    api: &Api,
    request: S3Request<GetBucketInventoryConfigurationInput>,
) -> S3Result<S3Response<GetBucketInventoryConfigurationOutput>> {
    let input = request.input;
    let stored = stored(api, &input.bucket, &input.id).await?.ok_or_else(no_such)?;
    Ok(S3Response::new(GetBucketInventoryConfigurationOutput {
        inventory_configuration: Some(show(decode(&stored)?)),
    }))
}

/// `DELETE /bucket?inventory&id=ID`.
pub(crate) async fn delete_bucket_inventory_configuration(
    api: &Api,
    request: S3Request<DeleteBucketInventoryConfigurationInput>,
) -> S3Result<S3Response<DeleteBucketInventoryConfigurationOutput>> {
    let input = request.input;
    stored(api, &input.bucket, &input.id).await?.ok_or_else(no_such)?;
    for kind in [ConfigKind::InventoryRun, ConfigKind::Inventory] {
        api.objects
            .set_named_bucket_config(&input.bucket, kind, &input.id, None)
            .await
            .map_err(from_objects)?;
    }
    Ok(S3Response::new(DeleteBucketInventoryConfigurationOutput {}))
}

/// `GET /bucket?inventory`: in the order of the ids, 100 a page.
pub(crate) async fn list_bucket_inventory_configurations(
    api: &Api,
    request: S3Request<ListBucketInventoryConfigurationsInput>,
) -> S3Result<S3Response<ListBucketInventoryConfigurationsOutput>> {
    let input = request.input;
    let after = match input.continuation_token.as_deref() {
        None => None,
        Some(token) => match text::parse_token(token)? {
            (AFTER_ID, id) => Some(id),
            _ => return Err(invalid_argument("The continuation token provided is incorrect.")),
        },
    };
    let (stored, more) = api
        .objects
        .named_bucket_configs(&input.bucket, ConfigKind::Inventory, after.as_deref(), PAGE)
        .await
        .map_err(from_objects)?;
    let last = stored.last().filter(|_| more).map(|(id, _)| text::token(AFTER_ID, id));
    let shown: S3Result<Vec<_>> = stored.iter().map(|(_, bytes)| decode(bytes).map(show)).collect();
    Ok(S3Response::new(ListBucketInventoryConfigurationsOutput {
        continuation_token: input.continuation_token,
        inventory_configuration_list: Some(shown?).filter(|list| !list.is_empty()),
        is_truncated: Some(more),
        next_continuation_token: last,
    }))
}

async fn stored(api: &Api, bucket: &str, id: &str) -> S3Result<Option<Bytes>> {
    if !check::is_id(id) {
        return Err(invalid(Invalid::Id));
    }
    api.objects.named_bucket_config(bucket, ConfigKind::Inventory, id).await.map_err(from_objects)
}

fn decode(bytes: &[u8]) -> S3Result<Configuration> {
    Configuration::decode(bytes).map_err(|error| {
        tracing::error!(%error, "an inventory configuration cannot be shown");
        unreadable("inventory configuration")
    })
}

fn no_such() -> S3Error {
    custom(
        "NoSuchConfiguration",
        http::StatusCode::NOT_FOUND,
        "The specified configuration does not exist.",
    )
}

fn invalid(error: Invalid) -> S3Error {
    match error {
        Invalid::Id => {
            custom("InvalidConfigurationId", http::StatusCode::BAD_REQUEST, error.to_string())
        }
        Invalid::Argument(message) => invalid_argument(message),
    }
}

fn invalid_destination(message: &'static str) -> S3Error {
    custom("InvalidS3DestinationBucket", http::StatusCode::BAD_REQUEST, message)
}

/// The bucket is looked for now; one that goes away later fails the reports, not this.
async fn check_destination(api: &Api, destination: &Destination) -> S3Result<()> {
    if destination.account.as_ref().is_some_and(|account| *account != api.settings.account) {
        return Err(invalid_destination("The destination bucket is not owned by that account."));
    }
    match api.objects.bucket(&destination.bucket).await {
        Ok(_) => Ok(()),
        Err(objects::Error::NoSuchBucket(_)) => {
            Err(invalid_destination("The destination bucket does not exist."))
        }
        Err(error) => Err(from_objects(error)),
    }
}

/// Refuses configuration 1001. Requests at the same time may overshoot by their number.
async fn check_count(api: &Api, bucket: &str, id: &str) -> S3Result<()> {
    let mut count = 0;
    let mut after: Option<String> = None;
    loop {
        let (page, more) = api
            .objects
            .named_bucket_configs(bucket, ConfigKind::Inventory, after.as_deref(), PAGE)
            .await
            .map_err(from_objects)?;
        if page.iter().any(|(known, _)| known == id) {
            return Ok(());
        }
        count += page.len();
        after = page.last().map(|(last, _)| last.clone());
        if count >= Configuration::COUNT_MAX {
            return Err(custom(
                "TooManyConfigurations",
                http::StatusCode::BAD_REQUEST,
                "You are attempting to create a new configuration but have already reached the \
                 1,000-configuration limit.",
            ));
        }
        if !more || after.is_none() {
            return Ok(());
        }
    }
}

fn malformed() -> S3Error {
    S3Error::new(S3ErrorCode::MalformedXML)
}

/// The configuration as a request has it.
fn parse(api: &Api, given: InventoryConfiguration) -> S3Result<Configuration> {
    let destination = parse_destination(given.destination.s3_bucket_destination)?;
    let versions = match given.included_object_versions.as_str() {
        InventoryIncludedObjectVersions::ALL => Versions::All,
        InventoryIncludedObjectVersions::CURRENT => Versions::Current,
        _ => return Err(malformed()),
    };
    let frequency = match given.schedule.frequency.as_str() {
        InventoryFrequency::DAILY => Frequency::Daily,
        InventoryFrequency::WEEKLY => Frequency::Weekly,
        _ => return Err(malformed()),
    };
    let fields: S3Result<Vec<Field>> = given
        .optional_fields
        .unwrap_or_default()
        .iter()
        .map(|it| parse_field(it.as_str()))
        .collect();
    Ok(Configuration {
        id: given.id,
        enabled: given.is_enabled,
        versions,
        prefix: given.filter.map(|filter| filter.prefix),
        frequency,
        fields: fields?,
        destination,
        owner: api.owner().id.unwrap_or_default(),
        made: api.clock_now(),
    })
}

fn parse_field(name: &str) -> S3Result<Field> {
    match Field::of(name) {
        Some(field) => Ok(field),
        None if Field::UNSUPPORTED.contains(&name) => {
            Err(not_implemented(format!("The inventory field {name}")))
        }
        None => Err(malformed()),
    }
}

fn parse_destination(given: InventoryS3BucketDestination) -> S3Result<Destination> {
    if given.encryption.is_some() {
        return Err(not_implemented("Encryption of an inventory's files"));
    }
    let format = match given.format.as_str() {
        InventoryFormat::CSV => Format::Csv,
        InventoryFormat::PARQUET => Format::Parquet,
        InventoryFormat::ORC => return Err(not_implemented("The inventory format ORC")),
        _ => return Err(malformed()),
    };
    let bucket = given
        .bucket
        .strip_prefix("arn:aws:s3:::")
        .filter(|name| text::is_bucket_name(name))
        .ok_or_else(|| invalid_destination("Invalid bucket ARN: write it as arn:aws:s3:::NAME."))?
        .to_owned();
    Ok(Destination { bucket, account: given.account_id, prefix: given.prefix, format })
}

/// A configuration as an answer has it.
fn show(configuration: Configuration) -> InventoryConfiguration {
    let Configuration { id, enabled, versions, prefix, frequency, fields, destination, .. } =
        configuration;
    let fields: Vec<InventoryOptionalField> =
        fields.into_iter().map(|it| InventoryOptionalField::from_static(it.name())).collect();
    InventoryConfiguration {
        destination: InventoryDestination {
            s3_bucket_destination: InventoryS3BucketDestination {
                account_id: destination.account,
                bucket: format!("arn:aws:s3:::{}", destination.bucket),
                encryption: None,
                format: InventoryFormat::from_static(match destination.format {
                    Format::Csv => InventoryFormat::CSV,
                    Format::Parquet => InventoryFormat::PARQUET,
                }),
                prefix: destination.prefix,
            },
        },
        filter: prefix.map(|prefix| InventoryFilter { prefix }),
        id,
        included_object_versions: InventoryIncludedObjectVersions::from_static(match versions {
            Versions::All => InventoryIncludedObjectVersions::ALL,
            Versions::Current => InventoryIncludedObjectVersions::CURRENT,
        }),
        is_enabled: enabled,
        optional_fields: Some(fields).filter(|fields| !fields.is_empty()),
        schedule: InventorySchedule {
            frequency: InventoryFrequency::from_static(match frequency {
                Frequency::Daily => InventoryFrequency::DAILY,
                Frequency::Weekly => InventoryFrequency::WEEKLY,
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(format: &'static str) -> InventoryS3BucketDestination {
        InventoryS3BucketDestination {
            account_id: Some("000000000000".to_owned()),
            bucket: "arn:aws:s3:::reports".to_owned(),
            encryption: None,
            format: InventoryFormat::from_static(format),
            prefix: Some("p".to_owned()),
        }
    }

    #[test]
    fn destinations_come_back() {
        for format in [InventoryFormat::CSV, InventoryFormat::PARQUET] {
            let stored = parse_destination(destination(format)).expect("valid");
            assert_eq!(stored.bucket, "reports");
            let configuration = Configuration {
                id: "i".to_owned(),
                enabled: false,
                versions: Versions::Current,
                prefix: Some("k/".to_owned()),
                frequency: Frequency::Weekly,
                fields: vec![Field::ETag, Field::Size],
                destination: stored,
                owner: "o".to_owned(),
                made: types::UnixMillis(1),
            };
            let shown = show(configuration);
            assert_eq!(shown.destination.s3_bucket_destination, destination(format));
            assert_eq!(shown.filter.map(|it| it.prefix).as_deref(), Some("k/"));
            assert_eq!(shown.schedule.frequency.as_str(), "Weekly");
            assert!(!shown.is_enabled);
            let fields: Vec<_> = shown.optional_fields.into_iter().flatten().collect();
            let names: Vec<_> = fields.iter().map(InventoryOptionalField::as_str).collect();
            assert_eq!(names, ["ETag", "Size"], "as they were given");
        }
    }

    #[test]
    fn what_is_refused() {
        let code =
            |given| parse_destination(given).expect_err("refused").code().as_str().to_owned();
        assert_eq!(code(destination(InventoryFormat::ORC)), "NotImplemented");
        assert_eq!(code(destination("XLS")), "MalformedXML");
        let encryption = Some(InventoryEncryption::default());
        let csv = || destination(InventoryFormat::CSV);
        assert_eq!(code(InventoryS3BucketDestination { encryption, ..csv() }), "NotImplemented");
        for bucket in ["reports", "arn:aws:s3:::", "arn:aws:s3:::a/b"] {
            let bucket = bucket.to_owned();
            let given = InventoryS3BucketDestination { bucket, ..csv() };
            assert_eq!(code(given), "InvalidS3DestinationBucket");
        }
        let field = |name| parse_field(name).map_err(|it| it.code().as_str().to_owned());
        assert_eq!(field("ObjectOwner"), Ok(Field::ObjectOwner));
        for name in Field::UNSUPPORTED {
            assert_eq!(field(name), Err("NotImplemented".to_owned()));
        }
        assert_eq!(field("Colour"), Err("MalformedXML".to_owned()));
    }
}
