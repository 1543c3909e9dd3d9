//! Sets: each element is the PUT of a key of its own, and all are read by LIST, whose pages may come from
//! different gateways. `checker::set` says what must hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use aws_sdk_s3::{Client, primitives::ByteStream};
use rand::Rng;
use tokio::sync::watch;

use super::{Finished, clients, finished, last};
use crate::{
    checker::set::{self, SetCall, SetOperation},
    content::content,
    edn,
    history::{End, Recorded},
    site::Site,
};

/// Buckets, so that the sets have several leaders.
const SLOTS: u64 = 4;
/// Operations on the sets of a round; fresh ones follow.
const ROUND_OPERATIONS: u64 = 600;
/// One operation in so many is a listing.
const LIST_ONE_IN: u32 = 5;
/// Lengths of an element's object, in turn: above 4 KiB the bytes go to the disks.
const BYTES: [usize; 2] = [32, 6000];
/// Pages of a listing, at most; more would be a listing that does not end.
const PAGES_MAX: usize = 1000;

struct Sets {
    site: Arc<Site>,
    operations: AtomicU64,
    elements: AtomicU64,
}

/// Runs until the time is over, waits until all is healed, reads everything once more.
pub(crate) async fn run(
    site: Arc<Site>,
    count: usize,
    mut healed: watch::Receiver<bool>,
) -> anyhow::Result<Finished> {
    let sets = Arc::new(Sets { site, operations: AtomicU64::new(0), elements: AtomicU64::new(1) });
    for slot in 0..SLOTS {
        sets.site.gateways[0].create_bucket().bucket(sets.bucket(slot)).send().await?;
    }
    sets.site.prepared();
    let mut history = clients(count, |number| client(Arc::clone(&sets), number)).await?;
    healed.wait_for(|healed| *healed).await?;
    let rounds = sets.operations.load(Ordering::Relaxed).div_ceil(ROUND_OPERATIONS);
    let read = last(0..rounds * SLOTS, |key| {
        let sets = &sets;
        async move {
            let gateway = &sets.site.gateways[key as usize % sets.site.gateways.len()];
            sets.record(sets.site.process(), key, SetCall::List, &[gateway]).await
        }
    });
    let read = read.await;
    let unknown = read.iter().filter(|last| last.end == End::Info);
    let unanswered = unknown
        .map(|last| format!("LIST of {}/{}", sets.bucket(last.key), prefix(last.key)))
        .collect();
    history.extend(read);
    let verdict = set::check(&history);
    let text = edn::lines(&history.iter().map(entry).collect::<Vec<_>>());
    let writes = |call: &SetCall| *call != SetCall::List;
    Ok(finished("set", &history, verdict, text, writes, unanswered))
}

async fn client(sets: Arc<Sets>, number: usize) -> Vec<SetOperation> {
    let mut random = sets.site.random("set", number);
    let mut process = sets.site.process();
    let mut operations = Vec::new();
    while !sets.site.over() {
        let round = sets.operations.fetch_add(1, Ordering::Relaxed) / ROUND_OPERATIONS;
        let key = round * SLOTS + random.random_range(0..SLOTS);
        let call = if random.random_ratio(1, LIST_ONE_IN) {
            SetCall::List
        } else {
            SetCall::Add(sets.elements.fetch_add(1, Ordering::Relaxed))
        };
        let gateways = [sets.site.gateway(&mut random), sets.site.gateway(&mut random)];
        let operation = sets.record(process, key, call, &gateways).await;
        let unknown = operation.end == End::Info;
        operations.push(operation);
        if unknown {
            process = sets.site.process();
        }
        sets.site.think(unknown).await;
    }
    operations
}

fn prefix(key: u64) -> String {
    format!("set-{key:08}/")
}

impl Sets {
    fn bucket(&self, key: u64) -> String {
        format!("set-{:016x}-{}", self.site.seed, key % SLOTS)
    }

    /// Does one operation; pages of a listing take turns over the gateways.
    async fn record(
        &self,
        process: u64,
        key: u64,
        call: SetCall,
        gateways: &[&Client],
    ) -> SetOperation {
        let invoked = self.site.now();
        let end = match call {
            SetCall::Add(element) => {
                let bytes = BYTES[usize::from(element % 2 == 0)];
                let put = gateways[0].put_object().bucket(self.bucket(key));
                let put = put.key(format!("{}{element:012}", prefix(key)));
                match put.body(ByteStream::from(content(element, bytes))).send().await {
                    Ok(_) => End::Ok(Vec::new()),
                    Err(_) => End::Info,
                }
            }
            SetCall::List => self.list(key, gateways).await.map_or(End::Info, End::Ok),
        };
        Recorded { process, key, call, invoked, ended: self.site.now(), end }
    }

    /// The elements in the order of the pages; `None` without an answer to each.
    async fn list(&self, key: u64, gateways: &[&Client]) -> Option<Vec<u64>> {
        let prefix = prefix(key);
        // Few keys a page, so that there are several.
        let page_keys = 20 + i32::try_from(key % 50).expect("small");
        let mut elements = Vec::new();
        let mut token = None;
        for gateway in gateways.iter().cycle().take(PAGES_MAX) {
            let list = gateway.list_objects_v2().bucket(self.bucket(key)).prefix(&prefix);
            let list = list.max_keys(page_keys).set_continuation_token(token.take());
            let page = list.send().await.ok()?;
            for object in page.contents() {
                let name = object.key().unwrap_or_default();
                match name.strip_prefix(&prefix).and_then(|number| number.parse().ok()) {
                    Some(element) => elements.push(element),
                    None => self.site.wrong(format!("LIST of {prefix} names {name:?}")),
                }
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Some(elements);
            }
        }
        self.site.wrong(format!("LIST of {prefix} has more than {PAGES_MAX} pages"));
        None
    }
}

fn entry(operation: &SetOperation) -> edn::Entry {
    let key = operation.key;
    let (f, asked, found) = match (operation.call, &operation.end) {
        (SetCall::Add(element), _) => {
            ("add", format!("[{key} {element}]"), format!("[{key} {element}]"))
        }
        (SetCall::List, End::Ok(elements)) => {
            let elements: Vec<String> = elements.iter().map(u64::to_string).collect();
            ("read", format!("[{key} nil]"), format!("[{key} #{{{}}}]", elements.join(" ")))
        }
        (SetCall::List, _) => ("read", format!("[{key} nil]"), format!("[{key} nil]")),
    };
    edn::Entry {
        process: operation.process.to_string(),
        f,
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
    fn a_listing_is_a_set_in_edn() {
        let operation = Recorded {
            process: 3,
            key: 7,
            call: SetCall::List,
            invoked: Duration::from_nanos(10),
            ended: Duration::from_nanos(20),
            end: End::Ok(vec![1, 2]),
        };
        assert_eq!(
            edn::lines(&[entry(&operation)]),
            "{:index 0, :time 10, :type :invoke, :process 3, :f :read, :value [7 nil]}\n\
             {:index 1, :time 20, :type :ok, :process 3, :f :read, :value [7 #{1 2}]}\n"
        );
    }
}
