//! What the S3 protocol layer is told by its configuration.

use std::{collections::BTreeSet, fmt, time::Duration};

/// The one identity so far: whoever signs with it may do everything.
#[derive(Clone)]
pub struct RootCredentials {
    /// The access key id, as clients send it.
    pub access_key: String,
    /// The secret; never sent, never logged.
    pub secret_key: String,
}

impl fmt::Debug for RootCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootCredentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// Settings of the protocol layer.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The region this cluster says it is. Signatures of any region are accepted; a
    /// bucket cannot be created in another one.
    pub region: String,
    /// The twelve digits that `x-amz-expected-bucket-owner` must name.
    pub account: String,
    /// Base domains of virtual-host style: with `s3.example.com`, the host
    /// `photos.s3.example.com` names bucket `photos`. `localhost` is always one of them.
    pub domains: Vec<String>,
    /// The base domain of websites: with `web.example.com`, the host `photos.web.example.com`
    /// serves the website of bucket `photos`, to everybody. `None`: there are no websites.
    pub website_domain: Option<String>,
    /// The longest body of one PUT or part, in bytes: 5 GiB as on AWS.
    pub put_bytes_max: u64,
    /// The longest signed chunk of an `aws-chunked` body, in bytes: a chunk is held in
    /// memory until its signature is verified.
    pub signed_chunk_bytes_max: usize,
    /// How long a day of lifecycle rules is, in milliseconds: 24 hours.
    pub lifecycle_day_ms: u64,
    /// The names of the targets that notifications of buckets can have.
    pub event_targets: BTreeSet<String>,
    /// How long restores of archived objects take.
    pub restore_tiers: RestoreTiers,
    /// How long lines of access logs are collected at most before they are delivered.
    pub access_log_interval: Duration,
    /// The longest XML body (a delete list, a completion), in bytes.
    pub xml_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "000000000000".to_owned(),
            domains: Vec::new(),
            website_domain: None,
            lifecycle_day_ms: 24 * 3600 * 1000,
            restore_tiers: RestoreTiers::default(),
            event_targets: BTreeSet::new(),
            access_log_interval: Duration::from_secs(300),
            put_bytes_max: 5 << 30,
            signed_chunk_bytes_max: 16 << 20,
            // 10,000 parts with a checksum each are under 3 MiB; 1,000 keys of 1 KiB,
            // every byte escaped, under 6 MiB.
            xml_bytes_max: 8 << 20,
        }
    }
}

/// How long it takes until an archived object whose restore was asked for can be read. The first
/// three are of GLACIER, the others of DEEP_ARCHIVE, which has no expedited restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct RestoreTiers {
    pub expedited: Duration,
    pub standard: Duration,
    pub bulk: Duration,
    pub deep_standard: Duration,
    pub deep_bulk: Duration,
}

impl Default for RestoreTiers {
    /// In the order of AWS's times ("Archive retrieval options" in the user guide).
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            expedited: Duration::from_secs(60),
            standard: hours(4),
            bulk: hours(10),
            deep_standard: hours(12),
            deep_bulk: hours(48),
        }
    }
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not a host name.
    #[error("domain {0:?} is not a host name: write it as s3.example.com, without scheme and port")]
    Domain(String),
    /// It would mean both.
    #[error("website domain {0:?} is a domain of the API too: choose another one")]
    WebsiteDomain(String),
    /// Empty or unprintable.
    #[error("the root access key must have 3 to 128 printable characters without '/' and spaces")]
    AccessKey,
    /// Too short.
    #[error("the root secret key must have at least 8 characters")]
    SecretKey,
}

impl RootCredentials {
    /// Refuses what no client could sign with.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let printable = |byte: u8| byte.is_ascii_graphic() && byte != b'/' && byte != b',';
        if !(3..=128).contains(&self.access_key.len()) || !self.access_key.bytes().all(printable) {
            return Err(SettingsError::AccessKey);
        }
        if self.secret_key.len() < 8 {
            return Err(SettingsError::SecretKey);
        }
        Ok(())
    }
}
