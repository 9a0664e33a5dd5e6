//! Asks the drives what they hold, and the index what it shows beside it.
//!
//! Owns: inventories and records of all drives at or above an order, and the rows that touch them.
//! Leaves to others: what they mean ([`super::decide`]).
//! Always: memory grows with the number of records at or above the order, a few hundred bytes for
//! each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use holdfast_index::{Index, rows};
use holdfast_protocol::row::RowName;
use holdfast_protocol::rpc::DriveError;
use holdfast_protocol::{
    BucketId, BucketRow, ClusterMap, DriveId, DriveUse, GatewayId, Order, PartRow, PurgeKind,
    RecordKind, TombstoneTarget, UploadRow, VersionRow, WriteId,
};
use holdfast_store::survey::{self, InventoryQuery, KeptRecord};
use holdfast_store::{Store, row_name};

use super::facts::{BUCKET_KIND, BodyFact, Fact, Found, Kept, Records};
use crate::claim::Claimed;
use crate::error::{Result, WorkersError};
use crate::placed::{self, Placed};

/// Records read at the same time.
const READS: usize = 32;
const PAGE: u32 = 4096;

/// Who asks, and how long a drive may take.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) store: &'a Store,
    pub(crate) index: &'a dyn Index,
    pub(crate) deadline: Duration,
}

/// What drives hold and what the index shows of it.
pub(crate) struct Gathered {
    pub(crate) records: Records,
    /// Rows of known writes.
    pub(crate) rows: BTreeMap<WriteId, Placed>,
    /// Guards that the purge queue names already.
    pub(crate) queued: BTreeSet<WriteId>,
    /// Uploads whose rows were all looked up.
    uploads: BTreeSet<WriteId>,
    /// Keys whose rows were all looked up.
    keys: BTreeSet<(BucketId, String)>,
}

