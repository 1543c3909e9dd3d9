//! Listing everything: one lister page by page, or several that share the bucket by ranges
//! of keys. Every entry is looked at: the order must hold.

use std::time::Instant;

use anyhow::Context;
use aws_sdk_s3::Client;
use futures::future::try_join_all;
use serde::Serialize;

use super::{Bucket, Content, keys};
use crate::cpu;

/// What is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// `ListObjectsV2`.
    Keys,
    /// `ListObjectVersions`.
    Versions,
}

impl Kind {
    /// The kinds that are measured in a bucket.
    pub(super) fn of(content: Content) -> &'static [Self] {
        match content {
            Content::Plain => &[Self::Keys],
            Content::Versioned => &[Self::Keys, Self::Versions],
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keys => "ListObjectsV2",
            Self::Versions => "ListObjectVersions",
        }
    }
}

/// A complete listing.
#[derive(Debug, Serialize)]
pub(crate) struct Walk {
    pub(super) target: String,
    pub(super) content: Content,
    pub(super) kind: Kind,
    pub(super) listers: u64,
    pub(super) entries: u64,
    pub(super) seconds: f64,
    /// CPU microseconds of the server an entry; `None` if its processes are not known.
    pub(super) cpu_us: Option<f64>,
}

/// Lists everything once.
pub(super) async fn measure(bucket: &Bucket<'_>, kind: Kind, listers: u64) -> anyhow::Result<Walk> {
    let pids = bucket.target.pids();
    let cpu_before = cpu::seconds(&pids);
    let began = Instant::now();
    let tasks = (0..listers).map(|lister| {
        let (after, before) = keys::share(lister, listers);
        let (client, bucket) = (bucket.client().clone(), bucket.name.clone());
        tokio::spawn(Lister { client, bucket, before, last: None, entries: 0 }.walk(kind, after))
    });
    let mut entries = 0;
    for lister in try_join_all(tasks).await? {
        entries += lister.with_context(|| format!("{} of {}", kind.name(), bucket.name))?;
    }
    let cpu_s = cpu::seconds(&pids) - cpu_before;
    Ok(Walk {
        target: bucket.target.name.clone(),
        content: bucket.content,
        kind,
        listers,
        entries,
        seconds: began.elapsed().as_secs_f64(),
        cpu_us: (!pids.is_empty()).then(|| cpu_s * 1e6 / entries.max(1) as f64),
    })
}

struct Lister {
    client: Client,
    bucket: String,
    /// The end of its share.
    before: Option<String>,
    last: Option<String>,
    entries: u64,
}

impl Lister {
    async fn walk(mut self, kind: Kind, after: Option<String>) -> anyhow::Result<u64> {
        match kind {
            Kind::Keys => self.keys(after).await?,
            Kind::Versions => self.versions(after).await?,
        }
        Ok(self.entries)
    }

    async fn keys(&mut self, after: Option<String>) -> anyhow::Result<()> {
        let mut token = None;
        loop {
            let list = self.client.list_objects_v2().bucket(&self.bucket);
            let list = list.set_start_after(after.clone()).set_continuation_token(token);
            let page = list.send().await?;
            for object in page.contents() {
                let key = object.key().context("an object without a key")?;
                anyhow::ensure!(self.last.as_deref() != Some(key), "{key} twice");
                if !self.take(key)? {
                    return Ok(());
                }
            }
            token = page.next_continuation_token;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    async fn versions(&mut self, after: Option<String>) -> anyhow::Result<()> {
        let (mut key_marker, mut version_marker) = (after, None);
        loop {
            let list = self.client.list_object_versions().bucket(&self.bucket);
            let list = list.set_key_marker(key_marker).set_version_id_marker(version_marker);
            let page = list.send().await?;
            for version in page.versions() {
                if !self.take(version.key().context("a version without a key")?)? {
                    return Ok(());
                }
            }
            if !page.is_truncated.unwrap_or(false) {
                return Ok(());
            }
            (key_marker, version_marker) = (page.next_key_marker, page.next_version_id_marker);
        }
    }

    /// Counts an entry, unless it is behind the lister's share.
    fn take(&mut self, key: &str) -> anyhow::Result<bool> {
        if self.before.as_deref().is_some_and(|before| key >= before) {
            return Ok(false);
        }
        anyhow::ensure!(
            self.last.as_deref().is_none_or(|last| last <= key),
            "{key} comes after {:?}",
            self.last
        );
        self.last = Some(key.to_owned());
        self.entries += 1;
        Ok(true)
    }
}
