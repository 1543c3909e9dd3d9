//! Bounds of the edge.

use std::time::Duration;

/// What a gateway allows its clients.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at the same time. At the bound no more are accepted: further clients wait
    /// in the listener's backlog.
    pub connections_max: usize,
    /// Requests of one HTTP/2 connection at the same time.
    pub streams_max: u32,
    /// A connection that has not sent a request's whole head in this time is closed. It
    /// also bounds how long a kept-alive connection may stay idle.
    pub header_timeout: Duration,
    /// Bytes of a request's head: names, values and target together. More is answered with
    /// 431. AWS allows 8 KiB; browsers and proxies add theirs.
    pub header_bytes_max: usize,
    /// How long requests in flight may take to finish after the shutdown has begun.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            streams_max: 128,
            header_timeout: Duration::from_secs(60),
            header_bytes_max: 32 << 10,
            drain: Duration::from_secs(30),
        }
    }
}
