//! A cluster in one place: state machines over rows in memory, disks in memory, and the
//! faults that the tests need. Shared with the tests of the repair crate.

#![allow(dead_code, unreachable_pub, reason = "two test crates share it, neither uses all of it")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use cluster::{Metadata, MetadataError, ShardError, Shards};
use consensus::ConsensusGroup;
use futures::StreamExt;
use metastore::{
    LocalGroup,
    api::{
        self, IndexAnswer, IndexCommand, IndexQuery, IndexView, RootAnswer, RootCommand, RootQuery,
        RootView,
        index::{BucketChange, Garbage, Origin},
    },
};
use objects::{
    Error, Objects, Settings,
    body::MemoryBody,
    request::{
        CompleteUpload, CreateUpload, Delete, Deleted, ListedPart, Put, PutPart, RangeRequest,
    },
};
use parking_lot::Mutex;
use platform::{Clock, ManualClock};
use proto::shards::{Chunk, DiskStat, PutChunks, ShardEntry, Verified};
use shardstore::{MemoryStore, ShardStore};
use types::{
    Attributes, BlobRef, BucketId, BucketSettings, ClusterId, ClusterMap, Condition, Content,
    DiskClass, DiskId, DiskUuid, ErasurePolicy, FeatureLevel, GroupId, InstanceId, Location,
    NodeId, ObjectHead, PgId, Role, ShardId, StorageClass, StorageClasses, StorageProfile,
    UnixMillis, UploadId, Version, Versioning,
};

/// The time at which every test begins, in milliseconds.
pub const START_MS: u64 = 1_800_000_000_000;
/// The bucket that every test has.
pub const BUCKET: &str = "lake";

/// What happens to the next index command instead of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandFault {
    /// Not applied, and the caller knows.
    Unavailable,
    /// Applied, and the caller does not know.
    UnknownApplied,
    /// Not applied, and the caller does not know.
    UnknownLost,
    /// Applied, and a late duplicate of it arrives before the next such command.
    ArrivesAgain,
    /// It succeeds: the fault after this one is for the command after it.
    Passes,
}

pub struct TestDisk {
    pub store: MemoryStore,
    /// Calls fail.
    pub down: AtomicBool,
    /// The client knows that it is down.
    pub suspected: AtomicBool,
    /// What was begun of a shard cannot be compared with, until it is deleted.
    pub damaged: AtomicBool,
    /// Reads find nothing until the next put, as while a node starts.
    pub hidden: AtomicBool,
    /// Calls of each kind take so long, in milliseconds.
    pub read_ms: AtomicU64,
    pub put_ms: AtomicU64,
    pub reads: AtomicU64,
    pub puts: AtomicU64,
    pub deletes: AtomicU64,
}

pub struct TestCluster {
    pub clock: Arc<ManualClock>,
    root: LocalGroup,
    partitions: BTreeMap<GroupId, LocalGroup>,
    pub disks: BTreeMap<DiskId, TestDisk>,
    map: Mutex<Arc<ClusterMap>>,
    pub command_faults: Mutex<VecDeque<CommandFault>>,
    /// Opening a gate takes so long, in milliseconds of the clock.
    pub open_ms: AtomicU64,
    late: Mutex<Option<IndexCommand>>,
}

fn encode_apply<C: serde::Serialize, A: serde::de::DeserializeOwned>(
    group: &LocalGroup,
    command: &C,
) -> Result<A, MetadataError> {
    let answer = group
        .apply(&api::encode(command))
        .map_err(|error| MetadataError::Internal(error.to_string()))?;
    api::decode(&answer).map_err(|error| MetadataError::Internal(error.to_string()))
}

