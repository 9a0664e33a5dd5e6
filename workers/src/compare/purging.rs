//! What a comparison finds of writes that are to be purged, and of their guards.
//!
//! Owns: explaining both; having entries wait for every drive that holds what they purge, and name
//! every drive that holds their guard.
//! Leaves to others: purging ([`crate::purge`]), copies of guards that are gone ([`crate::guard`]).
//! Always: an entry changes only while nobody purges by it, as it is then; one that is done by then
//! is made again for what was found too late.

use std::collections::BTreeSet;

use holdfast_index::rows::{self, PurgeEntry};
use holdfast_index::{Batch, Table};
use holdfast_protocol::{DriveId, PurgeKind, PurgeRow, WriteId};

use super::Comparison;
use crate::error::Result;
use crate::heal::HeldUp;

impl Comparison<'_> {
    /// Explains what waits to be purged; returns guards of which a holder lacks its copy.
    pub(super) async fn purges(&mut self) -> Result<Vec<PurgeEntry>> {
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

    fn is_weak(&mut self, entry: &PurgeEntry) -> bool {
        let Some(guard) = entry.row.guard.filter(|guard| self.window.holds(*guard)) else {
            return false;
        };
        let copies = self.ctx.store.map().geometry.copies();
        if self.gone.living(&entry.row.guard_holders) < copies {
            self.short.add(HeldUp::All);
        }
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

    /// Has entries wait for these, too: a rebuild that they missed did not see what they hold.
    pub(super) async fn purge_unnamed(&mut self) -> Result<()> {
        for (entry, drives) in std::mem::take(&mut self.unpurged) {
            tracing::debug!(write = %entry.write, ?drives, "copies nobody purged, purging them");
            self.change(&entry, |present| {
                let mut row = present.unwrap_or_else(|| gone(entry.row.writes.clone()));
                row.waiting = joined(row.waiting, drives);
                row
            })
            .await?;
        }
        Ok(())
    }

    /// Makes holders of drives whose copy of a guard nobody waited for (the drive was away, or its
    /// answer was lost), so that the copy goes when the guard does.
    pub(super) async fn adopt_strays(&mut self) -> Result<()> {
        for (entry, drives) in std::mem::take(&mut self.strays) {
            self.change(&entry, |present| match present {
                Some(mut row) => {
                    row.guard_holders = joined(row.guard_holders, drives);
                    row
                }
                // The guard went meanwhile: there is nothing left that the copy could guard.
                None => PurgeRow {
                    waiting: drives,
                    ..gone(entry.row.guard.into_iter().collect())
                },
            })
            .await?;
        }
        Ok(())
    }

    /// Writes an entry anew, from what it is now, if it still is one.
    async fn change(
        &self,
        entry: &PurgeEntry,
        edit: impl FnOnce(Option<PurgeRow>) -> PurgeRow + Send,
    ) -> Result<()> {
        let _turn = self.ctx.purging.lock().await;
        let present = self.ctx.index.get(Table::Purge, &entry.key).await?;
        let present = present.and_then(|row| PurgeRow::decode(&row.value).ok());
        let mut batch = Batch::new();
        batch.put_purge(entry.order, entry.write, &edit(present));
        self.ctx.commit_alone(batch).await?;
        self.ctx.purge.ring();
        Ok(())
    }
}

/// An entry that purges these writes everywhere, and waits for nobody yet.
fn gone(writes: Vec<WriteId>) -> PurgeRow {
    PurgeRow {
        writes,
        kind: PurgeKind::Gone,
        guard: None,
        waiting: Vec::new(),
        guard_holders: Vec::new(),
    }
}

/// Both, each drive once.
fn joined(drives: Vec<DriveId>, others: Vec<DriveId>) -> Vec<DriveId> {
    let all: BTreeSet<DriveId> = drives.into_iter().chain(others).collect();
    all.into_iter().collect()
}
