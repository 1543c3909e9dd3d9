//! Where encoding, hashing and reconstructing happens: small pieces at once, larger ones
//! on a blocking thread, so that they do not hold up the connections of an I/O thread.

use crate::Error;

/// About 50 microseconds of encoding and hashing: less than handing it to a thread and
/// waiting for that costs on a busy machine.
const INLINE_BYTES_MAX: u64 = 128 << 10;

/// To compress or to decompress a byte takes as long as to encode and hash so many.
pub(crate) const COMPRESSION_COST: u64 = 8;

/// Runs `work` over so many bytes.
pub(crate) async fn run<T: Send + 'static>(
    bytes: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if bytes <= INLINE_BYTES_MAX {
        return Ok(work());
    }
    let thread = platform::off_thread(work).await;
    thread.map_err(|error| Error::Internal(format!("a computation ended early: {error}")))
}
