//! The volume against a model: what was fsynced is there after a cut, and nothing that never was
//! written.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;

use lossyfs::{
    content::{BLOCK, Content, Cut},
    faults::Faults,
    volume::{Errno, ROOT, Volume},
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn file(volume: &mut Volume, name: &str, bytes: &[u8]) -> u64 {
    let ino = volume.make(ROOT, name, 0o644, false).unwrap();
    volume.write(ino, 0, bytes).unwrap();
    ino
}

fn text(volume: &mut Volume, name: &str) -> Option<String> {
    let ino = volume.lookup(ROOT, name).ok()?;
    Some(String::from_utf8(volume.read(ino, 0, 100).unwrap()).unwrap())
}

#[test]
fn names_and_bytes_are_durable_each_by_its_own_fsync() {
    let mut volume = Volume::new(1 << 20);
    let named = file(&mut volume, "named", b"lost");
    volume.sync_folder(ROOT).unwrap();
    let nameless = file(&mut volume, "nameless", b"kept in vain");
    volume.sync(nameless).unwrap();
    volume.write(named, 0, b"not yet").unwrap();
    volume.cut(Cut::Drop, &mut random());
    assert_eq!(text(&mut volume, "named").as_deref(), Some(""), "a name without bytes");
    assert_eq!(text(&mut volume, "nameless"), None);

    let both = file(&mut volume, "both", b"here");
    volume.sync(both).unwrap();
    volume.sync_folder(ROOT).unwrap();
    volume.write(both, 4, b" and gone").unwrap();
    assert_eq!(text(&mut volume, "both").as_deref(), Some("here and gone"));
    volume.cut(Cut::Drop, &mut random());
    assert_eq!(text(&mut volume, "both").as_deref(), Some("here"));
}

#[test]
fn a_rename_is_undone_until_the_folder_is_synced() {
    let mut volume = Volume::new(1 << 20);
    for (name, bytes) in [("CURRENT", b"old"), ("new", b"new")] {
        let ino = file(&mut volume, name, bytes);
        volume.sync(ino).unwrap();
    }
    volume.sync_folder(ROOT).unwrap();
    volume.rename((ROOT, "new"), (ROOT, "CURRENT")).unwrap();
    assert_eq!(text(&mut volume, "CURRENT").as_deref(), Some("new"));
    volume.cut(Cut::Drop, &mut random());
    assert_eq!(text(&mut volume, "CURRENT").as_deref(), Some("old"));
    assert_eq!(text(&mut volume, "new").as_deref(), Some("new"));
    volume.rename((ROOT, "new"), (ROOT, "CURRENT")).unwrap();
    volume.sync_folder(ROOT).unwrap();
    volume.cut(Cut::Drop, &mut random());
    assert_eq!(text(&mut volume, "CURRENT").as_deref(), Some("new"));
    assert_eq!(volume.entries(ROOT).unwrap().len(), 1);
}

#[test]
fn a_removal_comes_back_and_frees_its_space_once_it_is_durable() {
    let mut volume = Volume::new(1 << 20);
    let ino = file(&mut volume, "a", &[7; 3 * BLOCK]);
    volume.sync(ino).unwrap();
    volume.sync_folder(ROOT).unwrap();
    volume.remove(ROOT, "a", false).unwrap();
    assert_eq!(volume.space().1, 3 * BLOCK as u64, "the disk still has it");
    volume.cut(Cut::Drop, &mut random());
    assert!(volume.lookup(ROOT, "a").is_ok());
    volume.remove(ROOT, "a", false).unwrap();
    volume.sync_folder(ROOT).unwrap();
    assert_eq!(volume.space().1, 0);
    volume.cut(Cut::Drop, &mut random());
    assert_eq!(volume.lookup(ROOT, "a"), Err(Errno::NotFound));
}

#[test]
fn a_failed_fsync_is_not_made_good_by_the_next() {
    let mut volume = Volume::new(1 << 20);
    let ino = file(&mut volume, "wal", b"acknowledged");
    volume.sync_folder(ROOT).unwrap();
    volume.faults = Faults { fsync_errors: 1, on: "wal".to_owned(), ..Faults::default() };
    assert_eq!(volume.sync(ino), Err(Errno::Io));
    assert!(volume.sync(ino).is_ok());
    volume.cut(Cut::Drop, &mut random());
    assert_ne!(text(&mut volume, "wal").as_deref(), Some("acknowledged"));
}

#[test]
fn a_full_volume_refuses_and_an_open_file_outlives_its_name() {
    let mut volume = Volume::new(2 * BLOCK as u64);
    let ino = file(&mut volume, "a", &[1; BLOCK]);
    assert_eq!(volume.write(ino, BLOCK as u64, &[1; 2 * BLOCK]), Err(Errno::NoSpace));
    volume.opened(ino).unwrap();
    volume.remove(ROOT, "a", false).unwrap();
    volume.sync_folder(ROOT).unwrap();
    assert_eq!(volume.read(ino, 0, 1).unwrap(), [1]);
    volume.released(ino);
    assert_eq!(volume.space().1, 0);
}

#[test]
fn a_flipped_bit_is_one_bit_and_stays() {
    let mut volume = Volume::new(1 << 20);
    let ino = file(&mut volume, "shard", &[0; 10_000]);
    volume.sync(ino).unwrap();
    volume.sync_folder(ROOT).unwrap();
    assert_eq!(volume.flip("nothing", 3, &mut random()), 0);
    assert_eq!(volume.flip("shard", 3, &mut random()), 1);
    let ones = |volume: &mut Volume| -> u32 {
        volume.read(ino, 0, 10_000).unwrap().iter().map(|byte| byte.count_ones()).sum()
    };
    assert_eq!(ones(&mut volume), 1);
    volume.cut(Cut::Drop, &mut random());
    assert_eq!(ones(&mut volume), 1);
    assert_eq!((volume.unflip(), ones(&mut volume)), (1, 0));
    // What was written since is what the program wrote.
    assert_eq!(volume.flip("shard", 1, &mut random()), 1);
    volume.write(ino, 0, &[0xff; 10_000]).unwrap();
    assert_eq!((volume.unflip(), ones(&mut volume)), (0, 80_000));
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Truncate(u64),
    Sync,
    Cut,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..20_000u64, prop::collection::vec(any::<u8>(), 1..6000))
            .prop_map(|(at, bytes)| Step::Write(at, bytes)),
        1 => (0..20_000u64).prop_map(Step::Truncate),
        2 => Just(Step::Sync),
        1 => Just(Step::Cut),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    /// The bytes of a file are those of a plain vector, and a cut brings back the last synced one.
    #[test]
    fn bytes_are_those_of_the_model(steps in steps()) {
        let (mut content, mut random) = (Content::default(), random());
        let (mut now, mut durable) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    content.write(at, &bytes);
                    let at = at as usize;
                    now.resize(now.len().max(at + bytes.len()), 0);
                    now[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                Step::Truncate(size) => {
                    content.truncate(size);
                    now.resize(size as usize, 0);
                }
                Step::Sync => {
                    content.sync();
                    durable = now.clone();
                }
                Step::Cut => {
                    content.cut(Cut::Drop, &mut random);
                    now = durable.clone();
                }
            }
            prop_assert_eq!(content.size(), now.len() as u64);
            prop_assert_eq!(content.read(0, 1 << 20), now.clone());
            prop_assert_eq!(content.read(5000, 3000), now.iter().skip(5000).take(3000).copied().collect::<Vec<_>>());
        }
    }

    /// A torn cut leaves each byte as it was synced, as it was written since, or zero behind a
    /// grown end: never anything else.
    #[test]
    fn a_torn_cut_invents_nothing(
        synced in prop::collection::vec(1..=1u8, 1..30_000),
        written in prop::collection::vec((0..30_000u64, 1..9000usize), 1..5),
        seed in any::<u64>(),
    ) {
        let mut content = Content::default();
        content.write(0, &synced);
        content.sync();
        let mut touched = BTreeMap::new();
        for (at, length) in written {
            content.write(at, &vec![2; length]);
            for byte in at..at + length as u64 {
                touched.insert(byte, ());
            }
        }
        content.cut(Cut::Torn, &mut StdRng::seed_from_u64(seed));
        let left = content.read(0, 1 << 20);
        prop_assert!(left.len() >= synced.len(), "nothing was truncated");
        for (at, byte) in left.iter().enumerate() {
            let synced = synced.get(at).copied().unwrap_or(0);
            let may_be_new = touched.contains_key(&(at as u64));
            prop_assert!(*byte == synced || (may_be_new && *byte == 2), "byte {} is {}", at, byte);
        }
    }
}
