//! The first partition directory: ranges cut on the top bits of the bucket id. Bucket ids
//! are random, so that buckets spread evenly, and a bucket lies in one partition.

use types::{Epoch, GroupId, Partition};

/// More partitions than this are refused: each is a Raft group on every metadata node.
pub const PARTITIONS_MAX: u16 = 256;

/// `count` ranges of equal width (from 1 to [`PARTITIONS_MAX`]; a count outside is moved to
/// the nearest), held by groups 1 to `count`, each in epoch 1.
pub fn presplit(count: u16) -> Vec<Partition> {
    let count = count.clamp(1, PARTITIONS_MAX);
    let border = |number: u16| {
        let at = (u128::from(number) << 64) / u128::from(count);
        u64::try_from(at).expect("number < count, so the border is under 2^64").to_be_bytes()
    };
    (0..count)
        .map(|number| Partition {
            group: GroupId(u32::from(number) + 1),
            epoch: Epoch(1),
            start: if number == 0 { Vec::new() } else { border(number).to_vec() },
            end: (number + 1 < count).then(|| border(number + 1).to_vec()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use types::BucketId;

    use super::*;

    #[test]
    fn every_position_lies_in_one_partition() {
        for count in [1, 2, 3, 4, 16, 255, 256] {
            let partitions = presplit(count);
            assert_eq!(partitions.len(), usize::from(count));
            assert_eq!(crate::root::flaw_of(&partitions), None);
            for bucket in [0, 1, u64::MAX / 3, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX] {
                for key in ["", "a", "\u{10ffff}"] {
                    let position = Partition::position(BucketId(bucket), key);
                    let holders = partitions.iter().filter(|p| p.contains(&position)).count();
                    assert_eq!(holders, 1, "{count} {bucket} {key:?}");
                }
            }
        }
        assert_eq!(presplit(0).len(), 1);
        assert_eq!(presplit(9999).len(), 256);
    }

    #[test]
    fn sixteen_partitions_cut_on_the_top_four_bits() {
        let starts: Vec<_> = presplit(16).into_iter().skip(1).map(|p| p.start[0]).collect();
        assert_eq!(starts, (1..16).map(|top| top << 4).collect::<Vec<u8>>());
    }
}