impl TestCluster {
    /// A cluster of `disks` disks, one a node, with a group for each rotation of them and
    /// two partitions.
    pub fn new(policy: &str, disks: u32) -> Arc<Self> {
        let policy: ErasurePolicy = policy.parse().expect("a valid policy");
        let clock = Arc::new(ManualClock::new(START_MS));
        let shared: Arc<dyn Clock> = clock.clone();
        let node = NodeId(1);
        let root = LocalGroup::root(node, shared.clone());
        let directory = metastore::presplit(2);
        let partitions = directory
            .iter()
            .map(|p| (p.group, LocalGroup::index(p.group, node, shared.clone())))
            .collect();
        let apply = |command: RootCommand| -> RootAnswer {
            encode_apply(&root, &command).expect("the root group applies")
        };
        let cluster = ClusterId::from_bytes([1; 16]);
        apply(RootCommand::Bootstrap {
            cluster,
            policy,
            partitions: directory,
            level: FeatureLevel::OURS,
        });
        let mut ids = Vec::new();
        for number in 0..disks {
            let mut unique = [0; 16];
            unique[..4].copy_from_slice(&(number + 1).to_be_bytes());
            let RootAnswer::Node(node) = apply(RootCommand::RegisterNode {
                id: None,
                instance: InstanceId::from_bytes(unique),
                role: Role::Data,
                address: format!("127.0.0.1:{}", 1000 + number),
                location: Location::default(),
                level: FeatureLevel::OURS,
            }) else {
                panic!("a data node is registered")
            };
            let RootAnswer::Disk(disk) = apply(RootCommand::RegisterDisk {
                uuid: DiskUuid::from_bytes(unique),
                node,
                capacity_bytes: 1 << 30,
                class: DiskClass::Hot,
            }) else {
                panic!("a disk is registered")
            };
            ids.push(disk);
        }
        // One placement for each policy of the default classes; all of them on these hot disks.
        let thin = StorageClasses::new(policy).profile(StorageClass::OnezoneIa).policy;
        let mut policies = vec![policy, thin];
        policies.dedup();
        for policy in policies {
            let group = |first: usize| {
                (0..policy.n()).map(|rank| ids[(first + rank) % ids.len()]).collect::<Vec<_>>()
            };
            let groups = (0..ids.len()).map(group).collect();
            let create =
                RootCommand::CreateGroups { policy, class: DiskClass::Hot, groups, existing: 0 };
            assert_eq!(apply(create), RootAnswer::Done);
        }
        let disk = |id: &DiskId| {
            let disk = TestDisk {
                store: MemoryStore::new(1 << 30, shared.clone()),
                down: AtomicBool::new(false),
                suspected: AtomicBool::new(false),
                damaged: AtomicBool::new(false),
                hidden: AtomicBool::new(false),
                read_ms: AtomicU64::new(0),
                put_ms: AtomicU64::new(0),
                reads: AtomicU64::new(0),
                puts: AtomicU64::new(0),
                deletes: AtomicU64::new(0),
            };
            (*id, disk)
        };
        let disks = ids.iter().map(disk).collect();
        let map = Self::root_view(&root, &RootQuery::Map);
        let RootView::Map(Some(map)) = map else { panic!("the cluster is bootstrapped") };
        Arc::new(Self {
            clock,
            root,
            partitions,
            disks,
            map: Mutex::new(Arc::new(*map)),
            command_faults: Mutex::default(),
            open_ms: AtomicU64::new(0),
            late: Mutex::default(),
        })
    }

    /// A cluster with one bucket and the object layer over it.
    pub async fn with_objects(
        policy: &str,
        disks: u32,
        settings: Settings,
    ) -> (Arc<Self>, Objects) {
        let cluster = Self::new(policy, disks);
        let objects = cluster.objects(settings);
        let initial = BucketSettings::default();
        objects.create_bucket(BUCKET, initial).await.expect("the name is free");
        (cluster, objects)
    }

    /// 4+2 over six disks.
    pub async fn six() -> (Arc<Self>, Objects) {
        Self::with_objects("rs-4-2", 6, Settings::default()).await
    }

    /// One more object layer, as another gateway.
    pub fn objects(self: &Arc<Self>, settings: Settings) -> Objects {
        Objects::new(self.clone(), self.clone(), self.clock.clone(), settings)
    }

