//! The connections to one peer: both directions of each are copied chunk by chunk under their weather.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{Semaphore, mpsc},
    time::{Instant, sleep_until},
};

use crate::weather::Direction;

/// Connections to one peer; those above wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;
/// Bytes read at a time.
const CHUNK: usize = 16 << 10;
/// Chunks of a direction of a connection that are on their way; a sender of more has to wait.
const CHUNKS_MAX: usize = 64;

/// The way to one peer.
pub(crate) struct Link {
    pub(crate) peer: SocketAddr,
    /// What the node sends.
    pub(crate) send: Direction,
    /// What it receives.
    pub(crate) receive: Direction,
    /// Connections so far.
    pub(crate) connections: AtomicU64,
    /// Bytes that passed, both ways.
    pub(crate) bytes: AtomicU64,
    open: Arc<Semaphore>,
}

/// A chunk on its way.
struct Chunk {
    bytes: Vec<u8>,
    due: Instant,
}

impl Link {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            send: Direction::new(),
            receive: Direction::new(),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            open: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }

    /// Serves the connections that come, until the process ends.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let permit = Arc::clone(&self.open).acquire_owned().await;
            // An error of accept is of one connection that is gone already, or passes.
            let Ok((near, _)) = listener.accept().await else { continue };
            let link = Arc::clone(&self);
            tokio::spawn(async move {
                let _permit = permit;
                link.connections.fetch_add(1, Ordering::Relaxed);
                // Whatever ends a connection ends it for both sides, and that is all there is to say.
                let _ = link.forward(near).await;
            });
        }
    }

    async fn forward(&self, mut near: TcpStream) -> io::Result<()> {
        self.send.passable().await;
        let mut far = match TcpStream::connect(self.peer).await {
            Ok(far) => far,
            Err(error) => {
                near.set_zero_linger()?;
                return Err(error);
            }
        };
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let both = {
            let (near_reads, near_writes) = near.split();
            let (far_reads, far_writes) = far.split();
            tokio::try_join!(
                self.copy(&self.send, near_reads, far_writes),
                self.copy(&self.receive, far_reads, near_writes),
            )
        };
        if let Err(error) = both {
            // What fails on one side is a reset on both.
            near.set_zero_linger()?;
            far.set_zero_linger()?;
            return Err(error);
        }
        Ok(())
    }

    async fn copy(
        &self,
        direction: &Direction,
        from: ReadHalf<'_>,
        to: WriteHalf<'_>,
    ) -> io::Result<()> {
        let (chunks, coming) = mpsc::channel(CHUNKS_MAX);
        let both =
            tokio::try_join!(read(direction, from, chunks), self.write(direction, coming, to),);
        both.map(|_| ())
    }

    /// Lets chunks out when they are due, in their order.
    async fn write(
        &self,
        direction: &Direction,
        mut coming: mpsc::Receiver<Chunk>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        while let Some(chunk) = coming.recv().await {
            sleep_until(chunk.due).await;
            direction.passable().await;
            direction.turn(chunk.bytes.len()).await;
            to.write_all(&chunk.bytes).await?;
            self.bytes.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        }
        to.shutdown().await
    }
}

/// Takes chunks in, and says when each is due. The end of the stream is the end of the channel.
async fn read(
    direction: &Direction,
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<Chunk>,
) -> io::Result<()> {
    let mut random = StdRng::from_os_rng();
    let mut last_due = Instant::now();
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        let weather = direction.weather();
        if weather.resets(&mut random) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        last_due = last_due.max(Instant::now() + weather.delay(&mut random));
        let chunk = Chunk { bytes: buffer[..length].to_vec(), due: last_due };
        if chunks.send(chunk).await.is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

#[cfg(test)]
mod tests;
