//! Reading objects: the chunks that a range touches, verified, in order, as they lie in
//! memory. The next stripe is fetched while one is being sent, if memory allows.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use metastore::api::{
    IndexQuery, IndexView,
    index::{Data, Segment},
};
use tokio::{task::JoinHandle, time::Instant};
use types::{BlobRef, Content, ObjectHead, PlacementGroup, UploadId, VersionId, WriteIntent};

use crate::{
    Error, Objects,
    buffer::Lease,
    fetch::StripeRead,
    gate::unexpected,
    hints::Reading,
    metrics,
    request::{ObjectReader, RangeRequest},
};

/// How long a reader waits for its buffers before it answers 503.
const BUFFER_WAIT: Duration = Duration::from_secs(10);

impl Objects {
    /// Opens an object that [`Objects::head`] returned, so that the protocol layer can
    /// evaluate conditions in between. The bytes are those of the version that `head` names,
    /// also if it is no longer current. If it was removed since, they are there for a while;
    /// but a multipart object is then `Replaced`: begin again.
    ///
    /// Returns when the first bytes are there, so that an object that cannot be read is an
    /// error of this call and not of a stream that has already begun.
    pub async fn read(
        &self,
        bucket: &str,
        key: &str,
        head: ObjectHead,
        range: Option<RangeRequest>,
    ) -> Result<ObjectReader, Error> {
        let began = Instant::now();
        let range = resolve(range, head.size)?;
        let sources = match &head.content {
            Content::Inline(bytes) => vec![Source::inline(bytes, 0, &range)],
            Content::Blob(blob) => vec![Source::blob(self, blob, 0, &range, None)?],
            Content::Parts { upload, .. } => {
                self.parts_of(bucket, key, head.version, *upload, &range).await?
            }
        };
        // Only for repair hints: an object can be read without them.
        let reading = match self.resolve(bucket).await {
            Ok(bucket) => {
                Some(Reading { bucket: bucket.id, key: key.to_owned(), made: head.version.at })
            }
            Err(_) => None,
        };
        let pieces = Pieces { sources: sources.into(), next_stripe: None };
        let mut reader = Reader::open(self.clone(), reading, pieces).await?;
        let first = reader.next().await.transpose()?;
        metrics::get_opened(range.end - range.start, began.elapsed());
        let rest = stream::unfold(reader, |mut reader| async move {
            let next = reader.next().await?;
            if next.is_err() {
                reader.stop();
            }
            Some((next, reader))
        });
        let stream = stream::iter(first.map(Ok)).chain(rest).boxed();
        Ok(ObjectReader { head, range, stream })
    }

    async fn parts_of(
        &self,
        bucket: &str,
        key: &str,
        version: VersionId,
        upload: UploadId,
        range: &Range<u64>,
    ) -> Result<Vec<Source>, Error> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let query = |bucket| IndexQuery::Segments {
            bucket,
            key: key.to_owned(),
            version,
            upload,
            start: range.start,
            end: range.end,
        };
        let segments = match self.query(bucket, key, query).await? {
            IndexView::Segments(segments) => segments,
            IndexView::NoSuchUpload => return Err(Error::Replaced),
            other => return Err(unexpected("opening a multipart object", &other)),
        };
        let covered = segments.iter().try_fold(range.start, |at, Segment { offset, size, .. }| {
            (*offset <= at).then(|| at.max(offset + size))
        });
        if covered.is_none_or(|end| end < range.end) {
            return Err(Error::Internal("the parts of an object do not cover its range".into()));
        }
        let source = |segment: &Segment| match &segment.data {
            Data::Inline(bytes) => Ok(Source::inline(bytes, segment.offset, range)),
            Data::Blob { blob, .. } => {
                Source::blob(self, blob, segment.offset, range, Some((upload, segment.number)))
            }
        };
        segments.iter().map(source).collect()
    }
}

/// The half-open range that a request means for an object of `size` bytes.
fn resolve(range: Option<RangeRequest>, size: u64) -> Result<Range<u64>, Error> {
    let range = match range {
        None => return Ok(0..size),
        Some(RangeRequest::FromTo(from, to)) if from <= to => from..to.saturating_add(1).min(size),
        Some(RangeRequest::FromTo(..)) => return Err(Error::InvalidRange { size }),
        Some(RangeRequest::From(from)) => from..size,
        Some(RangeRequest::Last(bytes)) => size.saturating_sub(bytes)..size,
    };
    if range.start < range.end { Ok(range) } else { Err(Error::InvalidRange { size }) }
}

