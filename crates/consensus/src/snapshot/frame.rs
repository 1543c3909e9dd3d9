//! Cutting rows into checked frames and putting them together again. The bytes are drawn
//! in [`super`].

use bytes::Bytes;

/// Bytes of content in one frame.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// A row above this is not ours: a command has at most 1 MiB, a row is made by few.
const ROW_BYTES_MAX: usize = 256 << 20;
const HEADER_BYTES: usize = 33;
const CONTENT: u8 = 1;
const END: u8 = 2;

/// Key and value.
pub(crate) type OwnedRow = (Vec<u8>, Vec<u8>);

/// Turns rows into frames.
pub(crate) struct Cutter {
    body: Vec<u8>,
    digest: blake3::Hasher,
    number: u64,
    rows: u64,
}

impl Cutter {
    pub(crate) fn new() -> Self {
        Self { body: Vec::new(), digest: blake3::Hasher::new(), number: 0, rows: 0 }
    }

    /// Adds a row; answers the frames that it fills.
    pub(crate) fn row(&mut self, key: &[u8], value: &[u8]) -> Vec<Bytes> {
        let length = |part: &[u8]| {
            u32::try_from(part.len()).expect("rows are far below 4 GiB").to_le_bytes()
        };
        self.rows += 1;
        let mut frames = Vec::new();
        for mut part in [&length(key)[..], &length(value)[..], key, value] {
            while !part.is_empty() {
                let room = BODY_BYTES_MAX - self.body.len();
                let (now, later) = part.split_at(part.len().min(room));
                self.body.extend_from_slice(now);
                part = later;
                if self.body.len() == BODY_BYTES_MAX {
                    frames.push(self.content());
                }
            }
        }
        frames
    }

    /// The last frames.
    pub(crate) fn end(mut self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        if !self.body.is_empty() {
            frames.push(self.content());
        }
        let mut body = self.rows.to_le_bytes().to_vec();
        body.extend_from_slice(self.digest.finalize().as_bytes());
        frames.push(seal(END, self.number, &body));
        frames
    }

    fn content(&mut self) -> Bytes {
        let body = std::mem::take(&mut self.body);
        self.digest.update(&body);
        let frame = seal(CONTENT, self.number, &body);
        self.number += 1;
        frame
    }
}

fn seal(kind: u8, number: u64, body: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.push(kind);
    frame.extend_from_slice(hash(kind, number, body).as_bytes());
    frame.extend_from_slice(body);
    frame.into()
}

fn hash(kind: u8, number: u64, body: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind]).update(&number.to_le_bytes()).update(body);
    hasher.finalize()
}

