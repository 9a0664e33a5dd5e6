//! Sweeps what can no longer commit.
//!
//! Owns: voiding failed writes, and deciding about writes that were found on a drive and that the
//! index does not know.
//! Leaves to others: finding them ([`crate::compare`]), purging them ([`crate::purge`]).
//! Always: a write is swept only when the settled mark has passed it and the index, asked again
//! after that, does not know it, twice: it lies in the trash for a grace between the two looks. Its
//! void is durable before its purge begins. A void whose write a row shows is itself swept.

use std::sync::Arc;
use std::time::Duration;

use holdfast_index::rows::{self, PurgeEntry};
use holdfast_index::{Batch, Index, Locks, Row, Table, keys};
use holdfast_protocol::rpc::{DriveError, InventoryEntry};
use holdfast_protocol::{
    Body, DriveId, GatewayId, ManifestKind, Placement, PurgeKind, PurgeRow, Record, VersionRow,
    WriteId,
};
use holdfast_seam::planted;
use holdfast_store::{Store, row_name, survey};

use crate::context::{Context, NextWrite};
use crate::error::{Result, WorkersError, chain};
use crate::guard;
use crate::placed;
use crate::trash::Found;

/// How soon a void that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Kind of the local rows that name writes whose fate is in doubt after a rebuild; see
/// [`crate::rebuild`]. They are kept beside the system records and are never sent to a drive.
pub(crate) const DOUBT_KIND: &str = "local.doubt";

/// The worker that voids failed writes.
pub(crate) struct Voider {
    ctx: Arc<Context>,
}

