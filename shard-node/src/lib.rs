//! Keeps shards and records on drives and answers for them.
//!
//! Owns: the layout of a drive, group commit, recovery, free space, and the node that serves
//! several drives.
//! Leaves to others: what records mean (`store`, `index`), byte forms (`protocol`), the world
//! (`seam`).
//! Always: what a drive acknowledged is there after power loss, or known to be damaged.

pub mod config;
pub mod drive;
pub mod error;
pub mod metrics;
pub mod node;

pub use config::{DriveConfig, FormatOptions};
pub use drive::Drive;
pub use error::NodeError;
pub use node::Node;
