//! How a drive behaves.
//!
//! Owns: [`DriveConfig`] and [`FormatOptions`], whose defaults run.
//! Leaves to others: reading them from files, environment and flags.
//! Always: every queue and every background use of space has its bound here.

use std::time::Duration;

/// How a drive behaves; may differ from start to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveConfig {
    /// Most bytes the drive may take of its file system; `None` for all that is available.
    pub capacity_bytes: Option<u64>,
    /// Free bytes below which no new shards are taken; the log goes on.
    pub reserve_bytes: u64,
    /// Free space kept written with zeros ahead of the writers, in bytes.
    pub prewrite_bytes: u64,
    /// Threads that read the drive's medium at a time; more reads wait, so that a drive which
    /// stalls leaves threads to others.
    pub read_threads: usize,
    /// How long a staged shard may see nothing before it is dropped.
    pub staged_idle: Duration,
    /// Staged shards at most.
    pub staged_max: usize,
    /// Requests that may wait for the log.
    pub queue_len: usize,
    /// Bytes of records after which a batch takes no more.
    pub batch_bytes: usize,
    /// How long a batch waits for more requests while many ask at once.
    pub gather: Duration,
    /// Bytes of log after which a checkpoint is written; more if the checkpoint itself is longer.
    pub checkpoint_log_bytes: u64,
}

impl Default for DriveConfig {
    fn default() -> Self {
        Self {
            capacity_bytes: None,
            reserve_bytes: 256 << 20,
            prewrite_bytes: 128 << 20,
            read_threads: 4,
            staged_idle: Duration::from_secs(600),
            staged_max: 4096,
            queue_len: 1024,
            batch_bytes: 1 << 20,
            gather: Duration::from_millis(1),
            checkpoint_log_bytes: 64 << 20,
        }
    }
}

/// How a drive is laid out; fixed when it is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatOptions {
    /// Bytes of each arena file at most.
    pub arena_len: u64,
    /// Bytes of each chunk of the log.
    pub chunk_len: u64,
}

impl Default for FormatOptions {
    fn default() -> Self {
        Self {
            arena_len: 256 << 30,
            chunk_len: 4 << 20,
        }
    }
}
