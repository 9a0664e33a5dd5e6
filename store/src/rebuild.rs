//! Rebuilds what is missing of one write: shards from others, copies from copies.
//!
//! Owns: reading k good shards stripe by stripe, around slow drives where there are others,
//! decoding the lost ones, staging and sealing them.
//! Leaves to others: what to rebuild where and when, and the row afterwards (workers).
//! Always: a rebuilt shard has the digest that its manifest recorded at write time, or is not
//! sealed.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use futures::future;
use futures::stream::{self, FuturesUnordered, StreamExt, TryStreamExt};
use holdfast_protocol::rpc::{BlockSpan, Cell, DriveError, SealShard};
use holdfast_protocol::{Body, DriveId, EncodedRecord, Order, ShardLayout, VersionRow};
use holdfast_seam::disk::PageBuffer;
use holdfast_seam::planted;

use crate::encode::block_checksums;
use crate::error::StoreError;
use crate::store::Store;
use crate::writer::on_pool;

/// Stripes of one write that are read and decoded while another is written.
const STRIPES_AHEAD: usize = 2;

/// One shard to be made anew on a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The shard's index.
    pub shard: u8,
    /// Where it is to be.
    pub drive: DriveId,
}

impl Store {
    /// Rebuilds shards of a coded write and seals them on their targets, which were announced with
    /// the order `admitted`.
    ///
    /// Bytes read are k cells per stripe, whatever the number of targets (at most m).
    /// Returns the number of bytes written.
    ///
    /// # Errors
    /// `ReadQuorum` if fewer than k shards are good, `NoCopy` without a readable record,
    /// `WriteQuorum` if a target does not take its shard or the digest differs. What was staged is
    /// discarded then.
    pub async fn rebuild(
        &self,
        row: &VersionRow,
        targets: &[Target],
        admitted: Order,
    ) -> Result<u64, StoreError> {
        let Body::Coded { digests, .. } = &row.manifest.body else {
            return Err(StoreError::Code {
                what: "only coded bodies have shards".to_owned(),
            });
        };
        let record = self.read_record(row, false).await?;
        let outcome = self.rebuild_shards(row, targets, admitted, digests, record);
        let outcome = outcome.await;
        if outcome.is_err() {
            let drives = targets.iter().map(|target| target.drive).collect();
            self.discard(row.manifest.write, drives);
        }
        outcome
    }

    async fn rebuild_shards(
        &self,
        row: &VersionRow,
        targets: &[Target],
        admitted: Order,
        digests: &[u64],
        record: EncodedRecord,
    ) -> Result<u64, StoreError> {
        let layout = ShardLayout::new(row.manifest.geometry, row.manifest.len);
        let mut sums: Vec<Crc> = targets
            .iter()
            .map(|_| Crc::new(CrcAlgorithm::Crc64Nvme))
            .collect();
        let shards: Vec<usize> = targets.iter().map(|t| usize::from(t.shard)).collect();
        let mut decoded = stream::iter(0..layout.stripe_count())
            .map(|stripe| self.rebuild_stripe(row, layout, stripe, shards.clone()))
            .buffered(STRIPES_AHEAD);
        let mut next = decoded.next().await;
        while let Some(cells) = next {
            let stages = FuturesUnordered::new();
            for ((target, cell), sum) in targets.iter().zip(cells?).zip(&mut sums) {
                cell.checksums
                    .iter()
                    .for_each(|block| sum.update(&block.to_le_bytes()));
                let hint = Some(layout.shard_len());
                let write = row.manifest.write;
                stages.push(self.stage(target.drive, write, target.shard, hint, admitted, cell));
            }
            let staged = stages.try_for_each(|()| future::ready(Ok(())));
            let (following, staged) = future::join(decoded.next(), staged).await;
            staged.map_err(|error| not_taken(&error))?;
            next = following;
        }
        for (target, sum) in targets.iter().zip(&sums) {
            let digest = sum.finalize();
            let is_same = digests.get(usize::from(target.shard)) == Some(&digest);
            if !is_same && !planted("heal-unchecked") {
                self.shared.metrics.checksum_failures.inc();
                return Err(StoreError::Code {
                    what: format!("rebuilt shard {} has another digest", target.shard),
                });
            }
            let shard = SealShard {
                shard: target.shard,
                len: layout.shard_len(),
                stripe_count: layout.stripe_count(),
                digest,
                last: None,
            };
            self.seal_copy(target.drive, admitted, record.clone(), Some(shard))
                .await
                .map_err(|error| not_taken(&error))?;
        }
        Ok(layout.shard_len() * targets.len() as u64)
    }

    /// Decodes the first data shards from all others, parity included, and holds them against the
    /// digests that the manifest recorded. Nothing is written.
    ///
    /// Returns the number of bytes decoded.
    ///
    /// # Errors
    /// `ReadQuorum` if fewer than k other shards are good, `Code` if a digest differs.
    pub async fn decode_from_parity(&self, row: &VersionRow) -> Result<u64, StoreError> {
        let Body::Coded { digests, .. } = &row.manifest.body else {
            return Ok(0);
        };
        let layout = ShardLayout::new(row.manifest.geometry, row.manifest.len);
        let geometry = layout.geometry();
        let wanted: Vec<usize> = (0..geometry.parity().min(geometry.data())).collect();
        let mut sums = vec![Crc::new(CrcAlgorithm::Crc64Nvme); wanted.len()];
        for stripe in 0..layout.stripe_count() {
            let cells = self
                .rebuild_stripe(row, layout, stripe, wanted.clone())
                .await?;
            for (cell, sum) in cells.iter().zip(&mut sums) {
                cell.checksums
                    .iter()
                    .for_each(|block| sum.update(&block.to_le_bytes()));
            }
        }
        for (shard, sum) in wanted.iter().zip(&sums) {
            if digests.get(*shard) != Some(&sum.finalize()) {
                self.shared.metrics.checksum_failures.inc();
                return Err(StoreError::Code {
                    what: format!("shard {shard} decoded from parity has another digest"),
                });
            }
        }
        Ok(layout.shard_len() * wanted.len() as u64)
    }

