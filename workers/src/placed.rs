//! Rows that have a placement: finding them by name and changing where they are.
//!
//! Owns: looking up the row that a [`RowName`] names, and compare-and-set of its placement.
//! Leaves to others: what the new placement is (healer).
//! Always: a placement changes only under the locks that the row's other writers hold, and only
//! while the row still is of the same write; order and manifest never change here.

use std::time::Duration;

use bytes::Bytes;
use holdfast_index::rows::VersionPlace;
use holdfast_index::{Batch, IndexError, Locks, Mode, Read, Row, Table, keys, rows};
use holdfast_protocol::row::{Completed, RowName};
use holdfast_protocol::{
    Body, DriveId, Manifest, ManifestKind, Order, Placement, PurgeKind, PurgeRow, UploadRow,
    VersionRow,
};

use crate::context::Context;
use crate::error::Result;

/// How often it is asked whether an order is settled.
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// A row with a placement.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub(crate) name: RowName,
    /// Manifest and placement; of an upload, too.
    pub(crate) row: VersionRow,
    table: Table,
    key: Bytes,
    order: Order,
    completed: Option<Completed>,
}

/// The row of that name, if it is still of the same write.
pub(crate) async fn find(
    mut reader: impl Read,
    name: &RowName,
) -> std::result::Result<Option<Placed>, IndexError> {
    let (table, key) = match name {
        RowName::Version {
            bucket,
            key,
            version: of,
            write,
        } => {
            let found = rows::find_version(reader, *bucket, key, *of, *write).await?;
            return Ok(found.map(|(place, row)| version(name, place, row)));
        }
        RowName::Part { upload, number, .. } => (Table::Part, keys::part(*upload, *number)),
        RowName::Upload { bucket, key, write } => {
            (Table::Upload, keys::upload(*bucket, key, *write))
        }
        RowName::Metadata {
            bucket,
            key,
            version,
            ..
        } => (Table::Metadata, keys::metadata(*bucket, key, *version)),
    };
    let Some(stored) = reader.read(table, &key).await? else {
        return Ok(None);
    };
    let damaged = |source| IndexError::Damaged {
        table,
        key: key.escape_ascii().to_string(),
        source,
    };
    let (row, completed) = match table {
        Table::Upload => {
            let upload = UploadRow::decode(&stored.value).map_err(damaged)?;
            let UploadRow {
                manifest,
                placement,
                completed,
            } = upload;
            (
                VersionRow {
                    manifest,
                    placement,
                    changed: None,
                },
                completed,
            )
        }
        _ => (VersionRow::decode(&stored.value).map_err(damaged)?, None),
    };
    Ok((row.manifest.write == name.write()).then(|| Placed {
        name: name.clone(),
        row,
        table,
        key,
        order: stored.order,
        completed,
    }))
}

/// A version's row; its order is that of its manifest.
fn version(name: &RowName, place: VersionPlace, row: VersionRow) -> Placed {
    let (bucket, order) = (row.manifest.bucket, row.manifest.order);
    let (table, key) = match place {
        VersionPlace::Current => (Table::Current, keys::current(bucket, &row.manifest.key)),
        VersionPlace::Noncurrent => {
            let key = keys::noncurrent(bucket, &row.manifest.key, row.manifest.version);
            (Table::Noncurrent, key)
        }
    };
    Placed {
        name: name.clone(),
        row,
        table,
        key,
        order,
        completed: None,
    }
}

impl Placed {
    /// The manifest.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.row.manifest
    }

    /// Whether it is a version that is not its key's current one.
    pub(crate) fn is_noncurrent(&self) -> bool {
        self.table == Table::Noncurrent
    }

    /// How an upload was completed, if it was.
    pub(crate) fn completed(&self) -> Option<&Completed> {
        self.completed.as_ref()
    }

    /// Removes the row.
    pub(crate) fn remove(&self, batch: &mut Batch) {
        if self.is_noncurrent() {
            batch.delete_noncurrent(&self.row.manifest);
            return;
        }
        batch.delete_exactly(self.table, self.key.clone(), self.order);
        if self.table == Table::Upload {
            batch.delete(Table::Upload, keys::upload_by_id(self.row.manifest.write));
        }
    }

    /// Whether the body is cut into shards.
    pub(crate) fn is_coded(&self) -> bool {
        is_coded(&self.row.manifest)
    }

    fn locks(&self) -> Locks {
        let manifest = &self.row.manifest;
        let locks = Locks::none().bucket(manifest.bucket, Mode::Shared);
        match manifest.kind {
            ManifestKind::Version(_) | ManifestKind::Metadata { .. } => {
                locks.key(manifest.bucket, manifest.key.as_str())
            }
            ManifestKind::Part { upload, .. } => locks
                .upload(upload, Mode::Exclusive)
                .key(manifest.bucket, manifest.key.as_str()),
            ManifestKind::Upload => locks
                .upload(manifest.write, Mode::Exclusive)
                .key(manifest.bucket, manifest.key.as_str()),
        }
    }

    fn stored(&self) -> Row {
        let value = match self.table {
            Table::Upload => UploadRow {
                manifest: self.row.manifest.clone(),
                placement: self.row.placement.clone(),
                completed: self.completed.clone(),
            }
            .encode(),
            _ => self.row.encode(),
        };
        Row::new(self.order, value)
    }

    /// Shards or copies that can still be lost.
    pub(crate) fn margin(&self) -> u8 {
        margin(&self.row.manifest, &self.row.placement)
    }
}

