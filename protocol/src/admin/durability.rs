//! `GET /admin/v1/durability`: how many objects can lose how much.
//!
//! Owns: the JSON types.
//! Leaves to others: counting (workers), serving it (gateway).
//! Always: what is not known is counted as unknown, never as whole.

use serde::{Deserialize, Serialize};

/// Objects of one margin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarginCount {
    /// How many more shards or copies they can lose; 0: the next loss may lose data.
    pub margin: u8,
    /// How many objects. Parts and uploads that miss something count for themselves.
    pub objects: u64,
}

/// How many objects can lose how much.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurabilitySummary {
    /// Objects of all buckets.
    pub objects: u64,
    /// Objects, parts and uploads that can lose less than when they are whole.
    #[serde(default)]
    pub degraded: u64,
    /// By margin, least first; what is whole has that of its storage class.
    pub by_margin: Vec<MarginCount>,
    /// About how many objects may miss something that was not looked at yet: those of drives that
    /// wait to be compared, or do not answer.
    pub unknown_objects: u64,
    /// When it was counted (milliseconds since 1970); it is counted whenever the healer looks at
    /// its queue.
    pub counted_ms: u64,
}
