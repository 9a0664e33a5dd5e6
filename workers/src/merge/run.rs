//! The merge of a claim, and the one of all records.
//!
//! Owns: the steps from asking to the end of the merge.
//! Leaves to others: each step.
//! Always: the settled mark moves only when everything that was decided is durable in the index.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use holdfast_index::{Batch, Index, Locks, ScanLimit, Table, UsageDelta};
use holdfast_protocol::WriteId;
use holdfast_protocol::row::RowName;
use holdfast_store::Store;

use super::apply::{Applying, MergeReport};
use super::decide::{Fate, Merged, decide};
use super::doubts;
use super::facts::Found;
use super::gather::{Asking, Gathered, check_absent};
use crate::claim::Claimed;
use crate::context::NextWrite;
use crate::error::Result;
use crate::placed::Placed;
use crate::sweep::Voiding;

/// Changes of a rebuild that are committed together, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Rows that are removed together when an old copy is emptied.
const CLEAR_ROWS: usize = 1000;

/// What a merge needs.
#[derive(Clone, Copy)]
pub struct Merging<'a> {
    /// The store; its map is the claim's.
    pub store: &'a Store,
    /// The index, claimed.
    pub index: &'a dyn Index,
    /// Gives names to voids.
    pub next_write: &'a NextWrite,
    /// How long a drive may take to answer.
    pub deadline: Duration,
}

