//! What can go wrong without a request.
//!
//! Owns: the one error of this crate.
//! Leaves to others: retrying (each worker), ending the process (its owner).
//! Always: a variant says what was being done and to what.

use holdfast_index::IndexError;
use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{ClusterId, DriveId, Generation, IndexId};
use holdfast_store::StoreError;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, WorkersError>;

/// Why a start or a piece of background work failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// The index refused or failed.
    #[error("index")]
    Index(#[from] IndexError),
    /// The store failed.
    #[error("store")]
    Store(#[from] StoreError),
    /// A drive failed at something that cannot be done without it.
    #[error("drive {drive}")]
    Drive {
        /// The drive.
        drive: DriveId,
        /// What it said.
        source: DriveError,
    },
    /// A drive belongs to another cluster.
    #[error("drive {drive} belongs to cluster {found}, not to {expected}")]
    ForeignDrive {
        /// The drive.
        drive: DriveId,
        /// Its cluster.
        found: ClusterId,
        /// Ours.
        expected: ClusterId,
    },
    /// A drive obeys another index: this one is an old copy, or it was made anew.
    #[error(
        "drive {drive} obeys index {found}, this one is {ours}: rebuild the index from the \
         drives, or put back the one they obey"
    )]
    OtherIndex {
        /// The drive.
        drive: DriveId,
        /// The index it obeys.
        found: IndexId,
        /// Ours.
        ours: IndexId,
    },
    /// Another gateway serves.
    #[error(
        "{holder} holds the lease on the drives and renews it: stop that gateway first, or if it \
         is certain that it is off, start this one with --takeover true"
    )]
    Held {
        /// Its name.
        holder: String,
    },
    /// Too few drives answered.
    #[error("{what}: {answered} of {needed} drives needed (of {living} in the map) have answered")]
    TooFewDrives {
        /// What was being done.
        what: &'static str,
        /// Drives that answered.
        answered: usize,
        /// Drives needed.
        needed: usize,
        /// Drives of the map that are not dead.
        living: usize,
    },
    /// Others claimed faster, again and again.
    #[error("generation {last} was refused: another process claims the same drives")]
    ClaimRaced {
        /// The last number tried.
        last: Generation,
    },
    /// Too many drives are absent to say what exists.
    #[error(
        "{absent} drives of one placement group are absent, at most {max} may be: bring them \
         back, or use --force and accept that some keys stay in doubt"
    )]
    TooManyAbsent {
        /// Absent drives of the group that misses most.
        absent: usize,
        /// How many may be.
        max: usize,
    },
    /// A system record that the cluster cannot do without is not to be found.
    #[error("no drive has the cluster map")]
    NoMap,
    /// A stored row or record has an impossible form.
    #[error("{what} is not understood: {why}")]
    Damaged {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
    /// The process is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
