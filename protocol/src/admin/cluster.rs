//! Drives and cluster, as the admin API shows them.
//!
//! Owns: the JSON of `GET /admin/v1/cluster`, `GET /admin/v1/drives` and
//! `POST /admin/v1/drives/{id}/replace`.
//! Leaves to others: knowing it (gateway).
//! Always: ids are lower-case hexadecimal text, amounts say their unit; fields are added, never
//! changed.

use serde::{Deserialize, Serialize};

/// A drive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriveView {
    /// The drive.
    pub drive: String,
    /// The node that serves it.
    pub node: String,
    /// Where the node listens; empty when it is in the gateway's process.
    pub listen: String,
    /// Its data directory.
    pub directory: String,
    /// What the map uses it for: `active`, `draining` or `dead`.
    pub usage: String,
    /// How it is: `up`, `suspect`, `down` or `out`.
    pub state: String,
    /// Whether it may miss something: it waits to be compared with the index, or is being filled.
    #[serde(default)]
    pub comparing: bool,
    /// Milliseconds since it answered last; `null` if it never did.
    pub last_seen_ms: Option<u64>,
    /// Whether it takes new shards.
    pub writable: bool,
    /// Why it is out of service for writes, if it is.
    pub trouble: Option<String>,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes that new shards may take.
    pub free_bytes: u64,
    /// Time of its reads, as a multiple of the median of the other drives'; null before there are
    /// enough reads.
    #[serde(default)]
    pub latency_factor: Option<f64>,
    /// Whether it is so slow that readers go around it.
    #[serde(default)]
    pub slow: bool,
    /// Whether it was given up and an empty directory may take its place.
    pub replaceable: bool,
}

/// All drives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrivesView {
    /// In the order of the map.
    pub drives: Vec<DriveView>,
}

/// The cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterView {
    /// The cluster.
    pub cluster: String,
    /// How new objects are coded, for instance `4+2`.
    pub geometry: String,
    /// Version of the cluster map.
    pub map_version: u64,
    /// Drives that are not dead.
    pub drives: usize,
    /// Those of them that answer.
    pub drives_up: usize,
    /// Drives that a coded write needs.
    pub write_quorum: usize,
    /// The release of the gateway.
    pub version: String,
    /// The index's generation.
    pub generation: u32,
}

/// What became of a drive that is given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaceView {
    /// The drive.
    pub drive: String,
    /// What happens next, for people.
    pub next: String,
}
