//! The proxy of all links that leave one node. The node's connections to its peers are redirected here
//! (`deploy/nscluster/links.py`), one listening port for each peer, so that no program has to know.
//!
//! A link has two directions: what the node sends on the connections that it opened, and what it receives
//! on them. Each has a [`weather::Weather`] of its own, set at run time over a Unix socket: one JSON object
//! a line, one line back, as `{"do":"set","peers":["10.89.7.21:7000"],"send":{"latency_ms":20},"receive":{}}`.
//!
//! Reading order: [`weather`] (what can go wrong on a direction), [`link`] (connections under it),
//! [`control`] (the commands).

mod control;
mod link;
mod weather;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context;
use clap::Parser;
use tokio::net::{TcpListener, UnixListener};

use crate::link::Link;

/// Forwards TCP connections, and delays, stalls, breaks or blocks them on command.
#[derive(Parser)]
struct Arguments {
    /// A port of 127.0.0.1 that stands for a peer, as 17021=10.89.7.21:7000. May be repeated.
    #[arg(long = "link", required = true, value_parser = port_and_peer)]
    links: Vec<(u16, SocketAddr)>,
    /// Where the Unix socket for commands is made. Its being there says that all ports listen.
    #[arg(long)]
    control: PathBuf,
}

fn port_and_peer(text: &str) -> anyhow::Result<(u16, SocketAddr)> {
    let (port, peer) = text.split_once('=').context("write PORT=ADDRESS:PORT")?;
    Ok((port.parse()?, peer.parse()?))
}

// One core's worth of copying; the nodes need the others.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut links = Vec::new();
    for (port, peer) in arguments.links {
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .with_context(|| format!("listening on port {port} for {peer}"))?;
        let link = Arc::new(Link::new(peer));
        tokio::spawn(Arc::clone(&link).serve(listener));
        links.push(link);
    }
    let socket = &arguments.control;
    let listener = UnixListener::bind(socket)
        .with_context(|| format!("making the control socket {}", socket.display()))?;
    control::serve(links.into(), &listener).await?;
    Ok(())
}