impl std::fmt::Debug for Merging<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merging")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Merging<'_> {
    /// Merges what the drives hold at or above the settled mark into the index, and ends the merge.
    ///
    /// An old copy of an index is rebuilt instead, as [`Merging::all`] does without `force`.
    ///
    /// # Errors
    /// `TooManyAbsent` for an old copy; `TooFewDrives` when a system record cannot be written back;
    /// `Index`.
    pub async fn claimed(&self, claimed: &Claimed) -> Result<MergeReport> {
        if claimed.is_old_copy {
            tracing::warn!("the index is an old copy: it is rebuilt from the drives");
            return self.all(claimed, false).await;
        }
        let asking = self.asking();
        let mut records = asking.drives(claimed).await;
        asking.read_all(&mut records).await;
        let count = records.found.len() as u64;
        let mut gathered = asking.beside_index(records).await?;
        asking.look_closer(&mut gathered.records).await;
        let is_known = |found: &Found| found.is_known || gathered.queued.contains(&found.write);
        let mut report = match gathered.records.found.values().all(is_known) {
            true => MergeReport::default(),
            false => {
                let merged = decide(&gathered.records);
                self.apply_beside(&gathered, &merged).await?
            }
        };
        report.records = count;
        self.finish(report).await
    }

    /// Decides from all records, and writes every row anew: into a new index, or over an old copy,
    /// whose rows count for nothing. With `force` also when so many drives are absent that what is
    /// in doubt cannot be told from what is lost.
    ///
    /// # Errors
    /// `TooManyAbsent` without `force`; `TooFewDrives`; `Index`.
    pub async fn all(&self, claimed: &Claimed, force: bool) -> Result<MergeReport> {
        let asking = self.asking();
        let mut claimed = claimed.clone();
        claimed.merge_from = holdfast_protocol::Order::ZERO;
        let mut records = asking.drives(&claimed).await;
        if !force {
            check_absent(&self.store.map(), &records.absent)?;
        }
        asking.read_all(&mut records).await;
        asking.look_closer(&mut records).await;
        let merged = decide(&records);
        self.clear().await?;
        let (rows, queued) = (BTreeMap::new(), BTreeSet::new());
        let mut applying = Applying {
            asking,
            records: &records,
            merged: &merged,
            rows: &rows,
            queued: &queued,
            report: MergeReport::default(),
        };
        let mut batch = Batch::new();
        for (&write, &fate) in &merged.fates {
            let Some(found) = records.found.get(&write) else {
                continue;
            };
            applying.show(found, fate, &mut batch).await?;
            if batch.weight() > BATCH_BYTES {
                self.commit(std::mem::take(&mut batch)).await?;
            }
        }
        applying.retire(&mut batch);
        self.commit(batch).await?;
        for batch in doubts::rows(&self.store.map(), &claimed, &records, &merged) {
            self.commit(batch).await?;
        }
        let mut report = applying.report;
        report.records = records.found.len() as u64;
        report.doubts = merged.doubts.into_iter().collect();
        self.finish(report).await
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            store: self.store,
            index: self.index,
            deadline: self.deadline,
        }
    }

    /// One batch beside what the index shows: first what goes, then what comes.
    async fn apply_beside(&self, gathered: &Gathered, merged: &Merged) -> Result<MergeReport> {
        let mut applying = Applying {
            asking: self.asking(),
            records: &gathered.records,
            merged,
            rows: &gathered.rows,
            queued: &gathered.queued,
            report: MergeReport::default(),
        };
        // What goes and what comes may meet under one key.
        let (mut batch, mut coming) = (Batch::new(), Batch::new());
        for (write, placed) in &gathered.rows {
            if let Some(&fate) = merged.fates.get(write) {
                self.change_known(&mut applying, placed, fate, &mut batch, &mut coming)
                    .await?;
            }
        }
        batch.ops.append(&mut coming.ops);
        for (&write, &fate) in &merged.fates {
            let Some(found) = gathered.records.found.get(&write) else {
                continue;
            };
            if !found.is_known && !gathered.queued.contains(&write) {
                applying.show(found, fate, &mut batch).await?;
            }
        }
        applying.retire(&mut batch);
        // No lifecycle rule was asked about what came or went.
        batch.put_due_of_changes();
        self.commit(batch).await?;
        Ok(applying.report)
    }

    /// Changes a row that the index shows, where what came to light says otherwise.
    async fn change_known(
        &self,
        applying: &mut Applying<'_>,
        placed: &Placed,
        fate: Fate,
        batch: &mut Batch,
        coming: &mut Batch,
    ) -> Result<()> {
        let manifest = placed.manifest();
        match (&placed.name, fate) {
            (
                RowName::Version { .. },
                Fate::Version {
                    metadata,
                    is_current,
                },
            ) => {
                // Clause 13.
                let unknown = metadata.filter(|write| !applying.rows.contains_key(write));
                if unknown.is_none() && is_current != placed.is_noncurrent() {
                    return Ok(());
                }
                let mut row = placed.row.clone();
                if let Some(metadata) = unknown {
                    applying.replace_metadata(&mut row, metadata).await?;
                }
                placed.remove(batch);
                match is_current {
                    true => coming.put_current(&row),
                    false => coming.put_noncurrent(&row),
                };
            }
            (RowName::Part { .. }, Fate::Part)
            | (RowName::Metadata { .. }, Fate::Metadata)
            | (_, Fate::Doubt) => {}
            (RowName::Upload { .. }, Fate::Upload { completed }) => {
                let Some(write) = completed.filter(|_| placed.completed().is_none()) else {
                    return Ok(());
                };
                let row = holdfast_protocol::UploadRow {
                    manifest: manifest.clone(),
                    placement: placed.row.placement.clone(),
                    completed: applying.completed(write).await?,
                };
                placed.remove(batch);
                super::apply::put_upload(&row, coming);
                batch.usage(manifest.bucket, UsageDelta::Uploads(-1));
            }
            _ => {
                placed.remove(batch);
                applying.report.removed += 1;
                batch.count(manifest, -1);
                if matches!(placed.name, RowName::Upload { .. }) && placed.completed().is_none() {
                    batch.usage(manifest.bucket, UsageDelta::Uploads(-1));
                }
            }
        }
        Ok(())
    }

    /// Voids what never took effect (what cannot be voided now is left to the sweep), and ends the
    /// merge.
    async fn finish(&self, mut report: MergeReport) -> Result<MergeReport> {
        if let Some(map) = &report.map {
            self.store.set_map(map.clone());
        }
        let voiding = Voiding {
            store: self.store,
            index: self.index,
            next_write: self.next_write,
        };
        let mut left: Vec<(WriteId, Vec<_>)> = Vec::new();
        for (write, drives) in std::mem::take(&mut report.to_void) {
            if let Err(error) = voiding.void(write, drives.clone()).await {
                tracing::warn!(%write, %error, "write not voided, left to the sweep");
                left.push((write, drives));
            }
        }
        report.to_void = left;
        self.index.end_merge().await?;
        tracing::info!(
            records = report.records,
            shown = report.shown,
            removed = report.removed,
            retired = report.retired,
            voided = report.voided,
            doubts = report.doubts.len(),
            "merge ended"
        );
        Ok(report)
    }

    async fn commit(&self, batch: Batch) -> Result<()> {
        if !batch.is_empty() {
            let txn = self.index.begin(Locks::none()).await?;
            txn.commit(batch).await?;
        }
        Ok(())
    }

    /// Empties an old copy. What was seen of the drives' logs stays.
    async fn clear(&self) -> Result<()> {
        let kept = [Table::Meta, Table::Seen];
        for table in Table::ALL.into_iter().filter(|table| !kept.contains(table)) {
            loop {
                let limit = ScanLimit::rows(CLEAR_ROWS);
                let all = (Bound::Unbounded, Bound::Unbounded);
                let scan = self.index.scan(table, all.0, all.1, limit).await?;
                let mut batch = Batch::new();
                for (key, _) in &scan.rows {
                    batch.delete(table, key.clone());
                }
                self.commit(batch).await?;
                if !scan.more {
                    break;
                }
            }
        }
        Ok(())
    }
}
