//! Documents of a bucket's configuration: tags, cross-origin rules, website. The root group
//! keeps them and does not look inside, nor does this layer.
//!
//! Whoever shows or changes a document asks the root group. Whoever obeys one at each request
//! takes the cached answer: a change reaches every gateway within
//! [`crate::Settings::bucket_cache_ms`]. Requests that nobody has authenticated can name any
//! bucket: what they make the root group find out is bounded.

use std::collections::HashMap;

use bytes::Bytes;
use metastore::api::{
    RootAnswer, RootCommand, RootQuery, RootView,
    root::{BUCKET_CONFIG_BYTES_MAX, ConfigKind},
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use types::{BucketId, UnixMillis};

use crate::{Error, Objects, error::metadata_error, gate::unexpected};

/// Documents, present or absent, that the cache holds; at either bound the whole cache is
/// dropped and filled anew.
const CACHED_MAX: usize = 10_000;
/// Their bytes together: 64 of the largest.
const CACHED_BYTES_MAX: usize = 64 << 20;

/// Requests that ask the root group about a bucket's name before anybody knows who sent them.
/// Further ones wait, each on its own connection.
const STRANGERS_MAX: usize = 32;

type Key = (BucketId, ConfigKind);

/// What documents said lately.
pub(crate) struct ConfigCache {
    state: Mutex<State>,
    strangers: Semaphore,
}

impl Default for ConfigCache {
    fn default() -> Self {
        Self { state: Mutex::default(), strangers: Semaphore::new(STRANGERS_MAX) }
    }
}

#[derive(Default)]
struct State {
    entries: HashMap<Key, (Option<Bytes>, UnixMillis)>,
    bytes: usize,
    /// Times that documents were set here.
    changes: u64,
}

/// Taken before the root group is asked: what was set here meanwhile makes the answer old.
struct Asked {
    changes: u64,
    at: UnixMillis,
}

impl ConfigCache {
    fn get(&self, key: Key, now: UnixMillis) -> Result<Option<Bytes>, Asked> {
        let state = self.state.lock();
        match state.entries.get(&key) {
            Some((value, until)) if now < *until => Ok(value.clone()),
            _ => Err(Asked { changes: state.changes, at: now }),
        }
    }

    fn set(&self, key: Key, value: Option<Bytes>, asked: &Asked, valid_ms: u64) {
        let mut state = self.state.lock();
        if state.changes != asked.changes {
            return;
        }
        state.remove(key);
        let bytes = value.as_ref().map_or(0, Bytes::len);
        if state.entries.len() >= CACHED_MAX || state.bytes + bytes > CACHED_BYTES_MAX {
            state.entries.clear();
            state.bytes = 0;
        }
        state.bytes += bytes;
        state.entries.insert(key, (value, asked.at.plus(valid_ms)));
    }

    fn changed(&self, key: Key) {
        let mut state = self.state.lock();
        state.changes += 1;
        state.remove(key);
    }
}

impl State {
    fn remove(&mut self, key: Key) {
        if let Some((Some(value), _)) = self.entries.remove(&key) {
            self.bytes -= value.len();
        }
    }
}

impl Objects {
    /// A document of a bucket, as the root group says now.
    pub async fn bucket_config(
        &self,
        name: &str,
        kind: ConfigKind,
    ) -> Result<Option<Bytes>, Error> {
        let bucket = self.resolve_fresh(name).await?;
        self.ask_config(bucket.id, kind).await
    }

    /// A document of a bucket, or its absence, at most [`crate::Settings::bucket_cache_ms`]
    /// old. What was set through this very gateway shows at once. For requests of strangers: of
    /// those that need the root group, at most [`STRANGERS_MAX`] ask it at a time.
    pub async fn bucket_config_cached(
        &self,
        name: &str,
        kind: ConfigKind,
    ) -> Result<Option<Bytes>, Error> {
        let _turn = match self.inner.buckets.known(name) {
            Some(_) => None,
            // Never closed: it only makes strangers wait.
            None => self.inner.configs.strangers.acquire().await.ok(),
        };
        let id = self.resolve(name).await?.id;
        self.recent_config((id, kind)).await
    }

    /// The same after an operation on the bucket, which has found out its id: without a
    /// question of its own about the name. `None` also for a name that this process has not met.
    pub async fn bucket_config_known(
        &self,
        name: &str,
        kind: ConfigKind,
    ) -> Result<Option<Bytes>, Error> {
        match self.inner.buckets.known(name) {
            Some(id) => self.recent_config((id, kind)).await,
            None => Ok(None),
        }
    }

    async fn recent_config(&self, key: Key) -> Result<Option<Bytes>, Error> {
        let now = UnixMillis(self.clock().now_ms());
        match self.inner.configs.get(key, now) {
            Ok(value) => Ok(value),
            Err(asked) => {
                let value = self.ask_config(key.0, key.1).await?;
                let valid_ms = self.settings().bucket_cache_ms;
                self.inner.configs.set(key, value.clone(), &asked, valid_ms);
                Ok(value)
            }
        }
    }

    /// Sets or removes a document of a bucket; `ConfigTooLarge` above
    /// [`BUCKET_CONFIG_BYTES_MAX`].
    pub async fn set_bucket_config(
        &self,
        name: &str,
        kind: ConfigKind,
        value: Option<Bytes>,
    ) -> Result<(), Error> {
        self.set_named_bucket_config(name, kind, "", value).await
    }

    /// The same for a document of a kind that has one a name; nobody caches those.
    pub async fn set_named_bucket_config(
        &self,
        name: &str,
        kind: ConfigKind,
        document: &str,
        value: Option<Bytes>,
    ) -> Result<(), Error> {
        if value.as_ref().is_some_and(|value| value.len() > BUCKET_CONFIG_BYTES_MAX) {
            return Err(Error::ConfigTooLarge { limit_bytes: BUCKET_CONFIG_BYTES_MAX });
        }
        let id = self.resolve_fresh(name).await?.id;
        let command = RootCommand::SetBucketConfig { id, kind, name: document.to_owned(), value };
        let answer = self.metadata().root(command).await;
        // Also if the outcome is not known.
        self.inner.configs.changed((id, kind));
        match answer.map_err(metadata_error)? {
            RootAnswer::Done => Ok(()),
            RootAnswer::NoSuchBucket => Err(Error::NoSuchBucket(name.to_owned())),
            RootAnswer::Refused(reason) => Err(Error::Internal(reason)),
            other => Err(unexpected("configuring a bucket", &other)),
        }
    }

    /// Documents of a kind that has one a name, after `after` and in the order of their names, as
    /// the root group says now; and whether more follow. At most `limit`, up to 100; fewer if
    /// they are large.
    pub async fn named_bucket_configs(
        &self,
        name: &str,
        kind: ConfigKind,
        after: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<(String, Bytes)>, bool), Error> {
        let id = self.resolve_fresh(name).await?.id;
        let query = RootQuery::BucketConfigs { id, kind, after: after.map(str::to_owned), limit };
        match self.metadata().root_query(query).await.map_err(metadata_error)? {
            RootView::BucketConfigs { configs, truncated } => Ok((configs, truncated)),
            other => Err(unexpected("asking for a bucket's configurations", &other)),
        }
    }

    /// One of those documents.
    pub async fn named_bucket_config(
        &self,
        name: &str,
        kind: ConfigKind,
        document: &str,
    ) -> Result<Option<Bytes>, Error> {
        // Pages begin after a name: the nearest one that is surely before.
        let mut before = document.to_owned();
        before.pop();
        let mut after = Some(before).filter(|before| !before.is_empty());
        loop {
            let page = self.named_bucket_configs(name, kind, after.as_deref(), 100).await?;
            let (configs, more) = page;
            let Some((last, _)) = configs.last() else { return Ok(None) };
            let goes_on = more && last.as_str() < document;
            after = Some(last.clone());
            let found = configs.into_iter().find(|(name, _)| name == document);
            if found.is_some() || !goes_on {
                return Ok(found.map(|(_, value)| value));
            }
        }
    }

    /// A bucket has one document of each of these kinds, without a name.
    async fn ask_config(&self, id: BucketId, kind: ConfigKind) -> Result<Option<Bytes>, Error> {
        let query = RootQuery::BucketConfigs { id, kind, after: None, limit: 1 };
        match self.metadata().root_query(query).await.map_err(metadata_error)? {
            RootView::BucketConfigs { configs, .. } => {
                let unnamed = |(name, value): (String, Bytes)| name.is_empty().then_some(value);
                Ok(configs.into_iter().next().and_then(unnamed))
            }
            other => Err(unexpected("asking for a bucket's configuration", &other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (BucketId(7), ConfigKind::Cors);

    fn value(bytes: usize) -> Option<Bytes> {
        Some(vec![1; bytes].into())
    }

    #[test]
    fn an_answer_is_valid_from_the_time_of_its_question() {
        let cache = ConfigCache::default();
        for stored in [value(3), None] {
            cache.changed(KEY);
            let asked = cache.get(KEY, UnixMillis(100)).expect_err("empty");
            cache.set(KEY, stored.clone(), &asked, 50);
            assert_eq!(cache.get(KEY, UnixMillis(149)).ok(), Some(stored));
            assert!(cache.get(KEY, UnixMillis(150)).is_err());
            assert!(cache.get((KEY.0, ConfigKind::Website), UnixMillis(100)).is_err());
        }
    }

    /// The question was asked before a document was set here, and is answered after.
    #[test]
    fn an_answer_that_was_overtaken_is_not_kept() {
        let cache = ConfigCache::default();
        let asked = cache.get(KEY, UnixMillis(0)).expect_err("empty");
        cache.changed(KEY);
        cache.set(KEY, value(3), &asked, 50);
        assert!(cache.get(KEY, UnixMillis(1)).is_err());
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let cache = ConfigCache::default();
        let key = |number: usize| (BucketId(number as u64), ConfigKind::Cors);
        let fill = |number, bytes| {
            let asked = cache.get(key(number), UnixMillis(0)).unwrap_or_else(|asked| {
                cache.set(key(number), value(bytes), &asked, 50);
                None
            });
            assert_eq!(asked, None, "it was not there");
        };
        for number in 0..64 {
            fill(number, 1 << 20);
        }
        assert_eq!(cache.state.lock().entries.len(), 64);
        fill(64, 1);
        assert_eq!(cache.state.lock().entries.len(), 1);
        for number in 65..CACHED_MAX + 64 {
            fill(number, 0);
        }
        assert_eq!(cache.state.lock().entries.len(), CACHED_MAX);
        fill(CACHED_MAX + 64, 10);
        let state = cache.state.lock();
        assert_eq!((state.entries.len(), state.bytes), (1, 10));
    }
}