    fn root_view(root: &LocalGroup, query: &RootQuery) -> RootView {
        let mut view = None;
        root.view(&mut |rows| {
            view = Some(metastore::root::evaluate(rows, query)?);
            Ok(())
        })
        .expect("rows in memory");
        view.expect("visited")
    }

    pub fn disk(&self, number: usize) -> (DiskId, &TestDisk) {
        let (id, disk) = self.disks.iter().nth(number).expect("a disk of this number");
        (*id, disk)
    }

    /// Takes a disk away; the client notices only when it calls it.
    pub fn take_down(&self, disk: DiskId) {
        self.disks[&disk].down.store(true, Ordering::SeqCst);
    }

    pub fn bring_up(&self, disk: DiskId) {
        self.disks[&disk].down.store(false, Ordering::SeqCst);
        self.disks[&disk].suspected.store(false, Ordering::SeqCst);
    }

    /// Every shard of every disk, with where it is.
    pub async fn shards(&self) -> Vec<(DiskId, ShardEntry)> {
        let mut all = Vec::new();
        for (id, disk) in &self.disks {
            let entries = disk.store.inventory(None, 10_000).await.expect("memory");
            all.extend(entries.into_iter().map(|entry| (*id, entry)));
        }
        all
    }

    pub async fn shard_count(&self) -> usize {
        self.shards().await.len()
    }

