//! How patient and how fast the workers are.

use placement::Domain;

/// Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A deleted blob is kept so long, for readers that opened it before: one hour.
    pub garbage_grace_ms: u64,
    /// A pending shard is left alone until so long after its write's deadline: one day.
    pub orphan_grace_ms: u64,
    /// How often the queue of garbage is looked at when it was empty.
    pub garbage_interval_ms: u64,
    /// How often the inventories of all disks are walked for orphans.
    pub orphan_interval_ms: u64,
    /// How often the repair rows are looked at when nothing could be done.
    pub repair_interval_ms: u64,
    /// How often the cluster map is looked at for groups that need healing.
    pub heal_interval_ms: u64,
    /// Bytes a second that healing writes to each disk while the data is in no danger: 30 MiB. At
    /// a margin of 1 (one more disk may be lost) three times as many, at 0 all that go.
    pub heal_bytes_per_s: u64,
    /// Groups that are healed at a time; as many again if they are in danger.
    pub heal_groups: usize,
    /// Shards of each disk that healing looks at in one step; bounds its memory. At least 64.
    pub heal_page_shards: u32,
    /// In which time the scrub reads every byte: 14 days.
    pub scrub_period_ms: u64,
    /// How often the scrub compares the inventories of every group: daily.
    pub scrub_inventory_ms: u64,
    /// How often the worker looks whether somebody has asked for an inventory.
    pub inventory_interval_ms: u64,
    /// How often idle index partitions are asked whether a restore is to begin or to end; sooner
    /// where days are short.
    pub restore_interval_ms: u64,
    /// How long a day of lifecycle rules and inventories is: 24 hours. Tests make it seconds.
    pub lifecycle_day_ms: u64,
    /// How events are delivered, and to whom.
    pub events: crate::events::Settings,
    /// Whether no other process of the cluster repairs shards at the same time. Only then
    /// may a corrupt shard be replaced with the help of other corrupt ones (their good
    /// stripes): two repairers that each lean on the shard that the other one deletes would
    /// lose both. One that is not alone leans on whole shards, which nobody deletes.
    pub sole_repairer: bool,
    /// What two members of a placement group must not share; as the groups were made.
    pub domain: Domain,
    /// A disk that has not answered for so long has lost its ranks: 15 minutes. Shorter outages are
    /// waited out.
    pub down_grace_ms: u64,
    /// The same for groups with a margin of 1 or less: 30 seconds.
    pub endangered_grace_ms: u64,
    /// How often the worker looks whether ranks need other disks.
    pub rebalance_interval_ms: u64,
    /// How long a cluster that looks uneven, and was found to be as even as it can be, is not measured
    /// again: one hour.
    pub measure_interval_ms: u64,
    /// Groups of which a rank may move at a time because disks are emptied or evened out. They cost
    /// no redundancy, and `heal_groups` of them take bandwidth; but what was begun is not planned
    /// anew when the next disk comes.
    pub moves_max: usize,
    /// How often the worker looks whether profiles of storage classes have changed.
    pub reencode_interval_ms: u64,
    /// After a profile has changed, writes that began before may still be committed for so long: seven
    /// hours, one more than the deadline of a write. Then everything is looked through once more.
    pub reencode_settle_ms: u64,
    /// Rest after each step, in per cent of the time that the step took; 0 is full speed.
    pub throttle_percent: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            garbage_grace_ms: 3600 * 1000,
            orphan_grace_ms: 24 * 3600 * 1000,
            garbage_interval_ms: 60 * 1000,
            orphan_interval_ms: 6 * 3600 * 1000,
            repair_interval_ms: 3 * 1000,
            heal_interval_ms: 2 * 1000,
            heal_bytes_per_s: 30 << 20,
            heal_groups: 4,
            heal_page_shards: 512,
            scrub_period_ms: 14 * 24 * 3600 * 1000,
            scrub_inventory_ms: 24 * 3600 * 1000,
            inventory_interval_ms: 3 * 1000,
            restore_interval_ms: 5 * 1000,
            lifecycle_day_ms: 24 * 3600 * 1000,
            events: crate::events::Settings::default(),
            sole_repairer: true,
            domain: Domain::Node,
            down_grace_ms: 15 * 60 * 1000,
            endangered_grace_ms: 30 * 1000,
            rebalance_interval_ms: 1000,
            measure_interval_ms: 3600 * 1000,
            moves_max: 16,
            reencode_interval_ms: 10 * 1000,
            reencode_settle_ms: 7 * 3600 * 1000,
            throttle_percent: 100,
        }
    }
}
