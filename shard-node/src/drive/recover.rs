//! From files to state.
//!
//! Owns: replaying the log after the checkpoint, and telling a torn end from damage.
//! Leaves to others: the checkpoint's byte form and copies, serving.
//! Always: batch n + 1, or a mark that names it, proves that batch n was synced. What a proven
//! batch says is never dropped: entries that cannot be read are damaged; if not even their names
//! can be read, the log gets a new id. Of a last batch that may be unsynced, an entry counts only
//! if all it seals can be read back; what counts is then written and synced once more, because a
//! failed sync may have left it in memory only.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_protocol::LogId;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::log::BATCH_HEADER_LEN;
use holdfast_protocol::drive::{
    BatchHeader, Checkpoint, Entry, Extent, Grant, LogMark, PAGE_LEN, Superblock,
};
use holdfast_protocol::rpc::{DriveError, LogPosition};
use holdfast_seam::planted;

use super::compact::entries;
use super::files::Files;
use super::log::Tail;
use super::purged::Purged;
use super::space::Space;
use super::stage::places;
use super::state::{Chunk, State};
use super::suspend::NO_CHUNK;
use super::table::Table;

mod apply;
mod overlap;
mod sound;

/// Bytes rewritten at once.
const REWRITE_LEN: u64 = 1 << 20;

/// What replay finds.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) tail: Tail,
    /// Bytes of log after the checkpoint.
    pub(crate) replayed: u64,
    /// Whether a checkpoint must be durable before anything is written.
    pub(crate) must_checkpoint: bool,
}

/// A batch that was read and is not yet applied.
struct Batch {
    header: BatchHeader,
    address: u64,
    body: Vec<u8>,
    whole: bool,
}

struct Replay<'a> {
    files: &'a Files,
    superblock: Superblock,
    table: Table,
    chunks: BTreeMap<u64, Chunk>,
    grant: Option<Grant>,
    purged: Purged,
    tail: Tail,
    pending: Option<Batch>,
    batches: u64,
    replayed: u64,
    /// Something was damaged or torn.
    odd: bool,
    /// Something is missing and cannot be named.
    lost: bool,
    /// Something was, before.
    partial: bool,
}

/// Replays the log after `checkpoint`. `log` is the id of a new log, should the old one be lost.
///
/// # Errors
/// `OutOfService` or `Full` if what counts cannot be made durable.
pub(crate) fn recover(
    files: &Files,
    superblock: Superblock,
    checkpoint: Checkpoint,
    log: LogId,
) -> Result<Recovered, DriveError> {
    let frontier = checkpoint.frontier;
    let sequence = checkpoint.sequence;
    let mut replay = Replay::new(files, superblock, checkpoint);
    let tail_known = replay.tail_is_there();
    replay.run();
    if !tail_known && replay.batches == 0 {
        tracing::error!("the end of the log is gone");
        replay.lost = true;
    }
    let accepted_end = replay.settle_last()?;
    let mut used = replay.resolve_overlaps();
    used.push(Extent { page: 0, count: 1 });
    used.sort_unstable();
    let arena_pages = superblock.arena_len / PAGE_LEN;
    let end = files.end().unwrap_or_default().div_ceil(PAGE_LEN);
    let known = used.iter().map(|extent| extent.end()).max();
    let frontier = frontier.max(end).max(known.unwrap_or_default());
    let mut state = State::new(Space::without(arena_pages, frontier, &used));
    state.available = files.available();
    state.checkpoint_sequence = sequence;
    replay.finish(state, accepted_end, log)
}

impl<'a> Replay<'a> {
    fn new(files: &'a Files, superblock: Superblock, checkpoint: Checkpoint) -> Self {
        let mut table = Table::default();
        for entry in &checkpoint.entries {
            table.insert(entry);
        }
        let current = checkpoint.chunks.last();
        let tail = Tail {
            log: checkpoint.log,
            next_batch: checkpoint.next_batch,
            page: current.map_or(0, |chunk| chunk.page),
            chunk: current.map_or(0, |chunk| chunk.number),
            used: checkpoint.used,
            last_batch: checkpoint.last_batch,
            next_chunk: checkpoint.next_chunk,
        };
        let chunks = checkpoint.chunks.iter().map(|chunk| {
            let number = chunk.number;
            (chunk.page, Chunk { number, live: 0 })
        });
        Self {
            files,
            superblock,
            table,
            chunks: chunks.collect(),
            grant: checkpoint.grant,
            purged: Purged::from_parts(&checkpoint.purged, &checkpoint.moved, checkpoint.told),
            tail,
            pending: None,
            batches: 0,
            replayed: 0,
            odd: false,
            lost: false,
            partial: checkpoint.partial,
        }
    }

    /// Whether the batch before the checkpoint is where it was.
    fn tail_is_there(&self) -> bool {
        if self.tail.last_batch == 0 {
            return true;
        }
        let mut page = vec![0; PAGE_LEN as usize];
        let read = self.files.read(self.tail.last_batch, &mut page);
        let header = BatchHeader::decode(&page, self.superblock.chunk_len);
        read.is_ok()
            && header.is_ok_and(|header| {
                header.log == self.tail.log && header.batch + 1 == self.tail.next_batch
            })
    }

