//! What a data directory says it is.
//!
//! Owns: the byte form `HFSB`.
//! Leaves to others: writing it once, last, when a drive is formatted.
//! Always: lengths of arenas and chunks are whole pages, and a chunk fits in an arena.

use bytes::Bytes;

use super::{PAGE_LEN, PAGES_MAX};
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::{ClusterId, DriveId};

/// First bytes of a superblock.
pub const MAGIC: [u8; 4] = *b"HFSB";
/// Newest version this release writes.
pub const VERSION: u8 = 1;
/// Shortest chunk of a log, in bytes.
pub const CHUNK_LEN_MIN: u64 = 64 << 10;
/// Longest chunk of a log, in bytes.
pub const CHUNK_LEN_MAX: u64 = 256 << 20;
/// A superblock is never longer, in bytes.
pub const LEN_MAX: usize = 4096;

/// Who a drive is and how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// The drive.
    pub drive: DriveId,
    /// Bytes of each arena file at most.
    pub arena_len: u64,
    /// Bytes of each chunk of the log.
    pub chunk_len: u64,
    /// Wall clock when it was formatted, for people only (milliseconds since 1970).
    pub created_ms: u64,
}

impl Superblock {
    /// The byte form.
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::format(MAGIC, VERSION, 64);
        self.cluster.encode(&mut out);
        self.drive.encode(&mut out);
        out.u64(self.arena_len);
        out.u64(self.chunk_len);
        out.u64(self.created_ms);
        out.finish()
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// A [`FormatError`] that names what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let (_, mut input) = Reader::format(bytes, MAGIC, VERSION, "superblock")?;
        let superblock = Self {
            cluster: ClusterId::decode(&mut input)?,
            drive: DriveId::decode(&mut input)?,
            arena_len: input.u64()?,
            chunk_len: input.u64()?,
            created_ms: input.u64()?,
        };
        input.end()?;
        superblock.check()?;
        Ok(superblock)
    }

    /// Checks the lengths.
    ///
    /// # Errors
    /// `Invalid` if they are not whole pages or out of bounds.
    pub fn check(&self) -> Result<(), FormatError> {
        let chunk = CHUNK_LEN_MIN..=CHUNK_LEN_MAX;
        let arena = self.chunk_len..=PAGES_MAX / 2 * PAGE_LEN;
        if !self.chunk_len.is_multiple_of(PAGE_LEN) || !chunk.contains(&self.chunk_len) {
            return Err(FormatError::Invalid { what: "chunk_len" });
        }
        if !self.arena_len.is_multiple_of(PAGE_LEN) || !arena.contains(&self.arena_len) {
            return Err(FormatError::Invalid { what: "arena_len" });
        }
        Ok(())
    }
}
