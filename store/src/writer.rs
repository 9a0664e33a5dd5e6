//! Receives a body: small ones are kept whole, larger ones become staged shards.
//!
//! Owns: filling stripe buffers, computing them one after the other, and sending cells in order to
//! each drive while the next stripe is being received. MD5 may lag behind that by a few stripes.
//! Leaves to others: making it durable ([`crate::seal`]), what the body means (gateway).
//! Always: what a failed or dropped write staged is discarded; nothing is durable yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest as Crc};
use futures::{Stream, StreamExt};
use holdfast_protocol::rpc::{Cell, DriveError, DriveRequest};
use holdfast_protocol::{
    ChecksumKind, DriveId, Geometry, GroupId, Order, STRIPE_LEN, ShardLayout, WriteId,
};
use holdfast_seam::{Task, spawn};
use tokio::sync::mpsc;

use crate::budget::Buffer;
use crate::digest::lanes::Md5Stream;
use crate::digest::{BodyDigests, Digests};
use crate::encode::{StripeJob, buffer_len};
use crate::error::StoreError;
use crate::seal::write_quorum;
use crate::store::Store;

/// Cells that may wait for one drive.
const CELLS_WAITING: usize = 2;

/// A body that was received; dropping it discards what was staged.
#[derive(Debug)]
pub struct Staged {
    /// Its digests.
    pub digests: BodyDigests,
    /// Its bytes or shards.
    pub body: StagedBody,
}

/// How a received body is kept.
#[derive(Debug)]
pub enum StagedBody {
    /// No bytes.
    Empty,
    /// Small: it will travel in its record.
    Inline(Bytes),
    /// Cut into shards, all but the last cells staged.
    Coded(CodedBody),
}

/// Shards of one write, staged on drives.
#[derive(Debug)]
pub struct CodedBody {
    /// The drives in shard order.
    pub drives: Vec<DriveId>,
    /// CRC-64 over each shard's block checksums.
    pub digests: Vec<u64>,
    /// How it was cut.
    pub layout: ShardLayout,
    /// Bit i: shard i could not be staged.
    pub failed: u64,
    /// The last cell of each shard, to be sent with the record; empty if they are staged already.
    pub(crate) last: Vec<Cell>,
    pub(crate) guard: DiscardGuard,
}

/// Discards what was staged unless told otherwise.
#[derive(Debug)]
pub(crate) struct DiscardGuard {
    store: Store,
    write: WriteId,
    drives: Vec<DriveId>,
    armed: bool,
}

