//! What stops a recording.
//!
//! Owns: the one error type. An answer that is wrong is no error but part of the history, unless
//! the history has no words for it ([`RecordError::Answer`]).

use std::io;
use std::path::PathBuf;

/// What stops a recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Flags that make no sense.
    #[error("{0}")]
    Usage(&'static str),
    /// A process could not be started, or ended, or did not become ready.
    #[error("{name}: {reason}; its log is {log}")]
    Process {
        /// Which.
        name: String,
        /// What went wrong.
        reason: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// An answer that no server may give here.
    #[error("a wrong answer: {0}")]
    Answer(String),
    /// The bucket could not be made.
    #[error("create the bucket: {0}")]
    Bucket(String),
    /// The clients did not finish.
    #[error("round {round}: {done} operations were answered, then none for {seconds} s")]
    Silent {
        /// Which round.
        round: u64,
        /// Answered operations of the round.
        done: u64,
        /// How long nothing was answered.
        seconds: u64,
    },
    /// A history that no order explains.
    #[error("the history {0} is not linearizable")]
    Rejected(PathBuf),
    /// The checker could not be run, or could not judge.
    #[error("run the checker {path}: {reason}")]
    Checker {
        /// Its path.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Faults that were planned and never happened.
    #[error("no fault of kind {0} happened: record more operations")]
    NoFault(&'static str),
    /// A file of our own.
    #[error("write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
