//! zstd's seekable format, in which blobs of the classes with compression are stored: pure
//! computation over bytes.
//!
//! ```text
//! | frame 0 | frame 1 | ... | last frame | seek table                                   |
//!   each a zstd frame of                   a skippable frame, so that `zstd -d` of the
//!   FRAME_BYTES of content (the last less)  whole gives the content
//!
//! seek table, little-endian:
//!   0x184D2A5E u32 | bytes that follow u32                     header of the skippable frame
//!   stored bytes u32 | content bytes u32                       for each frame
//!   frames u32 | descriptor u8 = 0 | 0x8F92EAB1 u32            footer
//! ```
//!
//! RFC 8878 and the description of the seekable format (0.1.0) that comes with zstd. There are no
//! checksums of the content (descriptor 0): the digest of every chunk covers it.
//!
//! A blob of such a class is always stored this way, also if it does not get smaller: what cannot
//! be compressed grows by 3 bytes each 128 KiB and some 20 bytes each frame, less than 0.01 %,
//! and the encoding of a blob then says which profile it was written under.

use std::{collections::VecDeque, ops::Range};

use bytes::Bytes;
use types::Encoding;

/// zstd's own default: a core compresses faster than a disk of these classes writes, and
/// higher levels take several times as long for some percent.
const LEVEL: i32 = 3;

const HEADER_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
const HEADER_BYTES: u64 = 8;
const ENTRY_BYTES: u64 = 8;
const FOOTER_BYTES: u64 = 9;

/// Frames of a blob at most: 1 TiB of content, far more than a PUT or a part may have. Bounds
/// what a reader allocates for the table.
const FRAMES_MAX: u64 = 1 << 20;

const FRAME: u64 = Encoding::FRAME_BYTES as u64;

/// A blob whose bytes are not what its reference says. Its chunks were verified, so it was
/// written wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its frames are not as they should be: {0}")]
pub(crate) struct BadFrames(String);

fn bad(what: impl Into<String>) -> BadFrames {
    BadFrames(what.into())
}

/// One frame with this content, of which it has at most [`Encoding::FRAME_BYTES`].
pub(crate) fn compress(content: &[u8]) -> Result<Vec<u8>, BadFrames> {
    zstd::bulk::compress(content, LEVEL).map_err(|error| bad(error.to_string()))
}

/// The content of one frame, which must have exactly so many bytes.
pub(crate) fn decompress(frame: &[u8], content_bytes: usize) -> Result<Vec<u8>, BadFrames> {
    let content =
        zstd::bulk::decompress(frame, content_bytes).map_err(|error| bad(error.to_string()))?;
    if content.len() != content_bytes {
        return Err(bad(format!("a frame has {} of {content_bytes} bytes", content.len())));
    }
    Ok(content)
}

fn frame_bytes_max(content_bytes: u64) -> u64 {
    // At most one frame's content.
    let content = usize::try_from(content_bytes).unwrap_or(Encoding::FRAME_BYTES);
    zstd::zstd_safe::compress_bound(content) as u64
}

fn frames(content_bytes: u64) -> u64 {
    content_bytes.div_ceil(FRAME)
}

fn table_bytes(frames: u64) -> u64 {
    HEADER_BYTES + frames.saturating_mul(ENTRY_BYTES) + FOOTER_BYTES
}

/// The most bytes that a blob with so much content can take.
pub(crate) fn stored_bytes_max(content_bytes: u64) -> u64 {
    (content_bytes / FRAME) * frame_bytes_max(FRAME)
        + frame_bytes_max(content_bytes % FRAME)
        + table_bytes(frames(content_bytes))
}

/// Cuts content into frames, and remembers their sizes for the table.
#[derive(Default)]
pub(crate) struct Writer {
    filling: Vec<u8>,
    /// Stored bytes and content bytes of each frame so far.
    entries: Vec<(u32, u32)>,
}

