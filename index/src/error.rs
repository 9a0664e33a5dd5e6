//! What can go wrong with an index.
//!
//! Owns: the one error type of the crate.
//! Leaves to others: turning it into an answer (gateway) or into an exit (owner of the process).
//! Always: `Unknown` is the only error after which a commit may have taken effect.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_protocol::{FormatError, Generation, Order};

use crate::Table;

/// A cause inside an engine.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, IndexError>;

/// What can go wrong with an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Another process (or another handle of this one) has the directory open.
    #[error("index directory {} is in use by another process", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory could not be opened.
    #[error("open index in {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Cause,
    },
    /// The directory was written by something else, or an essential row is gone.
    #[error("index in {} is not usable: {what}", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A read failed.
    #[error("read {table:?} of the index")]
    Read {
        /// The table.
        table: Table,
        /// Why.
        source: Cause,
    },
    /// A stored row cannot be understood.
    #[error("row {key} of {table:?} is damaged")]
    Damaged {
        /// The table.
        table: Table,
        /// The key, escaped for people.
        key: String,
        /// Why.
        source: FormatError,
    },
    /// A row would have been replaced or deleted although it is not the one the batch knew.
    ///
    /// Nothing of the batch took effect.
    #[error("stale order for {key} of {table:?}: present {present:?}, given {given}")]
    StaleOrder {
        /// The table.
        table: Table,
        /// The key, escaped for people.
        key: String,
        /// The order of the present row.
        present: Option<Order>,
        /// The order that the batch gave or expected.
        given: Order,
    },
    /// No generation was started since the index was opened.
    #[error("the index has not started a generation yet")]
    NotStarted,
    /// A generation must be above the last one.
    #[error("generation {given} is not above {last}")]
    OldGeneration {
        /// The last one started under.
        last: Generation,
        /// The one that was given.
        given: Generation,
    },
    /// An earlier write failed: nothing is committed any more, and the process must end.
    #[error("the index is broken: {reason}")]
    Broken {
        /// The first failure.
        reason: Arc<str>,
    },
    /// The write of this batch failed half way: it may be there after a restart, or not.
    #[error("outcome of the commit is unknown: {reason}")]
    Unknown {
        /// The failure.
        reason: Arc<str>,
    },
    /// The index was closed. Nothing of the batch took effect.
    #[error("the index is closed")]
    Closed,
    /// The batch changes a table that the index keeps alone. Nothing of it took effect.
    #[error("{table:?} is kept by the index alone")]
    Reserved {
        /// The table.
        table: Table,
    },
    /// A key or value exceeds what an index takes. Nothing of the batch took effect.
    #[error("{what} of {len} bytes exceeds the bound of {max}")]
    TooLong {
        /// Which field.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The bound in bytes.
        max: usize,
    },
}

impl IndexError {
    /// A damaged row, its key escaped for people.
    pub(crate) fn damaged(table: Table, key: &[u8], source: FormatError) -> Self {
        Self::Damaged {
            table,
            key: key.escape_ascii().to_string(),
            source,
        }
    }
}
