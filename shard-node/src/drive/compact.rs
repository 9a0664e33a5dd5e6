//! Moving what is alive out of chunks that are mostly dead.
//!
//! Owns: which chunk is emptied next, and the entries still to be moved out of it.
//! Leaves to others: writing them again ([`super::log`]); freeing empty chunks
//! ([`super::checkpoint`]).
//! Always: moves ride on batches, a bounded number of bytes each; an entry that cannot be read any
//! more is kept by name, as damaged.

use std::collections::VecDeque;

use bytes::Bytes;
use holdfast_protocol::drive::log::{BATCH_HEADER_LEN, ENTRY_ALIGN};
use holdfast_protocol::drive::{
    BatchHeader, Entry, EntryHead, PAGE_LEN, SealEntry, ShardEntry, TableEntry,
};

use super::log::Log;
use super::request::{Done, Item};
use super::state::State;

/// Bytes moved with one batch at most.
const STEP_LEN: usize = 256 << 10;
/// Dead chunks that are no reason to move anything.
const SLACK_CHUNKS: u64 = 4;

/// What is being moved.
#[derive(Debug, Default)]
pub(crate) struct Compaction {
    pending: VecDeque<Item>,
}

/// An entry found in bytes of the log.
pub(crate) struct Found {
    /// Where it starts in those bytes.
    pub(crate) offset: usize,
    /// Its head.
    pub(crate) head: EntryHead,
}

/// The entries in `bytes`, which start at an entry; skips what is no entry.
pub(crate) fn entries(bytes: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut offset = 0;
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        match EntryHead::decode(rest) {
            Ok(head) => {
                let len = head.padded_len();
                found.push(Found { offset, head });
                offset += len;
            }
            Err(_) => offset += ENTRY_ALIGN,
        }
    }
    found
}

impl Log {
    /// The next moves, if there is a chunk worth emptying.
    pub(crate) fn moves(&mut self) -> Vec<Item> {
        if self.shared.check_log().is_err() {
            return Vec::new();
        }
        if self.compaction.pending.is_empty() {
            self.pick();
        }
        let state = self.shared.state.lock();
        let mut len = 0;
        let mut items = Vec::new();
        while len < STEP_LEN
            && let Some(item) = self.compaction.pending.pop_front()
        {
            if current(&state, &item) {
                len += item.entry.padded_len();
                items.push(item);
            }
        }
        items
    }

    /// Whether there is something to move.
    fn pick(&mut self) {
        let chunk_len = self.shared.superblock.chunk_len;
        let victim = {
            let state = self.shared.state.lock();
            let all = state.chunks.len() as u64 * chunk_len;
            let dead = all.saturating_sub(state.live_log);
            if dead <= state.live_log + SLACK_CHUNKS * chunk_len {
                return;
            }
            state
                .chunks
                .iter()
                .filter(|(page, chunk)| {
                    **page != self.tail.page && chunk.live > 0 && chunk.live < chunk_len / 2
                })
                .min_by_key(|(_, chunk)| chunk.live)
                .map(|(page, _)| *page)
        };
        if let Some(page) = victim {
            self.load(page);
        }
    }

    /// Lists what is alive in the chunk at `page`.
    fn load(&mut self, page: u64) {
        let start = page * PAGE_LEN;
        let mut buffer = vec![0; self.shared.superblock.chunk_len as usize];
        read_pages(self, start, &mut buffer);
        let buffer = Bytes::from(buffer);
        let mut moved = 0;
        for offset in (0..buffer.len()).step_by(PAGE_LEN as usize) {
            let rest = buffer.get(offset..).unwrap_or_default();
            let Ok(header) = BatchHeader::decode(rest, rest.len() as u64) else {
                continue;
            };
            let body = rest.get(BATCH_HEADER_LEN..header.len as usize);
            for found in entries(body.unwrap_or_default()) {
                let at = offset + BATCH_HEADER_LEN + found.offset;
                let item = item(&buffer, at, found.head, start);
                let state = self.shared.state.lock();
                if let Some(mut item) = item.filter(|item| current(&state, item)) {
                    keep_damage(&state, &mut item);
                    moved += u64::from(row_len(&state, &item));
                    self.compaction.pending.push_back(item);
                }
            }
        }
        let live = self.shared.state.lock().chunks.get(&page).map(|c| c.live);
        if live.is_some_and(|live| live > moved) {
            self.load_damaged(start);
        }
    }

