//! The outer layer: what happens to a request before it is S3, on plain HTTP types.
//!
//! Owns: connections ([`listener`]), limits, the raw body ([`body`], [`chunks`]), query, target and
//! the closed list of operations ([`route`]), what pages of other origins may ([`cors`]), where
//! visitors of websites are sent ([`website`]), refusals, health.
//! Leaves to others: signatures, XML and codes (`s3`).
//! Always: every wait and every buffer has a bound; a request is never read more liberally here
//! than by the library behind.

pub mod body;
pub mod chunks;
pub mod cors;
pub mod health;
pub mod listener;
pub mod query;
pub mod refusal;
pub mod route;
pub mod target;
pub mod timers;
pub mod website;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

pub use body::{BodyHandle, Pace, RequestBody};
pub use chunks::{ChunkWatch, Chunks, SIGNED_CHUNK_MAX};
pub use cors::CrossOrigin;
pub use health::{Health, Readiness};
pub use listener::{Drained, Handler, connection, serve};
pub use query::Query;
pub use refusal::Refusal;
pub use target::{Domains, Target};
pub use timers::Timers;

/// The body of an answer.
pub type ResponseBody =
    http_body_util::combinators::UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Bounds of connections and of what comes over them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in total; at the limit none is accepted until one ends.
    pub connections_max: usize,
    /// Connections of one address (IPv6: of one /64); more are closed at once.
    pub connections_per_address_max: usize,
    /// How long the head of a request may take, and an idle connection may stay open.
    pub head_timeout: Duration,
    /// Bytes of a request's head.
    pub head_len_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Bytes of a connection's read buffer.
    pub read_buffer_max: usize,
    /// How slow a body may be.
    pub body: Pace,
    /// How long a client may take nothing of an answer.
    pub write_stall: Duration,
    /// How long running requests may take once the process stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            connections_per_address_max: 512,
            head_timeout: Duration::from_secs(10),
            head_len_max: 16 << 10,
            headers_max: 100,
            read_buffer_max: 128 << 10,
            body: Pace {
                idle: Duration::from_secs(30),
                rate_min: 1024,
            },
            write_stall: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}
