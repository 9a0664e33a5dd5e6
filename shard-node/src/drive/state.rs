//! What a drive knows while it is open.
//!
//! Owns: the table, free space, staged shards, pins of readers, purged marks and the grant, under
//! one lock.
//! Leaves to others: changing them in the right order (log, stage, read).
//! Always: pages are free, or belong to exactly one of: a row, a staged shard, a queued seal, a
//! pin, a chunk of the log, the pre-writer. The lock is never held across a read, a write or a
//! sync.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use holdfast_protocol::drive::{Extent, Grant, PAGE_LEN, Superblock, TableEntry};
use holdfast_protocol::rpc::{DriveError, LogPosition};
use holdfast_protocol::{Generation, IndexId, MovedWrite, WriteId};
use holdfast_seam::{DiskFile, Monotonic, World};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::files::Files;
use super::grow::Purpose;
use super::lease::Lease;
use super::purged::Purged;
use super::space::Space;
use super::stage::{Staged, drop_write_below};
use super::table::Table;
use super::writes::Writes;
use crate::config::DriveConfig;
use crate::metrics::DriveMetrics;

/// What everybody who works on a drive shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) world: World,
    pub(crate) config: DriveConfig,
    pub(crate) superblock: Superblock,
    pub(crate) dir: PathBuf,
    pub(crate) files: Files,
    pub(crate) metrics: DriveMetrics,
    pub(crate) state: Mutex<State>,
    /// Cells that wait to be written.
    pub(crate) writes: Writes,
    /// Threads that may read its medium.
    pub(crate) reading: Arc<Semaphore>,
    /// Held while the drive grows.
    pub(crate) growing: Mutex<()>,
    /// Told when a cell was written or a seal ended.
    pub(crate) progress: Notify,
    /// Wakes the housekeeper.
    pub(crate) house: Notify,
    /// Holds the lock on the directory until the drive is closed.
    pub(crate) lock: Mutex<Option<Arc<dyn DiskFile>>>,
}

/// A chunk of the log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chunk {
    /// Its place among the log's chunks.
    pub(crate) number: u64,
    /// Bytes of entries that rows point to.
    pub(crate) live: u64,
}

/// Readers of a write, and what to free after the last.
#[derive(Debug, Default)]
struct Pin {
    readers: u32,
    freed: Vec<Extent>,
}

/// What changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) space: Space,
    pub(crate) staged: BTreeMap<(WriteId, u8), Staged>,
    /// When the last cell came.
    pub(crate) staged_at: Option<Monotonic>,
    pub(crate) sealing: HashSet<WriteId>,
    pub(crate) purged: Purged,
    pub(crate) grant: Option<Grant>,
    pub(crate) lease: Lease,
    pub(crate) end: LogPosition,
    /// By first page.
    pub(crate) chunks: BTreeMap<u64, Chunk>,
    /// Bytes of entries that rows point to.
    pub(crate) live_log: u64,
    /// Pages of shards and spilled records.
    pub(crate) data_pages: u64,
    /// Bytes that the file system has left, as last seen, less what was allocated since.
    pub(crate) available: u64,
    /// Pages that have blocks on the file system: as far as the frontier may go.
    pub(crate) allocated: u64,
    /// It lost entries of its log, and was not compared whole since.
    pub(crate) partial: bool,
    /// Why nothing may be written yet, after a recovery.
    pub(crate) suspended: Option<String>,
    /// No chunk could be set aside for the log to go on in.
    pub(crate) has_none_aside: bool,
    /// Entries that were found damaged while nobody asked for them.
    pub(crate) found: u64,
    pub(crate) checkpoint_sequence: u64,
    pub(crate) checkpoint_running: bool,
    pub(crate) closing: bool,
    pins: HashMap<WriteId, Pin>,
}

