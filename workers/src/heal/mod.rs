//! The healer: every row that misses shards or copies becomes whole again.
//!
//! Owns: the heal queue, worked by margin, least first; what waits for what; its pace and its
//! progress.
//! Leaves to others: finding what is missing ([`crate::compare`], reads), rebuilding bytes (store).
//! Always: what is missing is found by asking the drives, never believed; a row changes only after
//! the new shard or copy is durable, under the row's locks, and leaves the queue in the same
//! commit.

mod beyond;
mod book;
mod breaker;
mod coded;
mod durability;
mod inspect;
mod plan;
mod small;
mod trouble;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use holdfast_index::rows::{self, HealEntry};
use holdfast_index::{Batch, Table, keys};
use holdfast_protocol::{DriveId, STRIPE_LEN, WriteId};
use holdfast_seam::Monotonic;
use tokio::sync::Semaphore;

pub(crate) use beyond::HeldUp;
pub(crate) use book::HealBook;
pub(crate) use inspect::Health;
pub(crate) use plan::plan;
pub(crate) use trouble::Troubles;
pub(crate) use turns::HealTurns;

use crate::context::Context;
use crate::error::{Result, chain};
use crate::placed;

/// How soon an attempt that failed is made again; twice as long after each further failure.
const RETRY: Duration = Duration::from_secs(5);
/// How soon a row is tried again that waits for a drive which nobody has seen since.
const WAIT: Duration = Duration::from_secs(5 * 60);
/// Rows that wait for a drive, remembered so that they are not asked about again and again.
const DEFERRED_MAX: usize = 100_000;
const PAGE: usize = 512;
/// Objects of more than a stripe that are healed at the same time.
const LARGE_MAX: usize = 8;

/// How one attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is missing any more, and the row left the queue.
    Whole {
        /// Bytes written.
        bytes: u64,
    },
    /// The row no longer exists; it left the queue.
    Gone,
    /// Part of it, or nothing, could be done now.
    Waits {
        /// For these drives.
        drives: Vec<DriveId>,
        /// A drive was asked and did not take what it was given, or something was found meanwhile:
        /// it is tried again soon.
        refused: bool,
        /// Bytes written all the same.
        bytes: u64,
    },
}

struct Deferred {
    until: Monotonic,
    /// Tried again as soon as one of them is usable.
    drives: Vec<DriveId>,
    /// Attempts in a row that failed.
    failures: u32,
    /// It keeps no drive that is being filled from being whole.
    is_apart: bool,
}

/// One attempt at one row.
struct Attempt {
    outcome: Result<Outcome>,
    is_apart: bool,
}

/// The worker.
pub(crate) struct Healer {
    ctx: Arc<Context>,
    deferred: BTreeMap<Bytes, Deferred>,
    large: Arc<Semaphore>,
}

