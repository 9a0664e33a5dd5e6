//! `GET /admin/v1/heal`: how far healing is.
//!
//! Owns: the JSON types.
//! Leaves to others: healing (workers), serving it (gateway).
//! Always: a number that is not known is absent or null, never guessed.

use serde::{Deserialize, Serialize};

/// How far healing is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HealStatus {
    /// Objects, parts and uploads that miss shards or copies, and those of drives being compared.
    pub backlog_objects: u64,
    /// The queued ones by how many more shards or copies can be lost: index 0 can lose none.
    pub backlog_by_margin: Vec<u64>,
    /// Those that wait for a drive to come back or to be replaced.
    pub waiting_objects: u64,
    /// Those being healed now.
    pub active_objects: u64,
    /// Healed since the process started.
    pub healed_objects: u64,
    /// Bytes written by healing since the process started.
    pub healed_bytes: u64,
    /// Attempts that failed since the process started; they are made again.
    pub failures: u64,
    /// Bytes per second, of late.
    pub bytes_per_second: u64,
    /// Seconds until the queue is empty at the present rate; null when unknown.
    pub eta_seconds: Option<u64>,
    /// Whether healing is paused by an operator.
    pub paused: bool,
    /// Why healing holds back, if it does: so many drives vanished at once that it looks like a
    /// partition.
    pub held_back: Option<String>,
    /// Drives that wait to be compared with the index, or are being compared.
    pub drives_comparing: Vec<String>,
}

/// What healing one row would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealPlanItem {
    /// `version`, `part` or `upload`.
    pub kind: String,
    /// The bucket's id.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The write.
    pub write: String,
    /// How many more shards or copies can be lost.
    pub margin: u8,
    /// Shards to be rebuilt, by index; empty for small records.
    pub shards: Vec<u8>,
    /// The drives that would get them, or get a copy.
    pub targets: Vec<String>,
    /// Bytes that would be written.
    #[serde(default)]
    pub bytes: u64,
    /// Why nothing can be done now, if so.
    pub waits_for: Option<String>,
}

/// What healing would do now (`dry_run`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealPlan {
    /// The first rows of the queue, in the order in which they would be healed.
    pub items: Vec<HealPlanItem>,
    /// Whether there are more.
    pub more: bool,
    /// Bytes that would be written for these rows.
    #[serde(default)]
    pub bytes: u64,
    /// Why none of it is done at present, if so: healing is paused, or holds back.
    #[serde(default)]
    pub held_back: Option<String>,
}

/// `POST /admin/v1/heal/run`: what to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealRequest {
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// Rows that a dry run looks at, at most; 1,000 without it.
    #[serde(default)]
    pub limit: Option<usize>,
}
