//! The checksum of stored blocks and of formats.
//!
//! Owns: CRC-64/NVME over bytes, and over a block *bound to its identity*.
//! Leaves to others: when to compute and when to verify.
//! Always: the same bytes under another identity have another checksum, so that a misdirected or
//! swapped block fails its check.

use crc_fast::{CrcAlgorithm, Digest};

use crate::ids::{ClusterId, WriteId};

/// CRC-64/NVME of `bytes`.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// Where a block belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockIdentity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The write that made the shard.
    pub write: WriteId,
    /// Index of the shard within its geometry; [`BlockIdentity::INLINE`] for the body in a record.
    pub shard: u8,
    /// Index of the stripe within the object.
    pub stripe: u32,
    /// Index of the block within the cell.
    pub block: u16,
}

impl BlockIdentity {
    /// The shard index that stands for a body carried in its record.
    pub const INLINE: u8 = 0xff;

    fn bytes(self) -> [u8; 39] {
        let mut out = [0_u8; 39];
        out[..16].copy_from_slice(&self.cluster.get().to_le_bytes());
        out[16..32].copy_from_slice(&self.write.to_key());
        out[32] = self.shard;
        out[33..37].copy_from_slice(&self.stripe.to_le_bytes());
        out[37..].copy_from_slice(&self.block.to_le_bytes());
        out
    }
}

/// The checksum of one stored block: CRC-64/NVME over its identity and then its bytes.
pub fn block_checksum(identity: BlockIdentity, block: &[u8]) -> u64 {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    digest.update(&identity.bytes());
    digest.update(block);
    digest.finalize()
}