impl Healer {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            deferred: BTreeMap::new(),
            large: Arc::new(Semaphore::new(LARGE_MAX)),
        }
    }

    pub(crate) async fn run(mut self) {
        let stop = self.ctx.stop.clone();
        loop {
            match stop.unless(self.pass()).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "heal pass failed, trying again");
                }
            }
            let now = self.ctx.clock().now();
            let next = self
                .deferred
                .values()
                .map(|deferred| deferred.until.since(now))
                .min();
            let rest = next.unwrap_or(self.ctx.config.rescan_interval);
            let rest = rest.clamp(Duration::from_millis(100), self.ctx.config.rescan_interval);
            if stop
                .unless(self.ctx.heal.wait(self.ctx.clock(), rest))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Works the queue once, from the least margin up.
    async fn pass(&mut self) -> Result<()> {
        if self.ctx.heal_all.swap(false, Ordering::SeqCst) {
            self.deferred.clear();
        }
        self.ctx.count_heal_queue().await?;
        self.ctx.judge_vanished();
        let mut after: Option<Bytes> = None;
        loop {
            if self.ctx.heal_book().holds_back() {
                return Ok(());
            }
            let page = rows::heal_queue(&*self.ctx.index, after.as_deref(), PAGE).await?;
            self.ctx.judge_vanished();
            after = page.items.last().map(|entry| entry.key.clone());
            let due: Vec<HealEntry> = page
                .items
                .into_iter()
                .filter(|entry| self.is_due(entry))
                .collect();
            self.work(due).await;
            if self.is_more_urgent(after.as_deref()).await? {
                after = None;
                continue;
            }
            if !page.more || after.is_none() {
                break;
            }
        }
        let now = self.ctx.clock().now();
        self.deferred.retain(|_, deferred| deferred.until > now);
        let apart = self.deferred.values().filter(|row| row.is_apart).count();
        {
            let mut book = self.ctx.heal_book();
            (book.waiting, book.apart) = (self.deferred.len() as u64, apart as u64);
        }
        self.ctx.count_heal_queue().await?;
        if !self.ctx.heals_for_filling() && !self.ctx.filling().is_empty() {
            self.ctx.compare.ring();
        }
        Ok(())
    }

    /// Whether the pass is to begin anew: everything is to be tried again, or a row of a lesser
    /// margin than that of `after` entered the queue meanwhile.
    async fn is_more_urgent(&mut self, after: Option<&[u8]>) -> Result<bool> {
        if self.ctx.heal_all.swap(false, Ordering::SeqCst) {
            self.deferred.clear();
            return Ok(true);
        }
        // Rows that cannot be remembered as tried would begin it anew for ever.
        let Some(after) = after.filter(|_| self.deferred.len() < DEFERRED_MAX) else {
            return Ok(false);
        };
        let top = rows::heal_queue(&*self.ctx.index, None, PAGE).await?;
        // One that was tried and waits is none of them, also when a drive that it waits for is
        // usable: it would begin the pass anew for ever, without a pause where nothing is asked.
        let is_new = |entry: &&HealEntry| !self.deferred.contains_key(&entry.key);
        let first = top.items.iter().find(is_new);
        Ok(first.is_some_and(|first| first.key.first() < after.first()))
    }

    /// Tries rows at the same time, each once: one that is queued under several margins leaves the
    /// queue under all of them, or has its turn with the next pass.
    async fn work(&mut self, mut due: Vec<HealEntry>) {
        let mut writes = BTreeSet::new();
        due.retain(|entry| writes.insert(entry.name.write()));
        let (ctx, large) = (Arc::clone(&self.ctx), Arc::clone(&self.large));
        let concurrency = ctx.config.heal_concurrency.max(1);
        let mut attempts = stream::iter(due)
            .map(|entry| {
                let (ctx, large) = (Arc::clone(&ctx), Arc::clone(&large));
                async move {
                    if ctx.heal_book().holds_back() {
                        return None;
                    }
                    ctx.heal_active(1);
                    let attempt = heal(&ctx, &large, &entry).await;
                    ctx.heal_active(-1);
                    Some((entry, attempt))
                }
            })
            .buffer_unordered(concurrency);
        while let Some(attempt) = attempts.next().await {
            if let Some((entry, attempt)) = attempt {
                self.took(&entry, attempt);
            }
        }
        self.ctx.heal_book().waiting = self.deferred.len() as u64;
    }

    fn took(&mut self, entry: &HealEntry, attempt: Attempt) {
        let Attempt { outcome, is_apart } = attempt;
        let write = entry.name.write();
        let now = self.ctx.clock().now();
        let failures = self.deferred.get(&entry.key);
        let failures = failures.map_or(0, |deferred| deferred.failures);
        let retry = WAIT.min(RETRY * (1 << failures.min(8)));
        let (drives, wait, failures) = match outcome {
            Ok(Outcome::Whole { bytes }) => {
                self.deferred.remove(&entry.key);
                self.ctx.forget_beyond(write);
                self.ctx.healed(bytes, now);
                tracing::debug!(%write, bytes, "healed");
                return;
            }
            Ok(Outcome::Gone) => {
                self.deferred.remove(&entry.key);
                self.ctx.forget_beyond(write);
                self.ctx.heal_rows(-1);
                return;
            }
            Ok(Outcome::Waits {
                drives,
                refused,
                bytes,
            }) => {
                self.ctx.heal_wrote(bytes, now);
                match refused {
                    true => (Vec::new(), retry, failures + 1),
                    // What seems beyond repair is looked at again when that may be said of it.
                    false if self.ctx.seems_beyond_repair(write) => {
                        (drives, WAIT.min(self.ctx.config.out_after), 0)
                    }
                    false => (drives, WAIT, 0),
                }
            }
            Err(error) => {
                self.ctx.metrics.heal_failures.inc();
                tracing::warn!(%write, error = %chain(&error), "not healed, trying again");
                (Vec::new(), retry, failures + 1)
            }
        };
        if self.deferred.len() < DEFERRED_MAX {
            let deferred = Deferred {
                until: now.plus(wait),
                drives,
                failures,
                is_apart,
            };
            self.deferred.insert(entry.key.clone(), deferred);
        }
    }

    /// Whether a row is to be tried now: it was not lately, or a drive it waits for is usable.
    fn is_due(&self, entry: &HealEntry) -> bool {
        let Some(deferred) = self.deferred.get(&entry.key) else {
            return true;
        };
        let drives = self.ctx.store.drives();
        self.ctx.clock().now() >= deferred.until
            || deferred
                .drives
                .iter()
                .any(|drive| drives.is_writable(*drive))
    }
}

