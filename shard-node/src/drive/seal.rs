//! Records that arrive, with the shards they seal.
//!
//! Owns: checking a record and its shard, idempotence, and handing both to the log.
//! Leaves to others: batches and syncs ([`super::log`]).
//! Always: one seal per write is under way; what it took from the staged shards belongs to the
//! request, so that a caller that goes away changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::log::BATCH_HEADER_LEN;
use holdfast_protocol::drive::{
    EXTENTS_MAX, Entry, Extent, LogMark, PAGE_LEN, SealEntry, ShardEntry, TableEntry,
};
use holdfast_protocol::rpc::{DriveError, DriveReply, LogPosition, SealShard};
use holdfast_protocol::{
    BLOCK_LEN, EncodedRecord, Generation, IndexId, Order, RecordHead, RecordKind, WriteId,
};
use tokio::sync::{mpsc, oneshot};

use super::grow::{self, Purpose};
use super::part::Part;
use super::read;
use super::request::{Request, SealJob};
use super::stage;
use super::state::{Shared, State};

/// Payloads longer than this share of a chunk are kept outside the log.
const SPILL_SHARE: u64 = 16;
/// Payloads longer than this, in bytes, are kept outside the log.
const SPILL_LEN: u64 = 256 << 10;

/// Under whose rule a request was admitted; checked again where requests are in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) generation: Generation,
    pub(crate) index: IndexId,
}

/// What is to be made durable.
pub(crate) struct Arrived {
    /// With which order the drive was let in.
    pub(crate) admitted: Order,
    pub(crate) record: EncodedRecord,
    pub(crate) shard: Option<SealShard>,
}

/// Ends a seal when dropped.
struct Sealing {
    shared: Arc<Shared>,
    write: WriteId,
}

impl Drop for Sealing {
    fn drop(&mut self) {
        self.shared.state.lock().sealing.remove(&self.write);
        self.shared.progress.notify_waiters();
    }
}

/// Makes a record, and its shard, durable.
///
/// # Errors
/// `Arrived` if record or cell fail their checksums; `BadRequest` if the shard is not what was
/// staged or another record is kept under this write; `Full`, `Purged`, `OutOfService`.
pub(crate) async fn seal(
    shared: &Arc<Shared>,
    queue: &mpsc::Sender<Request>,
    caller: Caller,
    mut arrived: Arrived,
) -> Result<DriveReply, DriveError> {
    shared.check_log()?;
    let record = &arrived.record;
    let head = record.verify(shared.superblock.cluster).map_err(|error| {
        shared.metrics.checksum_failure("arrival");
        DriveError::Arrived {
            what: error.to_string(),
        }
    })?;
    let sealing = enter(shared, head.write).await;
    if let Some(position) = same(shared, &head, &arrived).await? {
        stage::discard(shared, head.write);
        return Ok(DriveReply::Sealed { position });
    }
    if let Some(shard) = &mut arrived.shard
        && let Some(last) = shard.last.take()
    {
        let (len, admitted) = (shard.len, arrived.admitted);
        stage::stage_last(shared, head.write, shard.shard, len, admitted, last).await?;
    }
    let shard = arrived.shard.as_ref();
    if let Some(shard) = shard {
        written(shared, head.write, shard.shard).await;
    }
    let payload = arrived.record.len() as u64 + shard.map_or(0, checksums_len_max);
    let permit = queue.reserve().await.map_err(|_| closed())?;
    let (reply, receive) = oneshot::channel();
    let mut spill = Vec::new();
    if payload > spill_len(shared) {
        spill = grow::take(shared, payload.div_ceil(PAGE_LEN), Purpose::Log).await?;
    }
    let job = prepare(shared, &head, arrived, (caller, reply), &mut spill);
    shared.state.lock().free_data(&spill);
    let job = job?;
    permit.send(Request::Seal(Box::new((job, Guard(Some(sealing))))));
    receive.await.map_err(|_| closed())?
}

/// Bytes of block checksums of a shard, at most.
fn checksums_len_max(shard: &SealShard) -> u64 {
    8 * (shard.len / u64::from(BLOCK_LEN) + u64::from(shard.stripe_count))
}

