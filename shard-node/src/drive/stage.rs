//! Cells that arrive.
//!
//! Owns: staged shards: checking cells, placing and writing them, dropping them.
//! Leaves to others: making them durable ([`super::seal`]).
//! Always: cells of a shard are taken in order; a shard with a failed write is never sealed; pages
//! of a dropped shard are free only after its last write has ended. Whole pages are written: what a
//! cell leaves of its last page waits in memory for the next cell, or for the end of the shard.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::drive::{Extent, PAGE_LEN};
use holdfast_protocol::rpc::{Cell, DriveError, DriveReply};
use holdfast_protocol::{
    BLOCK_LEN, BlockIdentity, MovedWrite, Order, STRIPE_LEN, WriteId, block_checksum,
};
use holdfast_seam::Monotonic;

use super::grow::{self, Purpose};
use super::part::Part;
use super::state::{Shared, State};
use super::writes;

/// Shard indexes are below this.
const SHARDS_MAX: u8 = 64;
/// A last cell of at most so many bytes is written together with the batch that seals it.
const WITH_BATCH_MAX: usize = 256 << 10;
/// Most bytes taken ahead for a shard, however long it says it will be.
const AHEAD_MAX: u64 = 64 << 20;

/// Whether the drive has already grown for a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    First,
    Grown,
}

/// A shard that is being received.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Where it lies; may be longer than it.
    pub(crate) extents: Vec<Extent>,
    /// Bytes so far.
    pub(crate) len: u64,
    /// Cells so far.
    pub(crate) cells: u32,
    /// Bytes of the first cell.
    pub(crate) cell_len: u32,
    /// One per block so far.
    pub(crate) checksums: Vec<u64>,
    /// Writes under way.
    pub(crate) writing: u32,
    /// The highest order with which a cell of it was admitted.
    admitted: Order,
    /// The bytes behind the last whole page.
    rest: Rest,
    /// What the log will write with the batch that seals it.
    pub(crate) unwritten: Option<Part>,
    /// Why it can never be sealed.
    pub(crate) failed: Option<DriveError>,
    /// Whether it is gone as soon as nothing is written any more.
    discarded: bool,
    /// Bytes of the last cell.
    last_len: u32,
    touched: Monotonic,
}

/// Bytes of a shard behind its last whole page.
#[derive(Debug, Default)]
struct Rest {
    /// Less than a page.
    bytes: Vec<u8>,
    /// Whether they have been written too, or are being written.
    written: bool,
}

impl Staged {
    /// Takes `bytes`, for which there is space, behind what came before. Unless `ends`, what does
    /// not fill a page is kept for later.
    fn take(&mut self, bytes: &Bytes, ends: bool) -> Part {
        let start = self.len - self.rest.bytes.len() as u64;
        self.len += bytes.len() as u64;
        let pages = (self.len - start) / PAGE_LEN * PAGE_LEN;
        let head = std::mem::take(&mut self.rest.bytes);
        let kept = if pages == 0 {
            [&head, bytes.as_ref()].concat()
        } else {
            bytes.slice(pages as usize - head.len()..).to_vec()
        };
        let whole = self.len - start == pages;
        let written = if ends { self.len - start } else { pages };
        let cell = bytes.slice(..(written as usize).saturating_sub(head.len()));
        self.rest = Rest {
            bytes: kept,
            written: ends || whole,
        };
        Part {
            places: places(&self.extents, start, written),
            head,
            cell,
        }
    }

    fn capacity(&self) -> u64 {
        self.extents.iter().map(|extent| extent.len()).sum()
    }
}

/// The places of `len` bytes from `offset` within `extents`: (address, length), in order.
pub(crate) fn places(extents: &[Extent], offset: u64, len: u64) -> Vec<(u64, u64)> {
    let (mut start, mut found) = (0, Vec::new());
    for extent in extents {
        let from = offset.max(start);
        let to = (offset + len).min(start + extent.len());
        if from < to {
            found.push((extent.page * PAGE_LEN + (from - start), to - from));
        }
        start += extent.len();
    }
    found
}

/// Takes one cell and writes it.
///
/// # Errors
/// `Arrived` if it fails its checksums, `BadRequest` out of order, `Full`, `Busy`, `Purged`,
/// `OutOfService`.
pub(crate) async fn stage(
    shared: &Arc<Shared>,
    write: WriteId,
    shard: u8,
    len_hint: Option<u64>,
    admitted: Order,
    cell: Cell,
) -> Result<DriveReply, DriveError> {
    let Some(part) = admit(shared, (write, shard), len_hint, admitted, &cell).await? else {
        return Ok(DriveReply::Done);
    };
    writes::write(shared, write, shard, part).await?;
    Ok(DriveReply::Done)
}