impl State {
    /// A drive that holds nothing, in `space`.
    pub(crate) fn new(space: Space) -> Self {
        let allocated = space.frontier();
        Self {
            table: Table::default(),
            space,
            allocated,
            staged: BTreeMap::new(),
            staged_at: None,
            sealing: HashSet::new(),
            purged: Purged::default(),
            grant: None,
            lease: Lease::default(),
            end: LogPosition::default(),
            chunks: BTreeMap::new(),
            live_log: 0,
            data_pages: 0,
            available: 0,
            partial: false,
            suspended: None,
            has_none_aside: false,
            found: 0,
            checkpoint_sequence: 0,
            checkpoint_running: false,
            closing: false,
            pins: HashMap::new(),
        }
    }

    /// Refuses callers of an older generation or of another index.
    pub(crate) fn admit(&self, generation: Generation, index: IndexId) -> Result<(), DriveError> {
        let Some(grant) = &self.grant else {
            return Ok(());
        };
        if generation < grant.generation {
            return Err(DriveError::OldGeneration {
                current: grant.generation,
            });
        }
        if index != grant.index {
            return Err(DriveError::OtherIndex {
                current: grant.index,
            });
        }
        Ok(())
    }

    /// Bytes of sealed and staged shards and of records.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.data_pages * PAGE_LEN + self.live_log
    }

    /// Takes `pages` for data, of what is free or allocated.
    ///
    /// # Errors
    /// `Full` if there are not so many; growing ([`super::grow`]) may help.
    pub(crate) fn take_data(
        &mut self,
        shared: &Shared,
        pages: u64,
        purpose: Purpose,
    ) -> Result<Vec<Extent>, DriveError> {
        if purpose == Purpose::Shards && self.free_pages_for_shards(shared) < pages {
            return Err(DriveError::Full);
        }
        let extents = self.space.take(pages, self.ready());
        let extents = extents.ok_or(DriveError::Full)?;
        self.data_pages += pages;
        Ok(extents)
    }

    /// Takes the pages of a chunk for the log, of what is free or allocated, and says whether they
    /// are new.
    ///
    /// # Errors
    /// As [`State::take_data`].
    pub(crate) fn take_chunk(&mut self, shared: &Shared) -> Result<(Extent, bool), DriveError> {
        let pages = shared.superblock.chunk_len / PAGE_LEN;
        let before = self.space.frontier();
        let extent = self.space.take_one(pages, self.ready());
        let extent = extent.ok_or(DriveError::Full)?;
        Ok((extent, self.space.frontier() > before))
    }

    /// Gives back pages that no reader can know.
    pub(crate) fn free_data(&mut self, extents: &[Extent]) {
        for extent in extents {
            self.data_pages -= u64::from(extent.count);
            self.space.release(*extent);
        }
    }

    /// Gives back pages of `write` once its readers are gone.
    pub(crate) fn retire(&mut self, write: WriteId, extents: &[Extent]) {
        match self.pins.get_mut(&write) {
            Some(pin) => pin.freed.extend_from_slice(extents),
            None => self.free_data(extents),
        }
    }

    /// Keeps the pages of `write` from being reused until [`State::unpin`].
    pub(crate) fn pin(&mut self, write: WriteId) {
        self.pins.entry(write).or_default().readers += 1;
    }

    /// Ends one [`State::pin`].
    pub(crate) fn unpin(&mut self, write: WriteId) {
        let Some(pin) = self.pins.get_mut(&write) else {
            return;
        };
        pin.readers -= 1;
        if pin.readers == 0
            && let Some(pin) = self.pins.remove(&write)
        {
            self.free_data(&pin.freed);
        }
    }

    /// Puts a row into the table; frees what it replaces.
    pub(crate) fn put_row(&mut self, entry: &TableEntry) {
        self.live(entry, true);
        if let Some(old) = self.table.insert(entry) {
            self.live(&old, false);
            let kept: HashSet<Extent> = entry.extents.iter().copied().collect();
            let freed: Vec<_> = old
                .extents
                .into_iter()
                .filter(|extent| !kept.contains(extent))
                .collect();
            self.retire(old.write, &freed);
        }
    }

    /// Takes a row out of the table and frees what it owns.
    pub(crate) fn drop_row(&mut self, write: WriteId) {
        if let Some(old) = self.table.remove(write) {
            self.live(&old, false);
            self.retire(write, &old.extents);
        }
    }

    /// Drops what was admitted before the write left, and refuses it from now on.
    pub(crate) fn leave(&mut self, moved: MovedWrite) {
        if self.table.left(moved) {
            self.drop_row(moved.write);
        }
        drop_write_below(self, moved);
        self.purged.leave(moved);
    }

    /// Counts the entry of a row that is put by other means.
    pub(crate) fn count_live(&mut self, entry: &TableEntry) {
        self.live(entry, true);
    }

    /// Counts an entry's bytes as live, or no more.
    fn live(&mut self, entry: &TableEntry, alive: bool) {
        let len = u64::from(entry.len);
        let page = entry.address / PAGE_LEN;
        let chunk = self.chunks.range_mut(..=page).next_back();
        let live = chunk.map(|(_, chunk)| &mut chunk.live);
        for sum in live.into_iter().chain([&mut self.live_log]) {
            *sum = if alive { *sum + len } else { *sum - len };
        }
    }
}

