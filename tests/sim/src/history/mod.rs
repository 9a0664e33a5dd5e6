//! Histories of concurrent clients, and whether they are linearizable.
//!
//! Owns: what an operation and its outcome are ([`Operation`]), their form as JSON lines
//! ([`read_lines`], [`write_line`]), and the check ([`check`]): every key by itself behaves as one
//! register that is read, written, deleted and conditionally written at one moment between call
//! and end of each operation (Wing and Gong 1993, with Lowe's just-in-time linearization and
//! memoised states, 2017). A LIST is one read of every key that it covers, which contains the
//! exactness of DESIGN §7.3.
//! Leaves to others: making histories (the simulation, `tests/history`).
//! Always: what is rejected is wrong, whatever was left unknown; a check that would cost too much
//! is an error and never an acceptance.
//!
//! # What the outcomes say
//! `unknown` (timeout, crash) may take effect at any moment after the call, also after `end`,
//! once or never. So may `failed` (5xx), but not after an acknowledged write of the same key whose
//! call came after its `end`: what was given up comes to light, if ever, as older than that.
//! `conflict` (409) and `refused` (4xx) never take effect. `precondition_failed` and
//! `not_found` are reads of the moment in which they were decided. A copy that succeeded is a read
//! of its source and a write of its destination, both within its window; the value is what the
//! answer's ETag names. An unknown copy writes some value that its source may ever have had.
//!
//! # Values
//! A [`ValueId`] names a body and its ETag. The recorder maps what it reads back to it, and gives
//! bytes that nobody wrote an id that nobody wrote. All keys are absent to begin with.
//!
//! # Form
//! One JSON object a line, times in nanoseconds of one monotonic clock, keys as `bucket/key`:
//! ```text
//! {"client":0,"call":10,"end":20,"do":"put","key":"b/k","value":1,"if":"absent","got":"ok"}
//! {"client":1,"call":30,"end":40,"do":"get","key":"b/k","got":{"found":1}}
//! {"client":1,"call":50,"end":60,"do":"copy","from":"b/k","key":"b/c","got":{"found":1}}
//! {"client":0,"call":50,"end":90,"do":"delete","key":"b/k","if":{"matches":1},"got":"unknown"}
//! {"client":2,"call":91,"end":95,"do":"list","prefix":"b/",
//!  "got":{"listed":[{"key":"b/c","value":1}]}}
//! ```
//! (The last one is broken here for reading only.)
//!
//! # Examples
//! ```
//! use holdfast_sim::history::{Verdict, check, read_lines};
//!
//! let lines = br#"{"client":0,"call":1,"end":2,"do":"put","key":"b/k","value":1,"got":"ok"}
//! {"client":1,"call":3,"end":4,"do":"get","key":"b/k","got":"not_found"}"#;
//! let history = read_lines(&lines[..])?;
//! let Verdict::Violation(found) = check(&history)? else {
//!     panic!("the read is stale");
//! };
//! assert_eq!(found.key, "b/k");
//! # Ok::<(), holdfast_sim::history::HistoryError>(())
//! ```

mod keys;
mod linear;
mod lines;
mod operation;
mod shrink;
#[cfg(test)]
mod tests;
mod verdict;

pub use lines::{read_lines, write_line};
pub use operation::{Action, Condition, Entry, Operation, Outcome, ValueId};
pub use verdict::{Counts, Verdict, Violation, check};

/// Why a history could not be read or judged.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The lines could not be read.
    #[error("read the history")]
    Read(#[source] std::io::Error),
    /// A line could not be written.
    #[error("write the history")]
    Write(#[source] std::io::Error),
    /// A line is no operation.
    #[error("line {line} of the history is no operation")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An outcome that its operation cannot have, or an end before the call.
    #[error("operation {index} of the history: {reason}")]
    Malformed {
        /// Counted from 0.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too many possibilities to decide in reasonable time: more clients per key, or more unknown
    /// outcomes, than the check is made for.
    #[error("key {key}: more than {steps_max} steps for one operation")]
    TooHard {
        /// Which key.
        key: String,
        /// The bound.
        steps_max: usize,
    },
}