/// Takes the last cell of a shard of `len` bytes. A small one is left to the log.
///
/// # Errors
/// As [`stage`].
pub(crate) async fn stage_last(
    shared: &Arc<Shared>,
    write: WriteId,
    shard: u8,
    len: u64,
    admitted: Order,
    cell: Cell,
) -> Result<(), DriveError> {
    if cell.bytes.len() > WITH_BATCH_MAX {
        stage(shared, write, shard, Some(len), admitted, cell).await?;
        return Ok(());
    }
    let part = admit(shared, (write, shard), Some(len), admitted, &cell).await?;
    if let Some(part) = part {
        if let Some(staged) = shared.state.lock().staged.get_mut(&(write, shard)) {
            staged.unwritten = Some(part);
        }
        ended(shared, write, shard, None);
    }
    Ok(())
}

/// Leaves to the log what is left of a shard that has no more cells.
pub(crate) fn finish(staged: &mut Staged) {
    if !staged.rest.written && staged.unwritten.is_none() {
        staged.unwritten = Some(staged.take(&Bytes::new(), true));
    }
}

/// Checks a cell and finds its place. `None` if the very same cell is there already.
async fn admit(
    shared: &Arc<Shared>,
    key: (WriteId, u8),
    len_hint: Option<u64>,
    admitted: Order,
    cell: &Cell,
) -> Result<Option<Part>, DriveError> {
    shared.check_log()?;
    check_cell(shared, key.0, key.1, cell)?;
    let mut begun = begin(shared, key, len_hint, admitted, cell, Attempt::First);
    let wanted = len_hint.unwrap_or_default().min(AHEAD_MAX);
    let wanted = wanted.max(cell.bytes.len() as u64).div_ceil(PAGE_LEN);
    for turn in 0..grow::TURNS {
        let is_full = matches!(begun, Err(DriveError::Full));
        if !is_full || (turn > 0 && !grow::has_room(shared, wanted)) {
            break;
        }
        grow::ensure(shared, wanted, Purpose::Shards).await?;
        begun = begin(shared, key, len_hint, admitted, cell, Attempt::Grown);
    }
    begun
}

/// Drops what was staged of `write`.
pub(crate) fn discard(shared: &Shared, write: WriteId) {
    let mut state = shared.state.lock();
    drop_write(&mut state, write);
    shared.publish(&state);
}

/// Drops what was staged of `write`.
pub(crate) fn drop_write(state: &mut State, write: WriteId) {
    drop_where(state, write, |_| true);
}

/// Drops what was staged of a write and admitted before it left.
pub(crate) fn drop_write_below(state: &mut State, moved: MovedWrite) {
    drop_where(state, moved.write, |staged| staged.admitted < moved.order);
}

fn drop_where(state: &mut State, write: WriteId, is_dropped: impl Fn(&Staged) -> bool) {
    let shards: Vec<u8> = state
        .staged
        .range((write, 0)..=(write, u8::MAX))
        .filter(|(_, staged)| is_dropped(staged))
        .map(|((_, shard), _)| *shard)
        .collect();
    for shard in shards {
        drop_staged(state, write, shard);
    }
}

/// Drops the shards that have seen nothing for too long.
pub(crate) fn drop_idle(shared: &Shared) {
    let now = shared.world.clock.now();
    let mut state = shared.state.lock();
    let idle: Vec<_> = state
        .staged
        .iter()
        .filter(|(key, staged)| {
            now.since(staged.touched) >= shared.config.staged_idle
                && !state.sealing.contains(&key.0)
        })
        .map(|(key, _)| *key)
        .collect();
    for (write, shard) in idle {
        tracing::info!(%write, shard, "staged shard dropped: nothing came for too long");
        drop_staged(&mut state, write, shard);
    }
}

fn drop_staged(state: &mut State, write: WriteId, shard: u8) {
    let Some(staged) = state.staged.get_mut(&(write, shard)) else {
        return;
    };
    if staged.writing > 0 {
        staged.discarded = true;
    } else if let Some(staged) = state.staged.remove(&(write, shard)) {
        state.free_data(&staged.extents);
    }
}

fn check_cell(shared: &Shared, write: WriteId, shard: u8, cell: &Cell) -> Result<(), DriveError> {
    if shard >= SHARDS_MAX {
        return bad("shard index");
    }
    if cell.bytes.is_empty() || cell.bytes.len() > STRIPE_LEN as usize {
        return bad("length of a cell");
    }
    if cell.checksums.len() != cell.bytes.len().div_ceil(BLOCK_LEN as usize) {
        return bad("number of block checksums");
    }
    let blocks = cell.bytes.chunks(BLOCK_LEN as usize).zip(&cell.checksums);
    for (block, (bytes, checksum)) in blocks.enumerate() {
        let identity = BlockIdentity {
            cluster: shared.superblock.cluster,
            write,
            shard,
            stripe: cell.stripe,
            block: block as u16,
        };
        if block_checksum(identity, bytes) != *checksum {
            shared.metrics.checksum_failure("arrival");
            return Err(DriveError::Arrived {
                what: format!("stripe {} block {block}", cell.stripe),
            });
        }
    }
    Ok(())
}

