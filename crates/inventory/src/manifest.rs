//! A report's files: where each lies, and the manifests that name them.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html>.

use md5::{Digest, Md5};
use serde::Serialize;
use time::OffsetDateTime;
use types::UnixMillis;

use crate::{Column, Configuration, Format, parquet_file};

/// The version of the manifest's format.
const VERSION: &str = "2016-11-30";

/// One report of a configuration.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The bucket that is listed.
    pub bucket: &'a str,
    /// Its configuration.
    pub configuration: &'a Configuration,
    /// When the listing began.
    pub at: UnixMillis,
}

/// A data file as manifests name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataFile {
    /// Its key in the destination bucket.
    key: String,
    /// Its bytes.
    size: u64,
    /// MD5 of them in lower-case hexadecimal.
    #[serde(rename = "MD5checksum")]
    md5: String,
}

impl DataFile {
    /// The file of this key with these bytes.
    pub fn of(key: String, bytes: &[u8]) -> Self {
        Self { key, size: bytes.len() as u64, md5: hex::encode(Md5::digest(bytes)) }
    }
}

/// The document, in AWS's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    source_bucket: &'a str,
    destination_bucket: String,
    version: &'static str,
    creation_timestamp: String,
    file_format: &'static str,
    file_schema: String,
    files: &'a [DataFile],
}

