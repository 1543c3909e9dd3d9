//! Filling a bucket: small objects, which lie inline in their index rows, over many
//! connections.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::Context;
use aws_sdk_s3::{Client, primitives::ByteStream};
use futures::future::try_join_all;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Bucket, Content, keys, walk};

/// Bytes of an object: inline at every server that has such a thing.
const OBJECT_BYTES: usize = 128;

/// A PUT that fails is repeated, so that one hiccup does not end an hour's run; with
/// versions that may leave one version more, which is counted.
const ATTEMPTS_MAX: u32 = 3;

/// How a bucket was filled, all steps together.
#[derive(Debug, Serialize)]
pub(crate) struct Fill {
    pub(super) target: String,
    pub(super) content: Content,
    pub(super) keys: u64,
    pub(super) puts: u64,
    /// PUTs that had to be repeated.
    pub(super) repeated: u64,
    pub(super) seconds: f64,
}

struct Step {
    client: Client,
    bucket: String,
    versions: u32,
    next: AtomicU64,
    end: u64,
    repeated: AtomicU64,
    bar: ProgressBar,
}

impl Fill {
    pub(super) fn new(target: &str, content: Content) -> Self {
        Self { target: target.into(), content, keys: 0, puts: 0, repeated: 0, seconds: 0.0 }
    }

    /// Puts the keys of these numbers, every version of a key after the one before.
    pub(super) async fn run(
        &mut self,
        bucket: &Bucket<'_>,
        numbers: Range<u64>,
        connections: u64,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let step = Arc::new(Step {
            client: bucket.client().clone(),
            bucket: bucket.name.clone(),
            versions: bucket.content.versions(),
            next: AtomicU64::new(numbers.start),
            end: numbers.end,
            repeated: AtomicU64::new(0),
            bar: bar.clone(),
        });
        let began = Instant::now();
        let tasks = (0..connections).map(|_| tokio::spawn(Arc::clone(&step).task()));
        for task in try_join_all(tasks).await? {
            task?;
        }
        let keys = numbers.end - numbers.start;
        self.seconds += began.elapsed().as_secs_f64();
        self.keys += keys;
        self.puts += keys * u64::from(step.versions);
        self.repeated += step.repeated.load(Ordering::Relaxed);
        Ok(())
    }

    /// Whether a complete listing of this kind may have so many entries.
    pub(super) fn holds(&self, kind: walk::Kind, entries: u64) -> bool {
        match kind {
            walk::Kind::Keys => entries == self.keys,
            walk::Kind::Versions => (self.puts..=self.puts + self.repeated).contains(&entries),
        }
    }
}

impl Step {
    async fn task(self: Arc<Self>) -> anyhow::Result<()> {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.end {
                return Ok(());
            }
            for _ in 0..self.versions {
                self.put(&keys::name(number)).await?;
                self.bar.inc(1);
            }
        }
    }

    async fn put(&self, key: &str) -> anyhow::Result<()> {
        for attempt in 1.. {
            let body = ByteStream::from(vec![b'x'; OBJECT_BYTES]);
            let put = self.client.put_object().bucket(&self.bucket).key(key).body(body);
            match put.send().await {
                Ok(_) => break,
                Err(_) if attempt < ATTEMPTS_MAX => {
                    self.repeated.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => return Err(error).with_context(|| format!("putting {key}")),
            }
        }
        Ok(())
    }
}
