//! How far moving is, in bytes. The moves themselves are in the cluster map; this only watches them come
//! and go.

use std::{borrow::Cow, collections::BTreeMap};

use types::{ClusterMap, DiskId, PgId, UnixMillis};

use crate::progress::{Amount, Counts, Progress, Round};

/// What moves from the first move until none is under way and none is planned.
#[derive(Debug, Default)]
pub(super) struct Episode {
    under_way: BTreeMap<(PgId, u8, DiskId), u64>,
    /// Bytes that are still to be begun, as far as is known.
    planned: u64,
    moved: u64,
    ranks: u64,
    began: Option<UnixMillis>,
    last: Option<Round>,
}

impl Episode {
    /// Compares the moves that the map has with those before: what is gone has arrived.
    pub(super) fn look(&mut self, map: &ClusterMap, bytes: &BTreeMap<PgId, u64>, now: UnixMillis) {
        let mut moving = BTreeMap::new();
        for group in map.groups.values() {
            let size = bytes.get(&group.id).copied().unwrap_or(0);
            for former in &group.former {
                let this = (group.id, former.rank, former.disk);
                let known = self.under_way.remove(&this);
                moving.insert(this, known.unwrap_or(size));
            }
        }
        self.ranks += self.under_way.len() as u64;
        self.moved += self.under_way.values().sum::<u64>();
        self.under_way = moving;
        if !self.under_way.is_empty() && self.began.is_none() {
            self.began = Some(now);
        }
        self.end_if_done(now);
    }

    /// So many bytes are to be begun yet.
    pub(super) fn plan(&mut self, bytes: u64, now: UnixMillis) {
        self.planned = bytes;
        self.end_if_done(now);
    }

    fn end_if_done(&mut self, now: UnixMillis) {
        if self.under_way.is_empty()
            && self.planned == 0
            && let Some(began) = self.began.take()
        {
            self.last = Some(Round { ended: Some(now), ..self.round(began) });
            (self.moved, self.ranks) = (0, 0);
        }
    }

    fn all(&self) -> u64 {
        self.moved + self.under_way.values().sum::<u64>() + self.planned
    }

    fn round(&self, began: UnixMillis) -> Round {
        let counts =
            [("planned_bytes", self.all()), ("moved_bytes", self.moved), ("moved", self.ranks)];
        let counts: Counts =
            counts.into_iter().map(|(name, count)| (Cow::Borrowed(name), count)).collect();
        Round { began, ended: None, looked_at: self.moved, counts }
    }

    pub(super) fn progress(&self, now: UnixMillis) -> Progress {
        let eta_ms = self.began.and_then(|began| {
            let left = u128::from(self.all() - self.moved);
            let ms = (u128::from(now.since(began)) * left).checked_div(self.moved.into())?;
            u64::try_from(ms).ok()
        });
        Progress {
            round: self.began.map(|began| self.round(began)),
            last_round: self.last.clone(),
            place: None,
            eta_ms,
            bytes: self.began.map(|_| Amount { done: self.moved, total: self.all() }),
            last_failure: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use types::{
        ClusterId, DiskClass, Epoch, ErasurePolicy, FeatureLevel, Former, PlacementGroup,
        StorageClasses,
    };

    use super::*;

    fn map(former: &[(u32, u8)]) -> ClusterMap {
        let policy = ErasurePolicy::new(2, 1).expect("valid");
        let group = |id: u32| PlacementGroup {
            id: PgId(id),
            epoch: Epoch(1),
            policy,
            class: DiskClass::Hot,
            disks: [1, 2, 3].map(DiskId).to_vec(),
            former: former
                .iter()
                .filter(|(group, _)| *group == id)
                .map(|(_, rank)| Former { rank: *rank, disk: DiskId(9) })
                .collect(),
        };
        ClusterMap {
            cluster: ClusterId::from_bytes([0; 16]),
            epoch: Epoch(1),
            level: FeatureLevel::OURS,
            policy,
            classes: StorageClasses::new(policy),
            nodes: BTreeMap::new(),
            disks: BTreeMap::new(),
            groups: (1..=3).map(|id| (PgId(id), group(id))).collect(),
            partitions: Vec::new(),
            down: Default::default(),
            used_bytes: BTreeMap::new(),
        }
    }

    #[test]
    fn bytes_arrive_when_their_move_ends() {
        let bytes = BTreeMap::from([(PgId(1), 100), (PgId(2), 300), (PgId(3), 600)]);
        let mut episode = Episode::default();
        episode.look(&map(&[]), &bytes, UnixMillis(5));
        assert_eq!(episode.progress(UnixMillis(5)), Progress::default());
        episode.plan(600, UnixMillis(6));
        episode.look(&map(&[(1, 0), (2, 1)]), &bytes, UnixMillis(10));
        assert_eq!(episode.progress(UnixMillis(10)).eta_ms, None, "no speed yet");
        episode.look(&map(&[(2, 1)]), &bytes, UnixMillis(20));
        let progress = episode.progress(UnixMillis(20));
        assert_eq!(progress.eta_ms, Some(90), "100 of 1000 in 10 ms");
        assert_eq!(progress.bytes, Some(Amount { done: 100, total: 1000 }));
        let round = progress.round.expect("under way");
        assert_eq!((round.looked_at, round.counts["planned_bytes"]), (100, 1000));
        episode.plan(0, UnixMillis(25));
        episode.look(&map(&[(3, 1)]), &bytes, UnixMillis(30));
        episode.look(&map(&[]), &bytes, UnixMillis(40));
        let progress = episode.progress(UnixMillis(50));
        assert_eq!(progress.round, None);
        let last = progress.last_round.expect("one has ended");
        assert_eq!(
            (last.began, last.ended, last.looked_at),
            (UnixMillis(10), Some(UnixMillis(40)), 1000)
        );
        assert_eq!(last.counts["moved"], 3);
    }
}
