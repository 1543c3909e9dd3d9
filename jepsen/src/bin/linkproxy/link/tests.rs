//! Links over loopback: what passes is what was sent, in every weather that lets it pass.

use std::time::Duration;

use super::*;
use crate::weather::Weather;

/// A link to a peer that sends back what it gets, and a connection through it.
async fn echo() -> (Arc<Link>, TcpStream) {
    let echo = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let peer = echo.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = echo.accept().await {
            tokio::spawn(async move {
                let (mut reads, mut writes) = stream.into_split();
                let _ = tokio::io::copy(&mut reads, &mut writes).await;
            });
        }
    });
    through(peer).await
}

async fn through(peer: SocketAddr) -> (Arc<Link>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    let link = Arc::new(Link::new(peer));
    tokio::spawn(Arc::clone(&link).serve(listener));
    (link, TcpStream::connect(at).await.expect("it listens"))
}

/// Sends bytes and reads them back; the writer goes on while the reader reads.
async fn round_trip(stream: TcpStream, bytes: Vec<u8>) -> Vec<u8> {
    let (mut reads, mut writes) = stream.into_split();
    let sent = bytes.clone();
    tokio::spawn(async move {
        writes.write_all(&sent).await.expect("sent");
        writes.shutdown().await.expect("ended");
    });
    let mut back = Vec::new();
    reads.read_to_end(&mut back).await.expect("read");
    back
}

fn some_bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * at % 251) as u8).collect()
}

#[tokio::test]
async fn bytes_pass_unchanged_in_bad_weather() {
    let bytes = some_bytes(700_000);
    let (link, stream) = echo().await;
    let bad = Weather {
        latency_ms: 3,
        jitter_ms: 4,
        bytes_per_s: 100_000_000,
        stall_one_in: 5,
        stall_ms: 7,
        ..Weather::default()
    };
    link.send.set(bad.clone());
    link.receive.set(bad);
    assert!(round_trip(stream, bytes.clone()).await == bytes);
    assert_eq!(link.bytes.load(Ordering::Relaxed), 2 * bytes.len() as u64);
}

#[tokio::test]
async fn latency_and_rate_hold_bytes_back() {
    let began = Instant::now();
    let (link, stream) = echo().await;
    link.send.set(Weather { latency_ms: 40, ..Weather::default() });
    link.receive.set(Weather { bytes_per_s: 100_000, ..Weather::default() });
    round_trip(stream, some_bytes(10_000)).await;
    assert!(began.elapsed() >= Duration::from_millis(140));
}

#[tokio::test]
async fn a_blocked_direction_holds_what_is_sent_until_it_opens() {
    let (link, mut stream) = echo().await;
    stream.write_all(b"one").await.expect("sent");
    let mut back = [0; 3];
    stream.read_exact(&mut back).await.expect("read");
    // One way: it goes there, and nothing comes back.
    link.receive.set(Weather { blocked: true, ..Weather::default() });
    stream.write_all(b"two").await.expect("sent");
    while link.bytes.load(Ordering::Relaxed) < 9 {
        tokio::task::yield_now().await;
    }
    assert_eq!(link.bytes.load(Ordering::Relaxed), 9);
    assert!(
        stream.try_read(&mut back).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    );
    link.receive.set(Weather::default());
    stream.read_exact(&mut back).await.expect("read");
    assert_eq!(&back, b"two");
}

#[tokio::test]
async fn a_connection_made_in_a_partition_waits_for_its_end() {
    let (link, first) = echo().await;
    drop(first);
    link.send.set(Weather { blocked: true, ..Weather::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(Arc::clone(&link).serve(listener));
    let mut stream = TcpStream::connect(at).await.expect("it listens");
    stream.write_all(b"hello").await.expect("sent");
    while link.connections.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(link.bytes.load(Ordering::Relaxed), 0);
    link.send.set(Weather::default());
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.expect("read");
    assert_eq!(&back, b"hello");
}

#[tokio::test]
async fn a_reset_ends_the_connection_and_not_the_link() {
    let (link, mut stream) = echo().await;
    link.send.set(Weather { reset_one_in: 1, ..Weather::default() });
    stream.write_all(b"lost").await.expect("sent");
    let mut back = Vec::new();
    let ended = stream.read_to_end(&mut back).await;
    assert!(back.is_empty() && ended.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_a_reset() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let peer = gone.local_addr().expect("bound");
    drop(gone);
    let (_link, mut stream) = through(peer).await;
    assert!(stream.read(&mut [0; 1]).await.is_err());
}