    /// Adds the rows whose entries in the chunk at `start` cannot be read, by what the table knows.
    fn load_damaged(&mut self, start: u64) {
        let known: Vec<u64> = self.compaction.pending.iter().filter_map(from).collect();
        let mut state = self.shared.state.lock();
        let within = start..start + self.shared.superblock.chunk_len;
        let is_lost =
            |row: &TableEntry| within.contains(&row.address) && !known.contains(&row.address);
        let lost: Vec<TableEntry> = state.table.after(None).filter(is_lost).collect();
        for row in lost {
            tracing::warn!(write = %row.write, "log entry unreadable, kept by name");
            self.shared.metrics.checksum_failure("log");
            self.compaction.pending.push_back(stub(&row));
            // Nobody asked for it: whoever looks at the drive's status is told to look further.
            state.found += u64::from(state.table.mark_damaged(row.write));
        }
    }
}

/// Reads page by page where the whole cannot be read; unreadable pages stay zero.
fn read_pages(log: &Log, start: u64, buffer: &mut [u8]) {
    if log.shared.files.read(start, buffer).is_ok() {
        return;
    }
    for (number, page) in buffer.chunks_mut(PAGE_LEN as usize).enumerate() {
        let at = start + number as u64 * PAGE_LEN;
        if log.shared.files.read(at, page).is_err() {
            page.fill(0);
        }
    }
}

/// Writes into the entry that it is known to be damaged, if it is; names only, if its place was
/// given up.
fn keep_damage(state: &State, item: &mut Item) {
    if let Entry::Seal(seal) = &mut item.entry
        && let Some(row) = state.table.get(seal.write)
    {
        seal.damaged |= row.damaged;
        if row.damaged && !seal.extents().eq(row.extents.iter().copied()) {
            *item = stub(&row);
        }
    }
}

fn from(item: &Item) -> Option<u64> {
    match item.done {
        Done::Moved(from) => Some(from),
        _ => None,
    }
}

fn row_len(state: &State, item: &Item) -> u32 {
    match &item.entry {
        Entry::Seal(seal) => state.table.get(seal.write).map_or(0, |row| row.len),
        _ => 0,
    }
}

/// Whether the row still points to where the item was found.
fn current(state: &State, item: &Item) -> bool {
    match &item.entry {
        Entry::Seal(seal) => {
            let row = state.table.get(seal.write);
            row.is_some_and(|row| Some(row.address) == from(item))
        }
        _ => false,
    }
}

fn item(buffer: &Bytes, at: usize, head: EntryHead, start: u64) -> Option<Item> {
    let Entry::Seal(_) = &head.entry else {
        return None;
    };
    let tail = at + head.fields_len as usize;
    let end = tail + head.tail_len as usize;
    (end <= buffer.len()).then(|| Item {
        entry: head.entry,
        tail: vec![buffer.slice(tail..end)],
        unwritten: None,
        done: Done::Moved(start + at as u64),
    })
}

/// An entry that says only what the table knows.
fn stub(row: &TableEntry) -> Item {
    let shard = row.shard.map(|(index, digest)| ShardEntry {
        index,
        len: 0,
        stripe_count: 0,
        cell_len: 0,
        block_count: 0,
        digest,
        extents: row.extents.clone(),
    });
    let spill = match shard {
        Some(_) => Vec::new(),
        None => row.extents.clone(),
    };
    Item {
        entry: Entry::Seal(SealEntry {
            write: row.write,
            order: row.order,
            admitted: row.admitted,
            kind: row.kind,
            damaged: true,
            head_len: 0,
            body_len: 0,
            shard,
            spill,
        }),
        tail: Vec::new(),
        unwritten: None,
        done: Done::Moved(row.address),
    }
}
