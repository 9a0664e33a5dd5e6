//! `GET /admin/v1/scrub`: how far the scrub is.
//!
//! Owns: the JSON types.
//! Leaves to others: scrubbing (workers), serving it (gateway).
//! Always: a number that is not known is null; times are wall clock, in milliseconds since 1970.

use serde::{Deserialize, Serialize};

/// The scrub of one drive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriveScrub {
    /// The drive.
    pub drive: String,
    /// `running` (a pass is under way), `waiting` (for the next one), `paused` or `absent`.
    pub state: String,
    /// How much of the present pass is done, 0 to 1; null while none runs or nothing is known.
    pub progress_ratio: Option<f64>,
    /// When the present pass began.
    pub started_ms: Option<u64>,
    /// Bytes verified in the present pass.
    pub bytes: u64,
    /// Writes verified in the present pass.
    pub records: u64,
    /// Bad ones found in the present pass; they are healed.
    pub errors: u64,
    /// When the last complete pass began.
    pub last_started_ms: Option<u64>,
    /// When the last complete pass ended.
    pub last_complete_ms: Option<u64>,
    /// Bytes that it verified.
    pub last_bytes: u64,
    /// Everything on the drive was verified, or was new, so many seconds ago at most.
    pub oldest_unscrubbed_seconds: u64,
    /// When new data was verified last.
    pub fresh_checked_ms: Option<u64>,
}

/// Objects that were read back from the drives after they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchStatus {
    /// Read back since the process started.
    pub objects: u64,
    /// Of these, decoded from parity.
    pub from_parity: u64,
    /// Those that could not be read back as they were written.
    pub failures: u64,
}

/// How far the scrub is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// Whether it is paused by an operator (until resumed, or the gateway restarts).
    pub paused: bool,
    /// Every byte is verified within so many seconds.
    pub period_seconds: u64,
    /// New data is verified within so many seconds.
    pub fresh_within_seconds: u64,
    /// Of the present passes, 0 to 1; null while none runs.
    pub progress_ratio: Option<f64>,
    /// When the last drive completed its last pass; null while one has never completed any.
    pub last_complete_ms: Option<u64>,
    /// The oldest of all drives.
    pub oldest_unscrubbed_seconds: u64,
    /// Bytes verified since the process started.
    pub scrubbed_bytes: u64,
    /// Bad shards and records found since the process started.
    pub errors_found: u64,
    /// Fresh objects that were read back.
    pub watched: WatchStatus,
    /// By drive.
    pub drives: Vec<DriveScrub>,
}
