//! One stripe: checksum, parity and block checksums in one pass while it is in cache.
//!
//! Owns: what is computed of a full buffer, on a thread of the pool.
//! Leaves to others: filling buffers and sending cells ([`crate::writer`]).
//! Always: cells share the stripe's buffer; nothing is copied.

use bytes::Bytes;
use holdfast_ec::Code;
use holdfast_protocol::rpc::Cell;
use holdfast_protocol::{
    BLOCK_LEN, BlockIdentity, ClusterId, Geometry, STRIPE_LEN, ShardLayout, WriteId, block_checksum,
};

use crate::budget::Buffer;
use crate::digest::Digests;
use crate::error::StoreError;

/// What a stripe belongs to.
#[derive(Clone, Debug)]
pub(crate) struct StripeJob {
    pub code: Code,
    pub cluster: ClusterId,
    pub geometry: Geometry,
    pub write: WriteId,
    pub stripe: u32,
    /// Bytes of data at the front of the buffer.
    pub len: usize,
}

/// A computed stripe; all of it shares one buffer.
#[derive(Debug)]
pub(crate) struct Stripe {
    /// The k + m cells.
    pub cells: Vec<Cell>,
    /// The data, without padding.
    pub data: Bytes,
}

/// Bytes that a stripe's buffer needs at most: all cells.
pub(crate) fn buffer_len(geometry: Geometry) -> usize {
    ShardLayout::cell_len_of(geometry, STRIPE_LEN) as usize * geometry.total()
}

/// Checksums of all blocks of one cell.
pub(crate) fn block_checksums(
    cluster: ClusterId,
    write: WriteId,
    shard: u8,
    stripe: u32,
    cell: &[u8],
) -> Vec<u64> {
    cell.chunks(BLOCK_LEN as usize)
        .enumerate()
        .map(|(block, bytes)| {
            let block = block as u16;
            block_checksum(
                BlockIdentity {
                    cluster,
                    write,
                    shard,
                    stripe,
                    block,
                },
                bytes,
            )
        })
        .collect()
}

impl StripeJob {
    /// Adds the data to `digests`, pads and encodes it, and returns the cells.
    ///
    /// # Errors
    /// `Code` if the erasure code refuses (a bug).
    pub(crate) fn run(
        &self,
        mut buffer: Buffer,
        digests: &mut Digests,
    ) -> Result<Stripe, StoreError> {
        let cell_len = ShardLayout::cell_len_of(self.geometry, self.len as u32) as usize;
        let data_len = cell_len * self.geometry.data();
        let all = &mut buffer.as_mut()[..cell_len * self.geometry.total()];
        digests.update(&all[..self.len]);
        all[self.len..data_len].fill(0);
        let (data, parity) = all.split_at_mut(data_len);
        let data: Vec<&[u8]> = data.chunks_exact(cell_len).collect();
        let mut parity: Vec<&mut [u8]> = parity.chunks_exact_mut(cell_len).collect();
        self.code
            .encode(&data, &mut parity)
            .map_err(|error| StoreError::Code {
                what: error.to_string(),
            })?;
        let bytes = buffer.freeze();
        let data = bytes.slice(..self.len);
        let cells = self.cells(cell_len, bytes);
        Ok(Stripe { cells, data })
    }

    fn cells(&self, cell_len: usize, bytes: Bytes) -> Vec<Cell> {
        (0..self.geometry.total())
            .map(|shard| {
                let cell = bytes.slice(shard * cell_len..(shard + 1) * cell_len);
                let (cluster, write, stripe) = (self.cluster, self.write, self.stripe);
                let checksums = block_checksums(cluster, write, shard as u8, stripe, &cell);
                Cell {
                    stripe,
                    checksums,
                    bytes: cell,
                }
            })
            .collect()
    }
}
