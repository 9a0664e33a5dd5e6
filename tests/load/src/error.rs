//! The one error type of the harness.
//!
//! Owns: what can stop a run. A request that fails does not: it is counted
//! ([`crate::failure::Failure`]) and the load goes on.

use std::io;
use std::path::PathBuf;

/// What stops a run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A flag's value, or a combination of flags, makes no sense.
    #[error("{0}")]
    Usage(String),
    /// A URL that is not plain HTTP, or names another machine.
    #[error("endpoint {url:?}: {reason}")]
    Endpoint {
        /// The URL as given.
        url: String,
        /// Why it is refused.
        reason: String,
    },
    /// A request without which the run cannot go on (bucket, prepared objects, metrics) failed.
    #[error("{doing} at {endpoint}: {reason}")]
    Setup {
        /// What was being done.
        doing: String,
        /// Which endpoint, as given.
        endpoint: String,
        /// What the server or the socket said.
        reason: String,
    },
    /// The server given by `--start` did not become ready.
    #[error("server {command:?}: {reason}")]
    Server {
        /// The command line.
        command: String,
        /// What went wrong.
        reason: String,
    },
    /// A server process that was to be measured cannot be read.
    #[error("read /proc of server process {pid}")]
    Process {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// A file or directory of our own.
    #[error("write {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signal handlers or threads could not be set up.
    #[error("set up {what}")]
    Runtime {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// SIGINT or SIGTERM arrived.
    #[error("interrupted")]
    Interrupted,
}
