//! The log of a drive: batches, and the entries in them.
//!
//! Owns: the byte forms `HFDB` (header of a batch) and `HFDE` (an entry).
//! Leaves to others: chunks, syncs and recovery (`shard-node`).
//! Always: header and fields of an entry have a checksum each; what follows the fields is verified
//! by what it is: block checksums by the shard's digest, the record's head by its own, the body by
//! the record's.

use super::{Extent, decode_extents, encode_extents};
use crate::checksum::crc64;
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{ClaimantId, Generation, IndexId, LogId, MovedWrite, Order, WriteId};
use crate::layout::BLOCK_LEN;
use crate::record::{BODY_LEN_MAX, HEAD_LEN_MAX, RecordKind};

/// First bytes of a batch.
pub const BATCH_MAGIC: [u8; 4] = *b"HFDB";
/// First bytes of an entry.
pub const ENTRY_MAGIC: [u8; 4] = *b"HFDE";
/// Newest version this release writes, of both.
pub const VERSION: u8 = 1;
/// Bytes of a batch header.
pub const BATCH_HEADER_LEN: usize = 64;
/// Entries start at multiples of this many bytes from the start of their batch.
pub const ENTRY_ALIGN: usize = 8;
/// Bytes before the fields that differ by kind.
pub const ENTRY_PREFIX_LEN: usize = 32;
/// Fields of one entry take at most so many bytes: [`super::EXTENTS_MAX`] extents, twice.
pub const FIELDS_LEN_MAX: usize = 128 << 10;
/// Writes named by one purge or leave entry at most.
pub const PURGE_WRITES_MAX: usize = 4096;
/// Blocks of one shard at most (1 TiB).
pub const BLOCKS_MAX: usize = 1 << 24;

/// What precedes the entries of a batch. A batch starts at a page and fills whole pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The log.
    pub log: LogId,
    /// Counts the batches of the log, from 1.
    pub batch: u64,
    /// Counts the chunks of the log, from 1.
    pub chunk: u64,
    /// First page of the chunk that will follow this one.
    pub next_chunk: u64,
    /// Bytes of the batch, this header included, padding to the page not.
    pub len: u32,
    /// Entries.
    pub count: u32,
    /// CRC-64 of everything after this header.
    pub body_checksum: u64,
}

impl BatchHeader {
    /// The 64 bytes.
    pub fn encode(&self) -> [u8; BATCH_HEADER_LEN] {
        let mut out = Writer::format(BATCH_MAGIC, VERSION, BATCH_HEADER_LEN);
        out.raw(&[0; 3]);
        self.log.encode(&mut out);
        out.u64(self.batch);
        out.u64(self.chunk);
        out.u64(self.next_chunk);
        out.u32(self.len);
        out.u32(self.count);
        out.u64(self.body_checksum);
        let bytes = out.finish();
        let mut array = [0; BATCH_HEADER_LEN];
        array.copy_from_slice(&bytes);
        array
    }

    /// Reads the first 64 of `bytes`.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Version` or `Checksum`; `Invalid` if the batch is longer than
    /// `len_max`.
    pub fn decode(bytes: &[u8], len_max: u64) -> Result<Self, FormatError> {
        let head = Reader::new(bytes).raw(BATCH_HEADER_LEN)?;
        let (_, mut input) = Reader::format(head, BATCH_MAGIC, VERSION, "log batch")?;
        input.raw(3)?;
        let header = Self {
            log: LogId::decode(&mut input)?,
            batch: input.u64()?,
            chunk: input.u64()?,
            next_chunk: input.u64()?,
            len: input.u32()?,
            count: input.u32()?,
            body_checksum: input.u64()?,
        };
        if u64::from(header.len) > len_max || (header.len as usize) < BATCH_HEADER_LEN {
            return Err(FormatError::Invalid {
                what: "length of a log batch",
            });
        }
        Ok(header)
    }
}

/// The shard that an entry makes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// Its index within the geometry.
    pub index: u8,
    /// Bytes, all cells.
    pub len: u64,
    /// Cells.
    pub stripe_count: u32,
    /// Bytes of each cell; the last may be shorter.
    pub cell_len: u32,
    /// Blocks, and so checksums.
    pub block_count: u32,
    /// CRC-64 over the block checksums.
    pub digest: u64,
    /// Where its bytes are, in order.
    pub extents: Vec<Extent>,
}

impl ShardEntry {
    /// Whether lengths, counts and extents agree; also if only its name is left (no cells).
    pub fn is_consistent(&self) -> bool {
        if self.stripe_count == 0 {
            return self.len == 0 && self.block_count == 0;
        }
        let before = u64::from(self.stripe_count - 1) * u64::from(self.cell_len);
        let Some(last) = self.len.checked_sub(before) else {
            return false;
        };
        let blocks = |len: u64| len.div_ceil(BLOCK_LEN.into());
        let full = u64::from(self.stripe_count - 1) * blocks(self.cell_len.into());
        let space: u64 = self.extents.iter().map(|extent| extent.len()).sum();
        (1..=u64::from(self.cell_len)).contains(&last)
            && full + blocks(last) == u64::from(self.block_count)
            && space >= self.len
    }
}