    /// What waits for collection in all partitions, grace or not.
    pub fn garbage(&self) -> Vec<Garbage> {
        let mut all = Vec::new();
        for group in self.partitions.values() {
            let before = UnixMillis(u64::MAX);
            let query = IndexQuery::Garbage { before, after: None, limit: 1000 };
            match Self::index_view(group, &query) {
                IndexView::Garbage(rows) => all.extend(rows.into_iter().map(|(_, what)| what)),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    pub fn group_disks(&self, group: PgId) -> Vec<DiskId> {
        self.map.lock().groups[&group].disks.clone()
    }

    /// Changes the map that everybody sees.
    pub fn edit_map(&self, edit: impl FnOnce(&mut ClusterMap)) {
        let mut map = self.map.lock();
        edit(Arc::make_mut(&mut map));
    }

    /// Gives a storage class another profile.
    pub fn set_profile(&self, class: StorageClass, profile: StorageProfile) {
        let mut classes = self.map.lock().classes.clone();
        classes.set(class, profile);
        self.root_apply(RootCommand::SetStorageClasses { classes });
    }

    /// One more group of all disks, for this policy and class.
    pub fn add_group(&self, policy: ErasurePolicy, class: DiskClass) {
        let groups = vec![self.disks.keys().copied().take(policy.n()).collect()];
        self.root_apply(RootCommand::CreateGroups { policy, class, groups, existing: 0 });
    }

    fn root_apply(&self, command: RootCommand) {
        let answer: RootAnswer = encode_apply(&self.root, &command).expect("it applies");
        assert_eq!(answer, RootAnswer::Done);
        let view = Self::root_view(&self.root, &RootQuery::Map);
        let RootView::Map(Some(map)) = view else { panic!("the cluster is bootstrapped") };
        *self.map.lock() = Arc::new(*map);
    }

    pub fn groups(&self) -> Vec<GroupId> {
        self.partitions.keys().copied().collect()
    }

    fn partition_of(&self, bucket: BucketId, key: &str) -> &LocalGroup {
        let group = self.map.lock().partition(bucket, key).expect("no gaps").group;
        &self.partitions[&group]
    }

    fn index_view(group: &LocalGroup, query: &IndexQuery) -> IndexView {
        let mut view = None;
        group
            .view(&mut |rows| {
                view = Some(metastore::index::evaluate(rows, query)?);
                Ok(())
            })
            .expect("rows in memory");
        view.expect("visited")
    }

    fn index_apply(
        &self,
        group: &LocalGroup,
        command: &IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        if matches!(command, IndexCommand::OpenBucket { .. }) {
            self.clock.advance(self.open_ms.load(Ordering::SeqCst));
        }
        let matters = matches!(
            command,
            IndexCommand::PutObject { .. }
                | IndexCommand::PutPart { .. }
                | IndexCommand::ReplaceBlob { .. }
        );
        let fault = if matters { self.command_faults.lock().pop_front() } else { None };
        let late = if matters { self.late.lock().take() } else { None };
        if let Some(late) = late {
            let _: IndexAnswer = encode_apply(group, &late)?;
        }
        match fault {
            None | Some(CommandFault::Passes) => encode_apply(group, command),
            Some(CommandFault::Unavailable) => {
                Err(MetadataError::Unavailable("by request of the test".into()))
            }
            Some(CommandFault::UnknownLost) => {
                Err(MetadataError::Unknown("by request of the test".into()))
            }
            Some(CommandFault::UnknownApplied) => {
                let _: IndexAnswer = encode_apply(group, command)?;
                Err(MetadataError::Unknown("by request of the test".into()))
            }
            Some(CommandFault::ArrivesAgain) => {
                *self.late.lock() = Some(command.clone());
                encode_apply(group, command)
            }
        }
    }

    fn reach(&self, disk: DiskId) -> Result<&TestDisk, ShardError> {
        let found = &self.disks[&disk];
        if found.down.load(Ordering::SeqCst) {
            let reason = "by request of the test".into();
            return Err(ShardError::Unavailable { disk, reason });
        }
        Ok(found)
    }
}

#[async_trait]
impl Metadata for TestCluster {
    fn map(&self) -> Arc<ClusterMap> {
        self.map.lock().clone()
    }

    async fn root(&self, command: RootCommand) -> Result<RootAnswer, MetadataError> {
        encode_apply(&self.root, &command)
    }

    async fn root_query(&self, query: RootQuery) -> Result<RootView, MetadataError> {
        Ok(Self::root_view(&self.root, &query))
    }

    async fn index(
        &self,
        bucket: BucketId,
        key: &str,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        tokio::task::yield_now().await;
        self.index_apply(self.partition_of(bucket, key), &command)
    }

    async fn index_query(
        &self,
        bucket: BucketId,
        key: &str,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        tokio::task::yield_now().await;
        Ok(Self::index_view(self.partition_of(bucket, key), &query))
    }

    async fn partition(
        &self,
        group: GroupId,
        command: IndexCommand,
    ) -> Result<IndexAnswer, MetadataError> {
        self.index_apply(&self.partitions[&group], &command)
    }

    async fn partition_query(
        &self,
        group: GroupId,
        query: IndexQuery,
    ) -> Result<IndexView, MetadataError> {
        Ok(Self::index_view(&self.partitions[&group], &query))
    }
}

fn shard_error(disk: DiskId, error: shardstore::Error) -> ShardError {
    use shardstore::Error as E;
    match error {
        E::NoSpace => ShardError::NoSpace(disk),
        E::NotFound { shard, .. } => ShardError::NotFound { disk, shard },
        E::Corrupt { shard, .. } => ShardError::Corrupt { disk, shard },
        E::Unavailable(reason) => ShardError::Unavailable { disk, reason },
        other => ShardError::Failed { disk, reason: other.to_string() },
    }
}

#[async_trait]
impl Shards for TestCluster {
    async fn put(&self, disk: DiskId, put: PutChunks) -> Result<(), ShardError> {
        let found = self.reach(disk)?;
        found.puts.fetch_add(1, Ordering::SeqCst);
        found.hidden.store(false, Ordering::SeqCst);
        if found.damaged.load(Ordering::SeqCst) {
            return Err(ShardError::Corrupt { disk, shard: put.shard });
        }
        wait(&found.put_ms).await;
        self.reach(disk)?.store.put(put).await.map_err(|error| shard_error(disk, error))
    }

    async fn confirm(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        self.reach(disk)?.store.confirm(shards).await.map_err(|error| shard_error(disk, error))
    }

    async fn read(&self, disk: DiskId, shard: ShardId, stripe: u32) -> Result<Chunk, ShardError> {
        let found = self.reach(disk)?;
        found.reads.fetch_add(1, Ordering::SeqCst);
        if found.hidden.load(Ordering::SeqCst) {
            return Err(ShardError::NotFound { disk, shard });
        }
        wait(&found.read_ms).await;
        let read = self.reach(disk)?.store.read(shard, stripe).await;
        read.map_err(|error| shard_error(disk, error))
    }

    async fn delete(&self, disk: DiskId, shards: Vec<ShardId>) -> Result<(), ShardError> {
        let found = self.reach(disk)?;
        found.deletes.fetch_add(1, Ordering::SeqCst);
        found.damaged.store(false, Ordering::SeqCst);
        found.store.delete(shards).await.map_err(|error| shard_error(disk, error))
    }

    async fn inventory(
        &self,
        disk: DiskId,
        after: Option<ShardId>,
        limit: u32,
    ) -> Result<Vec<ShardEntry>, ShardError> {
        let entries = self.reach(disk)?.store.inventory(after, limit).await;
        entries.map_err(|error| shard_error(disk, error))
    }

    async fn verify(
        &self,
        disk: DiskId,
        _after: Option<ShardId>,
        _bytes_max: u64,
    ) -> Result<Verified, ShardError> {
        Err(ShardError::Failed { disk, reason: "the object layer does not scrub".into() })
    }

    async fn stat(&self, disk: DiskId) -> Result<DiskStat, ShardError> {
        self.reach(disk)?.store.stat().await.map_err(|error| shard_error(disk, error))
    }

    fn likely_up(&self, disk: DiskId) -> bool {
        !self.disks[&disk].suspected.load(Ordering::SeqCst)
    }
}

/// Time that a disk takes. The tests that use it run on paused time.
async fn wait(millis: &AtomicU64) {
    let millis = millis.load(Ordering::SeqCst);
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Bytes of which some runs can be compressed and some cannot; a wrong offset shows in both.
pub fn mixed_content(seed: u64, len: usize) -> Bytes {
    const RUN: usize = 200_000;
    let random = content(seed, len);
    let mut bytes = Vec::with_capacity(len);
    for (number, run) in random.chunks(RUN).enumerate() {
        if number % 2 == 0 {
            bytes.extend_from_slice(run);
        } else {
            let start = bytes.len();
            bytes.extend((start..start + run.len()).map(|at| (at / 1000) as u8 ^ seed as u8));
        }
    }
    bytes.into()
}

/// Bytes that repeat nowhere nearby, so that a wrong offset shows.
pub fn content(seed: u64, len: usize) -> Bytes {
    use rand::{RngCore, SeedableRng};
    let mut bytes = vec![0; len];
    rand::rngs::StdRng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

pub fn put_request(key: &str, bytes: Bytes) -> Put {
    Put {
        bucket: BUCKET.into(),
        key: key.into(),
        condition: Condition::None,
        attributes: Attributes::default(),
        origin: Origin::default(),
        body: Box::new(MemoryBody::new(bytes)),
    }
}

pub async fn put(objects: &Objects, key: &str, bytes: &Bytes) -> Result<ObjectHead, Error> {
    objects.put(put_request(key, bytes.clone())).await
}

/// Puts an object in a storage class.
pub async fn put_in(
    objects: &Objects,
    key: &str,
    class: StorageClass,
    bytes: &Bytes,
) -> Result<ObjectHead, Error> {
    let attributes = Attributes { class, ..Attributes::default() };
    objects.put(Put { attributes, ..put_request(key, bytes.clone()) }).await
}

/// Keeps every version from here on.
pub async fn enable_versioning(objects: &Objects) {
    let change = BucketChange::Versioning(Versioning::Enabled);
    objects.configure_bucket(BUCKET, change).await.expect("it always may be enabled");
}

pub async fn create_upload(objects: &Objects, key: &str) -> Result<UploadId, Error> {
    create_upload_in(objects, key, StorageClass::Standard).await
}

/// Begins an upload of a storage class.
pub async fn create_upload_in(
    objects: &Objects,
    key: &str,
    class: StorageClass,
) -> Result<UploadId, Error> {
    let attributes = Attributes { class, ..Attributes::default() };
    let create =
        CreateUpload { bucket: BUCKET.into(), key: key.into(), attributes, checksum: None };
    objects.create_upload(create).await
}

/// Uploads parts 1, 2, ... and says how to list them.
pub async fn put_parts(
    objects: &Objects,
    key: &str,
    upload: UploadId,
    parts: &[Bytes],
) -> Vec<ListedPart> {
    let mut listed = Vec::new();
    for (number, bytes) in (1u16..).zip(parts) {
        let body = Box::new(MemoryBody::new(bytes.clone()));
        let put = PutPart { bucket: BUCKET.into(), key: key.into(), upload, number, body };
        let done = objects.put_part(put).await.expect("up");
        listed.push(ListedPart { number, md5: Some(done.etag.md5), checksum: None });
    }
    listed
}

pub fn complete_request(key: &str, upload: UploadId, parts: Vec<ListedPart>) -> CompleteUpload {
    CompleteUpload {
        bucket: BUCKET.into(),
        key: key.into(),
        upload,
        condition: Condition::None,
        parts,
        checksum: None,
        size: None,
        origin: Origin::default(),
    }
}

/// Makes a multipart object of these parts.
pub async fn put_multipart(objects: &Objects, key: &str, parts: &[Bytes]) -> ObjectHead {
    put_multipart_in(objects, key, StorageClass::Standard, parts).await
}

/// Makes a multipart object of these parts in a storage class.
pub async fn put_multipart_in(
    objects: &Objects,
    key: &str,
    class: StorageClass,
    parts: &[Bytes],
) -> ObjectHead {
    let upload = create_upload_in(objects, key, class).await.expect("the bucket is there");
    let listed = put_parts(objects, key, upload, parts).await;
    objects.complete_upload(complete_request(key, upload, listed)).await.expect("complete")
}

pub fn delete_request(key: &str) -> Delete {
    Delete {
        bucket: BUCKET.into(),
        key: key.into(),
        version: None,
        condition: Condition::None,
        bypass_governance: false,
        origin: Origin::default(),
    }
}

pub async fn delete(objects: &Objects, key: &str) -> Result<Deleted, Error> {
    objects.delete(delete_request(key)).await
}

pub async fn delete_version(
    objects: &Objects,
    key: &str,
    version: Version,
) -> Result<Deleted, Error> {
    objects.delete(Delete { version: Some(version), ..delete_request(key) }).await
}

/// The bytes of the version that a head names.
pub async fn read(
    objects: &Objects,
    key: &str,
    head: ObjectHead,
    range: Option<RangeRequest>,
) -> Result<Bytes, Error> {
    let mut reader = objects.read(BUCKET, key, head, range).await?;
    let mut bytes = Vec::new();
    while let Some(frame) = reader.stream.next().await {
        bytes.extend_from_slice(&frame?);
    }
    assert_eq!(bytes.len() as u64, reader.range.end - reader.range.start);
    Ok(bytes.into())
}

pub async fn get_range(
    objects: &Objects,
    key: &str,
    range: Option<RangeRequest>,
) -> Result<Bytes, Error> {
    let head = objects.head(BUCKET, key, None).await?;
    read(objects, key, head, range).await
}

pub async fn get_version(objects: &Objects, key: &str, version: Version) -> Result<Bytes, Error> {
    let head = objects.head(BUCKET, key, Some(version)).await?;
    read(objects, key, head, None).await
}

pub async fn get(objects: &Objects, key: &str) -> Result<Bytes, Error> {
    get_range(objects, key, None).await
}

/// The blob of an object that is one.
pub fn blob_of(head: &ObjectHead) -> BlobRef {
    match &head.content {
        Content::Blob(blob) => blob.clone(),
        other => panic!("not a blob: {other:?}"),
    }
}
