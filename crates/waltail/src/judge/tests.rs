use super::*;
use crate::{Mark, fragments::masked};

const BLOCK: usize = 32 << 10;

/// A log as RocksDB writes it.
#[derive(Default)]
struct Log {
    bytes: Vec<u8>,
    next: u64,
    synced: u64,
    /// Where each batch begins.
    starts: Vec<usize>,
}

impl Log {
    /// A batch of `count` entries in `length` bytes, and whether it is synced afterwards.
    fn batch(&mut self, count: u32, length: usize, sync: bool) {
        let mut record = self.next.to_le_bytes().to_vec();
        record.extend(count.to_le_bytes());
        record.extend([3, 16]);
        record.extend(Mark { synced: self.synced }.encode());
        record.resize(record.len() + length, 0xab);
        self.next += u64::from(count);
        self.starts.push(self.bytes.len());
        self.record(&record);
        if sync {
            self.synced = self.next - 1;
        }
    }

    fn record(&mut self, mut rest: &[u8]) {
        let mut first = true;
        loop {
            let left = BLOCK - self.bytes.len() % BLOCK;
            if left < 7 {
                self.bytes.resize(self.bytes.len() + left, 0);
                continue;
            }
            let (head, tail) = rest.split_at(rest.len().min(left - 7));
            let kind = match (first, tail.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            let mut covered = vec![kind];
            covered.extend(head);
            self.bytes.extend(masked(&covered).to_le_bytes());
            self.bytes.extend((head.len() as u16).to_le_bytes());
            self.bytes.extend(covered);
            (rest, first) = (tail, false);
            if rest.is_empty() {
                return;
            }
        }
    }

    /// Begins at sequence 1, like a database.
    fn new() -> Self {
        Self { next: 1, ..Self::default() }
    }
}

fn verdict(logs: &[&[u8]]) -> Verdict {
    let dir = tempfile::tempdir().expect("a folder");
    for (number, bytes) in logs.iter().enumerate() {
        fs::write(dir.path().join(format!("{number:06}.log")), bytes).expect("written");
    }
    fs::write(dir.path().join("LOG"), b"no log of writes").expect("written");
    judge(dir.path()).expect("readable")
}

fn is_torn(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Torn { .. })
}

fn is_damaged(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Damaged { .. })
}

#[test]
fn whole_logs_of_all_sizes() {
    let mut log = Log::new();
    for length in [0, 10, 40_000, 32 * 1024 - 60, 7, 100_000, 1] {
        log.batch(2, length, true);
    }
    assert_eq!(verdict(&[&log.bytes]), Verdict::Whole);
    assert_eq!(verdict(&[&log.bytes, &[]]), Verdict::Whole);
    assert_eq!(verdict(&[]), Verdict::Whole);
}

#[test]
fn a_tail_that_was_never_synced_is_torn_wherever_it_breaks() {
    let mut log = Log::new();
    log.batch(1, 50_000, true);
    for _ in 0..3 {
        log.batch(1, 30_000, false);
    }
    let begin = log.starts[1];
    for at in (begin..log.bytes.len()).step_by(997) {
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 1;
        let found = verdict(&[&bytes]);
        assert!(is_torn(&found) || found == Verdict::Whole, "{at}: {found:?}");
        assert!(!is_damaged(&verdict(&[&log.bytes[..at]])), "cut off at {at}");
        let mut hole = log.bytes.clone();
        let upto = (at + 4096).min(hole.len());
        hole[at..upto].fill(0);
        assert!(is_torn(&verdict(&[&hole])), "a hole at {at}");
    }
}

#[test]
fn what_was_synced_before_a_later_commit_is_damaged() {
    let mut log = Log::new();
    for _ in 0..6 {
        log.batch(3, 25_000, true);
    }
    for at in (0..log.starts[5]).step_by(1013) {
        let mut bytes = log.bytes.clone();
        bytes[at] ^= 1;
        let found = verdict(&[&bytes]);
        assert!(is_damaged(&found) || found == Verdict::Whole, "{at}: {found:?}");
    }
    // The last commit has nobody behind it that could bear witness.
    let mut bytes = log.bytes.clone();
    let last = log.starts[5];
    bytes[last + 100] ^= 1;
    assert!(is_torn(&verdict(&[&bytes])));
}

/// The first log of a database that was opened: nothing in it has been synced yet.
#[test]
fn a_torn_beginning_is_torn() {
    let mut log = Log::new();
    log.batch(1, 50_000, false);
    log.batch(1, 10, false);
    let mut bytes = log.bytes.clone();
    bytes[100] ^= 1;
    assert!(is_torn(&verdict(&[&bytes])));
    // A log that follows others which are gone by now.
    let mut rotated = Log { next: 500, synced: 490, ..Log::new() };
    rotated.batch(1, 50_000, false);
    rotated.batch(1, 10, false);
    let mut bytes = rotated.bytes.clone();
    bytes[100] ^= 1;
    assert!(is_torn(&verdict(&[&bytes])));
    let mut synced = Log { next: 500, synced: 490, ..Log::new() };
    synced.batch(1, 50_000, true);
    synced.batch(1, 10, false);
    let mut bytes = synced.bytes.clone();
    bytes[100] ^= 1;
    assert!(is_damaged(&verdict(&[&bytes])));
}

/// A log that an earlier power cut tore, and whose removal the next one undid.
#[test]
fn a_break_that_the_database_went_on_behind_is_settled() {
    let mut first = Log::new();
    first.batch(1, 1000, true);
    first.batch(1, 1000, false);
    let torn = &first.bytes[..first.starts[1] + 100];
    let mut second = Log { next: 2, synced: 1, ..Log::new() };
    second.batch(0, 0, true);
    second.batch(1, 1000, true);
    second.batch(1, 1000, false);
    second.batch(1, 1000, false);
    let mut bad = second.bytes.clone();
    bad[second.starts[2] + 50] ^= 1;
    assert!(is_torn(&verdict(&[torn, &bad])));
    let mut bad = second.bytes.clone();
    bad[second.starts[1] + 50] ^= 1;
    assert!(is_damaged(&verdict(&[torn, &bad])));
}

#[test]
fn witnesses_may_be_in_later_logs() {
    let mut first = Log::new();
    first.batch(1, 1000, true);
    first.batch(1, 1000, true);
    let mut second = Log { next: first.next, synced: first.synced, ..Log::new() };
    second.batch(1, 1000, false);
    let mut bad = first.bytes.clone();
    bad[first.starts[1] + 50] ^= 1;
    assert!(is_damaged(&verdict(&[&bad, &second.bytes])));
    assert!(is_torn(&verdict(&[&bad])));
    let mut unsynced = Log { next: first.next, synced: 1, ..Log::new() };
    unsynced.batch(1, 1000, false);
    assert!(is_torn(&verdict(&[&bad, &unsynced.bytes])), "only the first batch was synced");
}