/// A record, and the shard that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealEntry {
    /// The write.
    pub write: WriteId,
    /// Its place among all changes.
    pub order: Order,
    /// The order of the change that let the drive have it; `ZERO` if it came from the writer.
    pub admitted: Order,
    /// Kind of the record.
    pub kind: RecordKind,
    /// Whether it was known to be damaged when this was written (it was moved so).
    pub damaged: bool,
    /// Bytes of the record's head; 0 if it is lost.
    pub head_len: u32,
    /// Bytes of the record's body.
    pub body_len: u32,
    /// The shard.
    pub shard: Option<ShardEntry>,
    /// Where checksums, head and body are, when too long for the log; empty if they follow the
    /// fields.
    pub spill: Vec<Extent>,
}

impl SealEntry {
    /// Bytes of the block checksums.
    pub fn checksums_len(&self) -> usize {
        self.shard
            .as_ref()
            .map_or(0, |shard| shard.block_count as usize * 8)
    }
    /// Bytes of checksums, head and body together.
    pub fn payload_len(&self) -> usize {
        self.checksums_len() + self.head_len as usize + self.body_len as usize
    }
    /// Every extent the entry owns: those of the spilled payload, then those of the shard.
    pub fn extents(&self) -> impl Iterator<Item = Extent> {
        let shard = self.shard.iter().flat_map(|shard| &shard.extents);
        self.spill.iter().chain(shard).copied()
    }
}

/// A granted generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimEntry {
    /// The number.
    pub generation: Generation,
    /// To whom.
    pub claimant: ClaimantId,
    /// The index obeyed from then on.
    pub index: IndexId,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record is kept, and its shard; replaces what was kept of the write before.
    Seal(SealEntry),
    /// Writes are dropped, and refused until a newer generation is granted.
    Purge {
        /// The highest order of the changes that retired them.
        order: Order,
        /// The writes.
        writes: Vec<WriteId>,
    },
    /// A generation is granted.
    Claim(ClaimEntry),
    /// Writes live elsewhere: what was admitted below the order is dropped, and what comes with an
    /// order up to it is refused until a newer generation is granted.
    Leave(Vec<MovedWrite>),
}

/// An entry up to the end of its fields, and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryHead {
    /// The log.
    pub log: LogId,
    /// The batch.
    pub batch: u64,
    /// Bytes of prefix, fields and their checksum.
    pub fields_len: u32,
    /// Bytes after them, in the log.
    pub tail_len: u32,
    /// What it says.
    pub entry: Entry,
}

impl EntryHead {
    /// Bytes of the whole entry in the log, padded.
    pub fn padded_len(&self) -> usize {
        (self.fields_len as usize + self.tail_len as usize).next_multiple_of(ENTRY_ALIGN)
    }

    /// Reads the head of an entry off the front of `bytes`; bytes after the fields are not touched.
    ///
    /// # Errors
    /// A [`FormatError`] that names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut prefix = Reader::new(bytes);
        if prefix.array::<4>()? != ENTRY_MAGIC {
            return Err(FormatError::Magic { what: "log entry" });
        }
        prefix.raw(4)?;
        let fields_len = prefix.count("fields of a log entry", FIELDS_LEN_MAX)?;
        let fields = Reader::new(bytes).raw(fields_len)?;
        let (_, mut input) = Reader::format(fields, ENTRY_MAGIC, VERSION, "log entry")?;
        let kind = input.u8()?;
        input.raw(6)?;
        let tail_len = input.u32()?;
        let log = LogId::decode(&mut input)?;
        let batch = input.u64()?;
        let entry = match kind {
            1 => Entry::Seal(decode_seal(&mut input)?),
            2 => Entry::Purge {
                order: Order::decode(&mut input)?,
                writes: decode_purge(&mut input)?,
            },
            3 => Entry::Claim(ClaimEntry {
                generation: Generation::decode(&mut input)?,
                claimant: ClaimantId::decode(&mut input)?,
                index: IndexId::decode(&mut input)?,
            }),
            4 => Entry::Leave(decode_moved(&mut input)?),
            _ => return Err(FormatError::Invalid { what: "entry kind" }),
        };
        input.end()?;
        if tail_len as usize != tail_len_of(&entry) {
            return Err(FormatError::Invalid {
                what: "length of a log entry",
            });
        }
        Ok(Self {
            log,
            batch,
            fields_len: fields_len as u32,
            tail_len,
            entry,
        })
    }
}

