//! Brings the index to what the merge decided.
//!
//! Owns: rows, usage and queues for each fate, at a claim (one batch beside what the index shows)
//! and at a rebuild (many batches into an empty index).
//! Leaves to others: deciding ([`super::decide`]); voiding ([`crate::sweep`]).
//! Always: system records are written back to a system quorum before a row says them; an
//! interrupted merge is done again from the start, because the settled mark moves only afterwards.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::future::join_all;
use holdfast_index::{Batch, Row, Table, UsageDelta, keys};
use holdfast_protocol::checksum::crc64;
use holdfast_protocol::row::Completed;
use holdfast_protocol::{
    Body, BucketRow, ClusterMap, DriveId, Manifest, Order, Placement, PurgeKind, PurgeRow, Record,
    UploadRow, VersionRow, WriteId,
};
use holdfast_store::row_name;

use super::decide::{Doubt, Fate, Merged};
use super::facts::{BUCKET_KIND, BodyFact, Fact, Found, Records};
use super::gather::Asking;
use crate::claim::{MAP_KIND, MAP_NAME};
use crate::error::{Result, WorkersError};
use crate::placed::{self, Placed};

/// Writes of one purge row at most.
const PURGE_WRITES_MAX: usize = 4096;

/// What a merge did.
#[derive(Clone, Debug, Default)]
pub struct MergeReport {
    /// Records at or above the mark.
    pub records: u64,
    /// Versions, parts and uploads that became visible.
    pub shown: u64,
    /// Rows that were removed because a deletion came to light.
    pub removed: u64,
    /// Writes that never took effect.
    pub voided: u64,
    /// Writes queued for purge.
    pub retired: u64,
    /// What cannot be decided with the drives at hand.
    pub doubts: Vec<Doubt>,
    /// The newest cluster map, if it came to light here.
    pub map: Option<ClusterMap>,
    /// Writes to be voided, and the drives that may hold them.
    pub(crate) to_void: Vec<(WriteId, Vec<DriveId>)>,
}

/// Applies an outcome.
pub(crate) struct Applying<'a> {
    pub(crate) asking: Asking<'a>,
    pub(crate) records: &'a Records,
    pub(crate) merged: &'a Merged,
    /// Rows that the index shows.
    pub(crate) rows: &'a BTreeMap<WriteId, Placed>,
    /// Guards that are queued already.
    pub(crate) queued: &'a BTreeSet<WriteId>,
    pub(crate) report: MergeReport,
}

