//! DeleteObject.
//!
//! Owns: tombstones and delete markers, and their commit.
//! Leaves to others: removing shards (workers), which version follows ([`super::version`]).
//! Always: the tombstone is durable before the row goes. A key without a row gets a tombstone, too,
//! while a write of it may be on a drive: what is deleted stays so, also after a rebuild.

use std::sync::Arc;

use holdfast_index::rows::{self, VersionPlace};
use holdfast_index::{Batch, Locks, Transaction};
use holdfast_protocol::row::VersionRow;
use holdfast_protocol::{Body, Manifest, ManifestKind, TombstoneTarget};
use holdfast_store::StagedBody;
use holdfast_store::placement::group_of;

use super::bucket::Bucket;
use super::conditions::check_delete;
use super::lock::Protection;
use super::put::visible;
use super::service::{Retired, Service, note_seen, queue_purge};
use super::types::{DeleteObject, Deleted};
use super::version::VersionId;
use crate::error::GatewayError;
use crate::notify::{EventKind, Origin};

impl Service {
    pub(super) async fn delete_object(
        &self,
        delete: DeleteObject,
    ) -> Result<Deleted, GatewayError> {
        let bucket = self.live_bucket(&delete.bucket).await?;
        let service = self.clone();
        let origin = Origin::current().map(|origin| origin.by(&delete.by));
        let work = async move {
            service
                .commit_delete(&bucket, &delete, origin.as_ref())
                .await
        };
        self.to_the_end("delete", work).await
    }

    async fn commit_delete(
        &self,
        bucket: &Arc<Bucket>,
        delete: &DeleteObject,
        origin: Option<&Origin>,
    ) -> Result<Deleted, GatewayError> {
        let locks = Locks::none().key(bucket.id, delete.key.as_str());
        let (txn, bucket) = self.begin_in(bucket, locks).await?;
        match delete.version {
            None if bucket.has_versions() => self.mark(txn, &bucket, delete, origin).await,
            None => {
                self.remove(txn, &bucket, delete, VersionId::Null, origin)
                    .await
            }
            Some(id) => self.remove(txn, &bucket, delete, id, origin).await,
        }
    }

    /// Makes a delete marker the current version.
    pub(super) async fn mark(
        &self,
        mut txn: Box<dyn Transaction>,
        bucket: &Bucket,
        delete: &DeleteObject,
        origin: Option<&Origin>,
    ) -> Result<Deleted, GatewayError> {
        let key = delete.key.as_str();
        let present = self.present(&mut *txn, bucket, key).await?;
        let old = present.current.as_ref();
        if let Some(row) = old {
            check_delete(&delete.conditions, &row.manifest)?;
        }
        let order = txn.take_order();
        let kind = ManifestKind::Version(bucket.name_of_new());
        let manifest = Manifest {
            body: Body::DeleteMarker,
            ..self.manifest(kind, bucket.id, key, self.ids.next(), order)
        };
        let sealed = self.seal_body(&manifest, StagedBody::Empty).await?;
        let marker = VersionRow {
            manifest,
            placement: sealed.placement,
            changed: None,
        };
        let mut batch = Batch::new();
        let has_retired = self.place(&mut batch, bucket, &present, &marker).await?;
        note_seen(&mut batch, &sealed.seen);
        let kind = match origin {
            Some(_) => EventKind::Marked,
            None => EventKind::ExpiredMarked,
        };
        let happened = (kind, &marker.manifest, order);
        self.announce(&mut batch, bucket, happened, origin)?;
        self.commit(txn, batch).await?;
        self.notify(has_retired, false);
        Ok(Deleted {
            existed: old.and_then(visible).is_some(),
            version: Some(VersionId::of(&marker.manifest)),
            is_marker: true,
        })
    }

    /// Removes a version for good.
    pub(super) async fn remove(
        &self,
        mut txn: Box<dyn Transaction>,
        bucket: &Bucket,
        delete: &DeleteObject,
        id: VersionId,
        origin: Option<&Origin>,
    ) -> Result<Deleted, GatewayError> {
        let key = delete.key.as_str();
        let found = rows::get_version(&mut *txn, bucket.id, key, id.which()).await?;
        if let Some((_, row)) = &found {
            check_delete(&delete.conditions, &row.manifest)?;
            let now_ms = self.store.world().clock.unix_ms();
            Protection::of(&row.manifest.metadata)?.check_delete(now_ms, delete.bypass)?;
        }
        let version = delete.version.map(|_| id);
        let mut deleted = Deleted {
            existed: found.is_some(),
            version,
            is_marker: false,
        };
        let Some(target) = self.target(bucket, key, id, found.as_ref()).await? else {
            return Ok(deleted);
        };
        let order = txn.take_order();
        let tombstone = self.tombstone(order, bucket.id, key, target);
        let sealed = self.seal(&tombstone, bucket.id, key).await?;
        let mut batch = Batch::new();
        if !bucket.has_versions() {
            self.end_doubt(bucket.id, key, &mut batch).await?;
        }
        let mut retired = Retired::default();
        if let Some(found) = &found {
            deleted.is_marker = visible(&found.1).is_none();
            self.take_out(&mut *txn, &mut batch, bucket, found).await?;
            self.retire_version(&found.1, &mut retired, &mut batch)
                .await?;
            let kind = match origin {
                Some(_) => EventKind::Removed,
                None => EventKind::Expired,
            };
            let happened = (kind, &found.1.manifest, order);
            self.announce(&mut batch, bucket, happened, origin)?;
        }
        let group = self.store.group(group_of(bucket.id, key));
        let guard = (tombstone.write(), &sealed.placement, group);
        queue_purge(&mut batch, order, retired, Some(guard));
        note_seen(&mut batch, &sealed.seen);
        self.commit(txn, batch).await?;
        self.notify(true, false);
        Ok(deleted)
    }

    /// What the tombstone covers; `None` if none is needed.
    async fn target(
        &self,
        bucket: &Bucket,
        key: &str,
        id: VersionId,
        found: Option<&(VersionPlace, VersionRow)>,
    ) -> Result<Option<TombstoneTarget>, GatewayError> {
        // Nobody was told of a version that no row shows, but in doubt it may be there.
        let (version, write) = match (id, found) {
            (VersionId::Null, Some(_)) => return Ok(Some(TombstoneTarget::Null)),
            (VersionId::Ordered(version), Some((_, row))) => (version, row.manifest.write),
            (VersionId::Ordered(_), None) => {
                self.sure(bucket.id, key).await?;
                return Ok(None);
            }
            // A write of the key that ended in 5xx before this may still be on a drive, and would
            // be found by the next merge: without a tombstone nothing says that it is deleted.
            // What a rebuild left in doubt of it is to be covered, too.
            (VersionId::Null, None) => {
                let sure = self.sure(bucket.id, key).await;
                if bucket.has_versions() {
                    // Doubts may be about other versions.
                    sure?;
                } else if sure.is_err() {
                    return Ok(Some(TombstoneTarget::Null));
                }
                let hides = self.notices.hides_writes();
                return Ok(hides.then_some(TombstoneTarget::Null));
            }
        };
        Ok(Some(TombstoneTarget::Version { version, write }))
    }
}
