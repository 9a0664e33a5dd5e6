//! Why a command failed.
//!
//! Owns: the one error of the binary and its exit codes.
//! Leaves to others: what failed inside ([`CliError::Failed`] keeps the cause).
//! Always: the message says what to do where something can be done.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::ConfigError;

/// Any cause.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The arguments make no sense together, or with what was found.
    #[error("{0}")]
    Usage(String),
    /// An address cannot be listened on.
    #[error("listen on {addr} ({flag}){}", in_use(source))]
    Listen {
        /// The address.
        addr: String,
        /// The flag that names it.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The data directory is another process's.
    #[error(
        "data directory {} is in use by {}: stop that one first, or choose another with --data-dir",
        dir.display(),
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    DataDirInUse {
        /// The directory.
        dir: PathBuf,
        /// The other process, if it said.
        pid: Option<u32>,
    },
    /// A file operation failed.
    #[error("{doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was found on disk does not allow going on.
    #[error("{0}")]
    Layout(String),
    /// The index cannot be opened.
    #[error(
        "the index in {} cannot be opened, and was left as it is; if it is damaged, \
         `holdfast index rebuild --data-dir {}` makes it anew from the drives",
        dir.display(),
        dir.parent().unwrap_or(dir).display()
    )]
    Index {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        source: Cause,
    },
    /// Something else failed.
    #[error("{doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: Cause,
    },
    /// The process must end because going on would not be safe.
    #[error("stopped: {0}")]
    Fatal(String),
    /// The process has ended in order and is to be started again.
    #[error("to be started again")]
    Again,
    /// The cluster works, but not with full redundancy.
    #[error("{0}")]
    Degraded(String),
    /// Too few drives can be reached for what is to be done.
    #[error("{0}")]
    TooFewDrives(String),
    /// The other end cannot be reached.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// What was called.
        url: String,
        /// Why.
        source: Cause,
    },
    /// The other end refused who we are.
    #[error("denied by {url}: {why}")]
    Denied {
        /// What was called.
        url: String,
        /// What it said.
        why: String,
    },
    /// The other end answered with an error.
    #[error("{url} answered {status}: {why}")]
    Answer {
        /// What was called.
        url: String,
        /// The status code.
        status: u16,
        /// What it said.
        why: String,
    },
    /// stdout is gone.
    #[error("write the result")]
    Output(#[source] io::Error),
}

fn in_use(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": the port is in use by another process",
        _ => "",
    }
}

impl CliError {
    /// Wraps a cause.
    pub fn failed(doing: &'static str) -> impl FnOnce(Cause) -> Self {
        move |source| Self::Failed { doing, source }
    }

    /// Wraps the error of a file operation.
    pub fn file(doing: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            doing,
            path,
            source,
        }
    }

    /// The exit code: 0 ok, 1 failed, 2 usage, 3 degraded, 4 not reachable, 5 denied.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Listen { .. }
            | Self::DataDirInUse { .. }
            | Self::File { .. }
            | Self::Layout(_)
            | Self::Index { .. }
            | Self::Failed { .. }
            | Self::Fatal(_)
            | Self::Again
            | Self::Answer { .. }
            | Self::Output(_) => ExitCode::from(1),
            Self::Config(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Degraded(_) => ExitCode::from(3),
            Self::TooFewDrives(_) | Self::Unreachable { .. } => ExitCode::from(4),
            Self::Denied { .. } => ExitCode::from(5),
        }
    }
}

/// The error and its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