impl Asking<'_> {
    /// Everything that the drives hold at or above the order from which `claimed` says to merge.
    ///
    /// # Errors
    /// `TooManyAbsent` is left to the caller: drives that do not answer here count as absent.
    pub(crate) async fn drives(&self, claimed: &Claimed) -> Records {
        let map = self.store.map();
        let mut records = Records::new(map.geometry);
        let dead = map
            .drives
            .iter()
            .filter(|drive| drive.usage == DriveUse::Dead);
        records.dead = dead.map(|drive| drive.id).collect();
        let whole = |drive: &DriveId| claimed.granted.contains(drive);
        records.absent = map
            .living()
            .map(|drive| drive.id)
            .filter(|id| !whole(id))
            .collect();
        // Nor is a drive whole that lost its log, is new, or took a lost one's place and was not
        // brought all of it yet: that it holds nothing of a write says nothing.
        records.absent.extend(&claimed.lost_logs);
        records.partial.extend(&claimed.lost_logs);
        let of_map = |drive: &&DriveId| map.drive(**drive).is_some();
        records.absent.extend(claimed.blank.iter().filter(of_map));
        // But such a drive has all that was sealed on itself.
        let is_filling = |drive: &DriveId| whole(drive) && !records.absent.contains(drive);
        records.filling = map.filling().filter(is_filling).collect();
        records.absent.extend(map.filling());
        for &drive in &claimed.granted {
            if let Err(error) = self
                .inventory(drive, claimed.merge_from, &mut records)
                .await
            {
                tracing::warn!(%drive, %error, "drive not listed, it counts as absent");
                records.absent.insert(drive);
                records.filling.remove(&drive);
            }
        }
        records
    }

    async fn inventory(
        &self,
        drive: DriveId,
        from: Order,
        records: &mut Records,
    ) -> std::result::Result<(), DriveError> {
        let mut query = InventoryQuery::from_order(from, PAGE);
        loop {
            let page = survey::inventory(self.store.drives(), drive, self.deadline, query).await?;
            for entry in &page.entries {
                let kept = Kept {
                    drive,
                    shard: entry.shard,
                    is_damaged: entry.damaged,
                };
                records.add(entry.write, entry.order, entry.kind, kept);
            }
            query.after = page.entries.last().map(|entry| entry.write);
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Reads every record once, from a drive that has a good copy, and notes what it says. Copies
    /// that turn out to be unreadable are noted as damaged.
    pub(crate) async fn read_all(&self, records: &mut Records) {
        let wanted: Vec<(WriteId, Vec<DriveId>)> = records
            .found
            .values()
            .filter(|found| found.fact.is_none())
            .map(|found| (found.write, holders(&found.copies)))
            .collect();
        let mut reads = stream::iter(wanted)
            .map(|(write, holders)| async move {
                let (kept, bad) = self.read(write, &holders, false).await;
                (write, kept.map(|kept| Fact::of(&kept.record)), bad)
            })
            .buffer_unordered(READS);
        let mut described = Vec::new();
        while let Some(read) = reads.next().await {
            described.push(read);
        }
        drop(reads);
        for (write, fact, bad) in described {
            let Some(found) = records.found.get_mut(&write) else {
                continue;
            };
            found.fact = fact;
            if !bad.is_empty() {
                let copies = std::mem::take(&mut found.copies);
                found.copies = copies
                    .into_iter()
                    .map(|kept| Kept {
                        is_damaged: kept.is_damaged || bad.contains(&kept.drive),
                        ..kept
                    })
                    .collect();
            }
        }
    }

    /// A record from the first of `holders` that has a good copy, and those that had none.
    pub(crate) async fn read(
        &self,
        write: WriteId,
        holders: &[DriveId],
        with_body: bool,
    ) -> (Option<KeptRecord>, Vec<DriveId>) {
        let (drives, cluster) = (self.store.drives(), self.store.cluster());
        let mut bad = Vec::new();
        for &drive in holders {
            match survey::read_record(drives, cluster, drive, self.deadline, write, with_body).await
            {
                Ok(kept) => return (Some(kept), bad),
                Err(error) => {
                    tracing::warn!(%drive, %write, %error, "record unreadable, asking another");
                    bad.push(drive);
                }
            }
        }
        (None, bad)
    }

    /// Takes out what the index knows to be retired already, and adds the rows that the rest
    /// touches. Guards in the purge queue stay: they cover lower orders that were never shown.
    ///
    /// # Errors
    /// `Index`.
    pub(crate) async fn beside_index(&self, mut records: Records) -> Result<Gathered> {
        records.index_decides = true;
        let (queued, retired) = self.queued(&records).await?;
        // What cannot be read now says nothing, and the index may show it: it is left to the
        // comparison, which holds rows against drives before it takes anything for an orphan.
        records
            .found
            .retain(|write, found| !retired.contains(write) && found.fact.is_some());
        let mut gathered = Gathered {
            records,
            rows: BTreeMap::new(),
            queued,
            uploads: BTreeSet::new(),
            keys: BTreeSet::new(),
        };
        let found: Vec<(WriteId, Order, Fact)> = gathered
            .records
            .found
            .values()
            .filter_map(|found| Some((found.write, found.order, found.fact.clone()?)))
            .collect();
        for (write, order, fact) in found {
            self.know_touched(&mut gathered, write, order, &fact)
                .await?;
        }
        self.know_buckets(&mut gathered).await?;
        Ok(gathered)
    }

    /// Writes that the purge queue names at or above the least order found: guards, and what is
    /// retired.
    async fn queued(&self, records: &Records) -> Result<(BTreeSet<WriteId>, BTreeSet<WriteId>)> {
        let (mut guards, mut retired) = (BTreeSet::new(), BTreeSet::new());
        let Some(least) = records.found.values().map(|found| found.order).min() else {
            return Ok((guards, retired));
        };
        let zero = WriteId {
            gateway: GatewayId::new(0),
            gateway_epoch: 0,
            counter: 0,
        };
        let mut after = Some(holdfast_index::keys::purge(least, zero));
        loop {
            let page = rows::purge_queue(self.index, after.as_deref(), 512).await?;
            for entry in &page.items {
                guards.extend(entry.row.guard);
                if entry.row.kind == PurgeKind::Gone {
                    retired.extend(&entry.row.writes);
                }
            }
            after = page.items.last().map(|entry| entry.key.clone());
            if !page.more || after.is_none() {
                return Ok((guards, retired));
            }
        }
    }

    /// Adds the rows that a record's fate may depend on, or change.
    async fn know_touched(
        &self,
        gathered: &mut Gathered,
        write: WriteId,
        order: Order,
        fact: &Fact,
    ) -> Result<()> {
        if let Some(name) = fact.row_name(write)
            && let Some(placed) = placed::find(self.index, &name).await?
        {
            gathered.know(placed);
        }
        match fact {
            Fact::Version {
                bucket, key, body, ..
            } => {
                self.know_key(gathered, *bucket, key).await?;
                if let BodyFact::Parts { upload, .. } = body {
                    self.know_upload(gathered, *upload).await?;
                }
            }
            Fact::Metadata { bucket, key, .. } => self.know_key(gathered, *bucket, key).await?,
            Fact::Part { upload, .. } => self.know_upload(gathered, *upload).await?,
            Fact::Tombstone {
                bucket,
                key,
                target,
            } => match target {
                TombstoneTarget::Upload(upload) => self.know_upload(gathered, *upload).await?,
                _ => self.know_key(gathered, *bucket, key).await?,
            },
            Fact::Void { target } => {
                // Only its own row says whether the target is shown; it was added with the target.
                tracing::debug!(%write, %target, "void found by the merge");
            }
            Fact::Upload { .. } => {}
            Fact::System { kind, name, .. } => {
                let row = rows::get_system(self.index, kind, name).await?;
                if row.is_some_and(|row| row.order >= order) {
                    let kind = RecordKind::System;
                    gathered.records.know(write, order, kind, fact.clone());
                }
            }
        }
        Ok(())
    }

    /// All versions of a key, with their metadata records.
    async fn know_key(&self, gathered: &mut Gathered, bucket: BucketId, key: &str) -> Result<()> {
        if !gathered.keys.insert((bucket, key.to_owned())) {
            return Ok(());
        }
        let mut all: Vec<VersionRow> = Vec::new();
        all.extend(rows::get_current(self.index, bucket, key).await?);
        let mut before = None;
        loop {
            let page = rows::list_noncurrent(self.index, bucket, key, before, 512).await?;
            before = page.items.last().map(|row| row.manifest.version);
            all.extend(page.items);
            if !page.more {
                break;
            }
        }
        for row in all {
            let parts_of = match &row.manifest.body {
                holdfast_protocol::Body::Parts { upload, .. } => Some(*upload),
                _ => None,
            };
            self.know_row(gathered, &row_name(&row.manifest)).await?;
            if row.changed.is_some() {
                let version = row.manifest.version;
                let metadata = rows::get_metadata(self.index, bucket, key, version).await?;
                if let Some(metadata) = metadata {
                    self.know_row(gathered, &row_name(&metadata.manifest))
                        .await?;
                }
            }
            if let Some(upload) = parts_of {
                self.know_upload(gathered, upload).await?;
            }
        }
        Ok(())
    }

    /// An upload, its parts, and the version that completed it.
    async fn know_upload(&self, gathered: &mut Gathered, upload: WriteId) -> Result<()> {
        if !gathered.uploads.insert(upload) {
            return Ok(());
        }
        let row: Option<UploadRow> = rows::find_upload(self.index, upload).await?;
        let Some(row) = row else { return Ok(()) };
        self.know_row(gathered, &row_name(&row.manifest)).await?;
        if let Some(done) = &row.completed {
            let (bucket, key) = (row.manifest.bucket, row.manifest.key.clone());
            let name = RowName::Version {
                bucket,
                key,
                version: done.order,
                write: done.write,
            };
            self.know_row(gathered, &name).await?;
        }
        let mut after = None;
        loop {
            let page = rows::list_parts(self.index, upload, after, 512).await?;
            after = page.items.last().map(|(number, _)| *number);
            for (_, part) in page.items {
                let part: PartRow = part;
                self.know_row(gathered, &row_name(&part.manifest)).await?;
            }
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn know_row(&self, gathered: &mut Gathered, name: &RowName) -> Result<()> {
        if gathered.rows.contains_key(&name.write()) {
            return Ok(());
        }
        if let Some(placed) = placed::find(self.index, name).await? {
            gathered.know(placed);
        }
        Ok(())
    }

    /// Buckets that the index shows. Only those of which no record was found at or above the order
    /// need to be added; they are given writes that no gateway has.
    async fn know_buckets(&self, gathered: &mut Gathered) -> Result<()> {
        if gathered.records.found.values().all(|found| found.is_known) {
            return Ok(());
        }
        let is_system = |found: &&Found| found.is_known && found.kind == RecordKind::System;
        let known = gathered.records.found.values().filter(is_system);
        let known: BTreeSet<Order> = known.map(|found| found.order).collect();
        let mut after: Option<String> = None;
        loop {
            let page = rows::list_buckets(self.index, "", after.as_deref(), 512).await?;
            for row in page.items.iter().filter(|row| !known.contains(&row.order)) {
                gathered.know_bucket(row);
            }
            after = page.items.last().map(|row| row.name.clone());
            if !page.more || after.is_none() {
                return Ok(());
            }
        }
    }
}

impl Gathered {
    fn know(&mut self, placed: Placed) {
        let manifest = placed.manifest();
        let (write, order) = (manifest.write, manifest.order);
        self.records.know(
            write,
            order,
            RecordKind::Commit,
            Fact::of_manifest(manifest),
        );
        self.rows.insert(write, placed);
    }

    fn know_bucket(&mut self, row: &BucketRow) {
        let fact = Fact::System {
            kind: BUCKET_KIND.to_owned(),
            name: row.name.clone(),
            bucket: Some(row.id),
            is_deleted: false,
        };
        let write = WriteId {
            gateway: GatewayId::new(u32::MAX),
            gateway_epoch: u32::MAX,
            counter: row.id.get(),
        };
        self.records
            .know(write, row.order, RecordKind::System, fact);
    }
}

/// Drives to read a record from: those with good copies first.
pub(super) fn holders(copies: &[Kept]) -> Vec<DriveId> {
    let mut copies: Vec<&Kept> = copies.iter().collect();
    copies.sort_by_key(|kept| kept.is_damaged);
    copies.into_iter().map(|kept| kept.drive).collect()
}

/// Refuses when more drives of one placement group are absent than may be.
///
/// # Errors
/// `TooManyAbsent`.
pub(crate) fn check_absent(map: &ClusterMap, absent: &BTreeSet<DriveId>) -> Result<()> {
    let of_group = |group: &Vec<u16>| {
        let ids = group.iter().map(|&index| map.drives[usize::from(index)].id);
        ids.filter(|id| absent.contains(id)).count()
    };
    let worst = map.groups.iter().map(of_group).max().unwrap_or(0);
    let max = map.geometry.parity();
    match worst > max {
        true => Err(WorkersError::TooManyAbsent { absent: worst, max }),
        false => Ok(()),
    }
}
