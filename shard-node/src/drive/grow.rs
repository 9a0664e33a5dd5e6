//! Growing: taking more of the file system.
//!
//! Owns: how far the drive may grow for what, and allocating space before anything counts on it.
//! Leaves to others: which pages are given out ([`super::space`]), writing zeros
//! ([`super::house`]).
//! Always: pages below the frontier have blocks on the file system, so writing to them cannot find
//! it full; growing for shards leaves the reserve to logs, checkpoints and neighbours, also when
//! several drives of one file system grow at once (each asks the system, and takes a step that is
//! a small part of what is left).

use std::sync::Arc;

use holdfast_protocol::drive::{Extent, PAGE_LEN};
use holdfast_protocol::rpc::DriveError;
use holdfast_seam::spawn::blocking;

use super::state::{Shared, State};
use crate::config::DriveConfig;

/// Most bytes taken at once beyond what is needed.
const STEP_LEN: u64 = 16 << 20;
/// Part of what is left that is taken at once beyond what is needed.
const STEP_SHARE: u64 = 16;
/// Chunks of free space that shards leave to the log once the reserve is all that is left.
const LOG_CHUNKS: u64 = 4;

/// Times that one taker has the drive grow: what was grown is anyone's, so others may be quicker.
pub(crate) const TURNS: u32 = 32;

/// What space is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// New shards and small bodies: never from the reserve, and some more for the next ones.
    Shards,
    /// Space written ahead: never from the reserve, and no more than was asked for.
    Ahead,
    /// The log and records: from the reserve too.
    Log,
}

impl State {
    /// Pages that the drive could still take of its file system.
    pub(crate) fn potential(&self, config: &DriveConfig) -> u64 {
        let capacity = config
            .capacity_bytes
            .map_or(u64::MAX, |bytes| bytes / PAGE_LEN);
        capacity
            .saturating_sub(self.allocated)
            .min(self.available / PAGE_LEN)
    }

    /// Pages of `potential` that are there for `purpose`.
    fn room(&self, config: &DriveConfig, purpose: Purpose) -> u64 {
        match purpose {
            Purpose::Log => self.potential(config),
            Purpose::Shards | Purpose::Ahead => self
                .potential(config)
                .saturating_sub(config.reserve_bytes / PAGE_LEN),
        }
    }

    /// Allocated pages that were never given out.
    pub(crate) fn ready(&self) -> u64 {
        self.allocated.saturating_sub(self.space.frontier())
    }

    /// Whether only the reserve is left of the file system.
    pub(crate) fn in_reserve(&self, config: &DriveConfig) -> bool {
        self.potential(config) * PAGE_LEN < config.reserve_bytes
    }

    /// Pages that new shards may still take.
    pub(crate) fn free_pages_for_shards(&self, shared: &Shared) -> u64 {
        let config = &shared.config;
        let held = if self.in_reserve(config) {
            config
                .reserve_bytes
                .min(LOG_CHUNKS * shared.superblock.chunk_len)
                / PAGE_LEN
        } else {
            0
        };
        let all = self.space.free_pages() + self.ready() + self.room(config, Purpose::Shards);
        all.saturating_sub(held)
    }

    /// Bytes that new shards may still take.
    pub(crate) fn free_bytes(&self, shared: &Shared) -> u64 {
        self.free_pages_for_shards(shared) * PAGE_LEN
    }
}

/// Whether shards may still take `pages`, after growing if need be.
pub(crate) fn has_room(shared: &Shared, pages: u64) -> bool {
    shared.state.lock().free_pages_for_shards(shared) >= pages
}

/// Sees to it that `pages` can be given out without growing, if the file system has them.
///
/// # Errors
/// As [`grow`].
pub(crate) async fn ensure(
    shared: &Arc<Shared>,
    pages: u64,
    purpose: Purpose,
) -> Result<(), DriveError> {
    {
        let state = shared.state.lock();
        if state.space.free_pages() + state.ready() >= pages && purpose == Purpose::Log {
            return Ok(());
        }
    }
    let job = Arc::clone(shared);
    blocking(&*shared.world.spawn, move || grow(&job, pages, purpose))
        .await
        .unwrap_or_else(|| {
            Err(DriveError::OutOfService {
                why: "shutting down".to_owned(),
            })
        })
}

/// Takes pages for data, growing for them.
///
/// # Errors
/// As [`grow`]; `Full` if there are not so many, also after growing.
pub(crate) async fn take(
    shared: &Arc<Shared>,
    pages: u64,
    purpose: Purpose,
) -> Result<Vec<Extent>, DriveError> {
    let mut taken = shared.state.lock().take_data(shared, pages, purpose);
    for _ in 0..TURNS {
        if !matches!(taken, Err(DriveError::Full)) {
            break;
        }
        ensure(shared, pages, purpose).await?;
        taken = shared.state.lock().take_data(shared, pages, purpose);
    }
    taken
}

/// Allocates at least enough that `pages` can be taken beyond the frontier, or all there is for
/// this purpose if that is less. Blocks.
///
/// # Errors
/// `Full` if there is nothing to take; `OutOfService` if the drive is, or is now.
pub(crate) fn grow(shared: &Shared, pages: u64, purpose: Purpose) -> Result<(), DriveError> {
    let _one = shared.growing.lock();
    let available = shared.files.available();
    let (from, count) = {
        let mut state = shared.state.lock();
        state.available = available;
        shared.publish(&state);
        let ready = state.ready();
        if ready >= pages {
            return Ok(());
        }
        let room = state.room(&shared.config, purpose);
        if room == 0 {
            return Err(DriveError::Full);
        }
        let step = match purpose {
            Purpose::Shards => (STEP_LEN / PAGE_LEN).min(room / STEP_SHARE),
            Purpose::Ahead | Purpose::Log => 0,
        };
        (state.allocated, (pages - ready).max(step).min(room))
    };
    shared.files.allocate(from * PAGE_LEN, count * PAGE_LEN)?;
    let mut state = shared.state.lock();
    state.allocated = from + count;
    state.available = state.available.saturating_sub(count * PAGE_LEN);
    shared.publish(&state);
    Ok(())
}