/// Finds the place of a cell. `None` if the very same cell is there already.
fn begin(
    shared: &Shared,
    key: (WriteId, u8),
    len_hint: Option<u64>,
    admitted: Order,
    cell: &Cell,
    attempt: Attempt,
) -> Result<Option<Part>, DriveError> {
    let mut state = shared.state.lock();
    let state = &mut *state;
    if state.purged.refuses(key.0, admitted) {
        return Err(DriveError::Purged);
    }
    let now = shared.world.clock.now();
    state.staged_at = Some(now);
    let Some(staged) = state.staged.get_mut(&key) else {
        let mut staged = first(shared, state, len_hint, cell, now, attempt)?;
        staged.admitted = admitted;
        let ends = len_hint == Some(u64::from(staged.cell_len));
        let part = staged.take(&cell.bytes, ends);
        state.staged.insert(key, staged);
        return Ok(Some(part));
    };
    staged.admitted = staged.admitted.max(admitted);
    if is_repeated(staged, cell)? {
        return Ok(None);
    }
    if staged.unwritten.is_some() {
        return bad("a cell behind the last one");
    }
    if staged.rest.written && !staged.rest.bytes.is_empty() && staged.writing > 0 {
        // Its last page is being written as that of a shard that ended: one write at a time.
        return Err(DriveError::Busy);
    }
    let len = cell.bytes.len() as u32;
    let all = staged.len + u64::from(len);
    let missing = all.saturating_sub(staged.capacity());
    if missing > 0 {
        let ahead = staged.capacity().min(AHEAD_MAX).max(missing);
        let more = more_extents(shared, state, missing, ahead, attempt)?;
        if let Some(staged) = state.staged.get_mut(&key) {
            staged.extents.extend(more);
        }
    }
    let Some(staged) = state.staged.get_mut(&key) else {
        return bad("stripe");
    };
    staged.cells += 1;
    staged.last_len = len;
    staged.checksums.extend_from_slice(&cell.checksums);
    staged.writing += 1;
    staged.touched = now;
    Ok(Some(staged.take(&cell.bytes, len_hint == Some(all))))
}

/// A shard of which only `cell`, its first, has come.
fn first(
    shared: &Shared,
    state: &mut State,
    len_hint: Option<u64>,
    cell: &Cell,
    now: Monotonic,
    attempt: Attempt,
) -> Result<Staged, DriveError> {
    if cell.stripe != 0 {
        return bad("the first cell of a shard is that of stripe 0");
    }
    if state.staged.len() >= shared.config.staged_max || state.closing {
        return Err(DriveError::Busy);
    }
    let len = cell.bytes.len() as u32;
    let wanted = len_hint.unwrap_or_default().min(AHEAD_MAX).max(len.into());
    Ok(Staged {
        extents: more_extents(shared, state, len.into(), wanted, attempt)?,
        len: 0,
        cells: 1,
        cell_len: len,
        checksums: cell.checksums.clone(),
        writing: 1,
        admitted: Order::ZERO,
        rest: Rest::default(),
        unwritten: None,
        failed: None,
        discarded: false,
        last_len: len,
        touched: now,
    })
}

/// Whether the very same cell is there already; if not, it is the next one of `staged`.
fn is_repeated(staged: &Staged, cell: &Cell) -> Result<bool, DriveError> {
    if staged.discarded {
        return Err(DriveError::Busy);
    }
    if let Some(error) = &staged.failed {
        return Err(error.clone());
    }
    if cell.stripe < staged.cells {
        let blocks = staged.cell_len.div_ceil(BLOCK_LEN) as usize;
        let known = staged.checksums.iter().skip(cell.stripe as usize * blocks);
        let same = known.take(cell.checksums.len()).eq(&cell.checksums);
        return if same {
            Ok(true)
        } else {
            bad("stripe came before")
        };
    }
    let len = cell.bytes.len() as u32;
    if cell.stripe > staged.cells || staged.last_len < staged.cell_len || len > staged.cell_len {
        return bad("order or length of cells");
    }
    Ok(false)
}

fn bad<T>(what: &str) -> Result<T, DriveError> {
    Err(DriveError::BadRequest {
        what: what.to_owned(),
    })
}

/// `wanted` bytes, or just the `needed` ones if the drive has grown for them in vain.
fn more_extents(
    shared: &Shared,
    state: &mut State,
    needed: u64,
    wanted: u64,
    attempt: Attempt,
) -> Result<Vec<Extent>, DriveError> {
    let mut extents = state.take_data(shared, wanted.div_ceil(PAGE_LEN), Purpose::Shards);
    if extents.is_err() && attempt == Attempt::Grown {
        extents = state.take_data(shared, needed.div_ceil(PAGE_LEN), Purpose::Shards);
    }
    if state.space.free_pages() * PAGE_LEN < shared.config.prewrite_bytes / 2 {
        shared.house.notify_one();
    }
    extents
}

/// Notes the end of a write.
pub(crate) fn ended(shared: &Shared, write: WriteId, shard: u8, error: Option<&DriveError>) {
    let mut state = shared.state.lock();
    let state = &mut *state;
    if let Some(staged) = state.staged.get_mut(&(write, shard)) {
        staged.writing -= 1;
        if staged.failed.is_none() {
            staged.failed = error.cloned();
        }
        if staged.discarded && staged.writing == 0 {
            drop_staged(state, write, shard);
        }
    }
    shared.publish(state);
    shared.progress.notify_waiters();
}
