//! What can go wrong with shards and records.
//!
//! Owns: the one error of this crate.
//! Leaves to others: what a client is told.
//! Always: a variant says what was being done and to what.

use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{DriveId, FormatError, WriteId};

/// Why shards or records could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Too few drives made the write durable. Whether it takes effect is not known if `sent`.
    #[error("write quorum not reached: {acked} of {needed} drives")]
    WriteQuorum {
        /// Drives that acknowledged.
        acked: usize,
        /// Drives needed.
        needed: usize,
        /// Whether any record was sent: then the write may still come to light and needs a void.
        sent: bool,
        /// Whether drives refused because they are full.
        full: bool,
    },
    /// Too few shards of a stripe are good.
    #[error("stripe {stripe} of write {write}: {good} of {needed} shards are readable")]
    ReadQuorum {
        /// The write.
        write: WriteId,
        /// The stripe.
        stripe: u32,
        /// Good shards.
        good: usize,
        /// Needed.
        needed: usize,
    },
    /// No copy of a record could be read.
    #[error("record of write {write}: none of its copies is readable")]
    NoCopy {
        /// The write.
        write: WriteId,
    },
    /// A record's bytes cannot be understood.
    #[error("record of write {write}")]
    Format {
        /// The write.
        write: WriteId,
        /// What is wrong.
        source: FormatError,
    },
    /// A drive refused in a way that concerns the whole gateway (an older generation, another
    /// index).
    #[error("drive {drive} refuses this gateway")]
    Fenced {
        /// The drive.
        drive: DriveId,
        /// What it said.
        source: DriveError,
    },
    /// The body source failed; nothing was committed.
    #[error("read the body")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Encoding failed: a bug.
    #[error("erasure code: {what}")]
    Code {
        /// What.
        what: String,
    },
    /// A background pool has ended: the process is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}