impl Applying<'_> {
    /// The rows that one record stands for, now that it came to light.
    ///
    /// # Errors
    /// `TooFewDrives` for a system record that cannot be written back; `Damaged`.
    pub(crate) async fn show(
        &mut self,
        found: &Found,
        fate: Fate,
        batch: &mut Batch,
    ) -> Result<()> {
        match fate {
            Fate::Version {
                metadata,
                is_current,
            } => {
                let Some(manifest) = self.manifest(found).await? else {
                    return Ok(());
                };
                let mut row = VersionRow {
                    manifest,
                    placement: self.records.placement(found),
                    changed: None,
                };
                if let Some(metadata) = metadata {
                    self.replace_metadata(&mut row, metadata).await?;
                }
                match is_current {
                    true => batch.put_current(&row),
                    false => batch.put_noncurrent(&row),
                };
                batch.count(&row.manifest, 1);
                self.queue_heal(&row.manifest, &row.placement, batch);
            }
            Fate::Part | Fate::Metadata => {
                let Some(manifest) = self.manifest(found).await? else {
                    return Ok(());
                };
                let row = VersionRow {
                    manifest,
                    placement: self.records.placement(found),
                    changed: None,
                };
                match fate {
                    Fate::Part => batch.put_part(&row),
                    _ => batch.put_metadata(&row),
                };
                self.queue_heal(&row.manifest, &row.placement, batch);
            }
            Fate::Upload { completed } => {
                let Some(manifest) = self.manifest(found).await? else {
                    return Ok(());
                };
                let placement = self.records.placement(found);
                let completed = match completed {
                    Some(write) => self.completed(write).await?,
                    None => None,
                };
                self.queue_heal(&manifest, &placement, batch);
                put_upload(
                    &UploadRow {
                        manifest,
                        placement,
                        completed,
                    },
                    batch,
                );
            }
            Fate::System => self.show_system(found, batch).await?,
            _ => return Ok(()),
        }
        self.report.shown += 1;
        Ok(())
    }

    async fn record(&self, found: &Found) -> Option<Record> {
        let holders: Vec<DriveId> = found.copies.iter().map(|kept| kept.drive).collect();
        let (kept, _) = self.asking.read(found.write, &holders, false).await;
        kept.map(|kept| kept.record)
    }

    async fn manifest(&self, found: &Found) -> Result<Option<Manifest>> {
        match self.record(found).await {
            Some(Record::Commit { manifest, .. }) => Ok(Some(manifest)),
            Some(_) => Ok(None),
            None => Err(unreadable_now(found.write)),
        }
    }

    /// Gives a version the metadata of a metadata record.
    pub(crate) async fn replace_metadata(
        &self,
        row: &mut VersionRow,
        write: WriteId,
    ) -> Result<()> {
        let new = match (self.rows.get(&write), self.records.found.get(&write)) {
            (Some(placed), _) => Some(placed.manifest().clone()),
            (None, Some(found)) => self.manifest(found).await?,
            (None, None) => None,
        };
        let new = new.ok_or_else(|| unreadable_now(write))?;
        row.manifest.metadata = new.metadata;
        row.changed = Some(new.order);
        Ok(())
    }

    /// What Complete answered, as its record and its parts say.
    pub(crate) async fn completed(&self, version: WriteId) -> Result<Option<Completed>> {
        let Some(found) = self.records.found.get(&version) else {
            return Ok(None);
        };
        let Some(manifest) = self.manifest(found).await? else {
            return Ok(None);
        };
        let Body::Parts { parts, .. } = &manifest.body else {
            return Ok(None);
        };
        let mut named = Vec::with_capacity(parts.len());
        for part in parts {
            let number = part.number;
            if let Some(etag) = self.part_etag(part.write).await? {
                named.push(format!("{number}:{etag}"));
            }
        }
        Ok(Some(Completed {
            write: version,
            order: manifest.order,
            etag: manifest.etag,
            checksum: manifest.checksum.clone(),
            request_digest: crc64(named.join(",").as_bytes()),
            at_ms: manifest.created_ms,
        }))
    }

    async fn part_etag(&self, write: WriteId) -> Result<Option<String>> {
        if let Some(placed) = self.rows.get(&write) {
            return Ok(Some(placed.manifest().etag.to_string()));
        }
        let Some(found) = self.records.found.get(&write) else {
            return Ok(None);
        };
        Ok(self
            .manifest(found)
            .await?
            .map(|manifest| manifest.etag.to_string()))
    }

    /// Writes a system record back to all living drives, and its rows once a system quorum has it.
    async fn show_system(&mut self, found: &Found, batch: &mut Batch) -> Result<()> {
        let holders: Vec<DriveId> = found.copies.iter().map(|kept| kept.drive).collect();
        let (Some(kept), _) = self.asking.read(found.write, &holders, false).await else {
            return Err(unreadable_now(found.write));
        };
        let Record::System {
            order,
            kind,
            name,
            value,
            ..
        } = &kept.record
        else {
            return Ok(());
        };
        let store = self.asking.store;
        let living: Vec<DriveId> = store.map().living().map(|drive| drive.id).collect();
        let lacking = living.iter().filter(|drive| !holders.contains(drive));
        let copies =
            lacking.map(|&drive| store.seal_copy(drive, Order::ZERO, kept.encoded.clone(), None));
        let written = join_all(copies)
            .await
            .into_iter()
            .filter(|copy| copy.is_ok())
            .count();
        let answered = written
            + living
                .iter()
                .filter(|drive| holders.contains(drive))
                .count();
        let needed = store.map().system_quorum();
        if answered < needed {
            return Err(WorkersError::TooFewDrives {
                what: "write a system record back",
                answered,
                needed,
                living: living.len(),
            });
        }
        self.system_rows(*order, kind, name, value, batch)
    }

    fn system_rows(
        &mut self,
        order: Order,
        kind: &str,
        name: &str,
        value: &Bytes,
        batch: &mut Batch,
    ) -> Result<()> {
        batch.put_system(kind, name, Row::new(order, value.clone()));
        let damaged = |why: String| WorkersError::Damaged {
            what: format!("system record {kind}/{name}"),
            why,
        };
        match kind {
            BUCKET_KIND if value.is_empty() => {
                batch.delete(Table::Bucket, keys::bucket(name));
            }
            BUCKET_KIND => {
                BucketRow::decode(value).map_err(|error| damaged(error.to_string()))?;
                let row = Row::new(order, value.clone());
                batch.put(Table::Bucket, keys::bucket(name), row);
            }
            MAP_KIND if name == MAP_NAME => {
                let map = ClusterMap::decode(value).map_err(|error| damaged(error.to_string()))?;
                if map.version >= self.asking.store.map().version {
                    self.report.map = Some(map);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn queue_heal(&self, manifest: &Manifest, placement: &Placement, batch: &mut Batch) {
        if placement.missing != 0 {
            let margin = placed::margin(manifest, placement);
            batch.put_heal(margin, &row_name(manifest), manifest);
        }
    }

    /// Queues everything that is retired or guards, and collects what is to be voided.
    pub(crate) fn retire(&mut self, batch: &mut Batch) {
        let mut retired: BTreeMap<WriteId, Vec<WriteId>> = BTreeMap::new();
        for (&write, fate) in &self.merged.fates {
            let Some(found) = self.records.found.get(&write) else {
                continue;
            };
            if self.queued.contains(&write) {
                continue;
            }
            match fate {
                Fate::Guard => {
                    let writes = retired.entry(write).or_default();
                    if let Some(Fact::Void { target }) = found.fact
                        && !self.records.found.contains_key(&target)
                    {
                        writes.push(target);
                    }
                }
                Fate::Retired { by } if self.queued.contains(by) => self.void(write),
                Fate::Retired { by } => {
                    retired.entry(*by).or_default().push(write);
                    self.report.retired += 1;
                }
                Fate::Void => self.void(write),
                _ => {}
            }
        }
        let tops = self.tops();
        for (by, mut writes) in retired {
            writes.sort_unstable();
            self.queue_purge(by, &writes, &tops, batch);
        }
    }

    /// For each upload, the write whose record says that it is no longer open.
    fn tops(&self) -> BTreeMap<WriteId, WriteId> {
        let mut tops = BTreeMap::new();
        for (&write, fate) in &self.merged.fates {
            let fact = self
                .records
                .found
                .get(&write)
                .and_then(|found| found.fact.as_ref());
            if let Some(Fact::Version {
                body: BodyFact::Parts { upload, .. },
                ..
            }) = fact
                && matches!(fate, Fate::Retired { .. })
            {
                tops.insert(*upload, write);
            }
        }
        tops
    }

    fn void(&mut self, write: WriteId) {
        let drives = self.records.drives_of(&[write]).into_iter().collect();
        self.report.to_void.push((write, drives));
        self.report.voided += 1;
    }

    /// Queues what `by` retires: each version with the upload and the parts behind it, which are
    /// purged before it; the rest together. The guard, if it is one, goes with the last row.
    fn queue_purge(
        &self,
        by: WriteId,
        writes: &[WriteId],
        tops: &BTreeMap<WriteId, WriteId>,
        batch: &mut Batch,
    ) {
        let Some(retiring) = self.records.found.get(&by) else {
            return;
        };
        let is_guard = self.merged.fates.get(&by) == Some(&Fate::Guard);
        let guard_holders: Vec<DriveId> = match is_guard {
            true => retiring.copies.iter().map(|kept| kept.drive).collect(),
            false => Vec::new(),
        };
        let mut rows = self.purge_groups(writes, tops);
        if rows.is_empty() && is_guard {
            rows.insert(by, Vec::new());
        }
        let last = rows.last_key_value().map(|(first, _)| *first);
        for (first, writes) in rows {
            let guard = (is_guard && Some(first) == last).then_some(by);
            let mut waiting = self.records.drives_of(&writes);
            waiting.extend(&guard_holders);
            // What a void names may lie below the mark, where nobody looked: it can be anywhere.
            let is_found = |write: &WriteId| self.records.found.contains_key(write);
            if !writes.iter().all(is_found) {
                waiting.extend(self.asking.store.map().living().map(|drive| drive.id));
            }
            for placed in writes.iter().filter_map(|write| self.rows.get(write)) {
                waiting.extend(placed.row.placement.drives());
            }
            let row = PurgeRow {
                writes,
                kind: PurgeKind::Gone,
                guard,
                waiting: waiting.into_iter().collect(),
                guard_holders: guard.map(|_| guard_holders.clone()).unwrap_or_default(),
            };
            batch.put_purge(retiring.order, first, &row);
        }
    }

    /// Rows of `writes`, which ascend, each by its first.
    fn purge_groups(
        &self,
        writes: &[WriteId],
        tops: &BTreeMap<WriteId, WriteId>,
    ) -> BTreeMap<WriteId, Vec<WriteId>> {
        let mut groups: BTreeMap<WriteId, Vec<WriteId>> = BTreeMap::new();
        for &write in writes {
            let fact = self
                .records
                .found
                .get(&write)
                .and_then(|found| found.fact.as_ref());
            let upload = match fact {
                Some(Fact::Upload { .. }) => Some(write),
                Some(Fact::Part { upload, .. }) => Some(*upload),
                _ => None,
            };
            let top = upload.map(|upload| tops.get(&upload).copied().unwrap_or(upload));
            match top.filter(|top| *top != write && writes.binary_search(top).is_ok()) {
                Some(top) => groups.entry(top).or_default().push(write),
                None => drop(groups.entry(write).or_default()),
            }
        }
        let (single, many): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|(_, others)| others.is_empty());
        let single: Vec<WriteId> = single.into_iter().map(|(first, _)| first).collect();
        let mut rows: BTreeMap<WriteId, Vec<WriteId>> = many
            .into_iter()
            .map(|(first, others)| (first, std::iter::once(first).chain(others).collect()))
            .collect();
        for chunk in single.chunks(PURGE_WRITES_MAX) {
            rows.insert(chunk[0], chunk.to_vec());
        }
        rows
    }
}

/// An upload, with what finds it by its id; one that was completed has the order of its Complete.
pub(crate) fn put_upload(row: &UploadRow, batch: &mut Batch) {
    batch.put_upload(row);
    match &row.completed {
        None => {
            batch.usage(row.manifest.bucket, UsageDelta::Uploads(1));
        }
        Some(done) => {
            let manifest = &row.manifest;
            let key = keys::upload(manifest.bucket, &manifest.key, manifest.write);
            batch.set(Table::Upload, key, Row::new(done.order, row.encode()));
        }
    }
}

/// It could be read a moment ago: its drive went away, and the merge is to be done again.
fn unreadable_now(write: WriteId) -> WorkersError {
    WorkersError::Damaged {
        what: format!("record of write {write}"),
        why: "no copy of it can be read any more".to_owned(),
    }
}
