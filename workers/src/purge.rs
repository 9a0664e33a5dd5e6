//! Purges what was retired.
//!
//! Owns: the purge queue: waiting for readers, asking drives, noting who has answered, forgetting
//! guards.
//! Leaves to others: what is retired (gateway, healer, sweep).
//! Always: no drive is told of an order that is not settled; a row leaves the queue only when every
//! drive it waits for has acknowledged durably or is on the dead list; the first write of a row
//! goes after its others; a guard is forgotten after that, oldest first, and only while nothing
//! that it covers can still be found on a drive.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use holdfast_index::rows::{self, PurgeEntry};
use holdfast_index::{Batch, keys};
use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{DriveId, GatewayId, MovedWrite, Order, PurgeKind, WriteId};
use holdfast_seam::planted;

use crate::context::Context;
use crate::error::{Result, chain};
use crate::guard;
use crate::readers::Ticket;

/// Retired writes are collected for so long, so that many share one call and one sync.
const COLLECT: Duration = Duration::from_millis(300);
/// Rows of which it is remembered who dropped all but the first write; of more, they are asked
/// again.
const OTHERS_DONE_MAX: usize = 10_000;
/// How soon a row is tried again that waits for a reader.
const READER_RETRY: Duration = Duration::from_secs(1);

/// Below all others.
const FIRST_WRITE: WriteId = WriteId {
    gateway: GatewayId::new(0),
    gateway_epoch: 0,
    counter: 0,
};

/// The worker.
pub(crate) struct Purger {
    ctx: Arc<Context>,
    /// Rows up to here were seen and wait for a drive or a reader.
    cursor: Option<Bytes>,
    /// Whether an unguarded row at or before the cursor still waits.
    older_waits: bool,
    /// Rows at or before the cursor.
    rows_behind: i64,
    /// Rows of lower orders were committed before the ticket was drawn: only readers from before it
    /// can see what they retire, however many come after.
    committed: Option<(Order, Ticket)>,
    /// Of rows that are not done: drives that dropped all but the first write.
    others_done: BTreeMap<Bytes, BTreeSet<DriveId>>,
}

/// What a drive is asked to drop.
#[derive(Debug, Default)]
struct Wanted {
    gone: Vec<WriteId>,
    /// The highest order that retired one of those.
    order: Order,
    moved: Vec<MovedWrite>,
}

impl Wanted {
    fn add_gone(&mut self, order: Order, writes: &[WriteId]) {
        self.gone.extend(writes);
        self.order = self.order.max(order);
    }

    fn add(&mut self, entry: &PurgeEntry, writes: &[WriteId]) {
        match entry.row.kind {
            PurgeKind::Gone => self.add_gone(entry.order, writes),
            PurgeKind::Moved => self.moved.extend(writes.iter().map(|&write| MovedWrite {
                write,
                order: entry.order,
            })),
        }
    }
}

/// What a pass left behind.
#[derive(Debug, Default)]
struct Pass {
    /// A row waits for a reader, or until its order is settled.
    reader_waits: bool,
    /// An unguarded row is not done.
    unguarded_waits: bool,
}