async fn heal(ctx: &Context, large: &Semaphore, entry: &HealEntry) -> Attempt {
    let outcome = turn(ctx, large, entry).await;
    let is_done = matches!(outcome, Ok(Outcome::Whole { .. } | Outcome::Gone));
    let is_apart = !is_done && ctx.holds_up_nobody(entry).await.unwrap_or(false);
    Attempt { outcome, is_apart }
}

/// What is found of the row meanwhile is looked at after that.
async fn turn(ctx: &Context, large: &Semaphore, entry: &HealEntry) -> Result<Outcome> {
    let placed = placed::find(&*ctx.index, &entry.name).await?;
    let is_large = placed
        .is_some_and(|placed| placed.is_coded() && placed.manifest().len > u64::from(STRIPE_LEN));
    let _permit = match is_large {
        true => large.acquire().await.ok(),
        false => None,
    };
    let write = entry.name.write();
    ctx.begin_turn(write);
    let suspects = ctx.suspects().remove(&write).unwrap_or_default();
    let outcome = attempt(ctx, entry, &suspects).await;
    // Those that could not be looked at stay under suspicion.
    let unseen: Vec<DriveId> = match &outcome {
        Ok(Outcome::Whole { .. } | Outcome::Gone) => Vec::new(),
        Ok(Outcome::Waits { drives, .. }) => suspects
            .into_iter()
            .filter(|drive| drives.contains(drive))
            .collect(),
        Err(_) => suspects.into_iter().collect(),
    };
    if !unseen.is_empty() {
        ctx.suspects().entry(write).or_default().extend(unseen);
    }
    let is_found_again = ctx.end_turn(entry).await?;
    outcome.map(|outcome| match outcome {
        Outcome::Waits {
            drives,
            refused,
            bytes,
        } => Outcome::Waits {
            drives,
            refused: refused || is_found_again,
            bytes,
        },
        done => done,
    })
}

/// The row is looked up only now: it may have waited for long, or have left the queue with the turn
/// that it had under another margin.
async fn attempt(
    ctx: &Context,
    entry: &HealEntry,
    suspects: &BTreeSet<DriveId>,
) -> Result<Outcome> {
    let Some(placed) = placed::find(&*ctx.index, &entry.name).await? else {
        let queued = Queued(vec![entry.key.clone()]);
        return queued.leave(ctx).await;
    };
    let queued = Queued(ctx.queued_as(&placed).await?);
    if !queued.0.contains(&entry.key) {
        return Ok(Outcome::Gone);
    }
    match placed.is_coded() {
        true => coded::heal(ctx, &queued, placed, suspects).await,
        false => small::heal(ctx, &queued, placed).await,
    }
}

/// The entries of a row in the queue, as they were when its turn began: what is found later stays.
struct Queued(Vec<Bytes>);

impl Queued {
    /// Takes them off the queue.
    fn delete(&self, batch: &mut Batch) {
        for key in &self.0 {
            batch.delete(Table::Heal, key.clone());
        }
    }

    /// Whether the row is queued under that margin, and no other.
    fn is_only(&self, margin: u8, write: WriteId) -> bool {
        self.0 == [keys::heal(margin, write)]
    }

    /// Takes a row off the queue that is gone.
    async fn leave(&self, ctx: &Context) -> Result<Outcome> {
        let mut batch = Batch::new();
        self.delete(&mut batch);
        ctx.commit_alone(batch).await?;
        Ok(Outcome::Gone)
    }
}
