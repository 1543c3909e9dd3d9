//! Every row key of the two state machines, byte by byte. Integers are big-endian so
//! that rows sort by them. The consensus layer puts its own (group, incarnation) prefix
//! in front; here each group has the whole key space to itself.
//!
//! Index partition (first byte = the row's kind):
//!
//! ```text
//! 'B' bucket:u64                                   bucket gate: open or sealed
//! 'C' bucket:u64 key:bytes                         current version of a key, if it is an object
//! 'E' number:u64                                   event: a change that somebody is to be told of
//! 'G' since:u64 number:u64                         garbage: bytes without a reference
//! 'N' 01                                           clock: time of the last applied command
//! 'N' 02                                           number of the next garbage row
//! 'N' 03                                           all applied writes older than this are forgotten
//! 'N' 04                                           number of the next version
//! 'N' 05                                           number of the next event
//! 'N' 06                                           number of the last event that was removed
//! 'N' 07                                           no 'Q' row is earlier than this; absent: none
//! 'O' bucket:u64 key:bytes                         id of the null version, if it lies in a 'V' row
//! 'P' bucket:u64 key:escaped upload:16 part:u16    a part: of an upload, of the object that adopted
//!                                                  it, or of a garbage row of kind upload
//! 'Q' at:u64 bucket:u64 key:escaped at:u64 number:u64
//!                                                  a restore of this version begins or ends then
//! 'R' blob:16                                      a blob with missing ranks
//! 'S' write:16 kind:u8                             an applied write and its answer
//! 'T' at:u64 write:16 kind:u8                      the 'S' rows in the order of their age
//! 'U' bucket:u64 key:escaped upload:16             a multipart upload in progress
//! 'V' bucket:u64 key:escaped !at:u64 !number:u64   all other versions, latest first: noncurrent
//!                                                  ones, and a current delete marker
//! ```
//!
//! Root group:
//!
//! ```text
//! 'B' name:bytes                                   bucket by name
//! 'C'                                              cluster identity and policy
//! 'D' disk:u32                                     disk
//! 'F' bucket:u64 kind:u8 name:bytes                document of a bucket's configuration
//! 'G' pg:u32                                       placement group
//! 'I' instance:16                                  node id of a data folder
//! 'J' bucket:u64                                   bucket name by id
//! 'K' 01 | 02 | 03                                 last node, disk and placement group id given
//! 'K' 04                                           epoch of the cluster map
//! 'L' worker:bytes                                 how far a background worker has come
//! 'M'                                              who votes in the metadata groups
//! 'N' node:u64                                     node
//! 'R' start:bytes                                  partition directory, by start of the range
//! 'W' uuid:16                                      disk id of a disk's own uuid
//! ```
//!
//! `key:escaped` is used where something follows the key: a zero byte becomes `00 FF`
//! and the end is `00 00`. The end sorts before every continuation, so rows keep the byte
//! order of the keys, and no key's rows lie among those of another. `key:bytes` at the end
//! of a row key needs no escape: a head is found, and a listing cut, by the plain key.

use consensus::KvError;

/// The smallest byte string that is greater than everything that starts with `prefix`;
/// `None` if there is none (all bytes are `FF`).
pub fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let keep = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=keep].to_vec();
    end[keep] += 1;
    Some(end)
}

/// A row key that does not have the shape that its kind prescribes.
fn malformed(kind: &str, key: &[u8]) -> KvError {
    KvError(format!("row key of kind {kind} is malformed: {key:02x?}"))
}

fn fixed<const N: usize>(kind: &str, key: &[u8], at: usize) -> Result<[u8; N], KvError> {
    key.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| malformed(kind, key))
}

/// Keys of an index partition.
pub mod index {
    use consensus::KvError;
    use types::{BlobId, BucketId, UnixMillis, UploadId, VersionId, WriteId};

    use super::{fixed, malformed};
    use crate::api::index::GarbageId;