impl Writer {
    /// Copies from the front of `source` what the frame has room for. The content of a frame
    /// that is full now: the caller compresses it and says [`Writer::wrote`].
    pub(crate) fn fill(&mut self, source: &mut Bytes) -> Option<Vec<u8>> {
        let length = self.filling.len();
        let taken = source.split_to(source.len().min(Encoding::FRAME_BYTES - length));
        if self.filling.capacity() < length + taken.len() {
            // Doubling, but never beyond a frame.
            let capacity = (2 * length).max(length + taken.len()).min(Encoding::FRAME_BYTES);
            self.filling.reserve_exact(capacity - length);
        }
        self.filling.extend_from_slice(&taken);
        (self.filling.len() == Encoding::FRAME_BYTES).then(|| std::mem::take(&mut self.filling))
    }

    /// After the end of the content: that of the last frame, if it is not full.
    pub(crate) fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.filling.is_empty()).then(|| std::mem::take(&mut self.filling))
    }

    /// A frame was compressed: its stored bytes and its content bytes.
    pub(crate) fn wrote(&mut self, stored_bytes: usize, content_bytes: usize) {
        let short = |bytes: usize| u32::try_from(bytes).expect("a frame has little over a MiB");
        self.entries.push((short(stored_bytes), short(content_bytes)));
    }

    /// What comes after the last frame.
    pub(crate) fn table(&self) -> Bytes {
        let frames = self.entries.len() as u64;
        let total = usize::try_from(table_bytes(frames)).expect("8 bytes a frame");
        let follows = u32::try_from(total as u64 - HEADER_BYTES).expect("frames have a bound");
        let mut table = Vec::with_capacity(total);
        table.extend_from_slice(&HEADER_MAGIC.to_le_bytes());
        table.extend_from_slice(&follows.to_le_bytes());
        for (stored, content) in &self.entries {
            table.extend_from_slice(&stored.to_le_bytes());
            table.extend_from_slice(&content.to_le_bytes());
        }
        let frames = u32::try_from(frames).expect("frames have a bound");
        table.extend_from_slice(&frames.to_le_bytes());
        table.push(0);
        table.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
        table.into()
    }
}

/// Where each frame of a blob lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Where each frame begins in the stored bytes; one more for the end of the last.
    starts: Vec<u64>,
    content_bytes: u64,
}

impl Table {
    /// Which of the stored bytes are the table.
    pub(crate) fn place(stored_bytes: u64, content_bytes: u64) -> Result<Range<u64>, BadFrames> {
        let frames = frames(content_bytes);
        if frames == 0 || frames > FRAMES_MAX {
            return Err(bad(format!("{content_bytes} bytes of content")));
        }
        let start = stored_bytes.checked_sub(table_bytes(frames));
        let start = start.ok_or_else(|| bad("the table is longer than the blob"))?;
        Ok(start..stored_bytes)
    }

    /// The table of a blob of one frame: the sizes alone give it.
    pub(crate) fn of_one_frame(stored_bytes: u64, content_bytes: u64) -> Option<Self> {
        if frames(content_bytes) != 1 {
            return None;
        }
        let place = Self::place(stored_bytes, content_bytes).ok()?;
        (place.start > 0).then(|| Self { starts: vec![0, place.start], content_bytes })
    }

