//! What a drive holds, at one batch of its log: replay starts there.
//!
//! Owns: the byte form `HFDC`.
//! Leaves to others: when one is written, and in how many copies (`shard-node`).
//! Always: entries are in ascending write id, each once. Free space is not stored: it is what no
//! extent and no chunk covers.

use bytes::Bytes;

use super::{Extent, PAGES_MAX, decode_extents, encode_extents};
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{
    ClaimantId, ClusterId, DriveId, GatewayId, Generation, IndexId, LogId, MovedWrite, Order,
    WriteId,
};
use crate::record::RecordKind;

/// First bytes of a checkpoint.
pub const MAGIC: [u8; 4] = *b"HFDC";
/// Newest version this release writes.
pub const VERSION: u8 = 2;
const ENTRY_LEN_MIN: usize = 55;

/// The generation that a drive obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The highest number granted.
    pub generation: Generation,
    /// To whom.
    pub claimant: ClaimantId,
    /// The index obeyed.
    pub index: IndexId,
}

/// Consecutive writes of one gateway that were purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteRange {
    /// The gateway.
    pub gateway: GatewayId,
    /// Its epoch.
    pub gateway_epoch: u32,
    /// The first counter.
    pub first: u64,
    /// The last counter.
    pub last: u64,
}

/// A chunk of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkInfo {
    /// Its first page.
    pub page: u64,
    /// Its place among the log's chunks.
    pub number: u64,
}

/// One write that the drive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The write.
    pub write: WriteId,
    /// Its order.
    pub order: Order,
    /// The order of the change that let the drive have it; `ZERO` if it came from the writer.
    pub admitted: Order,
    /// Kind of its record.
    pub kind: RecordKind,
    /// Whether record or shard are known to be damaged.
    pub damaged: bool,
    /// Index and digest of its shard.
    pub shard: Option<(u8, u64)>,
    /// Where its entry starts, in bytes of the drive's address space.
    pub address: u64,
    /// Bytes of its entry, padded.
    pub len: u32,
    /// Every extent it owns.
    pub extents: Vec<Extent>,
}

/// What a drive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The cluster.
    pub cluster: ClusterId,
    /// The drive.
    pub drive: DriveId,
    /// Counts the checkpoints of the drive.
    pub sequence: u64,
    /// The log.
    pub log: LogId,
    /// The batch that comes next.
    pub next_batch: u64,
    /// Bytes of the current chunk that are used; the next batch starts there if it fits.
    pub used: u64,
    /// Where the batch before the next one starts, in bytes of the drive's address space; 0 if
    /// there is none in the current chunk.
    pub last_batch: u64,
    /// First page of the chunk that follows the current one.
    pub next_chunk: u64,
    /// All chunks, the current one last.
    pub chunks: Vec<ChunkInfo>,
    /// Whom the drive obeys.
    pub grant: Option<Grant>,
    /// What was purged under that generation.
    pub purged: Vec<WriteRange>,
    /// What left the drive under that generation and lives elsewhere.
    pub moved: Vec<MovedWrite>,
    /// The highest order of a purge, a move away or an admission, under whatever generation.
    pub told: Order,
    /// Whether the drive lost entries of its log, and was not compared whole since.
    pub partial: bool,
    /// Pages of the address space that were given out at some time.
    pub frontier: u64,
    /// What it holds.
    pub entries: Vec<TableEntry>,
}