impl Entry {
    /// Prefix, fields and their checksum, as part of batch `batch` of `log`.
    pub fn encode(&self, log: LogId, batch: u64) -> Vec<u8> {
        let mut out = Writer::format(ENTRY_MAGIC, VERSION, 192);
        out.u8(match self {
            Self::Seal(_) => 1,
            Self::Purge { .. } => 2,
            Self::Claim(_) => 3,
            Self::Leave(_) => 4,
        });
        out.raw(&[0; 2]);
        out.u32(self.fields_len() as u32);
        out.u32(tail_len_of(self) as u32);
        log.encode(&mut out);
        out.u64(batch);
        match self {
            Self::Seal(seal) => encode_seal(seal, &mut out),
            Self::Purge { order, writes } => {
                order.encode(&mut out);
                out.u32(writes.len() as u32);
                writes.iter().for_each(|write| write.encode(&mut out));
            }
            Self::Claim(claim) => {
                claim.generation.encode(&mut out);
                claim.claimant.encode(&mut out);
                claim.index.encode(&mut out);
            }
            Self::Leave(moved) => {
                out.u32(moved.len() as u32);
                moved.iter().for_each(|moved| moved.encode(&mut out));
            }
        }
        let sum = crc64(out.as_slice());
        out.u64(sum);
        out.into_vec()
    }

    /// Bytes of prefix, fields and their checksum.
    pub fn fields_len(&self) -> usize {
        let fields = match self {
            Self::Seal(seal) => {
                let shard = seal
                    .shard
                    .as_ref()
                    .map_or(0, |shard| 33 + shard.extents.len() * Extent::LEN);
                55 + seal.spill.len() * Extent::LEN + shard
            }
            Self::Purge { writes, .. } => 16 + writes.len() * WriteId::LEN,
            Self::Claim(_) => 36,
            Self::Leave(moved) => 4 + moved.len() * MovedWrite::LEN,
        };
        ENTRY_PREFIX_LEN + fields + 8
    }

    /// Bytes of the whole entry in the log, padded.
    pub fn padded_len(&self) -> usize {
        (self.fields_len() + tail_len_of(self)).next_multiple_of(ENTRY_ALIGN)
    }
}

fn tail_len_of(entry: &Entry) -> usize {
    match entry {
        Entry::Seal(seal) if seal.spill.is_empty() => seal.payload_len(),
        _ => 0,
    }
}

fn encode_seal(seal: &SealEntry, out: &mut Writer) {
    seal.write.encode(out);
    seal.order.encode(out);
    seal.admitted.encode(out);
    out.u8(seal.kind as u8);
    out.u8(seal.damaged.into());
    out.u32(seal.head_len);
    out.u32(seal.body_len);
    encode_extents(&seal.spill, out);
    let Some(shard) = &seal.shard else {
        out.u8(0);
        return;
    };
    out.u8(1);
    out.u8(shard.index);
    out.u64(shard.len);
    out.u32(shard.stripe_count);
    out.u32(shard.cell_len);
    out.u32(shard.block_count);
    out.u64(shard.digest);
    encode_extents(&shard.extents, out);
}

fn decode_seal(input: &mut Reader<'_>) -> Result<SealEntry, FormatError> {
    let seal = SealEntry {
        write: WriteId::decode(input)?,
        order: Order::decode(input)?,
        admitted: Order::decode(input)?,
        kind: RecordKind::from_u8(input.u8()?)?,
        damaged: input.bool("damaged")?,
        head_len: input.count("record head", HEAD_LEN_MAX)? as u32,
        body_len: input.count("record body", BODY_LEN_MAX)? as u32,
        spill: decode_extents(input)?,
        shard: match input.bool("shard")? {
            false => None,
            true => Some(ShardEntry {
                index: input.u8()?,
                len: input.u64()?,
                stripe_count: input.u32()?,
                cell_len: input.u32()?,
                block_count: input.count("blocks", BLOCKS_MAX)? as u32,
                digest: input.u64()?,
                extents: decode_extents(input)?,
            }),
        },
    };
    if seal
        .shard
        .as_ref()
        .is_some_and(|shard| !shard.is_consistent())
    {
        return Err(FormatError::Invalid { what: "shard" });
    }
    Ok(seal)
}

fn decode_purge(input: &mut Reader<'_>) -> Result<Vec<WriteId>, FormatError> {
    let count = input.count("purged writes", PURGE_WRITES_MAX)?;
    (0..count).map(|_| WriteId::decode(input)).collect()
}

fn decode_moved(input: &mut Reader<'_>) -> Result<Vec<MovedWrite>, FormatError> {
    let count = input.count("moved writes", PURGE_WRITES_MAX)?;
    (0..count).map(|_| MovedWrite::decode(input)).collect()
}