/// Length above which a payload is kept outside the log, in bytes.
fn spill_len(shared: &Shared) -> u64 {
    SPILL_LEN.min(shared.superblock.chunk_len / SPILL_SHARE)
}

/// Keeps a write from being sealed twice until its batch is done.
pub(crate) struct Guard(Option<Sealing>);

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Guard").field(&self.0.is_some()).finish()
    }
}

fn closed() -> DriveError {
    DriveError::OutOfService {
        why: "closing".to_owned(),
    }
}

/// Waits until no other seal of `write` is under way.
async fn enter(shared: &Arc<Shared>, write: WriteId) -> Sealing {
    loop {
        let progress = shared.progress.notified();
        tokio::pin!(progress);
        progress.as_mut().enable();
        if shared.state.lock().sealing.insert(write) {
            return Sealing {
                shared: Arc::clone(shared),
                write,
            };
        }
        progress.await;
    }
}

/// Waits until no write to the shard is under way.
async fn written(shared: &Shared, write: WriteId, shard: u8) {
    loop {
        let progress = shared.progress.notified();
        tokio::pin!(progress);
        progress.as_mut().enable();
        let key = (write, shard);
        let writing = shared
            .state
            .lock()
            .staged
            .get(&key)
            .map_or(0, |s| s.writing);
        if writing == 0 {
            return;
        }
        progress.await;
    }
}

