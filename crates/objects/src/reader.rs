//! The bytes of blobs in order: stripe after stripe as they lie in memory, and where a blob is
//! compressed frame after frame out of them. The next stripe is fetched while one is being sent,
//! if memory allows.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use tokio::task::JoinHandle;
use types::{BlobId, WriteIntent};

use crate::{
    Error, Objects,
    buffer::Lease,
    compute,
    fetch::StripeRead,
    hints::Reading,
    metrics,
    source::{BlobSource, Source, cut},
    zstd_frames::{self, BadFrames, Table},
};

/// How long a reader waits for its buffers before it answers 503.
const BUFFER_WAIT: Duration = Duration::from_secs(10);

/// What one fetch is for.
enum Piece {
    Inline(Bytes),
    /// A stripe, and whether its bytes are frames.
    Stripe(BlobSource, u32, bool),
    Table(BlobSource),
}

/// What one fetch brings.
enum Fetched {
    /// Bytes of the object.
    Content(Vec<Bytes>),
    /// Bytes of frames.
    Stored(Vec<Bytes>),
    Table(BlobSource, Table),
}

/// The pieces of an object in order, made as they are needed: a large object has many.
struct Pieces {
    sources: VecDeque<Source>,
    /// The next stripe of the first source, if it was begun.
    next_stripe: Option<u32>,
    /// The table of a compressed blob was handed out: nothing follows until it is there.
    opening: bool,
}

impl Iterator for Pieces {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        while !self.opening {
            let (source, frames) = match self.sources.front()? {
                Source::Blob(source) => (source, false),
                Source::Frames(source) => (source, true),
                Source::Inline(_) | Source::Zstd(_) => match self.sources.pop_front()? {
                    Source::Zstd(source) if source.range.is_empty() => continue,
                    Source::Zstd(source) => {
                        self.opening = true;
                        return Some(Piece::Table(source));
                    }
                    Source::Inline(bytes) => return Some(Piece::Inline(bytes)),
                    Source::Blob(_) | Source::Frames(_) => continue,
                },
            };
            let stripes = source.stripes();
            let stripe = self.next_stripe.unwrap_or(stripes.start);
            if stripe < stripes.end {
                self.next_stripe = Some(stripe + 1);
                return Some(Piece::Stripe(source.clone(), stripe, frames));
            }
            self.next_stripe = None;
            self.sources.pop_front();
        }
        None
    }
}

impl Pieces {
    /// The table of the compressed blob is there: its frames are next.
    fn opened(&mut self, frames: BlobSource) {
        self.opening = false;
        self.sources.push_front(Source::Frames(frames));
    }
}

/// A fetch that runs by itself and stops when nobody wants it any more.
struct Prefetch(JoinHandle<Result<Fetched, Error>>);

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Open sources.
pub(crate) struct Reader {
    objects: Objects,
    reading: Option<Reading>,
    pieces: Pieces,
    /// The compressed blob that is being read.
    frames: Option<(BlobId, zstd_frames::Reader)>,
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
    /// Waits for the memory of a stripe. `reading`: without it no repair hint is given.
    pub(crate) async fn open(
        objects: Objects,
        reading: Option<Reading>,
        sources: Vec<Source>,
    ) -> Result<Self, Error> {
        let stripe = sources.iter().map(Source::stripe_bytes_max).max().unwrap_or(0);
        let frames = sources.iter().map(Source::frame_bytes).max().unwrap_or(0);
        let budget = &objects.inner.read_budget;
        let bytes = stripe + frames;
        let lease = if bytes == 0 { None } else { Some(budget.lease(bytes, BUFFER_WAIT).await?) };
        let stripes = |source: &Source| source.stripes().map_or(0, |(_, stripes)| stripes.len());
        let is_single = sources.iter().map(stripes).sum::<usize>() <= 1;
        let lease_ahead = if is_single { None } else { budget.try_lease(stripe) };
        let pieces = Pieces { sources: sources.into(), next_stripe: None, opening: false };
        Ok(Self {
            objects,
            reading,
            pieces,
            frames: None,
            ready: VecDeque::new(),
            ahead: None,
            _lease: lease,
            lease_ahead,
        })
    }