    /// Follows the chain of chunks to its end.
    fn run(&mut self) {
        let mut bytes = self.chunk(self.tail.page);
        loop {
            self.run_chunk(&bytes);
            let next = self.chunk(self.tail.next_chunk);
            let number = self.tail.chunk + 1;
            let Some((offset, header)) = self.find(&next, 0, number) else {
                self.heed_marks(&bytes, &next);
                return;
            };
            if planted("log-cut") && header.batch > self.tail.next_batch {
                return;
            }
            if header.batch > self.tail.next_batch || offset > 0 {
                let rest = bytes.get(self.tail.used as usize..).unwrap_or_default();
                self.prove();
                self.salvage(rest, self.tail.page, self.tail.used, header.batch);
                let before = next.get(..offset).unwrap_or_default();
                self.salvage(before, self.tail.next_chunk, 0, header.batch);
                self.gap(header.batch);
            }
            self.tail.page = self.tail.next_chunk;
            self.tail.chunk = number;
            self.tail.used = offset as u64;
            self.tail.last_batch = 0;
            self.chunks
                .insert(self.tail.page, Chunk { number, live: 0 });
            bytes = next;
        }
    }

    /// Takes the batches of the current chunk.
    fn run_chunk(&mut self, bytes: &[u8]) {
        while let Some((offset, header)) =
            self.find(bytes, self.tail.used as usize, self.tail.chunk)
        {
            self.prove();
            let start = self.tail.used as usize;
            if offset > start || header.batch > self.tail.next_batch {
                let skipped = bytes.get(start..offset).unwrap_or_default();
                self.salvage(skipped, self.tail.page, self.tail.used, header.batch);
                self.gap(header.batch);
            }
            let end = offset + header.len as usize;
            let body = bytes.get(offset + BATCH_HEADER_LEN..end);
            let body = body.unwrap_or_default().to_vec();
            let address = self.tail.page * PAGE_LEN + offset as u64;
            let padded = u64::from(header.len).next_multiple_of(PAGE_LEN);
            self.tail.used = offset as u64 + padded;
            self.tail.next_batch = header.batch + 1;
            self.tail.next_chunk = header.next_chunk;
            self.tail.last_batch = address;
            self.batches += 1;
            self.replayed += padded;
            let whole = crc64(&body) == header.body_checksum;
            self.pending = Some(Batch {
                header,
                address,
                body,
                whole,
            });
            if !whole && planted("log-cut") {
                return;
            }
        }
    }

    /// The first batch at or after `start` that may come next in chunk `number`.
    fn find(&self, bytes: &[u8], start: usize, number: u64) -> Option<(usize, BatchHeader)> {
        for offset in (start..bytes.len()).step_by(PAGE_LEN as usize) {
            let rest = bytes.get(offset..).unwrap_or_default();
            if let Ok(header) = BatchHeader::decode(rest, rest.len() as u64)
                && header.log == self.tail.log
                && header.chunk == number
                && header.batch >= self.tail.next_batch
            {
                return Some((offset, header));
            }
            if planted("log-cut") {
                return None;
            }
        }
        None
    }

    /// Holds the end of the log against the marks of its last chunk and of the one that follows.
    fn heed_marks(&mut self, current: &[u8], next: &[u8]) {
        let marks = [(current, self.tail.chunk), (next, self.tail.chunk + 1)];
        let durable = marks
            .into_iter()
            .map(|(bytes, number)| self.mark(bytes, number));
        let end = durable.max().unwrap_or_default() + 1;
        if end < self.tail.next_batch || planted("log-cut") {
            return;
        }
        self.prove();
        if end > self.tail.next_batch {
            // Not of the next chunk: the log goes on there.
            let rest = current.get(self.tail.used as usize..);
            self.salvage(
                rest.unwrap_or_default(),
                self.tail.page,
                self.tail.used,
                end,
            );
            self.gap(end);
        }
    }

    /// The batch that the mark of chunk `number` calls durable; 0 without one.
    fn mark(&self, bytes: &[u8], number: u64) -> u64 {
        let page = bytes.get(LogMark::offset(self.superblock.chunk_len) as usize..);
        let mark = LogMark::decode(page.unwrap_or_default());
        let ours = mark
            .ok()
            .filter(|mark| mark.log == self.tail.log && mark.chunk == number);
        ours.map_or(0, |mark| mark.batch)
    }

    /// Notes that batches before `batch` have no header any more.
    fn gap(&mut self, batch: u64) {
        tracing::error!(
            from = self.tail.next_batch,
            to = batch,
            "log batches are damaged"
        );
        self.odd = true;
        self.lost = true;
    }

