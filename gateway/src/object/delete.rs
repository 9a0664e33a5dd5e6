//! DeleteObject.
//!
//! Owns: the tombstone of a key and its commit.
//! Leaves to others: removing shards (workers).
//! Always: the tombstone is durable before the row goes. A key without a row gets a tombstone, too,
//! while a write of it may be on a drive: what is deleted stays so, also after a rebuild.

use holdfast_index::{Batch, Locks, Table, keys, rows};
use holdfast_protocol::TombstoneTarget;
use holdfast_protocol::row::BucketRow;
use holdfast_store::placement::group_of;

use super::conditions::check_delete;
use super::put::{usage_of, visible};
use super::service::{Retired, Service, note_seen, queue_purge};
use super::types::{DeleteConditions, DeleteObject, Deleted};
use crate::error::GatewayError;
use crate::names::ObjectKey;

impl Service {
    pub(super) async fn delete_object(
        &self,
        delete: DeleteObject,
    ) -> Result<Deleted, GatewayError> {
        let bucket = self.live_bucket(&delete.bucket).await?;
        let (service, key, conditions) = (self.clone(), delete.key, delete.conditions);
        let work = async move { service.commit_delete(&bucket, &key, &conditions).await };
        self.to_the_end("delete", work).await
    }

    async fn commit_delete(
        &self,
        bucket: &BucketRow,
        key: &ObjectKey,
        conditions: &DeleteConditions,
    ) -> Result<Deleted, GatewayError> {
        let locks = Locks::none().key(bucket.id, key.as_str());
        let mut txn = self.begin_in(bucket, locks).await?;
        let old = rows::get_current(&mut *txn, bucket.id, key.as_str()).await?;
        if let Some(manifest) = old.as_ref().and_then(visible) {
            check_delete(conditions, manifest)?;
        }
        // A write of the key that ended in 5xx before this may still be on a drive, and would be
        // found by the next merge: without a tombstone nothing says that it is deleted.
        // What a rebuild left in doubt of it is to be covered, too.
        let is_sure = self.sure(bucket.id, key.as_str()).await.is_ok();
        if old.is_none() && is_sure && !self.notices.hides_writes() {
            return Ok(Deleted { existed: false });
        }
        let order = txn.take_order();
        let tombstone = self.tombstone(order, bucket.id, key.as_str(), TombstoneTarget::Null);
        let sealed = self.seal(&tombstone, bucket.id, key.as_str()).await?;
        let mut batch = Batch::new();
        self.end_doubt(bucket.id, key.as_str(), &mut batch).await?;
        let mut retired = Retired::default();
        if let Some(old) = &old {
            let at = keys::current(bucket.id, key.as_str());
            batch.delete_exactly(Table::Current, at, old.manifest.order);
            batch.usage(bucket.id, usage_of(&old.manifest, -1));
            self.retire_version(old, &mut retired, &mut batch).await?;
        }
        let group = self.store.group(group_of(bucket.id, key.as_str()));
        let guard = (tombstone.write(), &sealed.placement, group);
        queue_purge(&mut batch, order, retired, Some(guard));
        note_seen(&mut batch, &sealed.seen);
        self.commit(txn, batch).await?;
        self.notify(true, false);
        let existed = old.is_some();
        Ok(Deleted { existed })
    }
}