impl DiscardGuard {
    /// From now on the write may take effect: nothing is discarded.
    pub(crate) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for DiscardGuard {
    fn drop(&mut self) {
        if self.armed {
            self.store
                .discard(self.write, std::mem::take(&mut self.drives));
        }
    }
}

/// What is known of a body before it comes.
#[derive(Clone, Copy, Debug)]
pub struct BodyPlan {
    /// The write's name.
    pub write: WriteId,
    /// Where the key belongs.
    pub group: GroupId,
    /// Bytes, if announced. The caller checks the true length afterwards.
    pub len: Option<u64>,
    /// The checksum to compute beside the MD5.
    pub checksum: Option<ChecksumKind>,
    /// How a body that is cut is cut; the map's geometry if it is `None`. A placement group has as
    /// many drives as the map's has shards: it may not have more.
    pub geometry: Option<Geometry>,
}

impl Store {
    /// Receives a body and stages it.
    ///
    /// # Errors
    /// `Body` if the source fails, `WriteQuorum` if too few drives take the shards, `ShuttingDown`.
    /// Nothing of the body stays.
    pub async fn receive<S, E>(&self, plan: BodyPlan, mut body: S) -> Result<Staged, StoreError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
        E: std::error::Error + Send + Sync + 'static,
    {
        let limit = self.config().inline_len_max;
        let mut small = BytesMut::new();
        if plan.len.is_none_or(|len| len <= limit as u64) {
            let ended = collect_small(&mut body, &mut small, limit).await?;
            if ended {
                return Ok(small_body(plan, small.freeze()));
            }
        }
        let mut writer = Writer::start(self, plan)?;
        writer.push(&small).await?;
        drop(small);
        while let Some(bytes) = body.next().await {
            writer
                .push(&bytes.map_err(|e| StoreError::Body(Box::new(e)))?)
                .await?;
        }
        writer.finish().await
    }
}

/// Collects until the body ends (`true`) or has more than `limit` bytes.
async fn collect_small<S, E>(
    body: &mut S,
    small: &mut BytesMut,
    limit: usize,
) -> Result<bool, StoreError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::error::Error + Send + Sync + 'static,
{
    while small.len() <= limit {
        match body.next().await {
            Some(Ok(bytes)) => small.extend_from_slice(&bytes),
            Some(Err(error)) => return Err(StoreError::Body(Box::new(error))),
            None => return Ok(true),
        }
    }
    Ok(false)
}

fn small_body(plan: BodyPlan, bytes: Bytes) -> Staged {
    let mut digests = Digests::new(plan.checksum);
    digests.update(&bytes);
    let body = match bytes.is_empty() {
        true => StagedBody::Empty,
        false => StagedBody::Inline(bytes),
    };
    Staged {
        digests: digests.finish(),
        body,
    }
}

/// A body larger than what is inlined, on its way.
struct Writer {
    store: Store,
    plan: BodyPlan,
    geometry: Geometry,
    drives: Vec<DriveId>,
    lanes: Vec<Lane>,
    failed: Arc<AtomicU64>,
    /// The buffer being filled and how far.
    filling: Option<(Buffer, usize)>,
    stripe: u32,
    /// The stripe being computed: its cells and the digests come back.
    computing: Option<Computing>,
    digests: Option<Digests>,
    md5: Md5Stream,
    shard_digests: Vec<Crc>,
    /// Cells of the newest computed stripe, kept back because it may be the last.
    newest: Vec<Cell>,
    guard: DiscardGuard,
}

type Computed = (Digests, Result<Vec<Cell>, StoreError>);
type Computing = tokio::sync::oneshot::Receiver<Computed>;

/// Sends the cells of one shard, in order.
struct Lane {
    cells: mpsc::Sender<Cell>,
    task: Task,
}

impl Writer {
    fn start(store: &Store, plan: BodyPlan) -> Result<Self, StoreError> {
        let geometry = plan.geometry.unwrap_or_else(|| store.map().geometry);
        let drives = store.plan(plan.group, geometry);
        if drives.len() != geometry.total() {
            let what = format!("{geometry} has more shards than a placement group has drives");
            return Err(StoreError::Code { what });
        }
        let failed = Arc::new(AtomicU64::new(0));
        let len_hint = plan
            .len
            .map(|len| ShardLayout::new(geometry, len).shard_len());
        let lanes = (0..drives.len())
            .map(|shard| start_lane(store, plan.write, &drives, shard, len_hint, &failed))
            .collect();
        let guard = DiscardGuard {
            store: store.clone(),
            write: plan.write,
            drives: drives.clone(),
            armed: true,
        };
        let crc = || Crc::new(CrcAlgorithm::Crc64Nvme);
        let writer = Self {
            store: store.clone(),
            plan,
            geometry,
            shard_digests: drives.iter().map(|_| crc()).collect(),
            drives,
            lanes,
            failed,
            filling: None,
            stripe: 0,
            computing: None,
            digests: Some(Digests::without_md5(plan.checksum)),
            md5: store.shared.md5.stream(),
            newest: Vec::new(),
            guard,
        };
        writer.check_quorum()?;
        Ok(writer)
    }

    /// Adds body bytes.
    async fn push(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let (mut buffer, filled) = match self.filling.take() {
                Some(filling) => filling,
                None => (self.next_buffer().await?, 0),
            };
            let take = bytes.len().min(STRIPE_LEN as usize - filled);
            buffer.as_mut()[filled..filled + take].copy_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            match filled + take == STRIPE_LEN as usize {
                true => self.compute(buffer, STRIPE_LEN as usize).await?,
                false => self.filling = Some((buffer, filled + take)),
            }
        }
        Ok(())
    }

    /// A buffer of the budget. Before it waits for others it sends on what it keeps back, so that
    /// writers never wait for each other in a circle.
    async fn next_buffer(&mut self) -> Result<Buffer, StoreError> {
        let len = buffer_len(self.geometry);
        let writes = Arc::clone(&self.store.shared.writes);
        if let Some(buffer) = writes.buffer_now(len) {
            return Ok(buffer);
        }
        self.collect().await?;
        self.send_newest().await?;
        let _short = self.store.shared.md5.short();
        writes.buffer(len).await.ok_or(StoreError::ShuttingDown)
    }

    /// Starts computing a stripe after the one before is done.
    async fn compute(&mut self, buffer: Buffer, len: usize) -> Result<(), StoreError> {
        self.collect().await?;
        let room = self.md5.room().await;
        let job = StripeJob {
            code: self.store.code(self.geometry)?,
            cluster: self.store.cluster(),
            geometry: self.geometry,
            write: self.plan.write,
            stripe: self.stripe,
            len,
        };
        self.stripe += 1;
        let mut digests = self.digests.take().expect("digests are back after collect");
        let (send, receive) = tokio::sync::oneshot::channel();
        let feed = self.md5.feed();
        let work = Box::new(move || {
            let stripe = job.run(buffer, &mut digests);
            let cells = stripe.map(|stripe| {
                feed.add(stripe.data, room);
                stripe.cells
            });
            // The next stripe may start while this thread hashes what is due.
            let _ = send.send((digests, cells));
            feed.work();
        });
        self.store.shared.world.spawn.computing(work);
        self.computing = Some(receive);
        Ok(())
    }

