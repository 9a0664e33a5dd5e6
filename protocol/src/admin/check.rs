//! `POST /admin/v1/check`, `POST /admin/v1/index/check`: whether index and drives agree.
//!
//! Owns: the JSON types.
//! Leaves to others: checking (workers), serving it (gateway).
//! Always: `clean` is said only of what was compared; what was not is named.

use serde::{Deserialize, Serialize};

/// What does not agree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckProblem {
    /// `lost`, `missing`, `unknown_write`, `guard`, `usage`, `row` or `system`.
    pub kind: String,
    /// The bucket's id, if it concerns a key or a bucket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bucket: Option<String>,
    /// The key, if it concerns one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// The drive, if it concerns one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub drive: Option<String>,
    /// What was found, for people.
    pub what: String,
}

/// How a check is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Read every shard and record from the media and verify its checksums.
    #[serde(default)]
    pub deep: bool,
    /// Hand what was found to the healer, and have drives compared.
    #[serde(default)]
    pub heal: bool,
}

/// An object, part or upload that is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckObject {
    /// `version`, `part` or `upload`.
    pub kind: String,
    /// The bucket's name, or its id if it has none any more.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The write.
    pub write: String,
    /// `lost` (not readable now), `degraded` (readable, and not queued for healing) or `queued`
    /// (for healing).
    pub state: String,
    /// Good shards or copies.
    pub good: u8,
    /// How many there should be.
    pub total: u8,
    /// How many more can be lost.
    pub margin: u8,
    /// The drives of those that are not good.
    pub drives: Vec<String>,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckCounts {
    /// Versions.
    pub versions: u64,
    /// Parts, also of completed uploads.
    pub parts: u64,
    /// Uploads.
    pub uploads: u64,
    /// Buckets.
    pub buckets: u64,
    /// Records found on drives, each copy counted.
    pub copies: u64,
    /// Rows that are known to miss something and are queued for healing.
    pub healing: u64,
    /// Writes that are queued for purge.
    pub purging: u64,
    /// Problems, also those that are not listed.
    pub problems: u64,
    /// Shards and records that were read and verified.
    #[serde(default)]
    pub verified: u64,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Whether no problem was found.
    pub clean: bool,
    /// Whether every living drive was compared.
    pub complete: bool,
    /// Drives that could not be asked.
    pub absent_drives: Vec<String>,
    /// The first problems.
    pub problems: Vec<CheckProblem>,
    /// How much was compared.
    pub counts: CheckCounts,
    /// The first objects that are not whole, those that wait for healing included.
    #[serde(default)]
    pub objects: Vec<CheckObject>,
    /// Whether every shard and record was read and verified.
    #[serde(default)]
    pub deep: bool,
    /// Findings that were handed to the healer.
    #[serde(default)]
    pub handed_to_healer: u64,
}
