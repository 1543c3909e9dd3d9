//! Metadata nodes are added and removed, one at a time, while somebody writes: over real groups.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]
#![allow(clippy::print_stdout, reason = "figures")]

mod town;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cluster::{
    Metadata, MetadataClient,
    meta_keeper::{MetaRefusal, begin_meta_change},
};
use metastore::api::{
    IndexCommand, RootAnswer, RootCommand, RootQuery, RootView,
    root::MetaChange::{Add, Remove},
};
use tokio::task::JoinHandle;
use town::{PARTITIONS, Town, client, within};
use types::{GroupId, NodeId};

/// Somebody who writes to every group, one command after the other. Each must succeed.
struct Writer {
    client: Arc<MetadataClient>,
    written: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Writer {
    fn start(client: Arc<MetadataClient>) -> Self {
        let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended, metadata) = (written.clone(), stop.clone(), client.clone());
        let task = tokio::spawn(async move {
            while !ended.load(Ordering::SeqCst) {
                let number = count.load(Ordering::SeqCst) + 1;
                let cursor = number.to_string().into();
                let command = RootCommand::SaveCursor { worker: "writer".into(), cursor };
                assert_eq!(metadata.root(command).await.unwrap(), RootAnswer::Done);
                let group = GroupId(1 + u32::try_from(number).unwrap() % u32::from(PARTITIONS));
                metadata.partition(group, IndexCommand::Tick).await.unwrap();
                count.store(number, Ordering::SeqCst);
            }
        });
        Self { client, written, stop, task }
    }

    /// Waits for so many more writes.
    async fn goes_on(&self) {
        let before = self.written.load(Ordering::SeqCst);
        within("writes", async {
            while self.written.load(Ordering::SeqCst) < before + 5 {
                assert!(!self.task.is_finished(), "a write has failed");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Stops; nothing that was acknowledged is lost.
    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        within("the writer", self.task).await.unwrap();
        let written = self.written.load(Ordering::SeqCst);
        let read = self.client.root_query(RootQuery::Cursor { worker: "writer".into() }).await;
        assert_eq!(read.unwrap(), RootView::Cursor(Some(written.to_string().into())));
    }
}

async fn begin(town: &Town, change: metastore::api::root::MetaChange) {
    within("the decision", async {
        while let Err(error) = begin_meta_change(&town.any(), change, false).await {
            // An election is under way, or a node has not said yet that it is well.
            println!("{change}: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_become_five_and_the_first_three_go() {
    let mut town = Town::found(3).await;
    let outsider = client(&town.fabric, &[1, 2, 3]);
    let map = outsider.clone();
    let follow = tokio::spawn(async move { map.keep_map_fresh().await });
    let writer = Writer::start(outsider);
    let mut voters = vec![1, 2, 3];
    for id in [4, 5] {
        town.join(id).await;
        begin(&town, Add(NodeId(id))).await;
        voters.push(id);
        town.settled(&voters).await;
        writer.goes_on().await;
    }
    // Having asked twice does no harm.
    let again = begin_meta_change(&town.any(), Add(NodeId(5)), false).await;
    assert!(matches!(again, Err(MetaRefusal::Refused(_))), "{again:?}");
    for id in [1, 2] {
        begin(&town, Remove(NodeId(id))).await;
        voters.retain(|voter| *voter != id);
        town.settled(&voters).await;
        assert!(town.nodes[&id].led().is_empty(), "it has handed over what it led");
        town.stop(id).await;
        writer.goes_on().await;
    }
    // Two would survive no failure.
    let two = begin_meta_change(&town.any(), Remove(NodeId(3)), false).await;
    assert!(two.unwrap_err().to_string().contains("--force"));
    town.join(6).await;
    begin(&town, Add(NodeId(6))).await;
    town.settled(&[3, 4, 5, 6]).await;
    begin(&town, Remove(NodeId(3))).await;
    town.settled(&[4, 5, 6]).await;
    town.stop(3).await;
    writer.goes_on().await;
    writer.end().await;
    follow.abort();

    // Their ids are gone for ever, and so are their folders.
    for id in 1..=3 {
        let wiped = town.register_wiped(id).await;
        assert!(matches!(&wiped, RootAnswer::Refused(why) if why.contains("new id")), "{wiped:?}");
    }
    let metadata = town.any();
    metadata.refresh_map().await.unwrap();
    let map = metadata.map();
    assert_eq!(map.nodes.keys().map(|id| id.0).collect::<Vec<_>>(), [4, 5, 6]);
    town.end().await;
}

/// Whoever leads while a node is added crashes, more than once: the others go on with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_on_whoever_crashes() {
    let mut town = Town::found(3).await;
    let writer = Writer::start(client(&town.fabric, &[1, 2, 3]));
    town.join(4).await;
    begin(&town, Add(NodeId(4))).await;
    for group in [0, 1, 2] {
        let leader = within("a leader", async {
            loop {
                let leads = |node: &town::Node| node.led().contains(&GroupId(group));
                if let Some((id, _)) = town.nodes.iter().find(|(_, node)| leads(node)) {
                    return *id;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        town.stop(leader).await;
        town.start(leader).await;
        writer.goes_on().await;
    }
    town.settled(&[1, 2, 3, 4]).await;
    begin(&town, Remove(NodeId(2))).await;
    town.stop(2).await;
    town.settled(&[1, 3, 4]).await;
    writer.end().await;
    town.end().await;
}

/// A new node dies before it has caught up: the operator takes it back, and nothing is left of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_never_arrives_is_given_up() {
    let mut town = Town::found(3).await;
    town.join(4).await;
    begin(&town, Add(NodeId(4))).await;
    town.fabric.cut(4);
    let other = begin_meta_change(&town.any(), Remove(NodeId(1)), false).await;
    assert!(other.unwrap_err().to_string().contains("one change at a time"));
    begin(&town, Remove(NodeId(4))).await;
    town.settled(&[1, 2, 3]).await;
    within("the map without it", async {
        while town.any().map().nodes.contains_key(&NodeId(4)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    town.end().await;
}