/// A stream that is not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("snapshot stream is damaged: {0}")]
pub(crate) struct FrameError(&'static str);

/// Turns frames back into rows.
pub(crate) struct Joiner {
    pending: Vec<u8>,
    digest: blake3::Hasher,
    number: u64,
    rows: u64,
    ended: bool,
}

impl Joiner {
    pub(crate) fn new() -> Self {
        Self {
            pending: Vec::new(),
            digest: blake3::Hasher::new(),
            number: 0,
            rows: 0,
            ended: false,
        }
    }

    /// Checks a frame and answers the rows that it completes.
    pub(crate) fn frame(&mut self, frame: &[u8]) -> Result<Vec<OwnedRow>, FrameError> {
        if self.ended {
            return Err(FrameError("a frame after the end"));
        }
        if frame.len() < HEADER_BYTES || frame.len() > HEADER_BYTES + BODY_BYTES_MAX {
            return Err(FrameError("a frame of the wrong length"));
        }
        let (kind, body) = (frame[0], &frame[HEADER_BYTES..]);
        // Constant-time comparison of blake3::Hash is not needed, but is what it does.
        if hash(kind, self.number, body)
            != *<&[u8; 32]>::try_from(&frame[1..HEADER_BYTES])
                .expect("the header has room for a hash")
        {
            return Err(FrameError("a frame fails its checksum"));
        }
        self.number += 1;
        match kind {
            CONTENT => {
                self.digest.update(body);
                self.pending.extend_from_slice(body);
                self.take_rows()
            }
            END => self.check_end(body).map(|()| Vec::new()),
            _ => Err(FrameError("a frame of an unknown kind")),
        }
    }

    /// Whether the end was seen: then the rows are all there and right.
    pub(crate) fn complete(&self) -> bool {
        self.ended
    }

    fn check_end(&mut self, body: &[u8]) -> Result<(), FrameError> {
        if !self.pending.is_empty() {
            return Err(FrameError("the last row is cut"));
        }
        let mut expected = self.rows.to_le_bytes().to_vec();
        expected.extend_from_slice(self.digest.finalize().as_bytes());
        if body != expected {
            return Err(FrameError("the content fails its digest"));
        }
        self.ended = true;
        Ok(())
    }

    fn take_rows(&mut self) -> Result<Vec<OwnedRow>, FrameError> {
        let (mut rows, mut at) = (Vec::new(), 0);
        while let Some(lengths) = self.pending.get(at..at + 8) {
            let length = |range: std::ops::Range<usize>| {
                u32::from_le_bytes(lengths[range].try_into().expect("four bytes")) as usize
            };
            let (key, value) = (length(0..4), length(4..8));
            if key + value > ROW_BYTES_MAX {
                return Err(FrameError("a row is too large"));
            }
            let Some(row) = self.pending.get(at + 8..at + 8 + key + value) else { break };
            rows.push((row[..key].to_vec(), row[key..].to_vec()));
            at += 8 + key + value;
        }
        self.pending.drain(..at);
        self.rows += rows.len() as u64;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(rows: &[OwnedRow]) -> Vec<Bytes> {
        let mut cutter = Cutter::new();
        let mut frames: Vec<Bytes> =
            rows.iter().flat_map(|(key, value)| cutter.row(key, value)).collect();
        frames.extend(cutter.end());
        frames
    }

    fn join(frames: &[Bytes]) -> Result<Option<Vec<OwnedRow>>, FrameError> {
        let mut joiner = Joiner::new();
        let mut rows = Vec::new();
        for frame in frames {
            rows.extend(joiner.frame(frame)?);
        }
        Ok(joiner.complete().then_some(rows))
    }

    fn sample() -> Vec<OwnedRow> {
        vec![
            (b"a".to_vec(), vec![]),
            (b"b".to_vec(), vec![7; BODY_BYTES_MAX * 2 + 5]),
            (b"c".to_vec(), vec![8; BODY_BYTES_MAX - 30]),
            (vec![], b"tail".to_vec()),
        ]
    }

    #[test]
    fn rows_come_back_whatever_their_size() {
        for rows in [vec![], sample()] {
            let frames = cut(&rows);
            assert!(frames.iter().all(|frame| frame.len() <= BODY_BYTES_MAX + HEADER_BYTES));
            assert_eq!(join(&frames).unwrap(), Some(rows));
        }
    }

    #[test]
    fn damage_loss_and_reordering_are_noticed() {
        let frames = cut(&sample());
        assert!(frames.len() >= 4);
        assert_eq!(join(&frames[..frames.len() - 1]), Ok(None), "no end, no snapshot");
        for index in 0..frames.len() {
            let mut lost = frames.clone();
            lost.remove(index);
            assert!(!matches!(join(&lost), Ok(Some(_))), "frame {index} lost");
            let mut bad = frames.clone();
            let mut bytes = bad[index].to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            bad[index] = bytes.into();
            assert!(join(&bad).is_err(), "frame {index} damaged");
        }
        let mut swapped = frames.clone();
        swapped.swap(0, 1);
        assert!(join(&swapped).is_err());
        let mut longer = frames;
        longer.push(longer[0].clone());
        assert!(join(&longer).is_err());
    }
}