impl Checkpoint {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::format(MAGIC, VERSION, 256 + self.entries.len() * 72);
        self.cluster.encode(&mut out);
        self.drive.encode(&mut out);
        out.u64(self.sequence);
        self.log.encode(&mut out);
        out.u64(self.next_batch);
        out.u64(self.used);
        out.u64(self.last_batch);
        out.u64(self.next_chunk);
        out.u64(self.frontier);
        out.u32(self.chunks.len() as u32);
        for chunk in &self.chunks {
            out.u64(chunk.page);
            out.u64(chunk.number);
        }
        match &self.grant {
            None => out.u8(0),
            Some(grant) => {
                out.u8(1);
                grant.generation.encode(&mut out);
                grant.claimant.encode(&mut out);
                grant.index.encode(&mut out);
            }
        }
        out.u32(self.purged.len() as u32);
        for range in &self.purged {
            range.gateway.encode(&mut out);
            out.u32(range.gateway_epoch);
            out.u64(range.first);
            out.u64(range.last);
        }
        out.u32(self.moved.len() as u32);
        self.moved.iter().for_each(|moved| moved.encode(&mut out));
        self.told.encode(&mut out);
        out.u8(u8::from(self.partial));
        out.u64(self.entries.len() as u64);
        for entry in &self.entries {
            encode_entry(entry, &mut out);
        }
        out.finish()
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (version, mut input) = Reader::format(bytes, MAGIC, VERSION, "checkpoint")?;
        let input = &mut input;
        let cluster = ClusterId::decode(input)?;
        let drive = DriveId::decode(input)?;
        let sequence = input.u64()?;
        let log = LogId::decode(input)?;
        let (next_batch, used, last_batch) = (input.u64()?, input.u64()?, input.u64()?);
        let (next_chunk, frontier) = (input.u64()?, input.u64()?);
        if next_chunk >= PAGES_MAX || frontier > PAGES_MAX {
            return Err(FormatError::Invalid { what: "page" });
        }
        let chunk_count = counted(input, 16)?;
        let chunks = (0..chunk_count)
            .map(|_| decode_chunk(input))
            .collect::<Result<_, _>>()?;
        let grant = match input.bool("grant")? {
            false => None,
            true => Some(Grant {
                generation: Generation::decode(input)?,
                claimant: ClaimantId::decode(input)?,
                index: IndexId::decode(input)?,
            }),
        };
        let range_count = counted(input, 24)?;
        let purged = (0..range_count)
            .map(|_| decode_range(input))
            .collect::<Result<_, _>>()?;
        let moved_count = counted(input, MovedWrite::LEN)?;
        let moved = (0..moved_count)
            .map(|_| MovedWrite::decode(input))
            .collect::<Result<_, _>>()?;
        let told = Order::decode(input)?;
        let partial = version > 1 && input.bool("partial")?;
        let entries = decode_entries(input)?;
        input.end()?;
        Ok(Self {
            cluster,
            drive,
            sequence,
            log,
            next_batch,
            used,
            last_batch,
            next_chunk,
            chunks,
            grant,
            purged,
            moved,
            told,
            partial,
            frontier,
            entries,
        })
    }
}

/// A count of elements of at least `len` bytes each, bounded by the bytes that are left.
fn counted(input: &mut Reader<'_>, len: usize) -> Result<usize, FormatError> {
    let max = input.left() / len;
    input.count("elements of a checkpoint", max)
}

fn decode_chunk(input: &mut Reader<'_>) -> Result<ChunkInfo, FormatError> {
    let (page, number) = (input.u64()?, input.u64()?);
    if page >= PAGES_MAX {
        return Err(FormatError::Invalid { what: "page" });
    }
    Ok(ChunkInfo { page, number })
}

fn decode_range(input: &mut Reader<'_>) -> Result<WriteRange, FormatError> {
    let range = WriteRange {
        gateway: GatewayId::decode(input)?,
        gateway_epoch: input.u32()?,
        first: input.u64()?,
        last: input.u64()?,
    };
    if range.first > range.last {
        return Err(FormatError::Invalid {
            what: "range of writes",
        });
    }
    Ok(range)
}

fn encode_entry(entry: &TableEntry, out: &mut Writer) {
    entry.write.encode(out);
    entry.order.encode(out);
    out.u8(entry.kind as u8);
    let is_admitted = entry.admitted > Order::ZERO;
    let flags = u8::from(entry.damaged) | u8::from(entry.shard.is_some()) << 1;
    out.u8(flags | u8::from(is_admitted) << 2);
    out.u64(entry.address);
    out.u32(entry.len);
    let (index, digest) = entry.shard.unwrap_or((0, 0));
    out.u8(index);
    out.u64(digest);
    encode_extents(&entry.extents, out);
    if is_admitted {
        entry.admitted.encode(out);
    }
}

fn decode_entries(input: &mut Reader<'_>) -> Result<Vec<TableEntry>, FormatError> {
    let count = input.u64()?;
    let max = (input.left() / ENTRY_LEN_MIN) as u64;
    if count > max {
        return Err(FormatError::TooLong {
            what: "entries of a checkpoint",
            len: count,
            max,
        });
    }
    let mut entries: Vec<TableEntry> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let entry = decode_entry(input)?;
        if entries.last().is_some_and(|last| last.write >= entry.write) {
            return Err(FormatError::Invalid {
                what: "order of a checkpoint's entries",
            });
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn decode_entry(input: &mut Reader<'_>) -> Result<TableEntry, FormatError> {
    let write = WriteId::decode(input)?;
    let order = Order::decode(input)?;
    let kind = RecordKind::from_u8(input.u8()?)?;
    let flags = input.u8()?;
    let (address, len) = (input.u64()?, input.u32()?);
    let shard = (input.u8()?, input.u64()?);
    if flags > 7 {
        return Err(FormatError::Invalid {
            what: "flags of a checkpoint's entry",
        });
    }
    let extents = decode_extents(input)?;
    let admitted = match flags & 4 != 0 {
        true => Order::decode(input)?,
        false => Order::ZERO,
    };
    Ok(TableEntry {
        write,
        order,
        admitted,
        kind,
        damaged: flags & 1 != 0,
        shard: (flags & 2 != 0).then_some(shard),
        address,
        len,
        extents,
    })
}
