//! `POST /admin/v1/inspect`: where an object is and how much of it is good.
//!
//! Owns: the JSON types.
//! Leaves to others: looking (workers), serving it (gateway).
//! Always: ids are lower-case hexadecimal text; what was not verified is not called good.

use serde::{Deserialize, Serialize};

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectRequest {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The write of a version, as `check` and `inspect` name it; without it the current version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write: Option<String>,
}

/// A shard, or a copy of a small record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardView {
    /// Its index; data shards first.
    pub shard: u8,
    /// `data`, `parity` or `copy`.
    pub role: String,
    /// The drive that should have it.
    pub drive: String,
    /// `good` (read and verified now), `bad` (missing or wrong), `away` (the drive does not
    /// answer) or `lost` (it will not come back).
    pub state: String,
    /// CRC-64 over its block checksums, as recorded when it was written; empty for a copy.
    pub digest: String,
}

/// A body: the object's own, or one of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyView {
    /// The part's number; null for the object's own record.
    pub part: Option<u16>,
    /// The write.
    pub write: String,
    /// Bytes.
    pub len: u64,
    /// `coded`, `inline`, `parts`, `empty` or `delete_marker`.
    pub kind: String,
    /// Stripes; 0 unless coded.
    pub stripe_count: u32,
    /// Bytes of each shard; 0 unless coded.
    pub shard_len: u64,
    /// Its shards or copies.
    pub shards: Vec<ShardView>,
    /// How many shards or copies are needed to read it.
    pub needed: u8,
    /// How many of its shards or copies are good.
    pub good: u8,
}

/// Where an object is and how much of it is good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InspectReport {
    /// The bucket's name.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The write that made the version.
    pub write: String,
    /// Its place among all changes: index generation and sequence.
    pub order: String,
    /// When it was written (milliseconds since 1970).
    pub created_ms: u64,
    /// Bytes.
    pub len: u64,
    /// The entity tag.
    pub etag: String,
    /// Data and parity shards, for instance `4+2`.
    pub geometry: String,
    /// The placement group of its key.
    pub group: u16,
    /// The cluster map it was placed by.
    pub map_version: u64,
    /// The object's own record, then its parts.
    pub bodies: Vec<BodyView>,
    /// How many more drives it survives losing now, whichever; null if it cannot be read now.
    pub survives: Option<u8>,
    /// How many it survives when whole.
    pub survives_whole: u8,
}