    /// Applies the pending batch: a later one shows that it was synced.
    fn prove(&mut self) {
        let Some(batch) = self.pending.take() else {
            return;
        };
        let found = entries(&batch.body);
        if found.len() != batch.header.count as usize {
            tracing::error!(batch = batch.header.batch, "log entries are lost");
            self.odd = true;
            self.lost = true;
        }
        for found in found {
            let at = found.offset;
            let address = batch.address + (BATCH_HEADER_LEN + at) as u64;
            let sound = batch.whole || self.entry_is_sound(&batch.body, at, &found.head);
            self.odd |= !sound;
            self.apply(&found.head.entry, address, !sound);
        }
    }

    /// Applies what can still be read of batches up to `before` whose headers are gone.
    fn salvage(&mut self, bytes: &[u8], page: u64, offset: u64, before: u64) {
        for found in entries(bytes) {
            let head = &found.head;
            let ours =
                head.log == self.tail.log && (self.tail.next_batch..before).contains(&head.batch);
            if ours {
                let address = page * PAGE_LEN + offset + found.offset as u64;
                let sound = self.entry_is_sound(bytes, found.offset, head);
                self.apply(&head.entry, address, !sound);
            }
        }
    }

    /// Decides what of the last batch counts. Returns the last batch that counts whole.
    fn settle_last(&mut self) -> Result<u64, DriveError> {
        let end = self.tail.next_batch - 1;
        let Some(batch) = self.pending.take() else {
            return Ok(end);
        };
        let found = entries(&batch.body);
        let mut complete = batch.whole && found.len() == batch.header.count as usize;
        let mut arenas = BTreeSet::from([self.files.arena_of(batch.address)]);
        let mut counted = Vec::new();
        for found in found {
            if self.is_readable(&batch.body, found.offset, &found.head) {
                self.rewrite_data(&found.head.entry, &mut arenas)?;
                counted.push(found);
            } else {
                complete = false;
            }
        }
        self.rewrite(batch.address, u64::from(batch.header.len))?;
        self.files.sync(arenas)?;
        for found in counted {
            let address = batch.address + (BATCH_HEADER_LEN + found.offset) as u64;
            self.apply(&found.head.entry, address, false);
        }
        if complete {
            return Ok(end);
        }
        tracing::warn!(batch = end, "the last log batch is torn");
        self.odd = true;
        Ok(end - 1)
    }

    fn rewrite_data(&self, entry: &Entry, arenas: &mut BTreeSet<u64>) -> Result<(), DriveError> {
        let Entry::Seal(seal) = entry else {
            return Ok(());
        };
        let payload = (&seal.spill, seal.payload_len() as u64);
        let shard = seal.shard.as_ref().map(|shard| (&shard.extents, shard.len));
        for (extents, len) in std::iter::once(payload).chain(shard) {
            for (address, len) in places(extents, 0, len) {
                arenas.insert(self.files.arena_of(address));
                self.rewrite(address, len)?;
            }
        }
        Ok(())
    }

    /// Writes what is there once more, so that the next sync covers it.
    fn rewrite(&self, address: u64, len: u64) -> Result<(), DriveError> {
        let mut done = 0;
        while done < len {
            let step = (len - done).min(REWRITE_LEN);
            let mut buffer = vec![0; step as usize];
            if self.files.read(address + done, &mut buffer).is_ok() {
                self.files.write(address + done, &[&buffer])?;
            }
            done += step;
        }
        Ok(())
    }

    /// Bytes of the chunk at `page`; zeros where it cannot be read.
    fn chunk(&self, page: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.superblock.chunk_len as usize];
        let start = page * PAGE_LEN;
        if self.files.read(start, &mut bytes).is_ok() {
            return bytes;
        }
        for (number, part) in bytes.chunks_mut(PAGE_LEN as usize).enumerate() {
            let address = start + number as u64 * PAGE_LEN;
            if self.files.read(address, part).is_err() {
                part.fill(0);
            }
        }
        bytes
    }

    /// Builds the state; chooses where the log goes on.
    fn finish(
        mut self,
        mut state: State,
        accepted_end: u64,
        new_log: LogId,
    ) -> Result<Recovered, DriveError> {
        state.chunks = std::mem::take(&mut self.chunks);
        let table = std::mem::take(&mut self.table);
        for row in table.after(None) {
            state.data_pages += row.extents.iter().map(|e| u64::from(e.count)).sum::<u64>();
            state.count_live(&row);
        }
        state.table = table;
        state.grant = self.grant;
        state.purged = self.purged;
        state.partial = self.partial || self.lost;
        let mut tail = self.tail;
        if self.lost {
            tail.log = new_log;
        }
        if self.odd || self.lost {
            tail.next_batch = if self.lost { 1 } else { accepted_end + 1 };
            tail.page = tail.next_chunk;
            tail.chunk += 1;
            tail.used = 0;
            tail.last_batch = 0;
            let number = tail.chunk;
            state.chunks.insert(tail.page, Chunk { number, live: 0 });
            // None: the log waits for space.
            tail.next_chunk = state
                .set_aside(self.superblock.chunk_len)
                .unwrap_or(NO_CHUNK);
        }
        state.end = LogPosition {
            log: tail.log,
            batch: tail.next_batch - 1,
        };
        Ok(Recovered {
            state,
            tail,
            replayed: self.replayed,
            must_checkpoint: self.odd || self.lost,
        })
    }
}
