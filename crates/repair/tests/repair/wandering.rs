//! Everything at once, by seed: objects come and go, ranks move, disks fail, come back, are wiped and
//! flip bits, and the workers do their steps in between. What was acknowledged can always be read, and
//! in the end every shard is where it belongs.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use bytes::Bytes;
use objects::{
    Error,
    body::{BodyDigests, BodyError, MemoryBody, ObjectBody},
    request::Put,
};
use platform::Clock;
use rand::{Rng, SeedableRng, rngs::StdRng};
use repair::{GarbageCollector, Healer, OrphanSweeper, Scrubber, ShardRepairer, Worker, scrub};
use tokio::{sync::mpsc, task::JoinHandle};
use types::{DiskId, ObjectHead, UnixMillis};

use crate::{
    drain,
    lake::Lake,
    support::{content, delete, get, put, put_request},
};

const SEEDS: u64 = 8;
const STEPS: usize = 400;
const KEYS: u32 = 30;

/// A body that comes as the test sends it.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    digests: MemoryBody,
}

#[async_trait]
impl ObjectBody for Pieces {
    fn size_hint(&self) -> Option<u64> {
        self.digests.size_hint()
    }

    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.pieces.recv().await.map(Ok)
    }

    fn finish(&mut self) -> Result<BodyDigests, BodyError> {
        self.digests.finish()
    }
}

/// An upload that takes its time.
struct Upload {
    key: String,
    bytes: Bytes,
    pieces: mpsc::Sender<Bytes>,
    task: JoinHandle<Result<ObjectHead, Error>>,
}

