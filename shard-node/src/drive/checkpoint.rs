//! Checkpoints: where replay starts.
//!
//! Owns: when one is written, its two copies, reading them, and freeing chunks that one makes
//! dispensable.
//! Leaves to others: the byte form (`protocol`), replay ([`super::recover`]).
//! Always: chunks are freed only after both copies of a checkpoint that does not need them are
//! durable.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::drive::{Checkpoint, ChunkInfo, Extent, PAGE_LEN, Superblock};
use holdfast_protocol::{FormatError, LogId, Order};
use holdfast_seam::{Disk, World};

use super::files::{Files, is_full};
use super::log::Log;
use super::space::Space;
use super::state::{Shared, State};

/// Names of the copies.
pub(crate) const NAMES: [&str; 2] = ["checkpoint", "checkpoint.2"];

impl Log {
    /// Writes a checkpoint in the background when the log has grown enough, or when there is time.
    pub(crate) fn maybe_checkpoint(&mut self, idle: bool) {
        let due = {
            let state = self.shared.state.lock();
            if state.checkpoint_running {
                return;
            }
            let table = state.table.len() * 72;
            let chunk = self.shared.superblock.chunk_len;
            let spare = state
                .chunks
                .iter()
                .any(|(page, c)| c.live == 0 && *page != self.tail.page);
            // With only the reserve left, what the log does not need is given back early.
            let short = spare && state.in_reserve(&self.shared.config);
            self.since_checkpoint >= self.shared.config.checkpoint_log_bytes.max(table)
                || (short && self.since_checkpoint >= (table / 8).max(2 * chunk))
                || (idle && spare && self.since_checkpoint >= (table / 8).min(chunk))
        };
        if !due || self.since_checkpoint == 0 || self.shared.files.check().is_err() {
            return;
        }
        let (bytes, spare) = self.snapshot();
        self.since_checkpoint = 0;
        self.shared.state.lock().checkpoint_running = true;
        let shared = Arc::clone(&self.shared);
        self.shared.world.spawn.blocking(Box::new(move || {
            finish(&shared, &bytes, &spare);
            shared.state.lock().checkpoint_running = false;
        }));
    }

    /// Writes a checkpoint at once; whether it is durable.
    pub(crate) fn checkpoint_now(&mut self) -> bool {
        if self.shared.files.check().is_err() {
            return false;
        }
        let (bytes, spare) = self.snapshot();
        self.since_checkpoint = 0;
        finish(&self.shared, &bytes, &spare)
    }

    /// The checkpoint of now, and the chunks that are not needed after it.
    pub(crate) fn snapshot(&self) -> (Bytes, Vec<u64>) {
        let mut state = self.shared.state.lock();
        state.checkpoint_sequence += 1;
        let tail = self.tail;
        let (spare, kept): (Vec<_>, Vec<_>) = state
            .chunks
            .iter()
            .partition(|(page, chunk)| chunk.live == 0 && **page != tail.page);
        let mut chunks: Vec<ChunkInfo> = kept
            .into_iter()
            .map(|(page, chunk)| ChunkInfo {
                page: *page,
                number: chunk.number,
            })
            .collect();
        chunks.sort_by_key(|chunk| (chunk.page == tail.page, chunk.number));
        let spare = spare.into_iter().map(|(page, _)| *page).collect();
        let checkpoint = Checkpoint {
            cluster: self.shared.superblock.cluster,
            drive: self.shared.superblock.drive,
            sequence: state.checkpoint_sequence,
            log: tail.log,
            next_batch: tail.next_batch,
            used: tail.used,
            last_batch: tail.last_batch,
            next_chunk: tail.next_chunk,
            chunks,
            grant: state.grant,
            purged: state.purged.to_ranges(),
            moved: state.purged.to_moved(),
            told: state.purged.told(),
            partial: state.partial,
            frontier: state.space.frontier(),
            entries: state.table.after(None).collect(),
        };
        drop(state);
        (checkpoint.encode(), spare)
    }
}

/// Writes both copies, then frees the chunks. Whether that was done.
fn finish(shared: &Shared, bytes: &[u8], spare: &[u64]) -> bool {
    for name in NAMES {
        if let Err(error) = Files::replace(&*shared.world.disk, &shared.dir, name, bytes) {
            let full = is_full(&error);
            let reason = if full { "full" } else { "checkpoint" };
            shared.metrics.error(reason);
            tracing::warn!(dir = %shared.dir.display(), %error, "checkpoint not written");
            return false;
        }
    }
    let mut state = shared.state.lock();
    free_chunks(shared, &mut state, spare);
    shared.publish(&state);
    true
}

fn free_chunks(shared: &Shared, state: &mut State, spare: &[u64]) {
    let count = (shared.superblock.chunk_len / PAGE_LEN) as u32;
    for page in spare {
        if state.chunks.remove(page).is_some() {
            state.space.release(Extent { page: *page, count });
        }
    }
}

/// Reads the newest copy that is whole.
///
/// # Errors
/// Why the last one tried cannot be read; `None` if there is none.
pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Checkpoint, Option<FormatError>> {
    let mut newest: Option<Checkpoint> = None;
    let mut problem = None;
    for name in NAMES {
        let Ok(bytes) = Files::read_whole(disk, &dir.join(name)) else {
            continue;
        };
        match Checkpoint::decode(&bytes) {
            Ok(found) => {
                if newest.as_ref().is_none_or(|n| n.sequence < found.sequence) {
                    newest = Some(found);
                }
            }
            Err(error) => {
                tracing::error!(dir = %dir.display(), name, %error, "checkpoint unreadable");
                problem = Some(error);
            }
        }
    }
    newest.ok_or(problem)
}

/// The checkpoint of an empty drive. Page 0 is never given out; two chunks are set aside.
pub(crate) fn first(world: &World, superblock: Superblock) -> Checkpoint {
    let pages = superblock.chunk_len / PAGE_LEN;
    let mut space = Space::new(superblock.arena_len / PAGE_LEN, 1);
    let mut chunk = || space.take_one(pages, u64::MAX).map_or(0, |e| e.page);
    let (page, next_chunk) = (chunk(), chunk());
    Checkpoint {
        cluster: superblock.cluster,
        drive: superblock.drive,
        sequence: 1,
        log: LogId::new(world.rng.u64()),
        next_batch: 1,
        used: 0,
        last_batch: 0,
        next_chunk,
        chunks: vec![ChunkInfo { page, number: 1 }],
        grant: None,
        purged: Vec::new(),
        moved: Vec::new(),
        told: Order::ZERO,
        partial: false,
        frontier: space.frontier(),
        entries: Vec::new(),
    }
}
