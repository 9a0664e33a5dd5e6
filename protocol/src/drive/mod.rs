//! Byte forms of what a drive keeps: superblock, log, checkpoint.
//!
//! Owns: pages and extents, and the forms `HFSB` ([`superblock`]), `HFDB` and `HFDE` ([`log`]),
//! `HFDM` ([`mark`]) and `HFDC` ([`checkpoint`]), as in `docs/formats/drive.md`.
//! Leaves to others: reading and writing them (`shard-node`), and what the records inside mean
//! ([`crate::record`]).
//! Always: an extent lies within [`PAGES_MAX`] and is not empty.

pub mod checkpoint;
pub mod log;
pub mod mark;
pub mod superblock;

pub use checkpoint::{Checkpoint, ChunkInfo, Grant, TableEntry, WriteRange};
pub use log::{BatchHeader, ClaimEntry, Entry, EntryHead, SealEntry, ShardEntry};
pub use mark::LogMark;
pub use superblock::Superblock;

use crate::codec::{FormatError, Reader, Writer};

/// Bytes per page: the unit in which a drive gives out space and aligns its log.
pub const PAGE_LEN: u64 = 4096;
/// Pages of a drive at most (4 PiB).
pub const PAGES_MAX: u64 = 1 << 40;
/// Pages of one extent at most (just under 64 GiB).
pub const EXTENT_PAGES_MAX: u32 = (1 << 24) - 1;
/// Extents of one shard, or of one spilled record, at most.
pub const EXTENTS_MAX: usize = 4096;

/// Pages in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// The first page of the drive's address space.
    pub page: u64,
    /// How many.
    pub count: u32,
}

impl Extent {
    /// Length of the byte form.
    pub const LEN: usize = 12;

    /// The first page after it.
    pub const fn end(self) -> u64 {
        self.page + self.count as u64
    }
    /// Its bytes.
    pub const fn len(self) -> u64 {
        self.count as u64 * PAGE_LEN
    }
    /// Whether it has no pages (never so in a valid form).
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }
    /// Appends 12 bytes.
    pub fn encode(self, out: &mut Writer) {
        out.u64(self.page);
        out.u32(self.count);
    }
    /// Reads 12 bytes.
    ///
    /// # Errors
    /// `Truncated`, or `Invalid` for an empty extent or one beyond the bounds.
    pub fn decode(input: &mut Reader<'_>) -> Result<Self, FormatError> {
        let (page, count) = (input.u64()?, input.u32()?);
        if count == 0 || count > EXTENT_PAGES_MAX || page >= PAGES_MAX - u64::from(count) {
            return Err(FormatError::Invalid { what: "extent" });
        }
        Ok(Self { page, count })
    }
}

fn encode_extents(extents: &[Extent], out: &mut Writer) {
    out.u32(extents.len() as u32);
    extents.iter().for_each(|extent| extent.encode(out));
}

fn decode_extents(input: &mut Reader<'_>) -> Result<Vec<Extent>, FormatError> {
    let count = input.count("extents", EXTENTS_MAX)?;
    if count * Extent::LEN > input.left() {
        return Err(FormatError::Truncated {
            needed: count * Extent::LEN,
            left: input.left(),
        });
    }
    (0..count).map(|_| Extent::decode(input)).collect()
}

#[cfg(test)]
mod tests;
