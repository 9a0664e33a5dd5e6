//! Compares drives with the index, both ways.
//!
//! Owns: which drives wait to be compared; what a drive lacks (queued for healing), what it has too
//! much (sweep's rules).
//! Leaves to others: drives that are gone ([`lost`]), successors that are being filled
//! ([`filling`]), system records ([`crate::systems`]), guards ([`crate::guard`]), healing, purging.
//! Always: a drive counts as compared only when its whole inventory was held against the whole
//! index; what may have changed meanwhile is not judged.

pub(crate) mod filling;
pub(crate) mod lost;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use holdfast_index::rows::{self, PurgeEntry};
use holdfast_index::{Batch, Table};
use holdfast_protocol::{Body, DriveId, Placement, PurgeKind, PurgeRow};

use crate::context::{CompareReason, Context};
use crate::error::{Result, chain};
use crate::guard;
use crate::placed::{self, Change};
use crate::sweep::{self, Look};
use crate::systems;
use crate::window::{PlacedRow, RowScan, Window, Windows};
use filling::{Filling, Gone};
use lost::{Lost, note_lost};

/// Rows queued for healing in one commit.
const TOGETHER: usize = 512;
/// Rows that are changed at the same time, sharing syncs of the index.
const NOTES: usize = 64;
/// Pause between pages, so that requests go first.
const PAUSE: Duration = Duration::from_millis(1);
/// How soon a comparison that failed is made again.
const RETRY: Duration = Duration::from_secs(5);

/// The worker.
pub(crate) struct Comparer {
    ctx: Arc<Context>,
}

impl Comparer {
    pub(crate) fn new(ctx: Arc<Context>) -> Self {
        Self { ctx }
    }

    pub(crate) async fn run(self) {
        let stop = self.ctx.stop.clone();
        let mut last_routine = self.ctx.clock().now();
        let mut filling = Filling::new(last_routine);
        loop {
            filling.ask(&self.ctx);
            if self.take() {
                filling.begin(self.ctx.clock().now());
                let outcome = stop.unless(self.compare_running()).await;
                let failed = match outcome {
                    None => return,
                    Some(Ok(failed)) => failed,
                    Some(Err(error)) => {
                        tracing::warn!(error = %chain(&error), "comparison failed, trying again");
                        self.ctx.compares().running.keys().copied().collect()
                    }
                };
                let is_retry = !failed.is_empty();
                self.finish(&failed);
                filling.end(self.ctx.clock().now());
                if is_retry && stop.unless(self.ctx.clock().sleep(RETRY)).await.is_none() {
                    return;
                }
                continue;
            }
            let rest = filling.rest(&self.ctx);
            if stop
                .unless(self.ctx.compare.wait(self.ctx.clock(), rest))
                .await
                .is_none()
            {
                return;
            }
            let now = self.ctx.clock().now();
            if now.since(last_routine) >= self.ctx.config.compare_interval {
                last_routine = now;
                for drive in self.ctx.living() {
                    self.ctx.ask_compare(drive, CompareReason::Routine);
                }
            }
        }
    }

    /// Takes what can be compared now; `false` when there is nothing.
    fn take(&self) -> bool {
        let drives = self.ctx.store.drives();
        let living = self.ctx.living();
        let mut book = self.ctx.compares();
        // One that was replaced meanwhile is never reached again: `lost` looks for its rows.
        book.pending.retain(|drive, _| living.contains(drive));
        let ready: Vec<DriveId> = book
            .pending
            .keys()
            .copied()
            .filter(|drive| drives.is_reachable(*drive))
            .collect();
        for drive in ready {
            if let Some(reason) = book.pending.remove(&drive) {
                book.running.insert(drive, reason);
            }
        }
        !book.running.is_empty()
    }

    fn finish(&self, failed: &BTreeSet<DriveId>) {
        {
            let mut book = self.ctx.compares();
            for (drive, reason) in std::mem::take(&mut book.running) {
                match failed.contains(&drive) {
                    true => drop(book.pending.entry(drive).or_insert(reason)),
                    // Asked for again meanwhile: this one may have looked too early.
                    false if book.pending.contains_key(&drive) => {}
                    false => drop(book.swept.insert(drive)),
                }
            }
        }
        self.ctx.publish_backlog();
        self.ctx.purge_everything();
        self.ctx.heal_everything();
    }

