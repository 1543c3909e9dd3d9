//! The file `format` in a host's folder: whose folder this is, and in which layout. It is
//! read before anything else there is touched, so that a foreign or newer folder is
//! refused with one sentence and left as it is.
//!
//! ```text
//! 0..8    magic "SHRDRAFT"
//! 8..12   layout version u32, little-endian (1)
//! 12..28  cluster id
//! 28..36  node id u64, little-endian
//! 36..52  instance id
//! 52..56  CRC-32C of bytes 0..52, little-endian
//! ```
//!
//! It is written last when a folder is made (temporary file, fsync, rename, fsync of the
//! folder), beside the RocksDB in `db`.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use crc_fast::{CrcAlgorithm, checksum};
use platform::folder;
use types::{ClusterId, InstanceId, NodeId};

use crate::error::OpenError;

const NAME: &str = "format";
const MAGIC: &[u8; 8] = b"SHRDRAFT";
const VERSION: u32 = 1;
const BYTES: usize = 56;

/// Whose folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) cluster: ClusterId,
    pub(crate) node: NodeId,
    pub(crate) instance: InstanceId,
}

/// The folder of the RocksDB.
pub(crate) const DATABASE: &str = "db";

/// Whether the folder is `owner`'s already, with its database. False: it is empty or absent, or was
/// being made when the power failed; it is there now, and [`claim`] may follow once its
/// database is made.
pub(crate) fn is_claimed(dir: &Path, owner: Owner) -> Result<bool, OpenError> {
    let io = |error| OpenError::Io { dir: dir.to_owned(), error };
    folder::create_durably(dir).map_err(io)?;
    match fs::read(dir.join(NAME)) {
        Ok(bytes) => check(dir, &bytes, owner)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            for entry in fs::read_dir(dir).map_err(io)? {
                let name = entry.map_err(io)?.file_name();
                if name != temporary().as_str() && name != DATABASE {
                    return Err(OpenError::Foreign { dir: dir.to_owned() });
                }
            }
            return Ok(false);
        }
        Err(error) => return Err(io(error)),
    }
    // A node that comes back without what it has voted and acknowledged must not vote again.
    if !dir.join(DATABASE).join("CURRENT").try_exists().map_err(io)? {
        return Err(OpenError::Emptied { dir: dir.to_owned() });
    }
    Ok(true)
}

/// Whether the folder has a format file.
pub(crate) fn is_made(dir: &Path) -> io::Result<bool> {
    dir.join(NAME).try_exists()
}

/// Marks the folder as `owner`'s. Its database is durable by now.
pub(crate) fn claim(dir: &Path, owner: Owner) -> Result<(), OpenError> {
    write(dir, &encode(owner)).map_err(|error| OpenError::Io { dir: dir.to_owned(), error })
}

fn check(dir: &Path, bytes: &[u8], owner: Owner) -> Result<(), OpenError> {
    if bytes.len() < 12 || &bytes[..8] != MAGIC {
        return Err(OpenError::Foreign { dir: dir.to_owned() });
    }
    let version = u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes"));
    if version != VERSION {
        return Err(OpenError::Version { dir: dir.to_owned(), found: version, known: VERSION });
    }
    if bytes.len() != BYTES || bytes[52..] != crc(&bytes[..52]) {
        return Err(OpenError::Damaged { dir: dir.to_owned() });
    }
    match bytes == encode(owner) {
        true => Ok(()),
        false => {
            let array = |range: std::ops::Range<usize>| bytes[range].try_into().expect("16 bytes");
            Err(OpenError::Owner {
                dir: dir.to_owned(),
                cluster: ClusterId::from_bytes(array(12..28)),
                node: NodeId(u64::from_le_bytes(bytes[28..36].try_into().expect("8 bytes"))),
                instance: InstanceId::from_bytes(array(36..52)),
            })
        }
    }
}

fn encode(owner: Owner) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(owner.cluster.as_bytes());
    bytes.extend_from_slice(&owner.node.0.to_le_bytes());
    bytes.extend_from_slice(owner.instance.as_bytes());
    let crc = crc(&bytes);
    bytes.extend_from_slice(&crc);
    bytes
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let crc = checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(crc).expect("a CRC-32 has 32 bits").to_le_bytes()
}

fn temporary() -> String {
    format!("{NAME}.new")
}

fn write(dir: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = dir.join(temporary());
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, dir.join(NAME))?;
    folder::sync(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(node: u64) -> Owner {
        Owner {
            cluster: ClusterId::from_bytes([1; 16]),
            node: NodeId(node),
            instance: InstanceId::from_bytes([2; 16]),
        }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(
            hex::encode(encode(owner(3))),
            "534852445241465401000000010101010101010101010101010101010300000000000000\
             02020202020202020202020202020202ec1bf663"
        );
    }

    #[test]
    fn an_owner_comes_back_and_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_claimed(dir.path(), owner(3)).unwrap());
        fs::create_dir(dir.path().join(DATABASE)).unwrap();
        assert!(!is_claimed(dir.path(), owner(3)).unwrap(), "the power failed on the way");
        fs::write(dir.path().join(DATABASE).join("CURRENT"), b"MANIFEST-1").unwrap();
        claim(dir.path(), owner(3)).unwrap();
        assert!(is_claimed(dir.path(), owner(3)).unwrap());
        let error = is_claimed(dir.path(), owner(4)).unwrap_err();
        assert!(matches!(error, OpenError::Owner { node: NodeId(3), .. }), "{error}");
    }

    #[test]
    fn foreign_newer_and_damaged_folders_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("holiday.jpg"), b"x").unwrap();
        assert!(matches!(is_claimed(dir.path(), owner(3)), Err(OpenError::Foreign { .. })));

        let dir = tempfile::tempdir().unwrap();
        let mut newer = encode(owner(3));
        newer[8] = 2;
        fs::write(dir.path().join(NAME), &newer).unwrap();
        let error = is_claimed(dir.path(), owner(3)).unwrap_err();
        assert!(matches!(error, OpenError::Version { found: 2, .. }), "{error}");

        let mut bad = encode(owner(3));
        bad[30] ^= 1;
        fs::write(dir.path().join(NAME), &bad).unwrap();
        assert!(matches!(is_claimed(dir.path(), owner(3)), Err(OpenError::Damaged { .. })));

        fs::write(dir.path().join(NAME), encode(owner(3))).unwrap();
        let error = is_claimed(dir.path(), owner(3)).unwrap_err();
        assert!(matches!(error, OpenError::Emptied { .. }), "{error}");
    }
}