    /// The cells of `wanted` shards of one stripe, decoded from k others.
    async fn rebuild_stripe(
        &self,
        row: &VersionRow,
        layout: ShardLayout,
        stripe: u32,
        wanted: Vec<usize>,
    ) -> Result<Vec<Cell>, StoreError> {
        let cell_len = layout.cell_len(stripe) as usize;
        let needed = layout.geometry().data();
        let memory = cell_len * (needed + wanted.len());
        let _permit = self
            .shared
            .reads
            .permit(memory)
            .await
            .ok_or(StoreError::ShuttingDown)?;
        let good = self.good_cells(row, layout, stripe, &wanted).await?;
        let (code, cluster) = (self.code(layout.geometry())?, self.cluster());
        let write = row.manifest.write;
        let decode = move || {
            let present: Vec<(usize, &[u8])> = good.iter().map(|(s, b)| (*s, b.as_ref())).collect();
            let mut out: Vec<_> = wanted.iter().map(|_| PageBuffer::new(cell_len)).collect();
            let mut slices: Vec<&mut [u8]> = out.iter_mut().map(PageBuffer::as_mut).collect();
            code.rebuild(&present, &wanted, &mut slices)
                .map_err(|error| StoreError::Code {
                    what: error.to_string(),
                })?;
            let cells = wanted.iter().zip(out).map(|(&shard, bytes)| {
                let bytes = Bytes::from_owner(bytes);
                let checksums = block_checksums(cluster, write, shard as u8, stripe, &bytes);
                Cell {
                    stripe,
                    checksums,
                    bytes,
                }
            });
            Ok(cells.collect())
        };
        on_pool(self, decode).await?
    }

    /// Where shards can be read from, the best first.
    fn sources(&self, row: &VersionRow, stripe: u32, wanted: &[usize]) -> Vec<(usize, DriveId)> {
        let holders = row.placement.holders.iter().copied().enumerate();
        let mut sources: Vec<(usize, DriveId)> = holders
            .filter(|(s, _)| !wanted.contains(s) && row.placement.missing & (1 << s) == 0)
            .collect();
        // Of more than k sources each gives its part.
        let first = (row.manifest.write.counter as usize).wrapping_add(stripe as usize);
        let count = sources.len().max(1);
        sources.rotate_left(first % count);
        let drives = self.drives();
        sources.sort_by_key(|&(_, drive)| (!drives.is_reachable(drive), drives.is_slow(drive)));
        sources
    }

    async fn good_cells(
        &self,
        row: &VersionRow,
        layout: ShardLayout,
        stripe: u32,
        wanted: &[usize],
    ) -> Result<Vec<(usize, Bytes)>, StoreError> {
        let (cell_len, needed) = (layout.cell_len(stripe), layout.geometry().data());
        let block_count = layout.block_count(stripe) as u16;
        let span = BlockSpan {
            stripe,
            first_block: 0,
            block_count,
        };
        let write = row.manifest.write;
        let sources = self.sources(row, stripe, wanted);
        let delay = self.hedge_delay(sources.iter().take(needed).map(|(_, drive)| *drive));
        let mut sources = sources.into_iter().map(|(shard, drive)| async move {
            let read = match planted("heal-unchecked") {
                true => {
                    let piece = self.fetch(drive, write, shard as u8, span).await;
                    piece.map(|piece| piece.bytes)
                }
                false => {
                    let blocks = self.read_blocks(drive, write, shard as u8, span, cell_len);
                    blocks.await
                }
            };
            (shard, drive, read)
        });
        let mut reads: FuturesUnordered<_> = sources.by_ref().take(needed).collect();
        let mut good = Vec::with_capacity(needed);
        let mut slow = self.world().clock.sleep(delay);
        while good.len() < needed {
            tokio::select! {
                biased;
                read = reads.next() => match read {
                    None => break,
                    Some((shard, _, Ok(bytes))) => good.push((shard, bytes)),
                    Some((_, drive, Err(error))) => {
                        self.count_read_error(&error);
                        self.trouble(&row.manifest, drive);
                        reads.extend(sources.next());
                    }
                },
                () = &mut slow => {
                    if let Some(source) = sources.next() {
                        self.shared.metrics.hedged_reads.inc();
                        reads.push(source);
                    }
                    slow = self.world().clock.sleep(delay);
                }
            }
        }
        match good.len() >= needed {
            true => Ok(good),
            false => Err(StoreError::ReadQuorum {
                write,
                stripe,
                good: good.len(),
                needed,
            }),
        }
    }
}

fn not_taken(error: &DriveError) -> StoreError {
    tracing::debug!(%error, "target of a rebuild refused");
    StoreError::WriteQuorum {
        acked: 0,
        needed: 1,
        sent: true,
        full: *error == DriveError::Full,
    }
}
