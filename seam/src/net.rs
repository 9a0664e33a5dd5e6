//! Connections.
//!
//! Owns: listening and connecting, as byte streams.
//! Leaves to others: frames and who may speak (`protocol::rpc`).
//! Always: real connections have Nagle's delay switched off.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// One byte stream, both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Takes connections.
#[async_trait]
pub trait Listener: Send + Sync + Debug {
    /// The next connection and who made it.
    async fn accept(&self) -> io::Result<(Box<dyn Connection>, SocketAddr)>;
    /// Where it listens.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Listening and connecting.
#[async_trait]
pub trait Net: Send + Sync + Debug {
    /// Listens at `addr` (`host:port`).
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>>;
    /// Connects to `addr` (`host:port`).
    async fn connect(&self, addr: &str) -> io::Result<Box<dyn Connection>>;
}

/// TCP.
#[derive(Debug)]
pub struct RealNet;

#[derive(Debug)]
struct RealListener(TcpListener);

#[async_trait]
impl Listener for RealListener {
    async fn accept(&self) -> io::Result<(Box<dyn Connection>, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((Box::new(stream), peer))
    }
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[async_trait]
impl Net for RealNet {
    async fn listen(&self, addr: &str) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(RealListener(TcpListener::bind(addr).await?)))
    }
    async fn connect(&self, addr: &str) -> io::Result<Box<dyn Connection>> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
