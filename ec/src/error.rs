//! What can be wrong with a call into this crate.
//!
//! Owns: [`EcError`]. Leaves to others: deciding what a caller does about it.
//! Always: an error is found before any output byte is written.

use crate::{Kernel, SHARDS_MAX};

/// Which list of cells an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// The data cells given to an encode.
    Data,
    /// The parity outputs of an encode.
    Parity,
    /// The outputs of a rebuild, one per wanted cell.
    Wanted,
}

impl std::fmt::Display for CellKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Data => "data",
            Self::Parity => "parity",
            Self::Wanted => "wanted",
        })
    }
}

/// A call that cannot be carried out. The outputs are unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EcError {
    /// Fewer than one data shard, or more shards than [`SHARDS_MAX`].
    #[error("geometry {data}+{parity} needs at least 1 data shard and at most {SHARDS_MAX} in all")]
    Geometry {
        /// Data shards asked for.
        data: u8,
        /// Parity shards asked for.
        parity: u8,
    },
    /// The text is not a geometry in the form `4+2`.
    #[error("not a geometry like 4+2: {text:?}")]
    GeometrySyntax {
        /// The text that was given.
        text: String,
    },
    /// A list has the wrong number of cells for the geometry (or for the list of wanted shards).
    #[error("{kind} cells: expected {expected}, got {actual}")]
    CellCount {
        /// The list in question.
        kind: CellKind,
        /// How many it must have.
        expected: usize,
        /// How many it has.
        actual: usize,
    },
    /// The cells of one stripe are not equally long.
    #[error("cell of shard {shard}: expected {expected_bytes} bytes, got {actual_bytes}")]
    UnequalCells {
        /// Index of the shard whose cell (input or output) differs from the first input.
        shard: usize,
        /// Bytes in the first input cell.
        expected_bytes: usize,
        /// Bytes in this one.
        actual_bytes: usize,
    },
    /// Fewer present cells than the geometry has data shards.
    #[error("rebuild needs {needed} cells, {present} present")]
    TooFewCells {
        /// Data shards of the geometry.
        needed: usize,
        /// Present cells given.
        present: usize,
    },
    /// A shard index outside the geometry.
    #[error("shard {shard} is outside a geometry of {total}")]
    UnknownShard {
        /// The index that was given.
        shard: usize,
        /// Data plus parity shards.
        total: usize,
    },
    /// A shard is named twice in one list.
    #[error("shard {shard} is given twice")]
    DuplicateShard {
        /// The index that was given twice.
        shard: usize,
    },
    /// This machine cannot run the kernel that was asked for.
    #[error("kernel {kernel} is not available on this machine")]
    KernelUnavailable {
        /// The kernel that was asked for.
        kernel: Kernel,
    },
}