    /// The partition's clock.
    pub const CLOCK: &[u8] = b"N\x01";
    /// The next garbage number.
    pub const NEXT_GARBAGE: &[u8] = b"N\x02";
    /// The time up to which applied writes have been forgotten.
    pub const FORGOTTEN: &[u8] = b"N\x03";
    /// The next version number.
    pub const NEXT_VERSION: &[u8] = b"N\x04";
    /// The next event number.
    pub const NEXT_EVENT: &[u8] = b"N\x05";
    /// The number of the last event whose row was removed.
    pub const EVENTS_REMOVED: &[u8] = b"N\x06";
    /// No restore is due before this time.
    pub const NEXT_DUE: &[u8] = b"N\x07";

    fn in_bucket(kind: u8, bucket: BucketId, more: usize) -> Vec<u8> {
        let mut row = Vec::with_capacity(9 + more);
        row.push(kind);
        row.extend_from_slice(&bucket.0.to_be_bytes());
        row
    }

    /// Appends the key so that whatever follows its end, two zero bytes, does not disturb the
    /// order of keys.
    fn escape(row: &mut Vec<u8>, key: &str) {
        for byte in key.bytes() {
            row.push(byte);
            if byte == 0 {
                row.push(0xff);
            }
        }
    }

    /// The key that was escaped into a row at `from`, and the `N` bytes after its end.
    fn unescape<const N: usize>(
        kind: &str,
        row: &[u8],
        from: usize,
    ) -> Result<(String, [u8; N]), KvError> {
        let bad = || malformed(kind, row);
        let escaped = row.get(from..).ok_or_else(bad)?;
        let mut key = Vec::with_capacity(escaped.len());
        let mut at = 0;
        loop {
            match (escaped.get(at), escaped.get(at + 1)) {
                (Some(0), Some(0)) => break,
                (Some(0), Some(0xff)) => {
                    key.push(0);
                    at += 2;
                }
                (Some(0), _) | (None, _) => return Err(bad()),
                (Some(byte), _) => {
                    key.push(*byte);
                    at += 1;
                }
            }
        }
        let rest = escaped[at + 2..].try_into().map_err(|_| bad())?;
        Ok((String::from_utf8(key).map_err(|_| bad())?, rest))
    }

    /// Gate of a bucket.
    pub fn gate(bucket: BucketId) -> Vec<u8> {
        in_bucket(b'B', bucket, 0)
    }

    /// Head of a key. Also the prefix of the heads of all keys that start with `key`.
    pub fn head(bucket: BucketId, key: &str) -> Vec<u8> {
        let mut row = in_bucket(b'C', bucket, key.len());
        row.extend_from_slice(key.as_bytes());
        row
    }

    /// The key that a head row is of.
    pub fn key_of_head(row: &[u8]) -> Result<&str, KvError> {
        row.get(9..)
            .and_then(|key| std::str::from_utf8(key).ok())
            .ok_or_else(|| malformed("C", row))
    }

    /// Header of an upload.
    pub fn upload(bucket: BucketId, key: &str, upload: UploadId) -> Vec<u8> {
        let mut row = uploads_of(bucket, key);
        row.extend_from_slice(upload.as_bytes());
        row
    }

    /// Prefix of the uploads of exactly this key.
    pub fn uploads_of(bucket: BucketId, key: &str) -> Vec<u8> {
        let mut row = uploads_under(bucket, key);
        row.extend_from_slice(&[0, 0]);
        row
    }

    /// Prefix of the uploads of all keys that start with `prefix`.
    pub fn uploads_under(bucket: BucketId, prefix: &str) -> Vec<u8> {
        let mut row = in_bucket(b'U', bucket, prefix.len() + 18);
        escape(&mut row, prefix);
        row
    }

    /// The key and upload that a header row is of.
    pub fn of_upload(row: &[u8]) -> Result<(String, UploadId), KvError> {
        unescape("U", row, 9).map(|(key, upload)| (key, UploadId::from_bytes(upload)))
    }

    /// A version that is not in the head row.
    pub fn version(bucket: BucketId, key: &str, id: VersionId) -> Vec<u8> {
        let mut row = versions_of(bucket, key);
        row.extend_from_slice(&(!id.at.0).to_be_bytes());
        row.extend_from_slice(&(!id.number).to_be_bytes());
        row
    }

