//! Reading objects: the bytes of a range, verified, in order.

use std::ops::Range;

use futures::{StreamExt, stream};
use metastore::api::{
    IndexQuery, IndexView,
    index::{Data, Segment},
};
use tokio::time::Instant;
use types::{Content, ObjectHead, UploadId, VersionId};

use crate::{
    Error, Objects,
    gate::unexpected,
    hints::Reading,
    metrics,
    reader::Reader,
    request::{ObjectReader, RangeRequest},
    source::Source,
};

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
        let mut reader = Reader::open(self.clone(), reading, sources).await?;
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
        let segments = self.segments(bucket, key, version, upload, range).await?;
        let source = |segment: &Segment| match &segment.data {
            Data::Inline(bytes) => Ok(Source::inline(bytes, segment.offset, range)),
            Data::Blob { blob, .. } => {
                Source::blob(self, blob, segment.offset, range, Some((upload, segment.number)))
            }
        };
        segments.iter().map(source).collect()
    }

    /// The parts of a multipart object that a range touches, in order, covering it. `Replaced` if
    /// the version is gone.
    pub(crate) async fn segments(
        &self,
        bucket: &str,
        key: &str,
        version: VersionId,
        upload: UploadId,
        range: &Range<u64>,
    ) -> Result<Vec<Segment>, Error> {
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
        Ok(segments)
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
