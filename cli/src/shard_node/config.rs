//! Settings of a shard node and its drives.
//!
//! Owns: their keys, defaults and documentation.
//! Leaves to others: sources and text forms ([`crate::config`]).
//! Always: defaults run.

use std::path::PathBuf;

use holdfast_shard_node::DriveConfig;

use crate::config::{Address, Size, settings};
use crate::process;

settings! {
    /// A shard node.
    pub struct ShardNodeConfig {
        /// A data directory; each one is a drive. Never two on one medium, or one failure takes
        /// both.
        data_dir: Vec<PathBuf> = "./holdfast-node",
        /// Where gateways reach this node. Port 0 takes any free one.
        listen: Address = "127.0.0.1:9100",
        /// What gateways are told to connect to; by default `listen`, which must then not be a
        /// wildcard such as 0.0.0.0.
        advertise: Option<Address> = "",
        /// Where `/metrics` and `/health/live`, `/health/ready` of this node are served, to whoever
        /// asks; without it nowhere. Port 0 takes any free one.
        metrics_listen: Option<Address> = "",
        /// The gateway's admin URL.
        join: String = "http://127.0.0.1:9001",
    }
}

settings! {
    /// Drives, of a shard node or of `holdfast server`.
    pub struct DriveSettings {
        /// Most bytes each drive may take of its file system; without it all that is available.
        capacity_bytes: Option<Size> = "",
        /// Free bytes of each drive below which it takes no new shards; deletes, healing reads and
        /// records go on.
        reserve_bytes: Size = "256MiB",
        /// Free space that each drive keeps written ahead of its writers, because writing into it
        /// is several times faster. Zeros are written only while no large bodies come.
        prewrite_bytes: Size = "128MiB",
    }
}

impl DriveSettings {
    /// How a drive behaves.
    ///
    /// `drives` of them share `threads` for files.
    pub fn drive_config(&self, threads: usize, drives: usize) -> DriveConfig {
        DriveConfig {
            read_threads: process::read_threads(threads, drives),
            capacity_bytes: self.capacity_bytes.map(Size::get),
            reserve_bytes: self.reserve_bytes.get(),
            prewrite_bytes: self.prewrite_bytes.get(),
            ..DriveConfig::default()
        }
    }
}
