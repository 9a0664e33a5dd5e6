//! Calls over a network: framed, multiplexed, authenticated.
//!
//! Owns: connections between gateways and shard nodes: opening, keeping alive, sharing, and closing
//! them ([`client`], [`server`]).
//! Leaves to others: bytes and proofs (`protocol::rpc`), who may join a cluster (gateway), what a
//! call does.
//! Always: every wait has a deadline, every queue a bound; malformed or unauthenticated input
//! closes its connection and nothing else.

pub mod client;
mod connect;
mod connection;
mod framing;
mod pulse;
pub mod server;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use holdfast_protocol::FormatError;
use holdfast_protocol::rpc::handshake::HandshakeError;

use crate::clock::Clock;

pub use client::{ClientConfig, ClientLimits, ControlClient, RemoteNode, RpcClient};
pub use server::{ControlHandler, Handler, ServerConfig, ServerLimits, serve};

/// Why a request got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RpcError {
    /// The connection could not be made.
    #[error("connect to {addr}: {why}")]
    Connect {
        /// Where to.
        addr: String,
        /// What failed.
        why: String,
    },
    /// The handshake failed.
    #[error("handshake")]
    Handshake(#[from] HandshakeError),
    /// Bytes could not be understood, or a message exceeds its bounds.
    #[error("message")]
    Format(#[from] FormatError),
    /// The connection ended.
    #[error("connection closed: {why}")]
    Closed {
        /// What ended it.
        why: String,
    },
    /// No answer within the deadline.
    #[error("no answer in time")]
    TimedOut,
}

impl RpcError {
    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        match self {
            Self::Handshake(cause) => format!("{self}: {cause}"),
            Self::Format(cause) => format!("{self}: {cause}"),
            _ => self.to_string(),
        }
    }
    fn closed(why: impl Into<String>) -> Self {
        Self::Closed { why: why.into() }
    }
    /// A short reason, for a metric's label.
    fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "connect",
            Self::Handshake(error) => error.reason(),
            Self::Format(_) => "malformed",
            Self::Closed { .. } => "closed",
            Self::TimedOut => "timeout",
        }
    }
}

impl From<io::Error> for RpcError {
    fn from(error: io::Error) -> Self {
        Self::closed(error.to_string())
    }
}

/// What `work` gives, or `None` after `duration`.
async fn within<T>(
    clock: &dyn Clock,
    duration: Duration,
    work: impl Future<Output = T>,
) -> Option<T> {
    match select(pin!(work), clock.sleep(duration)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}
