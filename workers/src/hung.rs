//! Reads that a drive never answers, while it answers others.
//!
//! Owns: which writes could not be read from which drive for how long.
//! Leaves to others: drives that answer no read at all ([`crate::watch`]), what follows
//! ([`crate::heal`], [`crate::scrub`]).
//! Always: one good read, or an answer that says what is wrong, and nothing was.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::{MutexGuard, PoisonError};

use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{DriveId, WriteId};
use holdfast_seam::Monotonic;

use crate::context::Context;
use crate::watch::DriveState;

/// Remembered at most; one more, and all that hang are found anew.
const READS_MAX: usize = 10_000;

/// Since when nobody could read a write from a drive.
#[derive(Debug, Default)]
pub(crate) struct HungReads(Mutex<BTreeMap<(WriteId, DriveId), Monotonic>>);

impl HungReads {
    fn reads(&self) -> MutexGuard<'_, BTreeMap<(WriteId, DriveId), Monotonic>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// Notes how reading a write from a drive ended. Returns whether it has hung for `down_after`
    /// while the drive served others: then what is there is as good as bad.
    pub(crate) fn note_read(
        &self,
        write: WriteId,
        drive: DriveId,
        error: Option<&DriveError>,
    ) -> bool {
        let mut reads = self.hung.reads();
        if error != Some(&DriveError::TimedOut) {
            // Drives that are away say nothing of this write.
            let is_answer = !matches!(error, Some(DriveError::Unreachable { .. }));
            if is_answer && !reads.is_empty() {
                reads.remove(&(write, drive));
            }
            return false;
        }
        if self.health().state(drive) != DriveState::Up {
            reads.remove(&(write, drive));
            return false;
        }
        let now = self.clock().now();
        if reads.len() >= READS_MAX && !reads.contains_key(&(write, drive)) {
            reads.clear();
        }
        let since = *reads.entry((write, drive)).or_insert(now);
        now.since(since) >= self.config.down_after
    }
}
