//! Versions of a key as a list that only grows: each PUT appends one, and ListObjectVersions reads them.
//! What a version holds is read from itself, once. `checker::versions` says what must hold.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
use rand::Rng;
use tokio::sync::watch;

use super::{Finished, clients, finished, last};
use crate::{
    checker::versions::{self, ListCall, ListOperation},
    content::content,
    edn,
    history::{End, Recorded, Value},
    site::{Got, Site},
};

/// Lists at a time, each in a bucket of its own.
const SLOTS: u64 = 4;
/// Operations on the lists of a round; fresh ones follow.
const ROUND_OPERATIONS: u64 = 200;
/// One operation in so many is a read.
const READ_ONE_IN: u32 = 3;
/// Versions a page, so that a list has several.
const PAGE_VERSIONS: i32 = 15;
/// Pages of a list, at most; more would be a list that does not end.
const PAGES_MAX: usize = 1000;
/// Asked so often at the beginning, because a bucket's configuration is known everywhere only soon after.
const VERSIONED_TRIES: usize = 50;

struct Lists {
    site: Arc<Site>,
    operations: AtomicU64,
    /// What versions hold, by their ids.
    values: Mutex<HashMap<String, Value>>,
}

fn length(value: Value) -> usize {
    if value.is_multiple_of(3) { 6000 } else { 48 }
}

/// Runs until the time is over, waits until all is healed, reads everything once more.
pub(crate) async fn run(
    site: Arc<Site>,
    count: usize,
    mut healed: watch::Receiver<bool>,
) -> anyhow::Result<Finished> {
    let lists = Lists { site, operations: AtomicU64::new(0), values: Mutex::default() };
    let lists = Arc::new(lists);
    for slot in 0..SLOTS {
        lists.create(&lists.bucket(slot)).await?;
    }
    lists.site.prepared();
    let mut history = clients(count, |number| client(Arc::clone(&lists), number)).await?;
    healed.wait_for(|healed| *healed).await?;
    let rounds = lists.operations.load(Ordering::Relaxed).div_ceil(ROUND_OPERATIONS);
    let read = last(0..rounds * SLOTS, |key| {
        let lists = &lists;
        async move {
            let gateway = &lists.site.gateways[key as usize % lists.site.gateways.len()];
            lists.record(lists.site.process(), key, ListCall::Read, gateway).await
        }
    });
    let read = read.await;
    let unknown = read.iter().filter(|last| last.end == End::Info);
    let unanswered = unknown
        .map(|last| format!("versions of {}/{}", lists.bucket(last.key), name(last.key)))
        .collect();
    history.extend(read);
    let verdict = versions::check(&history);
    let text = edn::lines(&history.iter().map(entry).collect::<Vec<_>>());
    let writes = |call: &ListCall| *call != ListCall::Read;
    Ok(finished("versions", &history, verdict, text, writes, unanswered))
}

async fn client(lists: Arc<Lists>, number: usize) -> Vec<ListOperation> {
    let mut random = lists.site.random("versions", number);
    let mut process = lists.site.process();
    let mut operations = Vec::new();
    while !lists.site.over() {
        let round = lists.operations.fetch_add(1, Ordering::Relaxed) / ROUND_OPERATIONS;
        let key = round * SLOTS + random.random_range(0..SLOTS);
        let call = if random.random_ratio(1, READ_ONE_IN) {
            ListCall::Read
        } else {
            ListCall::Append(lists.site.fresh())
        };
        let operation = lists.record(process, key, call, lists.site.gateway(&mut random)).await;
        let unknown = operation.end == End::Info;
        operations.push(operation);
        if unknown {
            process = lists.site.process();
        }
        lists.site.think(unknown).await;
    }
    operations
}

fn name(key: u64) -> String {
    format!("list-{key:08}")
}

impl Lists {
    fn bucket(&self, key: u64) -> String {
        format!("versions-{:016x}-{}", self.site.seed, key % SLOTS)
    }