impl Report<'_> {
    /// `DESTINATION_PREFIX/SOURCE_BUCKET/CONFIGURATION_ID`. A prefix that ends with a slash
    /// makes two of them, as AWS does.
    fn folder(&self) -> String {
        let (bucket, id) = (self.bucket, &self.configuration.id);
        match self.configuration.destination.prefix.as_deref() {
            None | Some("") => format!("{bucket}/{id}"),
            Some(prefix) => format!("{prefix}/{bucket}/{id}"),
        }
    }

    /// The key of data file `number`. It depends on the report alone: one that is begun again
    /// overwrites what it left before.
    pub fn data_key(&self, number: u32) -> String {
        let mut digest = Md5::new();
        for text in [self.bucket, &self.configuration.id] {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        digest.update(self.at.0.to_be_bytes());
        digest.update(number.to_be_bytes());
        let hex = hex::encode(digest.finalize());
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        let extension = match self.configuration.destination.format {
            Format::Csv => "csv.gz",
            Format::Parquet => "parquet",
        };
        format!("{}/data/{a}-{b}-{c}-{d}-{e}.{extension}", self.folder())
    }

    fn time(&self) -> OffsetDateTime {
        let seconds = i64::try_from(self.at.0 / 1000).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// The key of a manifest: `manifest.json` or `manifest.checksum`.
    pub fn manifest_key(&self, name: &str) -> String {
        let at = self.time();
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute) = (at.hour(), at.minute());
        let folder = self.folder();
        format!("{folder}/{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}Z/{name}")
    }

    /// The key of the manifest for Apache Hive.
    pub fn symlink_key(&self) -> String {
        let at = self.time();
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        let (hour, minute) = (at.hour(), at.minute());
        let folder = self.folder();
        format!("{folder}/hive/dt={year:04}-{month:02}-{day:02}-{hour:02}-{minute:02}/symlink.txt")
    }

    /// The contents of `manifest.json`.
    pub fn manifest(&self, files: &[DataFile]) -> Vec<u8> {
        let columns = Column::of(self.configuration);
        let (file_format, file_schema) = match self.configuration.destination.format {
            Format::Csv => {
                let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
                ("CSV", names.join(", "))
            }
            Format::Parquet => ("Parquet", parquet_file::schema(&columns)),
        };
        let manifest = Manifest {
            source_bucket: self.bucket,
            destination_bucket: format!("arn:aws:s3:::{}", self.configuration.destination.bucket),
            version: VERSION,
            creation_timestamp: self.at.0.to_string(),
            file_format,
            file_schema,
            files,
        };
        serde_json::to_vec_pretty(&manifest).expect("texts and numbers become JSON")
    }

    /// The contents of `manifest.checksum` for those of `manifest.json`: the MD5 in hexadecimal.
    pub fn checksum(manifest: &[u8]) -> Vec<u8> {
        hex::encode(Md5::digest(manifest)).into_bytes()
    }

    /// The contents of `symlink.txt`: a line for each data file.
    pub fn symlink(&self, files: &[DataFile]) -> Vec<u8> {
        let bucket = &self.configuration.destination.bucket;
        let lines: Vec<String> =
            files.iter().map(|file| format!("s3://{bucket}/{}", file.key)).collect();
        lines.join("\n").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Destination, Field, configuration::tests::example};

    fn configuration(prefix: Option<&str>, format: Format) -> Configuration {
        let destination =
            Destination { prefix: prefix.map(str::to_owned), ..example(format).destination };
        Configuration {
            destination,
            fields: vec![Field::ETag, Field::LastModifiedDate, Field::Size],
            ..example(format)
        }
    }

    /// 6 November 2016, 21:32 and some seconds.
    const AT: UnixMillis = UnixMillis(1_478_467_957_123);

    #[test]
    fn places() {
        let configuration = configuration(Some("inv"), Format::Csv);
        let report = Report { bucket: "src", configuration: &configuration, at: AT };
        assert_eq!(
            report.manifest_key("manifest.json"),
            "inv/src/i/2016-11-06T21-32Z/manifest.json"
        );
        assert_eq!(report.symlink_key(), "inv/src/i/hive/dt=2016-11-06-21-32/symlink.txt");
        let key = report.data_key(0);
        assert!(key.starts_with("inv/src/i/data/") && key.ends_with(".csv.gz"), "{key}");
        assert_eq!(key.len(), "inv/src/i/data/.csv.gz".len() + 36);
        assert_ne!(key, report.data_key(1));
        assert_ne!(key, Report { at: UnixMillis(AT.0 + 1), ..report.clone() }.data_key(0));
        for (prefix, folder) in [(None, "src/i"), (Some(""), "src/i"), (Some("a/"), "a//src/i")] {
            let configuration = self::configuration(prefix, Format::Parquet);
            let report = Report { bucket: "src", configuration: &configuration, at: AT };
            assert_eq!(report.folder(), folder);
        }
    }

    #[test]
    fn the_manifest_is_as_documented() {
        let configuration = configuration(None, Format::Csv);
        let report = Report { bucket: "src", configuration: &configuration, at: AT };
        let files = [DataFile::of("src/i/data/1.csv.gz".to_owned(), b"abc")];
        let manifest = report.manifest(&files);
        let golden = r#"{
  "sourceBucket": "src",
  "destinationBucket": "arn:aws:s3:::dst",
  "version": "2016-11-30",
  "creationTimestamp": "1478467957123",
  "fileFormat": "CSV",
  "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag",
  "files": [
    {
      "key": "src/i/data/1.csv.gz",
      "size": 3,
      "MD5checksum": "900150983cd24fb0d6963f7d28e17f72"
    }
  ]
}"#;
        assert_eq!(String::from_utf8(manifest).as_deref(), Ok(golden));
        assert_eq!(Report::checksum(b"abc"), b"900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(report.symlink(&files), b"s3://dst/src/i/data/1.csv.gz");
    }

    #[test]
    fn the_schema_of_parquet_is_in_its_manifest() {
        let configuration =
            Configuration { fields: Field::ALL.to_vec(), ..configuration(None, Format::Parquet) };
        let report = Report { bucket: "src", configuration: &configuration, at: AT };
        let manifest: serde_json::Value =
            serde_json::from_slice(&report.manifest(&[])).expect("JSON");
        assert_eq!(
            manifest["fileSchema"],
            "message s3.inventory {  required binary bucket (STRING);  required binary key \
             (STRING);  optional binary version_id (STRING);  optional boolean is_latest;  \
             optional boolean is_delete_marker;  optional int64 size;  optional int64 \
             last_modified_date (TIMESTAMP(MILLIS,true));  optional binary e_tag (STRING);  \
             optional binary storage_class (STRING);  optional boolean is_multipart_uploaded;  \
             optional binary replication_status (STRING);  optional binary encryption_status \
             (STRING);  optional int64 object_lock_retain_until_date (TIMESTAMP(MILLIS,true));  \
             optional binary object_lock_mode (STRING);  optional binary \
             object_lock_legal_hold_status (STRING);  optional binary \
             intelligent_tiering_access_tier (STRING);  optional binary bucket_key_status \
             (STRING);  optional binary checksum_algorithm (STRING);  optional binary \
             object_owner (STRING); }"
        );
        assert_eq!(manifest["fileFormat"], "Parquet");
    }
}