    /// Compares the drives that were taken; returns those of which it could not be finished.
    async fn compare_running(&self) -> Result<BTreeSet<DriveId>> {
        let running = self.ctx.compares().running.clone();
        let asked: Vec<DriveId> = running.keys().copied().collect();
        tracing::debug!(drives = running.len(), "comparing drives with the index");
        // Moves the settled mark past orders that ended without a commit.
        self.ctx.index.flush().await?;
        let mut failed = systems::compare(&self.ctx, &asked).await?;
        let config = &self.ctx.config;
        let mut windows = Windows::new(
            &self.ctx.store,
            &*self.ctx.index,
            config.drive_deadline,
            config.inventory_page,
            config.compare_window,
            &asked,
        );
        let (mut queued, mut short) = (0, 0);
        let gone = Gone::of(&self.ctx.store.map());
        while let Some(window) = windows.next().await? {
            let mut comparison = Comparison {
                ctx: &self.ctx,
                window,
                running: &running,
                gone: &gone,
                short: 0,
                failed: windows.failed.keys().copied().collect(),
                batch: Batch::new(),
                queued: 0,
                extra: Vec::new(),
                strays: Vec::new(),
                unpurged: Vec::new(),
                lost: Vec::new(),
            };
            failed.extend(comparison.run().await?);
            queued += comparison.queued;
            short += comparison.short;
        }
        for (drive, error) in windows.failed {
            tracing::warn!(%drive, %error, "drive could not be listed, comparing it again later");
            failed.insert(drive);
        }
        if short == 0 {
            gone.filled(&self.ctx, &running, &failed).await?;
        }
        let drives = running.len() - failed.len();
        tracing::info!(drives, queued, short, "drives compared with the index");
        Ok(failed)
    }
}

/// One range of writes.
struct Comparison<'a> {
    ctx: &'a Context,
    window: Window,
    running: &'a BTreeMap<DriveId, CompareReason>,
    gone: &'a Gone,
    /// Rows and guards that still lack what drives that are gone held.
    short: u64,
    /// Drives whose part of the window is not known.
    failed: BTreeSet<DriveId>,
    batch: Batch,
    queued: u64,
    /// Copies on drives that their row does not name.
    extra: Vec<(PlacedRow, DriveId)>,
    /// Copies of guards on drives that their entry does not name.
    strays: Vec<(PurgeEntry, Vec<DriveId>)>,
    /// Copies of what is to be purged, on drives that its entry does not name.
    unpurged: Vec<(PurgeEntry, Vec<DriveId>)>,
    /// Rows whose holders lack what they should hold: which, by their place in the row.
    lost: Vec<(PlacedRow, Lost)>,
}

