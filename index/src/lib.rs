//! Names to manifests: the [`Index`] trait, its conformance suite and its backends.
//!
//! Owns: what exists, as long as it lives; locks, orders, generations and the settled mark.
//! Leaves to others: bodies and records (store), meaning (gateway, workers), byte forms of rows
//! (protocol).
//! Always: what a commit acknowledged survives the death of the process at any moment, whole.

mod api;
mod apply;
mod batch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod doubt;
pub mod due;
mod error;
mod fjall;
pub mod keys;
pub mod listing;
mod locks;
mod memory;
mod metrics;
mod orders;
mod read;
pub mod rows;
pub mod versions;
mod write;

pub use api::{Index, Row, Scan, ScanLimit, Table, Transaction};
pub use batch::{Batch, Guard, KEY_BYTES_MAX, Op, UsageDelta, VALUE_BYTES_MAX};
pub use error::{Cause, IndexError, Result};
pub use fjall::{FjallConfig, FjallIndex};
pub use locks::{Locks, Mode};
pub use memory::MemoryIndex;
pub use metrics::IndexMetrics;
pub use read::Read;