    /// Makes a bucket, and waits until every gateway knows that it has versions.
    async fn create(&self, bucket: &str) -> anyhow::Result<()> {
        let gateway = &self.site.gateways[0];
        gateway.create_bucket().bucket(bucket).send().await?;
        let enabled = BucketVersioningStatus::Enabled;
        let versioning = VersioningConfiguration::builder().status(enabled).build();
        let put = gateway.put_bucket_versioning().bucket(bucket);
        put.versioning_configuration(versioning).send().await?;
        for gateway in &self.site.gateways {
            let mut versioned = false;
            for _ in 0..VERSIONED_TRIES {
                let put = gateway.put_object().bucket(bucket).key("first");
                versioned = put.send().await?.version_id().is_some();
                if versioned {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            anyhow::ensure!(versioned, "{bucket} does not get versions through every gateway");
        }
        Ok(())
    }

    async fn record(
        &self,
        process: u64,
        key: u64,
        call: ListCall,
        gateway: &Client,
    ) -> ListOperation {
        let invoked = self.site.now();
        let end = match call {
            ListCall::Append(value) => self.append(key, value, gateway).await,
            ListCall::Read => self.read(key, gateway).await.map_or(End::Info, End::Ok),
        };
        Recorded { process, key, call, invoked, ended: self.site.now(), end }
    }

    async fn append(&self, key: u64, value: Value, gateway: &Client) -> End<Vec<u64>> {
        let put = gateway.put_object().bucket(self.bucket(key)).key(name(key));
        match put.body(ByteStream::from(content(value, length(value)))).send().await {
            Ok(done) => {
                match done.version_id() {
                    Some(id) => self.learn(id, value),
                    None => self.site.wrong(format!("PUT of {} gave no version", name(key))),
                }
                End::Ok(Vec::new())
            }
            Err(_) => End::Info,
        }
    }

    fn learn(&self, id: &str, value: Value) {
        let known =
            self.values.lock().expect("no panic while it is held").insert(id.to_owned(), value);
        if known.is_some_and(|known| known != value) {
            self.site.wrong(format!("version {id} holds {known:?} and {value}"));
        }
    }

    /// The values, the oldest first; `None` without an answer to everything.
    async fn read(&self, key: u64, gateway: &Client) -> Option<Vec<u64>> {
        let (bucket, name) = (self.bucket(key), name(key));
        let mut values = Vec::new();
        let mut marker: (Option<String>, Option<String>) = (None, None);
        for _ in 0..PAGES_MAX {
            let list = gateway.list_object_versions().bucket(&bucket).prefix(&name);
            let list = list.max_keys(PAGE_VERSIONS);
            let list = list.set_key_marker(marker.0.take()).set_version_id_marker(marker.1.take());
            let page = list.send().await.ok()?;
            if !page.delete_markers().is_empty() {
                self.site.wrong(format!("{name} has a delete marker that nobody made"));
            }
            for version in page.versions() {
                if version.is_latest() != Some(values.is_empty()) {
                    self.site
                        .wrong(format!("{name}: IsLatest is wrong of {:?}", version.version_id()));
                }
                values.push(self.value(&bucket, &name, version.version_id()?, gateway).await?);
            }
            if page.is_truncated() != Some(true) {
                values.reverse();
                return Some(values);
            }
            marker = (
                page.next_key_marker().map(str::to_owned),
                page.next_version_id_marker().map(str::to_owned),
            );
        }
        self.site.wrong(format!("the list of {name} has more than {PAGES_MAX} pages"));
        None
    }

    async fn value(&self, bucket: &str, name: &str, id: &str, gateway: &Client) -> Option<Value> {
        let known = self.values.lock().expect("no panic while it is held").get(id).copied();
        if known.is_some() {
            return known;
        }
        match self.site.get(gateway, bucket, name, Some(id), length).await {
            Got::Value(value, _) => {
                self.learn(id, value);
                Some(value)
            }
            Got::Refused(code) => {
                self.site.wrong(format!("{name}: version {id} is listed, and {code} when read"));
                None
            }
            Got::Unknown => None,
        }
    }
}

/// Elle's list-append: every operation is a transaction of one micro-operation.
fn entry(operation: &ListOperation) -> edn::Entry {
    let key = operation.key;
    let (asked, found) = match (operation.call, &operation.end) {
        (ListCall::Append(value), _) => {
            let append = format!("[[:append {key} {value}]]");
            (append.clone(), append)
        }
        (ListCall::Read, End::Ok(values)) => {
            let values: Vec<String> = values.iter().map(u64::to_string).collect();
            (format!("[[:r {key} nil]]"), format!("[[:r {key} [{}]]]", values.join(" ")))
        }
        (ListCall::Read, _) => (format!("[[:r {key} nil]]"), format!("[[:r {key} nil]]")),
    };
    edn::Entry {
        process: operation.process.to_string(),
        f: "txn",
        invoked: operation.invoked,
        ended: operation.ended,
        kind: operation.end.kind(),
        asked,
        found,
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reads_and_appends_are_transactions_in_edn() {
        let read = Recorded {
            process: 3,
            key: 7,
            call: ListCall::Read,
            invoked: Duration::from_nanos(10),
            ended: Duration::from_nanos(20),
            end: End::Ok(vec![1, 2]),
        };
        let append = Recorded { call: ListCall::Append(3), end: End::Info, ..read.clone() };
        assert_eq!(
            edn::lines(&[entry(&read)]),
            "{:index 0, :time 10, :type :invoke, :process 3, :f :txn, :value [[:r 7 nil]]}\n\
             {:index 1, :time 20, :type :ok, :process 3, :f :txn, :value [[:r 7 [1 2]]]}\n"
        );
        assert!(
            edn::lines(&[entry(&append)])
                .ends_with(":type :info, :process 3, :f :txn, :value [[:append 7 3]]}\n")
        );
    }
}