/// Where the same record (and shard) was sealed before, if it was, is not known to be damaged, and
/// need not be written anew to be held with a higher order.
async fn same(
    shared: &Arc<Shared>,
    head: &RecordHead,
    arrived: &Arrived,
) -> Result<Option<LogPosition>, DriveError> {
    let Arrived {
        admitted,
        record,
        shard,
    } = arrived;
    let row = {
        let state = shared.state.lock();
        if state.purged.refuses(head.write, *admitted) {
            return Err(DriveError::Purged);
        }
        state.table.get(head.write)
    };
    let Some(row) = row.filter(|row| !row.damaged) else {
        return Ok(None);
    };
    let kept = match read::record(shared, head.write, false).await {
        Ok(kept) => kept,
        // What cannot be read is written anew, elsewhere.
        Err(DriveError::Damaged { .. } | DriveError::Io { .. } | DriveError::NotFound) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if kept.record.head != record.head {
        return Err(DriveError::BadRequest {
            what: "another record is kept under this write".to_owned(),
        });
    }
    match (row.shard, shard) {
        // What left before, or what an earlier attempt left behind: a purge of it may come yet.
        (_, Some(_)) | (None, None) if row.admitted < *admitted => Ok(None),
        (None, Some(_)) => Ok(None),
        (Some((index, digest)), Some(shard)) if index != shard.shard || digest != shard.digest => {
            Err(DriveError::BadRequest {
                what: "another shard is kept under this write".to_owned(),
            })
        }
        _ => Ok(Some(kept.position)),
    }
}

/// Takes the staged shard and builds the entry; what the log has no place for goes to the pages of
/// `spill`, and those that stay there are not needed. Nothing here waits.
fn prepare(
    shared: &Shared,
    head: &RecordHead,
    arrived: Arrived,
    (caller, reply): (Caller, oneshot::Sender<Result<DriveReply, DriveError>>),
    spill: &mut Vec<Extent>,
) -> Result<SealJob, DriveError> {
    let Arrived {
        admitted,
        record,
        shard,
    } = arrived;
    let mut state = shared.state.lock();
    let state = &mut *state;
    let inline = head.kind == RecordKind::Commit && !record.body.is_empty();
    if inline && state.free_bytes(shared) < record.len() as u64 {
        state.available = shared.files.available();
        if state.free_bytes(shared) < record.len() as u64 {
            return Err(DriveError::Full);
        }
    }
    let (shard, checksums, unwritten) = match &shard {
        None => (None, Bytes::new(), None),
        Some(shard) => {
            let (entry, checksums, unwritten) = take_staged(state, head.write, shard)?;
            (Some(entry), checksums, unwritten)
        }
    };
    let mut entry = SealEntry {
        write: head.write,
        order: head.order,
        admitted: admitted.max(state.table.admitted(head.write)),
        kind: head.kind,
        damaged: false,
        head_len: record.head.len() as u32,
        body_len: record.body.len() as u32,
        shard,
        spill: Vec::new(),
    };
    let batch_len_max = LogMark::offset(shared.superblock.chunk_len);
    let payload_len = entry.payload_len() as u64;
    if payload_len > spill_len(shared) {
        (entry.spill, *spill) = trim(payload_len, spill);
    }
    let entry_len = BATCH_HEADER_LEN + Entry::Seal(entry.clone()).padded_len();
    if entry_len as u64 > batch_len_max {
        let extents: Vec<Extent> = entry.extents().collect();
        state.free_data(&extents);
        return Err(DriveError::Full);
    }
    Ok(SealJob {
        entry,
        tail: vec![checksums, record.head, record.body],
        unwritten,
        caller,
        reply,
    })
}

/// Takes the staged shard out, if it is exactly what is to be sealed.
fn take_staged(
    state: &mut State,
    write: WriteId,
    shard: &SealShard,
) -> Result<(ShardEntry, Bytes, Option<Part>), DriveError> {
    let bad = |what: &str| DriveError::BadRequest {
        what: what.to_owned(),
    };
    let key = (write, shard.shard);
    let staged = state
        .staged
        .get(&key)
        .ok_or_else(|| bad("no such shard is staged"))?;
    if let Some(error) = &staged.failed {
        return Err(error.clone());
    }
    if staged.writing > 0 {
        return Err(DriveError::Busy);
    }
    if staged.len != shard.len || staged.cells != shard.stripe_count {
        return Err(bad("length or number of cells of the shard"));
    }
    let checksums: Vec<u8> = staged
        .checksums
        .iter()
        .flat_map(|sum| sum.to_le_bytes())
        .collect();
    if crc64(&checksums) != shard.digest {
        return Err(bad("digest of the shard"));
    }
    let mut staged = state.staged.remove(&key).ok_or_else(|| bad("shard"))?;
    stage::finish(&mut staged);
    let (extents, rest) = trim(staged.len, &staged.extents);
    state.free_data(&rest);
    if extents.len() > EXTENTS_MAX {
        state.free_data(&extents);
        return Err(DriveError::Full);
    }
    let entry = ShardEntry {
        index: shard.shard,
        len: staged.len,
        stripe_count: staged.cells,
        cell_len: staged.cell_len,
        block_count: staged.checksums.len() as u32,
        digest: shard.digest,
        extents,
    };
    Ok((entry, checksums.into(), staged.unwritten))
}

/// The extents that hold the shard, adjacent ones joined, and those it does not need.
fn trim(len: u64, extents: &[Extent]) -> (Vec<Extent>, Vec<Extent>) {
    let mut left = len.div_ceil(PAGE_LEN);
    let (mut kept, mut rest) = (Vec::new(), Vec::new());
    for extent in extents {
        let used = left.min(extent.count.into()) as u32;
        left -= u64::from(used);
        let (first, second) = (
            Extent {
                page: extent.page,
                count: used,
            },
            Extent {
                page: extent.page + u64::from(used),
                count: extent.count - used,
            },
        );
        kept.extend(Some(first).filter(|extent| !extent.is_empty()));
        rest.extend(Some(second).filter(|extent| !extent.is_empty()));
    }
    (kept, rest)
}

/// The row of a sealed entry at `address`.
pub(crate) fn row(entry: &SealEntry, address: u64, len: u32) -> TableEntry {
    TableEntry {
        write: entry.write,
        order: entry.order,
        admitted: entry.admitted,
        kind: entry.kind,
        damaged: entry.damaged,
        shard: entry
            .shard
            .as_ref()
            .map(|shard| (shard.index, shard.digest)),
        address,
        len,
        extents: entry.extents().collect(),
    }
}