impl Purger {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self {
            ctx,
            cursor: None,
            older_waits: false,
            rows_behind: 0,
            committed: None,
            others_done: BTreeMap::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        let stop = self.ctx.stop.clone();
        let mut is_full = true;
        let mut since_full = self.ctx.clock().now();
        loop {
            let left = match stop.unless(self.pass(is_full)).await {
                None => return,
                Some(Ok(left)) => left,
                Some(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "purge pass failed, trying again");
                    Pass::default()
                }
            };
            if is_full {
                since_full = self.ctx.clock().now();
            }
            let wait = self.wait(&left);
            match stop.unless(wait).await {
                None => return,
                Some(ControlFlow::Break(())) => is_full = true,
                Some(ControlFlow::Continue(())) => {
                    let age = self.ctx.clock().now().since(since_full);
                    is_full = left.reader_waits || age >= self.ctx.config.rescan_interval;
                }
            }
            is_full |= self.ctx.purge_all.swap(false, Ordering::SeqCst);
        }
    }

    /// Waits for something to do; breaks when the whole queue is to be looked at again.
    async fn wait(&self, left: &Pass) -> ControlFlow<()> {
        let clock = self.ctx.clock();
        let rest = match left.reader_waits {
            true => READER_RETRY,
            false => self.ctx.config.rescan_interval,
        };
        tokio::select! {
            biased;
            rang = self.ctx.purge.wait(clock, rest) => {
                if !rang {
                    return ControlFlow::Break(());
                }
            }
            () = self.ctx.readers.left(), if left.reader_waits => {}
        }
        clock.sleep(COLLECT).await;
        ControlFlow::Continue(())
    }

    /// Works the queue from the cursor, or all of it.
    async fn pass(&mut self, is_full: bool) -> Result<Pass> {
        if is_full {
            (self.cursor, self.older_waits, self.rows_behind) = (None, false, 0);
        }
        // Rows of orders below the mark are all there: the cursor need not look back. No other is
        // worked, or a claim would take this index for an old copy.
        let settled = self.settle().await?;
        let readers = &self.ctx.readers;
        let is_open = |&(_, ticket): &(Order, Ticket)| readers.blocks(ticket, &[]);
        if !self.committed.as_ref().is_some_and(is_open) {
            self.committed = Some((settled, readers.ticket()));
        }
        let end = keys::purge(settled, FIRST_WRITE);
        let (mut after, mut rows_ahead) = (self.cursor.clone(), 0);
        let mut all = Pass {
            unguarded_waits: self.older_waits,
            ..Pass::default()
        };
        let ctx = Arc::clone(&self.ctx);
        loop {
            let limit = self.ctx.config.purge_batch_rows;
            // From before they are read: a comparison adds to what they wait for.
            let _turn = ctx.purging.lock().await;
            let page = rows::purge_queue(&*self.ctx.index, after.as_deref(), limit).await?;
            let Some(last) = page.items.last().map(|entry| entry.key.clone()) else {
                break;
            };
            let (mut items, more) = (page.items, page.more);
            let open = items.split_off(items.partition_point(|entry| entry.key < end));
            // They are settled in a moment.
            all.reader_waits |= !open.is_empty();
            rows_ahead += open.len() as i64;
            let left = self.work(items, &mut all).await?;
            if last < end {
                self.cursor = Some(last.clone());
                self.older_waits = all.unguarded_waits;
                self.rows_behind += left;
            } else {
                rows_ahead += left;
            }
            after = Some(last);
            if !more {
                break;
            }
        }
        self.ctx
            .metrics
            .purge_backlog
            .set(self.rows_behind + rows_ahead);
        Ok(all)
    }

    /// The settled mark; behind all rows, if it can be.
    async fn settle(&self) -> Result<Order> {
        let index = &*self.ctx.index;
        let settled = index.settled().await?;
        let end = keys::purge(settled, FIRST_WRITE);
        if rows::purge_queue(index, Some(&end), 1)
            .await?
            .items
            .is_empty()
        {
            return Ok(settled);
        }
        index.flush().await?;
        Ok(index.settled().await?)
    }

    /// Does what can be done for these rows; returns how many stay in the queue.
    async fn work(&mut self, entries: Vec<PurgeEntry>, pass: &mut Pass) -> Result<i64> {
        let fresh = self.ctx.readers.ticket();
        let dead = self.ctx.dead();
        let (mut ready, mut left) = (Vec::with_capacity(entries.len()), 0);
        for mut entry in entries {
            entry.row.waiting.retain(|drive| !dead.contains(drive));
            entry
                .row
                .guard_holders
                .retain(|drive| !dead.contains(drive));
            let committed = self.committed.filter(|(end, _)| entry.order < *end);
            let ticket = committed.map_or(fresh, |(_, ticket)| ticket);
            if self.ctx.readers.blocks(ticket, &entry.row.writes) {
                pass.reader_waits = true;
                left += 1;
                pass.unguarded_waits |= entry.row.guard.is_none();
                continue;
            }
            ready.push(entry);
        }
        guard::replenish(&self.ctx, &mut ready).await?;
        let before: Vec<_> = ready.iter().map(|entry| entry.row.clone()).collect();
        self.purge_writes(&mut ready).await;
        if planted("purge-unacknowledged") {
            ready.iter_mut().for_each(|entry| entry.row.waiting.clear());
        }
        // Asked as late as can be: while drives purged, another may have come back.
        let guards_may_go = self.ctx.guards_may_go();
        if guards_may_go || planted("tombstone-dropped") {
            self.forget_guards(&mut ready, pass.unguarded_waits).await;
        }
        let mut batch = Batch::new();
        for (entry, before) in ready.iter_mut().zip(before) {
            let row = &entry.row;
            if row.waiting.is_empty() && (row.guard.is_none() || row.guard_holders.is_empty()) {
                batch.delete_purge(entry.order, entry.write);
                continue;
            }
            left += 1;
            pass.unguarded_waits |= row.guard.is_none();
            if *row != before {
                batch.put_purge(entry.order, entry.write, row);
            }
        }
        self.ctx.commit_alone(batch).await?;
        if left > 0 {
            let (failed, trash) = (self.ctx.failed_writes().len(), self.ctx.trash().len());
            let first = ready.first().map(|entry| entry.row.clone());
            tracing::debug!(
                left,
                guards_may_go,
                failed,
                trash,
                ?first,
                "purge entries wait"
            );
        }
        Ok(left)
    }

    /// Purges the writes on the drives that the rows wait for, and notes who acknowledged.
    ///
    /// The first write of a row goes last, when all drives have dropped the others: it is the
    /// record that says what became of them (a Complete keeps its upload from opening again).
    async fn purge_writes(&mut self, ready: &mut [PurgeEntry]) {
        let mut wanted: BTreeMap<DriveId, Wanted> = BTreeMap::new();
        for entry in ready.iter() {
            let others = match entry.row.writes.as_slice() {
                [_, others @ ..] if !others.is_empty() => others,
                writes => writes,
            };
            let done = self.others_done.get(&entry.key);
            for drive in &entry.row.waiting {
                if done.is_none_or(|done| !done.contains(drive)) {
                    wanted.entry(*drive).or_default().add(entry, others);
                }
            }
        }
        let acked = self.call(wanted).await;
        let mut last: BTreeMap<DriveId, Wanted> = BTreeMap::new();
        let mut is_last = vec![false; ready.len()];
        for (entry, is_last) in ready.iter_mut().zip(&mut is_last) {
            if entry.row.writes.len() < 2 {
                entry.row.waiting.retain(|drive| !acked.contains(drive));
                continue;
            }
            let done = self.others_done.remove(&entry.key).unwrap_or_default();
            let is_done = |drive: &DriveId| done.contains(drive) || acked.contains(drive);
            *is_last = entry.row.waiting.iter().all(is_done);
            if *is_last {
                for drive in &entry.row.waiting {
                    let first = &entry.row.writes[..1];
                    last.entry(*drive).or_default().add(entry, first);
                }
            } else if self.others_done.len() < OTHERS_DONE_MAX {
                let waiting = entry.row.waiting.iter().copied();
                self.others_done
                    .insert(entry.key.clone(), waiting.filter(is_done).collect());
            }
        }
        let acked = self.call(last).await;
        for (entry, _) in ready
            .iter_mut()
            .zip(is_last)
            .filter(|(_, is_last)| *is_last)
        {
            entry.row.waiting.retain(|drive| !acked.contains(drive));
        }
    }

    /// Purges guards that have nothing left to guard, oldest first: a deletion takes over what its
    /// predecessors wait for, so none goes while an older row without a guard waits.
    async fn forget_guards(&self, ready: &mut [PurgeEntry], older_waits: bool) {
        let mut wanted: BTreeMap<DriveId, Wanted> = BTreeMap::new();
        let mut may_go = Vec::new();
        let mut older_waits = older_waits;
        for (at, entry) in ready.iter().enumerate() {
            let is_done = entry.row.waiting.is_empty() || planted("tombstone-dropped");
            let Some(guard) = entry.row.guard else {
                older_waits |= !is_done;
                continue;
            };
            if is_done && !older_waits {
                may_go.push(at);
                for &drive in &entry.row.guard_holders {
                    let wanted = wanted.entry(drive).or_default();
                    wanted.add_gone(entry.order, &[guard]);
                }
            }
        }
        let acked = self.call(wanted).await;
        for at in may_go {
            ready[at]
                .row
                .guard_holders
                .retain(|drive| !acked.contains(drive));
        }
    }

    /// The drives that purged all of theirs.
    async fn call(&self, wanted: BTreeMap<DriveId, Wanted>) -> BTreeSet<DriveId> {
        let calls = wanted
            .into_iter()
            .filter(|(drive, _)| self.ctx.store.drives().is_reachable(*drive))
            .map(|(drive, wanted)| async move {
                match self.call_one(drive, wanted).await {
                    Ok(()) => Some(drive),
                    Err(error) => {
                        self.ctx.metrics.purge_failures.inc();
                        tracing::debug!(%drive, %error, "drive did not purge, asking again later");
                        None
                    }
                }
            });
        join_all(calls).await.into_iter().flatten().collect()
    }

    async fn call_one(
        &self,
        drive: DriveId,
        wanted: Wanted,
    ) -> std::result::Result<(), DriveError> {
        let (store, writes_max) = (&self.ctx.store, self.ctx.config.purge_call_writes);
        let purged = &self.ctx.metrics.purged_writes;
        for chunk in wanted.gone.chunks(writes_max) {
            store.purge(drive, wanted.order, chunk.to_vec()).await?;
            purged.inc_by(chunk.len() as u64);
        }
        for chunk in wanted.moved.chunks(writes_max) {
            store.leave(drive, chunk.to_vec()).await?;
            purged.inc_by(chunk.len() as u64);
        }
        Ok(())
    }
}
