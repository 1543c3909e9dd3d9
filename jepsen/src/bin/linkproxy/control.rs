//! Commands over a Unix socket: one JSON object a line, one line back.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

use crate::{link::Link, weather::Weather};

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// Sets the weather of the ways to some peers, and leaves the others.
    Set {
        /// `ADDRESS:PORT` each.
        peers: Vec<String>,
        #[serde(default)]
        send: Weather,
        #[serde(default)]
        receive: Weather,
    },
    /// Fair weather everywhere.
    Clear,
    /// Says how it stands.
    Status,
}

/// What every command is answered.
#[derive(Debug, Serialize)]
struct Standing {
    peer: String,
    send: Weather,
    receive: Weather,
    connections: u64,
    bytes: u64,
}

/// Serves commands until the listener fails.
pub(crate) async fn serve(links: Arc<[Arc<Link>]>, listener: &UnixListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(converse(Arc::clone(&links), stream));
    }
}

/// Ends with the connection; what cannot be understood is answered with the reason.
async fn converse(links: Arc<[Arc<Link>]>, stream: UnixStream) -> io::Result<()> {
    let (reads, mut writes) = stream.into_split();
    let mut lines = BufReader::new(reads).lines();
    while let Some(line) = lines.next_line().await? {
        let answer = match execute(&links, &line) {
            Ok(standing) => serde_json::json!({ "links": standing }),
            Err(error) => serde_json::json!({ "error": format!("{error:#}") }),
        };
        writes.write_all(format!("{answer}\n").as_bytes()).await?;
    }
    Ok(())
}

fn execute(links: &[Arc<Link>], line: &str) -> anyhow::Result<Vec<Standing>> {
    match serde_json::from_str(line)? {
        Command::Set { peers, send, receive } => {
            for peer in &peers {
                let link = links.iter().find(|link| link.peer.to_string() == *peer);
                let link = link.ok_or_else(|| anyhow::anyhow!("no link leads to {peer}"))?;
                link.send.set(send.clone());
                link.receive.set(receive.clone());
            }
        }
        Command::Clear => {
            for link in links {
                link.send.set(Weather::default());
                link.receive.set(Weather::default());
            }
        }
        Command::Status => {}
    }
    Ok(links.iter().map(standing).collect())
}

fn standing(link: &Arc<Link>) -> Standing {
    Standing {
        peer: link.peer.to_string(),
        send: link.send.weather(),
        receive: link.receive.weather(),
        connections: link.connections.load(Ordering::Relaxed),
        bytes: link.bytes.load(Ordering::Relaxed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Vec<Arc<Link>> {
        ["10.0.0.1:7000", "10.0.0.2:7000"]
            .map(|peer| Arc::new(Link::new(peer.parse().expect("an address"))))
            .into()
    }

    #[test]
    fn a_command_changes_the_named_links_only() {
        let links = links();
        let set = r#"{"do":"set","peers":["10.0.0.2:7000"],"send":{"blocked":true}}"#;
        let standing = execute(&links, set).expect("fine");
        assert!(standing[1].send.blocked && !standing[1].receive.blocked);
        assert_eq!(standing[0].send, Weather::default());
        let standing = execute(&links, r#"{"do":"clear"}"#).expect("fine");
        assert!(!standing[1].send.blocked);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for line in [
            r#"{"do":"set","peers":["10.0.0.3:7000"]}"#,
            r#"{"do":"set","peers":["10.0.0.1:7000"],"send":{"latencyms":1}}"#,
            "rain",
        ] {
            assert!(execute(&links(), line).is_err(), "{line}");
        }
    }
}
