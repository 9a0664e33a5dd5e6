//! What a chunk of the log says of how far the log went.
//!
//! Owns: the byte form `HFDM`, and where in a chunk it lies.
//! Leaves to others: writing it and believing it (`shard-node`).
//! Always: it lies in a chunk's last page, so what destroys batches need not destroy it; it names
//! only a batch whose sync returned.

use super::PAGE_LEN;
use crate::codec::{FormatError, Reader, Writer};
use crate::ids::LogId;

/// First bytes of a mark.
pub const MAGIC: [u8; 4] = *b"HFDM";
/// Newest version this release writes.
pub const VERSION: u8 = 1;
/// Bytes of a mark. The rest of its page is zeros.
pub const LEN: usize = 40;

/// A batch is durable, and so are all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// The log.
    pub log: LogId,
    /// Number of the chunk that the mark lies in.
    pub chunk: u64,
    /// The batch, which may lie in an earlier chunk.
    pub batch: u64,
}

impl LogMark {
    /// Where it lies in a chunk of `chunk_len` bytes: batches end before.
    pub const fn offset(chunk_len: u64) -> u64 {
        chunk_len - PAGE_LEN
    }

    /// The 40 bytes.
    pub fn encode(&self) -> [u8; LEN] {
        let mut out = Writer::format(MAGIC, VERSION, LEN);
        out.raw(&[0; 3]);
        self.log.encode(&mut out);
        out.u64(self.chunk);
        out.u64(self.batch);
        let mut array = [0; LEN];
        array.copy_from_slice(&out.finish());
        array
    }

    /// Reads the first 40 of `bytes`.
    ///
    /// # Errors
    /// `Truncated`, `Magic`, `Version` or `Checksum`.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mark = Reader::new(bytes).raw(LEN)?;
        let (_, mut input) = Reader::format(mark, MAGIC, VERSION, "log mark")?;
        input.raw(3)?;
        let mark = Self {
            log: LogId::decode(&mut input)?,
            chunk: input.u64()?,
            batch: input.u64()?,
        };
        input.end()?;
        Ok(mark)
    }
}