impl State {
    /// Checks that every page is accounted for exactly once, while nothing is under way.
    ///
    /// # Errors
    /// What does not add up.
    pub(crate) fn audit(&self, shared: &Shared) -> Result<(), String> {
        let chunk_pages = shared.superblock.chunk_len / PAGE_LEN;
        let mut owned: Vec<(u64, u64)> = self.space.free_extents().collect();
        owned.extend(self.chunks.keys().map(|page| (*page, chunk_pages)));
        let staged = self
            .staged
            .values()
            .flat_map(|staged| staged.extents.clone());
        let rows = self.table.after(None).flat_map(|row| row.extents);
        let pins = self.pins.values().flat_map(|pin| pin.freed.clone());
        let data: Vec<_> = staged.chain(rows).chain(pins).collect();
        let data_pages: u64 = data.iter().map(|extent| u64::from(extent.count)).sum();
        owned.extend(data.iter().map(|extent| (extent.page, extent.count.into())));
        owned.sort_unstable();
        for pair in owned.windows(2) {
            if let [(page, count), (next, _)] = pair
                && page + count > *next
            {
                return Err(format!("page {next} is owned twice"));
            }
        }
        if data_pages != self.data_pages {
            return Err(format!("{data_pages} data pages, not {}", self.data_pages));
        }
        // Page 0, and the chunk set aside for the log, if there was space for one.
        let aside = if self.has_none_aside { 0 } else { chunk_pages };
        let sum = owned.iter().map(|(_, count)| count).sum::<u64>() + 1 + aside;
        if sum != self.space.frontier() {
            return Err(format!("{sum} pages of {}", self.space.frontier()));
        }
        let live: u64 = self.table.after(None).map(|row| u64::from(row.len)).sum();
        let by_chunk: u64 = self.chunks.values().map(|chunk| chunk.live).sum();
        if (live, live) != (self.live_log, by_chunk) {
            return Err(format!(
                "{live} live bytes of log, not {} and {by_chunk}",
                self.live_log
            ));
        }
        Ok(())
    }
}

impl Shared {
    /// Shows the sums in the gauges.
    pub(crate) fn publish(&self, state: &State) {
        let chunks = state.chunks.len() as u64 * self.superblock.chunk_len;
        self.metrics.used.set(state.used_bytes() as i64);
        self.metrics.free.set(state.free_bytes(self) as i64);
        self.metrics.records.set(state.table.len() as i64);
        self.metrics.staged.set(state.staged.len() as i64);
        self.metrics.log.set(chunks as i64);
    }
}
