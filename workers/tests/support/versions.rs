//! What a gateway does in a bucket with versions, and when metadata changes.

use bytes::Bytes;
use holdfast_index::rows::{VersionPlace, find_version};
use holdfast_index::{Batch, Index, Locks, Transaction, rows};
use holdfast_protocol::{
    Body, DriveId, Manifest, ManifestKind, MetadataRow, Order, Placement, PurgeKind, PurgeRow,
    Record, TombstoneTarget, VersionName, VersionRow, WriteId,
};
use holdfast_store::Sealed;
use holdfast_store::placement::group_of;

use super::{BUCKET, Running};

impl Running {
    async fn locked(&self, key: &str) -> Box<dyn Transaction> {
        let locks = Locks::none().key(BUCKET, key);
        self.index.begin(locks).await.unwrap()
    }

    async fn seal_of(&self, record: &Record, key: &str) -> Sealed {
        let group = group_of(BUCKET, key);
        self.store.seal_small(record, group).await.unwrap()
    }

    /// The row of a record that was sealed with this body.
    async fn sealed(&self, manifest: Manifest, bytes: &[u8]) -> VersionRow {
        let record = Record::Commit {
            manifest: manifest.clone(),
            body: Bytes::copy_from_slice(bytes),
        };
        let sealed = self.seal_of(&record, &manifest.key).await;
        VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        }
    }

    async fn placed(&self, row: &VersionRow) -> Option<(VersionPlace, VersionRow)> {
        let manifest = &row.manifest;
        let (version, write) = (manifest.version, manifest.write);
        find_version(&*self.index, BUCKET, &manifest.key, version, write)
            .await
            .unwrap()
    }

    /// Writes a small version that becomes current; what was current stays.
    pub async fn put_version(&self, key: &str, bytes: &[u8], commit: bool) -> VersionRow {
        let mut txn = self.locked(key).await;
        let order = txn.take_order();
        let mut manifest = self.manifest(key, order, bytes.len() as u64, Body::Inline);
        manifest.kind = ManifestKind::Version(VersionName::Ordered);
        let new = self.sealed(manifest, bytes).await;
        if !commit {
            return new;
        }
        let mut batch = Batch::new();
        if let Some(old) = self.row(key).await {
            batch.delete_current(BUCKET, key, old.manifest.order);
            batch.put_noncurrent(&old);
        }
        batch.put_current(&new);
        batch.count(&new.manifest, 1);
        txn.commit(batch).await.unwrap();
        new
    }

    /// Stores a version anew, with the metadata it has, under another write.
    pub async fn rewrite(&self, row: &VersionRow, bytes: &[u8], commit: bool) -> VersionRow {
        let key = row.manifest.key.clone();
        let mut txn = self.locked(&key).await;
        let (place, old) = self.placed(row).await.unwrap();
        let mut manifest = old.manifest.clone();
        manifest.order = txn.take_order();
        manifest.write = (self.next_write)();
        let new = self.sealed(manifest, bytes).await;
        if !commit {
            return new;
        }
        let mut batch = Batch::new();
        let retired = self.retire(&old, &mut batch).await;
        match place {
            VersionPlace::Current => batch.replace_current(&new, old.manifest.order),
            VersionPlace::Noncurrent => batch.replace_noncurrent(&new, old.manifest.order),
        };
        self.queue(new.manifest.order, retired, None, &mut batch);
        txn.commit(batch).await.unwrap();
        self.workers.wake_purge();
        new
    }

    /// Gives a version metadata of one value; `commit` false stops before the index.
    pub async fn change_metadata(
        &self,
        row: &VersionRow,
        value: &str,
        commit: bool,
    ) -> MetadataRow {
        let key = row.manifest.key.clone();
        let mut txn = self.locked(&key).await;
        let order = txn.take_order();
        let (place, mut version) = self.placed(row).await.unwrap();
        let ManifestKind::Version(name) = version.manifest.kind else {
            panic!("not a version")
        };
        let target = version.manifest.write;
        let mut manifest = self.manifest(&key, order, 0, Body::Empty);
        manifest.kind = ManifestKind::Metadata { name, target };
        manifest.version = version.manifest.version;
        manifest.metadata.set("x-amz-tagging", value);
        let new: MetadataRow = self.sealed(manifest, b"").await;
        if !commit {
            return new;
        }
        let mut batch = Batch::new();
        let old = self.metadata(&version).await;
        let retired = old.map(|old| (old.manifest.write, old.placement));
        version.manifest.metadata = new.manifest.metadata.clone();
        version.changed = Some(order);
        match place {
            VersionPlace::Current => batch.replace_current(&version, version.manifest.order),
            VersionPlace::Noncurrent => batch.replace_noncurrent(&version, version.manifest.order),
        };
        batch.put_metadata(&new);
        self.queue(order, retired.into_iter().collect(), None, &mut batch);
        txn.commit(batch).await.unwrap();
        self.workers.wake_purge();
        new
    }

    /// Deletes a version by its id; what was made before it becomes current if it was.
    pub async fn delete_version(&self, row: &VersionRow, commit: bool) {
        let key = row.manifest.key.clone();
        let mut txn = self.locked(&key).await;
        let (place, old) = self.placed(row).await.unwrap();
        let order = txn.take_order();
        let (version, write) = (old.manifest.version, old.manifest.write);
        let tombstone = Record::Tombstone {
            write: (self.next_write)(),
            order,
            bucket: BUCKET,
            key: key.clone(),
            target: TombstoneTarget::Version { version, write },
        };
        let sealed = self.seal_of(&tombstone, &key).await;
        if !commit {
            return;
        }
        let mut batch = Batch::new();
        match place {
            VersionPlace::Noncurrent => drop(batch.delete_noncurrent(&old.manifest)),
            VersionPlace::Current => {
                batch.delete_current(BUCKET, &key, old.manifest.order);
                let older = rows::list_noncurrent(&*self.index, BUCKET, &key, None, 1);
                if let Some(older) = older.await.unwrap().items.first() {
                    batch.delete_noncurrent(&older.manifest);
                    batch.put_current(older);
                }
            }
        }
        batch.count(&old.manifest, -1);
        let retired = self.retire(&old, &mut batch).await;
        let guard = (tombstone.write(), sealed.placement);
        self.queue(order, retired, Some(guard), &mut batch);
        txn.commit(batch).await.unwrap();
        self.workers.wake_purge();
    }

    /// The metadata record of a version.
    pub async fn metadata(&self, row: &VersionRow) -> Option<MetadataRow> {
        let manifest = &row.manifest;
        rows::get_metadata(&*self.index, BUCKET, &manifest.key, manifest.version)
            .await
            .unwrap()
    }

    /// A write and its metadata record, whose row goes.
    async fn retire(&self, old: &VersionRow, batch: &mut Batch) -> Vec<(WriteId, Placement)> {
        let mut retired = vec![(old.manifest.write, old.placement.clone())];
        if let Some(metadata) = self.metadata(old).await {
            batch.delete_metadata(&metadata.manifest);
            retired.push((metadata.manifest.write, metadata.placement));
        }
        retired
    }

    fn queue(
        &self,
        order: Order,
        retired: Vec<(WriteId, Placement)>,
        guard: Option<(WriteId, Placement)>,
        batch: &mut Batch,
    ) {
        let Some((first, _)) = retired.first() else {
            return;
        };
        let mut waiting: Vec<DriveId> = retired.iter().flat_map(|(_, at)| at.drives()).collect();
        if guard.is_some() {
            waiting.extend(self.store.drives().ids());
        }
        waiting.sort_unstable();
        waiting.dedup();
        let holders = guard.as_ref().map(|(_, at)| at.drives().collect());
        let purge = PurgeRow {
            kind: PurgeKind::Gone,
            writes: retired.iter().map(|(write, _)| *write).collect(),
            guard: guard.map(|(write, _)| write),
            waiting,
            guard_holders: holders.unwrap_or_default(),
        };
        batch.put_purge(order, *first, &purge);
    }
}