    /// Prefix of the version rows of exactly this key.
    pub fn versions_of(bucket: BucketId, key: &str) -> Vec<u8> {
        let mut row = versions_under(bucket, key);
        row.extend_from_slice(&[0, 0]);
        row
    }

    /// Prefix of the version rows of all keys that start with `prefix`.
    pub fn versions_under(bucket: BucketId, prefix: &str) -> Vec<u8> {
        let mut row = in_bucket(b'V', bucket, prefix.len() + 18);
        escape(&mut row, prefix);
        row
    }

    /// The key and version that a version row is of.
    pub fn of_version(row: &[u8]) -> Result<(String, VersionId), KvError> {
        let (key, id) = unescape::<16>("V", row, 9)?;
        let half = |at| fixed("V", &id, at).map(|bytes| !u64::from_be_bytes(bytes));
        Ok((key, VersionId { at: UnixMillis(half(0)?), number: half(8)? }))
    }

    /// Where the null version of a key is, if it lies in a version row.
    pub fn null_version(bucket: BucketId, key: &str) -> Vec<u8> {
        let mut row = in_bucket(b'O', bucket, key.len());
        row.extend_from_slice(key.as_bytes());
        row
    }

    /// A part.
    pub fn part(bucket: BucketId, key: &str, upload: UploadId, number: u16) -> Vec<u8> {
        let mut row = parts_of(bucket, key, upload);
        row.extend_from_slice(&number.to_be_bytes());
        row
    }

    /// Prefix of the parts of an upload.
    pub fn parts_of(bucket: BucketId, key: &str, upload: UploadId) -> Vec<u8> {
        let mut row = in_bucket(b'P', bucket, key.len() + 20);
        escape(&mut row, key);
        row.extend_from_slice(&[0, 0]);
        row.extend_from_slice(upload.as_bytes());
        row
    }

    /// The key, upload and number that a part row is of.
    pub fn of_part(row: &[u8]) -> Result<(String, UploadId, u16), KvError> {
        let (key, id) = unescape::<18>("P", row, 9)?;
        Ok((
            key,
            UploadId::from_bytes(fixed("P", &id, 0)?),
            u16::from_be_bytes(fixed("P", &id, 16)?),
        ))
    }

    /// The bucket that a row of the kinds B, C, O, P, U or V is of.
    pub fn bucket_of(row: &[u8]) -> Result<BucketId, KvError> {
        fixed("bucket", row, 1).map(|bytes| BucketId(u64::from_be_bytes(bytes)))
    }

    /// The number of the part that a row is of.
    pub fn number_of_part(row: &[u8]) -> Result<u16, KvError> {
        let at = row.len().checked_sub(2).ok_or_else(|| malformed("P", row))?;
        fixed("P", row, at).map(u16::from_be_bytes)
    }

    /// A garbage row.
    pub fn garbage(id: GarbageId) -> Vec<u8> {
        let mut row = garbage_since(id.since);
        row.extend_from_slice(&id.number.to_be_bytes());
        row
    }

    /// Lower bound of the garbage since `since`.
    pub fn garbage_since(since: UnixMillis) -> Vec<u8> {
        let mut row = Vec::with_capacity(17);
        row.push(b'G');
        row.extend_from_slice(&since.0.to_be_bytes());
        row
    }

    /// The id of a garbage row.
    pub fn id_of_garbage(row: &[u8]) -> Result<GarbageId, KvError> {
        Ok(GarbageId {
            since: UnixMillis(u64::from_be_bytes(fixed("G", row, 1)?)),
            number: u64::from_be_bytes(fixed("G", row, 9)?),
        })
    }

    /// An event.
    pub fn event(number: u64) -> Vec<u8> {
        let mut row = Vec::with_capacity(9);
        row.push(b'E');
        row.extend_from_slice(&number.to_be_bytes());
        row
    }

    /// The number of the event that a row is of.
    pub fn number_of_event(row: &[u8]) -> Result<u64, KvError> {
        fixed("E", row, 1).map(u64::from_be_bytes)
    }

