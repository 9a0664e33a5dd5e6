//! The memory index behind a committer that takes time, as the real engine's does.
//!
//! Owns: the queue of batches that are not durable yet, and what a crash leaves of it.
//! Leaves to others: rows, locks and orders (`MemoryIndex`).
//! Always: nothing is visible before it is durable; a crash keeps a prefix of the queue.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Bound;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use holdfast_index::{
    Batch, Index, IndexError, Locks, MemoryIndex, Result, Row, Scan, ScanLimit, Table, Transaction,
};
use holdfast_protocol::{Generation, IndexId, Order};
use tokio::sync::{Notify, oneshot};

use crate::dice::Dice;
use crate::exec::{Exec, ProcessId};

/// What is left of a transaction that goes on.
type Rest = Option<Box<dyn Transaction>>;

struct Waiting {
    txn: Box<dyn Transaction>,
    batch: Batch,
    goes_on: bool,
    done: oneshot::Sender<Result<Rest>>,
}

/// Batches handed over and not yet durable.
#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Waiting>>,
    bell: Notify,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The index of one run of a gateway.
#[derive(Clone)]
pub struct SimIndex {
    memory: Arc<MemoryIndex>,
    queue: Arc<Queue>,
}

impl fmt::Debug for SimIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimIndex").finish_non_exhaustive()
    }
}

/// The memory index never waits in a commit.
fn commit_now(txn: Box<dyn Transaction>, batch: Batch, goes_on: bool) -> Result<Rest> {
    let committing = async move {
        match goes_on {
            true => txn.commit_part(batch).await.map(Some),
            false => txn.commit(batch).await.map(|()| None),
        }
    };
    match pin!(committing).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(IndexError::Closed),
    }
}

impl SimIndex {
    /// The index over `memory`, its committer a task of `process`; a sync takes up to `sync_max`.
    pub fn start(
        exec: &Exec,
        process: ProcessId,
        memory: MemoryIndex,
        mut dice: Dice,
        sync_max: Duration,
    ) -> Self {
        let index = Self {
            memory: Arc::new(memory),
            queue: Arc::default(),
        };
        let (queue, clock) = (Arc::clone(&index.queue), exec.clone());
        let max = sync_max.as_nanos() as u64 + 2;
        let committer = async move {
            loop {
                if queue.waiting().is_empty() {
                    queue.bell.notified().await;
                    continue;
                }
                let group = queue.waiting().len();
                clock.sleep(Duration::from_nanos(dice.within(1..max))).await;
                let mut done = Vec::new();
                for _ in 0..group {
                    let Some(next) = queue.waiting().pop_front() else {
                        break;
                    };
                    let outcome = commit_now(next.txn, next.batch, next.goes_on);
                    done.push((next.done, outcome));
                }
                clock
                    .sleep(Duration::from_nanos(dice.within(1..max / 4 + 2)))
                    .await;
                for (tell, outcome) in done {
                    let _ = tell.send(outcome);
                }
            }
        };
        exec.spawn(process, "committer", Box::pin(committer));
        index
    }

    /// What is left when the process dies: of the batches under way, the first few.
    pub fn crash(&self, dice: &mut Dice) -> MemoryIndex {
        let mut waiting = std::mem::take(&mut *self.queue.waiting());
        let kept = dice.below(waiting.len() as u64 + 1);
        for next in waiting.drain(..kept as usize) {
            let _ = commit_now(next.txn, next.batch, next.goes_on);
        }
        drop(waiting);
        self.memory.reopen()
    }

    /// A backup, taken now.
    pub fn snapshot(&self) -> MemoryIndex {
        self.memory.snapshot()
    }
}

#[async_trait]
impl Index for SimIndex {
    fn id(&self) -> IndexId {
        self.memory.id()
    }
    fn generation(&self) -> Generation {
        self.memory.generation()
    }
    async fn start_generation(&self, generation: Generation) -> Result<()> {
        self.memory.start_generation(generation).await
    }
    async fn end_merge(&self) -> Result<()> {
        self.memory.end_merge().await
    }
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.memory.get(table, key).await
    }
    async fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        self.memory.scan(table, from, to, limit).await
    }
    async fn begin(&self, locks: Locks) -> Result<Box<dyn Transaction>> {
        let txn = self.memory.begin(locks).await?;
        let queue = Arc::clone(&self.queue);
        Ok(Box::new(SimTransaction { txn, queue }))
    }
    async fn settled(&self) -> Result<Order> {
        self.memory.settled().await
    }
    async fn check(&self) -> Result<()> {
        self.memory.check().await
    }
    async fn flush(&self) -> Result<()> {
        self.memory.flush().await
    }
    async fn close(&self) -> Result<()> {
        self.memory.close().await
    }
}

struct SimTransaction {
    txn: Box<dyn Transaction>,
    queue: Arc<Queue>,
}

impl SimTransaction {
    async fn hand_over(self, batch: Batch, goes_on: bool) -> Result<Rest> {
        let (done, outcome) = oneshot::channel();
        let waiting = Waiting {
            txn: self.txn,
            batch,
            goes_on,
            done,
        };
        self.queue.waiting().push_back(waiting);
        self.queue.bell.notify_one();
        outcome.await.unwrap_or(Err(IndexError::Closed))
    }
}

#[async_trait]
impl Transaction for SimTransaction {
    async fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Row>> {
        self.txn.get(table, key).await
    }
    async fn scan(
        &mut self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        limit: ScanLimit,
    ) -> Result<Scan> {
        self.txn.scan(table, from, to, limit).await
    }
    fn take_order(&mut self) -> Order {
        self.txn.take_order()
    }
    async fn commit(self: Box<Self>, batch: Batch) -> Result<()> {
        self.hand_over(batch, false).await.map(drop)
    }
    async fn commit_part(self: Box<Self>, batch: Batch) -> Result<Box<dyn Transaction>> {
        let queue = Arc::clone(&self.queue);
        let txn = self.hand_over(batch, true).await?;
        let txn = txn.ok_or(IndexError::Closed)?;
        Ok(Box::new(Self { txn, queue }))
    }
}