impl Voider {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    pub(crate) async fn run(self) {
        let stop = self.ctx.stop.clone();
        loop {
            let next = self
                .ctx
                .failed_writes()
                .first_key_value()
                .map(|(w, d)| (*w, d.clone()));
            let Some((write, drives)) = next else {
                if self.look_again().await.is_none() {
                    return;
                }
                continue;
            };
            let parts = Voiding {
                store: &self.ctx.store,
                index: &*self.ctx.index,
                next_write: &self.ctx.next_write,
            };
            // Without the lease another gateway may have shown the write meanwhile: it decides.
            if self.ctx.lease.check().is_err() {
                if stop.unless(self.ctx.clock().sleep(RETRY)).await.is_none() {
                    return;
                }
                continue;
            }
            match stop.unless(parts.void(write, drives)).await {
                None => return,
                Some(Ok(())) => {
                    self.ctx.metrics.voids.inc();
                    self.ctx.failed_writes().remove(&write);
                    self.ctx.purge_everything();
                }
                Some(Err(error)) => {
                    let error = chain(&error);
                    tracing::warn!(%write, error, "write not voided, trying again");
                    if stop.unless(self.ctx.clock().sleep(RETRY)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }
}

impl Voider {
    /// Looks a second time at what has lain in the trash long enough, or waits until something is
    /// to be done. `None` once stopped.
    async fn look_again(&self) -> Option<()> {
        let ctx = &self.ctx;
        let due = ctx.trash().due(ctx.clock().now(), ctx.config.sweep_grace);
        let rest = match due {
            Some(Ok(found)) => return ctx.stop.unless(second_look(ctx, found)).await,
            Some(Err(left)) => left.min(ctx.config.rescan_interval),
            None => ctx.config.rescan_interval,
        };
        ctx.stop
            .unless(ctx.void.wait(ctx.clock(), rest))
            .await
            .map(drop)
    }
}

/// Asks index and drive again about a write that nobody knew a grace ago. Only when nobody does
/// now is it voided; what it is found to be otherwise is left to the next comparison.
async fn second_look(ctx: &Context, found: Found) {
    let deadline = ctx.config.drive_deadline;
    let Found { drive, entry, .. } = found;
    let write = entry.write;
    let verdict = look(&ctx.store, &*ctx.index, deadline, drive, &entry).await;
    match &verdict {
        Ok(Look::Unknown) => {
            let kind = entry.kind;
            tracing::info!(%drive, %write, ?kind, "unknown write at the second look, sweeping it");
            let living = ctx.living().into_iter().collect();
            ctx.failed_writes().entry(write).or_insert(living);
        }
        Ok(Look::Gone) => tracing::debug!(%drive, %write, "unknown write is gone"),
        Ok(verdict) => {
            ctx.metrics.spared_writes.inc();
            tracing::error!(%drive, %write, ?verdict, "the second look knows a write, not swept");
        }
        Err(error) => {
            let error = chain(error);
            tracing::warn!(%drive, %write, error, "no second look, the write is not swept");
        }
    }
    // Before it leaves the trash: other drives may hold it, too, and were not asked.
    if !matches!(verdict, Ok(Look::Unknown)) {
        ctx.ask_compare_all();
    }
    let left = {
        let mut trash = ctx.trash();
        trash.remove(write);
        trash.len()
    };
    ctx.metrics.trash_writes.set(left as i64);
}

/// What voiding a write needs.
#[derive(Clone, Copy)]
pub(crate) struct Voiding<'a> {
    pub(crate) store: &'a Store,
    pub(crate) index: &'a dyn Index,
    pub(crate) next_write: &'a NextWrite,
}

impl Voiding<'_> {
    /// Makes a void of `write` durable and queues its purge on `drives`.
    pub(crate) async fn void(&self, write: WriteId, drives: Vec<DriveId>) -> Result<()> {
        let mut txn = self.index.begin(Locks::none()).await?;
        let order = txn.take_order();
        let record = Record::Void {
            write: (self.next_write)(),
            order,
            target: write,
        };
        let group = guard::void_group(write);
        let sealed = self.store.seal_small(&record, group).await?;
        let mut waiting = drives;
        waiting.extend(sealed.placement.drives());
        waiting.sort_unstable();
        waiting.dedup();
        let row = PurgeRow {
            writes: vec![write],
            kind: PurgeKind::Gone,
            guard: Some(record.write()),
            waiting,
            guard_holders: sealed.placement.drives().collect(),
        };
        let mut batch = Batch::new();
        batch.put_purge(order, write, &row);
        for (drive, position) in sealed.seen {
            batch.seen(drive, position);
        }
        txn.commit(batch).await?;
        tracing::info!(%write, void = %record.write(), "write voided");
        Ok(())
    }
}

/// What a write is that was found on a drive and that no row explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is gone from the drive.
    Gone,
    /// The index knows it after all, or it is queued for purge, or a rebuild left it in doubt.
    Known,
    /// The settled mark has not passed it: it may be on its way.
    Open,
    /// It is no longer the newest system record of its name.
    Superseded,
    /// A void whose purge was never queued.
    LooseVoid {
        /// What it voids.
        target: WriteId,
    },
    /// Nobody knows it.
    Unknown,
}

/// Looks at a write on `drive` that no row explained.
pub(crate) async fn look(
    store: &Store,
    index: &dyn Index,
    deadline: Duration,
    drive: DriveId,
    entry: &InventoryEntry,
) -> Result<Look> {
    if entry.order >= index.settled().await? && !planted("sweep-without-fence") {
        return Ok(Look::Open);
    }
    let (drives, cluster) = (store.drives(), store.cluster());
    let look = match survey::read_record(drives, cluster, drive, deadline, entry.write, false).await
    {
        Ok(kept) => judge(index, drive, &kept.record).await?,
        Err(DriveError::NotFound | DriveError::Purged) => Look::Gone,
        // Its copy here says nothing; that no row has its write was seen already.
        Err(DriveError::Damaged { .. } | DriveError::Io { .. }) => Look::Unknown,
        Err(source) => return Err(WorkersError::Drive { drive, source }),
    };
    let look = match look {
        // Its gateway was fenced before it could void this: the merge had shown it by then.
        Look::LooseVoid { target } if is_shown(store, index, deadline, target).await? => {
            tracing::warn!(%drive, %target, void = %entry.write, "void of a write that is shown");
            Look::Unknown
        }
        other => other,
    };
    let is_explained = look == Look::Unknown
        && (in_doubt(index, entry.write).await? || queued(index, entry).await?);
    Ok(if is_explained { Look::Known } else { look })
}

/// Whether a row shows the write, as far as a drive that answers has its record.
async fn is_shown(
    store: &Store,
    index: &dyn Index,
    deadline: Duration,
    target: WriteId,
) -> Result<bool> {
    let (drives, cluster) = (store.drives(), store.cluster());
    for drive in drives.ids() {
        let kept = survey::read_record(drives, cluster, drive, deadline, target, false).await;
        if let Ok(kept) = kept
            && let Record::Commit { manifest, .. } = &kept.record
        {
            return Ok(placed::find(index, &row_name(manifest)).await?.is_some());
        }
    }
    Ok(false)
}

async fn judge(index: &dyn Index, drive: DriveId, record: &Record) -> Result<Look> {
    Ok(match record {
        Record::Commit { manifest, .. } => match placed::find(index, &row_name(manifest)).await? {
            Some(_) => Look::Known,
            None => Look::Unknown,
        },
        Record::Tombstone { .. } => Look::Unknown,
        Record::Void {
            write,
            order,
            target,
        } => {
            let present = index
                .get(Table::Purge, &keys::purge(*order, *target))
                .await?;
            let present = present.and_then(|row| PurgeRow::decode(&row.value).ok());
            let is_held =
                |row: PurgeRow| row.guard == Some(*write) && row.guard_holders.contains(&drive);
            match present.is_some_and(is_held) {
                true => Look::Known,
                false => Look::LooseVoid { target: *target },
            }
        }
        Record::System {
            order, kind, name, ..
        } => {
            let row = rows::get_system(index, kind, name).await?;
            match row.map(|row| row.order) {
                Some(newest) if newest == *order => Look::Known,
                Some(newest) if newest > *order => Look::Superseded,
                _ => Look::Unknown,
            }
        }
    })
}

/// Looks at a write that a comparison found on `drive` and in no row, and queues what has to be
/// done about it.
pub(crate) async fn resolve(ctx: &Context, drive: DriveId, entry: &InventoryEntry) -> Result<Look> {
    let deadline = ctx.config.drive_deadline;
    let found = look(&ctx.store, &*ctx.index, deadline, drive, entry).await?;
    match &found {
        Look::Gone | Look::Known | Look::Open => {}
        Look::Superseded => supersede(ctx, drive, entry).await?,
        Look::LooseVoid { target } => adopt(ctx, drive, entry, *target).await?,
        Look::Unknown if planted("orphan-applied") && show(ctx, drive, entry).await? => {}
        Look::Unknown => {
            ctx.metrics.unknown_writes.inc();
            let (write, kind) = (entry.write, entry.kind);
            tracing::info!(%drive, %write, ?kind, "unknown write, looking again later");
            let found = Found {
                drive,
                entry: *entry,
                since: ctx.clock().now(),
            };
            let left = {
                let mut trash = ctx.trash();
                trash.put(found, ctx.config.voids_max);
                trash.len()
            };
            ctx.metrics.trash_writes.set(left as i64);
            ctx.void.ring();
        }
    }
    Ok(found)
}

/// What only the merge of a claim or rebuild may do: makes the row of a write that none names.
/// Returns whether it did; it takes no row's place.
async fn show(ctx: &Context, drive: DriveId, entry: &InventoryEntry) -> Result<bool> {
    let (drives, cluster) = (ctx.store.drives(), ctx.store.cluster());
    let deadline = ctx.config.drive_deadline;
    let kept = survey::read_record(drives, cluster, drive, deadline, entry.write, false).await;
    let Ok(Record::Commit { manifest, .. }) = kept.map(|kept| kept.record) else {
        return Ok(false);
    };
    if !matches!(manifest.kind, ManifestKind::Version(_)) {
        return Ok(false);
    }
    let locks = Locks::none().key(manifest.bucket, manifest.key.as_str());
    let mut txn = ctx.begin(locks).await?;
    let old = rows::get_current(&mut *txn, manifest.bucket, &manifest.key).await?;
    if old.is_some() {
        return Ok(false);
    }
    let holders = match &manifest.body {
        Body::Coded { drives, .. } => drives.clone(),
        _ => vec![drive],
    };
    let placement = Placement {
        holders,
        ..Placement::default()
    };
    let mut batch = Batch::new();
    batch.count(&manifest, 1);
    batch.put_current(&VersionRow {
        manifest,
        placement,
        changed: None,
    });
    Ok(ctx.commit(txn, batch).await.is_ok())
}

/// Queues the purge that a void stands for.
async fn adopt(
    ctx: &Context,
    drive: DriveId,
    void: &InventoryEntry,
    target: WriteId,
) -> Result<()> {
    let stored = keys::purge(void.order, target);
    let _turn = ctx.purging.lock().await;
    let present = ctx.index.get(Table::Purge, &stored).await?;
    let present = present.and_then(|row| PurgeRow::decode(&row.value).ok());
    let mut row = match present {
        Some(row) if row.guard == Some(void.write) => row,
        _ => PurgeRow {
            writes: vec![target],
            kind: PurgeKind::Gone,
            guard: Some(void.write),
            waiting: ctx.living().into_iter().collect(),
            guard_holders: Vec::new(),
        },
    };
    row.guard_holders.push(drive);
    let mut batch = Batch::new();
    batch.set(Table::Purge, stored, Row::new(void.order, row.encode()));
    ctx.commit_alone(batch).await?;
    ctx.purge_everything();
    Ok(())
}

async fn supersede(ctx: &Context, drive: DriveId, old: &InventoryEntry) -> Result<()> {
    let row = PurgeRow {
        writes: vec![old.write],
        kind: PurgeKind::Gone,
        guard: None,
        waiting: vec![drive],
        guard_holders: Vec::new(),
    };
    let mut txn = ctx.begin(Locks::none()).await?;
    let mut batch = Batch::new();
    batch.put_purge(txn.take_order(), old.write, &row);
    ctx.commit(txn, batch).await?;
    ctx.purge.ring();
    tracing::debug!(%drive, write = %old.write, "superseded system record, purging it");
    Ok(())
}

/// Whether a rebuild left this write in doubt.
async fn in_doubt(index: &dyn Index, write: WriteId) -> Result<bool> {
    let row = rows::get_system(index, DOUBT_KIND, &write.to_string()).await?;
    Ok(row.is_some())
}

/// Whether an entry of the purge queue names the write, as its guard or to be purged.
async fn queued(index: &dyn Index, entry: &InventoryEntry) -> Result<bool> {
    let names = |found: &PurgeEntry| {
        found.row.guard == Some(entry.write) || found.row.writes.contains(&entry.write)
    };
    // A guard's entry has the guard's order; a retired write's has a higher one.
    let zero = WriteId {
        gateway: GatewayId::new(0),
        gateway_epoch: 0,
        counter: 0,
    };
    let mut after = Some(keys::purge(entry.order, zero));
    loop {
        let page = rows::purge_queue(index, after.as_deref(), 1024).await?;
        if page.items.iter().any(names) {
            return Ok(true);
        }
        after = page.items.last().map(|entry| entry.key.clone());
        if !page.more || after.is_none() {
            return Ok(false);
        }
    }
}