    /// Waits for the stripe being computed; sends on the one before it.
    async fn collect(&mut self) -> Result<(), StoreError> {
        let Some(computing) = self.computing.take() else {
            return Ok(());
        };
        let (digests, cells) = computing.await.map_err(|_| StoreError::ShuttingDown)?;
        self.digests = Some(digests);
        let cells = cells?;
        for (digest, cell) in self.shard_digests.iter_mut().zip(&cells) {
            for sum in &cell.checksums {
                digest.update(&sum.to_le_bytes());
            }
        }
        self.send_newest().await?;
        self.newest = cells;
        Ok(())
    }

    /// Gives the kept cells to the lanes.
    async fn send_newest(&mut self) -> Result<(), StoreError> {
        for (lane, cell) in self.lanes.iter().zip(std::mem::take(&mut self.newest)) {
            // A lane that failed has closed its queue; the bitmap knows.
            let _ = lane.cells.send(cell).await;
        }
        self.check_quorum()
    }

    fn check_quorum(&self) -> Result<(), StoreError> {
        let failed = self.failed.load(Ordering::Acquire);
        let acked = self.drives.len() - failed.count_ones() as usize;
        let needed = write_quorum(self.geometry);
        if acked < needed {
            self.store
                .shared
                .metrics
                .quorum_failures
                .with_label_values(&["coded"])
                .inc();
            let lost = self
                .drives
                .iter()
                .enumerate()
                .filter(|(at, _)| failed & (1 << at) != 0);
            let full = lost
                .into_iter()
                .any(|(_, &drive)| self.store.drives().is_full(drive));
            return Err(StoreError::WriteQuorum {
                acked,
                needed,
                sent: false,
                full,
            });
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Staged, StoreError> {
        if let Some((buffer, len)) = self.filling.take() {
            self.compute(buffer, len).await?;
        }
        self.collect().await?;
        let md5 = self.md5.end();
        for lane in std::mem::take(&mut self.lanes) {
            drop(lane.cells);
            lane.task.await;
        }
        self.check_quorum()?;
        let digests = self
            .digests
            .take()
            .expect("digests are back after collect")
            .finish_with(md5.await.map_err(|_| StoreError::ShuttingDown)?);
        let body = CodedBody {
            drives: self.drives,
            digests: self.shard_digests.iter().map(Crc::finalize).collect(),
            layout: ShardLayout::new(self.geometry, digests.len),
            failed: self.failed.load(Ordering::Acquire),
            last: self.newest,
            guard: self.guard,
        };
        Ok(Staged {
            digests,
            body: StagedBody::Coded(body),
        })
    }
}

/// Starts the task that stages one shard's cells. A drive known to be out of service fails at once.
fn start_lane(
    store: &Store,
    write: WriteId,
    drives: &[DriveId],
    shard: usize,
    len_hint: Option<u64>,
    failed: &Arc<AtomicU64>,
) -> Lane {
    let (cells, mut receive) = mpsc::channel::<Cell>(CELLS_WAITING);
    let drive = drives[shard];
    let failed = Arc::clone(failed);
    if !store.drives().is_writable(drive) {
        failed.fetch_or(1 << shard, Ordering::AcqRel);
    }
    let lane = store.clone();
    let run = async move {
        while let Some(cell) = receive.recv().await {
            if failed.load(Ordering::Acquire) & (1 << shard) != 0 {
                return;
            }
            let shard_index = shard as u8;
            let staged = lane.stage(drive, write, shard_index, len_hint, Order::ZERO, cell);
            if let Err(error) = staged.await {
                failed.fetch_or(1 << shard, Ordering::AcqRel);
                tracing::warn!(%drive, %write, shard, %error, "shard not staged");
                return;
            }
        }
    };
    let task = store.shared.world.spawn.task("stage", Box::pin(run));
    Lane { cells, task }
}

impl Store {
    /// Sends one cell to a drive.
    pub(crate) async fn stage(
        &self,
        drive: DriveId,
        write: WriteId,
        shard: u8,
        len_hint: Option<u64>,
        admitted: Order,
        cell: Cell,
    ) -> Result<(), DriveError> {
        let request = DriveRequest::Stage {
            write,
            shard,
            len_hint,
            admitted,
            cell,
        };
        let start = self.world().clock.now();
        let deadline = self.config().drive_deadline;
        let staged = self.shared.drives.call(drive, deadline, request).await;
        self.observe("stage", start);
        staged.map(|_| ())
    }
}

/// Runs CPU work on the pool and returns its result.
pub(crate) async fn on_pool<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StoreError> {
    spawn::computing(store.shared.world.spawn.as_ref(), work)
        .await
        .ok_or(StoreError::ShuttingDown)
}
