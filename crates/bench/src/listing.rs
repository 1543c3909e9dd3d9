//! What listing costs, and how that grows with the bucket: one page at a thousand keys, ten
//! thousand and so on, then the whole bucket by one and by four listers. Once with plain
//! keys, once in a bucket with versions, where every key has [`VERSIONS`].
//!
//! Reading order: [`keys`] (the bucket's content), [`fill`], [`page`], [`walk`], [`report`].

mod fill;
mod keys;
mod page;
mod report;
mod walk;

use anyhow::Context;
use aws_sdk_s3::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

pub(crate) use self::report::print;
use self::{fill::Fill, page::PageCost, walk::Walk};
use crate::target::Target;

/// Versions of every key in the bucket that has them.
const VERSIONS: u32 = 3;

/// Listers that walk a bucket at the same time.
const LISTERS: [u64; 2] = [1, 4];

/// What is measured.
pub(crate) struct Settings {
    /// Keys of the full bucket.
    pub(crate) keys: u64,
    /// Requests under way at once while a bucket is filled.
    pub(crate) connections: u64,
    /// Pages of a kind that are fetched, one after the other.
    pub(crate) pages: usize,
}

/// What one server's listings came to.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    /// The server's name.
    pub(crate) target: String,
    /// How the buckets were filled.
    fills: Vec<Fill>,
    /// Costs of pages, by bucket, kind and size.
    pages: Vec<PageCost>,
    /// Complete listings.
    walks: Vec<Walk>,
    /// Why there is nothing about versions.
    refused: Option<String>,
}

/// Which of the two buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Content {
    /// Keys in a bucket without versioning.
    Plain,
    /// Keys with [`VERSIONS`] each.
    Versioned,
}

impl Content {
    fn versions(self) -> u32 {
        match self {
            Self::Plain => 1,
            Self::Versioned => VERSIONS,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Plain => "plain keys".into(),
            Self::Versioned => format!("{VERSIONS} versions a key"),
        }
    }
}

/// A bucket under measurement.
struct Bucket<'a> {
    target: &'a Target,
    name: String,
    content: Content,
}

impl Bucket<'_> {
    fn client(&self) -> &Client {
        &self.target.client
    }
}

/// Measures one server.
pub(crate) async fn run(target: &Target, settings: &Settings) -> anyhow::Result<Listing> {
    anyhow::ensure!(settings.keys >= keys::SIZE_MIN, "--list-keys: at least {}", keys::SIZE_MIN);
    let mut listing = Listing {
        target: target.name.clone(),
        fills: Vec::new(),
        pages: Vec::new(),
        walks: Vec::new(),
        refused: None,
    };
    let bucket = |suffix: &str, content| Bucket {
        target,
        name: format!("{}-{suffix}", target.bucket),
        content,
    };
    let plain = bucket("list", Content::Plain);
    create(&plain).await?;
    measure(&plain, settings, &mut listing).await?;
    let versioned = bucket("list-versions", Content::Versioned);
    create(&versioned).await?;
    match enable_versions(&versioned).await? {
        None => measure(&versioned, settings, &mut listing).await?,
        refused => listing.refused = refused,
    }
    Ok(listing)
}

async fn create(bucket: &Bucket<'_>) -> anyhow::Result<()> {
    let create = bucket.client().create_bucket().bucket(&bucket.name);
    create.send().await.with_context(|| format!("creating bucket {}", bucket.name))?;
    Ok(())
}

/// Turns versioning on and asks whether versions can be listed; gives the reason if the
/// server implements one of them not.
async fn enable_versions(bucket: &Bucket<'_>) -> anyhow::Result<Option<String>> {
    let enabled =
        VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
    let put = bucket.client().put_bucket_versioning().bucket(&bucket.name);
    if let Err(error) = put.versioning_configuration(enabled).send().await {
        return not_implemented("PutBucketVersioning", error).map(Some);
    }
    let list = bucket.client().list_object_versions().bucket(&bucket.name);
    match list.send().await {
        Ok(_) => Ok(None),
        Err(error) => not_implemented("ListObjectVersions", error).map(Some),
    }
}

/// What a 501 says; any other error ends the run.
fn not_implemented<E, R>(operation: &str, error: SdkError<E, R>) -> anyhow::Result<String>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug + 'static,
{
    if error.code() == Some("NotImplemented") {
        let message = error.message().unwrap_or("no message");
        return Ok(format!("{operation} answers 501 NotImplemented: {message}"));
    }
    anyhow::bail!("{operation}: {}", DisplayErrorContext(error))
}

/// Fills the bucket step by step, measures pages at every step, and walks it at the end.
async fn measure(
    bucket: &Bucket<'_>,
    settings: &Settings,
    listing: &mut Listing,
) -> anyhow::Result<()> {
    let total = settings.keys * u64::from(bucket.content.versions());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} {per_sec} ({eta} left)")?;
    let bar = ProgressBar::new(total).with_style(style);
    let mut fill = Fill::new(&bucket.target.name, bucket.content);
    let mut filled = 0;
    for size in keys::sizes(settings.keys) {
        let step = |what| format!("{}, {}: {what}", bucket.target.name, bucket.content.name());
        bar.set_message(step("filling"));
        fill.run(bucket, filled..size, settings.connections, &bar).await?;
        filled = size;
        bar.set_message(step("listing pages"));
        for kind in page::Kind::of(bucket.content) {
            listing.pages.push(page::measure(bucket, *kind, size, settings.pages).await?);
        }
    }
    bar.set_message("listing everything");
    for listers in LISTERS {
        for kind in walk::Kind::of(bucket.content) {
            let walk = walk::measure(bucket, *kind, listers).await?;
            anyhow::ensure!(
                fill.holds(*kind, walk.entries),
                "{} {}: listed {} entries, {fill:?}",
                bucket.name,
                kind.name(),
                walk.entries
            );
            listing.walks.push(walk);
        }
    }
    bar.finish_and_clear();
    listing.fills.push(fill);
    Ok(())
}
