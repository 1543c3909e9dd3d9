//! The cost of one page, fetched again and again, one request at a time. A page of a kind
//! has the same number of entries whatever the size of the bucket, so that only the bucket's
//! size differs.

use std::time::Instant;

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;

use super::{Bucket, Content, keys};
use crate::{cpu, stats::Latencies};

/// Entries of a page from the beginning.
const PAGE: i32 = 1000;
/// Entries of a page from somewhere: the smallest bucket holds so many behind any place in
/// its first half.
const DEEP_PAGE: i32 = 100;

/// A kind of page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// `ListObjectsV2`, the first [`PAGE`] keys.
    First,
    /// `ListObjectsV2` with delimiter `/`: all directories, none of the keys.
    Delimiter,
    /// `ListObjectsV2`, [`DEEP_PAGE`] keys with `start-after` a key anywhere.
    StartAfter,
    /// `ListObjectsV2`, `start-after` in the middle and delimiter `/`: the directories behind.
    StartAfterDelimiter,
    /// `ListObjectVersions`, the first [`PAGE`].
    Versions,
    /// `ListObjectVersions` with delimiter `/`.
    VersionsDelimiter,
    /// `ListObjectVersions`, [`DEEP_PAGE`] with `key-marker` a key anywhere.
    VersionsKeyMarker,
}

/// What a page costs in a bucket of a size.
#[derive(Debug, Serialize)]
pub(crate) struct PageCost {
    pub(super) target: String,
    pub(super) content: Content,
    pub(super) kind: Kind,
    /// Keys in the bucket.
    pub(super) keys: u64,
    /// Pages fetched.
    pub(super) pages: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// CPU milliseconds of the server a page; `None` if its processes are not known.
    pub(super) cpu_ms: Option<f64>,
}

impl Kind {
    /// The kinds that are measured in a bucket.
    pub(super) fn of(content: Content) -> &'static [Self] {
        use Kind::*;
        match content {
            Content::Plain => &[First, Delimiter, StartAfter, StartAfterDelimiter],
            Content::Versioned => &[
                First,
                Delimiter,
                StartAfter,
                StartAfterDelimiter,
                Versions,
                VersionsDelimiter,
                VersionsKeyMarker,
            ],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::First => "V2, first 1,000 keys",
            Self::Delimiter => "V2, delimiter, 256 prefixes",
            Self::StartAfter => "V2, start-after, 100 keys",
            Self::StartAfterDelimiter => "V2, start-after + delimiter, 128 prefixes",
            Self::Versions => "versions, first 1,000",
            Self::VersionsDelimiter => "versions, delimiter, 256 prefixes",
            Self::VersionsKeyMarker => "versions, key-marker, 100",
        }
    }

    fn has_delimiter(self) -> bool {
        matches!(self, Self::Delimiter | Self::StartAfterDelimiter | Self::VersionsDelimiter)
    }

    /// How many entries every such page has.
    fn entries(self) -> usize {
        match self {
            Self::First | Self::Versions => PAGE as usize,
            Self::StartAfter | Self::VersionsKeyMarker => DEEP_PAGE as usize,
            Self::Delimiter | Self::VersionsDelimiter => keys::DIRECTORIES as usize,
            Self::StartAfterDelimiter => keys::DIRECTORIES as usize / 2,
        }
    }

    /// Where the page begins, in a bucket of so many keys.
    fn after(self, size: u64, random: &mut StdRng) -> Option<String> {
        let half = keys::DIRECTORIES / 2;
        let number = match self {
            // A key of any directory of the first half.
            Self::StartAfter | Self::VersionsKeyMarker => {
                let row = random.random_range(0..size / keys::DIRECTORIES);
                row * keys::DIRECTORIES + random.random_range(0..half)
            }
            // Behind all keys of a directory: the rest of one would be one prefix more.
            Self::StartAfterDelimiter => return Some(keys::end_of_directory(half - 1)),
            _ => return None,
        };
        Some(keys::name(number))
    }
}

/// Fetches so many pages of a kind.
pub(super) async fn measure(
    bucket: &Bucket<'_>,
    kind: Kind,
    size: u64,
    pages: usize,
) -> anyhow::Result<PageCost> {
    let mut random = StdRng::seed_from_u64(size);
    let mut latencies = Vec::with_capacity(pages);
    fetch(bucket, kind, None).await?;
    let pids = bucket.target.pids();
    let cpu_before = cpu::seconds(&pids);
    for _ in 0..pages {
        let after = kind.after(size, &mut random);
        let began = Instant::now();
        let entries = fetch(bucket, kind, after.as_deref()).await?;
        latencies.push(began.elapsed());
        anyhow::ensure!(
            entries == kind.entries(),
            "{} after {after:?} at {size} keys has {entries} entries",
            kind.name()
        );
    }
    let cpu_s = cpu::seconds(&pids) - cpu_before;
    let latencies = Latencies::new(latencies);
    Ok(PageCost {
        target: bucket.target.name.clone(),
        content: bucket.content,
        kind,
        keys: size,
        pages,
        p50_ms: latencies.percentile_ms(50),
        p99_ms: latencies.percentile_ms(99),
        cpu_ms: (!pids.is_empty()).then(|| cpu_s * 1e3 / pages.max(1) as f64),
    })
}

/// The entries of a page.
async fn fetch(bucket: &Bucket<'_>, kind: Kind, after: Option<&str>) -> anyhow::Result<usize> {
    let max =
        if matches!(kind, Kind::StartAfter | Kind::VersionsKeyMarker) { DEEP_PAGE } else { PAGE };
    let delimiter = kind.has_delimiter().then(|| "/".to_owned());
    let after = after.map(str::to_owned);
    match kind {
        Kind::First | Kind::Delimiter | Kind::StartAfter | Kind::StartAfterDelimiter => {
            let list = bucket.client().list_objects_v2().bucket(&bucket.name).max_keys(max);
            let page = list.set_delimiter(delimiter).set_start_after(after).send().await?;
            Ok(page.contents().len() + page.common_prefixes().len())
        }
        Kind::Versions | Kind::VersionsDelimiter | Kind::VersionsKeyMarker => {
            let list = bucket.client().list_object_versions().bucket(&bucket.name).max_keys(max);
            let page = list.set_delimiter(delimiter).set_key_marker(after).send().await?;
            Ok(page.versions().len() + page.delete_markers().len() + page.common_prefixes().len())
        }
    }
}
