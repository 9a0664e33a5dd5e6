//! Objects over shards.
//!
//! Owns: placement of keys on drives, writing and reading stripes, records and their copies,
//! quorums, hedging, reconstruction and the memory budget.
//! Leaves to others: names and rows (index, gateway), what to heal when (workers), drives
//! (shard-node).
//! Always: after a write is sealed, its record and every stripe are durable on the quorum.

pub mod budget;
mod copies;
pub mod digest;
pub mod drives;
mod encode;
pub mod error;
pub mod foreground;
mod fresh;
pub mod metrics;
pub mod placement;
pub mod quorum;
pub mod reader;
pub mod rebuild;
pub mod seal;
pub mod store;
pub mod survey;
pub mod writer;

pub use digest::{BodyDigests, Checksum, Digests};
pub use drives::{Drives, Serving};
pub use error::StoreError;
pub use foreground::Foreground;
pub use metrics::StoreMetrics;
pub use seal::Sealed;
pub use store::{Store, StoreConfig, Trouble, row_name};
pub use writer::{BodyPlan, CodedBody, Staged, StagedBody};