    /// Reads the bytes at [`Table::place`]. They must agree with the sizes of blob and content
    /// in every number.
    pub(crate) fn parse(
        table: &[u8],
        stored_bytes: u64,
        content_bytes: u64,
    ) -> Result<Self, BadFrames> {
        let place = Self::place(stored_bytes, content_bytes)?;
        if table.len() as u64 != place.end - place.start {
            return Err(bad("the table was not read whole"));
        }
        let number = |at: usize| {
            let bytes = table.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_le_bytes).ok_or_else(|| bad("the table is cut off"))
        };
        let frames = frames(content_bytes);
        let footer = table.len() - FOOTER_BYTES as usize;
        let shape = [
            (number(0)?, u64::from(HEADER_MAGIC)),
            (number(4)?, table.len() as u64 - HEADER_BYTES),
            (number(footer)?, frames),
            (u32::from(table[footer + 4]), 0),
            (number(footer + 5)?, u64::from(FOOTER_MAGIC)),
        ];
        if shape.iter().any(|(found, expected)| u64::from(*found) != *expected) {
            return Err(bad("the table's header or footer"));
        }
        let mut starts = vec![0];
        let (mut at, mut content) = (0, 0);
        for entry in table[HEADER_BYTES as usize..footer].chunks_exact(ENTRY_BYTES as usize) {
            let (stored, of_content) = entry.split_at(4);
            let le = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
            let (stored, of_content) = (le(stored), le(of_content));
            let expected = FRAME.min(content_bytes - content);
            if of_content != expected || stored == 0 || stored > frame_bytes_max(expected) {
                return Err(bad(format!("a frame of {of_content} bytes in {stored}")));
            }
            at += stored;
            content += of_content;
            starts.push(at);
        }
        if at != place.start || content != content_bytes {
            return Err(bad("the sizes in the table do not add up"));
        }
        Ok(Self { starts, content_bytes })
    }

    /// The frames that a range of the content touches.
    fn frames_of(&self, content: &Range<u64>) -> Range<usize> {
        if content.is_empty() {
            return 0..0;
        }
        let index = |at: u64| usize::try_from(at / FRAME).expect("frames have a bound");
        index(content.start)..index(content.end - 1) + 1
    }

    /// The stored bytes of the frames that a range of the content touches.
    pub(crate) fn stored_of(&self, content: &Range<u64>) -> Range<u64> {
        let frames = self.frames_of(content);
        self.starts[frames.start]..self.starts[frames.end]
    }
}

/// A frame that is in memory, and what of its content is wanted.
pub(crate) struct Frame {
    pub(crate) stored: Bytes,
    pub(crate) content_bytes: usize,
    pub(crate) wanted: Range<usize>,
}

/// Finds the frames in stored bytes that come in pieces of any length.
pub(crate) struct Reader {
    table: Table,
    frames: Range<usize>,
    /// The wanted content.
    wanted: Range<u64>,
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Reader {
    /// Expects the bytes at [`Table::stored_of`] this range of the content.
    pub(crate) fn new(table: Table, wanted: Range<u64>) -> Self {
        let frames = table.frames_of(&wanted);
        Self { table, frames, wanted, pieces: VecDeque::new(), bytes: 0 }
    }

    /// The next stored bytes.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Whether every wanted frame was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.frames.is_empty()
    }

    /// The next frame; `None` if more bytes are needed, and at the end.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        let frame = self.frames.start;
        if self.is_done() {
            return None;
        }
        let length = self.table.starts[frame + 1] - self.table.starts[frame];
        let length = usize::try_from(length).expect("a frame has little over a MiB");
        if self.bytes < length {
            return None;
        }
        self.frames.start += 1;
        let start = frame as u64 * FRAME;
        let content_bytes = FRAME.min(self.table.content_bytes - start);
        let inside = |at: u64| {
            let at = at.saturating_sub(start).min(content_bytes);
            usize::try_from(at).expect("inside a frame")
        };
        Some(Frame {
            stored: self.cut(length),
            content_bytes: inside(start + content_bytes),
            wanted: inside(self.wanted.start)..inside(self.wanted.end),
        })
    }

    /// The first so many bytes, copied only if they lie in several pieces.
    fn cut(&mut self, length: usize) -> Bytes {
        self.bytes -= length;
        if let Some(first) = self.pieces.front_mut()
            && first.len() > length
        {
            return first.split_to(length);
        }
        let mut whole = Vec::with_capacity(length);
        while whole.len() < length {
            let mut piece = self.pieces.pop_front().expect("as many bytes were counted");
            if whole.is_empty() && piece.len() == length {
                return piece;
            }
            let taken = piece.split_to(piece.len().min(length - whole.len()));
            whole.extend_from_slice(&taken);
            if !piece.is_empty() {
                self.pieces.push_front(piece);
            }
        }
        whole.into()
    }
}

#[cfg(test)]
#[path = "zstd_frames/tests.rs"]
mod tests;