/// The word for what a row is.
pub(crate) const fn kind(name: &RowName) -> &'static str {
    match name {
        RowName::Version { .. } => "version",
        RowName::Part { .. } => "part",
        RowName::Upload { .. } => "upload",
        RowName::Metadata { .. } => "metadata",
    }
}

/// Whether a body is cut into shards.
pub(crate) fn is_coded(manifest: &Manifest) -> bool {
    matches!(manifest.body, Body::Coded { .. })
}

/// Shards or copies that can still be lost.
pub(crate) fn margin(manifest: &Manifest, placement: &Placement) -> u8 {
    let missing = placement.missing;
    let lost = match is_coded(manifest) {
        true => missing.count_ones() as usize,
        false => missing as usize,
    };
    manifest.geometry.parity().saturating_sub(lost) as u8
}

/// What a change of a placement does besides.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Changes that are committed with it.
    pub(crate) batch: Batch,
    /// Drives from which the write is to be purged.
    pub(crate) leave: Vec<DriveId>,
}

impl Context {
    /// Notes drives in the row, under its locks, that are about to get a shard or copy.
    ///
    /// Returns the order with which they may be sent one: above that of every change by which the
    /// write left a drive before, below that of every later one. `None` if the row is gone.
    pub(crate) async fn announce(
        &self,
        known: &Placed,
        targets: &[DriveId],
    ) -> Result<Option<Order>> {
        let mut txn = self.begin(known.locks()).await?;
        let Some(mut placed) = find(&mut *txn, &known.name).await? else {
            return Ok(None);
        };
        let order = txn.take_order();
        let named: Vec<DriveId> = placed.row.placement.drives().collect();
        let new = targets.iter().filter(|drive| !named.contains(drive));
        let new: Vec<DriveId> = new.copied().collect();
        if !new.is_empty() {
            placed.row.placement.touched.extend(new);
            let mut batch = Batch::new();
            batch.replace(
                placed.table,
                placed.key.clone(),
                placed.stored(),
                placed.order,
            );
            self.commit(txn, batch).await?;
        } else {
            drop(txn);
        }
        self.settle_past(order).await?;
        Ok(Some(order))
    }

    /// Waits until all orders that were given before now are settled.
    pub(crate) async fn settle_all(&self) -> Result<()> {
        let mut txn = self.begin(Locks::none()).await?;
        let order = txn.take_order();
        drop(txn);
        self.settle_past(order).await
    }

    /// Waits until an order that was given is settled: before that no drive may be told of it, or a
    /// claim would take this index for an old copy of itself; and only then is all committed that
    /// was given a lower one.
    async fn settle_past(&self, order: Order) -> Result<()> {
        while self.index.settled().await? <= order {
            self.index.flush().await?;
            if self.index.settled().await? > order {
                break;
            }
            self.clock().sleep(SETTLE_PAUSE).await;
        }
        Ok(())
    }

    /// Changes the placement of a row under its locks. `edit` returns `None` when there is nothing
    /// to do.
    ///
    /// Returns the row as it is afterwards; `None` if it is gone.
    pub(crate) async fn change(
        &self,
        known: &Placed,
        edit: impl FnOnce(&mut Placement) -> Option<Change> + Send,
    ) -> Result<Option<Placed>> {
        let mut txn = self.begin(known.locks()).await?;
        let Some(mut placed) = find(&mut *txn, &known.name).await? else {
            return Ok(None);
        };
        let Some(Change { mut batch, leave }) = edit(&mut placed.row.placement) else {
            return Ok(Some(placed));
        };
        batch.replace(
            placed.table,
            placed.key.clone(),
            placed.stored(),
            placed.order,
        );
        let is_leaving = !leave.is_empty();
        if is_leaving {
            let write = placed.name.write();
            let row = PurgeRow {
                writes: vec![write],
                kind: PurgeKind::Moved,
                guard: None,
                waiting: leave,
                guard_holders: Vec::new(),
            };
            batch.put_purge(txn.take_order(), write, &row);
        }
        self.commit(txn, batch).await?;
        if is_leaving {
            self.purge.ring();
        }
        Ok(Some(placed))
    }
}
