//! Reads bodies: only the blocks that a range touches, decoding only what is missing.
//!
//! Owns: read-ahead over stripes, verification of every block, hedging, degraded reads.
//! Leaves to others: which row to read and the parts of an object (gateway).
//! Always: no byte leaves here that failed its checksum; a stream that cannot go on ends in an
//! error.

use bytes::Bytes;
use futures::stream::{self, FuturesUnordered, Stream, StreamExt};
use holdfast_protocol::rpc::{BlockSpan, DriveError, DriveReply, DriveRequest, Piece};
use holdfast_protocol::{
    BLOCK_LEN, BlockIdentity, Body, ByteRange, CellRef, DriveId, ShardLayout, VersionRow, WriteId,
    block_checksum,
};
use holdfast_seam::planted;
use holdfast_seam::{BoxFuture, Monotonic};
use std::sync::Arc;
use std::time::Duration;

use crate::error::StoreError;
use crate::foreground::Request;
use crate::store::Store;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Client,
    Worker,
}

type ShardRead = (u8, BlockSpan, Result<Bytes, DriveError>);

impl Store {
    /// The bytes of `range` of a version or part that is inline or coded, in order.
    ///
    /// An empty body gives nothing; the parts of a [`Body::Parts`] are read one by one by the
    /// caller. Up to `read_ahead_stripes` stripes are fetched while earlier ones are being sent.
    pub fn read(
        &self,
        row: Arc<VersionRow>,
        range: ByteRange,
    ) -> stream::BoxStream<'static, Result<Bytes, StoreError>> {
        self.read_as(row, range, Who::Client)
    }

    /// As [`Store::read`], for workers: it does not count as a client's.
    pub fn read_back(
        &self,
        row: Arc<VersionRow>,
        range: ByteRange,
    ) -> stream::BoxStream<'static, Result<Bytes, StoreError>> {
        self.read_as(row, range, Who::Worker)
    }

    fn read_as(
        &self,
        row: Arc<VersionRow>,
        range: ByteRange,
        who: Who,
    ) -> stream::BoxStream<'static, Result<Bytes, StoreError>> {
        let store = self.clone();
        match &row.manifest.body {
            Body::Inline => {
                stream::once(async move { store.read_inline(&row, range, who).await }).boxed()
            }
            Body::Coded { .. } => store.read_coded(row, range, who).boxed(),
            Body::Empty | Body::DeleteMarker | Body::Parts { .. } => stream::empty().boxed(),
        }
    }

    pub(crate) fn enter(&self, who: Who) -> Option<Request<'_>> {
        let clock = &*self.world().clock;
        (who == Who::Client).then(|| self.foreground().enter(clock))
    }

    fn read_coded(
        self,
        row: Arc<VersionRow>,
        range: ByteRange,
        who: Who,
    ) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + 'static {
        let layout = ShardLayout::new(row.manifest.geometry, row.manifest.len);
        let ahead = self.config().read_ahead_stripes.max(1);
        stream::iter(layout.stripes(range))
            .map(move |stripe| {
                let (store, row) = (self.clone(), Arc::clone(&row));
                async move {
                    let _client = store.enter(who);
                    store.read_stripe(&row, layout, stripe, range).await
                }
            })
            .buffered(ahead)
            .flat_map(|stripe| {
                let pieces: Vec<Result<Bytes, StoreError>> = match stripe {
                    Ok(stripe) => stripe.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                };
                stream::iter(pieces)
            })
    }

    /// The pieces of `range` within one stripe, in order.
    async fn read_stripe(
        &self,
        row: &VersionRow,
        layout: ShardLayout,
        stripe: u32,
        range: ByteRange,
    ) -> Result<Vec<Bytes>, StoreError> {
        let wanted: Vec<CellRef> = layout.cells(stripe, range).collect();
        let len: usize = wanted
            .iter()
            .map(|cell| (cell.end - cell.start) as usize)
            .sum();
        let permit = self
            .shared
            .reads
            .permit(len)
            .await
            .ok_or(StoreError::ShuttingDown)?;
        let read = StripeRead {
            store: self,
            row,
            layout,
            stripe,
            wanted,
        };
        let pieces = read.run().await;
        drop(permit);
        pieces
    }

    /// How long reads of these drives are waited for before others are asked, too: four times what
    /// the slowest of them takes on average, but at least the configured delay.
    pub(crate) fn hedge_delay(&self, drives: impl Iterator<Item = DriveId>) -> Duration {
        let mean = drives.filter_map(|drive| self.drives().read_latency(drive));
        let mean = mean.max().unwrap_or_default();
        self.config().hedge_delay_min.max(mean * 4)
    }

    /// Notes how long an operation took that began at `start`.
    pub(crate) fn observe(&self, op: &str, start: Monotonic) {
        let took = self.world().clock.now().since(start);
        self.shared
            .metrics
            .seconds
            .with_label_values(&[op])
            .observe(took.as_secs_f64());
    }

    /// Blocks of one cell, verified.
    pub(crate) async fn read_blocks(
        &self,
        drive: DriveId,
        write: WriteId,
        shard: u8,
        span: BlockSpan,
        cell_len: u32,
    ) -> Result<Bytes, DriveError> {
        let piece = self.fetch(drive, write, shard, span).await?;
        if !planted("read-unchecked") {
            self.verify(write, shard, span, cell_len, &piece)?;
        }
        Ok(piece.bytes)
    }

    /// Blocks of one cell, as the drive gives them.
    pub(crate) async fn fetch(
        &self,
        drive: DriveId,
        write: WriteId,
        shard: u8,
        span: BlockSpan,
    ) -> Result<Piece, DriveError> {
        let start = self.world().clock.now();
        let request = DriveRequest::Read {
            write,
            shard,
            spans: vec![span],
        };
        let reply = self
            .shared
            .drives
            .call(drive, self.config().drive_deadline, request)
            .await?;
        self.observe("read", start);
        let DriveReply::Blocks { mut pieces } = reply else {
            return Err(DriveError::BadRequest {
                what: "unexpected answer".to_owned(),
            });
        };
        pieces.pop().ok_or_else(|| DriveError::Damaged {
            what: "no piece".into(),
        })
    }

    fn verify(
        &self,
        write: WriteId,
        shard: u8,
        span: BlockSpan,
        cell_len: u32,
        piece: &Piece,
    ) -> Result<(), DriveError> {
        let cluster = self.cluster();
        let damaged = |what: String| {
            self.shared.metrics.checksum_failures.inc();
            Err(DriveError::Damaged { what })
        };
        let start = u32::from(span.first_block) * BLOCK_LEN;
        let end = (start + u32::from(span.block_count) * BLOCK_LEN).min(cell_len);
        if piece.bytes.len() != end.saturating_sub(start) as usize
            || piece.checksums.len() != usize::from(span.block_count)
        {
            return damaged(format!("stripe {} has another length", span.stripe));
        }
        let blocks = piece.bytes.chunks(BLOCK_LEN as usize).zip(&piece.checksums);
        for (at, (bytes, &sum)) in blocks.enumerate() {
            let block = span.first_block + at as u16;
            let stripe = span.stripe;
            if block_checksum(
                BlockIdentity {
                    cluster,
                    write,
                    shard,
                    stripe,
                    block,
                },
                bytes,
            ) != sum
            {
                return damaged(format!("stripe {stripe}, block {block}"));
            }
        }
        Ok(())
    }
}

