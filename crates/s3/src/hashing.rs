//! Hashing that overlaps with the socket.
//!
//! MD5 runs at a few hundred MB/s a core and cannot be split, so it is the slowest thing
//! on the way of a large body. Frames are collected into batches; one batch at a time is
//! hashed on the blocking pool while the next frames are received, encoded and sent to
//! disks.

use bytes::Bytes;
use md5::{Digest, Md5};
use objects::BodyError;
use tokio::task::JoinHandle;
use types::{Checksum, ChecksumAlgorithm};

use crate::checksum::{self, Hasher};

/// A batch is handed over when it has so many bytes.
const BATCH_BYTES: usize = 512 << 10;
/// Bytes that may wait behind the running batch; the body is not read further meanwhile.
/// Together with the running batch: the most that hashing keeps of a body.
const PENDING_BYTES_MAX: usize = 1 << 20;
/// A rest of at most so many bytes is hashed at once: cheaper than a thread switch.
const INLINE_BYTES_MAX: usize = 32 << 10;

/// MD5 and at most one checksum.
struct Hashers {
    md5: Md5,
    checksum: Option<Hasher>,
    /// The checksum is the MD5, which is not computed twice.
    checksum_is_md5: bool,
}

impl Hashers {
    fn finish(self) -> ([u8; 16], Option<Checksum>) {
        let md5: [u8; 16] = self.md5.finalize().into();
        let checksum = match self.checksum {
            Some(hasher) => Some(hasher.finish()),
            None if self.checksum_is_md5 => {
                Some(checksum::full(ChecksumAlgorithm::Md5, md5.to_vec()))
            }
            None => None,
        };
        (md5, checksum)
    }

    fn update(&mut self, batch: &[Bytes]) {
        for bytes in batch {
            self.md5.update(bytes);
            if let Some(checksum) = &mut self.checksum {
                checksum.update(bytes);
            }
        }
    }
}

enum State {
    Idle(Box<Hashers>),
    Running(JoinHandle<Box<Hashers>>),
    /// Only while a job is being exchanged, and after a job was lost.
    Gone,
}

/// The digests of a body that arrives in frames.
pub(crate) struct Hashing {
    state: State,
    pending: Vec<Bytes>,
    pending_bytes: usize,
}

fn lost() -> BodyError {
    BodyError::Protocol {
        code: "ServiceUnavailable".to_owned(),
        message: "The server is shutting down. Please try again.".to_owned(),
    }
}

impl Hashing {
    /// MD5 and this checksum.
    pub(crate) fn new(checksum: Option<ChecksumAlgorithm>) -> Self {
        let checksum_is_md5 = checksum == Some(ChecksumAlgorithm::Md5);
        let checksum = checksum.filter(|_| !checksum_is_md5).map(Hasher::new);
        let hashers = Hashers { md5: Md5::new(), checksum, checksum_is_md5 };
        Self { state: State::Idle(Box::new(hashers)), pending: Vec::new(), pending_bytes: 0 }
    }

    /// Adds a frame. Waits while too many bytes are unhashed.
    pub(crate) async fn update(&mut self, bytes: Bytes) -> Result<(), BodyError> {
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes < BATCH_BYTES {
            return Ok(());
        }
        if let State::Running(job) = &self.state
            && !job.is_finished()
            && self.pending_bytes < PENDING_BYTES_MAX
        {
            return Ok(());
        }
        let hashers = self.idle().await?;
        self.start(hashers);
        Ok(())
    }

    /// The MD5 and checksum of everything.
    pub(crate) async fn finish(&mut self) -> Result<([u8; 16], Option<Checksum>), BodyError> {
        let mut hashers = self.idle().await?;
        if self.pending_bytes <= INLINE_BYTES_MAX {
            hashers.update(&self.pending);
        } else {
            self.start(hashers);
            hashers = self.idle().await?;
        }
        Ok(hashers.finish())
    }

    /// The hashers, once the running batch is done.
    async fn idle(&mut self) -> Result<Box<Hashers>, BodyError> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(hashers) => Ok(hashers),
            // A join error: hashing does not panic, so the runtime is going down.
            State::Running(job) => job.await.map_err(|_| lost()),
            State::Gone => Err(lost()),
        }
    }

    fn start(&mut self, mut hashers: Box<Hashers>) {
        let batch = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.state = State::Running(tokio::task::spawn_blocking(move || {
            hashers.update(&batch);
            hashers
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_of_any_size_give_the_digests_of_the_whole() {
        let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i * 31 % 253) as u8).collect();
        for frame in [1 << 10, 100_000, 700_000, 3_000_000, 10_000_000] {
            let mut hashing = Hashing::new(Some(ChecksumAlgorithm::Crc64Nvme));
            for chunk in bytes.chunks(frame) {
                hashing.update(Bytes::copy_from_slice(chunk)).await.expect("hashes");
                assert!(hashing.pending_bytes < PENDING_BYTES_MAX, "the bound holds");
            }
            let (md5, checksum) = hashing.finish().await.expect("hashes");
            let expected: [u8; 16] = Md5::digest(&bytes).into();
            assert_eq!(md5, expected, "{frame}");
            let mut hasher = Hasher::new(ChecksumAlgorithm::Crc64Nvme);
            hasher.update(&bytes);
            assert_eq!(checksum, Some(hasher.finish()), "{frame}");
        }
        let mut hashing = Hashing::new(Some(ChecksumAlgorithm::Md5));
        hashing.update(Bytes::from_static(b"abc")).await.expect("hashes");
        let (md5, checksum) = hashing.finish().await.expect("hashes");
        assert_eq!(checksum, Some(checksum::full(ChecksumAlgorithm::Md5, md5.to_vec())));
        assert_eq!(hex::encode(md5), "900150983cd24fb0d6963f7d28e17f72");
        let (md5, checksum) = Hashing::new(None).finish().await.expect("hashes");
        assert_eq!(hex::encode(md5), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(checksum, None);
    }
}