/// A consecutive piece of the object, cut to what is wanted.
enum Source {
    Inline(Bytes),
    Blob(BlobSource),
}

#[derive(Clone)]
struct BlobSource {
    blob: Arc<BlobRef>,
    group: Arc<PlacementGroup>,
    part: Option<(UploadId, u16)>,
    /// The wanted bytes of the blob.
    range: Range<u64>,
}

/// The part of `range` that lies in `size` bytes at `offset`, relative to them.
fn cut(range: &Range<u64>, offset: u64, size: u64) -> Range<u64> {
    let start = range.start.saturating_sub(offset).min(size);
    let end = range.end.saturating_sub(offset).min(size);
    start..end.max(start)
}

impl Source {
    fn inline(bytes: &Bytes, offset: u64, range: &Range<u64>) -> Self {
        let range = cut(range, offset, bytes.len() as u64);
        let index = |at: u64| usize::try_from(at).expect("inside bytes that are in memory");
        Self::Inline(bytes.slice(index(range.start)..index(range.end)))
    }

    fn blob(
        objects: &Objects,
        blob: &BlobRef,
        offset: u64,
        range: &Range<u64>,
        part: Option<(UploadId, u16)>,
    ) -> Result<Self, Error> {
        let group = Arc::new(objects.group_of(blob)?);
        let range = cut(range, offset, blob.size);
        Ok(Self::Blob(BlobSource { blob: Arc::new(blob.clone()), group, part, range }))
    }
}

/// What one fetch brings.
enum Piece {
    Inline(Bytes),
    Stripe(BlobSource, u32),
}

/// The pieces of an object in order, made as they are needed: a large object has many.
struct Pieces {
    sources: VecDeque<Source>,
    /// The next stripe of the first source, if it was begun.
    next_stripe: Option<u32>,
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            match self.sources.front()? {
                Source::Inline(bytes) => {
                    let piece = Piece::Inline(bytes.clone());
                    self.sources.pop_front();
                    return Some(piece);
                }
                Source::Blob(source) => {
                    let stripes = source.blob.layout().stripes_of(&source.range);
                    let stripe = self.next_stripe.unwrap_or(stripes.start);
                    if stripe < stripes.end {
                        self.next_stripe = Some(stripe + 1);
                        return Some(Piece::Stripe(source.clone(), stripe));
                    }
                    self.next_stripe = None;
                    self.sources.pop_front();
                }
            }
        }
    }
}

impl Pieces {
    /// Data bytes of the largest stripe that will be read, with its padding.
    fn stripe_bytes_max(&self) -> u64 {
        let largest = |source: &Source| match source {
            Source::Inline(_) => 0,
            Source::Blob(source) => {
                let layout = source.blob.layout();
                let stripes = layout.stripes_of(&source.range);
                let first = layout.chunk_bytes(stripes.start) * source.blob.policy.k();
                if stripes.is_empty() { 0 } else { first as u64 }
            }
        };
        self.sources.iter().map(largest).max().unwrap_or(0)
    }

    fn is_single(&self) -> bool {
        let stripes = |source: &Source| match source {
            Source::Inline(_) => 0,
            Source::Blob(source) => source.blob.layout().stripes_of(&source.range).len(),
        };
        self.sources.iter().map(stripes).sum::<usize>() <= 1
    }
}

/// A fetch that runs by itself and stops when nobody wants it any more.
struct Prefetch(JoinHandle<Result<Vec<Bytes>, Error>>);

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An open object.
struct Reader {
    objects: Objects,
    reading: Option<Reading>,
    pieces: Pieces,
    /// Fetched, to be handed out.
    ready: VecDeque<Bytes>,
    ahead: Option<Prefetch>,
    /// Memory of the stripe being handed out; held as long as the reader lives, so that a
    /// stream that has begun never waits for memory.
    _lease: Option<Lease>,
    /// Memory of the next stripe; without it there is no prefetch.
    lease_ahead: Option<Lease>,
}

