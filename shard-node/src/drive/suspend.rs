//! A drive that opened and may not write yet: its file system is full after a recovery.
//!
//! Owns: what must be durable before a recovered log goes on, trying that again, and saying so.
//! Leaves to others: recovery ([`super::recover`]), checkpoints ([`super::checkpoint`]).
//! Always: reads work meanwhile; nothing is written before the checkpoint that the recovery asks
//! for: what it takes for free might hold what a later start still finds.

use holdfast_protocol::drive::PAGE_LEN;
use holdfast_protocol::rpc::DriveError;

use super::house;
use super::log::{Log, Tail};
use super::state::{Shared, State};

/// The following chunk of a log that none could be set aside for. Page 0 is never given out.
pub(crate) const NO_CHUNK: u64 = 0;

impl State {
    /// Takes a chunk for the log to go on in, from what is free or what the file system still has.
    pub(crate) fn set_aside(&mut self, chunk_len: u64) -> Option<u64> {
        let pages = chunk_len / PAGE_LEN;
        let extent = self.space.take_one(pages, self.available / PAGE_LEN);
        self.has_none_aside = extent.is_none();
        self.allocated = self.allocated.max(self.space.frontier());
        extent.map(|extent| extent.page)
    }
}

impl Shared {
    /// Answers `OutOfService` if the drive is, or may not write yet.
    pub(crate) fn check_log(&self) -> Result<(), DriveError> {
        self.files.check()?;
        match self.state.lock().suspended.clone() {
            Some(why) => Err(DriveError::OutOfService { why }),
            None => Ok(()),
        }
    }
}

impl Log {
    /// Makes durable what must be before a recovered log goes on; else the drive is out of service
    /// for writes until that is possible.
    pub(crate) fn begin(&mut self) {
        if self.set_out().is_ok() {
            return;
        }
        let why = "no space for what the recovery of the log must write first".to_owned();
        let dir = self.shared.dir.display();
        tracing::error!(%dir, error = %why, "drive out of service for writes for now");
        self.shared.state.lock().suspended = Some(why);
    }

    /// Tries again what could not be done.
    pub(crate) fn resume(&mut self) {
        let is_waiting = self.shared.state.lock().suspended.is_some();
        if !is_waiting || self.set_out().is_err() {
            return;
        }
        let dir = self.shared.dir.display();
        tracing::info!(%dir, "drive in service for writes again");
        let mut state = self.shared.state.lock();
        state.suspended = None;
        self.shared.publish(&state);
        drop(state);
        write_ahead(&self.shared, &self.tail);
    }

    fn set_out(&mut self) -> Result<(), DriveError> {
        if self.tail.next_chunk == NO_CHUNK {
            let available = self.shared.files.available();
            let mut state = self.shared.state.lock();
            state.available = available;
            let chunk_len = self.shared.superblock.chunk_len;
            self.tail.next_chunk = state.set_aside(chunk_len).ok_or(DriveError::Full)?;
        }
        match self.checkpoint_now() {
            true => Ok(()),
            false => Err(DriveError::Full),
        }
    }
}

/// Writes what of the log's two chunks is beyond the end of the files, so that the log goes on when
/// the file system is full. If it is full already, so be it.
pub(crate) fn write_ahead(shared: &Shared, tail: &Tail) {
    let chunk_len = shared.superblock.chunk_len;
    let end = shared.files.end().unwrap_or_default();
    let current = (tail.page * PAGE_LEN, tail.used);
    let next = (tail.next_chunk != NO_CHUNK).then_some((tail.next_chunk * PAGE_LEN, 0));
    for (start, used) in [Some(current), next].into_iter().flatten() {
        let from = end.max(start + used);
        if from < start + chunk_len {
            let _ = house::zero(&shared.files, from, start + chunk_len - from);
        }
    }
    // Not all that was allocated need be there after a crash.
    let end = shared.files.end().unwrap_or_default();
    let frontier = shared.state.lock().space.frontier() * PAGE_LEN;
    if end < frontier {
        let _ = shared.files.allocate(end, frontier - end);
    }
}
