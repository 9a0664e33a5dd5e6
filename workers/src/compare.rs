//! Compares drives with the index, both ways.
//!
//! Owns: which drives wait to be compared; what a drive lacks (queued for healing), what it has too
//! much (sweep's rules).
//! Leaves to others: drives that are gone ([`lost`]), successors that are being filled
//! ([`filling`]), what is to be purged ([`purging`]), system records ([`crate::systems`]), guards
//! ([`crate::guard`]), healing.
//! Always: a drive counts as compared only when its whole inventory was held against the whole
//! index; what may have changed meanwhile is not judged.

pub(crate) mod filling;
pub(crate) mod lost;
mod purging;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use holdfast_index::Batch;
use holdfast_index::rows::PurgeEntry;
use holdfast_protocol::{Body, DriveId, Placement};

use crate::context::{CompareReason, Context};
use crate::error::{Result, chain};
use crate::guard;
use crate::heal::HeldUp;
use crate::placed::{self, Change};
use crate::sweep::{self, Look};
use crate::systems;
use crate::window::{PlacedRow, RowScan, Window, Windows};
use filling::{Filling, Gone, Short};
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
        // Rows above the settled mark are not judged: what drives may have lost is below.
        self.ctx.settle_all().await?;
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
        let (mut queued, mut short) = (0, Short::default());
        let gone = Gone::of(&self.ctx);
        while let Some(window) = windows.next().await? {
            let mut comparison = Comparison {
                ctx: &self.ctx,
                window,
                running: &running,
                gone: &gone,
                short: Short::default(),
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
            short.join(comparison.short);
        }
        for (drive, error) in windows.failed {
            tracing::warn!(%drive, %error, "drive could not be listed, comparing it again later");
            failed.insert(drive);
        }
        gone.filled(&self.ctx, &short, &running, &failed).await?;
        let short = short.all;
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
    /// What still lacks what drives that are gone held.
    short: Short,
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
                        self.short.add(HeldUp::All);
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
        self.short.add(self.gone.held_up(self.ctx, row, &lost));
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
            self.batch.put_heal(margin, name, manifest);
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
            self.short.add_strange(drive);
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
