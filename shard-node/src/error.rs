//! Why a drive could not be formatted, opened or closed.
//!
//! Owns: [`NodeError`].
//! Leaves to others: what an open drive answers ([`holdfast_protocol::rpc::DriveError`]).
//! Always: the message names the directory.

use std::io;
use std::path::PathBuf;

use holdfast_protocol::{ClusterId, DriveId, FormatError};

/// Why a drive could not be formatted, opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// There is no superblock: an empty directory, or not the one that was meant.
    #[error("{dir} holds no drive")]
    Missing {
        /// The directory.
        dir: PathBuf,
    },
    /// There is a drive, or what is left of one.
    #[error("{dir} already holds a drive, or part of one")]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// Another process has it open.
    #[error("{dir} is in use by another process")]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// It belongs to another cluster.
    #[error("{dir} belongs to cluster {found}, not to {expected}")]
    OtherCluster {
        /// The directory.
        dir: PathBuf,
        /// What its superblock says.
        found: ClusterId,
        /// What was expected.
        expected: ClusterId,
    },
    /// It is another drive.
    #[error("{dir} is drive {found}, not {expected}")]
    OtherDrive {
        /// The directory.
        dir: PathBuf,
        /// What its superblock says.
        found: DriveId,
        /// What was expected.
        expected: DriveId,
    },
    /// A file cannot be understood: damaged, or written by a newer release.
    #[error("{file}")]
    Format {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// No copy of the checkpoint can be read: the drive must be replaced.
    #[error("{dir}: no readable checkpoint")]
    Damaged {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with the last copy, if there is one.
        source: Option<FormatError>,
    },
    /// An operation of the system failed.
    #[error("{doing} in {dir}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The drive went out of service while it was opened.
    #[error("{dir} is out of service: {why}")]
    OutOfService {
        /// The directory.
        dir: PathBuf,
        /// What failed.
        why: String,
    },
}
