//! What a reader reads: pieces of an object in memory or in blobs, each cut to the wanted range.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use types::{BlobRef, Encoding, UploadId};

use crate::{Error, Objects};

/// What decoding holds besides the stripe, in frames: the chunks in which a frame began (three,
/// if it ends in the next stripe), the frame in one piece, its content.
const FRAMES_HELD: u64 = 5;

/// A consecutive piece of the object, cut to what is wanted.
pub(crate) enum Source {
    Inline(Bytes),
    Blob(BlobSource),
    /// A compressed blob; the range is one of its content.
    Zstd(BlobSource),
    /// The frames of one; the range is one of its stored bytes.
    Frames(BlobSource),
}

#[derive(Clone)]
pub(crate) struct BlobSource {
    pub(crate) blob: Arc<BlobRef>,
    pub(crate) part: Option<(UploadId, u16)>,
    /// The wanted bytes of the blob.
    pub(crate) range: Range<u64>,
}

impl BlobSource {
    pub(crate) fn stripes(&self) -> Range<u32> {
        self.blob.layout().stripes_of(&self.range)
    }
}

/// The part of `range` that lies in `size` bytes at `offset`, relative to them.
pub(crate) fn cut(range: &Range<u64>, offset: u64, size: u64) -> Range<u64> {
    let start = range.start.saturating_sub(offset).min(size);
    let end = range.end.saturating_sub(offset).min(size);
    start..end.max(start)
}

impl Source {
    /// What `range` wants of bytes that lie at `offset` of the object.
    pub(crate) fn inline(bytes: &Bytes, offset: u64, range: &Range<u64>) -> Self {
        let range = cut(range, offset, bytes.len() as u64);
        let index = |at: u64| usize::try_from(at).expect("inside bytes that are in memory");
        Self::Inline(bytes.slice(index(range.start)..index(range.end)))
    }

    /// What `range` wants of a blob whose content lies at `offset` of the object.
    pub(crate) fn blob(
        objects: &Objects,
        blob: &BlobRef,
        offset: u64,
        range: &Range<u64>,
        part: Option<(UploadId, u16)>,
    ) -> Result<Self, Error> {
        objects.group_of(blob)?;
        let range = cut(range, offset, blob.content_bytes());
        let source = BlobSource { blob: Arc::new(blob.clone()), part, range };
        Ok(match blob.encoding {
            Encoding::Plain => Self::Blob(source),
            Encoding::Zstd { .. } => Self::Zstd(source),
        })
    }

    /// The stripes that are read of it; of a compressed blob at most these.
    pub(crate) fn stripes(&self) -> Option<(&BlobSource, Range<u32>)> {
        match self {
            Self::Inline(_) => None,
            Self::Blob(source) | Self::Frames(source) => Some((source, source.stripes())),
            Self::Zstd(source) if source.range.is_empty() => None,
            Self::Zstd(source) => Some((source, 0..source.blob.layout().stripes())),
        }
    }

    /// Data bytes of the largest stripe that is read of it, with its padding.
    pub(crate) fn stripe_bytes_max(&self) -> u64 {
        match self.stripes() {
            Some((source, stripes)) if !stripes.is_empty() => {
                let chunk = source.blob.layout().chunk_bytes(stripes.start);
                (chunk * source.blob.policy.k()) as u64
            }
            _ => 0,
        }
    }

    /// Memory of decoding it.
    pub(crate) fn frame_bytes(&self) -> u64 {
        match self {
            Self::Zstd(source) if !source.range.is_empty() => {
                FRAMES_HELD * (Encoding::FRAME_BYTES as u64).min(source.blob.content_bytes())
            }
            _ => 0,
        }
    }
}
