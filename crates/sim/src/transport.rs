//! The nodes' connections over the simulated network: turmoil's TCP under the real wire code.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use futures::future::BoxFuture;
use proto::{Dialer, Listener, transport::Stream};
use turmoil::net::{TcpListener, TcpStream};

/// Where every node listens.
pub const PORT: u16 = 7000;

/// The address of a host.
pub fn address(host: &str) -> String {
    format!("{host}:{PORT}")
}

/// Connects within the simulation.
#[derive(Debug)]
pub struct SimDialer;

impl Dialer for SimDialer {
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let host = address.split(':').next().unwrap_or_default().to_owned();
            let stream = TcpStream::connect((host, PORT)).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// A listener within the simulation.
pub struct SimListener(TcpListener);

impl SimListener {
    /// The current host's.
    pub async fn bind() -> io::Result<Self> {
        Ok(Self(TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), PORT)).await?))
    }
}

impl Listener for SimListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        Ok(self.0.accept().await?.0)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