struct World {
    lake: Lake,
    rng: StdRng,
    log: Vec<String>,
    live: BTreeMap<String, Bytes>,
    uploads: Vec<Upload>,
    down: Option<DiskId>,
    /// Whether a disk was wiped or has flipped bits that nobody has put right yet.
    is_hurt: bool,
    healer: Healer,
    scrubber: Scrubber,
    collector: GarbageCollector,
    sweeper: OrphanSweeper,
    repairer: ShardRepairer,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut lake = Lake::new(9, 2).await;
        lake.settings.heal_page_shards = 64;
        let care = lake.care();
        Self {
            rng: StdRng::seed_from_u64(seed),
            log: Vec::new(),
            live: BTreeMap::new(),
            uploads: Vec::new(),
            down: None,
            is_hurt: false,
            healer: Healer::new(&care),
            scrubber: Scrubber::new(&care),
            collector: lake.collector(),
            sweeper: OrphanSweeper::sharing(&care),
            repairer: ShardRepairer::sharing(&care),
            lake,
        }
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
    }

    fn any_disk(&mut self) -> DiskId {
        let disks = self.lake.cluster.disks();
        disks[self.rng.random_range(0..disks.len())]
    }

    fn any_content(&mut self) -> Bytes {
        let size = match self.rng.random_range(0..10) {
            0 => self.rng.random_range(4 << 20..9 << 20),
            _ => self.rng.random_range(4097..60_000),
        };
        content(self.rng.random(), size)
    }

    fn any_key(&mut self) -> String {
        format!("key-{}", self.rng.random_range(0..KEYS))
    }

    async fn put(&mut self) {
        let (key, bytes) = (self.any_key(), self.any_content());
        if self.uploads.iter().any(|upload| upload.key == key) {
            return;
        }
        let answer = put(&self.lake.objects, &key, &bytes).await;
        self.note(format!("put {key} {}: {}", bytes.len(), answer.is_ok()));
        match answer {
            Ok(_) => drop(self.live.insert(key, bytes)),
            Err(Error::Unavailable(reason)) => {
                assert!(self.down.is_some(), "all disks answer: {reason}");
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn begin_upload(&mut self) {
        let key = self.any_key();
        if self.uploads.len() >= 2 || self.uploads.iter().any(|upload| upload.key == key) {
            return;
        }
        let bytes = content(self.rng.random(), self.rng.random_range(40_000..9 << 20));
        let (pieces, received) = mpsc::channel(1);
        let body = Box::new(Pieces { pieces: received, digests: MemoryBody::new(bytes.clone()) });
        let put = Put { body, ..put_request(&key, Bytes::new()) };
        let objects = self.lake.objects.clone();
        let task = tokio::spawn(async move { objects.put(put).await });
        for piece in 0..3 {
            let piece = bytes.slice(piece * 10_000..(piece + 1) * 10_000);
            pieces.send(piece).await.expect("it reads");
        }
        self.note(format!("begin {key}"));
        self.uploads.push(Upload { key, bytes, pieces, task });
    }

    async fn end_upload(&mut self) {
        let Some(Upload { key, bytes, pieces, task }) = self.uploads.pop() else { return };
        let _ = pieces.send(bytes.slice(30_000..)).await;
        drop(pieces);
        let answer = task.await.expect("no panic");
        self.note(format!("end {key}: {}", answer.is_ok()));
        if answer.is_ok() {
            self.live.insert(key, bytes);
        }
    }

    async fn delete(&mut self) {
        let key = self.any_key();
        self.note(format!("delete {key}"));
        delete(&self.lake.objects, &key).await.expect("the index answers");
        self.live.remove(&key);
    }

    /// As the planner does: away from a disk that is down, or for balance.
    async fn move_rank(&mut self) {
        let map = self.lake.map();
        let groups: Vec<_> = map.groups.values().collect();
        let group = groups[self.rng.random_range(0..groups.len())];
        let of_down = self.down.and_then(|down| group.disks.iter().position(|disk| *disk == down));
        let rank = of_down.unwrap_or(self.rng.random_range(0..6));
        let rank = u8::try_from(rank).expect("six");
        let may_take = |disk: &DiskId| {
            !group.disks.contains(disk)
                && Some(*disk) != self.down
                && group.former.iter().all(|it| it.disk != *disk || it.rank == rank)
        };
        let spare: Vec<DiskId> = self.lake.cluster.disks().into_iter().filter(may_take).collect();
        if spare.is_empty() || group.former.len() >= 4 {
            return;
        }
        let to = spare[self.rng.random_range(0..spare.len())];
        self.note(format!("move {} rank {rank} from {:?} to {to}", group.id, group.disks));
        self.lake.move_rank(group.id, rank, to).await;
    }

    /// A disk goes or comes. What was acknowledged without a rank is complete before more fails.
    async fn fail(&mut self) {
        drain(&mut self.repairer).await;
        match self.down.take() {
            Some(down) => {
                self.lake.cluster.bring_up(down);
                self.lake.cluster.report_down(down, false);
                self.note(format!("up {down}"));
                drain(&mut self.repairer).await;
            }
            None => {
                let disk = self.any_disk();
                self.lake.cluster.take_down(disk);
                self.lake.cluster.report_down(disk, true);
                self.down = Some(disk);
                self.note(format!("down {disk}"));
            }
        }
    }

    /// Together with the disk that is down no more is lost than the code bears.
    async fn hurt(&mut self) {
        if std::mem::replace(&mut self.is_hurt, true) {
            return;
        }
        drain(&mut self.repairer).await;
        let disk = self.any_disk();
        if self.rng.random() {
            self.note(format!("wipe {disk}"));
            self.lake.cluster.store(disk).wipe();
            return;
        }
        self.note(format!("flip {disk}"));
        for entry in self.lake.cluster.stored(disk).await {
            let stripes = entry.stripes.unwrap_or(0);
            if stripes > 0 && self.rng.random_range(0..3) == 0 {
                self.lake.cluster.corrupt(disk, entry.shard, self.rng.random_range(0..stripes));
            }
        }
    }

    /// All that was hurt is put right: a scrub that comes to its end, and healing.
    async fn mend(&mut self) {
        if !self.is_hurt || self.down.is_some() {
            return;
        }
        self.note("mend".to_owned());
        for _ in 0..3 {
            self.advance(3600 * 1000);
            let now = UnixMillis(self.lake.cluster.clock().now_ms());
            scrub::request(&*self.lake.cluster, now).await.expect("the root group answers");
            drain(&mut self.healer).await;
            drain(&mut self.scrubber).await;
            drain(&mut self.repairer).await;
        }
        self.is_hurt = false;
    }

    fn advance(&mut self, ms: u64) {
        self.lake.cluster.clock().advance(ms);
    }

    async fn work(&mut self) {
        let steps = self.rng.random_range(1..4);
        for _ in 0..steps {
            let worker: &mut dyn Worker = match self.rng.random_range(0..8) {
                0..4 => &mut self.healer,
                4 => &mut self.scrubber,
                5 => &mut self.collector,
                6 => &mut self.sweeper,
                _ => &mut self.repairer,
            };
            worker.work().await.expect("the index answers");
        }
    }

    /// The leader changes.
    fn restart(&mut self) {
        self.note("restart".to_owned());
        let care = self.lake.care();
        self.healer = Healer::new(&care);
        self.scrubber = Scrubber::new(&care);
        self.sweeper = OrphanSweeper::sharing(&care);
    }

    async fn check(&mut self, key: &str) {
        let Some(bytes) = self.live.get(key) else { return };
        match get(&self.lake.objects, key).await {
            Ok(found) => assert!(found == *bytes, "{key} has other bytes"),
            Err(error) => panic!("{key}: {error}\n{}", self.log.join("\n")),
        }
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..12 => self.put().await,
            12..16 => self.begin_upload().await,
            16..20 => self.end_upload().await,
            20..25 => self.delete().await,
            25..35 => self.move_rank().await,
            35..40 => self.fail().await,
            40..42 => self.hurt().await,
            42..44 => self.mend().await,
            44..46 => self.restart(),
            46..52 => {
                let ms = [1000, 60_000, 3_600_000, 40 * 3_600_000][self.rng.random_range(0..4)];
                self.advance(ms);
            }
            _ => self.work().await,
        }
        let key = self.any_key();
        self.check(&key).await;
    }

    /// All is well: everything comes to where it belongs.
    async fn settle(&mut self) {
        while !self.uploads.is_empty() {
            self.end_upload().await;
        }
        if self.down.is_some() {
            self.fail().await;
        }
        self.lake.objects.settle().await;
        let mut last = Err("it never was".to_owned());
        for _ in 0..6 {
            self.is_hurt = true;
            self.mend().await;
            self.advance(40 * 3_600_000);
            drain(&mut self.collector).await;
            drain(&mut self.sweeper).await;
            drain(&mut self.healer).await;
            last = self.lake.whole().await;
            if last == Ok(self.live.len()) {
                break;
            }
        }
        assert_eq!(last, Ok(self.live.len()), "{}", self.log.join("\n"));
        for key in self.live.keys().cloned().collect::<BTreeSet<_>>() {
            self.check(&key).await;
        }
    }
}

#[tokio::test]
async fn whatever_happens_what_was_acknowledged_stays() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed).await;
        world.note(format!("seed {seed}"));
        for _ in 0..STEPS {
            world.step().await;
        }
        world.settle().await;
    }
}
