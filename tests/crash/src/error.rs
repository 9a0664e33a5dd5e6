//! Why the supervisor itself could not go on; what the store did wrong is a
//! [`Violation`](crate::audit::Violation).

use std::path::PathBuf;

/// A failure of the supervisor or of what it needs.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// A file could not be made, read or written.
    #[error("{doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A program could not be run, or said no.
    #[error("{command}: {reason}")]
    Command {
        /// The command line.
        command: String,
        /// What it said.
        reason: String,
    },
    /// The cluster did not reach a state in time.
    #[error("{what} not reached within {seconds} s: {seen}")]
    Deadline {
        /// The state.
        what: &'static str,
        /// The deadline in seconds.
        seconds: u64,
        /// What was seen instead.
        seen: String,
    },
    /// A line of the totals file is not one of ours.
    #[error("{path}: line {line} cannot be read: {source}")]
    Totals {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why not.
        source: serde_json::Error,
    },
    /// A flag has a value that cannot be used.
    #[error("{0}")]
    Usage(String),
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
}

impl CrashError {
    /// For `map_err` on file operations.
    pub fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }
}

/// The result of most functions here.
pub type Result<T> = std::result::Result<T, CrashError>;
