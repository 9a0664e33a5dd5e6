//! Buckets.
//!
//! Owns: making and deleting them by system records.
//! Leaves to others: their configuration (later issues).
//! Always: changes hold the name alone, and a delete the bucket too, so that no write is under way
//! in it.

use std::ops::Bound;

use bytes::Bytes;
use holdfast_index::{Batch, Locks, Mode, Row, ScanLimit, Table, Transaction, keys, rows};
use holdfast_protocol::row::BucketRow;
use holdfast_protocol::{BucketId, Record};

use super::service::{Service, note_seen};
use crate::error::GatewayError;
use crate::names::BucketName;

/// The kind of a bucket's system record.
pub const BUCKET_KIND: &str = "bucket";

impl Service {
    pub(super) async fn make_bucket(
        &self,
        name: &BucketName,
        owner: &str,
    ) -> Result<BucketRow, GatewayError> {
        let (service, name, owner) = (self.clone(), name.clone(), owner.to_owned());
        let work = async move { service.commit_bucket(&name, owner).await };
        self.to_the_end("create bucket", work).await
    }

    async fn commit_bucket(
        &self,
        name: &BucketName,
        owner: String,
    ) -> Result<BucketRow, GatewayError> {
        let locks = Locks::none().bucket_name(name.as_str(), Mode::Exclusive);
        let mut txn = self.index.begin(locks).await?;
        if let Some(found) = rows::get_bucket(&mut *txn, name.as_str()).await? {
            let owned = found.owner == owner;
            return Err(GatewayError::BucketExists {
                bucket: name.to_string(),
                owned,
            });
        }
        let world = self.store.world();
        let bucket = BucketRow {
            id: BucketId::new(world.rng.u64().max(1)),
            name: name.to_string(),
            order: txn.take_order(),
            created_ms: world.clock.unix_ms(),
            owner,
            config: Vec::new(),
        };
        self.commit_system(txn, &bucket, bucket.encode()).await?;
        Ok(bucket)
    }

    /// Makes the system record durable and commits the rows; an empty `value` deletes.
    async fn commit_system(
        &self,
        txn: Box<dyn Transaction>,
        bucket: &BucketRow,
        value: Bytes,
    ) -> Result<(), GatewayError> {
        let (order, name) = (bucket.order, bucket.name.clone());
        let record = Record::System {
            write: self.ids.next(),
            order,
            kind: BUCKET_KIND.to_owned(),
            name: name.clone(),
            value: value.clone(),
        };
        let sealed = self.store.seal_system(&record).await;
        let sealed = self.voided(record.write(), sealed, || self.store.drives().ids())?;
        let mut batch = Batch::new();
        match value.is_empty() {
            true => batch.delete(Table::Bucket, keys::bucket(&name)),
            false => batch.put(
                Table::Bucket,
                keys::bucket(&name),
                Row::new(order, value.clone()),
            ),
        };
        batch.put(
            Table::System,
            keys::system(BUCKET_KIND, &name),
            Row::new(order, value),
        );
        note_seen(&mut batch, &sealed.seen);
        self.commit(txn, batch).await
    }

    pub(super) async fn drop_bucket(&self, name: &BucketName) -> Result<(), GatewayError> {
        let bucket = self.live_bucket(name).await?;
        let service = self.clone();
        let work = async move { service.commit_drop(bucket).await };
        self.to_the_end("delete bucket", work).await
    }

    async fn commit_drop(&self, bucket: BucketRow) -> Result<(), GatewayError> {
        let locks = Locks::none()
            .bucket_name(bucket.name.clone(), Mode::Exclusive)
            .bucket(bucket.id, Mode::Exclusive);
        let mut txn = self.index.begin(locks).await?;
        let now = rows::get_bucket(&mut *txn, &bucket.name).await?;
        let mut bucket =
            now.filter(|now| now.id == bucket.id)
                .ok_or(GatewayError::NoSuchBucket {
                    bucket: bucket.name,
                })?;
        for (table, prefix) in [
            (Table::Current, keys::current(bucket.id, "")),
            (Table::Noncurrent, keys::current(bucket.id, "")),
            (Table::Upload, keys::uploads_prefix(bucket.id, b"")),
        ] {
            if holds_any(txn.as_mut(), table, &prefix).await? {
                return Err(GatewayError::BucketNotEmpty {
                    bucket: bucket.name,
                });
            }
        }
        // Nor does one go that may hold a key of which nobody knows.
        self.sure_of_all(bucket.id, "").await?;
        self.sure_of_bucket().await?;
        bucket.order = txn.take_order();
        self.commit_system(txn, &bucket, Bytes::new()).await
    }

    pub(super) async fn all_buckets(&self) -> Result<Vec<BucketRow>, GatewayError> {
        let mut buckets: Vec<BucketRow> = Vec::new();
        loop {
            let after = buckets.last().map(|bucket| bucket.name.clone());
            let page = rows::list_buckets(&*self.index, "", after.as_deref(), 1000).await?;
            buckets.extend(page.items);
            if !page.more {
                return Ok(buckets);
            }
        }
    }
}

async fn holds_any(
    txn: &mut dyn Transaction,
    table: Table,
    prefix: &[u8],
) -> Result<bool, GatewayError> {
    let end = keys::after_prefix(prefix);
    let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let scan = txn
        .scan(table, Bound::Included(prefix), to, ScanLimit::rows(1))
        .await?;
    Ok(!scan.rows.is_empty())
}