/// Whether a stripe's blocks are asked for as they were written, or after one was bad or late.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

/// One stripe being read.
struct StripeRead<'a> {
    store: &'a Store,
    row: &'a VersionRow,
    layout: ShardLayout,
    stripe: u32,
    wanted: Vec<CellRef>,
}

impl StripeRead<'_> {
    async fn run(&self) -> Result<Vec<Bytes>, StoreError> {
        if self.wanted.iter().all(|cell| self.usable(cell.shard))
            && let Some(pieces) = self.direct().await
        {
            return Ok(pieces);
        }
        self.degraded().await
    }

    fn drive(&self, shard: u8) -> Option<DriveId> {
        self.row.placement.holders.get(usize::from(shard)).copied()
    }

    /// Whether a shard is worth asking for at once.
    fn usable(&self, shard: u8) -> bool {
        self.row.placement.missing & (1 << shard) == 0
            && self
                .drive(shard)
                .is_some_and(|drive| self.store.drives().is_reachable(drive))
    }

    fn span(&self, start: u32, end: u32) -> BlockSpan {
        let first = start / BLOCK_LEN;
        BlockSpan {
            stripe: self.stripe,
            first_block: first as u16,
            block_count: (end.div_ceil(BLOCK_LEN) - first) as u16,
        }
    }

    fn read(&self, shard: u8, span: BlockSpan, attempt: Attempt) -> BoxFuture<'_, ShardRead> {
        Box::pin(async move {
            let Some(drive) = self.drive(shard) else {
                return (shard, span, Err(DriveError::NoSuchDrive));
            };
            let write = self.row.manifest.write;
            let cell_len = self.layout.cell_len(self.stripe);
            let outcome = match planted("hedge-unchecked") && attempt == Attempt::Again {
                true => {
                    let piece = self.store.fetch(drive, write, shard, span).await;
                    piece.map(|piece| piece.bytes)
                }
                false => {
                    let blocks = self.store.read_blocks(drive, write, shard, span, cell_len);
                    blocks.await
                }
            };
            if let Err(error) = &outcome {
                self.store.count_read_error(error);
                tracing::warn!(%drive, %write, shard, %error, "shard unreadable, using others");
                if matches!(
                    error,
                    DriveError::NotFound | DriveError::Damaged { .. } | DriveError::Io { .. }
                ) {
                    self.store.trouble(&self.row.manifest, drive);
                }
            }
            (shard, span, outcome)
        })
    }

    /// Only the touched blocks of the touched data shards; `None` when one fails or is slow.
    async fn direct(&self) -> Option<Vec<Bytes>> {
        let mut reads: FuturesUnordered<_> = self
            .wanted
            .iter()
            .map(|cell| self.read(cell.shard, self.span(cell.start, cell.end), Attempt::First))
            .collect();
        let mut got: Vec<Option<Bytes>> = vec![None; self.wanted.len()];
        let mut slow = self.store.world().clock.sleep(self.hedge_delay());
        loop {
            tokio::select! {
                biased;
                read = reads.next() => match read {
                    None => break,
                    Some((shard, span, Ok(bytes))) => {
                        let at = self.wanted.iter().position(|cell| cell.shard == shard)?;
                        got[at] = Some(self.cut(&self.wanted[at], span, &bytes));
                    }
                    Some((_, _, Err(_))) => return None,
                },
                () = &mut slow => {
                    self.store.shared.metrics.hedged_reads.inc();
                    return None;
                }
            }
        }
        got.into_iter().collect()
    }

    fn hedge_delay(&self) -> Duration {
        let drives = self.wanted.iter().filter_map(|cell| self.drive(cell.shard));
        self.store.hedge_delay(drives)
    }

    fn cut(&self, cell: &CellRef, span: BlockSpan, bytes: &Bytes) -> Bytes {
        let base = u32::from(span.first_block) * BLOCK_LEN;
        bytes.slice((cell.start - base) as usize..(cell.end - base) as usize)
    }

    /// The blocks that the range touches, from any k shards; missing ones are decoded.
    async fn degraded(&self) -> Result<Vec<Bytes>, StoreError> {
        self.store.shared.metrics.degraded_reads.inc();
        let geometry = self.layout.geometry();
        let start = self.wanted.iter().map(|cell| cell.start).min().unwrap_or(0);
        let end = self.wanted.iter().map(|cell| cell.end).max().unwrap_or(0);
        let span = self.span(start, end);
        let good = self.gather(span, geometry.data()).await?;
        let missing: Vec<usize> = self
            .wanted
            .iter()
            .map(|cell| usize::from(cell.shard))
            .filter(|shard| !good.iter().any(|(have, _)| have == shard))
            .collect();
        let rebuilt = self.decode(&good, &missing)?;
        Ok(self
            .wanted
            .iter()
            .filter_map(|cell| {
                let shard = usize::from(cell.shard);
                let bytes = good
                    .iter()
                    .chain(&rebuilt)
                    .find(|(have, _)| *have == shard)?;
                Some(self.cut(cell, span, &bytes.1))
            })
            .collect())
    }

    /// The span of any `needed` shards; asks more when one fails or is slow.
    async fn gather(
        &self,
        span: BlockSpan,
        needed: usize,
    ) -> Result<Vec<(usize, Bytes)>, StoreError> {
        let total = self.layout.geometry().total() as u8;
        let mut order: Vec<u8> = (0..total).collect();
        // Wanted data shards first, then other usable ones, then those that are probably gone.
        order.sort_by_key(|&shard| {
            let wanted = self.wanted.iter().any(|cell| cell.shard == shard);
            (!self.usable(shard), !wanted)
        });
        let mut candidates = order.into_iter();
        let again = |shard| self.read(shard, span, Attempt::Again);
        let mut reads: FuturesUnordered<_> = candidates.by_ref().take(needed).map(again).collect();
        let mut good: Vec<(usize, Bytes)> = Vec::with_capacity(needed);
        let mut slow = self.store.world().clock.sleep(self.hedge_delay());
        while good.len() < needed {
            tokio::select! {
                biased;
                read = reads.next() => match read {
                    Some((shard, _, Ok(bytes))) => good.push((usize::from(shard), bytes)),
                    Some((_, _, Err(_))) => {
                        candidates.next().into_iter().for_each(|s| reads.push(again(s)));
                    }
                    None => return Err(StoreError::ReadQuorum {
                        write: self.row.manifest.write,
                        stripe: self.stripe,
                        good: good.len(),
                        needed,
                    }),
                },
                () = &mut slow => {
                    self.store.shared.metrics.hedged_reads.inc();
                    candidates.next().into_iter().for_each(|s| reads.push(again(s)));
                    slow = self.store.world().clock.sleep(self.hedge_delay());
                }
            }
        }
        Ok(good)
    }

    fn decode(
        &self,
        good: &[(usize, Bytes)],
        missing: &[usize],
    ) -> Result<Vec<(usize, Bytes)>, StoreError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let present: Vec<(usize, &[u8])> = good.iter().map(|(s, b)| (*s, b.as_ref())).collect();
        let len = present.first().map_or(0, |(_, bytes)| bytes.len());
        let mut out: Vec<Vec<u8>> = missing.iter().map(|_| vec![0; len]).collect();
        let mut slices: Vec<&mut [u8]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        self.store
            .code(self.layout.geometry())?
            .rebuild(&present, missing, &mut slices)
            .map_err(|error| StoreError::Code {
                what: error.to_string(),
            })?;
        Ok(missing
            .iter()
            .copied()
            .zip(out.into_iter().map(Bytes::from))
            .collect())
    }
}