    /// The next bytes; `None` at the end. After an error nothing that follows is right.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                metrics::get_bytes(bytes.len());
                return Some(Ok(bytes));
            }
            match self.decode().await {
                Ok(Some(bytes)) => self.ready.push_back(bytes),
                Ok(None) => match self.fetch().await? {
                    Ok(()) => {}
                    Err(error) => return Some(Err(error)),
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The wanted content of the next frame, if it is in memory.
    async fn decode(&mut self) -> Result<Option<Bytes>, Error> {
        let Some((blob, frames)) = &mut self.frames else { return Ok(None) };
        let Some(frame) = frames.take() else { return Ok(None) };
        let zstd_frames::Frame { stored, content_bytes, wanted } = frame;
        let cost = content_bytes as u64 * compute::COMPRESSION_COST;
        let work = move || zstd_frames::decompress(&stored, content_bytes);
        let content = compute::run(cost, work).await?.map_err(|error| bad_frames(*blob, &error))?;
        Ok(Some(Bytes::from(content).slice(wanted)))
    }

    /// Takes the next piece; `None` at the end.
    async fn fetch(&mut self) -> Option<Result<(), Error>> {
        let fetched = match self.ahead.take() {
            Some(mut ahead) => joined((&mut ahead.0).await),
            None => match self.pieces.next() {
                Some(piece) => fetch_piece(self.objects.clone(), self.reading.clone(), piece).await,
                None => return self.frames_are_done().err().map(Err),
            },
        };
        let taken = fetched.and_then(|fetched| self.take(fetched));
        if taken.is_ok() {
            self.fetch_ahead();
        }
        Some(taken)
    }

    fn take(&mut self, fetched: Fetched) -> Result<(), Error> {
        match fetched {
            Fetched::Content(chunks) => {
                self.frames_are_done()?;
                self.ready.extend(chunks.into_iter().filter(|bytes| !bytes.is_empty()));
            }
            Fetched::Stored(chunks) => {
                let (_, frames) = self.frames.as_mut().expect("its table came first");
                chunks.into_iter().for_each(|chunk| frames.push(chunk));
            }
            Fetched::Table(source, table) => {
                self.frames_are_done()?;
                let range = table.stored_of(&source.range);
                let frames = zstd_frames::Reader::new(table, source.range.clone());
                self.frames = Some((source.blob.id, frames));
                self.pieces.opened(BlobSource { range, ..source });
            }
        }
        Ok(())
    }

    /// Before something else follows: what was read of a compressed blob was all of it.
    fn frames_are_done(&self) -> Result<(), Error> {
        match &self.frames {
            Some((blob, frames)) if !frames.is_done() => {
                Err(Error::Internal(format!("blob {blob} ends within a frame")))
            }
            _ => Ok(()),
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
    pub(crate) fn stop(&mut self) {
        self.ahead = None;
        self.frames = None;
        self.ready.clear();
        self.pieces.sources.clear();
        self.pieces.opening = false;
    }
}

fn joined<T>(result: Result<Result<T, Error>, tokio::task::JoinError>) -> Result<T, Error> {
    result.unwrap_or_else(|error| Err(Error::Internal(format!("a fetch ended early: {error}"))))
}

fn bad_frames(blob: BlobId, error: &BadFrames) -> Error {
    Error::Internal(format!("blob {blob} cannot be read: {error}"))
}

async fn fetch_piece(
    objects: Objects,
    reading: Option<Reading>,
    piece: Piece,
) -> Result<Fetched, Error> {
    match piece {
        Piece::Inline(bytes) => Ok(Fetched::Content(vec![bytes])),
        Piece::Stripe(source, stripe, frames) => {
            let intent = reading.map(|reading| reading.intent(source.part));
            let chunks = fetch_stripe(&objects, intent, &source, stripe).await?;
            Ok(if frames { Fetched::Stored(chunks) } else { Fetched::Content(chunks) })
        }
        Piece::Table(source) => {
            let intent = reading.map(|reading| reading.intent(source.part));
            let table = fetch_table(&objects, intent, &source).await?;
            Ok(Fetched::Table(source, table))
        }
    }
}

/// The table of a compressed blob: its last bytes.
async fn fetch_table(
    objects: &Objects,
    intent: Option<WriteIntent>,
    source: &BlobSource,
) -> Result<Table, Error> {
    let (stored, content) = (source.blob.size, source.blob.content_bytes());
    if let Some(table) = Table::of_one_frame(stored, content) {
        return Ok(table);
    }
    let bad = |error| bad_frames(source.blob.id, &error);
    let range = Table::place(stored, content).map_err(bad)?;
    let place = BlobSource { range, ..source.clone() };
    let mut bytes = Vec::new();
    for stripe in place.stripes() {
        for chunk in fetch_stripe(objects, intent.clone(), &place, stripe).await? {
            bytes.extend_from_slice(&chunk);
        }
    }
    Table::parse(&bytes, stored, content).map_err(bad)
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
    // As it is now: ranks may have moved since the reader was opened.
    let group = objects.group_of(&source.blob)?;
    let read = StripeRead {
        blob: &source.blob,
        group: &group,
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