impl Comparison<'_> {
    /// Holds the window against the index; returns drives on which something could not be decided.
    async fn run(&mut self) -> Result<BTreeSet<DriveId>> {
        let mut scan = RowScan::new(&*self.ctx.index);
        while let Some(page) = scan.next().await? {
            self.ctx.metrics.compared_rows.inc_by(page.len() as u64);
            for row in page {
                match row {
                    Ok(row) => self.row(row),
                    Err(error) => {
                        self.short += 1;
                        tracing::error!(%error, "row skipped by the comparison");
                    }
                }
            }
            if self.batch.ops.len() >= TOGETHER {
                self.commit().await?;
            }
            self.note_lost().await?;
            self.ctx.clock().sleep(PAUSE).await;
        }
        self.commit().await?;
        let guards = self.purges().await?;
        self.purge_unnamed().await?;
        for entry in guards {
            guard::restore(self.ctx, &entry).await?;
        }
        self.extras().await?;
        self.adopt_strays().await?;
        self.unexplained().await
    }

    async fn commit(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.ctx.heal_rows(batch.ops.len() as i64);
        self.queued += batch.ops.len() as u64;
        self.ctx.commit_alone(batch).await?;
        self.ctx.heal.ring();
        Ok(())
    }

    /// Notes in the rows what is missing, so that it is known after a restart, too, and reads do
    /// not ask for it; and queues them.
    async fn note_lost(&mut self) -> Result<()> {
        let lost = std::mem::take(&mut self.lost);
        self.queued += lost.len() as u64;
        let is_any = !lost.is_empty();
        let ctx = self.ctx;
        let mut notes = stream::iter(lost)
            .map(|(row, lost)| async move { note_lost(ctx, &row, &lost).await })
            .buffer_unordered(NOTES);
        while let Some(noted) = notes.next().await {
            ctx.heal_rows(i64::from(noted?));
        }
        if is_any {
            ctx.heal.ring();
        }
        Ok(())
    }

    fn row(&mut self, placed: PlacedRow) {
        let PlacedRow { name, row, .. } = &placed;
        let (manifest, placement) = (&row.manifest, &row.placement);
        let write = manifest.write;
        if !self.window.holds(write) {
            return;
        }
        let is_settled = manifest.order < self.window.mark;
        let (mut lost, mut known) = (Lost::new(), 0_u64);
        for (at, &drive) in placement.holders.iter().enumerate() {
            let reason = self.running.get(&drive);
            let entry = self.window.explain(write, drive);
            let good = match (&manifest.body, entry) {
                (_, None) => false,
                (Body::Coded { digests, .. }, Some(entry)) => {
                    let digest = digests.get(at).copied().unwrap_or_default();
                    entry.shard == Some((at as u8, digest)) && !entry.damaged
                }
                (_, Some(entry)) => !entry.damaged,
            };
            let is_missing = placed::is_coded(manifest) && placement.missing & (1 << at) != 0;
            known += u64::from(is_missing);
            let is_judged = reason.is_some() && !self.failed.contains(&drive);
            let lacks = is_settled && is_judged && !good;
            if (lacks || self.gone.dead.contains(&drive)) && !is_missing {
                lost.push((at, drive));
            }
        }
        self.short += u64::from(self.gone.is_short(row, &lost));
        for &drive in &placement.touched {
            self.window.explain(write, drive);
        }
        if !placed::is_coded(manifest) {
            known = placement.missing;
        }
        if !lost.is_empty() {
            self.lost.push((placed.clone(), lost));
        } else if is_settled && known > 0 {
            let parity = manifest.geometry.parity() as u64;
            let margin = parity.saturating_sub(known) as u8;
            self.batch.put_heal(margin, name, manifest.order);
        }
        let extra: Vec<DriveId> = self
            .window
            .seen
            .get(&write)
            .into_iter()
            .flatten()
            .filter(|seen| !seen.is_known && is_settled)
            .map(|seen| seen.drive)
            .collect();
        for drive in extra {
            self.window.explain(write, drive);
            self.extra.push((placed.clone(), drive));
        }
    }

    /// Explains what waits to be purged; returns guards of which a holder lacks its copy.
    async fn purges(&mut self) -> Result<Vec<PurgeEntry>> {
        let mut weak = Vec::new();
        let mut after: Option<bytes::Bytes> = None;
        loop {
            let page = rows::purge_queue(&*self.ctx.index, after.as_deref(), 512).await?;
            after = page.items.last().map(|entry| entry.key.clone());
            for entry in page.items {
                let unnamed = self.unnamed(&entry);
                if !unnamed.is_empty() {
                    self.unpurged.push((entry.clone(), unnamed));
                }
                let is_weak = self.is_weak(&entry);
                let strays = self.strays_of(&entry);
                if !strays.is_empty() {
                    self.strays.push((entry.clone(), strays));
                }
                if is_weak {
                    weak.push(entry);
                }
            }
            if !page.more || after.is_none() {
                return Ok(weak);
            }
        }
    }

    /// Drives that hold what an entry is to purge everywhere, and for which it does not wait.
    fn unnamed(&mut self, entry: &PurgeEntry) -> Vec<DriveId> {
        let mut unnamed = BTreeSet::new();
        for &write in &entry.row.writes {
            let seen = self.window.seen.get(&write).into_iter().flatten();
            let drives = seen.filter(|seen| !seen.is_known).map(|seen| seen.drive);
            unnamed.extend(drives.filter(|drive| !entry.row.waiting.contains(drive)));
            self.window.explain_all(write);
        }
        match entry.row.kind {
            PurgeKind::Gone => unnamed.into_iter().collect(),
            PurgeKind::Moved => Vec::new(),
        }
    }

    /// Waits for these, too: a rebuild that they missed did not see what they hold.
    async fn purge_unnamed(&mut self) -> Result<()> {
        for (entry, drives) in std::mem::take(&mut self.unpurged) {
            let _turn = self.ctx.purging.lock().await;
            let present = self.ctx.index.get(Table::Purge, &entry.key).await?;
            let present = present.and_then(|row| PurgeRow::decode(&row.value).ok());
            let mut row = present.unwrap_or_else(|| PurgeRow {
                writes: entry.row.writes.clone(),
                kind: PurgeKind::Gone,
                guard: None,
                waiting: Vec::new(),
                guard_holders: Vec::new(),
            });
            tracing::debug!(write = %entry.write, ?drives, "copies nobody purged, purging them");
            row.waiting.extend(drives);
            row.waiting.sort_unstable();
            row.waiting.dedup();
            let mut batch = Batch::new();
            batch.put_purge(entry.order, entry.write, &row);
            self.ctx.commit_alone(batch).await?;
            self.ctx.purge.ring();
        }
        Ok(())
    }

    fn is_weak(&mut self, entry: &PurgeEntry) -> bool {
        let Some(guard) = entry.row.guard.filter(|guard| self.window.holds(*guard)) else {
            return false;
        };
        let copies = self.ctx.store.map().geometry.copies();
        self.short += u64::from(self.gone.living(&entry.row.guard_holders) < copies);
        let mut is_weak = false;
        for drive in &entry.row.guard_holders {
            let kept = self.window.explain(guard, *drive);
            let is_judged = self.running.contains_key(drive) && !self.failed.contains(drive);
            let is_good = kept.is_some_and(|kept| !kept.damaged);
            is_weak |= is_judged && !is_good && entry.order < self.window.mark;
        }
        is_weak
    }

    /// Drives that hold a copy of an entry's guard and that it does not name; its holders were
    /// looked at before.
    fn strays_of(&mut self, entry: &PurgeEntry) -> Vec<DriveId> {
        let Some(guard) = entry.row.guard.filter(|guard| self.window.holds(*guard)) else {
            return Vec::new();
        };
        let seen = self.window.seen.get(&guard).into_iter().flatten();
        let strays = seen.filter(|seen| !seen.is_known).map(|seen| seen.drive);
        let strays = strays.collect();
        self.window.explain_all(guard);
        strays
    }

    /// Makes holders of drives whose copy of a guard nobody waited for (the drive was away, or its
    /// answer was lost), so that the copy goes when the guard does.
    async fn adopt_strays(&mut self) -> Result<()> {
        for (entry, drives) in std::mem::take(&mut self.strays) {
            let present = self.ctx.index.get(Table::Purge, &entry.key).await?;
            let present = present.and_then(|row| PurgeRow::decode(&row.value).ok());
            let mut batch = Batch::new();
            match present {
                Some(mut row) => {
                    row.guard_holders.extend(drives);
                    row.guard_holders.sort_unstable();
                    row.guard_holders.dedup();
                    batch.put_purge(entry.order, entry.write, &row);
                }
                // The guard went meanwhile: there is nothing left that the copy could guard.
                None => {
                    let row = PurgeRow {
                        writes: entry.row.guard.into_iter().collect(),
                        kind: PurgeKind::Gone,
                        guard: None,
                        waiting: drives,
                        guard_holders: Vec::new(),
                    };
                    batch.put_purge(entry.order, entry.write, &row);
                }
            }
            self.ctx.commit_alone(batch).await?;
            self.ctx.purge.ring();
        }
        Ok(())
    }

    /// Purges copies from drives that their row does not name, if it still does not.
    async fn extras(&mut self) -> Result<()> {
        for (row, drive) in std::mem::take(&mut self.extra) {
            let Some(placed) = placed::find(&*self.ctx.index, &row.name).await? else {
                continue;
            };
            let edit = |placement: &mut Placement| {
                let is_named = placement.drives().any(|named| named == drive);
                (!is_named).then(|| Change {
                    leave: vec![drive],
                    ..Change::default()
                })
            };
            self.ctx.change(&placed, edit).await?;
        }
        Ok(())
    }

    /// Decides about writes that the index does not know.
    async fn unexplained(&mut self) -> Result<BTreeSet<DriveId>> {
        let mut undecided = BTreeSet::new();
        if self.ctx.awaits_drives() {
            return Ok(undecided);
        }
        for (drive, entry) in self.window.unexplained() {
            if self.ctx.is_being_swept(entry.write) {
                continue;
            }
            if self.ctx.trash().len() >= self.ctx.config.voids_max {
                undecided.insert(drive);
                continue;
            }
            match sweep::resolve(self.ctx, drive, &entry).await {
                Ok(Look::Open) => drop(undecided.insert(drive)),
                Ok(verdict) => {
                    let write = entry.write;
                    tracing::debug!(%drive, %write, ?verdict, "unknown write decided");
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(%drive, write = %entry.write, error, "unknown write undecided");
                    undecided.insert(drive);
                }
            }
        }
        Ok(undecided)
    }
}