    /// That something happens to a version at a time.
    pub fn due(at: UnixMillis, bucket: BucketId, key: &str, id: VersionId) -> Vec<u8> {
        let mut row = due_since(at);
        row.extend_from_slice(&bucket.0.to_be_bytes());
        escape(&mut row, key);
        row.extend_from_slice(&[0, 0]);
        row.extend_from_slice(&id.at.0.to_be_bytes());
        row.extend_from_slice(&id.number.to_be_bytes());
        row
    }

    /// Lower bound of what is due at `at` or later.
    pub fn due_since(at: UnixMillis) -> Vec<u8> {
        let mut row = Vec::with_capacity(64);
        row.push(b'Q');
        row.extend_from_slice(&at.0.to_be_bytes());
        row
    }

    /// When, and to which version, something happens.
    pub fn of_due(row: &[u8]) -> Result<(UnixMillis, BucketId, String, VersionId), KvError> {
        let number = |of: &[u8], at| fixed("Q", of, at).map(u64::from_be_bytes);
        let (key, id) = unescape::<16>("Q", row, 17)?;
        let id = VersionId { at: UnixMillis(number(&id, 0)?), number: number(&id, 8)? };
        Ok((UnixMillis(number(row, 1)?), BucketId(number(row, 9)?), key, id))
    }

    /// A repair row.
    pub fn repair(blob: BlobId) -> Vec<u8> {
        let mut row = vec![b'R'];
        row.extend_from_slice(blob.as_bytes());
        row
    }

    /// An applied write.
    pub fn applied(write: WriteId, kind: u8) -> Vec<u8> {
        let mut row = Vec::with_capacity(18);
        row.push(b'S');
        row.extend_from_slice(write.as_bytes());
        row.push(kind);
        row
    }

    /// Its place in the order of age.
    pub fn applied_at(at: UnixMillis, write: WriteId, kind: u8) -> Vec<u8> {
        let mut row = applied_since(at);
        row.extend_from_slice(write.as_bytes());
        row.push(kind);
        row
    }

    /// Lower bound of the writes applied at `at` or later.
    pub fn applied_since(at: UnixMillis) -> Vec<u8> {
        let mut row = Vec::with_capacity(26);
        row.push(b'T');
        row.extend_from_slice(&at.0.to_be_bytes());
        row
    }

    /// When, and which write and kind, a row of the order of age is of.
    pub fn of_applied_at(row: &[u8]) -> Result<(UnixMillis, WriteId, u8), KvError> {
        let [kind] = fixed("T", row, 25)?;
        Ok((
            UnixMillis(u64::from_be_bytes(fixed("T", row, 1)?)),
            WriteId::from_bytes(fixed("T", row, 9)?),
            kind,
        ))
    }
}

/// Keys of the root group.
pub mod root {
    use consensus::KvError;
    use types::{BucketId, DiskId, DiskUuid, InstanceId, NodeId, PgId};

    use super::malformed;
    use crate::api::root::ConfigKind;

    /// Identity and policy.
    pub const CLUSTER: &[u8] = b"C";
    /// Who votes in the metadata groups.
    pub const META_MEMBERS: &[u8] = b"M";
    /// Last node id given to a data node.
    pub const LAST_NODE: &[u8] = b"K\x01";
    /// Last disk id given.
    pub const LAST_DISK: &[u8] = b"K\x02";
    /// Last placement group id given.
    pub const LAST_GROUP: &[u8] = b"K\x03";
    /// Epoch of the cluster map.
    pub const EPOCH: &[u8] = b"K\x04";
    /// Prefix of all nodes.
    pub const NODES: &[u8] = b"N";
    /// Prefix of the nodes of all data folders, also of those that were removed.
    pub const INSTANCES: &[u8] = b"I";
    /// Prefix of all disks.
    pub const DISKS: &[u8] = b"D";
    /// Prefix of all placement groups.
    pub const GROUPS: &[u8] = b"G";
    /// Prefix of the partition directory.
    pub const PARTITIONS: &[u8] = b"R";

