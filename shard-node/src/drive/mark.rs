//! Marks of how far the log went.
//!
//! Owns: writing them at the far end of the current chunk.
//! Leaves to others: what their being there says after a loss ([`super::recover`]).
//! Always: a mark is written after the sync of the batch that it names returned, so no power cut
//! leaves it without the batch; nobody waits for it, and the sync of a later batch covers it, or
//! one of its own when there is time.

use holdfast_protocol::drive::mark::LEN;
use holdfast_protocol::drive::{LogMark, PAGE_LEN};
use holdfast_seam::disk::PageBuffer;

use super::log::Log;

/// What was written of marks.
#[derive(Debug)]
pub(crate) struct Marks {
    page: PageBuffer,
    /// The batch that the newest one names.
    written: u64,
    /// Where that one lies.
    address: u64,
    /// Whether it is durable.
    is_synced: bool,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            page: PageBuffer::new(PAGE_LEN as usize),
            written: 0,
            address: 0,
            is_synced: false,
        }
    }
}

impl Log {
    /// Writes that all batches so far are durable. If that fails the drive says so by itself, or
    /// the next batch tries again.
    pub(crate) fn mark(&mut self) {
        let tail = self.tail;
        let (batch, offset) = (tail.next_batch - 1, self.batches_end());
        // Before there were marks, batches went to the end of the chunk.
        if batch == 0 || tail.used > offset {
            return;
        }
        let mark = LogMark {
            log: tail.log,
            chunk: tail.chunk,
            batch,
        };
        let page = &mut self.marks.page;
        page.as_mut()[..LEN].copy_from_slice(&mark.encode());
        let address = tail.page * PAGE_LEN + offset;
        if self.shared.files.write(address, &[page.as_ref()]).is_ok() {
            self.marks.written = batch;
            self.marks.address = address;
            self.marks.is_synced = false;
        }
    }

    /// Makes the newest mark durable, while nobody waits.
    pub(crate) fn sync_mark(&mut self) {
        if self.marks.written + 1 < self.tail.next_batch {
            self.mark();
        }
        if self.marks.written == 0 || self.marks.is_synced {
            return;
        }
        let files = &self.shared.files;
        let arena = files.arena_of(self.marks.address);
        self.marks.is_synced = files.sync([arena]).is_ok();
    }

    /// Where the batches of a chunk end, and its mark begins.
    pub(crate) fn batches_end(&self) -> u64 {
        LogMark::offset(self.shared.superblock.chunk_len)
    }
}
