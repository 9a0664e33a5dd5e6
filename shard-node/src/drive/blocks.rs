//! Blocks of sealed shards, read back.
//!
//! Owns: which bytes a span is, reading them, verifying whole shards.
//! Leaves to others: checking blocks that are handed out (the caller does, against the checksums).
//! Always: no block is read that was not asked for; adjacent spans are read in one go.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::drive::{ShardEntry, TableEntry};
use holdfast_protocol::rpc::{BlockSpan, DriveError, DriveReply, Piece};
use holdfast_protocol::{BLOCK_LEN, BlockIdentity, ClusterId, WriteId, block_checksum};

use super::files::Files;
use super::read::{
    Opened, Pinned, TRIES, Trouble, fetch, on_medium, open, part, read_places, record, row_of,
    settle, sound,
};
use super::stage::places;
use super::state::Shared;

/// Bytes of one read at most.
const READ_LEN_MAX: u64 = 64 << 20;
/// Bad blocks named at most.
const BAD_MAX: usize = 1024;

/// Reads blocks of a shard.
///
/// # Errors
/// `NotFound`, `BadRequest` for spans outside the shard, `Damaged` if its entry is, `Io`.
pub(crate) async fn blocks(
    shared: &Arc<Shared>,
    write: WriteId,
    shard: u8,
    spans: &[BlockSpan],
) -> Result<DriveReply, DriveError> {
    let pinned = Pinned::new(shared, write);
    for _ in 0..TRIES {
        let row = shard_row(shared, write, shard)?;
        let address = row.address;
        let done = load_blocks(shared, &pinned, row, spans).await;
        if let Some(answer) = settle(shared, write, address, done) {
            let (entry, wanted) = answer?;
            let Some(wanted) = wanted else {
                return Err(DriveError::BadRequest {
                    what: "span outside the shard, or too long".to_owned(),
                });
            };
            return read_pieces(shared, &pinned, &entry, wanted).await;
        }
    }
    Err(DriveError::Busy)
}

/// The spans of a shard, and the checksums from the first of them on.
struct Wanted {
    ranges: Vec<Range>,
    first: u64,
    sums: Bytes,
}

async fn load_blocks(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    row: TableEntry,
    spans: &[BlockSpan],
) -> Result<(ShardEntry, Option<Wanted>), Trouble> {
    let opened = open(shared, pinned, row).await?;
    let entry = placed(&opened)?;
    let Some(ranges) = ranges(&entry, spans) else {
        return Ok((entry, None));
    };
    let first = ranges.iter().map(|range| range.checksum).min();
    let last = ranges.iter().map(|r| r.checksum + r.blocks).max();
    let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    let sums = part(shared, pinned, &opened, first * 8, (last - first) * 8).await?;
    let wanted = Wanted {
        ranges,
        first,
        sums,
    };
    Ok((entry, Some(wanted)))
}

async fn read_pieces(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    entry: &ShardEntry,
    wanted: Wanted,
) -> Result<DriveReply, DriveError> {
    let buffers = read_ranges(shared, pinned, entry, &wanted.ranges).await?;
    let pieces = wanted.ranges.iter().zip(buffers).map(|(range, bytes)| {
        let first = (range.checksum - wanted.first) as usize;
        let checksums = checksums(&wanted.sums, first, range.blocks as usize);
        Piece { bytes, checksums }
    });
    Ok(DriveReply::Blocks {
        pieces: pieces.collect(),
    })
}

/// The row of a write that has this shard.
fn shard_row(shared: &Shared, write: WriteId, shard: u8) -> Result<TableEntry, DriveError> {
    let row = row_of(shared, write)?;
    match row.shard {
        Some((index, _)) if index == shard => Ok(row),
        _ => Err(DriveError::NotFound),
    }
}

/// The shard of an entry, if it is known where it lies.
fn placed(opened: &Opened) -> Result<ShardEntry, Trouble> {
    let entry = opened.seal.shard.clone();
    entry
        .filter(|entry| entry.stripe_count > 0)
        .ok_or_else(|| Trouble::Bad("the place of the shard is lost".to_owned()))
}

/// Reads a shard from the medium and checks every block.
///
/// # Errors
/// `NotFound`, `Damaged` if its entry is, `Io`.
pub(crate) async fn verify(
    shared: &Arc<Shared>,
    write: WriteId,
    shard: u8,
) -> Result<DriveReply, DriveError> {
    let pinned = Pinned::new(shared, write);
    for _ in 0..TRIES {
        let row = shard_row(shared, write, shard)?;
        let address = row.address;
        let done = load_shard(shared, &pinned, row.clone()).await;
        if let Some(answer) = settle(shared, write, address, done) {
            let (entry, sums) = answer?;
            let checked = check(shared, &pinned, write, entry, sums).await;
            let is_good = |reply: &DriveReply| match reply {
                DriveReply::Verified { bad, .. } => bad.is_empty(),
                _ => false,
            };
            if row.damaged
                && checked.as_ref().is_ok_and(is_good)
                && record(shared, write, true).await.is_ok()
            {
                sound(shared, write, &row);
            }
            return checked;
        }
    }
    Err(DriveError::Busy)
}

async fn load_shard(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    row: TableEntry,
) -> Result<(ShardEntry, Bytes), Trouble> {
    let opened = open(shared, pinned, row).await?;
    let len = opened.seal.checksums_len() as u64;
    let sums = part(shared, pinned, &opened, 0, len).await?;
    let entry = placed(&opened)?;
    if crc64(&sums) != entry.digest {
        return Err(Trouble::Bad("block checksums".to_owned()));
    }
    Ok((entry, sums))
}