    fn row(kind: u8, rest: &[u8]) -> Vec<u8> {
        let mut row = Vec::with_capacity(1 + rest.len());
        row.push(kind);
        row.extend_from_slice(rest);
        row
    }

    /// A node.
    pub fn node(node: NodeId) -> Vec<u8> {
        row(b'N', &node.0.to_be_bytes())
    }

    /// The node of a data folder.
    pub fn instance(instance: InstanceId) -> Vec<u8> {
        row(b'I', instance.as_bytes())
    }

    /// A disk.
    pub fn disk(disk: DiskId) -> Vec<u8> {
        row(b'D', &disk.0.to_be_bytes())
    }

    /// The disk with this uuid.
    pub fn uuid(uuid: DiskUuid) -> Vec<u8> {
        row(b'W', uuid.as_bytes())
    }

    /// A placement group.
    pub fn group(group: PgId) -> Vec<u8> {
        row(b'G', &group.0.to_be_bytes())
    }

    /// A bucket. Also the prefix of all buckets whose name starts with `name`.
    pub fn bucket(name: &str) -> Vec<u8> {
        row(b'B', name.as_bytes())
    }

    /// The name of the bucket with this id.
    pub fn bucket_name(id: BucketId) -> Vec<u8> {
        row(b'J', &id.0.to_be_bytes())
    }

    /// A document of a bucket's configuration.
    pub fn config(id: BucketId, kind: ConfigKind, name: &str) -> Vec<u8> {
        let mut row = configs_of(id);
        row.push(kind as u8);
        row.extend_from_slice(name.as_bytes());
        row
    }

    /// Prefix of all documents of a bucket's configuration.
    pub fn configs_of(id: BucketId) -> Vec<u8> {
        row(b'F', &id.0.to_be_bytes())
    }

    /// How far a background worker has come.
    pub fn cursor(worker: &str) -> Vec<u8> {
        row(b'L', worker.as_bytes())
    }

    /// The name of the document that a row is of.
    pub fn name_of_config(row: &[u8]) -> Result<&str, KvError> {
        row.get(10..)
            .and_then(|name| std::str::from_utf8(name).ok())
            .ok_or_else(|| malformed("F", row))
    }

