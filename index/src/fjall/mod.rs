//! The index on fjall: one process, one directory, our own group commit.
//!
//! Owns: the handle, its transactions, and how reads run.
//! Leaves to others: files ([`engine`]) and durable steps ([`committer`]).
//! Always: as [`crate::Index`]; after a failed write or sync nothing is committed until the process
//! has restarted.

mod committer;
mod engine;

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use holdfast_protocol::{Generation, IndexId, Order};
use tokio::sync::{mpsc, oneshot, watch};

use self::committer::{Commit, Job};
use self::engine::Engine;
use crate::apply::{Stored, stored_key};
use crate::locks::{Held, LockTable};
use crate::orders::{OpenOrders, Orders};
use crate::{
    Batch, Index, IndexError, IndexMetrics, Locks, Result, Row, Scan, ScanLimit, Table, Transaction,
};

/// How to open an index on fjall.
#[derive(Clone, Debug)]
pub struct FjallConfig {
    /// The directory; made if absent. Nothing else may use it.
    pub path: PathBuf,
    /// Blocks kept in memory, in bytes.
    pub cache_bytes: u64,
    /// Writes kept in memory until they are sorted into files, in bytes; up to three times as much
    /// while files are being written. Fixed when the index is made.
    pub memtable_bytes: u64,
    /// Files kept open at once.
    pub open_files_max: usize,
    /// How long background work may leave no room for writes before the index counts as broken.
    pub stall_timeout: Duration,
}

impl FjallConfig {
    /// The defaults, in `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            cache_bytes: 32 << 20,
            memtable_bytes: 8 << 20,
            open_files_max: 256,
            stall_timeout: Duration::from_secs(60),
        }
    }
}

/// Scans of at most so many rows run on the caller's thread; see ADR 0003.
const INLINE_ROWS_MAX: usize = 64;
/// Batches that may wait for the committer.
const QUEUE_LEN: usize = 1024;

/// The index on fjall.
#[derive(Debug)]
pub struct FjallIndex {
    id: IndexId,
    shared: Arc<Shared>,
}

/// What handle, transactions and committer share.
#[derive(Debug)]
struct Shared {
    /// `None` once closed.
    engine: RwLock<Option<Engine>>,
    /// `None` once closing.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    generation: AtomicU32,
    settled: Mutex<Order>,
    locks: Arc<LockTable>,
    orders: Arc<Orders>,
    /// Why nothing can be committed any more.
    broken: watch::Sender<Option<Arc<str>>>,
    /// Whether the committer has ended and let go of the files.
    ended: watch::Sender<bool>,
    metrics: IndexMetrics,
}