async fn check(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    write: WriteId,
    entry: ShardEntry,
    sums: Bytes,
) -> Result<DriveReply, DriveError> {
    let job = Arc::clone(pinned);
    let blocks = u64::from(entry.block_count);
    let bad = on_medium(shared, move || {
        let shared = &job.shared;
        bad_blocks(
            &shared.files,
            shared.superblock.cluster,
            write,
            &entry,
            &sums,
        )
    })
    .await
    .ok_or_else(|| DriveError::Io {
        what: "shutting down".to_owned(),
    })?;
    if !bad.is_empty() {
        shared.metrics.checksum_failure("verify");
        shared.state.lock().table.mark_damaged(write);
    }
    Ok(DriveReply::Verified { bad, blocks })
}

/// The blocks of a shard that fail their checksum or cannot be read, the first [`BAD_MAX`].
pub(crate) fn bad_blocks(
    files: &Files,
    cluster: ClusterId,
    write: WriteId,
    entry: &ShardEntry,
    sums: &[u8],
) -> Vec<(u32, u16)> {
    let mut bad = Vec::new();
    let cell_blocks = entry.cell_len.div_ceil(BLOCK_LEN);
    for stripe in 0..entry.stripe_count {
        let start = u64::from(stripe) * u64::from(entry.cell_len);
        let len = entry.len.saturating_sub(start).min(entry.cell_len.into());
        for block in 0..(len as u32).div_ceil(BLOCK_LEN) {
            let offset = start + u64::from(block) * u64::from(BLOCK_LEN);
            let block_len = (start + len - offset).min(BLOCK_LEN.into());
            let index = stripe as usize * cell_blocks as usize + block as usize;
            let identity = BlockIdentity {
                cluster,
                write,
                shard: entry.index,
                stripe,
                block: block as u16,
            };
            let mut buffer = vec![0; block_len as usize];
            let sound = read_extents(files, entry, offset, &mut buffer).is_ok()
                && checksums(sums, index, 1) == [block_checksum(identity, &buffer)];
            if !sound && bad.len() < BAD_MAX {
                bad.push((stripe, block as u16));
            }
        }
    }
    bad
}

fn read_extents(
    files: &Files,
    entry: &ShardEntry,
    offset: u64,
    buffer: &mut [u8],
) -> io::Result<()> {
    let found = places(&entry.extents, offset, buffer.len() as u64);
    let len: u64 = found.iter().map(|(_, len)| len).sum();
    if len != buffer.len() as u64 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut failed = None;
    read_places(&found, buffer, |at, out| {
        failed = files.read(at, out).err();
        failed.is_none()
    });
    failed.map_or(Ok(()), Err)
}

/// A span, in bytes and checksums of its shard.
struct Range {
    offset: u64,
    len: u64,
    checksum: u64,
    blocks: u64,
}

/// Where the spans are; `None` if one leaves its cell or the shard, or all are too long.
fn ranges(entry: &ShardEntry, spans: &[BlockSpan]) -> Option<Vec<Range>> {
    let cell_len = u64::from(entry.cell_len);
    let block_len = u64::from(BLOCK_LEN);
    let mut total = 0;
    let mut found = Vec::with_capacity(spans.len());
    for span in spans {
        let start = u64::from(span.stripe) * cell_len;
        let len = entry.len.checked_sub(start)?.min(cell_len);
        let first = u64::from(span.first_block);
        let blocks = u64::from(span.block_count);
        if span.stripe >= entry.stripe_count
            || blocks == 0
            || first + blocks > len.div_ceil(block_len)
        {
            return None;
        }
        let end = ((first + blocks) * block_len).min(len);
        let range = Range {
            offset: start + first * block_len,
            len: end - first * block_len,
            checksum: u64::from(span.stripe) * cell_len.div_ceil(block_len) + first,
            blocks,
        };
        total += range.len;
        found.push(range);
    }
    (total <= READ_LEN_MAX).then_some(found)
}

/// Reads the ranges, adjacent ones in one go.
async fn read_ranges(
    shared: &Arc<Shared>,
    pinned: &Arc<Pinned>,
    entry: &ShardEntry,
    ranges: &[Range],
) -> Result<Vec<Bytes>, DriveError> {
    let mut buffers = Vec::with_capacity(ranges.len());
    let mut rest = ranges;
    while let Some(first) = rest.first() {
        let mut end = first.offset + first.len;
        let mut count = 1;
        while let Some(next) = rest.get(count).filter(|next| next.offset == end) {
            end += next.len;
            count += 1;
        }
        let found = places(&entry.extents, first.offset, end - first.offset);
        let bytes = fetch(shared, pinned, found)
            .await
            .map_err(|error| match error {
                Trouble::Bad(what) => DriveError::Damaged { what },
                Trouble::Io(what) => {
                    shared.metrics.error("read");
                    DriveError::Io { what }
                }
            })?;
        let (group, after) = rest.split_at(count);
        for range in group {
            let start = (range.offset - first.offset) as usize;
            buffers.push(bytes.slice(start..start + range.len as usize));
        }
        rest = after;
    }
    Ok(buffers)
}

fn checksums(bytes: &[u8], first: usize, count: usize) -> Vec<u64> {
    let wanted = bytes.get(first * 8..(first + count) * 8);
    let sums = wanted.unwrap_or_default().chunks_exact(8);
    sums.map(|sum| u64::from_le_bytes(sum.try_into().unwrap_or_default()))
        .collect()
}
