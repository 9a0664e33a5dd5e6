//! How a single request can fail, in words that are counted.

use std::fmt;
use std::io;

/// Why a request was not answered as it should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Connect(io::ErrorKind),
    /// The socket failed, or the answer took longer than `--timeout`.
    Socket(io::ErrorKind),
    /// The server closed the connection before the answer was complete.
    Cut,
    /// The answer is not HTTP/1.1.
    Malformed(&'static str),
    /// A status other than the expected one, with the S3 error code if the body has one.
    Status(u16, String),
    /// The body, or the announced length, is not as long as the object.
    Length {
        /// In bytes.
        expected: u64,
        /// In bytes.
        found: u64,
    },
    /// The body is as long as the object but other bytes.
    Content,
    /// A listing without the keys it should have.
    Listing {
        /// Keys that should be on the page.
        expected: usize,
        /// Keys on the page.
        found: usize,
    },
}

impl Failure {
    /// The failure of a socket; what a read timeout is called depends on the platform.
    pub fn socket(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::Socket(io::ErrorKind::TimedOut),
            io::ErrorKind::UnexpectedEof => Self::Cut,
            kind => Self::Socket(kind),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(kind) => write!(f, "connect: {kind}"),
            Self::Socket(kind) => write!(f, "socket: {kind}"),
            Self::Cut => f.write_str("connection closed before the end of the answer"),
            Self::Malformed(what) => write!(f, "not HTTP/1.1: {what}"),
            Self::Status(status, code) if code.is_empty() => write!(f, "HTTP {status}"),
            Self::Status(status, code) => write!(f, "HTTP {status} {code}"),
            Self::Length { expected, found } => {
                write!(f, "{found} bytes where {expected} were expected")
            }
            Self::Content => f.write_str("right length, wrong bytes"),
            Self::Listing { expected, found } => {
                write!(f, "{found} keys on a page where {expected} were expected")
            }
        }
    }
}