    /// The partition whose range begins at `start`.
    pub fn partition(start: &[u8]) -> Vec<u8> {
        row(b'R', start)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{BucketId, UnixMillis, UploadId, VersionId};

    use super::{index, root, successor};

    #[test]
    fn successors() {
        assert_eq!(successor(b"a"), Some(b"b".to_vec()));
        assert_eq!(successor(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(successor(&[0xff, 0xff]), None);
        assert_eq!(successor(b""), None);
    }

    proptest! {
        /// Rows of uploads sort as (key, upload) and say what they are of.
        #[test]
        fn upload_rows_keep_the_order_of_keys(
            a in "[\\x00\\x01ab\u{10ffff}]{0,4}", b in "[\\x00\\x01ab\u{10ffff}]{0,4}",
            i in any::<[u8; 16]>(), j in any::<[u8; 16]>(),
        ) {
            let (i, j) = (UploadId::from_bytes(i), UploadId::from_bytes(j));
            let bucket = BucketId(7);
            let (row_a, row_b) = (index::upload(bucket, &a, i), index::upload(bucket, &b, j));
            prop_assert_eq!(row_a.cmp(&row_b), (&a, i).cmp(&(&b, j)));
            prop_assert_eq!(index::of_upload(&row_a).unwrap(), (a.clone(), i));
            // A row lies under a prefix exactly if its key does.
            let under = index::uploads_under(bucket, &b);
            prop_assert_eq!(row_a.starts_with(&under), a.starts_with(&b));
            let parts = index::parts_of(bucket, &b, j);
            prop_assert_eq!(index::part(bucket, &a, i, 5).starts_with(&parts), (a, i) == (b, j));
        }

        /// Rows of versions sort by key, then the latest first, and say what they are of.
        #[test]
        fn version_rows_keep_the_order_of_keys_and_turn_that_of_versions(
            a in "[\\x00\\x01ab\u{10ffff}]{0,4}", b in "[\\x00\\x01ab\u{10ffff}]{0,4}",
            i in any::<(u64, u64)>(), j in any::<(u64, u64)>(), same_time in any::<bool>(),
        ) {
            let bucket = BucketId(7);
            let id = |(at, number)| VersionId { at: UnixMillis(at), number };
            let (i, j) = (id(i), id(if same_time { (i.0, j.1) } else { j }));
            let (row_a, row_b) = (index::version(bucket, &a, i), index::version(bucket, &b, j));
            prop_assert_eq!(row_a.cmp(&row_b), a.cmp(&b).then(j.cmp(&i)));
            prop_assert_eq!(index::of_version(&row_a).unwrap(), (a.clone(), i));
            let (under, of) = (index::versions_under(bucket, &b), index::versions_of(bucket, &b));
            prop_assert_eq!(row_a.starts_with(&under), a.starts_with(&b));
            prop_assert_eq!(row_a.starts_with(&of), a == b);
            // Heads and versions meet in one order: a listing walks both at once.
            let heads = index::head(bucket, &a).cmp(&index::head(bucket, &b));
            prop_assert_eq!(heads, index::versions_of(bucket, &a).cmp(&of));
        }
    }

    proptest! {
        /// Rows of what is due sort by time, then bucket and key, and say what they are of.
        #[test]
        fn due_rows_keep_the_order_of_time(
            a in "[\\x00\\x01ab\u{10ffff}]{0,4}", b in "[\\x00\\x01ab\u{10ffff}]{0,4}",
            i in any::<(u64, u64, u64)>(), j in any::<(u64, u64, u64)>(), same in any::<bool>(),
        ) {
            let j = if same { (i.0, i.1, j.2) } else { j };
            let parts = |(at, bucket, number): (u64, u64, u64)| {
                let id = VersionId { at: UnixMillis(number / 3), number };
                (UnixMillis(at), BucketId(bucket), id)
            };
            let ((at, of, id), (at_b, of_b, id_b)) = (parts(i), parts(j));
            let (row_a, row_b) = (index::due(at, of, &a, id), index::due(at_b, of_b, &b, id_b));
            prop_assert_eq!(row_a.cmp(&row_b), (at, of, &a, id).cmp(&(at_b, of_b, &b, id_b)));
            prop_assert!(row_a >= index::due_since(at));
            prop_assert_eq!(index::of_due(&row_a).unwrap(), (at, of, a, id));
        }
    }

    #[test]
    fn malformed_rows_are_errors() {
        for row in
            [&b"U"[..], b"U12345678", b"U12345678a", b"U12345678a\x00\x01", b"U12345678\x00\x00x"]
        {
            assert!(index::of_upload(row).is_err(), "{row:?}");
            assert!(index::of_version(row).is_err(), "{row:?}");
        }
        let version = index::version(BucketId(1), "k", VersionId::MAX);
        assert!(index::of_version(&version).is_ok());
        assert!(index::of_version(&version[..version.len() - 1]).is_err());
        assert!(index::of_version(&[&version[..], &[0]].concat()).is_err());
        assert!(root::name_of_config(b"F12345678").is_err());
        assert_eq!(root::name_of_config(b"F12345678\x01").unwrap(), "");
        assert!(root::name_of_config(b"F12345678\x01\xff").is_err());
        assert!(index::id_of_garbage(b"G1234").is_err());
        assert!(index::of_applied_at(b"T1234").is_err());
        assert!(index::number_of_event(b"E1234").is_err());
        assert_eq!(index::number_of_event(&index::event(7)).unwrap(), 7);
        let due = index::due(UnixMillis(1), BucketId(1), "k", VersionId::MAX);
        assert!(index::of_due(&due).is_ok());
        assert!(index::of_due(&due[..due.len() - 1]).is_err());
        assert!(index::of_due(&[&due[..], &[0]].concat()).is_err());
        assert!(index::of_due(b"Q12345678").is_err());
        assert!(index::key_of_head(b"C123").is_err());
        assert!(index::key_of_head(b"C12345678\xff").is_err());
    }
}