impl FjallIndex {
    /// Opens the index in a directory, making one if there is none. Blocks on files.
    ///
    /// # Errors
    /// `InUse`, `Open` or `Foreign`, each naming the directory.
    pub fn open(config: &FjallConfig, metrics: IndexMetrics) -> Result<Self> {
        let (engine, identity, settled) = Engine::open(config)?;
        let (queue, jobs) = mpsc::channel(QUEUE_LEN);
        let shared = Arc::new(Shared {
            engine: RwLock::new(Some(engine)),
            queue: Mutex::new(Some(queue)),
            generation: AtomicU32::new(identity.generation.get()),
            settled: Mutex::new(settled),
            locks: LockTable::new(),
            orders: Orders::new(settled),
            broken: watch::Sender::new(None),
            ended: watch::Sender::new(false),
            metrics,
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("index-committer".into())
            .spawn(move || committer::run(&for_thread, identity, jobs))
            .map_err(|e| IndexError::Open {
                path: config.path.clone(),
                source: e.into(),
            })?;
        Ok(Self {
            id: identity.id,
            shared,
        })
    }

    /// Whether an index was ever made in `directory`.
    pub fn exists(directory: &Path) -> bool {
        engine::exists(directory)
    }

    /// Waits until the index is broken, and says why; for the owner of the process, who has to end
    /// it.
    pub async fn broken(&self) -> Arc<str> {
        let mut broken = self.shared.broken.subscribe();
        loop {
            if let Some(reason) = broken.borrow_and_update().clone() {
                return reason;
            }
            if broken.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for FjallIndex {
    /// What was handed over is still committed, in the background.
    fn drop(&mut self) {
        drop(self.shared.queue().take());
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settled(&self) -> MutexGuard<'_, Order> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_engine<T>(&self, read: impl FnOnce(&Engine) -> Result<T>) -> Result<T> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        read(engine.as_ref().ok_or(IndexError::Closed)?)
    }

    fn check(&self) -> Result<()> {
        if let Some(reason) = self.broken.borrow().clone() {
            return Err(IndexError::Broken { reason });
        }
        match self.queue().is_some() {
            true => Ok(()),
            false => Err(IndexError::Closed),
        }
    }

    fn check_started(&self) -> Result<()> {
        self.check()?;
        match self.orders.started() {
            true => Ok(()),
            false => Err(IndexError::NotStarted),
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        let row = self.with_engine(|engine| engine.stored(table, &stored_key(table, key)))?;
        self.metrics.read(usize::from(row.is_some()));
        Ok(row)
    }

    async fn scan(
        self: &Arc<Self>,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        let scan = if limit.rows <= INLINE_ROWS_MAX {
            self.with_engine(|engine| engine.scan(table, from, to, limit))?
        } else {
            let shared = Arc::clone(self);
            let (from, to) = (
                from.map(Bytes::copy_from_slice),
                to.map(Bytes::copy_from_slice),
            );
            tokio::task::spawn_blocking(move || {
                let (from, to) = (
                    from.as_ref().map(Bytes::as_ref),
                    to.as_ref().map(Bytes::as_ref),
                );
                shared.with_engine(|engine| engine.scan(table, from, to, limit))
            })
            .await
            .map_err(|e| IndexError::Read {
                table,
                source: e.into(),
            })??
        };
        self.metrics.read(scan.rows.len());
        Ok(scan)
    }

    /// Hands a job over and waits for its outcome. Dropped before the job is in the queue, nothing
    /// happens; dropped after, the committer goes on.
    async fn hand_over(&self, job: Job, outcome: oneshot::Receiver<Result<()>>) -> Result<()> {
        self.check()?;
        let queue = self.queue().clone().ok_or(IndexError::Closed)?;
        if queue.send(job).await.is_err() {
            self.check()?;
            return Err(IndexError::Closed);
        }
        drop(queue);
        outcome.await.unwrap_or_else(|_| {
            Err(IndexError::Unknown {
                reason: "the committer has ended".into(),
            })
        })
    }
}

#[async_trait]
impl Index for FjallIndex {
    fn id(&self) -> IndexId {
        self.id
    }

    fn generation(&self) -> Generation {
        Generation::new(self.shared.generation.load(Ordering::Acquire))
    }

    async fn start_generation(&self, generation: Generation) -> Result<()> {
        let (reply, outcome) = oneshot::channel();
        let job = Job::Start { generation, reply };
        self.shared.hand_over(job, outcome).await
    }

    async fn end_merge(&self) -> Result<()> {
        self.shared.check_started()?;
        let (reply, outcome) = oneshot::channel();
        let job = Job::EndMerge { reply };
        self.shared.hand_over(job, outcome).await
    }

    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.shared.get(table, key)
    }

    async fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        self.shared.scan(table, from, to, limit).await
    }

    async fn begin(&self, locks: Locks) -> Result<Box<dyn Transaction>> {
        self.shared.check_started()?;
        let mut broken = self.shared.broken.subscribe();
        let held = tokio::select! {
            biased;
            held = self.shared.locks.acquire(locks) => held,
            // A commit of unknown outcome never releases its locks.
            _ = broken.wait_for(Option::is_some) => {
                self.shared.check()?;
                return Err(IndexError::Closed);
            }
        };
        self.shared.check_started()?;
        Ok(Box::new(FjallTransaction {
            open: OpenOrders::new(&self.shared.orders),
            shared: Arc::clone(&self.shared),
            held: Arc::new(held),
        }))
    }

    async fn settled(&self) -> Result<Order> {
        Ok(*self.shared.settled())
    }

    async fn check(&self) -> Result<()> {
        self.shared.check()
    }

    async fn flush(&self) -> Result<()> {
        let (reply, outcome) = oneshot::channel();
        self.shared.hand_over(Job::Flush { reply }, outcome).await
    }

    async fn close(&self) -> Result<()> {
        drop(self.shared.queue().take());
        let mut ended = self.shared.ended.subscribe();
        // The sender lives in `shared`, so waiting cannot fail.
        let _ = ended.wait_for(|ended| *ended).await;
        match self.shared.broken.borrow().clone() {
            Some(reason) => Err(IndexError::Broken { reason }),
            None => Ok(()),
        }
    }
}

/// Fields are dropped in this order: orders end before the locks are released.
struct FjallTransaction {
    open: OpenOrders,
    shared: Arc<Shared>,
    /// Also the committer's, until the outcome of a commit is known.
    held: Arc<Held>,
}

impl FjallTransaction {
    async fn hand_over(self, batch: Batch) -> Result<()> {
        let Self { open, shared, held } = self;
        let (reply, outcome) = oneshot::channel();
        let job = Job::Commit(Commit {
            batch,
            open,
            held,
            reply,
            handed_over: Instant::now(),
        });
        shared.hand_over(job, outcome).await
    }
}

#[async_trait]
impl Transaction for FjallTransaction {
    async fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.shared.get(table, key)
    }

    async fn scan(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        self.shared.scan(table, from, to, limit).await
    }

    fn take_order(&mut self) -> Order {
        self.open.take()
    }

    async fn commit(self: Box<Self>, batch: Batch) -> Result<()> {
        self.hand_over(batch).await
    }

    async fn commit_part(self: Box<Self>, batch: Batch) -> Result<Box<dyn Transaction>> {
        let rest = Self {
            open: OpenOrders::new(&self.shared.orders),
            shared: Arc::clone(&self.shared),
            held: Arc::clone(&self.held),
        };
        self.hand_over(batch).await?;
        Ok(Box::new(rest))
    }
}

#[cfg(test)]
mod tests;