impl Reader {
    async fn open(
        objects: Objects,
        reading: Option<Reading>,
        pieces: Pieces,
    ) -> Result<Self, Error> {
        let bytes = pieces.stripe_bytes_max();
        let budget = &objects.inner.read_budget;
        let lease = if bytes == 0 { None } else { Some(budget.lease(bytes, BUFFER_WAIT).await?) };
        let lease_ahead =
            if pieces.is_single() { None } else { objects.inner.read_budget.try_lease(bytes) };
        Ok(Self {
            objects,
            reading,
            pieces,
            ready: VecDeque::new(),
            ahead: None,
            _lease: lease,
            lease_ahead,
        })
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                metrics::get_bytes(bytes.len());
                return Some(Ok(bytes));
            }
            let fetched = match self.ahead.take() {
                Some(mut ahead) => joined((&mut ahead.0).await),
                None => {
                    let piece = self.pieces.next()?;
                    let (objects, reading) = (self.objects.clone(), self.reading.clone());
                    fetch_piece(objects, reading, piece).await
                }
            };
            match fetched {
                Ok(chunks) => self.ready.extend(chunks.into_iter().filter(|b| !b.is_empty())),
                Err(error) => return Some(Err(error)),
            }
            self.fetch_ahead();
        }
    }

    fn fetch_ahead(&mut self) {
        if self.lease_ahead.is_none() {
            return;
        }
        let Some(piece) = self.pieces.next() else { return };
        let (objects, reading) = (self.objects.clone(), self.reading.clone());
        self.ahead = Some(Prefetch(tokio::spawn(fetch_piece(objects, reading, piece))));
    }

    /// After an error nothing follows.
    fn stop(&mut self) {
        self.ahead = None;
        self.ready.clear();
        self.pieces.sources.clear();
    }
}

fn joined<T>(result: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    result.unwrap_or_else(|error| Err(Error::Internal(format!("a fetch ended early: {error}"))))
}

async fn fetch_piece(
    objects: Objects,
    reading: Option<Reading>,
    piece: Piece,
) -> Result<Vec<Bytes>, Error> {
    match piece {
        Piece::Inline(bytes) => Ok(vec![bytes]),
        Piece::Stripe(source, stripe) => {
            let intent = reading.map(|reading| reading.intent(source.part));
            fetch_stripe(&objects, intent, &source, stripe).await
        }
    }
}

/// The wanted bytes of one stripe: the chunks they lie in, first and last one trimmed.
async fn fetch_stripe(
    objects: &Objects,
    intent: Option<WriteIntent>,
    source: &BlobSource,
    stripe: u32,
) -> Result<Vec<Bytes>, Error> {
    let layout = source.blob.layout();
    let stripe_start = u64::from(stripe) * layout.stripe_bytes_max();
    let bytes = cut(&source.range, stripe_start, layout.stripe_bytes(stripe) as u64);
    let index = |at: u64| usize::try_from(at).expect("inside a stripe");
    let (start, end) = (index(bytes.start), index(bytes.end));
    if start == end {
        return Ok(Vec::new());
    }
    let chunk = layout.chunk_bytes(stripe);
    let wanted: Vec<usize> = (start / chunk..(end - 1) / chunk + 1).collect();
    let read = StripeRead {
        blob: &source.blob,
        group: &source.group,
        stripe,
        wanted: wanted.clone(),
        avoid: &[],
        intent,
    };
    let chunks = objects.fetch(&read).await?;
    let trim = |(rank, bytes): (usize, Bytes)| {
        let from = start.saturating_sub(rank * chunk);
        let to = (end - rank * chunk).min(chunk);
        bytes.slice(from..to)
    };
    Ok(wanted.into_iter().zip(chunks).map(trim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_http_has_them() {
        use RangeRequest::{From, FromTo, Last};
        for (range, size, expected) in [
            (None, 0, Some(0..0)),
            (None, 10, Some(0..10)),
            (Some(FromTo(0, 0)), 10, Some(0..1)),
            (Some(FromTo(3, 100)), 10, Some(3..10)),
            (Some(FromTo(9, u64::MAX)), 10, Some(9..10)),
            (Some(FromTo(10, 11)), 10, None),
            (Some(FromTo(5, 4)), 10, None),
            (Some(FromTo(0, 0)), 0, None),
            (Some(From(9)), 10, Some(9..10)),
            (Some(From(10)), 10, None),
            (Some(Last(3)), 10, Some(7..10)),
            (Some(Last(30)), 10, Some(0..10)),
            (Some(Last(0)), 10, None),
            (Some(Last(3)), 0, None),
        ] {
            let expected = expected.ok_or(Error::InvalidRange { size });
            assert_eq!(resolve(range, size), expected, "{range:?} of {size}");
        }
    }
}
