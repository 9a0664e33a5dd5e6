//! Server access logs: what was asked of a bucket, as objects in another.
//!
//! Owns: a record and its form ([`record`]), names of log objects ([`key`]), what waits to be
//! delivered ([`buffer`]).
//! Leaves to others: reading requests and answers, and delivering (`s3`); which buckets have logs
//! ([`crate::settings`]).
//! Always: best effort, as in S3: a request never waits for its record, and memory is bounded;
//! what does not fit is dropped and counted.

pub mod buffer;
pub mod key;
pub mod metrics;
pub mod record;

pub use buffer::{AccessLog, Batch, Buffers, Entry};
pub use metrics::AccessLogMetrics;
pub use record::Record;
